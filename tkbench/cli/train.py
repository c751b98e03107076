"""`tkbench train`: networks from shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tkbench.cli.common import Accelerator, AcceleratorBefore, CropsBefore, app, either, say, writable
from tkbench.errors import UsageError
from tkbench.models import kinds

if TYPE_CHECKING:
    from tkbench.train.job import TrainingJob

OTHERS = ("syncnet", "voice", "voice_score")
"""What is trained by a loop of its own: the bundled judge, and the maps behind the metrics of these names."""


def trainable() -> tuple[str, ...]:
    """Every name that `--model` takes: the kinds of networks, plug-ins included, and `OTHERS`."""
    return (*kinds.registry, *OTHERS)


@app.command("train")
def train_command(
    data_folder: Annotated[
        Path,
        typer.Option(
            "--data", "-d", help="Folder of shards with a train split; a val split is validated on."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the trained weights go (.safetensors).")],
    model: Annotated[str, typer.Option("--model", "-m", help=f"What to train: {', '.join(trainable())}.")],
    config: Annotated[
        str | None,
        typer.Option(
            help="A bundled configuration or a TOML file; by default MODEL-small.", show_default=False
        ),
    ] = None,
    expert: Annotated[
        Path | None,
        typer.Option(
            help="The frozen sync expert that generators learn from; by default the bundled one, for synthetic faces "
            "cut as the small configurations do.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A checkpoint of the same model whose weights the training begins with, or the model's name for the "
            "bundled one: to continue with another configuration, or with your own data.",
            show_default=False,
        ),
    ] = None,
    painter: Annotated[
        str | None,
        typer.Option(
            help="Whose drawing layers the training begins with: a checkpoint of SyncTalkFace or CALS, or one of these "
            "names for the bundled one. How faces are drawn is learnt once.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Devices (GPUs, or processes on a CPU).")] = 1,
    accelerator: Accelerator = "auto",
    accelerator_before: AcceleratorBefore = None,
    crops: Annotated[
        Path | None,
        typer.Option(
            help="Folder where crops of faces are kept for the next run. By default beside the weights.",
            show_default=False,
        ),
    ] = None,
    crops_before: CropsBefore = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Overrides the configuration's seed.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Overrides the configuration's steps.", show_default=False)
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Replaces a setting of the configuration, as in --set loss.gan=0; repeatable.",
            show_default=False,
        ),
    ] = None,
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say shapes, parameters, memory and time after a few steps; write nothing."
        ),
    ] = False,
) -> None:
    """Train a network on prepared shards; the same command again continues a stopped run (syncnet and voice begin
    anew).

    Generators learn from a frozen expert; one for synthetic faces is bundled:

    Example: `tkbench train --model cals --data shards --out cals.safetensors`

    And on from there, with your own faces: `tkbench train --model cals --config cals-sharp --from cals.safetensors
    --painter synctalkface --data mine --out my-cals.safetensors`

    Another expert is trained first: `tkbench train --model expert --data mine --out expert.safetensors`, then
    `--expert expert.safetensors`.

    Before a long run: the same with `--dry-run`. Another setting of a configuration: `--set optim.lr=5e-4`.

    syncnet is the bundled judge. voice and voice_score are no networks but the maps from mouth to voice behind the
    metrics of these names:

    Example: `tkbench train --model voice --data shards --out voice.safetensors`
    """
    from tkbench.registry import suggest

    if model not in trainable():
        raise UsageError(f"--model {model!r}: {suggest(model, list(trainable()))}")
    writable(out, "--out", resumed=True)
    if (crops := either(crops, crops_before)) is not None:
        writable(crops, "--crops", folder=True)
    if model in ("voice", "voice_score"):
        if any((expert, start, painter, devices > 1, config, steps, changes, dry)):
            raise UsageError(
                f"--model {model}: a fit has no --expert, --from, --painter, --config, --steps, --set or --dry-run, "
                "and one device"
            )
        _fit_voice(model, data_folder, out, seed or 0)
    elif model == "syncnet":
        if any((expert, start, painter, devices > 1, changes, dry)):
            raise UsageError(
                "--model syncnet: the judge is trained alone, without --expert, --from, --painter, --set or --dry-run, "
                "on one device"
            )
        _train_judge(data_folder, out, config or "syncnet-synth", seed, steps)
    else:
        from tkbench.train.config import load_config
        from tkbench.train.job import TrainingJob

        rules = load_config(config, model, changes or ())
        rules = replace(rules, seed=rules.seed if seed is None else seed, steps=steps or rules.steps)
        job = TrainingJob(
            data_folder,
            out,
            rules,
            expert=expert,
            start=None if start is None else _checkpoint(start, "--from"),
            painter=None if painter is None else _checkpoint(painter, "--painter"),
            cache=crops,
            devices=devices,
            accelerator=accelerator_before or accelerator,
        )
        job.check()  # before torch is loaded
        if dry:
            from tkbench.train.dry import dry_run

            say(str(dry_run(job)))
        else:
            _train_network(job)


def _checkpoint(given: str, option: str) -> Path:
    """A file, the bundled checkpoint of the kind of that name, or weights that tkbench knows by name."""
    from tkbench import weights
    from tkbench.registry import suggest

    bundled = {name: kind.bundled for name, kind in kinds.registry.loadable().items() if kind.bundled}
    path = weights.find(bundled[given]) if given in bundled else weights.file_or_named(given)
    if not path.exists():
        raise UsageError(
            f"{option} {given}: no such file, and no model that a checkpoint is bundled of; "
            f"{suggest(given, list(bundled))}"
        )
    return path


def _fit_voice(model: str, data_folder: Path, out: Path, seed: int) -> None:
    from tkbench.runtime.progress import bar
    from tkbench.train.voice import fit_voice, fit_voice_score

    with bar(f"fit {model}") as progress:
        if model == "voice":
            fitted = fit_voice(data_folder, out, seed=seed, progress=progress)
        else:
            fitted = fit_voice_score(data_folder, out, progress=progress)
    say(fitted)


def _train_judge(data_folder: Path, out: Path, config: str, seed: int | None, steps: int | None) -> None:
    from tkbench.shards import open_shards
    from tkbench.train.config import find_judge_config

    # Before torch is loaded.
    open_shards(data_folder)
    find_judge_config(config)
    from tkbench.runtime.progress import bar
    from tkbench.train.judge import train_syncnet

    with bar("train") as progress:
        judge = train_syncnet(data_folder, out, config=config, seed=seed, steps=steps, progress=progress)
    say(str(judge))


def _train_network(job: TrainingJob) -> None:
    from tkbench.runtime.progress import bar
    from tkbench.train.loop import train

    there = job.out.exists()  # of this run: another's is refused
    with bar(f"train {job.config.model}") as progress:
        made = train(job, progress=progress)
    if made is not None:
        say(f"{job.out}: was finished before, and nothing was left to do" if there else str(made))
