"""`python -m tkbench` is the `tkbench` command."""

from tkbench.cli import main

main()
