"""MS-SSIM: structural similarity at five scales, or at fewer where pictures are small.

Wang, Simoncelli and Bovik, "Multiscale Structural Similarity for Image Quality Assessment", Asilomar 2003; the number
of VainF/pytorch-msssim 1.0.0. Frames are (H, W, 3) uint8 RGB of at least 161 pixels a side.

The canvas of LRS2 has 160 pixels, one too few for five scales. With four scales (81 pixels a side) the weights are the
first four of the published ones, divided by their sum, so that they still add up to 1. That is another number, with a
column of its own (`ms_ssim4`).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tkbench.errors import BadInput, UsageError
from tkbench.metrics.base import ON_CPU, BuildContext, RegionMetric
from tkbench.metrics.image import C1, C2, RADIUS, SIGMA, check_pictures
from tkbench.types import Column, Float64, UInt8

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, finest first, as measured by the authors on observers."""
SCALES = len(WEIGHTS)


def smallest(scales: int) -> int:
    """Pixels a side that so many scales need: 11 are left for the window at the coarsest.

    >>> [smallest(n) for n in (5, 4, 3)]
    [161, 81, 41]
    """
    return 2 * RADIUS * 2 ** (scales - 1) + 1


def weights_of(scales: int) -> tuple[float, ...]:
    """The exponents of the first `scales` scales, divided by their sum; the published ones for all five.

    >>> [round(w, 4) for w in weights_of(4)]
    [0.0517, 0.3295, 0.3462, 0.2726]
    """
    if scales == SCALES:
        return WEIGHTS
    total = sum(WEIGHTS[:scales])
    return tuple(weight / total for weight in WEIGHTS[:scales])


def ms_ssim(real: UInt8, made: UInt8, *, scales: int = SCALES) -> Float64:
    """MS-SSIM of each frame, (T,) float64 in [0, 1]: the mean over the colour channels; 1 for identical frames.

    real, made: (T, H, W, 3) uint8, at least 161 pixels a side for five scales. Contrast and structure at all scales,
    luminance at the last one, each to the power of its weight; negative means count as 0. Equal to pytorch-msssim
    1.0.0's ms_ssim(data_range=255) on the same pictures; the largest gap seen is 3e-15 in double precision. Between
    scales 2 x 2 pixels are averaged; a side that is odd gets a row of zeros at both ends first, as there.
    """
    check_pictures(real, made)
    if min(real.shape[1:3]) < smallest(scales):
        found = f"{real.shape[2]}x{real.shape[1]}"
        raise BadInput(
            f"pictures are {found}; MS-SSIM at {scales} scales needs at least {smallest(scales)} pixels a side"
        )
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    powers = weights_of(scales)
    return np.array([_frame(a, b, taps, powers) for a, b in zip(real, made, strict=True)])


def _frame(real: UInt8, made: UInt8, taps: Float64, powers: Sequence[float]) -> float:
    if np.array_equal(real, made):
        return 1.0
    a, b = real.astype(np.float64), made.astype(np.float64)
    value = np.ones(3)
    for scale, weight in enumerate(powers):
        last = scale == len(powers) - 1
        value *= np.maximum(_terms(a, b, taps, whole=last), 0.0) ** weight
        if not last:
            a, b = _halved(a), _halved(b)
    return float(value.mean())


def _terms(a: Float64, b: Float64, taps: Float64, *, whole: bool) -> Float64:
    """(3,) mean over all whole windows of contrast times structure, and of luminance too if `whole`."""
    mean_a, mean_b = _filtered(a, taps), _filtered(b, taps)
    var_a = _filtered(a * a, taps) - mean_a**2
    var_b = _filtered(b * b, taps) - mean_b**2
    both = _filtered(a * b, taps) - mean_a * mean_b
    value = (2 * both + C2) / (var_a + var_b + C2)
    if whole:
        value *= (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return np.asarray(value.mean(axis=(0, 1)))


def _filtered(picture: Float64, taps: Float64) -> Float64:
    smooth = cv2.sepFilter2D(picture, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smooth[RADIUS:-RADIUS, RADIUS:-RADIUS], np.float64)


def _halved(picture: Float64) -> Float64:
    height, width = picture.shape[:2]
    even = np.pad(picture, ((height % 2, height % 2), (width % 2, width % 2), (0, 0)))
    even = even[: even.shape[0] // 2 * 2, : even.shape[1] // 2 * 2]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)


class MsSsim(RegionMetric):
    """Mean MS-SSIM over every `stride`-th frame of a clip, RGB; a region below 161 pixels is unscored.

    scales: 5 as published, or 4 for pictures from 81 pixels (LRS2 has 160), or 3 from 41.
    """

    name = "ms_ssim"
    compares_with_true_video = True
    cached = True

    def __init__(
        self,
        *,
        regions: Sequence[str] = ("full",),
        stride: int = 1,
        scales: int = SCALES,
        context: BuildContext = ON_CPU,
    ) -> None:
        if stride < 1:
            raise UsageError(f"MS-SSIM stride {stride}: expected 1 or more frames")
        if not 3 <= scales <= SCALES:
            raise UsageError(f"MS-SSIM scales {scales}: expected 3, 4 or 5")
        self.stride, self.scales = stride, scales
        self.smallest = smallest(scales)
        if scales > 3:
            self.instead = f"the setting scales = {scales - 1} scores from {smallest(scales - 1)} pixels"
        whole = scales == SCALES
        powers = "" if whole else ",weights:first-renormalised"
        words = "five" if whole else {4: "four", 3: "three"}[scales]
        less = "" if whole else ", with the weights of the finest ones divided by their sum"
        self.whole = Column(
            "ms_ssim" if whole else f"ms_ssim{scales}",
            "MS-SSIM" if whole else f"MS-SSIM, {words} scales",
            "index",
            "higher",
            4,
            signature=f"ms_ssim[rgb,gauss:1.5,scales:{scales}{powers},range:255,odd:zero-rows,region:full,"
            f"stride:{stride}]",
            bounds=(0.0, 1.0),
            also_called=("multi-scale SSIM",) if whole else (),
            text=f"SSIM at {words} scales{less}, 1 for identical videos: it forgives fine noise more than SSIM does.",
            variant=""
            if whole
            else "For pictures that are too small for five scales; it never compares with those.",
        )
        super().__init__(regions=regions, context=context)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = list(zip(real, made, strict=True))[:: self.stride]
        return float(
            np.mean(np.concatenate([ms_ssim(a[None], b[None], scales=self.scales) for a, b in pairs]))
        )
