"""`tkbench reproduce`: does this installation make the numbers that others published?"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tkbench.cli.common import Device, app, say, show
from tkbench.cli.talking import plain

if TYPE_CHECKING:
    from rich.table import Table

    from tkbench.scoring.reproduce import Line


@app.command("reproduce")
def reproduce_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Only these: syncnet-example, mocha-example, mocha-row, mocha-row-clips, lpips-example, fid-distance, "
            "fid-network.",
            show_default="all",
        ),
    ] = None,
    syncnet_example: Annotated[
        Path | None,
        typer.Option(help="data/example.avi of joonson/syncnet_python.", show_default=False),
    ] = None,
    lpips_images: Annotated[
        Path | None,
        typer.Option(help="The folder imgs of richzhang/PerceptualSimilarity.", show_default=False),
    ] = None,
    mochabench: Annotated[
        Path | None,
        typer.Option(help="A checkout of congwei1230/MoChaBench.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only the first N clips of MoChaBench, held against their own numbers.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    device: Device = "cpu",
) -> None:
    """Make published numbers again from the files that were published with them; nothing is fetched.

    Each line is reached, differs, or says which file is missing and how to get it. Exit code: 0 where all are reached,
    1 where one differs, 3 where none differs but a file is missing.

    Example: `tkbench reproduce --syncnet-example data/example.avi`
    """
    from tkbench.errors import UsageError
    from tkbench.runtime.devices import check_device
    from tkbench.runtime.progress import bar
    from tkbench.scoring.reproduce import PublicFiles, exit_code, reproduce

    check_device(device)
    for option, path in (("--lpips-images", lpips_images), ("--mochabench", mochabench)):
        if path is not None and not path.is_dir():
            raise UsageError(f"{option} {path}: no such folder")
    if syncnet_example is not None and not syncnet_example.is_file():
        raise UsageError(f"--syncnet-example {syncnet_example}: no such file")
    with bar("reproduce") as progress:
        files = PublicFiles(syncnet_example, lpips_images, mochabench, limit, device, progress)
        lines = reproduce(files, names or ())
    if as_json:
        sys.stdout.write(json.dumps(plain([_record(line) for line in lines]), indent=1) + "\n")
    else:
        show(_table(lines))
        for line in lines:
            if line.detail:
                say(f"{line.name}: {line.detail}")
    raise typer.Exit(exit_code(lines))


def _record(line: Line) -> dict[str, object]:
    figures = [
        {"name": f.name, "published": f.published, "found": f.found, "tolerance": f.tolerance}
        for f in line.figures
    ]
    return {"name": line.name, "state": line.state, "figures": figures, "detail": line.detail}


def _table(lines: list[Line]) -> Table:
    from rich.table import Table

    table = Table()
    for title in ("number", "published", "found", "state"):
        table.add_column(title, overflow="fold")
    for line in lines:
        if not line.figures:
            table.add_row(line.name, "", "", line.state)
        for figure in line.figures:
            digits = 0 if figure.tolerance == 0 else 4
            state = "reached" if figure.reached else "differs"
            found = "-" if math.isnan(figure.found) else f"{figure.found:.{digits}f}"
            table.add_row(f"{line.name}: {figure.name}", f"{figure.published:.{digits}f}", found, state)
    return table
