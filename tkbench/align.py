"""Pure geometry: a track of landmarks -> one affine per frame -> aligned crops, and back.

A matrix (2, 3) maps a SOURCE pixel (x, y, 1) to a CROP pixel, pixel centres on whole numbers, as
`cv2.warpAffine` takes it. The matrices that preparation stored beside a clip are its receipts: they say how a
crop was cut, so a generated video can be cut by the true video's track, and a generated crop can be put back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tkbench.errors import BadInput, UnknownName
from tkbench.registry import suggest
from tkbench.types import Array, Float32, Float64, UInt8

# The box of the 478 mesh points against the box of the face detector (S3FD) that the field's crops were
# defined with. Measured on the published demo crop of syncnet_python (317 frames, its geometry inverted):
# S3FD's box is 1.04 times the landmark box's longer side, and its centre lies 0.035 box heights higher.
_DETECTOR_SIZE = 1.04
_DETECTOR_RISE = 0.035


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a square crop hangs on the face.

    With s the half side of the detector-like box and (x, y) its centre, both smoothed over time, the crop
    spans [x - s * (1 + scale), x + s * (1 + scale)] and [y - s * up, y + s * down].
    """

    name: str
    size: tuple[int, int]
    """(height, width) of the crop, pixels."""
    scale: float
    up: float
    down: float
    smooth: str
    """"median" or "mean" over `window` frames, the ends repeated."""
    window: int
    border: int
    """Grey level outside the picture."""

    def signature(self) -> str:
        """Every number of the recipe in one line."""
        h, w = self.size
        return (
            f"{self.name}({h}x{w},scale={self.scale},up={self.up},down={self.down},{self.smooth}{self.window},"
            f"border={self.border},box={_DETECTOR_SIZE}/{_DETECTOR_RISE})"
        )


RECIPES: dict[str, Recipe] = {
    # syncnet_python@6efbb1c run_pipeline.py: crop_scale 0.40, median filter 13, pad value 110.
    "syncnet-224": Recipe("syncnet-224", (224, 224), 0.4, 1.0, 1.8, "median", 13, 110),
    # The detector's box itself at 128 x 128, boxes averaged over 5 frames as Wav2Lip does; square, so that a
    # turned head is not stretched (Wav2Lip stretches; this is a choice of tkbench).
    "face-128": Recipe("face-128", (128, 128), 0.0, 1.0, 1.0, "mean", 5, 0),
}


def recipe_of(name: str) -> Recipe:
    """The recipe called `name`; UnknownName with a suggestion otherwise."""
    if name not in RECIPES:
        raise UnknownName(f"no crop recipe is called {name!r}: {suggest(name, list(RECIPES))}")
    return RECIPES[name]


def boxes_of(landmarks: Array) -> Float32:
    """The tight box of each frame's points: (T, N, 2) -> (T, 4) float32 x0, y0, x1, y1."""
    return np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1).astype(np.float32)


def matrices(landmarks: Array, recipe: str, *, size: tuple[int, int] | None = None) -> Float64:
    """One affine per frame for a crop recipe: (T, 478, 2) pixels -> (T, 2, 3) float64, source -> crop.

    size: (height, width) of the crop, by default the recipe's. The smoothing looks at neighbouring frames, so
    the matrices of a part of a track differ near its ends from those of the whole.
    """
    rule = recipe_of(recipe)
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or len(points) == 0:
        raise BadInput(f"landmarks are {points.shape}, expected (T, 478, 2) with T >= 1")
    if not np.isfinite(points).all():
        raise BadInput("landmarks hold nan or infinite values; a track has none")
    height, width = size or rule.size
    low, high = points.min(axis=1), points.max(axis=1)
    wide, tall = (high - low).T
    half = 0.5 * _DETECTOR_SIZE * np.maximum(np.maximum(wide, tall), 1.0)
    x = 0.5 * (low[:, 0] + high[:, 0])
    y = 0.5 * (low[:, 1] + high[:, 1]) - _DETECTOR_RISE * tall
    half, x, y = (_smooth(values, rule.smooth, rule.window) for values in (half, x, y))
    left, right = x - half * (1 + rule.scale), x + half * (1 + rule.scale)
    top, bottom = y - half * rule.up, y + half * rule.down
    out = np.zeros((len(points), 2, 3))
    # The crop's pixel edges, not its pixel centres, meet the edges of the region: hence the halves.
    out[:, 0, 0] = width / (right - left)
    out[:, 1, 1] = height / (bottom - top)
    out[:, 0, 2] = (0.5 - left) * out[:, 0, 0] - 0.5
    out[:, 1, 2] = (0.5 - top) * out[:, 1, 1] - 0.5
    return out


