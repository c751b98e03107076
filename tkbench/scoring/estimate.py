"""What an evaluation would take (`tkbench eval --dry-run`): a few clips are scored aside, and the rest is counted up.

Clips are sorted into thirds by their number of frames. Within a third, time is taken to be proportional to frames; the
ratio comes from the samples of the third. The first model of a call computes the features of the true videos, which
later ones read back, so each model is measured as it would run: in the order of the call, with a cache that is empty
at first. The range covers how much samples differ from the ratio of their third, and no less than a tenth to each side.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench import models
from tkbench.protocol import Protocol
from tkbench.runtime import feature_cache, storage
from tkbench.runtime.devices import check_device
from tkbench.scoring import pairing
from tkbench.scoring.clips import Run, open_split, start_states, tools_of
from tkbench.scoring.evaluate import EvalOptions
from tkbench.scoring.records import pack
from tkbench.scoring.tasks import Chunk, model_of, score_key
from tkbench.types import FPS

if TYPE_CHECKING:
    from rich.table import Table

EACH = 2
"""Samples per third, if the time allows."""
BUDGET = 120.0
"""Seconds of sampling per model; after them no further clip is begun, once each third had one."""
NOISE = 0.1
SHARING = 0.9
"""Worst speed-up per worker: they share memory and disk."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One clip that was scored to see what it takes."""

    third: int
    frames: int
    seconds: float
    memory: int
    """Bytes of the model's peak."""
    kept: int
    """Bytes of its record."""


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What one model would take."""

    model: str
    sampled: int
    low: float
    mean: float
    high: float
    """Seconds of one worker."""
    memory: int
    kept: int
    """Bytes of the work folder while it runs."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What `tkbench eval --dry-run` tells."""

    clips: int
    video_seconds: float
    workers: int
    models: tuple[ModelEstimate, ...]

    def hours(self, which: str) -> float:
        """Hours of one worker for all models: `low`, `mean` or `high`."""
        return sum(getattr(one, which) for one in self.models) / 3600

    def table(self, price: float | None) -> Table:
        """A row per model."""
        from rich.table import Table

        crew = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        table = Table(
            title=f"What scoring {self.clips} clips ({in_time(self.video_seconds)} of video) would take",
            title_justify="left",
        )
        for name in (
            "model",
            "sampled",
            f"time with {crew}",
            "range",
            "worker hours",
            "model's memory",
            "disk",
        ):
            table.add_column(name, justify="left" if name == "model" else "right")
        if price is not None:
            table.add_column("cost", justify="right")
        for one in self.models:
            cells = [
                one.model,
                str(one.sampled),
                in_time(one.mean / self.workers),
                self._range(one.low, one.high),
                f"{one.mean / 3600:.2f}",
                storage.in_words(one.memory),
                storage.in_words(one.kept),
            ]
            table.add_row(*cells, *([] if price is None else [f"{price * one.mean / 3600:.2f}"]))
        return table

    def _range(self, low: float, high: float) -> str:
        shared = self.workers if self.workers == 1 else self.workers * SHARING
        return f"{in_time(low / self.workers)} to {in_time(high / shared)}"

    def verdict(self, price: float | None) -> str:
        """One line for all models."""
        seconds = [3600 * self.hours(which) for which in ("low", "mean", "high")]
        text = (
            f"about {in_time(seconds[1] / self.workers)} ({self._range(seconds[0], seconds[2])}), "
            f"{self.hours('mean'):.2f} worker hours"
        )
        if price is not None:
            text += f", cost {price * self.hours('mean'):.2f} at {price:g} per worker hour"
        return f"{text}; each process also loads its networks once"


