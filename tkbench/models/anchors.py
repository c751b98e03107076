"""Anchors: models with a known answer. They bracket a table and show which metric can be trusted on this data."""

from __future__ import annotations

import cv2
import numpy as np

from tkbench.errors import UsageError
from tkbench.models.base import ModelCard
from tkbench.types import Batch, Generated


class Real:
    """The true video: the best score of every metric that compares with it, and the level to compare LSE with."""

    card = ModelCard(name="real", summary="The true video.", anchor=True)

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(sample.key, sample.video) for sample in batch]


class Still:
    """The first frame held: no lip moves, so its sync score is that of no lip-sync at all."""

    card = ModelCard(name="still", summary="The first frame, held.", anchor=True)

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, np.repeat(s.video[:1], len(s), axis=0)) for s in batch]


class Shift:
    """The true video, late by a known number of frames: it shows whether a metric reacts to a constant lag.

    `shift:5` shows frame t - 5 at time t, and the first frame until then; `shift:-5` is early by five.
    """

    def __init__(self, frames: str) -> None:
        try:
            self.frames = int(frames)
        except ValueError:
            raise UsageError(
                f"model 'shift:{frames}': {frames!r} is not a whole number of frames; try shift:5"
            ) from None
        way = "late" if self.frames >= 0 else "early"
        self.card = ModelCard(
            name=f"shift:{self.frames}",
            summary=f"The true video, {abs(self.frames)} frames ({abs(self.frames) * 40} ms) {way}.",
            anchor=True,
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [
            Generated(s.key, s.video[np.clip(np.arange(len(s)) - self.frames, 0, len(s) - 1)]) for s in batch
        ]


class ShuffledAudio:
    """The true video, scored with the voice of another clip: perfect pictures, wrong words. The worst LSE."""

    card = ModelCard(
        name="shuffled-audio",
        summary="The true video, judged with the voice of another clip.",
        anchor=True,
        drive="other",
    )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(sample.key, sample.video) for sample in batch]


class Blur:
    """The true video through a Gaussian blur: right sync, poor pictures."""

    def __init__(self, sigma: str = "3") -> None:
        try:
            self.sigma = float(sigma)
        except ValueError:
            self.sigma = -1.0
        if not 0 < self.sigma <= 50:
            raise UsageError(f"model 'blur:{sigma}': sigma is in pixels, above 0 and at most 50; try blur:3")
        name = "blur" if self.sigma == 3 else f"blur:{self.sigma:g}"
        self.card = ModelCard(
            name=name, summary=f"The true video, Gaussian blur of {self.sigma:g} pixels.", anchor=True
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [
            Generated(s.key, np.stack([cv2.GaussianBlur(frame, (0, 0), self.sigma) for frame in s.video]))
            for s in batch
        ]
