"""The true video with one known fault of a given strength: how a metric changes with it shows what the metric measures.

`blur` is an anchor of every table; these models are for `tkbench sensitivity`.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from tkbench.errors import UsageError
from tkbench.models.base import ModelCard
from tkbench.types import FPS, Array, Batch, Generated, Sample, UInt8


def number(model: str, text: str, low: float, high: float, unit: str, example: str) -> float:
    """The setting of a model as a number in [low, high]; UsageError otherwise."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"model '{model}:{text}': {unit}, from {low:g} to {high:g}; try {example}")
    return value


class Jpeg:
    """Every frame through one JPEG generation (OpenCV, 4:2:0)."""

    def __init__(self, quality: str) -> None:
        self.quality = int(number("jpeg", quality, 1, 100, "quality of libjpeg", "jpeg:50"))
        self.card = ModelCard(
            name=f"jpeg:{self.quality}",
            summary=f"The true video, each frame through JPEG of quality {self.quality}.",
            anchor=True,
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, np.stack([self._once(frame) for frame in s.video])) for s in batch]

    def _once(self, frame: UInt8) -> UInt8:
        # OpenCV calls the first channel blue; a file of swapped channels would have another chroma.
        ok, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        assert ok
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        return np.ascontiguousarray(decoded[..., ::-1])


class Noise:
    """Gaussian noise on every value, drawn anew for each frame."""

    def __init__(self, sigma: str) -> None:
        self.sigma = number("noise", sigma, 0, 255, "standard deviation in grey levels", "noise:10")
        self.card = ModelCard(
            name=f"noise:{self.sigma:g}",
            summary=f"The true video with Gaussian noise of {self.sigma:g} grey levels.",
            anchor=True,
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, self._noisy(s, seed)) for s in batch]

    def _noisy(self, sample: Sample, seed: int) -> UInt8:
        # From the clip's own name: the order of clips and the number of workers change nothing.
        digest = hashlib.sha256(f"{seed}\0{sample.key}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
        out = np.empty_like(sample.video)
        for frame, target in zip(sample.video, out, strict=True):
            noise = rng.standard_normal(frame.shape, dtype=np.float32) * np.float32(self.sigma)
            target[...] = np.clip(np.rint(frame + noise), 0, 255)
        return out


class Resize:
    """Scaled down to a side in pixels and back up (area, then cubic), like the output of a generator of that size."""

    def __init__(self, side: str) -> None:
        self.side = int(number("resize", side, 8, 4096, "longest side in pixels", "resize:96"))
        self.card = ModelCard(
            name=f"resize:{self.side}",
            summary=f"The true video, brought down to {self.side} pixels and back up.",
            anchor=True,
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, np.stack([self._soft(frame) for frame in s.video])) for s in batch]

    def _soft(self, frame: UInt8) -> UInt8:
        height, width = frame.shape[:2]
        scale = self.side / max(height, width)
        if scale >= 1:
            return frame
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


class Fps:
    """Resampled to another frame rate and back to 25 by the nearest frame: lips stay in sync, but stutter."""

    def __init__(self, rate: str) -> None:
        self.rate = number("fps", rate, 1, 120, "frames per second", "fps:15")
        self.card = ModelCard(
            name=f"fps:{self.rate:g}",
            summary=f"The true video, brought to {self.rate:g} frames/s and back by the nearest frame.",
            anchor=True,
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, s.video[self._indices(len(s))]) for s in batch]

    def _indices(self, frames: int) -> Array:
        ratio = self.rate / FPS
        shown = np.rint(np.arange(int(np.ceil(frames * ratio)) + 1) / ratio).astype(int)
        nearest = np.rint(np.arange(frames) * ratio).astype(int)
        return np.minimum(shown[nearest], frames - 1)
