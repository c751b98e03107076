"""The geometry of crops: landmarks of a track -> one affine per frame -> aligned crops, and back.

A matrix (2, 3) maps a SOURCE pixel (x, y, 1) to a CROP pixel, with pixel centres on whole numbers, as
`cv2.warpAffine` takes it. Preparation stores the matrices of a clip as its receipts: they say how each
crop was cut. So a generated video can be cut by the true video's track, and a generated crop can be pasted back.
`tkbench.crops.recipes` lists the crops and their sources.
"""

from __future__ import annotations

import numpy as np

from tkbench.crops.recipes import RECIPES, CropRecipe, extent, eyes_and_nose, face_box, recipe_of
from tkbench.errors import BadInput
from tkbench.types import Array, Float32, Float64, UInt8

__all__ = [
    "RECIPES",
    "CropRecipe",
    "apply",
    "boxes_of",
    "crop",
    "invert",
    "matrices",
    "paste",
    "recipe_of",
    "warp",
    "warp_one",
]


def boxes_of(landmarks: Array) -> Float32:
    """The tight box of each frame's points: (T, N, 2) -> (T, 4) float32 x0, y0, x1, y1."""
    return np.concatenate(extent(landmarks), axis=1).astype(np.float32)


def matrices(landmarks: Array, recipe: str, *, size: tuple[int, int] | None = None) -> Float64:
    """One affine per frame for a crop recipe: (T, N, 2) pixels -> (T, 2, 3) float64, source -> crop.

    landmarks: 478 mesh points or 68 iBUG points, distinguished by their number; `tkbench.crops.recipes` says which of
    them a recipe reads. size: (height, width) of the crop, by default the recipe's. A recipe that smooths uses
    neighbouring frames, so the matrices of a part of a track differ near its ends from those of the whole track.
    """
    rule = recipe_of(recipe)
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or len(points) == 0:
        raise BadInput(f"landmarks are {points.shape}, expected (T, 478, 2) or (T, 68, 2) with T >= 1")
    if not np.isfinite(points).all():
        raise BadInput("landmarks hold nan or infinite values; a track has none")
    height, width = size or rule.size
    if rule.kind == "similarity":
        return _similarities(eyes_and_nose(points), rule, height, width)
    x, y, wide, tall = face_box(points)
    if rule.kind == "square":
        half, x, y = (smooth(v, rule) for v in (0.5 * np.maximum(wide, tall), x, y))
        left, right = x - half * (1 + rule.scale), x + half * (1 + rule.scale)
        top, bottom = y - half * rule.up, y + half * rule.down
    else:
        above, below, before, behind = rule.pads
        sides = np.stack(
            [x - wide / 2 - before, y - tall / 2 - above, x + wide / 2 + behind, y + tall / 2 + below]
        )
        left, top, right, bottom = smooth(sides.T, rule).T
    out = np.zeros((len(points), 2, 3))
    # The crop's pixel edges, not its pixel centres, meet the edges of the region: hence the halves.
    out[:, 0, 0] = width / (right - left)
    out[:, 1, 1] = height / (bottom - top)
    out[:, 0, 2] = (0.5 - left) * out[:, 0, 0] - 0.5
    out[:, 1, 2] = (0.5 - top) * out[:, 1, 1] - 0.5
    return out


def smooth(values: Float64, rule: CropRecipe) -> Float64:
    """(T,) or (T, C) values smoothed over time, as the recipe says."""
    window, total = rule.window, len(values)
    if rule.smooth == "none":
        return values
    if rule.smooth == "median":
        padded = np.pad(values, window // 2, mode="edge")
        return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1))
    # "ahead": each frame becomes the mean of itself and the next ones. The last frames take the mean of the
    # last `window` frames, in place and one after the other, so each mean includes the smoothed values of earlier
    # frames. Wav2Lip's loop does that, also for tracks shorter than the window.
    out = values.copy()
    whole = max(0, total - window + 1)
    if whole:
        out[:whole] = np.lib.stride_tricks.sliding_window_view(values, window, axis=0).mean(axis=-1)
    for i in range(whole, total):
        out[i] = out[total - window :].mean(axis=0)
    return out


def _similarities(points: Float64, rule: CropRecipe, height: int, width: int) -> Float64:
    """The rotation, scale and shift per frame that bring points (T, K, 2) onto the recipe's template.

    Fitted as the source does it: the template is fitted to the points (least squares in source pixels,
    Umeyama 1991) and the result is inverted.
    """
    template = np.asarray(rule.template, np.float64)
    own = template - template.mean(axis=0)
    middle = points.mean(axis=1)
    there = points - middle[:, None]
    # In the plane, a rotation with a scale is one complex number.
    a = own[:, 0] + 1j * own[:, 1]
    b = there[..., 0] + 1j * there[..., 1]
    turn = (b @ a.conj()) / (np.abs(a) ** 2).sum()
    turn = np.where(np.abs(turn) < 1e-6, 1e-6, turn)  # all points in one place: not a face, but invertible
    back = np.empty((len(points), 2, 3))
    back[:, 0, 0] = back[:, 1, 1] = turn.real
    back[:, 0, 1], back[:, 1, 0] = -turn.imag, turn.imag
    back[:, :, 2] = middle - back[:, :, :2] @ template.mean(axis=0)
    out = invert(back)
    # From the recipe's own size to the given one; the edges of both coincide, not the centres.
    grow = np.array([width / rule.size[1], height / rule.size[0]])
    out *= grow[:, None]
    out[:, :, 2] += 0.5 * grow - 0.5
    return out


