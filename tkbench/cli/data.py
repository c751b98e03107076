"""`tkbench data`: look into shards, and take clips out of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import (
    ShardsHere,
    ShardsToo,
    Workers,
    add_command,
    count_workers,
    data,
    one_of,
    option_type,
    parameter,
    pasted,
    say,
    show,
    with_parameters,
    writable,
)
from tkbench.cli.talking import answer
from tkbench.dataset import DataSet
from tkbench.errors import UsageError
from tkbench.runtime.words import counted


@data.command("export")
def data_export(
    *,
    shards: ShardsHere = None,
    data_folder: ShardsToo = None,
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default=False)] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first clips by key.", show_default=False)
    ] = None,
    workers: Workers = None,
) -> None:
    """Write each clip as `<key>.mp4` (H.264, 25 frames a second, with its voice) and `<key>.wav`, to feed a model.

    Run again to resume. Give the model's videos the same names, then:
    `tkbench eval --data shards --videos DIR --name my-model`

    Example: `tkbench data export shards --out clips --split test --limit 10`
    """
    shards = one_of(shards, data_folder)
    from tkbench.data.export import export
    from tkbench.runtime.progress import bar

    with bar("export") as progress:
        count = export(
            shards, out, split=split, limit=limit, workers=count_workers(workers), progress=progress
        )
    from tkbench.data.export import NAMES
    from tkbench.shards import open_shards
    from tkbench.shards.originals import words_of

    answer(clips=count, folder=out)
    say(f"{counted(count, 'clip')}: {out}")
    if line := words_of(open_shards(shards)):
        say(f"{line}; all are in {out / NAMES}")


@data.command("verify")
def data_verify(
    shards: ShardsHere = None,
    data_folder: ShardsToo = None,
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default=False)] = None,
) -> None:
    """Read every shard again and compare it with the hash and the count of clips in index.json.

    `tkbench eval` and `train` do so when they first read a shard, and keep its hash; here it is read in any case.

    Example: `tkbench data verify shards`
    """
    shards = one_of(shards, data_folder)
    from tkbench.runtime.progress import bar
    from tkbench.shards import open_shards

    opened = open_shards(shards, split=split)
    with bar("verify") as progress:
        opened.verify(progress)
    answer(clips=len(opened), data=opened.data_hash)
    say(
        f"{shards}: {counted(len(opened), 'clip')}, every shard is the one in its index (data {opened.data_hash[:12]})"
    )


@data.command("show")
def data_show(
    shards: ShardsHere = None,
    data_folder: ShardsToo = None,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("sheet.html"),
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="Clips that are shown.")] = 48,
    measured: Annotated[
        int, typer.Option(min=1, help="Clips whose landmarks are read for the histograms.")
    ] = 400,
    judge: Annotated[
        str | None,
        typer.Option(
            help="A judge (syncnet-v2, syncnet-synth) for the lag of the lips in the clips that are shown.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a contact sheet: faces with landmarks, sound, histograms, what was left out and why, where time went.

    Example: `tkbench data show shards --out sheet.html`
    """
    shards = one_of(shards, data_folder)
    writable(out, "--out")
    from tkbench.runtime.progress import bar
    from tkbench.sheet import write

    with bar("sheet") as progress:
        file = write(shards, out, split=split, limit=limit, measured=measured, judge=judge, progress=progress)
    say(f"sheet: {file}")


@data.command("card")
def data_card(
    shards: ShardsHere = None,
    data_folder: ShardsToo = None,
    out: Annotated[Path, typer.Option(help="Folder for card.html, card.md and its plots.")] = Path(
        "data-card"
    ),
    measured: Annotated[int, typer.Option(min=1, help="Clips that are read for the distributions.")] = 400,
    copies: Annotated[
        bool,
        typer.Option(
            "--copies",
            help="Also compare sounds and faces across splits, as `data check` does: reads all clips.",
        ),
    ] = False,
    workers: Workers = None,
) -> None:
    """Write a data card: counts, hours, speakers, splits with hashes, distributions, what was left out, licence.

    Example: `tkbench data card shards --out data-card`
    """
    shards = one_of(shards, data_folder)
    writable(out, "--out", folder=True)
    from tkbench.runtime.progress import bar
    from tkbench.sheet.data_card import write

    with bar("card") as progress:
        files = write(
            shards, out, measured=measured, copies=copies, workers=count_workers(workers), progress=progress
        )
    say(f"card: {files[0]}, {files[1]}")


