"""How fast training data comes: samples/s of one process, stage by stage, and of many."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench.data.loader import TensorBatch, WindowBatch
from tkbench.data.windows import Sampling, Windows, WindowSpec, load
from tkbench.errors import UsageError
from tkbench.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from rich.table import Table

STAGES = ("read", "decode", "warp", "mel", "collect")
"""In order: bytes out of the tar, ffmpeg, the crops, the sound with its mel and windows, one batch."""


@dataclass(slots=True)
class Run:
    """One way of loading, measured."""

    name: str
    samples: int
    seconds: float
    """Wall time."""
    cpu: float | None = None
    """Processor time, known only of a run in one process: it hardly changes when something else runs on the machine."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds per stage, known only of a run in one process."""

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

    def table(self) -> Table:
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
            f"a window: {w.window.frames} frames of {height}x{width} by {w.window.recipe}, as many for reference, and "
            f"mel; {w.n_windows} windows an epoch from {len(w.lengths)} clips"
        ]
        first = self.runs[0]
        stage = max(first.stages, key=lambda name: first.stages[name])
        lines.append(
            f"in one process the limit is {stage} ({first.stages[stage] / sum(first.stages.values()):.0%}); "
            "a cache folder decodes each clip once; a smaller frames_per_window takes more windows from each decoding"
        )
        if w.too_short:
            lines.append(f"left out, too short for a window: {len(w.too_short)} clips")
        return "\n".join(lines)


def bench_load(
    path: str | Path,
    *,
    split: str | None = None,
    window: WindowSpec | None = None,
    batch: int = 16,
    workers: int = 2,
    seconds: float = 10.0,
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> LoadReport:
    """Load for `seconds` (or an epoch) in this process, then through `workers`, then from `cache` if one is given.

    The first batch of each run is not counted: it loads libraries and starts workers.
    """

    def windows(cache: str | Path | None = None) -> Windows:
        sampling = Sampling(batch=batch, rank=0, world=1)
        return load(path, split=split, window=window, sampling=sampling, cache=cache)

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
        kept = windows(cache)
        for number in range(len(kept)):
            _ = kept[number]
        runs.append(_measure("1 process, cached", kept, kept, seconds))
    progress(total, total, "measured")
    return LoadReport(plain, runs)


def _measure(
    name: str, windows: Windows, batches: Iterable[WindowBatch] | Iterable[TensorBatch], seconds: float
) -> Run:
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
