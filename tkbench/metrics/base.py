"""What a metric is: one value per clip (`PerClipMetric`), or one per set from mergeable sums (`SetMetric`).

A metric never drops a clip and never raises because of one: what cannot be scored is nan with a `Reason`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from tkbench.types import SAMPLES_PER_FRAME, Bool, Float32, Float64, Metric, Reason, Sample, UInt8


@dataclass(frozen=True, slots=True)
class Scored:
    """One number, or nan and why."""

    value: float
    reason: Reason | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.value) != (self.reason is not None):
            raise ValueError(f"{self}: nan and a reason go together")


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What one metric says of one clip."""

    values: dict[str, Scored]
    """By column name, every column of the metric."""
    curve: Float64 | None = None
    """Sync metrics: (31,) mean distance where the video is taken to lag by -15 to 15 frames."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The face in a generated video, as the tracker that prepared the true one sees it."""

    landmarks: Float32
    """(T, N, 2) pixels of the canvas, the same set of points as the sample's; gaps are filled."""
    found: Bool
    """(T,) False where there was no face and the landmarks are filled."""
    reason: Reason | None = None
    """Why there are no landmarks to speak of; they are then empty."""
    detail: str = ""


Look = Callable[[], Seen]
"""Tracks the generated video when it is first called; `once` makes the second call cost nothing."""


def once(look: Look) -> Look:
    """The same answer, worked out at the first call."""
    return lru_cache(maxsize=1)(look)


class PerClipMetric(Protocol):
    """One value per clip and column.

    A metric with an attribute `sees = True` gets a fourth argument, `look`: see `Look`. One with `compares = True`
    holds the generated frames against the true ones, and is left out where these say something else (`cross:MODEL`).
    """

    columns: tuple[Metric, ...]
    weights: dict[str, str]
    """Name -> sha256 of every network that it uses and that is here."""

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """Judge `video`, (len(sample), H, W, 3), against `sample` and the `audio` it belongs to."""
        ...


def score_by(metric: Any, sample: Sample, video: UInt8, look: Look) -> ClipScores:
    """What a per-clip metric says of `video` with the sample's voice; `look` is handed to those that ask for it."""
    seeing = (look,) if getattr(metric, "sees", False) else ()
    scores: ClipScores = metric.score(sample, video, sample.audio, *seeing)
    return scores


class SetMetric(Protocol):
    """One value per set of clips, from a state that is picklable and merges in any order."""

    columns: tuple[Metric, ...]
    weights: dict[str, str]

    def start(self) -> Any:
        """A state that has seen nothing."""
        ...

    def update(self, state: Any, sample: Sample, video: UInt8) -> None:
        """Add the real and the generated frames of one clip to `state`."""
        ...

    def merge(self, a: Any, b: Any) -> Any:
        """The state that has seen what `a` and `b` have seen; neither is changed."""
        ...

    def compute(self, state: Any) -> dict[str, Scored]:
        """The value of every column."""
        ...


def unscored(columns: tuple[Metric, ...], reason: Reason, detail: str) -> ClipScores:
    """Every column nan, for the same reason."""
    return ClipScores({column.name: Scored(math.nan, reason, detail) for column in columns})


def picture_fault(sample: Sample, video: UInt8) -> tuple[Reason, str] | None:
    """Why the pictures of `video` are not of the kind of `sample`'s, or None; their number does not matter."""
    want = sample.video.shape
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[1:] != want[1:]:
        found = f"{video.dtype} {video.shape}, expected uint8 (n, {want[1]}, {want[2]}, 3)"
        return Reason.WRONG_SHAPE, found
    return None


def video_fault(sample: Sample, video: UInt8) -> tuple[Reason, str] | None:
    """Why `video` cannot stand beside `sample`, or None: dtype and size first, then length."""
    fault = picture_fault(sample, video)
    if fault is not None:
        return fault
    if len(video) != len(sample):
        return Reason.WRONG_LENGTH, f"{len(video)} frames, expected {len(sample)}"
    if len(video) == 0:
        return Reason.TOO_SHORT, "no frames"
    return None


def audio_fault(sample: Sample, audio: Float32) -> tuple[Reason, str] | None:
    """Why `audio` cannot be the voice of `sample`, or None."""
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        return Reason.WRONG_SHAPE, f"audio is {audio.dtype} {audio.shape}, expected float32 (S,)"
    if len(audio) != len(sample) * SAMPLES_PER_FRAME:
        expected = len(sample) * SAMPLES_PER_FRAME
        return Reason.WRONG_LENGTH, f"{len(audio)} samples, expected {expected} ({len(sample)} frames x 640)"
    if not np.isfinite(audio).all():
        return Reason.NOT_FINITE, "audio holds nan or inf"
    # A decoder's overshoot stays near 1; samples on the int16 scale do not.
    if len(audio) and (peak := float(np.abs(audio).max())) > 4:
        return Reason.WRONG_RANGE, f"audio reaches {peak:.0f}, expected samples in [-1, 1)"
    return None
