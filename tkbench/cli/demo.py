"""`tkbench demo`: every step on a synthetic corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import Workers, app, count_workers, say, show, stdout_width


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo makes.")] = Path("demo"),
    clips: Annotated[int, typer.Option(min=4, help="Number of clips.")] = 24,
    speakers: Annotated[int, typer.Option(min=2, help="Number of speakers.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the corpus.")] = 1,
    workers: Workers = None,
) -> None:
    """Try everything in a few minutes: make a corpus, prepare it, score and rank models, write the report.

    Example: `tkbench demo --out demo`
    """
    from tkbench.demo import run

    run(
        out,
        clips=clips,
        speakers=speakers,
        seed=seed,
        workers=count_workers(workers),
        width=stdout_width(),
        show=show,
        say=say,
    )
