"""`tkbench train`: networks from shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import app, say, writable
from tkbench.errors import UsageError

MODELS = ("synctalkface", "cals", "wav2lip", "expert", "syncnet", "voice")


@app.command("train")
def train_command(
    data_folder: Annotated[
        Path, typer.Option("--data", "-d", help="Folder of shards with a train split; val is watched.")
    ],
    out: Annotated[Path, typer.Option(help="Where the trained weights go (.safetensors).")],
    model: Annotated[
        str, typer.Option("--model", "-m", help=f"What to train: {', '.join(MODELS)}.")
    ] = "syncnet",
    config: Annotated[
        str | None,
        typer.Option(
            help="A bundled configuration or a TOML file; by default MODEL-small.", show_default=False
        ),
    ] = None,
    expert: Annotated[
        Path | None,
        typer.Option(help="The frozen sync expert that generators learn from.", show_default=False),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A checkpoint of the same model whose weights the training begins with: to go on with another "
            "configuration, or with your own data.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Devices (GPUs, or processes on a CPU).")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(help="Keeps crops between runs; by default beside the weights.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Overrides the configuration's seed.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Overrides the configuration's steps.", show_default=False)
    ] = None,
) -> None:
    """Train a network on prepared shards; the same command again goes on where a stopped run was (not of syncnet
    and voice, which begin anew).

    Generators learn from a frozen expert, which is trained first:

    Example: `tkbench train --model expert --data shards --out expert.safetensors`

    Then: `tkbench train --model cals --data shards --expert expert.safetensors --out cals.safetensors`

    And on from there, with your own faces: `tkbench train --model cals --config cals-sharp --from cals.safetensors
    --data mine --expert expert.safetensors --out my-cals.safetensors`

    syncnet is the bundled judge; voice is no network but the map of mouth and sound behind the metric of that name:

    Example: `tkbench train --model voice --data shards --out voice.safetensors`
    """
    from tkbench.registry import suggest

    if model not in MODELS:
        raise UsageError(f"--model {model!r}: {suggest(model, list(MODELS))}")
    from tkbench.runtime.progress import bar

    writable(out, "--out")
    if cache is not None:
        writable(cache, "--cache", folder=True)
    if model == "voice":
        if any((expert, start, devices > 1, config, steps)):
            raise UsageError(
                "--model voice: a fit has no --expert, --from, --config or --steps, and one device"
            )
        from tkbench.train.voice import fit_voice

        with bar("fit voice") as progress:
            fitted = fit_voice(data_folder, out, seed=seed or 0, progress=progress)
        say(fitted)
        return
    if model == "syncnet":
        if any((expert, start, devices > 1)):
            raise UsageError(
                "--model syncnet: the judge is trained alone, without --expert or --from, on one device"
            )
        from tkbench.train.judge import train_syncnet

        with bar("train") as progress:
            judge = train_syncnet(
                data_folder, out, config=config or "syncnet-synth", seed=seed, steps=steps, progress=progress
            )
        say(str(judge))
        return
    from dataclasses import replace

    from tkbench.train.config import load_config
    from tkbench.train.loop import train

    rules = load_config(config, model)
    rules = replace(rules, seed=rules.seed if seed is None else seed, steps=steps or rules.steps)
    with bar(f"train {model}") as progress:
        made = train(
            data_folder,
            out,
            rules,
            expert=expert,
            start=start,
            devices=devices,
            accelerator=accelerator,
            cache=cache,
            progress=progress,
        )
    if made is not None:
        say(str(made))
