"""`tkbench prep`: turn data sets into shards."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tkbench.cli.common import Workers, count_workers, prep, say, show

Root = Annotated[str, typer.Option(help="Folder of the data set as it was unpacked, or a URL (s3://...).")]
Out = Annotated[str, typer.Option(help="Folder for the shards, or a URL (s3://...).")]
Split = Annotated[
    str | None, typer.Option(help="Only this split, as the data set names it.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class How:
    """How a data set is prepared: what every command below `tkbench prep` that reads one takes."""

    workers: int | None
    scheduler: str | None
    shard_clips: int | None
    retry_failed: bool
    dry_run: bool
    backend: str


def _how(
    workers: Workers = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, like tcp://10.0.0.1:8786: use its workers.", show_default=False
        ),
    ] = None,
    shard_clips: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Clips per shard, the unit of work; by default 2 to 256 by number.",
            show_default=False,
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Also remake the finished shards in which clips were skipped; default: keep.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Prepare a few clips aside, and estimate time and disk; writes nothing to OUT."
        ),
    ] = False,
    backend: Annotated[
        str,
        typer.Option(
            help="Face tracker: mediapipe, mediapipe-lips (a tenth faster, no irises), mediapipe-plain (faster, lips "
            "less exact), mediapipe-tasks, "
            "face-alignment or face-alignment-cuda."
        ),
    ] = "mediapipe",
) -> How:
    return How(workers, scheduler, shard_clips, retry_failed, dry_run, backend)


def takes_how(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with a parameter `how` the options of `_how` in its place."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(_how, eval_str=True).parameters
    together = [p for p in own.values() if p.name != "how"] + list(shared.values())

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(
            **{name: given[name] for name in own if name != "how"}, how=_how(**{n: given[n] for n in shared})
        )

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in together]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


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
    from tkbench.runtime.progress import bar
    from tkbench.synth.corpus import make_corpus

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
@takes_how
def prep_folder(root: Root, out: Out, how: How) -> None:
    """Prepare any folder of videos: check, decode once, track the face, align, write shards.

    ROOT is searched with its subfolders. Every file ends in the manifest as ok or skipped with a reason. Run again
    to resume.

    Example: `tkbench prep folder --root videos --out shards`
    """
    _prepare("auto", root, out, how)


@prep.command("lrw")
@takes_how
def prep_lrw(root: Root, out: Out, how: How, split: Split = None) -> None:
    """Prepare LRW: `WORD/{train,val,test}/WORD_00001.mp4` and .txt below ROOT (or its `lipread_mp4`).

    The canvas is the released picture, 256 x 256. Run again to resume.

    Example: `tkbench prep lrw --root lipread_mp4 --out shards/lrw --split test`
    """
    _prepare("lrw", root, out, how, split=split)


@prep.command("lrs2")
@takes_how
def prep_lrs2(root: Root, out: Out, how: How, split: Split = None) -> None:
    """Prepare LRS2: `mvlrs_v1/{main,pretrain}` with train.txt, val.txt, test.txt and pretrain.txt beside them.

    The canvas is the released picture, 160 x 160. Splits: train, val, test, pretrain. Run again to resume.

    Example: `tkbench prep lrs2 --root mvlrs_v1 --out shards/lrs2 --split test`
    """
    _prepare("lrs2", root, out, how, split=split)


@prep.command("lrs3")
@takes_how
def prep_lrs3(root: Root, out: Out, how: How, split: Split = None) -> None:
    """Prepare LRS3: `{pretrain,trainval,test}/<youtube id>/00001.mp4` and .txt below ROOT.

    The canvas is the released picture, 224 x 224. Run again to resume.

    Example: `tkbench prep lrs3 --root lrs3 --out shards/lrs3 --split test`
    """
    _prepare("lrs3", root, out, how, split=split)


@prep.command("hdtf")
@takes_how
def prep_hdtf(
    root: Root,
    out: Out,
    how: How,
    annotations: Annotated[
        str | None,
        typer.Option(
            help="Folder of RD_annotion_time.txt and the others; by default in ROOT.", show_default=False
        ),
    ] = None,
    split: Split = None,
) -> None:
    """Prepare HDTF: the published annotation files over a folder of downloaded videos.

    Each annotated interval is a clip; its canvas is the official crop at 512 x 512. Splits: train, val, test of
    the identity-disjoint split hdtf-identity-1. Run again to resume.

    Example: `tkbench prep hdtf --root videos --annotations HDTF_dataset --out shards/hdtf --split test`
    """
    options = {} if annotations is None else {"annotations": annotations}
    _prepare("hdtf", root, out, how, split=split, options=options)


def _prepare(
    dataset: str,
    root: str,
    out: str,
    how: How,
    *,
    split: str | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """What every `tkbench prep DATASET` does; options: what the reader takes besides the root."""
    from tkbench.prep.plan import Settings
    from tkbench.prep.run import prepare
    from tkbench.runtime.progress import bar

    workers = count_workers(how.workers)
    what: dict[str, Any] = {"dataset": dataset, "split": split, "shard_clips": how.shard_clips}
    what |= {"reader_options": options, "workers": workers, "settings": Settings(backend=how.backend)}
    if how.dry_run:
        from tkbench.prep.estimate import estimate

        with bar("sample") as progress:
            guess = estimate(root, out, progress=progress, **what)
        show(_table(f"What preparing {root} would take", guess.table()))
        say(guess.verdict())
        return
    with bar("prep") as progress:
        summary = prepare(
            root, out, scheduler=how.scheduler, retry_failed=how.retry_failed, progress=progress, **what
        )
    show(_table(f"Preparation of {out}", summary.table()))
    say(f"shards: {out}\nnext:   tkbench eval --model real --data {out}")


def _table(title: str, rows: list[tuple[str, str, str]]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("which", overflow="fold")
    for what, count, which in rows:
        table.add_row(what, count, which)
    return table
