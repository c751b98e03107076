"""Means with intervals: the mean of clips, and where it may lie, found from the means over parts of the speakers.

The estimand is the mean of clips, as papers print it: a speaker with many clips counts for much. Clips of one speaker
resemble each other, so speakers are what an interval is made from. The mean over every part of them is taken (over
2000 random halves where they are many), and the middle 95 % of these means is the interval (Hartigan 1969; see
`halves`). Its end towards the longer tail moves out by what the skewness of the speakers asks for (Johnson, JASA 1978;
Hall, JRSS B 1992), and no end leaves the bounds of its metric.

Fewer than six speakers have no 95 % interval. The bounds are then how far their means reach, and the level that this
has is said. docs/statistics.md shows how often each law of scores is covered. The result depends on values, clusters
and seed, never on the order of clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tkbench.errors import BadInput
from tkbench.results import halves
from tkbench.results.stretched import stretched
from tkbench.types import Array, Float64

Rule = Literal["halves", "stretched"]
"""How intervals are made. "stretched" is that of bundles up to format 4, for their verification alone."""


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
    reach: float = math.nan
    """Of speakers too few for an interval of the level that was asked for: the level that low and high have at most.
    They are then the lowest and the highest mean of a speaker."""
    cluster_mean: float = math.nan
    """The mean of the speakers' own means, each of which counts once."""
    largest_share: float = math.nan
    """The share of the clips that the speaker with most of them brings."""

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
    rule: Rule = "halves",
) -> Interval:
    """Mean of `values` (n,), nan = unscored, and its interval over `clusters` (n,).

    n_boot: random halves of the clusters, where they are too many to take every part; an even number (protocols of
    version 1 call it so). inf is a value (PSNR of equal pictures). Where all values are inf, so is the mean, and there
    is no interval. Beside finite values it counts as the largest of them; otherwise one copied clip would beat every
    model. One cluster has no interval. Raises BadInput where the lengths differ, `level` is not inside (0, 1) or
    `n_boot` is not positive.

    >>> found = mean_interval([1.0, 3.0, float("nan")], ["a", "b", "b"])
    >>> found.mean, found.low, found.high, found.reach
    (2.0, 1.0, 3.0, 0.5)
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
    scored, note = without_infinity(data[kept])
    sums, counts = cluster_sums(scored, np.asarray(clusters, dtype=str)[kept])
    with np.errstate(invalid="ignore"):  # inf - inf; answered below
        mean = float(np.sort(scored).mean())  # sorted, so that no order of clips moves the last digit
    facts = (n, n_unscored, len(sums))
    if not np.isfinite(scored).all():
        return Interval(mean, math.nan, math.nan, *facts, "an infinite score has no interval")
    share = float(counts.max() / n)
    each = sums / counts
    if len(sums) < 2:
        note = "; ".join(filter(None, ("one speaker gives no interval", note)))
        return Interval(mean, math.nan, math.nan, *facts, note, math.nan, mean, share)
    if rule == "stretched":
        ends = stretched(mean, sums, counts, n_boot=n_boot, seed=seed, level=level)
        return Interval(mean, *ends, *facts, note)
    draws = max(1, n_boot // 2)
    between = float(np.sort(each).mean())
    if not (place := halves.places(len(sums), draws, level)):
        # Every part's mean lies between the lowest and the highest speaker.
        reach = 1 - 2 / 2 ** len(sums)
        ends = min(float(each.min()), mean), max(float(each.max()), mean)  # equal means differ by rounding
        return Interval(mean, *ends, *facts, note, reach, between, share)
    low, high = ends_of_mean(sums[None], counts[None], place, draws=draws, seed=seed)
    return Interval(mean, float(low[0]), float(high[0]), *facts, note, math.nan, between, share)


def ends_of_mean(
    sums: Float64, counts: Float64, place: int, *, draws: int, seed: int
) -> tuple[Float64, Float64]:
    """(low, high) of means over clusters: sums, counts (rows, clusters) -> (rows,) each.

    The end on the side of the longer tail moves out by k3 / 6v + k3 d^2 / 3v^2: v and k3 are the variance and the third
    cumulant of the mean by its clusters, d the distance of that end from the mean. So far does the mean lie from the
    true one more often than a symmetric law says (Johnson's t, solved for the end). It moves by d at most: from few
    speakers with one far outside, a third cumulant is hardly known.
    """
    clusters = sums.shape[1]
    totals = counts.sum(axis=1)
    mean = sums.sum(axis=1) / totals
    low, high = halves.middle(halves.subset_means(sums, counts, draws=draws, seed=seed), place)
    # The sides' means are divided; one of all clusters alike can leave the mean by rounding.
    low, high = np.minimum(low, mean), np.maximum(high, mean)
    parts = (sums - counts * mean[:, None]) / totals[:, None]
    v = (parts**2).sum(axis=1) * clusters / (clusters - 1)
    k3 = (parts**3).sum(axis=1) * clusters**2 / ((clusters - 1) * max(clusters - 2, 1))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        below, above = (
            np.minimum(np.nan_to_num(np.abs(k3) / (6 * v) + np.abs(k3) * d**2 / (3 * v**2), posinf=0.0), d)
            for d in (mean - low, high - mean)
        )
    return low - np.where(k3 < 0, below, 0.0), high + np.where(k3 > 0, above, 0.0)


def cluster_sums(values: Float64, clusters: Array) -> tuple[Float64, Float64]:
    """(sum, number) of values per cluster, in the clusters' sorted order."""
    names, inverse = np.unique(clusters, return_inverse=True)
    # Sorted before summing: the same clips in another order must give the same last digit.
    order = np.lexsort((values, inverse))
    sums = np.bincount(inverse[order], weights=values[order], minlength=len(names)).astype(np.float64)
    return sums, np.bincount(inverse, minlength=len(names)).astype(np.float64)


def without_infinity(scored: Float64) -> tuple[Float64, str]:
    """Scores with the infinite ones set to the largest (or smallest) finite one, and what was done."""
    finite = np.isfinite(scored)
    if finite.all() or not finite.any():
        return scored, ""
    count = int((~finite).sum())
    word = "score counts" if count == 1 else "scores count"
    return np.clip(scored, scored[finite].min(), scored[finite].max()), (
        f"{count} infinite {word} as the {'best' if (scored > 0)[~finite].all() else 'last'} finite one"
    )
