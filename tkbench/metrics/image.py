"""PSNR and SSIM of a generated video against the true one, frame by frame, on named regions.

Regions come from the true video's landmarks, so every model is compared on the same pixels: `full` is the
whole canvas, `face` the box of all landmarks, `mouth` a square around the lips, 1.6 median lip widths wide.
Boxes are rounded to whole pixels and cut at the border; nothing is resampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from tkbench.crops.recipes import point_set
from tkbench.errors import BadInput, UnknownName
from tkbench.metrics.base import ClipScores, Scored, unscored, video_fault
from tkbench.registry import suggest
from tkbench.runtime.feature_cache import recall
from tkbench.types import Float32, Float64, Metric, Reason, Sample, UInt8

REGIONS = ("full", "face", "mouth")
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""The outer edge of the lips in Face Mesh order; 61 and 291 are the corners."""
SIGMA = 1.5
RADIUS = 5
"""scikit-image cuts the Gaussian at 3.5 sigma: 11 taps."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
Box = tuple[int, int, int, int]


def mse(real: UInt8, made: UInt8) -> Float64:
    """Mean squared difference per frame, (T,) float64, exact; real, made: (T, H, W, 3) uint8.

    >>> black, grey = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 200, np.uint8)
    >>> float(mse(black, grey)[0])
    40000.0
    """
    _check(real, made)
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
    _check(real, made)
    if min(real.shape[1:3]) < 2 * RADIUS + 1:
        raise BadInput(f"pictures are {real.shape[2]}x{real.shape[1]}; SSIM needs at least 11 pixels a side")
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    return np.array([_ssim_frame(a, b, taps) for a, b in zip(real, made, strict=True)])


def _ssim_frame(real: UInt8, made: UInt8, taps: Float32) -> float:
    """SSIM from sum and difference of the pictures: four filterings, not five, and less cancellation."""
    if np.array_equal(real, made):
        return 1.0  # by definition; the anchors with true pictures need no filter to know it
    a, b = real.astype(np.float32), made.astype(np.float32)
    # Variances are taken about the level of the pictures: in float32 that is worth two digits.
    level = np.float32(a.mean(dtype=np.float64) + b.mean(dtype=np.float64))
    both = cv2.add(a, b)
    both -= level
    gap = cv2.subtract(a, b, dst=a)
    # a and b are used up; every step below writes into what is there, since fresh pages cost more than sums.
    sum_mean, sum_var = _mean_and_variance(both, taps, b)
    gap_mean, gap_var = _mean_and_variance(gap, taps, b)
    sum_mean += level
    np.multiply(sum_mean, sum_mean, out=sum_mean)
    np.multiply(gap_mean, gap_mean, out=gap_mean)
    # With s = a + b and d = a - b: 2 E(a)E(b) = (E(s)^2 - E(d)^2) / 2, E(a)^2 + E(b)^2 = (E(s)^2 + E(d)^2) /
    # 2; the same with variances.
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


def _check(real: UInt8, made: UInt8) -> None:
    if real.dtype != np.uint8 or made.dtype != np.uint8 or real.ndim != 4 or real.shape[-1] != 3:
        raise BadInput(
            f"pictures are {real.dtype} {real.shape} and {made.dtype}; expected uint8 (T, H, W, 3)"
        )
    if real.shape != made.shape or len(real) == 0:
        raise BadInput(
            f"pictures are {real.shape} and {made.shape}; expected equal shapes with at least one frame"
        )


def boxes(landmarks: Float32, region: str, height: int, width: int) -> list[Box]:
    """(x0, y0, x1, y1) of `region` in each frame, whole pixels inside the picture, ends exclusive.

    landmarks: (T, N, 2) of the mesh or of iBUG, whose face ends at the brows.
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


