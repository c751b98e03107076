"""The players of a report: short videos, the true one beside the generated one, and how far the lips are open in both.

They are made while clips are scored, when the frames of both videos are at hand: after the last clip no model runs
again. Two kinds of clips have a player:

    shared   a few clips, spread over the data, the same for every model of a table: models can be watched side by side
    worst    the clips on which the model falls furthest below the true video by the ranking metric; where the table
             has no row `real` yet, the clips with the worst scores

Which clips are the worst is known when all are scored. So each process keeps the worst values that it has seen, and
makes a player for a clip that belongs to them at that time. Of N clips this makes about K (1 + ln(N / K)) players for
K that are kept. A clip that is among the K worst of all is among the K worst of any part of them: the result does not
depend on how many processes share the clips.
"""

from __future__ import annotations

import bisect
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.errors import BadBundle
from tkbench.metrics.base import FaceMetric
from tkbench.metrics.mouth import aperture, points68
from tkbench.results import bundle
from tkbench.results.bundle import Mouth
from tkbench.results.delta import TRUE
from tkbench.results.leaderboard import worth
from tkbench.scoring.clips import Tools, track_face
from tkbench.types import Array, Column, Float64, Row, Sample, UInt8

SHARED, WORST = 6, 4
"""Clips that every model has a player of, and further ones of the model's own worst."""
HEIGHT, QUALITY = 256, 24
"""Of the players, in pixels and as an x264 crf."""
MOUTH_WIDTH = 1.7
"""Side of the square around the mouth that a page enlarges, in widths of the mouth; never below a fifth of the face."""


@dataclass(frozen=True, slots=True)
class Player:
    """One player."""

    key: str
    place: tuple[float, str]
    """Sorts the worst clips first: the score's distance to the true video, then the key."""
    video: bytes
    """MP4, the true video on the left."""
    mouth: Mouth | None
    """(n, 6) per frame, see `bundle.MOUTH`; None where the protocol tracks no face."""


@dataclass(frozen=True, slots=True)
class PlayerPlan:
    """Which clips get a player: what every task of a run must know."""

    column: Column
    """The ranking metric."""
    shared: frozenset[str] = frozenset()
    true: Mapping[str, float] = field(default_factory=dict)
    """The true video's scores by clip, where the table has them."""

    def place(self, key: str, value: float) -> tuple[float, str]:
        """Where a clip stands among the worst; one without a score comes first of all."""
        if math.isnan(value):
            return (-math.inf, key)
        true = self.true.get(key, math.nan)
        if not self.true:
            return (worth(value, self.column), key)
        if math.isnan(true):
            return (math.inf, key)
        return (0.0 if value == true else worth(value, self.column) - worth(true, self.column), key)

    def of(self, keys: Sequence[str]) -> PlayerPlan:
        """What the task of some clips must know."""
        true = {key: self.true.get(key, math.nan) for key in keys} if self.true else {}
        return PlayerPlan(self.column, self.shared & frozenset(keys), true)


