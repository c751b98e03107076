"""`tkbench protocol list | show | diff | freeze | pairs`: what decides a score, and whether it may still change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import protocols, say, show
from tkbench.cli.talking import numbers, print_text
from tkbench.errors import UsageError
from tkbench.runtime.words import counted

Name = Annotated[str, typer.Argument(help="A bundled protocol, one of an installed package, or a TOML file.")]


@protocols.command("list")
def list_command() -> None:
    """List the protocols: data set and split, whether they are frozen, and what they rank by.

    Example: `tkbench protocol list`
    """
    from rich.table import Table

    from tkbench import protocol

    table = Table(box=None, pad_edge=False)
    for name in ("name", "status", "data set", "ranked by", "metrics", "summary"):
        table.add_column(name, no_wrap=name == "name")
    for name in protocol.names():
        rules = protocol.load(name)
        place = f"{rules.data.dataset}, {rules.data.split}" if rules.data is not None else "any"
        status = protocol.status_of(protocol.path_of(name))
        table.add_row(name, status, place, rules.rank_by, str(len(rules.metrics)), rules.summary)
    show(table)


@protocols.command("show")
def show_command(name: Name) -> None:
    """Print every setting of a protocol, its status, the hash of its file and its signature.

    Example: `tkbench protocol show lrs2-v1`
    """
    import hashlib

    from tkbench import protocol

    rules, path = protocol.load(name), protocol.path_of(name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = [f"{key} = {value}" for key, value in protocol.settings(rules).items()]
    facts = [
        f"status = {protocol.status_of(path)}",
        f"file sha256 = {digest}",
        f"signature = {rules.signature()}",
    ]
    print_text(
        "\n".join([*lines, *facts, ""]),
        settings={key: numbers([text])[0] for key, text in protocol.settings(rules).items()},
        status=protocol.status_of(path),
        sha256=digest,
        signature=rules.signature(),
    )


@protocols.command("diff")
def diff_command(one: Name, two: Name) -> None:
    """Print the settings that two protocols differ in; nothing where they do not.

    Example: `tkbench protocol diff tkbench-v2 lrs2-v1`
    """
    from tkbench import protocol

    left, right = (protocol.settings(protocol.load(name)) for name in (one, two))
    keys = [*left, *(key for key in right if key not in left)]
    differing = {
        key: [left.get(key, "not set"), right.get(key, "not set")]
        for key in keys
        if left.get(key) != right.get(key)
    }
    lines = [f"{key}: {before} -> {after}\n" for key, (before, after) in differing.items()]
    print_text(
        "".join(lines), differences={key: [numbers([x])[0] for x in both] for key, both in differing.items()}
    )


@protocols.command("freeze")
def freeze_command(
    name: Name,
    data_folder: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            help="For a draft: shards of the whole split, whose list of clips goes into the new file.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="For a draft: the new file.", show_default=False)] = None,
) -> None:
    """Freeze a protocol file: its hash goes into SHA256SUMS beside it, and a changed file is refused from then on.

    A draft gets its list of clips first, from shards that were prepared from the real data set.

    Example: `tkbench protocol freeze lrs3-v1 --data shards/lrs3 --out lrs3-v1.toml`
    """
    from tkbench import protocol

    path = protocol.path_of(name)
    if (data_folder is None) != (out is None):
        raise UsageError("--data and --out go together: the list of a draft goes into a new file")
    if data_folder is not None and out is not None:
        from tkbench.runtime.storage import write_file
        from tkbench.scoring import lists
        from tkbench.scoring.clips import open_split

        rules = protocol.load(name)
        if out.exists():
            raise UsageError(f"--out {out}: is there already; a protocol's file is never written over")
        source = open_split(data_folder, None)
        split = lists.split_for(rules, source, None)
        text = lists.frozen_text(path.read_text(encoding="utf-8"), rules, open_split(data_folder, split))
        write_file(out, text.encode())
        path = out
    digest = protocol.freeze(path)
    say(f"frozen: {path}, sha256 {digest}")


@protocols.command("pairs")
def pairs_command(
    name: Name,
    data_folder: Annotated[Path, typer.Option("--data", "-d", help="Folder of shards.")],
    pairs: Annotated[
        str, typer.Option(help="Which pairs of the protocol: self, cross, or those that others published.")
    ] = "cross",
    published: Annotated[
        Path | None,
        typer.Option("--list", help="The published file, for pairs that are one.", show_default=False),
    ] = None,
) -> None:
    """Print which voice goes with which clip, `VOICE PICTURE` in each line, and the hash of the list.

    The pairs `cross` are those that `cross:MODEL` is scored by, and their hash is in its signature.

    Example: `tkbench protocol pairs lrs2-v1 --data shards/lrs2`

    Wav2Lip's: `tkbench protocol pairs lrs2-v1 --data shards/lrs2 --pairs wav2lip --list test_filelists/lrs2.txt`
    """
    from tkbench import protocol
    from tkbench.scoring import lists
    from tkbench.scoring.clips import open_split

    rules = protocol.load(name)
    source = open_split(data_folder, lists.split_for(rules, open_split(data_folder, None), None))
    found = lists.pairs_of(rules, pairs, source, published)
    text = "".join(f"{voice} {picture}\n" for voice, picture in found.lines)
    print_text(text, pairs=found.lines, sha256=found.sha256)
    left = f"; {found.missing} more name a clip that is not in {data_folder}" if found.missing else ""
    say(f"{counted(len(found.lines), 'pair')}, sha256 {found.sha256}{left}")
