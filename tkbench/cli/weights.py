"""`tkbench weights`: the networks that metrics need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import refuse_all, say, show, stdout_width, weights
from tkbench.cli.talking import answers_json
from tkbench.errors import TkbenchError

WIDE = 110
"""Columns of a terminal that has room for hashes."""


@weights.command("list")
def weights_list() -> None:
    """Every pinned network: what needs it, whether it is here, its licence.

    Example: `tkbench weights list`
    """
    from rich.table import Table

    from tkbench import weights as registry

    # Names are typed again, so they are never cut; a narrow terminal has no room for hashes beside them.
    headings = ("name", "state", "MB", "sha256", "licence", "needed for")
    shown = [h for h in headings if h != "sha256" or stdout_width() >= WIDE or answers_json()]
    table = Table(padding=(0, 1, 0, 0) if len(shown) < len(headings) else (0, 1))
    for heading in shown:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "state", "MB"))
    for row in registry.status():
        table.add_row(*(cell for heading, cell in zip(headings, row, strict=True) if heading in shown))
    show(table)


@weights.command("fetch")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(help="Names from `tkbench weights list`.")],
) -> None:
    """Download networks and check their hashes; an interrupted download continues where it stopped.

    One that fails is named at the end, with exit code 2, and the others are fetched all the same.

    Example: `tkbench weights fetch syncnet-v2 inception-fid`
    """
    from tkbench import weights as registry
    from tkbench.runtime.progress import bar

    failed: list[str] = []
    for name in names:
        try:
            with bar(f"fetch {name}") as progress:
                path = registry.fetch(name, progress=progress)
        except TkbenchError as error:
            failed.append(f"{name}: {error}" if len(names) > 1 else str(error))
            continue
        say(f"{name}: {path}")
    refuse_all(failed)


@weights.command("add")
def weights_add(
    name: Annotated[str, typer.Argument(help="Name from `tkbench weights list`.")],
    file: Annotated[Path, typer.Argument(help="A file that you have.")],
) -> None:
    """Copy a file that you already have into the folder of weights, after checking its hash.

    Example: `tkbench weights add syncnet-v2 syncnet_v2.model`
    """
    from tkbench import weights as registry

    say(f"{name}: {registry.add(name, file)}")


@weights.command("verify")
def weights_verify() -> None:
    """Check the hash of every network that is here; exit code 2 if one is wrong.

    Example: `tkbench weights verify`
    """
    from tkbench import weights as registry

    for line in registry.verify():
        say(line)
