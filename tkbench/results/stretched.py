"""The intervals of bundles up to format 4: stretched percentiles of a bootstrap over speakers.

They are kept so that such a bundle can still be verified; new ones have the intervals of `stats`, which cover more
(docs/statistics.md). Whole speakers are drawn with replacement, and the distance of the percentiles from the mean is
stretched by the factor of a sample's variance and by Student's t over the normal.
"""

from __future__ import annotations

import math

import numpy as np

from tkbench.types import Float64

DRAWS_AT_ONCE = 1 << 21
"""Cluster draws held in memory together: 16 MB of indices, whatever the number of clusters."""


def stretched(
    mean: float, sums: Float64, counts: Float64, *, n_boot: int, seed: int, level: float
) -> tuple[float, float]:
    """(low, high) of a mean over clusters with these sums and counts of scores."""
    tail = (1 - level) / 2
    means = _resampled_means(sums, counts, n_boot, seed)
    low, high = mean + stretch(len(sums), level) * (np.quantile(means, [tail, 1 - tail]) - mean)
    return float(low), float(high)


def stretch(clusters: int, level: float) -> float:
    """How much farther than a percentile of resampled means the interval reaches, for so many clusters.

    >>> round(stretch(12, 0.95), 3), round(stretch(10_000, 0.95), 3)
    (1.173, 1.0)
    """
    from scipy.stats import norm, t

    tail = (1 - level) / 2
    return float(math.sqrt(clusters / (clusters - 1)) * t.ppf(tail, clusters - 1) / norm.ppf(tail))


def _resampled_means(sums: Float64, counts: Float64, n_boot: int, seed: int) -> Float64:
    """(n_boot,) means of as many clusters as there are, drawn with replacement."""
    rng = np.random.Generator(np.random.PCG64(seed))
    n = len(sums)
    step = max(1, DRAWS_AT_ONCE // n)
    means = np.empty(n_boot)
    for start in range(0, n_boot, step):
        drawn = rng.integers(0, n, size=(min(step, n_boot - start), n))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means
