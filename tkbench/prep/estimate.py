"""What a run would take (`tkbench prep NAME --dry-run`): the plan, and a few clips prepared in a temporary folder.

Clips are sorted into classes: the thirds of each split by size. Size is that of the source file in bytes, or the
length of an interval in seconds. Within a class, cost is taken to be proportional to size. The ratio comes from the
samples of the class, and the range from how much samples differ from the ratio of their class.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tkbench.prep import backends
from tkbench.prep.make import prepare_one
from tkbench.prep.plan import Plan, Settings, sizes_of
from tkbench.prep.records import Row
from tkbench.prep.run import Run, plan_run
from tkbench.runtime import storage
from tkbench.runtime.progress import Progress, silent
from tkbench.types import FPS, Clip

BUDGET = 60.0
"""Seconds of sampling."""
_EACH = 3
"""Samples per class, if the time allows."""
_NOISE = 0.1
"""No range is narrower than this share to each side: a busy machine alone makes that much."""
_SHARING = 0.9
"""Worst speed-up per worker: they share memory and disk."""


@dataclass(frozen=True, slots=True)
class Range:
    """A figure and the bounds it should lie in."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What `tkbench prep ... --dry-run` tells."""

    out: str
    splits: Mapping[str, int]
    """Clips per split."""
    n_shards: int
    unreadable: Mapping[str, int]
    """Reason -> clips that the reader cannot offer."""
    workers: int
    sampled: int
    classes: int
    skipped: Mapping[str, int]
    """Reason -> sampled clips that could not be used."""
    video: Range
    """Seconds of source video."""
    work: Range
    """Seconds of one worker."""
    size: Range
    """Bytes of the shards."""
    free: int | None
    """Bytes that are free where they go; None where nobody knows."""

    @property
    def wall(self) -> Range:
        """Seconds with all workers."""
        n = self.workers
        return Range(self.work.low / n, self.work.mean / n, self.work.high / (n if n == 1 else n * _SHARING))

    @property
    def _crew(self) -> str:
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}"

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (what, count, which) as the command line prints them."""
        rows = [
            ("clips", str(sum(self.splits.values())), ", ".join(f"{k} {n}" for k, n in self.splits.items())),
            ("shards", str(self.n_shards), "one is the unit of work"),
        ]
        rows += [(f"left out: {why}", str(n), "by the reader") for why, n in sorted(self.unreadable.items())]
        left = "" if self.free is None else f"; {storage.in_words(self.free)} are free"
        bad = ", ".join(f"{why} {n}" for why, n in sorted(self.skipped.items()))
        rows += [
            (
                "sampled",
                str(self.sampled),
                f"{self.classes} size classes" + (f"; skipped: {bad}" if bad else ""),
            ),
            ("video", _time(self.video.mean), _bounds(self.video)),
            (
                "disk",
                storage.in_words(self.size.mean),
                f"{storage.in_words(self.size.low)} to {storage.in_words(self.size.high)}{left}",
            ),
            (
                f"time with {self._crew}",
                _time(self.wall.mean),
                f"{_bounds(self.wall)}, a core for each",
            ),
        ]
        return rows

    def verdict(self) -> str:
        """One line; says so where the disk is too small."""
        text = f"about {_time(self.wall.mean)} ({_bounds(self.wall)}) with {self._crew}, "
        text += f"{storage.in_words(self.size.mean)} in {self.out}"
        if self.free is not None and self.free < self.size.high:
            text += f"; only {storage.in_words(self.free)} are free there: too little"
        return text


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bounds(value: Range) -> str:
    return f"{_time(value.low)} to {_time(value.high)}"


@dataclass(frozen=True, slots=True)
class _Sample:
    place: int
    """Class."""
    size: float
    seconds: float
    video: float
    bytes: float
    reason: str | None


def estimate(
    root: str | Path,
    out: str | Path,
    *,
    dataset: str = "auto",
    split: str | None = None,
    workers: int = 1,
    settings: Settings | None = None,
    run: Run | None = None,
    progress: Progress = silent,
) -> Estimate:
    """Plan as `prepare` does, prepare up to three clips of each class in a temporary folder, and add up.

    After `BUDGET` seconds no further clip is begun, once each class had one. Nothing is written to `out`.
    """
    rules = settings or Settings()
    backends.check(rules.backend)
    target = storage.place(out)
    _, plan = plan_run(storage.place(root), target, dataset, rules, split=split, run=run or Run())
    clips = [clip for shard in plan.shards for clip in shard.clips]
    sizes = sizes_of(clips)
    classes = _classes(clips, sizes)
    samples = list(_measure(clips, sizes, classes, rules, progress))
    return Estimate(
        out=str(target),
        splits=dict(sorted(Counter(clip.split for clip in clips).items())),
        n_shards=len(plan.shards),
        unreadable=_reasons(plan),
        workers=workers,
        sampled=len(samples),
        classes=len(classes),
        skipped=Counter(sample.reason for sample in samples if sample.reason is not None),
        video=_total(classes, sizes, samples, "video"),
        work=_total(classes, sizes, samples, "seconds"),
        size=_total(classes, sizes, samples, "bytes"),
        free=storage.free_bytes(target),
    )


def _reasons(plan: Plan) -> dict[str, int]:
    return dict(Counter(item.reason.value for item in plan.skipped))


def _classes(clips: Sequence[Clip], sizes: Sequence[float]) -> list[list[int]]:
    """Indices of clips by split and third of its sizes, each class sorted by size."""
    found = []
    for split in sorted({clip.split for clip in clips}):
        mine = sorted((i for i, clip in enumerate(clips) if clip.split == split), key=lambda i: (sizes[i], i))
        third = math.ceil(len(mine) / 3)
        found += [mine[start : start + third] for start in range(0, len(mine), third)]
    return found


def _measure(
    clips: Sequence[Clip],
    sizes: Sequence[float],
    classes: Sequence[Sequence[int]],
    rules: Settings,
    progress: Progress,
) -> Iterator[_Sample]:
    """Prepare samples: the middle of every class first, then towards its ends."""
    picks = [
        (place, members[min(len(members) - 1, int(share * len(members)))])
        for share in (0.5, 1 / 6, 5 / 6)[:_EACH]
        for place, members in enumerate(classes)
    ]
    picks = list(dict.fromkeys(picks))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tkbench-sample-") as folder:
        for done, (place, index) in enumerate(picks):
            if done >= len(classes) and time.perf_counter() - began > BUDGET:
                break
            progress(done, len(picks), clips[index].key)
            if done == 0:  # models load with the first clip: that is no cost of a clip
                prepare_one(clips[index], rules, Path(folder))
            start = time.perf_counter()
            outcome = prepare_one(clips[index], rules, Path(folder))
            took = time.perf_counter() - start
            row = outcome.rows[0]
            members = [content for _, parts in outcome.samples for content in parts.values()]
            written = sum(
                _in_tar(item.stat().st_size if isinstance(item, Path) else len(item)) for item in members
            )
            reason = row.get("reason") if not members else None
            yield _Sample(place, sizes[index], took, _seconds(clips[index], row), written, reason)
        progress(len(picks), len(picks), "sampled")


def _in_tar(size: int) -> int:
    return 512 + 512 * math.ceil(size / 512)


def _seconds(clip: Clip, row: Row) -> float:
    if clip.start is not None and clip.stop is not None:
        return clip.stop - clip.start
    return float(row.get("source_seconds") or row.get("n_frames", 0) / FPS)


def _total(
    classes: Sequence[Sequence[int]], sizes: Sequence[float], samples: Sequence[_Sample], what: str
) -> Range:
    """The sum over all clips of a quantity, by its ratio to size in each class's samples.

    The spread of one sample about its class's ratio is taken to be the same in all classes: three samples of a class
    are too few to measure it, those of all classes are enough.
    """
    mine = [[sample for sample in samples if sample.place == place] for place in range(len(classes))]
    ratios = [sum(getattr(s, what) for s in group) / max(sum(s.size for s in group), 1.0) for group in mine]
    off = [
        getattr(s, what) / (ratios[s.place] * max(s.size, 1.0)) - 1 for s in samples if ratios[s.place] > 0
    ]
    free = len(off) - len([group for group in mine if group])
    spread = math.sqrt(sum(value**2 for value in off) / free) if free > 0 else 0.5
    total = variance = 0.0
    for members, group, ratio in zip(classes, mine, ratios, strict=True):
        part = ratio * sum(max(sizes[i], 1.0) for i in members)
        total += part
        left = 1 - len(group) / len(members)
        variance += (part * spread) ** 2 * left / max(len(group), 1)
    known = all(len(group) == len(members) for group, members in zip(mine, classes, strict=True))
    floor = 0.0 if known and what != "seconds" else _NOISE * total
    margin = max(2 * math.sqrt(variance), floor)
    return Range(max(0.0, total - margin), total, total + margin)
