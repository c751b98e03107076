"""How fast the reference models train: full steps of each configuration, and how long they wait for data.

A full step has every term of the loss: CALS is past its masked learning, and the discriminator is awake. The expert
has fresh weights, since its speed does not depend on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tkbench.errors import UsageError
from tkbench.runtime.progress import Progress, silent
from tkbench.train.config import MODELS, Config, load_config

WARM, WARM_GPU = 2, 20
"""Steps before the clock starts: kernels are chosen, memory is taken; on a GPU loaders fill up, too."""


@dataclass(frozen=True, slots=True)
class Pace:
    """One model's steps."""

    model: str
    config: str
    device: str
    precision: str
    windows: int
    """Per step."""
    frames: int
    """Of a window."""
    steps: int
    windows_per_second: float
    wait: float
    """Share of the time in which the step waited for its windows."""

    @property
    def seconds(self) -> float:
        """Per step."""
        return self.windows / self.windows_per_second


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What `bench_train` measured."""

    paces: list[Pace]

    def table(self) -> Any:
        """A rich table, a line per model."""
        from rich.table import Table

        title = f"Training on {self.paces[0].device}, {self.paces[0].steps} full steps"
        out = Table(title=title, title_justify="left")
        for name in (
            "model",
            "config",
            "precision",
            "per step",
            "s/step",
            "windows/s",
            "frames/s",
            "waiting",
        ):
            out.add_column(name, justify="left" if name in ("model", "config", "precision") else "right")
        for pace in self.paces:
            rate = pace.windows_per_second
            out.add_row(
                pace.model,
                pace.config,
                pace.precision,
                f"{pace.windows} x {pace.frames}",
                f"{pace.seconds:.3f}",
                f"{rate:.1f}",
                f"{rate * pace.frames:.0f}",
                f"{pace.wait:.1%}",
            )
        return out


def bench_train(
    data: Path,
    *,
    models: Sequence[str] = MODELS,
    scale: str = "small",
    steps: int = 10,
    accelerator: str = "auto",
    cache: Path | None = None,
    progress: Progress = silent,
) -> TrainReport:
    """Time `steps` steps of each model on the split `train` of the shards in `data`; nothing is kept but crops.

    scale: "small", "sharp", "gpu" or "paper", what the bundled configurations end in; cache: where crops are kept, by
    default nowhere for long.
    Raises UnknownName for a model, BadShards and UsageError as training does.
    """
    if steps < 1:
        raise UsageError(f"--steps {steps}: at least 1")
    paces = []
    with tempfile.TemporaryDirectory(prefix="tkbench-bench-") as folder:
        for done, model in enumerate(models):
            progress(done, len(models), model)
            config = _full(load_config(f"{model}-{scale}", model), steps)
            paces.append(_pace(data, Path(folder), config, f"{model}-{scale}", steps, accelerator, cache))
        progress(len(models), len(models), "measured")
    return TrainReport(paces)


def _full(config: Config, steps: int) -> Config:
    """The configuration with every term from the first step on, and without looks at it in between."""
    early = {"pretrain": 0, "gan_from": 0, "sync_from": 0}
    loss = {name: early.get(name, value) for name, value in config.loss.items()}
    never = 10 * (WARM_GPU + steps)
    quiet = replace(config.run, log_every=never, val_every=never, save_every=never, sample_every=never)
    return replace(config, steps=never, loss=loss, run=quiet)


def _pace(
    data: Path, folder: Path, config: Config, name: str, steps: int, accelerator: str, cache: Path | None
) -> Pace:
    from tkbench.models import checkpoint
    from tkbench.train.loop import Trainer
    from tkbench.train.steps import device_name

    expert = None
    if config.model != "expert":
        spec = {"size": config.cut.size, "width": config.net.get("width", 1.0)}
        expert = folder / f"{name}-expert.safetensors"
        net = checkpoint.network("expert", spec)
        checkpoint.save(expert, net.state_dict(), checkpoint.Facts("expert", spec, config.cut))
    trainer = Trainer(
        data, folder / f"{name}.safetensors", config, expert, 1, accelerator, cache or folder / "crops"
    )
    warm = WARM_GPU if trainer.fabric.device.type == "cuda" else WARM
    trainer.run(warm, silent)
    trainer.run(warm + steps, silent)
    return Pace(
        model=config.model,
        config=name,
        device=device_name(trainer.fabric.device),
        precision=config.run.precision,
        windows=config.data.batch,
        frames=config.data.frames,
        steps=steps,
        windows_per_second=trainer.news["windows_per_second"],
        wait=trainer.news["wait"],
    )
