"""Videos that please a metric and no viewer: each does what a loss on that metric alone would teach.

`tkbench study metrics` scores them with everything there is, to show which numbers a model could win without better
lips. All are made from the true video, its landmarks and its voice:

    flap          a still face whose mouth opens with the loudness of the voice and knows no sounds
    gape:2        the true video with every opening of the mouth twice as high
    wrong-mouth   the true video with the mouth of another moment: only the mouth is wrong, and all else is the truth
    held-mouth    the true video with a mouth that never moves: pose, blinks and light are the truth's
"""

from __future__ import annotations

import cv2
import numpy as np

from tkbench.crops.recipes import eyes_and_nose, ibug68
from tkbench.models.base import ModelCard
from tkbench.models.degraded import number
from tkbench.types import SAMPLES_PER_FRAME, Array, Batch, Float64, Generated, Sample, UInt8

FLAP = 0.16
"""Height of the widest flap over the distance of the eyes: an open vowel."""
LOUD_DB = 30.0
"""Decibels below the loud parts of a clip at which a flapping mouth is shut."""
INSIDE = (38, 22, 22)
"""RGB of the dark behind the lips of a mouth that was shut."""
UPPER, LOWER = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
"""iBUG's rims of the opening, left to right."""
OUTER = 57
CHIN = 8


class Flap:
    """The frame whose mouth is most shut, held; it opens as loud as the voice is: sync without speech."""

    card = ModelCard(
        name="flap",
        summary="One frame, held; its mouth opens with the loudness of the voice.",
        anchor=True,
    )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, self._flapped(s)) for s in batch]

    def _flapped(self, sample: Sample) -> UInt8:
        all_points = np.asarray(ibug68(sample.landmarks), np.float64)
        shut = int(np.argmin([opening(points) for points in all_points]))
        points = all_points[shut]
        height = FLAP * eye_distance(points) * loudness(sample.audio, len(sample))
        more = np.maximum(0.0, height - opening(points))
        return np.stack([opened(sample.video[shut], points, each) for each in more])


class Gape:
    """The true video with every opening of the mouth `factor` times as high."""

    def __init__(self, factor: str = "2") -> None:
        self.factor = number("gape", factor, 1, 4, "factor of the opening", "gape:2")
        self.card = ModelCard(
            name=f"gape:{self.factor:g}",
            summary=f"The true video, its mouth opened {self.factor:g} times as wide.",
            anchor=True,
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, self._gaping(s)) for s in batch]

    def _gaping(self, sample: Sample) -> UInt8:
        points = np.asarray(ibug68(sample.landmarks), np.float64)
        pairs = zip(sample.video, points, strict=True)
        return np.stack([opened(frame, each, (self.factor - 1) * opening(each)) for frame, each in pairs])


class OtherMoment:
    """The true video whose mouths are taken from other frames of the same clip, laid in place by eyes and nose."""

    def __init__(self, name: str, summary: str) -> None:
        self.card = ModelCard(name=name, summary=summary, anchor=True)

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [Generated(s.key, self._exchanged(s)) for s in batch]

    def moments(self, frames: int) -> Array:
        """The frame whose mouth each frame shows."""
        raise NotImplementedError

    def _exchanged(self, sample: Sample) -> UInt8:
        anchors = eyes_and_nose(sample.landmarks)
        points = np.asarray(ibug68(sample.landmarks), np.float64)
        out = np.empty_like(sample.video)
        for t, other in enumerate(self.moments(len(sample))):
            out[t] = with_mouth(sample.video[t], sample.video[other], anchors[t], anchors[other], points[t])
        return out


class WrongMouth(OtherMoment):
    """The mouth of the clip run backwards, so that it says something else with the same lips."""

    def __init__(self) -> None:
        super().__init__("wrong-mouth", "The true video with the mouth of the clip run backwards.")

    def moments(self, frames: int) -> Array:
        return np.arange(frames)[::-1]


class HeldMouth(OtherMoment):
    """The mouth of the first frame all the time: what copying the reference would draw."""

    def __init__(self) -> None:
        super().__init__("held-mouth", "The true video with the mouth of its first frame.")

    def moments(self, frames: int) -> Array:
        return np.zeros(frames, int)


def eye_distance(points: Float64) -> float:
    """Between the outer corners of the eyes: (68, 2) pixels -> pixels, at least 1."""
    return max(1.0, float(np.linalg.norm(points[45] - points[36])))


def opening(points: Float64) -> float:
    """The mean height of the opening, (68, 2) pixels -> pixels; 0 where the lips meet."""
    return max(0.0, float((points[list(LOWER[1:4]), 1] - points[list(UPPER[1:4]), 1]).mean()))


