"""How fast training data comes: samples/s of one process, stage by stage, and of many."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tkbench.data.windows import Windows, load
from tkbench.errors import UsageError
from tkbench.runtime.progress import Progress, silent

STAGES = ("read", "decode", "warp", "mel", "collect")
"""In order: bytes out of the tar, ffmpeg, the crops, the sound with its mel and windows, one batch."""


@dataclass(slots=True)
class Run:
    """One way of loading, measured."""

    name: str
    samples: int
    seconds: float
    """Clock in hand."""
    cpu: float | None = None
    """Processor time, where one process did all: it hardly changes when something else runs on the machine."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds per stage, where one process did all."""

    @property
    def rate(self) -> float:
        """Windows per second."""
        return self.samples / self.seconds

    @property
    def per_core(self) -> float | None:
        """Windows per second of processor time."""
        return self.samples / self.cpu if self.cpu else None


@dataclass(slots=True)
class LoadReport:
    """What `bench_load` measured."""

    windows: Windows
    runs: list[Run]

    def table(self) -> Any:
        """A rich table: windows/s, and the share of each stage."""
        from rich.table import Table

        out = Table(title="Loading, windows/s", title_justify="left")
        for name in ("run", "windows", "seconds", "windows/s", "per core", *STAGES):
            out.add_column(name, justify="left" if name == "run" else "right")
        for run in self.runs:
            spent = sum(run.stages.values())
            shares = [f"{run.stages.get(s, 0) / spent:.0%}" if spent else "-" for s in STAGES]
            core = f"{run.per_core:.0f}" if run.per_core else "-"
            out.add_row(run.name, str(run.samples), f"{run.seconds:.2f}", f"{run.rate:.0f}", core, *shares)
        return out

    def verdict(self) -> str:
        """What was loaded, and what the limit is."""
        w = self.windows
        height, width = w.size
        lines = [
            f"a window: {w.frames} frames of {height}x{width} by {w.recipe}, as many for reference, and mel; "
            f"{w.n_windows} windows an epoch from {len(w.lengths)} clips"
        ]
        first = self.runs[0]
        stage = max(first.stages, key=lambda name: first.stages[name])
        lines.append(
            f"in one process the limit is {stage} ({first.stages[stage] / sum(first.stages.values()):.0%}); "
            "a cache folder decodes each clip once, more windows per clip (every) share its decoding"
        )
        if w.too_short:
            lines.append(f"left out, too short for a window: {len(w.too_short)} clips")
        return "\n".join(lines)


def bench_load(
    path: str | Path,
    *,
    split: str | None = None,
    recipe: str = "face-128",
    frames: int = 5,
    batch: int = 16,
    workers: int = 2,
    seconds: float = 10.0,
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> LoadReport:
    """Load for `seconds` (or an epoch) in this process, then through `workers`, then from `cache` if one is given.

    The first batch of each run is not counted: it loads libraries and starts workers.
    """

    def windows(**more: Any) -> Windows:
        return load(path, split=split, recipe=recipe, frames=frames, batch=batch, rank=0, world=1, **more)

    plain = windows()
    if len(plain) < 2:
        raise UsageError(f"{path}: one batch of {batch} is all there is; ask for smaller batches (--batch)")
    total = 2 + (cache is not None)
    progress(0, total, "one process")
    runs = [_measure("1 process", plain, plain, seconds)]
    progress(1, total, f"{workers} workers")
    if workers:
        runs.append(_measure(f"{workers} workers", plain, plain.loader(workers=workers), seconds))
    if cache is not None:
        progress(2, total, "cache")
        kept = windows(cache=cache)
        for number in range(len(kept)):
            _ = kept[number]
        runs.append(_measure("1 process, cached", kept, kept, seconds))
    progress(total, total, "measured")
    return LoadReport(plain, runs)


def _measure(name: str, windows: Windows, batches: Any, seconds: float) -> Run:
    source = iter(batches)
    next(source)
    windows.seconds.clear()
    count, begin, cpu = 0, time.perf_counter(), time.process_time()
    for batch in source:
        count += len(batch["key"])
        if time.perf_counter() - begin >= seconds:
            break
    spent = time.perf_counter() - begin
    if batches is not windows:
        return Run(name, count, spent)
    return Run(name, count, spent, time.process_time() - cpu, dict(windows.seconds))
