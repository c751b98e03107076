"""Is one model better than another? Differences by clip, clustered by speaker, corrected for the number of tests.

Two models are scored on the same clips, so their difference on each clip is what counts: the spread between clips,
which is most of a mean's uncertainty, cancels. Clips of one speaker resemble each other, so whole speakers are
resampled (for the interval) and whole speakers change sign (in the permutation test). The same seed gives the same
results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tkbench.errors import BadInput
from tkbench.results.stats import mean_interval
from tkbench.types import Array, Float64

EXACT = 16
"""Up to so many speakers every one of the 2^n changes of sign is tried."""
DRAWS = 20_000
POWER = 0.8
TIE = 1e-9
"""Relative tolerance below which a permuted difference counts as equal to the observed one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of a minus b over the clips that both have; nan where `note` says why."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided, that the two are exchangeable."""
    exact: bool
    """True where every permutation was tried."""
    detectable: float
    """The smallest true difference that these speakers show with a power of about 80 %, at Holm's level for the first
    of `pairs`; inf where there are too few speakers to show any."""
    n: int
    n_clusters: int
    n_unpaired: int
    """Clips that only one of the two models has a score for, or neither."""
    note: str = ""


def paired_difference(
    a: Array | Sequence[float],
    b: Array | Sequence[float],
    clusters: Sequence[str],
    *,
    n_boot: int = 2000,
    n_draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
    pairs: int = 1,
) -> Difference:
    """Compare two models clip by clip: a, b (n,) with nan for unscored, clusters (n,).

    pairs: how many differences are tested together; it decides what is detectable, not p, which `holm` corrects.

    Where both are inf (PSNR of equal pictures) the difference is 0; where one is, the clip counts as unpaired.
    Raises BadInput where lengths differ.

    >>> paired_difference([2.0, 3.0], [1.0, 2.0], ["x", "y"]).mean
    1.0
    """
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if left.shape != right.shape or left.ndim != 1 or len(left) != len(clusters):
        raise BadInput(
            f"values {left.shape} and {right.shape}, {len(clusters)} clusters; expected equal lengths"
        )
    with np.errstate(invalid="ignore"):
        gaps = np.where(left == right, 0.0, left - right)
    kept = np.isfinite(gaps)
    interval = mean_interval(np.where(kept, gaps, np.nan), clusters, n_boot=n_boot, seed=seed, level=level)
    unpaired = int((~kept).sum())
    nothing = math.nan
    if interval.n_clusters < 2:
        note = "no clip has a score of both" if not interval.n else "one speaker gives no test"
        return Difference(
            interval.mean,
            nothing,
            nothing,
            nothing,
            False,
            nothing,
            interval.n,
            interval.n_clusters,
            unpaired,
            note,
        )
    sums, counts = cluster_sums(gaps[kept], np.asarray(clusters, dtype=str)[kept])
    p, exact = sign_test(sums, n_draws=n_draws, seed=seed)
    return Difference(
        interval.mean,
        interval.low,
        interval.high,
        p,
        exact,
        detectable(sums, counts, level=level, pairs=pairs, n_draws=n_draws),
        interval.n,
        interval.n_clusters,
        unpaired,
    )


def cluster_sums(values: Float64, clusters: Array) -> tuple[Float64, Float64]:
    """(sum, number) of values per cluster, in the clusters' sorted order."""
    names, inverse = np.unique(clusters, return_inverse=True)
    # Sorted before summing: the same clips in another order must give the same last digit.
    order = np.lexsort((values, inverse))
    sums = np.bincount(inverse[order], weights=values[order], minlength=len(names)).astype(np.float64)
    return sums, np.bincount(inverse, minlength=len(names)).astype(np.float64)


