"""What a run would be, before it is begun: shapes, parameters, memory and time, from two steps that are thrown away."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tkbench.runtime.timing import duration, peak_bytes
from tkbench.runtime.words import counted
from tkbench.train.job import TrainingJob
from tkbench.train.loop import Trainer
from tkbench.train.steps import device_name, on_device

STEPS = 2
"""Steps of each kind that are timed, after one that is not."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of step."""

    first: int
    """The step from which on it is like this."""
    seconds: float
    """Of one step."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What two steps of each phase showed."""

    out: Path
    steps: int
    windows: int
    clips: int
    device: str
    precision: str
    shapes: dict[str, tuple[int, ...]]
    """Of the arrays of a batch."""
    parameters: dict[str, int]
    """Of each part of the network, and of what only training uses."""
    phases: tuple[Phase, ...]
    memory: float
    """Most that was used, GiB: of the GPU, or of this process."""

    @property
    def seconds(self) -> float:
        """Of the whole run; validation and pictures come on top."""
        ends = [*(phase.first for phase in self.phases[1:]), self.steps]
        return sum((end - p.first) * p.seconds for p, end in zip(self.phases, ends, strict=True))

    def __str__(self) -> str:
        total = sum(self.parameters.values())
        lines = [
            f"{self.out}: {counted(self.steps, 'step')} of {counted(self.windows, 'window')} each, from the "
            f"{counted(self.clips, 'clip')} of the split train, {self.precision} on {self.device}",
            "batch: "
            + ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in self.shapes.items()),
            f"parameters: {total:,}: " + ", ".join(f"{name} {n:,}" for name, n in self.parameters.items()),
            *(f"from step {phase.first + 1}: {phase.seconds:.3g} s a step" for phase in self.phases),
            f"about {duration(self.seconds)} in all, {self.memory:.1f} GiB of memory; nothing was written",
        ]
        return "\n".join(lines)


def dry_run(job: TrainingJob) -> DryRun:
    """Build everything, take a few steps of each phase on real batches, and write nothing beside a temporary folder.

    Raises what `train` would raise before its first step.
    """
    job.check()
    with tempfile.TemporaryDirectory() as folder:
        # Crops that are there are read; none are made.
        trainer = Trainer(replace(job, out=Path(folder) / "dry.safetensors"))
        on_gpu = trainer.fabric.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        trainer.wrapped.train()
        count = job.config.optim.accumulate
        batches = [
            on_device(batch, trainer.fabric.device)
            for batch, _ in zip(trainer.loader.endless(), range(count), strict=False)
        ]
        phases = []
        for first in trainer.goal.phases(job.config.steps):
            for turn in range(STEPS + 1):
                if turn == 1:
                    clock = time.perf_counter()
                trainer.step(batches, min(first + turn, job.config.steps - 1))
            phases.append(Phase(first, (time.perf_counter() - clock) / STEPS))
        if trainer.board is not None:
            trainer.board.close()
        parts = Counter(
            {
                name: sum(p.numel() for p in part.parameters())
                for name, part in trainer.goal.net.named_children()
            }
        )
        for name, part in (("heads", trainer.goal.heads), ("discriminator", trainer.quality)):
            if part is not None and (size := sum(p.numel() for p in part.parameters())):
                parts[name] = size
        return DryRun(
            job.out,
            job.config.steps,
            trainer.windows_per_step,
            len(trainer.windows.lengths),
            device_name(trainer.fabric.device),
            job.config.run.precision,
            {
                name: tuple(v.shape)
                for name, v in batches[0].items()
                if isinstance(v, torch.Tensor) and v.ndim > 1
            },
            {name: size for name, size in parts.items() if size},
            tuple(phases),
            (torch.cuda.max_memory_allocated() if on_gpu else peak_bytes()) / 2**30,
        )