class _Image:
    """What PSNR and SSIM share: regions, columns and the checks before them."""

    name = ""
    smallest = 2 * RADIUS + 1
    """Pixels a side below which a region is unscored."""
    slow = False
    """Whether reading a value back (`tkbench.runtime.feature_cache`) is cheaper than working it out."""
    weights: dict[str, str]

    def __init__(self, *, regions: Sequence[str] = ("full", "mouth")) -> None:
        for region in regions:
            if region not in REGIONS:
                raise UnknownName(f"no region is called {region!r}: {suggest(region, list(REGIONS))}")
        self.regions = tuple(regions)
        self.weights = {}
        self.columns: tuple[Metric, ...] = tuple(self.column(region) for region in self.regions)

    def column(self, region: str) -> Metric:
        raise NotImplementedError

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        """The value of one clip; frames (H, W, 3) may differ in size from one to the next."""
        raise NotImplementedError

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """One value per region; a region that is too small or not in the picture is unscored."""
        fault = video_fault(sample, video)
        if fault is not None:
            return unscored(self.columns, *fault)
        values = zip(self.columns, self.regions, strict=True)
        return ClipScores({column.name: self._region(sample, video, region) for column, region in values})

    def _region(self, sample: Sample, video: UInt8, region: str) -> Scored:
        if region == "full":
            where = [(0, 0, video.shape[2], video.shape[1])] * len(video)
        elif not np.isfinite(sample.landmarks).all():
            return Scored(math.nan, Reason.NOT_FINITE, "landmarks hold nan or inf")
        else:
            where = boxes(sample.landmarks, region, *video.shape[1:3])
        smallest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in where)
        if smallest < self.smallest:
            detail = f"{region} is {smallest} pixels at its smallest; at least {self.smallest} are needed"
            return Scored(math.nan, Reason.FACE_TOO_SMALL, detail)

        def make() -> tuple[Float64]:
            real, made = (
                [frame[y0:y1, x0:x1] for frame, (x0, y0, x1, y1) in zip(source, where, strict=True)]
                for source in (sample.video, video)
            )
            return (np.array([self.of_clip(real, made)]),)

        if not self.slow:
            return Scored(float(make()[0][0]))
        column = next(c for c, name in zip(self.columns, self.regions, strict=True) if name == region)
        (value,) = recall(column.signature, sample.video, video, np.array(where), make=make)
        return Scored(float(value[0]))


class Psnr(_Image):
    """PSNR of RGB pixels in dB; inf for identical videos.

    `pool`: "clip" takes the mean squared error over the whole clip first; "frame" is the mean of each frame's
    PSNR, which is inf as soon as one frame is identical (the first one of `still` is).
    """

    compares = True

    def __init__(
        self, *, regions: Sequence[str] = ("full", "mouth"), pool: Literal["clip", "frame"] = "clip"
    ) -> None:
        if pool not in ("clip", "frame"):
            raise UnknownName(f"no pooling is called {pool!r}: {suggest(pool, ['clip', 'frame'])}")
        self.pool = pool
        super().__init__(regions=regions)

    def column(self, region: str) -> Metric:
        suffix = "" if region == "full" else f"_{region}"
        label = "PSNR" if region == "full" else f"PSNR ({region})"
        facts = f"psnr[rgb,peak:255,pool:{self.pool},region:{region}]"
        return Metric("psnr" + suffix, label, "dB", "higher", 2, signature=facts)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = list(zip(real, made, strict=True))
        errors = np.concatenate([mse(a[None], b[None]) for a, b in pairs])
        if self.pool == "frame":
            return float(psnr(errors).mean())
        sizes = np.array([a.size for a in real], dtype=np.float64)
        return float(psnr(np.average(errors, weights=sizes)))


class Ssim(_Image):
    """Mean SSIM over the frames of a clip: Gaussian window, RGB, 1 for identical videos."""

    compares = True

    slow = True

    def column(self, region: str) -> Metric:
        suffix = "" if region == "full" else f"_{region}"
        label = "SSIM" if region == "full" else f"SSIM ({region})"
        facts = f"ssim[rgb,gauss:1.5,range:255,region:{region}]"
        return Metric("ssim" + suffix, label, "", "higher", 4, signature=facts)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = zip(real, made, strict=True)
        return float(np.mean(np.concatenate([ssim(a[None], b[None]) for a, b in pairs])))