def sign_test(sums: Float64, *, n_draws: int = DRAWS, seed: int = 0) -> tuple[float, bool]:
    """(two-sided p, whether it is exact) of a total of cluster sums under random signs.

    Up to 16 clusters all signs are tried. Beyond, `n_draws` random ones are, and the observed one counts as one of them
    (Phipson & Smyth 2010), so p is never 0.

    >>> sign_test(np.array([1.0, 1.0, 1.0]))
    (0.25, True)
    """
    found = abs(float(sums.sum()))
    edge = found - TIE * float(np.abs(sums).sum())
    n = len(sums)
    if n <= EXACT:
        # The first cluster keeps its sign: the other half has the same totals with the sign changed.
        signs = 1 - 2 * ((np.arange(2 ** (n - 1))[:, None] >> np.arange(n - 1)) & 1)
        totals = np.abs(sums[0] + signs @ sums[1:])
        return float(np.mean(totals >= edge)), True
    rng = np.random.Generator(np.random.PCG64(seed))
    count = 0
    step = max(1, (1 << 22) // n)
    for start in range(0, n_draws, step):
        signs = rng.integers(0, 2, size=(min(step, n_draws - start), n), dtype=np.int8) * 2 - 1
        count += int((np.abs((signs * sums).sum(axis=1)) >= edge).sum())
    return (1 + count) / (1 + n_draws), False


def detectable(
    sums: Float64,
    counts: Float64,
    *,
    level: float = 0.95,
    power: float = POWER,
    pairs: int = 1,
    n_draws: int = DRAWS,
) -> float:
    """The minimum detectable effect: (t of the level + t of the power) times the clustered standard error.

    The level is shared among `pairs` (Holm's first step). inf where the smallest p that so many clusters can have is
    above it: with 5 speakers that is 2 / 2^5, above 0.05.
    """
    from scipy.stats import t

    n, clusters = float(counts.sum()), len(sums)
    alpha = (1 - level) / pairs
    smallest = 2.0 / 2**clusters if clusters <= EXACT else 1 / (1 + n_draws)
    if smallest > alpha:
        return math.inf
    rest = sums - counts * (sums.sum() / n)
    error = math.sqrt(float((rest**2).sum()) * clusters / (clusters - 1)) / n
    return float(t.ppf(1 - alpha / 2, clusters - 1) + t.ppf(power, clusters - 1)) * error


def holm(ps: Sequence[float]) -> list[float]:
    """The p values corrected for their number (Holm 1979); nan stays nan and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [math.nan] * len(ps)
    order = sorted((p, place) for place, p in enumerate(ps) if not math.isnan(p))
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[place] = largest
    return corrected


def rank_intervals(
    values: Sequence[Array],
    clusters: Sequence[str],
    *,
    higher_is_better: bool,
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[tuple[int, int]]:
    """The interval of each model's rank over resampled speakers: 1 is best, ties share the better rank.

    values: one (n,) array per model over the same clips, nan = unscored; a model without any score comes last.
    """
    names, inverse = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    table = np.stack([np.asarray(row, np.float64) for row in values])
    if table.shape[1] != len(inverse):
        raise BadInput(f"values {table.shape} and {len(inverse)} clusters; expected one cluster per clip")
    scored = ~np.isnan(table)
    sums = np.zeros((len(table), len(names)))
    counts = np.zeros_like(sums)
    for row, (line, kept) in enumerate(zip(table, scored, strict=True)):
        sums[row] = np.bincount(inverse[kept], weights=line[kept], minlength=len(names))
        counts[row] = np.bincount(inverse[kept], minlength=len(names))
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.integers(0, len(names), size=(n_boot, len(names)))
    ranks = np.empty((n_boot, len(table)))
    for place, row in enumerate(drawn):
        with np.errstate(invalid="ignore"):
            means = sums[:, row].sum(axis=1) / counts[:, row].sum(axis=1)
        worth = np.where(np.isnan(means), -np.inf, means if higher_is_better else -means)
        ranks[place] = 1 + (worth[None, :] > worth[:, None]).sum(axis=1)
    tail = (1 - level) / 2
    low = np.quantile(ranks, tail, axis=0, method="lower").astype(int)
    high = np.quantile(ranks, 1 - tail, axis=0, method="higher").astype(int)
    return list(zip(low.tolist(), high.tolist(), strict=True))
