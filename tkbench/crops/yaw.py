"""Where a face turns to the side (yaw), from the landmarks of any tracker."""

from __future__ import annotations

import numpy as np

from tkbench.crops.recipes import ibug68
from tkbench.types import Array, Float64

# MediaPipe's canonical face model, centimetres: the outer corners of the eyes lie 4.446 to either side, and the
# tip of the nose (mesh point 4) 4.413 in front of the line between them.
_HALF_EYES, _NOSE = 4.4459, 4.4132


def yaw_of(landmarks: Array) -> Float64:
    """(T, N, 2) points of either set -> (T,) degrees of yaw, positive to the right of the picture.

    A turned head moves the tip of its nose along the line of the eyes, and brings the eyes together: with the
    canonical face, offset over half distance is tan(yaw) * 4.413 / 4.446. A tilt of the head does not matter, a
    nod hardly. An estimate: faces differ from the canonical one, and near lenses exaggerate.

    >>> yaw_of(np.zeros((1, 68, 2))).tolist()
    [0.0]
    """
    points = np.asarray(ibug68(landmarks), np.float64)
    left, right, nose = points[:, 36], points[:, 45], points[:, 30]
    line = right - left
    length = np.maximum(np.linalg.norm(line, axis=1), 1e-9)
    along = ((nose - (left + right) / 2) * line).sum(axis=1) / length
    return np.degrees(np.arctan(along / (length / 2) * _HALF_EYES / _NOSE))
