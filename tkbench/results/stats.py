"""Means with intervals: a bootstrap over speakers (or sources), exact about what had no score.

Clips of one speaker resemble each other, so whole speakers are drawn, with replacement (a cluster bootstrap: Cameron,
Gelbach & Miller 2008). Percentile intervals of few clusters are too narrow (tests/results/test_stats.py). So their
distance from the mean is stretched by the factor of a sample's variance and by Student's t over the normal (after the
expanded percentile interval of Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
2015). The result depends on values, clusters and seed, never on the order of clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tkbench.errors import BadInput
from tkbench.types import Array, Float64

DRAWS_AT_ONCE = 1 << 21
"""Cluster draws held in memory together: 16 MB of indices, whatever the number of clusters."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it may lie; nan bounds where no interval could be made."""

    mean: float
    low: float
    high: float
    n: int
    """Clips with a score; the mean is over them."""
    n_unscored: int
    """Clips without one; they are not in the mean."""
    n_clusters: int
    note: str = ""
    """Why there is no interval, where there is none; and how infinite scores count."""

    @property
    def coverage(self) -> float:
        """Share of clips with a score, in [0, 1]; nan for no clips at all."""
        total = self.n + self.n_unscored
        return self.n / total if total else math.nan


def mean_interval(
    values: Array | Sequence[float],
    clusters: Sequence[str],
    *,
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Mean of `values` (n,), nan = unscored, and its interval over resampled `clusters` (n,).

    inf is a value (PSNR of equal pictures). Where all values are inf, so is the mean, and there is no interval.
    Beside finite values it counts as the largest of them; otherwise one copied clip would beat every model. One
    cluster has no interval. Raises BadInput where the lengths differ, `level` is not inside (0, 1) or `n_boot` is not
    positive.

    >>> mean_interval([1.0, 3.0, float("nan")], ["a", "b", "b"]).mean
    2.0
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or len(data) != len(clusters):
        raise BadInput(f"values {data.shape} and {len(clusters)} clusters; expected one cluster per value")
    if not 0 < level < 1:
        raise BadInput(f"level {level}: expected a number between 0 and 1, such as 0.95")
    if n_boot < 1:
        raise BadInput(f"n_boot {n_boot}: expected a positive number of draws, such as 2000")
    kept = ~np.isnan(data)
    n, n_unscored = int(kept.sum()), int((~kept).sum())
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, n_unscored, 0, "no clip has a score")
    names, inverse = np.unique(np.asarray(clusters, dtype=str)[kept], return_inverse=True)
    scored, note = _without_infinity(data[kept])
    # Sorted before summing: the same clips in another order must give the same last digit.
    order = np.lexsort((scored, inverse))
    scored, inverse = scored[order], inverse[order]
    with np.errstate(invalid="ignore"):  # inf - inf; answered below
        mean = float(scored.mean())
    if not np.isfinite(scored).all():
        return Interval(
            mean, math.nan, math.nan, n, n_unscored, len(names), "an infinite score has no interval"
        )
    if len(names) < 2:
        note = "; ".join(filter(None, ("one speaker gives no interval", note)))
        return Interval(mean, math.nan, math.nan, n, n_unscored, len(names), note)
    sums = np.bincount(inverse, weights=scored, minlength=len(names))
    counts = np.bincount(inverse, minlength=len(names)).astype(np.float64)
    means = _resampled_means(sums, counts, n_boot, seed)
    tail = (1 - level) / 2
    low, high = mean + stretch(len(names), level) * (np.quantile(means, [tail, 1 - tail]) - mean)
    return Interval(mean, float(low), float(high), n, n_unscored, len(names), note)


def _without_infinity(scored: Float64) -> tuple[Float64, str]:
    """Scores with the infinite ones set to the largest (or smallest) finite one, and what was done."""
    finite = np.isfinite(scored)
    if finite.all() or not finite.any():
        return scored, ""
    count = int((~finite).sum())
    word = "score counts" if count == 1 else "scores count"
    return np.clip(scored, scored[finite].min(), scored[finite].max()), (
        f"{count} infinite {word} as the {'best' if (scored > 0)[~finite].all() else 'last'} finite one"
    )


@lru_cache(maxsize=256)
def stretch(clusters: int, level: float) -> float:
    """How much farther than a percentile of resampled means an interval reaches, for so many clusters.

    The square root of n / (n - 1), because a bootstrap's variance has the divisor n, times Student's t over the normal.

    >>> round(stretch(12, 0.95), 3), round(stretch(10_000, 0.95), 3)
    (1.173, 1.0)
    """
    from scipy.stats import norm, t

    tail = (1 - level) / 2
    return float(math.sqrt(clusters / (clusters - 1)) * t.ppf(tail, clusters - 1) / norm.ppf(tail))


def _resampled_means(sums: Array, counts: Array, n_boot: int, seed: int) -> Float64:
    """(n_boot,) means of as many clusters as there are, drawn with replacement.

    A data set without speakers has a cluster per clip, 25,000 of them in LRW, so the draws are made in slices. The
    sums do not run through BLAS, whose last digits change with its threads.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    n = len(sums)
    step = max(1, DRAWS_AT_ONCE // n)
    means = np.empty(n_boot)
    for start in range(0, n_boot, step):
        drawn = rng.integers(0, n, size=(min(step, n_boot - start), n))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means