def plan(keys: Sequence[str], column: Column, true: Mapping[str, float]) -> PlayerPlan:
    """The plan of a run: the shared clips are spread evenly over the keys."""
    return PlayerPlan(column, frozenset(keys[i * len(keys) // SHARED] for i in range(SHARED)), true)


def true_scores(table: Path, column: str) -> dict[str, float]:
    """The true video's scores on a column, from the bundle `real` in a table's folder; empty where there is none."""
    if not (table / TRUE / "result.json").is_file():
        return {}
    try:
        rows = bundle.read(table / TRUE).clips()
    except BadBundle:
        return {}  # the table that is made at the end says what is wrong with it
    rows = rows[rows["metric"] == column]
    return dict(zip(bundle.column_of(rows, "key"), rows["value"].tolist(), strict=True))


class Worst:
    """The K worst places that a process has seen in one run."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._places: list[tuple[float, str]] = []

    def takes(self, place: tuple[float, str]) -> bool:
        """Whether a clip is among the worst so far; it counts from now on, once however often it is asked for.

        >>> worst = Worst(2)
        >>> [worst.takes((value, key)) for value, key in [(3, "a"), (2, "b"), (4, "c"), (1, "d"), (1, "d")]]
        [True, True, False, True, True]
        """
        if place not in self._places:
            bisect.insort(self._places, place)
            del self._places[self._count :]
        return place in self._places


@lru_cache(maxsize=2)
def worst_of(run: str, model: str) -> Worst:
    """What this process has seen of one model in the run with that token."""
    return Worst(WORST)


def player(
    tools: Tools, rules: PlayerPlan, seen: Worst, sample: Sample, video: UInt8, rows: Iterable[Row]
) -> list[Player]:
    """The player of one clip that was just scored, or nothing where it needs none."""
    value = next((row.value for row in rows if row.metric == rules.column.name), math.nan)
    place = rules.place(sample.key, value)
    if not seen.takes(place) and sample.key not in rules.shared:
        return []
    tracked = any(isinstance(metric, FaceMetric) for metric in tools.metrics.per_clip)
    mouth = mouths(sample, video) if tracked else None
    return [Player(sample.key, place, _encoded(sample, video), mouth)]


def chosen(found: Sequence[Player], rules: PlayerPlan) -> list[Player]:
    """The players that a bundle keeps: the shared clips by key, then the worst of the others, worst first."""
    shared = sorted((one for one in found if one.key in rules.shared), key=lambda one: one.key)
    worst = sorted(found, key=lambda one: one.place)[:WORST]
    return [*shared, *(one for one in worst if one.key not in rules.shared)]


def write(kept: Sequence[Player], folder: Path) -> list[tuple[str, str]]:
    """Write the players into `folder`; returns (key, file name)."""
    named = [(one.key, f"{place:02d}.mp4") for place, one in enumerate(kept)]
    for one, (_, name) in zip(kept, named, strict=True):
        (folder / name).write_bytes(one.video)
    return named


def mouths(sample: Sample, video: UInt8) -> Mouth:
    """(n, 6) per frame, see `bundle.MOUTH`: the opening of the lips in both videos, and a square around the mouth."""
    tracked = track_face(sample, video)
    made = aperture(tracked.landmarks) if len(tracked.landmarks) else np.full(len(video), math.nan)
    sides: Float64 = np.stack([aperture(sample.landmarks), made], axis=1)
    return np.concatenate([100 * sides, _squares(sample.landmarks, video.shape)], axis=1)


def _squares(landmarks: Array, shape: Sequence[int]) -> Float64:
    """(n, 4) left, top, right, bottom in shares of the picture, of one size, smoothed over a fifth of a second."""
    from scipy.ndimage import uniform_filter1d

    points = points68(landmarks)
    lips = points[:, 48:68]
    centre = uniform_filter1d(lips.mean(axis=1), size=5, axis=0, mode="nearest")
    face = np.ptp(points, axis=1).max()
    half = 0.5 * max(MOUTH_WIDTH * float(np.median(np.ptp(lips[..., 0], axis=1))), 0.2 * float(face))
    height, width = shape[1:3]
    return np.concatenate([centre - half, centre + half], axis=1) / (width, height, width, height)


def _encoded(sample: Sample, video: UInt8) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tkbench-player-") as folder:
        path = Path(folder) / "player.mp4"
        media.write_video(
            path, side_by_side(sample.video, video, HEIGHT), audio=sample.audio, quality=QUALITY
        )
        return path.read_bytes()


def side_by_side(real: UInt8, made: UInt8, height: int = HEIGHT) -> Iterator[UInt8]:
    """Frames (height, 2 * w, 3): the true video on the left, the generated one on the right, even sides."""
    import cv2

    width = max(2, round(real.shape[2] * height / real.shape[1] / 2) * 2)
    for left, right in zip(real, made, strict=True):
        pair = [cv2.resize(side, (width, height), interpolation=cv2.INTER_AREA) for side in (left, right)]
        yield np.concatenate(pair, axis=1)
