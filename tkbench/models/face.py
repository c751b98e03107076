"""The face that the generators draw: how it is cut, which of its pixels they may see, how it is put back.

The pose prior is the target frame without its lower half; the network never gets those pixels. The cut must not tell
them either: a detector's box grows with the jaw, so the small configurations cut by eyes and nose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tkbench.crops import align
from tkbench.crops.recipes import recipe_of
from tkbench.errors import BadInput
from tkbench.types import Array, Float32, Float64, UInt8

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of the canvas is the face: a crop recipe and the side of the square; stored in every checkpoint."""

    recipe: str = "face-128"
    size: int = 128

    def __post_init__(self) -> None:
        recipe_of(self.recipe)

    def matrices(self, landmarks: Array) -> Float64:
        """(T, N, 2) canvas pixels -> (T, 2, 3), canvas -> crop."""
        return align.matrices(landmarks, self.recipe, size=(self.size, self.size))

    def faces(self, video: UInt8, matrices: Float64, *, cubic: bool = False) -> UInt8:
        """(T, H, W, 3) RGB -> (T, size, size, 3) RGB, as training windows are cut, or bicubic."""
        border = recipe_of(self.recipe).border
        return align.warp(video, matrices, (self.size, self.size), border=border, cubic=cubic)

    def enlarged(self, matrices: Float64, times: int) -> tuple[Cut, Float64]:
        """The same part of the canvas in `times` as many pixels a side: its cut, and its matrices from this one's."""
        larger = np.asarray(matrices, np.float64) * times
        # Pixel edges stay on pixel edges: centre x of the small picture is x * times + (times - 1) / 2 of the large.
        larger[..., 2] += (times - 1) / 2
        return Cut(self.recipe, self.size * times), larger


def scaled(faces: torch.Tensor, black: float) -> torch.Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32 BGR in [black, 1]; black is 0 or -1.

    Blue first: the order in which these networks were published.
    """
    return faces.flip(-1).movedim(-1, -3).float() * ((1 - black) / 255) + black


def pixels(faces: torch.Tensor, black: float) -> torch.Tensor:
    """The inverse of `scaled`: (..., 3, H, W) BGR in [black, 1] -> (..., H, W, 3) uint8 RGB."""
    grey = ((faces.float() - black) * (255 / (1 - black))).round().clamp(0, 255).byte()
    return grey.movedim(-3, -1).flip(-1)


def hidden(faces: torch.Tensor) -> torch.Tensor:
    """The pose prior: (..., 3, H, W) with its lower half 0, which is black in [0, 1] and mid-grey in [-1, 1]."""
    out = faces.clone()
    out[..., faces.shape[-2] // 2 :, :] = 0
    return out


def generator_input(target: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The masked target over a reference of the same range: (..., 3, H, W) each -> (..., 6, H, W)."""
    import torch

    return torch.cat([hidden(target), reference], dim=-3)


def feather(size: int) -> Float32:
    """(size, size) in [0, 1]: how much of each pixel is taken from the generated face.

    1 in the lower half, falling to 0 towards the crop's sides and bottom, and above the middle, where the
    generator was shown the true picture. In the inner part of the lower half every pixel is generated: nothing of the
    target remains there.
    """
    band = max(2, size // 16)
    place = np.arange(size, dtype=np.float32)
    from_top = np.clip((place - (size // 2 - band)) / band, 0, 1)
    from_edge = np.clip((np.minimum(place, size - 1 - place) + 0.5) / band, 0, 1)
    bottom = np.clip((size - 1 - place + 0.5) / band, 0, 1)
    return np.asarray((from_top * bottom)[:, None] * from_edge[None], np.float32)


def oval(landmarks: Array, matrix: Float64, size: int) -> Float32:
    """`feather` within the outline of a face alone: (N, 2) canvas pixels and the matrix of its crop -> (size, size).

    The outline is the convex hull of the landmarks, extended downwards for a jaw that opens; the face fades out towards
    it. Use the landmarks of the reference frame: those of the target would tell what the target's jaw does.
    """
    import cv2

    matrix = np.asarray(matrix, np.float64)
    points = np.asarray(landmarks, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    points = np.concatenate([points, points + np.array([0, size / 12])])
    inside = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(inside, cv2.convexHull(points.round().astype(np.int32)), 1.0)
    soft = cv2.GaussianBlur(inside, (0, 0), size / 24, borderType=cv2.BORDER_CONSTANT)
    # Half of the blurred rim lies outside the outline, and would cut ears in two.
    return feather(size) * np.clip(2 * soft - 1, 0, 1)


def paste_faces(video: UInt8, faces: UInt8, matrices: Float64, share: Float32 | None = None) -> UInt8:
    """Paste generated lower halves (T, h, h, 3) into the canvas (T, H, W, 3) RGB, with soft edges.

    share: (h, h), how much of each pixel is taken; by default `feather`, which takes all of the lower half.
    """
    import cv2

    if not len(video) == len(faces) == len(matrices):
        raise BadInput(f"{len(faces)} faces and {len(matrices)} matrices for {len(video)} frames")
    out = video.copy()
    size = (video.shape[2], video.shape[1])
    soft = feather(faces.shape[1]) if share is None else share
    for canvas, face, back in zip(out, faces, align.invert(matrices), strict=True):
        laid = align.warp_affine(face, back, size, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        part = align.warp_affine(soft, back, size, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)[:, :, None]
        canvas[:] = np.rint(canvas + part * (laid.astype(np.float32) - canvas)).astype(np.uint8)
    return out
