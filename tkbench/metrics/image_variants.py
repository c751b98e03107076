"""PSNR and SSIM as some published tables have them, under names of their own; no bundled protocol has them.

`ssim-uniform` is scikit-image's default (7x7 mean filter, sample covariance), which ATVGnet reports, and all who took
over its evaluation_matrix.py; scikit-image itself computes it. `psnr-wrapped-uint8` is a fault of that script and of
TalkLip's visual_quality.py: differences and squares of uint8 wrap modulo 256, so noise of any strength scores 27.9 dB
or more. It is here to compare with tables that are known to have it, never to rank by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tkbench.errors import BadInput
from tkbench.metrics.base import RegionMetric
from tkbench.metrics.image import SMALLEST, check_pictures, psnr
from tkbench.types import Column, Float64, UInt8

SIDE = 7
"""Pixels of the uniform window."""


def mse_wrapped(real: UInt8, made: UInt8) -> Float64:
    """What `np.mean((a - b) ** 2)` is on uint8 arrays, per frame, (T,) float64; real, made: (T, H, W, 3).

    >>> black, grey = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 16, np.uint8)
    >>> float(mse_wrapped(black, grey)[0])
    0.0
    """
    check_pictures(real, made)
    return np.array([np.mean((a - b) ** 2, dtype=np.float64) for a, b in zip(real, made, strict=True)])


def ssim_uniform(real: UInt8, made: UInt8) -> Float64:
    """SSIM per frame, (T,) float64, with a 7x7 mean window: mean over channels and all whole windows.

    real, made: (T, H, W, 3) uint8, at least 7 pixels a side. scikit-image computes it, with its own defaults.
    """
    from skimage.metrics import structural_similarity

    check_pictures(real, made)
    if min(real.shape[1:3]) < SIDE:
        raise BadInput(
            f"pictures are {real.shape[2]}x{real.shape[1]}; this SSIM needs at least {SIDE} pixels a side"
        )
    pairs = zip(real, made, strict=True)
    return np.array(
        [structural_similarity(a, b, win_size=SIDE, channel_axis=2, data_range=255) for a, b in pairs],
        np.float64,
    )


class PsnrWrapped(RegionMetric):
    """PSNR from squared differences that wrap modulo 256, pooled over the clip; not a measure of likeness."""

    name = "psnr-wrapped-uint8"
    compares_with_true_video = True
    smallest = SMALLEST
    whole = Column(
        "psnr_wrapped_uint8",
        "PSNR wrapped uint8",
        "dB",
        "higher",
        2,
        signature="psnr-wrapped-uint8[rgb,peak:255,pool:clip,region:full]",
        bounds=(0.0, math.inf),
        text="PSNR with a fault of published scripts: pixel errors wrap modulo 256, so even strong noise "
        "scores 27.9 dB. Only for comparison with tables that are known to have this fault.",
    )

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        errors = [mse_wrapped(a[None], b[None])[0] for a, b in zip(real, made, strict=True)]
        return float(psnr(np.average(errors, weights=[a.size for a in real])))


class SsimUniform(RegionMetric):
    """Mean SSIM over the frames of a clip with a 7x7 mean window: 1 for identical videos."""

    name = "ssim-uniform"
    compares_with_true_video = True
    smallest = SMALLEST
    whole = Column(
        "ssim_uniform",
        "SSIM uniform",
        "index",
        "higher",
        4,
        signature="ssim[rgb,uniform:7,sample-covariance,range:255,region:full]",
        bounds=(-1.0, 1.0),
        text="SSIM with the uniform 7 × 7 window that is scikit-image's default: likeness of local structure, 1 for "
        "identical videos. Only for comparison with tables that were made with this default.",
    )

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = zip(real, made, strict=True)
        return float(np.mean(np.concatenate([ssim_uniform(a[None], b[None]) for a, b in pairs])))
