"""A metric for tkbench: the mean absolute error of the pixels, on the whole picture and on regions of the face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tkbench.metrics.base import RegionMetric
from tkbench.types import Column, UInt8


class Mae(RegionMetric):
    """Mean absolute error in grey levels: 0 for equal pictures, 255 for black against white."""

    name = "mae"
    compares_with_true_video = True
    whole = Column(
        name="mae",
        label="MAE",
        unit="grey levels",
        better="lower",
        digits=2,
        bounds=(0, 255),
        text="Mean absolute difference of all pixels. It says nothing of timing.",
        signature="mae[rgb,region:full]",
    )

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        """Frames of the true and of the generated video, (H, W, 3) uint8 RGB each."""
        errors = [np.abs(a.astype(np.int16) - b).mean() for a, b in zip(real, made, strict=True)]
        return float(np.mean(errors))
