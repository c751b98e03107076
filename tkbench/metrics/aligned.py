"""Landmark distance and lip error after the best alignment in time: soft dynamic time warping, beside the rigid ones.

A model that does not follow the true video frame by frame (most diffusion models) says the same with other timing. A
rigid distance counts that as wrong shapes. Soft-DTW compares each frame with those within 0.2 s and keeps their order
(Cuturi and Blondel, ICML 2017); Zhang et al. (arXiv 2606.01031) propose it for talking faces. The number here is its
divergence, S(a, b) - S(a, a) / 2 - S(b, b) / 2, which is 0 for equal movements (Blondel et al., AISTATS 2021), over
the number of frames. So it has the unit of the rigid distance, and is hardly ever greater than it.

A late mouth is forgiven up to the reach of the window: read these columns with one that sees a lag.
"""

from __future__ import annotations

import math

import numpy as np

from tkbench.errors import BadInput
from tkbench.metrics.base import ON_CPU, BuildContext, Score, TrackedFace
from tkbench.metrics.landmark import MOUTH, POINT_TEXTS, VARIANTS, Points, TrackPair, in_crop
from tkbench.metrics.mouth import aperture
from tkbench.types import Array, Bool, Column, Float64, Sample

WINDOW = 5
"""Frames that an alignment may be off: 0.2 s."""
GAMMA = 0.1
"""How soft the minimum is, in the unit of the distance: a third of what two trackings of one face differ by."""


def band_costs(a: Array, b: Array, window: int = WINDOW) -> Float64:
    """(n, 2 * window + 1) cost of frame i of `a` against frame i + k - window of `b`; inf beyond its ends.

    a, b: (n, P, D). The cost is the Euclidean distance of each of P points, averaged over them.
    """
    if a.shape != b.shape or a.ndim != 3 or len(a) == 0:
        raise BadInput(f"series are {a.shape} and {b.shape}; expected two equal (n, P, D) with n >= 1")
    n = len(a)
    costs = np.full((n, 2 * window + 1), np.inf)
    for k in range(2 * window + 1):
        shift = k - window
        first, last = max(0, -shift), min(n, n - shift)
        if first < last:
            gap = np.linalg.norm(a[first:last] - b[first + shift : last + shift], axis=2)
            costs[first:last, k] = gap.mean(axis=1)
    return costs


def soft_dtw(costs: Float64, gamma: float = GAMMA) -> float:
    """Soft-DTW of two series of equal length from the costs of `band_costs`: the soft minimum over alignments.

    An alignment goes from the first pair to the last by steps of one frame in either or both series. As gamma goes to
    0 this is DTW; with a window of 0 the only alignment is the rigid one, and the number is the sum of its costs.

    >>> soft_dtw(band_costs(np.zeros((3, 1, 1)), np.ones((3, 1, 1)), window=0))
    3.0
    """
    width = costs.shape[1]
    window = width // 2
    inf = math.inf
    before = [inf] * (width + 2)
    before[window + 1] = 0.0  # the cell before the first pair
    start = True
    for row in costs.tolist():
        here = [inf] * (width + 2)
        for k, cost in enumerate(row):
            if cost == inf:
                continue
            # Both series a step, the first alone, the second alone. The cell before the first pair is no such step.
            both, first, second = before[k + 1], inf if start else before[k + 2], here[k]
            best = min(both, first, second)
            if best == inf:
                continue
            total = sum(math.exp((best - x) / gamma) for x in (both, first, second) if x != inf)
            here[k + 1] = cost + best - gamma * math.log(total)
        before, start = here, False
    return before[window + 1]


def divergence(a: Array, b: Array, *, window: int = WINDOW, gamma: float = GAMMA) -> float:
    """Soft-DTW divergence of two series (n, P, D) per frame, in the unit of the points; 0 for equal ones.

    With the plain distance as a cost it can fall below 0 by rounding and little more; it is cut there.
    """
    across, own_a, own_b = (soft_dtw(band_costs(x, y, window), gamma) for x, y in ((a, b), (a, a), (b, b)))
    return max(0.0, (across - (own_a + own_b) / 2) / len(a))


class Aligned(TrackPair):
    """M-LMD and the lip error after soft-DTW; `Lmd` and `Lip` have the rigid ones."""

    name = "aligned"
    compares_with_true_video = True

    def __init__(self, *, points: Points = "mesh", context: BuildContext = ON_CPU) -> None:
        super().__init__(points, context)
        rule = f"soft-dtw:divergence,gamma:{GAMMA:g},window:{WINDOW}"
        self.columns = (
            Column(
                f"lmd_mouth_dtw_{points}",
                f"M-LMD aligned, {points}",
                "px",
                "lower",
                3,
                signature=f"lmd_mouth[{points},{VARIANTS['lmd_mouth'].signature()},{rule}]",
                bounds=(0.0, math.inf),
                also_called=("soft-DTW LMD",),
                text="Landmark distance of the mouth after the best alignment in time (soft-DTW, up to 0.2 s): other "
                "timing of the same movements is forgiven, other movements are not. In pixels of each video's "
                "own 128 × 128 crop. Read it with a column that sees a lag.",
                variant=POINT_TEXTS[points],
            ),
            Column(
                f"lip_error_dtw_{points}",
                f"Lip error aligned, {points}",
                "% of eye distance",
                "lower",
                2,
                signature=f"lip[{points},opening,against:real,{rule}]",
                bounds=(0.0, math.inf),
                text="Error of the lips' opening after the best alignment in time (soft-DTW, up to 0.2 s), in "
                "hundredths of the distance between the outer corners of the eyes. Read it with a column that "
                "sees a lag.",
                variant=POINT_TEXTS[points],
            ),
        )

    def values(self, sample: Sample, tracked: TrackedFace, both: Bool) -> dict[str, Score]:
        """Frames without a face in either video are left out of both."""
        tracks = (sample.landmarks, tracked.landmarks)
        mouths, openings = [], []
        for track in tracks:
            points = in_crop(track, VARIANTS["lmd_mouth"].crop)[both, MOUTH]
            mouths.append(points - points.mean(axis=1, keepdims=True))
            openings.append(100 * aperture(track[both])[:, None, None])
        shapes, lips = self.columns
        return {shapes.name: Score(divergence(*mouths)), lips.name: Score(divergence(*openings))}
