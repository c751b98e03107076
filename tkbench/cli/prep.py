"""`tkbench prep`: turn data sets into shards."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tkbench.cli.common import (
    Scheduler,
    Workers,
    add_command,
    count_workers,
    option_type,
    parameter,
    pasted,
    prep,
    say,
    set_parameters,
    show,
)
from tkbench.cli.talking import answer
from tkbench.dataset import DataSet

if TYPE_CHECKING:
    from tkbench.prep.datasets.divide import Division

Root = Annotated[str, typer.Option(help="Folder of the data set as it was unpacked, or a URL (s3://...).")]
Out = Annotated[str, typer.Option(help="Folder for the shards, or a URL (s3://...).")]
Split = Annotated[
    str | None, typer.Option(help="Only this split, as the data set names it.", show_default=False)
]
SplitBy = Annotated[
    str | None,
    typer.Option(
        help="Divide the clips into splits: no speaker (or source, clip, or value of a label) is in two. Needs --split "
        "with shares. The lists and their hashes are written to OUT.",
        show_default=False,
    ),
]
Shares = Annotated[
    str | None,
    typer.Option(
        help="With --split-by: the splits and their shares, train=0.8,val=0.1,test=0.1. Otherwise: only this split.",
        show_default=False,
    ),
]
SplitSeed = Annotated[int, typer.Option(help="With --split-by: the same seed gives the same splits.")]


@dataclass(frozen=True, slots=True)
class How:
    """How a data set is prepared: what every command below `tkbench prep` that reads one takes."""

    workers: int | None
    scheduler: str | None
    shard_clips: int | None
    retry_failed: bool
    overwrite: bool
    dry_run: bool
    backend: str
    video_track: int | None
    audio_track: int | None
    keep_source: bool


def _how(
    workers: Workers = None,
    scheduler: Scheduler = None,
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
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace shards in OUT that were made with other settings, or hold clips that ROOT has not.",
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
            "less exact), mediapipe-tasks, mediapipe-wheel (to compare with), "
            "face-alignment or face-alignment-cuda."
        ),
    ] = "mediapipe",
    video_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of the video track to read, from 1 on; by default the one that a player plays.",
            show_default=False,
        ),
    ] = None,
    audio_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of the audio track to read, from 1 on; by default the one that a player plays.",
            show_default=False,
        ),
    ] = None,
    keep_source: Annotated[
        bool,
        typer.Option(
            "--keep-source",
            help="Also keep each clip's own file in the shard: LSE recipes of other benches (`tkbench eval --lse`) "
            "start there.",
        ),
    ] = False,
) -> How:
    return How(
        workers,
        scheduler,
        shard_clips,
        retry_failed,
        overwrite,
        dry_run,
        backend,
        video_track,
        audio_track,
        keep_source,
    )


PARAMETERS = {
    "root",
    "out",
    "split",
    "split_by",
    "split_seed",
    "as_json",
    "quiet",
    "verbose",
    *inspect.signature(_how).parameters,
}
"""What `tkbench prep NAME` takes for every data set: options of a record need other names."""


def takes_how(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with a parameter `how` the options of `_how` in its place."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(_how, eval_str=True).parameters

    @functools.wraps(command)
    def run(**given: Any) -> None:
        mine = {name: given[name] for name in own if name != "how"}
        command(**mine, how=_how(**{name: given[name] for name in shared}))

    set_parameters(run, [*(item for item in own.values() if item.name != "how"), *shared.values()])
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
    sluggishness: Annotated[
        float,
        typer.Option(
            help="Scales how fast mouths go from sound to sound: 0.4 blends sounds 2.5 times as far. corpus.json says "
            "how many frames of context they then need (reach_frames)."
        ),
    ] = 1.0,
    workers: Workers = None,
) -> None:
    """Make a corpus of synthetic talking faces with exact truth: phonemes, lip aperture, A/V offset.

    Example: `tkbench prep synth --out corpus --clips 24 --speakers 12 --seed 0`
    """
    from tkbench.runtime.progress import bar
    from tkbench.synth.corpus import ClipOptions, make_corpus
    from tkbench.synth.knobs import Knobs

    options = ClipOptions(others=Knobs(sluggishness=sluggishness))
    with bar("corpus") as progress:
        path = make_corpus(
            out,
            clips=clips,
            speakers=speakers,
            seed=seed,
            split=split,
            workers=count_workers(workers),
            options=options,
            progress=lambda done, total: progress(done, total, "clips"),
        )
    answer(corpus=path, clips=clips)
    say(f"corpus: {path}\nnext:   {pasted('tkbench', 'prep', 'folder', '--root', out, '--out', 'shards')}")


def add_data_set(name: str, record: DataSet) -> None:
    """The command `tkbench prep NAME`, as its record describes it."""

    def command(
        root: str,
        out: str,
        how: How,
        split: str | None = None,
        split_by: str | None = None,
        split_seed: int = 0,
        **options: str | None,
    ) -> None:
        given = {option: value for option, value in options.items() if value is not None}
        division = None
        if split_by is not None or (split is not None and "=" in split):
            division, split = _division(split_by, split, split_seed), None
        # `folder` also reads what another record recognises as its own.
        which = "auto" if name == "folder" and not given else name
        _prepare(which, root, out, how, split=split, options=given, division=division)

    notes = " ".join(filter(None, (record.notes, "Run again to resume.")))
    command.__doc__ = (
        f"Prepare {record.title}: {record.layout}.\n\n{notes} Intervals are computed over {record.clustered_by}.\n\n"
        f"Example: `{record.example}`"
    )
    parameters = [parameter("root", Root), parameter("out", Out), parameter("how", How)]
    parameters += [parameter(option.name, option_type(option.help), None) for option in record.options]
    if record.splits:
        parameters += [parameter("split", Split, None)]
    else:
        parameters += [parameter("split_by", SplitBy, None), parameter("split", Shares, None)]
        parameters += [parameter("split_seed", SplitSeed, 0)]
    set_parameters(command, parameters)
    add_command(prep, name, takes_how(command))


def _division(by: str | None, shares: str | None, seed: int) -> Division:
    """How the clips are divided. Raises UsageError for half of an answer."""
    from tkbench.errors import UsageError
    from tkbench.prep.datasets.divide import Division, parse_shares

    if by is None or shares is None:
        raise UsageError("--split-by speaker and --split train=0.8,val=0.1,test=0.1 go together; give both")
    return Division(by, parse_shares(shares), seed)


def _prepare(
    dataset: str,
    root: str,
    out: str,
    how: How,
    *,
    split: str | None = None,
    options: dict[str, str] | None = None,
    division: Division | None = None,
) -> None:
    """What every `tkbench prep DATASET` does; options: what the reader takes besides the root."""
    from tkbench.prep.plan import Settings
    from tkbench.prep.run import Run, prepare, refuse_out_in_root
    from tkbench.runtime.progress import bar

    workers, rules = (
        count_workers(how.workers),
        Settings(
            backend=how.backend,
            video_track=how.video_track,
            audio_track=how.audio_track,
            keep_source=how.keep_source,
        ),
    )
    run = Run(
        scheduler=how.scheduler,
        shard_clips=how.shard_clips,
        retry_failed=how.retry_failed,
        overwrite=how.overwrite,
        reader_options=options or {},
        division=division,
    )
    if not (options or {}).get("table"):  # a table names the videos that are read
        refuse_out_in_root(root, out)
    if how.dry_run:
        from tkbench.prep.estimate import estimate

        with bar("sample") as progress:
            guess = estimate(
                root,
                out,
                dataset=dataset,
                split=split,
                workers=workers,
                settings=rules,
                run=run,
                progress=progress,
            )
        answer(estimate=asdict(guess))
        show(_table(f"What preparing {root} would take", guess.table()))
        say(guess.verdict())
        return
    with bar("prep") as progress:
        summary = prepare(
            root,
            out,
            dataset=dataset,
            split=split,
            workers=workers,
            settings=rules,
            run=run,
            progress=progress,
        )
    answer(
        clips=summary.n_clips,
        ok=summary.n_ok,
        samples=summary.n_samples,
        frames=summary.n_frames,
        skipped={why: len(keys) for why, keys in sorted(summary.skipped.items())},
        decoded=summary.decoded,
        seconds=summary.seconds,
    )
    show(_table(f"Preparation of {out}", summary.table()))
    if not summary.n_ok:
        from tkbench.errors import UsageError

        raise UsageError(f"{root}: {summary.why_none()}; {out}/manifest.parquet has a line for each")
    from tkbench.shards import open_shards
    from tkbench.shards.originals import words_of

    say(f"shards: {out}")
    if line := words_of(open_shards(out)):
        say(f"names:  {line}; all are in the columns key and path of manifest.parquet")
    say(
        f"next:   {pasted('tkbench', 'eval', '--data', out, '--model', 'anchors')}\n"
        f"        {pasted('tkbench', 'data', 'export', out, '--out', 'clips')}   # the inputs of your own model"
    )


def _table(title: str, rows: list[tuple[str, str, str]]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("which", overflow="fold")
    for what, count, which in rows:
        table.add_row(what, count, which)
    return table