def in_time(seconds: float) -> str:
    """Seconds for people.

    >>> in_time(5.25), in_time(600), in_time(7200)
    ('5.2 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimate(
    data: Path,
    names: Sequence[str],
    *,
    protocol: Protocol,
    split: str | None,
    limit: int | None,
    workers: int,
    options: EvalOptions,
) -> Estimate:
    """Score a few clips of each third for each model, in this process and a temporary folder, and add up."""
    check_device(options.device)
    source = open_split(data, split)
    cards = [models.create(name).card for name in names]
    items = [pairing.items_of(protocol, source, card, limit=limit, pairs=options.pairs) for card in cards]
    keys = items[0].keys
    table = source.manifest(["key", "n_frames"])
    frames = {str(key): int(n) for key, n in zip(table["key"], table["n_frames"], strict=True) if n == n}
    # A video of a list of pairs is as long as its voice.
    lengths = {key: frames[str(items[0].partners[key]) if items[0].pictures else key] for key in keys}
    thirds = thirds_of(keys, lengths)
    picks = picks_of(thirds)
    found = []
    with tempfile.TemporaryDirectory(prefix="tkbench-sample-") as folder:
        run = Run.begin(storage.everywhere(data), split, protocol, options.device)
        where = None if options.sources is None else str(options.sources.expanduser().absolute())
        for place, name in enumerate(names):
            card = cards[place]
            mine = items[place]
            task = Chunk(run, name, (), mine.partners, mine.pictures, cache=folder, sources=where)
            samples: list[Sampled] = []
            began = time.perf_counter()
            for done, (third, key) in enumerate(picks):
                if done >= len(thirds) and time.perf_counter() - began > BUDGET:
                    break
                options.progress(place * len(picks) + done, len(names) * len(picks), f"{card.name} {key}")
                if done == 0:  # networks load with the first clip, which is no cost of a clip
                    _sample(replace(task, cache=None), third, key, lengths[key])
                samples.append(_sample(task, third, key, lengths[key]))
            found.append(_of_model(options.name or card.name, thirds, lengths, samples))
        options.progress(len(names) * len(picks), len(names) * len(picks), "sampled")
    return Estimate(len(keys), sum(lengths[key] for key in keys) / FPS, workers, tuple(found))


def thirds_of(keys: Sequence[str], lengths: dict[str, int]) -> list[list[str]]:
    """Clips in thirds by their length, each sorted by it; fewer parts where there are fewer clips."""
    ordered = sorted(keys, key=lambda key: (lengths[key], key))
    size = math.ceil(len(ordered) / 3)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def picks_of(thirds: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """(third, clip): the middle of each third first, then a clip above it."""
    picks = [
        (place, members[min(len(members) - 1, int(share * len(members)))])
        for share in (0.5, 5 / 6)[:EACH]
        for place, members in enumerate(thirds)
    ]
    return list(dict.fromkeys(picks))


def _sample(task: Chunk, third: int, key: str, frames: int) -> Sampled:
    tools, model = tools_of(task.run), model_of(task.run, task.model)
    feature_cache.open_store(task.cache).next_clip()
    start = time.perf_counter()
    record = score_key(replace(task, keys=(key,)), tools, model, key, start_states(tools.metrics))
    kept = len(pack(record))
    seconds = time.perf_counter() - start
    return Sampled(third, frames, seconds, record.spent.memory if record.spent else 0, kept)


def _of_model(
    name: str, thirds: Sequence[Sequence[str]], lengths: dict[str, int], samples: Sequence[Sampled]
) -> ModelEstimate:
    """The sum over all clips, by the ratio of each third's samples; the spread about it is that of all samples."""
    mine = [[sample for sample in samples if sample.third == place] for place in range(len(thirds))]
    ratios = [sum(s.seconds for s in group) / max(1, sum(s.frames for s in group)) for group in mine]
    off = [s.seconds / (ratios[s.third] * max(1, s.frames)) - 1 for s in samples if ratios[s.third] > 0]
    free = len(off) - len(mine)
    spread = math.sqrt(sum(value**2 for value in off) / free) if free > 0 else 0.5
    total = variance = 0.0
    for members, group, ratio in zip(thirds, mine, ratios, strict=True):
        part = ratio * sum(max(1, lengths[key]) for key in members)
        total += part
        variance += (part * spread) ** 2 / max(1, len(group))
    margin = max(2 * math.sqrt(variance), NOISE * total)
    frames = sum(lengths[key] for members in thirds for key in members)
    kept = frames * sum(s.kept for s in samples) / max(1, sum(s.frames for s in samples))
    return ModelEstimate(
        name,
        len(samples),
        max(0.0, total - margin),
        total,
        total + margin,
        max((s.memory for s in samples), default=0),
        round(kept),
    )
