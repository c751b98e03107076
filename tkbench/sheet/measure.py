"""The size of a face and its direction (yaw), from its landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tkbench.crops.yaw import yaw_of
from tkbench.types import Array


@dataclass(frozen=True, slots=True)
class Measure:
    """What the landmarks of a clip say; medians over its frames."""

    height: float
    """Of the landmarks' box, canvas pixels."""
    yaw: float
    """Degrees; positive where the nose points to the right of the picture."""
    widest: float
    """The largest yaw without its sign, 95th percentile over the frames."""


def measure(landmarks: Array) -> Measure:
    """(T, N, 2) -> what they say."""
    tall = landmarks[:, :, 1].max(axis=1) - landmarks[:, :, 1].min(axis=1)
    yaw = yaw_of(landmarks)
    return Measure(
        height=float(np.median(tall)),
        yaw=float(np.median(yaw)),
        widest=float(np.percentile(np.abs(yaw), 95)),
    )
