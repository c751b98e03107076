"""The three steps between the parts of Face Mesh with attention, in numpy, to hold the networks' own steps against.

MediaPipe has an operation of its own for each; they were read, to be written anew here, in
google-ai-edge/mediapipe@85c0cdc, mediapipe/util/tflite/operations (each in version 2):

- `landmarks_to_transform_matrix.cc`: `region_matrices`,
- `transform_tensor_bilinear.cc`: `region_features`,
- `transform_landmarks.cc`: `place_points`.

Units: the feature map has 48 x 48 cells, so a cell is 4 pixels of the network's picture, which has 192 x 192. R is
the number of regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tkbench.types import Float32

MAP_SIDE: Final = 48
"""Cells of the feature map, each way."""
REGION_SIDE: Final = 16
"""Cells of a region, each way."""
PIXELS_PER_CELL: Final = 4
"""Pixels of the network's picture to a cell of the feature map."""
MARGIN: Final = 1.5
"""Side of a region over the side of the box around its points."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the face that a branch refines."""

    corners: tuple[int, int]
    """Points of the mesh that lie level in the region, the left one in the picture first."""
    points: tuple[int, ...]
    """Points of the mesh that the region goes around, and that its branch refines, in the branch's order."""
    iris: tuple[int, ...] = ()
    """Points that the branch adds to the mesh."""


# fmt: off
REGIONS: Final = (
    Region((61, 291), (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88, 178,
        87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85, 16, 315, 404,
        320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183,
        42, 41, 38, 12, 268, 271, 272, 407,
    )),
    Region((33, 133), (
        33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112,
        243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221,
        189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
    ), (468, 469, 470, 471, 472)),
    Region((362, 263), (
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252,
        256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444,
        443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293,
        334, 296, 336, 285, 417,
    ), (473, 474, 475, 476, 477)),
)
# fmt: on
"""Lips, the eye that is left in the picture, the other eye."""


def region_matrices(mesh: Float32, regions: Sequence[Region]) -> Float32:
    """Where the regions lie: mesh (468, 2) in cells -> (R, 2, 3), a region's cell (x, y, 1) -> x, y in the map.

    A region is a rectangle, level with its two corners, around its points, enlarged by `MARGIN`.
    """
    out = np.empty((len(regions), 2, 3), np.float32)
    for matrix, region in zip(out, regions, strict=True):
        left, right = mesh[list(region.corners)]
        turn = np.arctan2(right[1] - left[1], right[0] - left[0])
        axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        turned = mesh[list(region.points)] @ axes
        low, high = turned.min(axis=0), turned.max(axis=0)
        matrix[:, :2] = axes * ((high - low) * MARGIN / REGION_SIDE)
        matrix[:, 2] = axes @ ((low + high) / 2) - matrix[:, :2].sum(axis=1) * (REGION_SIDE / 2)
    return out


def region_features(features: Float32, matrices: Float32) -> Float32:
    """The feature map (48, 48, C) looked up in each region: (R, 16, 16, C), bilinear, 0 outside of the map."""
    row, column = np.mgrid[:REGION_SIDE, :REGION_SIDE] + 0.5
    centres = np.stack([column, row, np.ones_like(row)])
    out = np.empty((len(matrices), REGION_SIDE, REGION_SIDE, features.shape[2]), np.float32)
    for region, matrix in zip(out, matrices, strict=True):
        x, y = np.tensordot(matrix, centres, 1) - 0.5
        inside = (x >= 0) & (x <= MAP_SIDE - 1) & (y >= 0) & (y <= MAP_SIDE - 1)
        i, j = (np.clip(at, 0, MAP_SIDE - 2).astype(int) for at in (x, y))
        right, down = (x - i)[..., None], (y - j)[..., None]
        upper = features[j, i] * (1 - right) + features[j, i + 1] * right
        lower = features[j + 1, i] * (1 - right) + features[j + 1, i + 1] * right
        region[:] = (upper * (1 - down) + lower * down) * inside[..., None]
    return out


def place_points(points: Float32, matrix: Float32) -> Float32:
    """Points of a region (N, 2), in its pixels, -> (2, N), in pixels of the network's picture."""
    return matrix[:, :2] @ points.T + matrix[:, 2:] * np.float32(PIXELS_PER_CELL)