def _smooth(values: Float64, kind: str, window: int) -> Float64:
    padded = np.pad(values, window // 2, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, window)
    return np.asarray(np.median(views, axis=1) if kind == "median" else views.mean(axis=1), np.float64)


def invert(transforms: Array) -> Float64:
    """The way back: (T, 2, 3) source -> crop becomes crop -> source.

    >>> invert(np.array([[[2.0, 0.0, 4.0], [0.0, 2.0, 6.0]]])).tolist()
    [[[0.5, 0.0, -2.0], [0.0, 0.5, -3.0]]]
    """
    forward = np.asarray(transforms, np.float64)
    linear = np.linalg.inv(forward[:, :, :2])
    shift = -np.einsum("tij,tj->ti", linear, forward[:, :, 2])
    # + 0.0 turns -0.0 into 0.0, which prints and hashes differently.
    return np.concatenate([linear, shift[:, :, None]], axis=2) + 0.0


def apply(transforms: Array, points: Array) -> Float64:
    """Points (T, N, 2) through matrices (T, 2, 3), float64."""
    forward = np.asarray(transforms, np.float64)
    return np.asarray(
        np.einsum("tij,tnj->tni", forward[:, :, :2], points) + forward[:, None, :, 2], np.float64
    )


def warp(frames: UInt8, transforms: Array, size: tuple[int, int], *, border: int = 0) -> UInt8:
    """Each frame through its matrix: (T, H, W, 3) uint8 -> (T, h, w, 3) uint8, size = (h, w).

    Bilinear; where a crop is less than half its source region, the frame is first halved by 2 x 2 means (as
    often as needed), so that fine texture does not alias. Outside the picture: the grey level `border`.
    """
    import cv2

    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise BadInput(f"frames are {frames.dtype} {frames.shape}, expected uint8 (T, H, W, 3)")
    if len(transforms) != len(frames):
        raise BadInput(f"{len(transforms)} matrices for {len(frames)} frames")
    height, width = size
    out = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, matrix, crop in zip(frames, np.asarray(transforms, np.float64), out, strict=True):
        picture, affine = frame, matrix
        while abs(np.linalg.det(affine[:, :2])) < 0.25 and min(picture.shape[:2]) > 2:
            picture, affine = _halve(picture, affine)
        cv2.warpAffine(
            picture,
            affine,
            (width, height),
            dst=crop,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(border, border, border),
        )
    return out


def _halve(picture: UInt8, affine: Float64) -> tuple[UInt8, Float64]:
    import cv2

    height, width = (side // 2 * 2 for side in picture.shape[:2])
    small = cv2.resize(picture[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    # Pixel x of the half picture has its centre at 2 x + 0.5 of the whole one.
    linear = affine[:, :2] * 2
    shift = affine[:, 2] + affine[:, :2] @ np.array([0.5, 0.5])
    return small, np.concatenate([linear, shift[:, None]], axis=1)


def crop(frames: UInt8, landmarks: Array, recipe: str, size: tuple[int, int] | None = None) -> UInt8:
    """The aligned crop of each frame: (T, H, W, 3), (T, 478, 2) -> (T, h, w, 3) uint8."""
    rule = recipe_of(recipe)
    return warp(frames, matrices(landmarks, recipe, size=size), size or rule.size, border=rule.border)


def paste(frames: UInt8, crops: UInt8, transforms: Array) -> UInt8:
    """Put crops back where their receipts say they were cut: (T, H, W, 3) with the crop region replaced.

    transforms: (T, 2, 3) source -> crop, those that cut the crops. Pixels outside the crop are untouched.
    """
    import cv2

    if not len(frames) == len(crops) == len(transforms):
        raise BadInput(f"{len(crops)} crops and {len(transforms)} matrices for {len(frames)} frames")
    out = frames.copy()
    size = (frames.shape[2], frames.shape[1])
    inside = np.full(crops.shape[1:3], 255, np.uint8)
    for canvas, part, back in zip(out, crops, invert(transforms), strict=True):
        placed = cv2.warpAffine(part, back, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        # Only pixels whose centre lies on the crop: a half covered rim would darken towards the border
        # colour.
        mask = cv2.warpAffine(inside, back, size, flags=cv2.INTER_NEAREST)
        np.copyto(canvas, placed, where=mask[:, :, None] > 0)
    return out