def add_data_sets(records: Mapping[str, DataSet]) -> None:
    """`data check`, `data fake` and `data splits`: their help lists the data sets that have these, and check and
    splits take the options of every record.
    """
    helps: dict[str, list[str]] = {}
    for name, record in records.items():
        for option in record.options:
            helps.setdefault(option.name, []).append(f"{name}: {option.help}")
    options = [parameter(name, option_type(" ".join(texts)), None) for name, texts in helps.items()]
    usual = sorted({record.fake.usual for record in records.values() if record.fake is not None})
    default = f"{usual[0]} to {usual[-1]}, by data set"
    clips = Annotated[int | None, typer.Option(min=1, help="Number of clips.", show_default=default)]
    for command, what in ((data_check, "check"), (data_fake, "fake"), (data_splits, "splits")):
        names = [name for name, record in records.items() if getattr(record, what)]
        help = f"{', '.join(names[:-1])} or {names[-1]}"
        one = Annotated[str, typer.Argument(help=f"{help}.")]
        several = Annotated[list[str], typer.Argument(help=f"{help}; or folders of shards.")]
        dataset = several if command is data_check else one
        typed: dict[str, object] = {"dataset": dataset, "clips": clips}
        more = [] if command is data_fake else options
        add_command(data, what, with_parameters(command, typed, more))


def data_check(
    dataset: list[str],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set, as it was unpacked.", show_default=False),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write every finding to this file.", show_default=False)
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Names and sizes only: no .txt or video is opened; of shards, speakers and sources: no clip is read.",
        ),
    ] = False,
    workers: Workers = None,
    **options: str | None,
) -> None:
    """What is there of a data set: counts per split beside the published ones, and what is missing or damaged.

    Exit code 0 for a copy with holes, too; 2 for a folder that is not the data set or has none of its clips.

    Example: `tkbench data check lrs2 --root mvlrs_v1 --csv findings.csv`

    With folders of shards in the place of a name: what their splits share, and what two data sets do. Speakers and
    recordings in two splits, overlapping intervals, copies that were encoded again, the same sound or face under
    another name.

    Example: `tkbench data check shards/hdtf shards/celebvhq --csv leaks.csv`
    """
    given = _given(options)
    if root is None:
        return _check_shards(dataset, csv, given, fast=fast, workers=workers)
    if len(dataset) > 1:
        raise UsageError(f"--root {root} is of one data set, found {len(dataset)}: {', '.join(dataset)}")
    from rich.table import Table

    from tkbench.prep.datasets.check import check
    from tkbench.runtime.progress import bar

    with bar("check") as progress:
        ledger = check(dataset[0], root, options=given, fast=fast, progress=progress)
    table = Table(title=f"{dataset[0]}: {root}", title_justify="left")
    table.add_column(ledger.dataset.counted_by)
    for heading in ("published", "listed", "there"):
        table.add_column(heading, justify="right")
    table.add_column("findings", overflow="fold")
    for row in ledger.table():
        table.add_row(*row)
    show(table)
    for note in ledger.notes:
        say(note)
    if csv is not None:
        ledger.write_csv(csv)
        say(f"{len(ledger.findings)} findings: {csv}")
    elif ledger.problems:
        say(f"{ledger.problems} problems; --csv FILE writes each of them")


