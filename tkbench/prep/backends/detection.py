"""MediaPipe's face detection: every face of a picture, with its box and its eyes.

The picture is shrunk into a square with black beside it. The network answers for a fixed grid of anchors: how
likely a face is there, its box, and six points of it, all relative to the anchor. Boxes that overlap are then
joined into one, weighted by their scores. This is what MediaPipe's graph does, read in
google-ai-edge/mediapipe@85c0cdc, mediapipe/modules/face_detection/face_detection.pbtxt and the calculators that it
names (SsdAnchors, TensorsToDetections, NonMaxSuppression, DetectionProjection); the networks are Bazarevsky et al.,
"BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019, and a larger one for small faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from tkbench.prep.backends.litert import Network
from tkbench.prep.backends.window import letterbox
from tkbench.types import Float32, UInt8


@dataclass(frozen=True, slots=True)
class Face:
    """One detected face, in pixels of the picture from its corner."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1."""
    eyes: tuple[float, float, float, float]
    """x, y of the eye that is left in the picture, then of the other."""
    score: float


class FaceDetector(Protocol):
    """What finds faces in a single picture."""

    def faces(self, picture: UInt8) -> list[Face]:
        """Every face of (H, W, 3) RGB, the likeliest first."""

    def close(self) -> None:
        """Free the network; safe to call twice."""


def rows_of(faces: list[Face]) -> Float32:
    """(N, 5) float32: x0, y0, x1, y1 in pixels, and the score; best score first, then from the left."""
    rows = sorted(((*face.box, face.score) for face in faces), key=lambda row: (-row[4], row[0]))
    return np.array(rows, np.float32).reshape(-1, 5)


@dataclass(frozen=True, slots=True)
class _Design:
    """What has to be known of a detection network."""

    weight: str
    side: int
    """Of the square picture that it takes."""
    grids: tuple[tuple[int, int], ...]
    """Of each grid of anchors: the distance of two anchors in pixels, and how many stand in one place."""
    enough: float
    """The least score of a face."""


_NEAR = _Design("face-detection-near", 128, ((8, 2), (16, 6)), 0.5)
_FAR = _Design("face-detection-far", 192, ((4, 1),), 0.6)
_SAME: Final = 0.3
"""Boxes that share more than this of their union are one face."""
_N_VALUES: Final = 16
"""Of an anchor: middle, width and height of the box, and six points, the eyes first."""


class LiteRTDetector:
    """MediaPipe's detector; see `FaceDetector`. far: the network for faces that are small in the picture."""

    def __init__(self, *, far: bool = False) -> None:
        self._design = _FAR if far else _NEAR
        self._anchors = _anchors(self._design)
        self._network: Network | None = Network(self._design.weight, scale=2 / 255, offset=-1)

    def faces(self, picture: UInt8) -> list[Face]:
        """Every face, the likeliest first; see `FaceDetector.faces`."""
        if self._network is None:
            raise ValueError("this detector was closed")
        side = self._design.side
        height, width = picture.shape[:2]
        answers = self._network.run(letterbox(picture, side))
        # Which answer is which is not the same in both networks.
        values, logits = sorted(answers, key=lambda answer: -answer.shape[-1])
        scores = _sigmoid(logits.reshape(-1))
        likely = np.flatnonzero(scores >= np.float32(self._design.enough))
        rows = _decode(values.reshape(-1, _N_VALUES)[likely], self._anchors[likely], side)
        right_way = (rows[:, 2] >= rows[:, 0]) & (rows[:, 3] >= rows[:, 1])
        joined = _join(rows[right_way], scores[likely][right_way])
        return [_face(row, score, width, height) for row, score in joined]

    def close(self) -> None:
        """Free the network; safe to call twice."""
        self._network = None


def _anchors(design: _Design) -> Float32:
    """(anchors, 2): x and y in the unit square, grid by grid, row by row."""
    parts = []
    for stride, count in design.grids:
        cells = design.side // stride
        row, column = np.divmod(np.arange(cells * cells), cells)
        middle = (np.stack([column, row], axis=1).astype(np.float32) + np.float32(0.5)) / np.float32(cells)
        parts.append(np.repeat(middle, count, axis=0))
    return np.concatenate(parts)


def _sigmoid(logits: Float32) -> Float32:
    # MediaPipe clips at 100; below -88 float32 would warn of an overflow.
    one = np.float32(1)
    return np.asarray(one / (one + np.exp(-np.clip(logits, -80, 100))), np.float32)


def _decode(values: Float32, anchors: Float32, side: int) -> Float32:
    """(N, 16): x0, y0, x1, y1 and six points in the unit square of the network's picture."""
    rows = values / np.float32(side)
    rows[:, :2] += anchors
    rows[:, 4:] += np.tile(anchors, 6)
    middle, half = rows[:, :2].copy(), rows[:, 2:4] / 2
    rows[:, :2], rows[:, 2:4] = middle - half, middle + half
    return rows


def _join(rows: Float32, scores: Float32) -> list[tuple[Float32, float]]:
    """One row per face: the mean of all rows whose boxes overlap with the likeliest one, by their scores."""
    order = np.argsort(-scores, kind="stable")
    rows, scores = rows[order], scores[order]
    out = []
    while len(rows):
        alike = _overlap(rows[0], rows) > _SAME
        # A box without area is not even like itself.
        alike[0] = True
        share = scores[alike, None]
        out.append(((rows[alike] * share).sum(axis=0) / share.sum(), float(scores[0])))
        rows, scores = rows[~alike], scores[~alike]
    return out


def _overlap(one: Float32, rows: Float32) -> Float32:
    """Intersection over union of one box with others."""
    size = np.minimum(one[2:4], rows[:, 2:4]) - np.maximum(one[:2], rows[:, :2])
    shared = np.prod(np.maximum(size, 0), axis=1)
    union = np.prod(one[2:4] - one[:2]) + np.prod(rows[:, 2:4] - rows[:, :2], axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _face(row: Float32, score: float, width: int, height: int) -> Face:
    """From the unit square of the network's picture to pixels of the picture that was given."""
    longer = max(width, height)
    places = row.reshape(-1, 2) * np.float32(longer)
    places += np.array([(width - longer) / 2, (height - longer) / 2], np.float32)
    x0, y0, x1, y1, *eyes = places[:4].ravel().tolist()
    return Face((x0, y0, x1, y1), (eyes[0], eyes[1], eyes[2], eyes[3]), score)


@lru_cache(maxsize=2)
def shared_detector(far: bool) -> FaceDetector:
    """The process's own detector; it keeps nothing from picture to picture."""
    return LiteRTDetector(far=far)