def loudness(audio: Array, frames: int) -> Float64:
    """How loud each frame is, from 0 (`LOUD_DB` below the loud parts, or less) to 1: (S,) -> (frames,)."""
    whole = np.zeros(frames * SAMPLES_PER_FRAME)
    given = np.asarray(audio[: len(whole)], np.float64)
    whole[: len(given)] = given
    level = 10 * np.log10((whole.reshape(frames, -1) ** 2).mean(axis=1) + 1e-12)
    return np.asarray(np.clip(1 + (level - np.percentile(level, 95)) / LOUD_DB, 0.0, 1.0))


def opened(frame: UInt8, points: Float64, more: float) -> UInt8:
    """A frame whose mouth is open `more` pixels further: (H, W, 3), (68, 2) pixels -> (H, W, 3).

    The lower lip and the chin move down, most in the middle of the mouth and not at its corners; the skin below the
    chin closes up. What was between the lips is stretched, and darkened where there was little to stretch.
    """
    if more < 0.25:
        return frame
    height, width = frame.shape[:2]
    eyes = eye_distance(points)
    left, right = points[60, 0], points[64, 0]
    x = np.arange(width, dtype=np.float64)
    # A cosine over the mouth's width and half of it more on each side: the cheeks go along a little.
    reach = 0.75 * max(right - left, 1.0)
    down = more * 0.5 * (1 + np.cos(np.pi * np.clip((x - 0.5 * (left + right)) / reach, -1, 1)))
    upper = np.interp(x, *points[list(UPPER)].T)
    lower = np.maximum(np.interp(x, *points[list(LOWER)].T), upper + 0.5)
    chin = points[CHIN, 1]
    end = chin + max(0.5 * eyes, 2.5 * more)
    rows = np.arange(height, dtype=np.float64)[:, None]
    # Column by column, where each row of the new picture was: three pieces, each linear.
    new_lower, new_chin = lower + down, np.maximum(chin + down, lower + down + 1)
    inside = upper + (rows - upper) * (lower - upper) / (new_lower - upper)
    jaw = lower + (rows - new_lower) * (np.maximum(chin, lower + 1) - lower) / (new_chin - new_lower)
    neck = chin + (rows - new_chin) * (end - chin) / np.maximum(end - new_chin, 1)
    was = np.where(
        rows < upper, rows, np.where(rows < new_lower, inside, np.where(rows < new_chin, jaw, neck))
    )
    was = np.where(rows >= end, rows, was)
    across = np.broadcast_to(x.astype(np.float32), (height, width))
    moved = cv2.remap(
        frame,
        np.ascontiguousarray(across),
        np.ascontiguousarray(was, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    between = (rows >= upper) & (rows < new_lower)
    fresh = np.clip(down / np.maximum(new_lower - upper, 1), 0, 1) * between
    # The rim of the dark is as soft as the lips' own.
    fresh = cv2.GaussianBlur(fresh.astype(np.float32), (0, 0), max(0.6, 0.01 * eyes))[..., None]
    return np.asarray(np.rint(moved * (1 - fresh) + np.array(INSIDE) * fresh), np.uint8)


def with_mouth(frame: UInt8, other: UInt8, here: Float64, there: Float64, points: Float64) -> UInt8:
    """`frame` with the lower face of `other`, brought into place by eyes and nose (18, 2), within the face's outline.

    points: (68, 2) pixels of `frame`; they bound what is exchanged, from below the nose to above the chin's rim.
    """
    matrix = similarity(there, here)
    height, width = frame.shape[:2]
    moved = cv2.warpAffine(other, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    middle = points[48:60].mean(axis=0)
    radius = np.abs(points[48:60] - middle).max(axis=0)
    axes = (1.35 * radius[0], max(1.6 * radius[1], 0.8 * radius[0]))
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(
        mask,
        tuple(round(v) for v in middle),
        tuple(max(1, round(v)) for v in axes),
        0,
        0,
        360,
        1.0,
        -1,
    )
    mask = cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.15 * radius[0]))[..., None]
    return np.asarray(np.rint(frame * (1 - mask) + moved * mask), np.uint8)


def similarity(source: Float64, target: Float64) -> Float64:
    """The turn, scale and shift that lays `source` on `target`, both (N, 2): (2, 3), by least squares (Umeyama 1991).

    >>> corner = np.array([[0.0, 0], [2, 0], [0, 2]])
    >>> similarity(corner, 2 * corner + (3, 1)).round(6).tolist()
    [[2.0, -0.0, 3.0], [0.0, 2.0, 1.0]]
    """
    a = (source - source.mean(axis=0)) @ (1, 1j)
    b = (target - target.mean(axis=0)) @ (1, 1j)
    turn = (np.conj(a) * b).sum() / max((np.abs(a) ** 2).sum(), 1e-9)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])
