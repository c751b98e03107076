"""Regions of a face, taken from the true video's landmarks, so that every model is compared on the same pixels.

    full    the whole canvas
    face    the box of all landmarks (those of iBUG end at the brows)
    mouth   a square around the lips, 1.6 median lip widths wide

Boxes are rounded to whole pixels and cut at the border of the picture; nothing is resampled.
"""

from __future__ import annotations

import numpy as np

from tkbench.crops.recipes import point_set
from tkbench.types import Float32

REGIONS = ("full", "face", "mouth")
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""The outer edge of the lips in Face Mesh order; 61 and 291 are the corners."""
Box = tuple[int, int, int, int]


def boxes(landmarks: Float32, region: str, height: int, width: int) -> list[Box]:
    """(x0, y0, x1, y1) of the region "face" or "mouth" in each frame: whole pixels of the picture, ends exclusive.

    landmarks: (T, N, 2) of Face Mesh or iBUG.
    """
    if region == "face":
        low, high = landmarks.min(axis=1), landmarks.max(axis=1)
    else:
        ibug = point_set(landmarks) == "ibug68"
        lips = landmarks[:, 48:60] if ibug else landmarks[:, LIPS]
        left, right = (48, 54) if ibug else (61, 291)
        middle = lips.mean(axis=1)
        # One size for the clip, so that an opening mouth does not change what is compared.
        half = 0.8 * float(np.median(np.linalg.norm(landmarks[:, right] - landmarks[:, left], axis=1)))
        low, high = middle - half, middle + half
    low = np.clip(np.rint(low), 0, (width, height)).astype(int)
    high = np.clip(np.rint(high), 0, (width, height)).astype(int)
    return [(x0, y0, x1, y1) for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True)]
