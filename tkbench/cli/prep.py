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
    _prepare("auto", root, out, workers=workers)


Root = Annotated[Path, typer.Option(help="Folder of the data set, as it was unpacked.")]
Out = Annotated[Path, typer.Option(help="Folder for the shards.")]
Split = Annotated[
    str | None, typer.Option(help="Only this split, as the data set names it.", show_default=False)
]


@prep.command("lrw")
def prep_lrw(root: Root, out: Out, split: Split = None, workers: Workers = None) -> None:
    """Prepare LRW: `WORD/{train,val,test}/WORD_00001.mp4` and .txt below ROOT (or its `lipread_mp4`).

    The canvas is the released picture, 256 x 256. Run again to resume.

    Example: `tkbench prep lrw --root lipread_mp4 --out shards/lrw --split test`
    """
    _prepare("lrw", root, out, split=split, workers=workers)


@prep.command("lrs2")
def prep_lrs2(root: Root, out: Out, split: Split = None, workers: Workers = None) -> None:
    """Prepare LRS2: `mvlrs_v1/{main,pretrain}` with train.txt, val.txt, test.txt and pretrain.txt beside them.

    The canvas is the released picture, 160 x 160. Splits: train, val, test, pretrain. Run again to resume.

    Example: `tkbench prep lrs2 --root mvlrs_v1 --out shards/lrs2 --split test`
    """
    _prepare("lrs2", root, out, split=split, workers=workers)


@prep.command("lrs3")
def prep_lrs3(root: Root, out: Out, split: Split = None, workers: Workers = None) -> None:
    """Prepare LRS3: `{pretrain,trainval,test}/<youtube id>/00001.mp4` and .txt below ROOT.

    The canvas is the released picture, 224 x 224. Run again to resume.

    Example: `tkbench prep lrs3 --root lrs3 --out shards/lrs3 --split test`
    """
    _prepare("lrs3", root, out, split=split, workers=workers)


@prep.command("hdtf")
def prep_hdtf(
    root: Root,
    out: Out,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Folder of RD_annotion_time.txt and the others; by default in ROOT.", show_default=False
        ),
    ] = None,
    split: Split = None,
    workers: Workers = None,
) -> None:
    """Prepare HDTF: the published annotation files over a folder of downloaded videos.

    Each annotated interval is a clip; its canvas is the official crop at 512 x 512. Splits: train, val, test of
    the identity-disjoint split hdtf-identity-1. Run again to resume.

    Example: `tkbench prep hdtf --root videos --annotations HDTF_dataset --out shards/hdtf --split test`
    """
    options = {} if annotations is None else {"annotations": str(annotations)}
    _prepare("hdtf", root, out, split=split, workers=workers, options=options)


def _prepare(
    dataset: str,
    root: Path,
    out: Path,
    *,
    split: str | None = None,
    workers: int | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """What every `tkbench prep DATASET` does; options: what the reader takes besides the root."""
    from tkbench.prep.run import prepare
    from tkbench.progress import bar

    with bar("prep") as progress:
        summary = prepare(
            root,
            out,
            dataset=dataset,
            split=split,
            workers=count_workers(workers),
            reader_options=options,
            progress=progress,
        )
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
