"""PSNR and SSIM of a generated video against the true one, frame by frame, on regions of the face (`regions`).

Frames are (H, W, 3) uint8 RGB; nothing is resized. PSNR: peak signal to noise ratio in dB. SSIM: the index of Wang et
al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 2004, with its Gaussian
window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Literal, get_args

import cv2
import numpy as np

from tkbench.errors import BadInput, UnknownName
from tkbench.metrics.base import ON_CPU, BuildContext, RegionMetric
from tkbench.registry import suggest
from tkbench.types import Column, Float32, Float64, UInt8

SIGMA = 1.5
RADIUS = 5
"""scikit-image cuts the Gaussian at 3.5 sigma: 11 taps."""
SMALLEST = 2 * RADIUS + 1
"""Pixels a side below which no whole window is left."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
By = Literal["tkbench", "scikit-image"]
"""Who computes a metric: the functions of this module, or the library that they are held against."""


def mse(real: UInt8, made: UInt8) -> Float64:
    """Mean squared difference per frame, (T,) float64, exact; real, made: (T, H, W, 3) uint8.

    >>> black, grey = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 200, np.uint8)
    >>> float(mse(black, grey)[0])
    40000.0
    """
    check_pictures(real, made)
    errors = np.empty(len(real))
    for t, (a, b) in enumerate(zip(real, made, strict=True)):
        gap = cv2.absdiff(a, b).ravel().astype(np.float64)  # whole numbers: their sum of squares is exact
        errors[t] = gap @ gap / gap.size
    return errors


