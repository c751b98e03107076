"""`tkbench weights`: the networks that metrics need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import say, show, weights


@weights.command("list")
def weights_list() -> None:
    """Every pinned network: what needs it, whether it is here, its licence.

    Example: `tkbench weights list`
    """
    from rich.table import Table

    from tkbench import weights as registry

    table = Table()
    for heading in ("name", "state", "MB", "sha256", "licence", "needed for"):
        table.add_column(heading, overflow="fold")
    for row in registry.status():
        table.add_row(*row)
    show(table)


@weights.command("fetch")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(help="Names from `tkbench weights list`.")],
) -> None:
    """Download networks and check their hashes; an interrupted download continues where it stopped.

    Example: `tkbench weights fetch syncnet-v2 inception-fid`
    """
    from tkbench import weights as registry
    from tkbench.runtime.progress import bar

    for name in names:
        with bar(f"fetch {name}") as progress:
            path = registry.fetch(name, progress=progress)
        say(f"{name}: {path}")


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
