"""`python -m tkbench` is the `tkbench` command; the command begins here, too."""

import os
import sys


def main() -> None:
    """Load the commands, which takes a second or two in which Ctrl-C can come, and run one."""
    try:
        from tkbench.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("tkbench: stopped before anything began\n")
        sys.stderr.flush()
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
