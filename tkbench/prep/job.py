"""One clip on its way through preparation: what is known of it, where its files go, and what became of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tkbench import media
from tkbench.prep.plan import Settings
from tkbench.prep.records import Row
from tkbench.runtime.timing import cpu_seconds
from tkbench.types import LABEL, Clip, MediaFacts, Reason

Encoding = media.Quality | Literal["copy"]
"""How a canvas comes about: encoded, or the source's packets as they are."""


@dataclass(slots=True)
class Outcome:
    """What became of one clip: rows for the manifest, samples for the shard."""

    rows: list[Row] = field(default_factory=list)
    samples: list[tuple[str, dict[str, bytes | Path]]] = field(default_factory=list)
    """(key, {suffix: content}), in the order of the rows that are ok."""
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Wall time per stage."""
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Time of the processor per stage, of this process and of ffmpeg; "decode" is all that ffmpeg does."""
    frames: int = 0
    """Frames that were decoded at 25 fps."""


@dataclass(slots=True)
class Job:
    """One clip on its way: what it is, and where what is made of it goes."""

    clip: Clip
    facts: MediaFacts
    """Of the file."""
    part: MediaFacts
    """Of the interval that the clip is."""
    settings: Settings
    scratch: Path
    outcome: Outcome
    row: Row
    """What every row of this clip says."""
    notes: list[str]
    """What is odd in the clip and what had to be changed, in words; more is added on the way."""

    # Files of the pass that decodes, all in `scratch`.
    @property
    def canvas(self) -> Path:
        return self.scratch / "canvas.mp4"

    @property
    def sound(self) -> Path:
        return self.scratch / "sound.s16"

    @property
    def points(self) -> Path:
        return self.scratch / "points.f32"

    @property
    def shortest(self) -> int:
        """Frames of the shortest sample."""
        return self.settings.shortest(self.clip.dataset)


def first_row(clip: Clip) -> Row:
    """What every row of a clip says, whatever becomes of it."""
    names = {"key": clip.key, "clip": clip.key, "dataset": clip.dataset, "split": clip.split}
    return {**names, "speaker": clip.speaker, "text": clip.text, **label_columns(clip.labels)}


def label_columns(labels: Mapping[str, str]) -> Row:
    """The labels of a clip as columns of the manifest."""
    return {f"{LABEL}{name}": value for name, value in labels.items()}


def skipped(row: Row, reason: Reason, detail: str) -> Row:
    """The row of a clip (or a run of one) that became no sample."""
    return row | {"status": "skipped", "reason": reason.value, "detail": detail}


@contextmanager
def timed(outcome: Outcome, stage: str) -> Iterator[None]:
    """Add the time that the block takes to a stage of the clip's outcome."""
    start, worked = time.perf_counter(), cpu_seconds()
    try:
        yield
    finally:
        outcome.seconds[stage] += time.perf_counter() - start
        outcome.cpu[stage] += cpu_seconds() - worked
