"""`tkbench prep`: turn data sets into shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tkbench.cli.common import Workers, count_workers, prep, say, show


@prep.command("synth")
def prep_synth(
    out: Annotated[Path, typer.Option(help="Folder for the corpus; must be new or empty.")],
    clips: Annotated[int, typer.Option(min=1, help="Number of clips.")] = 24,
    speakers: Annotated[
        int, typer.Option(min=1, help="Number of speakers; clips are dealt to them in turn.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    split: Annotated[
        str | None,
        typer.Option(help="Put every clip in this split, instead of dividing speakers over the three."),
    ] = None,
    workers: Workers = None,
) -> None:
    """Make a corpus of synthetic talking faces with exact truth: phonemes, lip aperture, A/V offset.

    Example: `tkbench prep synth --out corpus --clips 24 --speakers 12 --seed 0`
    """
    from tkbench.prep.synth.corpus import make_corpus
    from tkbench.progress import bar

    with bar("corpus") as progress:
        path = make_corpus(
            out,
            clips=clips,
            speakers=speakers,
            seed=seed,
            split=split,
            workers=count_workers(workers),
            progress=lambda done, total: progress(done, total, "clips"),
        )
    say(f"corpus: {path}\nnext:   tkbench prep folder --root {out} --out shards")


@prep.command("folder")
def prep_folder(
    root: Annotated[Path, typer.Option(help="Folder of talking-head videos, searched with its subfolders.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
    workers: Workers = None,
) -> None:
    """Prepare any folder of videos: check, decode once, track the face, align, write shards.

    Every file ends in the manifest as ok or skipped with a reason. Run again to resume.

    Example: `tkbench prep folder --root videos --out shards`
    """
    from tkbench.prep.run import prepare
    from tkbench.progress import bar

    with bar("prep") as progress:
        summary = prepare(root, out, workers=count_workers(workers), progress=progress)
    show(_summary_table(summary, out))
    say(f"shards: {out}\nnext:   tkbench eval --model real --data {out}")


def _summary_table(summary: Any, out: Path) -> Any:
    from rich.table import Table

    table = Table(title=f"Preparation of {out.name or out}", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("which", overflow="fold")
    for what, count, which in summary.table():
        table.add_row(str(what), str(count), str(which))
    return table
