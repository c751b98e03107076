"""Measured points of `tkbench study context`, kept as sums over each speaker.

R2 and its intervals over speakers come from a few sums per speaker. The sums are what is kept, so a table can be made
again with other intervals and without any training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench.runtime.storage import write_file
from tkbench.types import Array, Float64


@dataclass(frozen=True, slots=True)
class Sums:
    """What is kept of S speakers; D columns."""

    frames: Float64
    """(S,)"""
    first: Float64
    """(S, D) sums of the true values; of a share there are none, and D is 0."""
    second: Float64
    """(S, D) sums of their squares."""
    missed: Float64
    """(S, D) sums of squared errors; of a share (S, 1) frames that are told wrong."""

    @classmethod
    def of(cls, speakers: Sequence[str], true: Array, made: Array) -> Sums:
        """(N,) names, (N, D) or (N,) of both."""
        _, which = np.unique(np.asarray(speakers), return_inverse=True)

        def added(values: Array) -> Float64:
            total = np.zeros((which.max() + 1, values.shape[1]))
            np.add.at(total, which, np.asarray(values, np.float64))
            return _rounded(total)

        frames = np.bincount(which).astype(np.float64)
        if true.ndim == 1:
            none = np.zeros((len(frames), 0))
            return cls(frames, none, none, added((true != made)[:, None]))
        exact = np.asarray(true, np.float64)
        return cls(frames, added(exact), added(exact**2), added((exact - made) ** 2))

    def values(self, weights: Float64) -> Float64:
        """(B, S) how often each speaker counts -> (B,) R2 over the columns that vary, or the share that is right."""
        frames = (weights @ self.frames)[:, None]
        missed = weights @ self.missed / frames
        if self.first.shape[1] == 0:
            return np.asarray(1 - missed[:, 0])
        spread = weights @ self.second / frames - (weights @ self.first / frames) ** 2
        moving = spread > 1e-9
        ratio = np.where(moving, missed / np.where(moving, spread, 1.0), 0.0)
        return np.asarray(1 - ratio.sum(axis=1) / np.maximum(moving.sum(axis=1), 1))


def resampled(speakers: int, draws: int, seed: int = 0) -> Float64:
    """(1 + draws, S) how often each speaker counts: everyone once, then as often as each was drawn."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(speakers, np.full(speakers, 1 / speakers), draws)
    return np.concatenate([np.ones((1, speakers)), drawn])


@dataclass(frozen=True, slots=True)
class Point:
    """One network, or the truth (seed -1), at one window."""

    curve: str
    window: int
    seed: int
    sums: Sums
    """R2 of the mouth's shape on other speakers; of `recognition` the share of frames that are told right."""
    seconds: float
    """Of the processor."""


class Kept:
    """Finished points in a file; those of another study (`about`) are not taken."""

    def __init__(self, path: Path, about: str) -> None:
        self.path, self.about = path, about
        self.points: dict[tuple[str, int, int], Point] = {}
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            if record.get("about") == about:
                for row in record["points"]:
                    sums = Sums(*(_array(row[name]) for name in ("frames", "first", "second", "missed")))
                    self._put(Point(row["curve"], row["window"], row["seed"], sums, row["seconds"]))

    def _put(self, point: Point) -> None:
        self.points[point.curve, point.window, point.seed] = point

    def get(self, curve: str, window: int, seed: int) -> Point | None:
        """A finished point, or None."""
        return self.points.get((curve, window, seed))

    def add(self, *points: Point) -> None:
        """Keep some more, and write all."""
        for point in points:
            assert np.isfinite(point.sums.missed).all(), point
            self._put(point)
        rows = [
            {"curve": p.curve, "window": p.window, "seed": p.seed, "seconds": round(p.seconds, 2)}
            | {name: getattr(p.sums, name).tolist() for name in ("frames", "first", "second", "missed")}
            for p in self.points.values()
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.path, (json.dumps({"about": self.about, "points": rows}) + "\n").encode())


def _rounded(values: Float64) -> Float64:
    """To ten digits, which is more than an interval needs, so that the file stays small."""
    digits = [[float(f"{x:.10g}") for x in row] for row in values.tolist()]
    return np.asarray(digits, np.float64).reshape(values.shape)


def _array(values: object) -> Float64:
    return np.asarray(values, np.float64)