def psnr(error: Float64) -> Float64:
    """Peak signal to noise ratio in dB of mean squared errors on the 0-255 scale; inf for no error."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / np.asarray(error, dtype=np.float64))


def ssim(real: UInt8, made: UInt8) -> Float64:
    """Structural similarity per frame, (T,) float64: the mean over channels and all whole windows.

    real, made: (T, H, W, 3) uint8, at least 11 pixels a side. Equal to skimage.metrics.structural_similarity
    with gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255 (Wang et al. 2004); the
    largest gap seen is 3e-7, from single-precision filters.
    """
    check_pictures(real, made)
    if min(real.shape[1:3]) < SMALLEST:
        raise BadInput(f"pictures are {real.shape[2]}x{real.shape[1]}; SSIM needs at least 11 pixels a side")
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    return np.array([_ssim_frame(a, b, taps) for a, b in zip(real, made, strict=True)])


def _ssim_frame(real: UInt8, made: UInt8, taps: Float32) -> float:
    """SSIM from sum and difference of the pictures: four filterings instead of five, and less cancellation."""
    if np.array_equal(real, made):
        return 1.0  # by definition, without any filtering: anchors show the true pictures
    a, b = real.astype(np.float32), made.astype(np.float32)
    # Variances are taken about the mean level of the pictures, which saves two digits in float32.
    level = np.float32(a.mean(dtype=np.float64) + b.mean(dtype=np.float64))
    both = cv2.add(a, b)
    both -= level
    gap = cv2.subtract(a, b, dst=a)
    # a and b are not needed any more. Every step below writes into arrays that exist: new memory costs more than sums.
    sum_mean, sum_var = _mean_and_variance(both, taps, b)
    gap_mean, gap_var = _mean_and_variance(gap, taps, b)
    sum_mean += level
    np.multiply(sum_mean, sum_mean, out=sum_mean)
    np.multiply(gap_mean, gap_mean, out=gap_mean)
    # With s = a + b and d = a - b: 2 E(a) E(b) = (E(s)^2 - E(d)^2) / 2 and E(a)^2 + E(b)^2 = (E(s)^2 + E(d)^2) / 2.
    # The same holds for variances.
    value = sum_mean - gap_mean
    value += np.float32(2 * C1)
    other = sum_var - gap_var
    other += np.float32(2 * C2)
    value *= other
    sum_mean += gap_mean
    sum_mean += np.float32(2 * C1)
    sum_var += gap_var
    sum_var += np.float32(2 * C2)
    sum_mean *= sum_var
    value /= sum_mean
    return float(np.mean(value, dtype=np.float64))


def _mean_and_variance(picture: Float32, taps: Float32, scratch: Float32) -> tuple[Float32, Float32]:
    """Gaussian-weighted mean and variance over the windows inside the picture; both inputs are overwritten."""
    inside = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    mean: Float32 = cv2.sepFilter2D(picture, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REFLECT)[inside]
    square = cv2.multiply(picture, picture, dst=picture)
    filtered: Float32 = cv2.sepFilter2D(square, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REFLECT)
    variance = filtered[inside]
    variance -= np.multiply(mean, mean, out=scratch[: mean.shape[0], : mean.shape[1]])
    return mean, variance


def check_pictures(real: UInt8, made: UInt8) -> None:
    """Raise BadInput unless both are (T, H, W, 3) uint8 of one shape, with at least one frame."""
    if real.dtype != np.uint8 or made.dtype != np.uint8 or real.ndim != 4 or real.shape[-1] != 3:
        raise BadInput(
            f"pictures are {real.dtype} {real.shape} and {made.dtype}; expected uint8 (T, H, W, 3)"
        )
    if real.shape != made.shape or len(real) == 0:
        raise BadInput(
            f"pictures are {real.shape} and {made.shape}; expected equal shapes with at least one frame"
        )


class Psnr(RegionMetric):
    """PSNR of RGB pixels in dB; inf for identical videos.

    `pool`: "clip" takes the mean squared error over the whole clip first. "frame" is the mean of each frame's PSNR,
    which is inf as soon as one frame is identical (the first one of `still` is).
    """

    name = "psnr"
    compares_with_true_video = True
    smallest = SMALLEST

    def __init__(
        self,
        *,
        regions: Sequence[str] = ("full", "mouth"),
        pool: Literal["clip", "frame"] = "clip",
        by: By = "tkbench",
        context: BuildContext = ON_CPU,
    ) -> None:
        if pool not in ("clip", "frame"):
            raise UnknownName(f"no pooling is called {pool!r}: {suggest(pool, ['clip', 'frame'])}")
        self.pool, self.by = pool, check_by(by)
        self.whole = Column(
            "psnr",
            "PSNR",
            "dB",
            "higher",
            2,
            signature=f"psnr[rgb,peak:255,pool:{pool},region:full]",
            bounds=(0.0, math.inf),
            also_called=("peak signal-to-noise ratio",),
            text="Pixel error against the true video on a logarithmic scale; ∞ for identical videos. It "
            "rewards a still picture in the right place, and is nearly blind to whether the mouth says the "
            "right thing.",
        )
        self.whole = by_column(self.whole, by)
        super().__init__(regions=regions, context=context)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = list(zip(real, made, strict=True))
        if self.by == "scikit-image":
            from skimage.metrics import mean_squared_error

            errors: Float64 = np.array([mean_squared_error(a, b) for a, b in pairs], np.float64)
        else:
            errors = np.concatenate([mse(a[None], b[None]) for a, b in pairs])
        if self.pool == "frame":
            return float(psnr(errors).mean())
        sizes = np.array([a.size for a in real], dtype=np.float64)
        return float(psnr(np.asarray(np.average(errors, weights=sizes), np.float64)))


class Ssim(RegionMetric):
    """Mean SSIM over the frames of a clip: Gaussian window, RGB, 1 for identical videos."""

    name = "ssim"
    compares_with_true_video = True
    smallest = SMALLEST
    cached = True
    whole = Column(
        "ssim",
        "SSIM",
        "index",
        "higher",
        4,
        signature="ssim[rgb,gauss:1.5,range:255,region:full]",
        bounds=(-1.0, 1.0),
        also_called=("structural similarity index",),
        text="Likeness of local structure to the true video, 1 for identical videos. Like PSNR it compares "
        "pictures frame by frame, and it hardly sees timing.",
    )

    def __init__(
        self,
        *,
        regions: Sequence[str] = ("full", "mouth"),
        by: By = "tkbench",
        context: BuildContext = ON_CPU,
    ) -> None:
        self.by = check_by(by)
        self.whole = by_column(Ssim.whole, by)
        super().__init__(regions=regions, context=context)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = zip(real, made, strict=True)
        if self.by == "scikit-image":
            return float(np.mean([ssim_of_skimage(a, b) for a, b in pairs]))
        return float(np.mean(np.concatenate([ssim(a[None], b[None]) for a, b in pairs])))


def ssim_of_skimage(real: UInt8, made: UInt8) -> float:
    """SSIM of one frame (H, W, 3) by scikit-image, with the settings of the published definition."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            real,
            made,
            channel_axis=2,
            data_range=255,
            gaussian_weights=True,
            sigma=SIGMA,
            use_sample_covariance=False,
        )
    )


def check_by(by: str) -> By:
    """Who computes a metric; UnknownName for another."""
    known: tuple[By, ...] = get_args(By)
    for name in known:
        if name == by:
            return name
    raise UnknownName(f"nothing called {by!r} computes this metric: {suggest(by, list(known))}")


def by_column(column: Column, by: By) -> Column:
    """The column of a metric that scikit-image computes itself: a name of its own, its release in the signature."""
    if by == "tkbench":
        return column
    release = version("scikit-image")
    return replace(
        column,
        name=f"{column.name}_skimage",
        label=f"{column.label}, scikit-image",
        signature=column.signature.replace(",region:full", f",by:scikit-image-{release},region:full"),
        variant=f"Computed by scikit-image {release} itself.",
    )
