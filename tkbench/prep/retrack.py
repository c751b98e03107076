"""Landmarks on a generated video, found by the tracker and in the way of the true video's.

Metrics that compare landmarks need both by one method: the same backend, the same reduction of the canvas, the same
rule for which face counts.
"""

from __future__ import annotations

import numpy as np

from tkbench.errors import BadInput
from tkbench.prep import backends
from tkbench.types import Array, Bool, Float32, UInt8

_DETECTED = 0.8
"""Side of the detector's box over the height of the landmarks' box; between 0.75 and 0.87 on the public clips."""


def retrack(
    video: UInt8, near: Float32, *, backend: str = backends.DEFAULT, crowded: bool = False
) -> tuple[Float32, Bool]:
    """Follow one face through (T, H, W, 3) uint8 RGB -> landmarks (T, N, 2) float32 pixels, found (T,) bool.

    near: (T, M, 2) landmarks of the true video; a face that lies further from its face than three quarters of a face is
    another one and counts as not found. crowded: the true video has several faces, so that the tracker sees only
    what is around this one. Frames without the face hold zeros; `gaps_filled` fills them.

    Raises UnknownName for an unknown backend and WeightsMissing where its networks are not here.
    """
    facts = backends.info(backend)
    tracker = backends.shared(backend)
    tracker.restart()
    x0, y0, x1, y1 = _window(near, video.shape) if crowded else (0, 0, video.shape[2], video.shape[1])
    heights = near[..., 1].max(axis=1) - near[..., 1].min(axis=1)
    # As preparation does: half of the canvas where that still has more pixels than the network looks at.
    half = _DETECTED * float(np.median(heights)) >= facts.enough and not ((x1 - x0) % 4 or (y1 - y0) % 4)
    landmarks = np.zeros((len(video), facts.n_points, 2), np.float32)
    found = np.zeros(len(video), bool)
    origin = np.array([x0, y0], np.float32)
    for start in range(0, len(video), facts.batch):
        pictures = [_picture(frame[y0:y1, x0:x1], half) for frame in video[start : start + facts.batch]]
        for t, points in enumerate(tracker.track(pictures), start):
            if points is None:
                continue
            points = points * np.float32(2) + np.float32(0.5) if half else points
            points = points + origin
            if _same_face(points, near[t]):
                landmarks[t], found[t] = points, True
    return landmarks, found


def _picture(part: UInt8, half: bool) -> UInt8:
    if not half:
        return np.ascontiguousarray(part)
    import cv2

    size = (part.shape[1] // 2, part.shape[0] // 2)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def _window(near: Float32, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Whole pixels around the true face wherever it is in the clip, half a face wider on each side."""
    low, high = near.min(axis=(0, 1)), near.max(axis=(0, 1))
    grow = 0.5 * float(np.median((near.max(axis=1) - near.min(axis=1)).max(axis=1)))
    x0, y0 = np.maximum(0, np.floor(low - grow)).astype(int).tolist()
    x1, y1 = np.minimum([shape[2], shape[1]], np.ceil(high + grow)).astype(int).tolist()
    return (x0, y0, x1, y1) if x1 - x0 >= 16 and y1 - y0 >= 16 else (0, 0, shape[2], shape[1])


def _same_face(points: Float32, near: Float32) -> bool:
    side = float((near.max(axis=0) - near.min(axis=0)).max())
    middles = [(p.min(axis=0) + p.max(axis=0)) / 2 for p in (points, near)]
    return float(np.linalg.norm(middles[0] - middles[1])) < 0.75 * max(side, 1.0)


def gaps_filled(landmarks: Float32, found: Array) -> Float32:
    """Landmarks (T, N, 2) with the frames that were not found replaced: linearly between neighbours, at the ends by
    the nearest. Raises BadInput where nothing was found.
    """
    good = np.flatnonzero(found)
    if not len(good):
        raise BadInput("no frame shows the face; there is nothing to fill from")
    if len(good) == len(found):
        return landmarks
    flat = landmarks.reshape(len(landmarks), -1)
    times = np.arange(len(flat))
    columns = [np.interp(times, good, column[good]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(landmarks.shape).astype(np.float32)
