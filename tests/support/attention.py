"""The three steps between the parts of Face Mesh with attention, in numpy.

The trunk of the network makes a mesh of 468 points and a feature map. For the lips and for each eye a branch then
looks at that feature map once more, at a region around the points that the mesh gives, and answers with finer
points (Grishchenko et al., "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time", 2020). MediaPipe has
an operation of its own for each step between trunk and branch; they were read, to be written anew here, in
google-ai-edge/mediapipe@85c0cdc, mediapipe/util/tflite/operations:

- `landmarks_to_transform_matrix.cc` (version 2): `region_matrices`,
- `transform_tensor_bilinear.cc` (version 2): `region_features`,
- `transform_landmarks.cc` (version 2): `place_points`.

Units: the feature map has 48 x 48 cells, so a cell is 4 pixels of the network's picture, which has 192 x 192. All
regions of a face are worked on at once; R is their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

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

    name: str
    corners: tuple[int, int]
    """Points of the mesh that lie level in the region, the left one in the picture first."""
    points: tuple[int, ...]
    """Points of the mesh that the region goes around, and that its branch refines, in the branch's order."""
    iris: tuple[int, ...] = ()
    """Points that the branch adds to the mesh."""


# fmt: off
REGIONS: Final = (
    Region("lips", (61, 291), (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88, 178,
        87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85, 16, 315, 404,
        320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183,
        42, 41, 38, 12, 268, 271, 272, 407,
    )),
    Region("left_eye", (33, 133), (
        33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112,
        243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221,
        189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
    ), (468, 469, 470, 471, 472)),
    Region("right_eye", (362, 263), (
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252,
        256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444,
        443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293,
        334, 296, 336, 285, 417,
    ), (473, 474, 475, 476, 477)),
)
# fmt: on
"""In the network's order. The eyes are named as the network names them: the left one is left in the picture."""


def _cell_centres() -> Float32:
    """(3, 256): x, y and 1 of each cell of a region, row by row; a cell's centre lies half a cell inside."""
    row, column = np.divmod(np.arange(REGION_SIDE * REGION_SIDE), REGION_SIDE)
    return np.stack([column + 0.5, row + 0.5, np.ones(len(row))]).astype(np.float32)


_CENTRES: Final = _cell_centres()


class RegionFinder:
    """Finds the regions of a face from its mesh, always the same ones."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._corners = np.array([region.corners for region in regions])
        # Filled up with a point that is in the region anyway, so that all rows are of one length.
        most = max(len(region.points) for region in regions)
        self._points = np.array(
            [region.points + region.points[:1] * (most - len(region.points)) for region in regions]
        )

    def region_matrices(self, mesh: Float32) -> Float32:
        """Where the regions lie: mesh (468, 2) in cells -> (R, 2, 3), a region's cell (x, y, 1) -> x, y in the map.

        A region is a rectangle, level with its two corners, around its points, enlarged by `MARGIN`.
        """
        left, right = mesh[self._corners].swapaxes(0, 1)
        level = right - left
        length = np.hypot(level[:, 0], level[:, 1])
        # Two corners in one place have no direction: the region stays upright.
        level[length == 0] = (1, 0)
        length[length == 0] = 1
        axes = np.empty((len(level), 2, 2), np.float32)  # of each region: which way its x and y go in the map
        axes[:, :, 0] = level / length[:, None]
        axes[:, 0, 1] = -axes[:, 1, 0]
        axes[:, 1, 1] = axes[:, 0, 0]
        turned = mesh[self._points] @ axes
        low, high = turned.min(axis=1), turned.max(axis=1)
        centre = axes @ ((low + high) / 2)[:, :, None]
        out = np.empty((len(level), 2, 3), np.float32)
        out[:, :, :2] = axes * ((high - low) * np.float32(MARGIN / REGION_SIDE))[:, None, :]
        out[:, :, 2:] = centre - out[:, :, :2].sum(axis=2, keepdims=True) * np.float32(REGION_SIDE / 2)
        return out


def region_features(features: Float32, matrices: Float32) -> Float32:
    """The feature map (48, 48, C) looked up in each region: (R, 16, 16, C), bilinear, 0 outside of the map."""
    channels = features.shape[2]
    x, y = np.moveaxis(matrices @ _CENTRES - np.float32(0.5), 1, 0).reshape(2, -1)
    last = np.float32(MAP_SIDE - 1)
    inside = (x >= 0) & (x <= last) & (y >= 0) & (y <= last)
    column = np.clip(x, 0, MAP_SIDE - 2).astype(np.intp)
    row = np.clip(y, 0, MAP_SIDE - 2).astype(np.intp)
    right, down = x - column, y - row
    shares = np.empty((len(x), 4), np.float32)
    shares[:, 0] = (1 - right) * (1 - down)
    shares[:, 1] = right * (1 - down)
    shares[:, 2] = (1 - right) * down
    shares[:, 3] = right * down
    shares[~inside] = 0
    # Two cells of a row lie side by side in memory, so the four neighbours are two pieces that numpy copies whole.
    cell, line = features.strides[1], features.strides[0]
    squares = as_strided(
        features,
        (MAP_SIDE * (MAP_SIDE - 1) - 1, 2, 2 * channels),
        (cell, line, features.itemsize),
        writeable=False,
    )
    around = squares[row * MAP_SIDE + column].reshape(-1, 4, channels)
    found = np.einsum("nk,nkc->nc", shares, around)
    return found.reshape(len(matrices), REGION_SIDE, REGION_SIDE, channels)


def place_points(points: Float32, matrix: Float32) -> Float32:
    """Points of a region (N, 2), in its pixels, -> (2, N), in pixels of the network's picture."""
    return matrix[:, :2] @ points.T + matrix[:, 2:] * np.float32(PIXELS_PER_CELL)
