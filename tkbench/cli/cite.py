"""`tkbench cite`: what a paper that prints a table has to cite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import app, refuse_all, say
from tkbench.cli.talking import print_text


@app.command("cite")
def cite_command(
    runs: Annotated[Path, typer.Argument(help="Folder of result bundles of one table, or one bundle.")],
) -> None:
    r"""Print a sentence for the methods section, and BibTeX for tkbench, metrics, data set and models of a table.

    The sentence holds the hash of the table's signature. What no reference is known for is named on stderr.

    Example: `tkbench cite runs/synth-v1-1a2b3c4d`
    """
    from tkbench.results.bundle import find
    from tkbench.results.cite import cite

    bad: list[str] = []
    found = cite(find(runs, bad))
    print_text(str(found), text=str(found), unknown=list(found.unknown))
    for line in found.unknown:
        say(line)
    refuse_all(bad)