def invert(transforms: Array) -> Float64:
    """The inverse affines: (T, 2, 3) source -> crop becomes crop -> source.

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


def warp(
    frames: UInt8, transforms: Array, size: tuple[int, int], *, border: int = 0, cubic: bool = False
) -> UInt8:
    """Each frame through its matrix: (T, H, W, 3) uint8 -> (T, h, w, 3) uint8, size = (h, w).

    Bilinear, or bicubic, which keeps more detail. Where a crop is less than half as large as its source region, the
    frame is first halved by 2 x 2 means, as often as needed, so that fine texture does not alias. Outside the picture
    the crop has the grey level `border`.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise BadInput(f"frames are {frames.dtype} {frames.shape}, expected uint8 (T, H, W, 3)")
    if len(transforms) != len(frames):
        raise BadInput(f"{len(transforms)} matrices for {len(frames)} frames")
    height, width = size
    out = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, matrix, crop in zip(frames, np.asarray(transforms, np.float64), out, strict=True):
        warp_one(frame, matrix, size, (border, border, border), crop, cubic=cubic)
    return out


def warp_one(
    picture: UInt8,
    affine: Float64,
    size: tuple[int, int],
    border: tuple[int, ...],
    out: UInt8 | None = None,
    *,
    cubic: bool = False,
) -> UInt8:
    """One picture through one matrix, as `warp` does it: (H, W) or (H, W, C) uint8 -> (h, w) or (h, w, C)."""
    import cv2

    while (
        abs(affine[0, 0] * affine[1, 1] - affine[0, 1] * affine[1, 0]) < 0.25 and min(picture.shape[:2]) > 2
    ):
        picture, affine = _halve(picture, affine)
    how = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return warp_affine(picture, affine, (size[1], size[0]), how, cv2.BORDER_CONSTANT, border, out)


def warp_affine(
    picture: Array,
    affine: Float64,
    size: tuple[int, int],
    how: int,
    edge: int,
    border: tuple[int, ...] = (),
    out: Array | None = None,
) -> Array:
    """`cv2.warpAffine` with the bits of OpenCV 4, whichever OpenCV is installed.

    OpenCV 4 looks pixels up on a grid of 1/32 pixel; 5 computes places in float32, so that its crops differ by a few
    grey levels at edges. There the grid is made here, and handed to `cv2.remap`.
    """
    import cv2

    if int(cv2.__version__.partition(".")[0]) < 5:
        return cv2.warpAffine(picture, affine, size, dst=out, flags=how, borderMode=edge, borderValue=border)
    grid = grid_of_opencv_4(affine, size)
    return cv2.remap(picture, *grid, how, dst=out, borderMode=edge, borderValue=border)


def grid_of_opencv_4(affine: Float64, size: tuple[int, int]) -> tuple[Array, Array]:
    """Where OpenCV 4's `warpAffine` looks: whole pixels (h, w, 2) int16 and 32nds of them (h, w) uint16; size = (w, h).

    It inverts the matrix in double precision, and adds two rounded terms in steps of 1/1024 pixel.
    """
    (a, b, x), (c, d, y) = np.asarray(affine, np.float64).tolist()
    scale = a * d - b * c
    scale = 1 / scale if scale else 0.0
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    x, y = -a * x - b * y, -c * x - d * y
    column, row = np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64)[:, None]
    whole, part = np.empty((size[1], size[0], 2), np.int16), np.zeros((size[1], size[0]), np.int64)
    for axis, (right, down, start) in enumerate(((a, b, x), (c, d, y))):
        at = np.rint((down * row + start) * 1024).astype(np.int64) + 16
        at = (at + np.rint(right * column * 1024).astype(np.int64)) >> 5
        whole[:, :, axis] = np.clip(at >> 5, -32768, 32767)
        part += (at & 31) << (5 * axis)
    return whole, part.astype(np.uint16)


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
    """Paste crops back to where they were cut: (T, H, W, 3) with the crop region replaced.

    transforms: (T, 2, 3) source -> crop, those that cut the crops. Pixels outside the crop are untouched.
    """
    import cv2

    if not len(frames) == len(crops) == len(transforms):
        raise BadInput(f"{len(crops)} crops and {len(transforms)} matrices for {len(frames)} frames")
    out = frames.copy()
    size = (frames.shape[2], frames.shape[1])
    inside = np.full(crops.shape[1:3], 255, np.uint8)
    for canvas, part, back in zip(out, crops, invert(transforms), strict=True):
        placed = warp_affine(part, back, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        # Only pixels whose centre lies on the crop: a rim that is half covered would be mixed with the border colour.
        mask = cv2.warpAffine(inside, back, size, flags=cv2.INTER_NEAREST)
        np.copyto(canvas, placed, where=mask[:, :, None] > 0)
    return out