def _check_shards(
    names: list[str], file: Path | None, options: Mapping[str, str], *, fast: bool, workers: int | None
) -> None:
    """`data check SHARDS ...`: what splits share."""
    from rich.table import Table

    from tkbench.prep import datasets
    from tkbench.runtime.progress import bar
    from tkbench.runtime.storage import is_remote

    for name in names:
        if name in datasets.registry and not Path(name).is_dir():
            raise UsageError(f"{name}: give --root, the folder of the data set; or folders of shards")
        if not is_remote(name) and not Path(name).is_dir():
            datasets.registry.check(name)  # a name that is nearly right gets a suggestion
    if options:
        raise UsageError(f"--{min(options)} is for data sets as they were unpacked: give --root, too")
    if file is not None:
        writable(file, "--csv")
    from tkbench.data.leaks import KINDS, find_leaks

    with bar("check") as progress:
        found = find_leaks(names, names_only=fast, workers=count_workers(workers), progress=progress)
    table = Table(
        title=f"{counted(sum(found.clips), 'clip')} in {counted(len(found.places), 'split')}",
        title_justify="left",
    )
    for heading in ("shared", "split", "and split", "times", "what it is"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "times" else "left")
    for kind, one, two, count in found.table():
        table.add_row(kind, one, two, str(count), KINDS[kind])
    if found.leaks:
        show(table)
    many = found.several_folders
    sizes = zip(found.places, found.clips, strict=True)
    say("; ".join(f"{place.name(with_folder=many)}: {counted(count, 'clip')}" for place, count in sizes))
    if not found.leaks:
        say("nothing shared was found" + (" by speakers and sources; no clip was read" if fast else ""))
    if found.unnamed:
        have = "has" if found.unnamed == 1 else "have"
        say(
            f"{counted(found.unnamed, 'clip')} {have} no speaker: whether identities are disjoint is not known of them"
        )
    for line in found.unread[:5]:
        say(f"not compared: {line}")
    if len(found.unread) > 5:
        say(f"not compared: {len(found.unread) - 5} more damaged clips")
    if file is not None:
        found.write_csv(file)
        say(f"{len(found.leaks)} findings: {file}")
    elif found.leaks:
        say("--csv FILE writes each of them")


def _given(options: Mapping[str, str | None]) -> dict[str, str]:
    """Those options of data sets that were given."""
    return {name: str(value) for name, value in options.items() if value is not None}


def data_fake(
    dataset: str,
    out: Annotated[Path, typer.Option(help="Folder for the tree; must be new or empty.")],
    clips: int | None = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Make a synthetic tree in the exact layout of a data set: to try everything before you have it.

    What is prepared from it is called `lrs2-fake`, and never mixes with the real one.

    Example: `tkbench data fake lrs2 --out fake/lrs2`
    """
    from tkbench.prep.datasets.fake import make_fake
    from tkbench.runtime.progress import bar

    with bar("fake") as progress:
        root = make_fake(dataset, out, clips=clips, seed=seed, progress=progress)
    say(f"{dataset}: {root}\nnext:   {pasted('tkbench', 'prep', dataset, '--root', root, '--out', 'shards')}")


def data_splits(
    dataset: str,
    root: Annotated[Path, typer.Option(help="Folder of the data set, as it was unpacked.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for one list per split and splits.json.", show_default=False)
    ] = None,
    **options: str | None,
) -> None:
    """The splits of a data set: number of clips and sha256 of the sorted list of keys; --out writes the lists.

    Two copies with the same hash are scored on the same clips. HDTF has no official split: hdtf-identity-1 is ours.

    Example: `tkbench data splits lrs2 --root mvlrs_v1 --out splits`
    """
    from rich.table import Table

    from tkbench.prep.datasets.splits import splits_of, write

    found = splits_of(dataset, root, _given(options))
    table = Table(title=f"{dataset}: {root}", title_justify="left")
    for heading in ("split", "clips", "missing", "sha256 of the list", "note"):
        table.add_column(
            heading, overflow="fold", justify="right" if heading in ("clips", "missing") else "left"
        )
    for split in found:
        table.add_row(split.name, str(len(split.keys)), str(len(split.missing)), split.sha256, split.note)
    show(table)
    if out is not None:
        say(f"lists: {write(found, dataset, out)}")


PARAMETERS = {
    name
    for command in (data_check, data_splits)
    for name, item in inspect.signature(command).parameters.items()
    if item.kind is not inspect.Parameter.VAR_KEYWORD
}
"""What `tkbench data check` and `data splits` take for every data set: options of a record need other names."""
