"""How fast networks train: full steps of each configuration, and the share of time in which they wait for data.

A full step has every term of the loss: CALS is past its masked learning, and the discriminator has begun. The expert
has fresh weights, since its speed does not depend on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench.errors import UsageError
from tkbench.models import kinds
from tkbench.runtime.progress import Progress, silent
from tkbench.train.config import Config, configs_of, load_config
from tkbench.train.job import TrainingJob, check_split

if TYPE_CHECKING:
    from rich.table import Table

WARM, WARM_GPU = 2, 20
"""Steps before the clock starts: they choose kernels and take memory; on a GPU the loaders fill up, too."""


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
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

    speeds: list[TrainingSpeed]

    def table(self) -> Table:
        """A rich table, a line per model."""
        from rich.table import Table

        title = f"Training on {self.speeds[0].device}, {self.speeds[0].steps} full steps"
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
        for speed in self.speeds:
            rate = speed.windows_per_second
            out.add_row(
                speed.model,
                speed.config,
                speed.precision,
                f"{speed.windows} x {speed.frames}",
                f"{speed.seconds:.3f}",
                f"{rate:.1f}",
                f"{rate * speed.frames:.0f}",
                f"{speed.wait:.1%}",
            )
        return out


def bench_train(
    data: Path,
    *,
    models: Sequence[str] | None = None,
    scale: str = "small",
    steps: int = 10,
    accelerator: str = "auto",
    cache: Path | None = None,
    progress: Progress = silent,
) -> TrainReport:
    """Time `steps` steps of each model on the split `train` of the shards in `data`; nothing is kept but crops.

    models: by default every kind of network that has a configuration of that scale. scale: the last part of the
    configuration's name, "small", "sharp", "gpu" or "paper". cache: folder where crops are kept; by default they are
    removed. Raises UnknownName for a model, BadShards and UsageError as training does.
    """
    if steps < 1:
        raise UsageError(f"--steps {steps}: at least 1")
    check_split(data)  # before torch is loaded, as the configurations
    if models is None:
        models = [
            kind
            for kind in kinds.registry.loadable()
            if f"{kind}-{scale}" in {p.stem for p in configs_of(kind)}
        ]
    for model in models:
        load_config(f"{model}-{scale}", model)
    speeds = []
    with tempfile.TemporaryDirectory(prefix="tkbench-bench-") as folder:
        for done, model in enumerate(models):
            progress(done, len(models), model)
            config = _full(load_config(f"{model}-{scale}", model), steps)
            job = TrainingJob(
                data,
                Path(folder) / f"{model}-{scale}.safetensors",
                config,
                cache=cache or Path(folder) / "crops",
                accelerator=accelerator,
            )
            speeds.append(_measure(job, steps))
        progress(len(models), len(models), "measured")
    return TrainReport(speeds)


def _full(config: Config, steps: int) -> Config:
    """The configuration with every term from the first step on, and without validation or samples in between."""
    early = dict.fromkeys(("pretrain", "memory_from", "sync_from", "amplitude_from", "gan_from"), 0)
    loss = {name: early.get(name, value) for name, value in config.loss.items()}
    never = 10 * (WARM_GPU + steps)
    quiet = replace(config.run, log_every=never, val_every=never, save_every=never, sample_every=never)
    return replace(config, steps=never, loss=loss, run=quiet)


def _measure(job: TrainingJob, steps: int) -> TrainingSpeed:
    from tkbench.models import checkpoint
    from tkbench.train.loop import Trainer
    from tkbench.train.steps import device_name

    config = job.config
    if config.model != "expert":
        spec = {"size": config.cut.size, "width": config.net.get("width", 1.0)}
        expert = job.out.with_name(f"{job.out.stem}-expert.safetensors")
        net = kinds.registry.get("expert").build(spec)
        checkpoint.save(expert, net.state_dict(), checkpoint.Facts("expert", spec, config.cut))
        job = replace(job, expert=expert)
    trainer = Trainer(job)
    warm = WARM_GPU if trainer.fabric.device.type == "cuda" else WARM
    trainer.run(warm, silent)
    trainer.run(warm + steps, silent)
    return TrainingSpeed(
        model=config.model,
        config=job.out.stem,
        device=device_name(trainer.fabric.device),
        precision=config.run.precision,
        windows=config.data.batch,
        frames=config.data.frames,
        steps=steps,
        windows_per_second=trainer.means["windows_per_second"],
        wait=trainer.means["wait"],
    )
