"""`tkbench bench`: speed, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import bench, say, show


@bench.command("prep")
def bench_prep_command(
    root: Annotated[Path, typer.Option(help="Folder of videos to prepare.")],
    repeat: Annotated[int, typer.Option(min=1, help="Runs per clip; the fastest counts.")] = 3,
) -> None:
    """Frames/s of each preparation stage on one core, per picture size, and what the limit is.

    Example: `tkbench bench prep --root videos`
    """
    from tkbench.bench import bench_prep
    from tkbench.progress import bar

    with bar("bench") as progress:
        report = bench_prep(root, repeat=repeat, progress=progress)
    show(report.table())
    say(report.verdict())
