"""`tkbench data`: look into shards, and take clips out of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import data, say


@data.command("export")
def data_export(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
) -> None:
    """Write each clip's canvas as `<key>.mp4` and its voice as `<key>.wav`, to feed a model of your own.

    Give the model's videos the same names, then: `tkbench eval --data shards --videos DIR --name my-model`

    Example: `tkbench data export shards --out clips`
    """
    from tkbench.progress import bar
    from tkbench.shards import export

    with bar("export") as progress:
        count = export(shards, out, progress=progress)
    say(f"{count} clips: {out}")
