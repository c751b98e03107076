"""`tkbench train`: networks from shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import app, say
from tkbench.errors import UsageError


@app.command("train")
def train_command(
    data_folder: Annotated[
        Path, typer.Option("--data", "-d", help="Folder of shards with a train and a val split.")
    ],
    out: Annotated[Path, typer.Option(help="Where the trained weights go (.safetensors).")],
    model: Annotated[str, typer.Option("--model", "-m", help="What to train: syncnet, voice.")] = "syncnet",
    config: Annotated[str, typer.Option(help="A bundled recipe or a TOML file.")] = "syncnet-synth",
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.", show_default=False)] = None,
) -> None:
    """Train a network on prepared shards, or fit the map of the second opinion on sync (voice).

    Example: `tkbench train --model syncnet --data shards --out syncnet.safetensors`

    Example: `tkbench train --model voice --data shards --out voice.safetensors`
    """
    if model == "voice":
        from tkbench.fit import fit_voice
        from tkbench.progress import bar

        with bar("train") as progress:
            said = fit_voice(data_folder, out, seed=seed or 0, progress=progress)
        say(said)
        return
    if model != "syncnet":
        raise UsageError(f"--model {model!r}: what can be trained here is syncnet and voice")
    from tkbench.progress import bar
    from tkbench.train.judge import train_syncnet

    with bar("train") as progress:
        summary = train_syncnet(data_folder, out, config=config, seed=seed, progress=progress)
    say(str(summary))
