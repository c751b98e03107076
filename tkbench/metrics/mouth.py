"""The shape of a mouth without the pose of its head: a few lengths per frame, in units of the face.

Turn and size of the head are taken from points that speech does not move (corners of the eyes, bridge of the nose):
the similarity that best lays them on their mean over the clip is undone. Everything is measured on the 68 iBUG
points; those of Face Mesh are converted to them first (`tkbench.crops.recipes.IBUG_OF_MESH`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tkbench.crops.recipes import ibug68
from tkbench.errors import BadInput
from tkbench.types import Array, Complex128, Float64, UInt8

RIGID = (36, 39, 42, 45, 27, 28, 29, 30)
"""Outer and inner corners of the eyes, bridge of the nose."""
NOSE, CHIN = 33, 8
INNER = ((61, 67), (62, 66), (63, 65))
"""Upper and lower rim of the opening, left to right."""
OUTER = ((50, 58), (51, 57), (52, 56))
CORNERS, INNER_CORNERS = (48, 54), (60, 64)
MESH_LIPS = (
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270, 291, 308,
    310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
)  # fmt: skip
"""Face Mesh's 40 points of the lips' outer and inner rims."""
NAMES = ("opening", "height", "width", "lower lip", "upper lip", "chin", "corners", "inner width")
"""The lengths of `lengths`, in order; the last but three to one are heights below the nose."""


def points68(landmarks: Array) -> Float64:
    """(T, N, 2) of either set, pixels -> (T, 68, 2) float64; raises BadInput for anything else, nan included."""
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or len(points) == 0:
        raise BadInput(f"landmarks are {points.shape}; expected (T, 478, 2) or (T, 68, 2) with T >= 1")
    if not np.isfinite(points).all():
        raise BadInput("landmarks hold nan or infinite values; a track has none")
    return np.asarray(ibug68(points))


def upright(points: Float64) -> Float64:
    """(T, 68, 2) pixels -> the same points seen from a head that neither turns in the picture nor changes in size.

    The unit is the distance between the outer corners of the eyes, the origin the tip of the nose's bridge.
    Yaw and pitch foreshorten; they stay, and slow ones go with `voicefeatures.without_drift`.
    """
    z = points[..., 0] + 1j * points[..., 1]
    laid = (z - z[:, [27]]) * _onto(z)[:, None]
    return np.stack([laid.real, laid.imag], axis=-1)


def mesh_points(landmarks: Array, which: Sequence[int]) -> Float64:
    """Points of Face Mesh as `upright` has them: (T, 478, 2) pixels -> (T, len(which), 2) eye distances.

    The origin is the middle of the nose's bridge: the mean of four points trembles half as much as one.
    """
    z = np.asarray(points68(landmarks) @ (1, 1j), np.complex128)
    points = np.asarray(landmarks, np.float64)[:, list(which)] @ (1, 1j)
    laid = (points - z[:, 27:31].mean(axis=1, keepdims=True)) * _onto(z)[:, None]
    return np.stack([laid.real, laid.imag], axis=-1)


def _onto(z: Complex128) -> Complex128:
    """The number that, multiplied, turns and scales each frame's points onto the mean face: (T, 68) -> (T,)."""
    rigid = z[:, RIGID]
    mean = rigid.mean(axis=0)
    span = mean[3] - mean[0]
    if abs(span) < 1e-6:
        raise BadInput("the corners of the eyes fall together; these landmarks are no face")
    rigid = rigid - rigid.mean(axis=1, keepdims=True)
    target = (mean - mean.mean()) / span
    # Least squares.
    size = (np.abs(rigid) ** 2).sum(axis=1)
    if (size < 1e-12).any():
        raise BadInput("the eyes and the nose fall on one point; these landmarks are no face")
    return np.asarray((np.conj(rigid) * target).sum(axis=1) / size)


def lengths(landmarks: Array) -> Float64:
    """The shape of the mouth in each frame: (T, N, 2) pixels -> (T, 8) float64 in eye distances; see NAMES."""
    p = upright(points68(landmarks))
    y = p[..., 1]
    nose = y[:, NOSE]
    columns = (
        _gap(y, INNER),
        _gap(y, OUTER),
        _between(p, *CORNERS),
        y[:, 57] - nose,
        y[:, 51] - nose,
        y[:, CHIN] - nose,
        y[:, CORNERS].mean(axis=1) - nose,
        _between(p, *INNER_CORNERS),
    )
    return np.stack(columns, axis=1)


def rims(landmarks: Array) -> Float64:
    """The rim of the opening, iBUG's points 60 to 67 in their order around it: (T, N, 2) -> (T, 8, 2), pixels."""
    return points68(landmarks)[:, 60:68]


def filled(rim: Array, size: tuple[int, int]) -> UInt8:
    """Masks of what lies within rims: (..., P, 2) pixels of a picture of (height, width) `size` -> (..., h, w), 0 or 1.

    Closed lips leave nothing, or a line of a pixel.
    """
    import cv2

    flat = np.asarray(rim, np.float64).reshape(-1, *rim.shape[-2:])
    out = np.zeros((len(flat), *size), np.uint8)
    # Sixteenths of a pixel. OpenCV takes no points that lie apart in memory.
    for mask, points in zip(out, np.rint(flat * 16).astype(np.int32, order="C"), strict=True):
        cv2.fillPoly(mask, [points], 1, lineType=cv2.LINE_8, shift=4)
    return out.reshape(*rim.shape[:-2], *size)


def aperture(landmarks: Array) -> Float64:
    """How far the lips are apart in each frame, (T,) float64: mean height of the opening in eye distances.

    About 0 for closed lips (the points of a tracker rarely meet exactly), 0.1 to 0.3 in open vowels.
    """
    return lengths(landmarks)[:, 0]


def _gap(y: Float64, pairs: tuple[tuple[int, int], ...]) -> Float64:
    return np.mean([y[:, below] - y[:, above] for above, below in pairs], axis=0)


def _between(p: Float64, a: int, b: int) -> Float64:
    return np.asarray(np.linalg.norm(p[:, a] - p[:, b], axis=1))
