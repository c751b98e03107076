"""Is one model better than another? Differences by clip, clustered by speaker, corrected for the number of tests.

Two models are scored on the same clips, so their difference on each clip is what counts: the spread between clips,
which is most of a mean's uncertainty, cancels. Clips of one speaker resemble each other, so whole speakers change sign.
The interval is that same test turned round: it holds every difference that the test does not reject, so 0 lies outside
of it exactly where p is at most 0.05 (see `halves`). It is the pair's own; `holm` corrects p for the number of pairs,
and a model is called clearly better by the corrected p alone.

The test is exact where the two models are exchangeable. Where differences are very skewed it is liberal:
docs/statistics.md says by how much. The same seed gives the same results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tkbench.errors import BadInput
from tkbench.results import halves
from tkbench.results.stats import cluster_sums
from tkbench.types import Array, Float64

DRAWS = 20_000
"""Splits that are drawn for the pairs of a table, where there are too many speakers to make all."""
DRAWS_PER_PAIR = 40
"""At least so many: Holm's first step asks for a p of 0.05 / pairs, which 20 per pair could just show."""
POWER = 0.8
BOUND, BOUND_OF_EXTREMES = 0.8, 0.9
"""How sure the bound of the error is that a detectable difference rests on; and where a test rejects only if all
speakers agree, which heavy tails make rarer: 0.8 then has a power of 0.74 in the worst cell of docs/statistics.md."""
AT_ONCE = 1 << 23
"""Sums that are in memory at a time: a table of 200 models has 800,000 splits for each of 400 differences."""
TIE = 1e-9
"""Relative tolerance below which a difference with turned signs counts as equal to the observed one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of a minus b over the clips that both have; nan where `note` says why."""

    mean: float
    low: float
    """Of the pair's own interval; nan where so few speakers have none of its level."""
    high: float
    p: float
    """Two-sided, that the two are exchangeable."""
    exact: bool
    """True where every split of the speakers was tried."""
    detectable: float
    """The true difference that so many speakers show with a power of 0.8 or more, at Holm's level for the first of
    `pairs`; inf where there are too few speakers, or draws, to show any."""
    n: int
    n_clusters: int
    n_unpaired: int
    """Clips that only one of the two models has a score for, or neither."""
    note: str = ""


def draws_for(pairs: int) -> int:
    """How many splits are drawn for the pairs of a table, which share them.

    >>> draws_for(1), draws_for(1000)
    (20000, 40000)
    """
    return max(DRAWS, DRAWS_PER_PAIR * pairs)


def paired_difference(
    a: Array | Sequence[float],
    b: Array | Sequence[float],
    clusters: Sequence[str],
    *,
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
    unpaired = int((~kept).sum())
    sums, counts = cluster_sums(gaps[kept], np.asarray(clusters, dtype=str)[kept])
    if len(sums) < 2:
        note = "no clip has a score of both" if not len(sums) else "one speaker gives no test"
        mean = float(sums[0] / counts[0]) if len(sums) else math.nan
        nothing = math.nan
        found = (mean, nothing, nothing, nothing, False, nothing)
        return Difference(*found, int(kept.sum()), len(sums), unpaired, note)
    (tested,) = differences(sums[None], counts, split=Split(n_draws, seed), level=level, pairs=pairs)
    return replace(tested, n_unpaired=unpaired)


@dataclass(frozen=True, slots=True)
class Split:
    """How speakers are split: `n_draws` times at random where they are many, from that seed; see `halves`."""

    n_draws: int = DRAWS
    seed: int = 0


def p_values(models: Float64, pairs: Sequence[tuple[int, int]], split: Split) -> list[float]:
    """The two-sided p of each pair of models, by their summed scores per speaker (models, clusters)."""
    rows = [models[a] - models[b] for a, b in pairs]
    totals = [float(row.sum()) for row in rows]
    ties = [TIE * float(np.abs(row).sum()) for row in rows]
    beyond, splits = [0] * len(pairs), 0
    for part in halves.slices_of_sums(models, draws=split.n_draws, seed=split.seed, fast=True):
        splits += part.shape[1]
        for i, (a, b) in enumerate(pairs):
            side = part[a] - part[b]
            if totals[i] > 0:
                beyond[i] += int(np.count_nonzero(side <= ties[i]))
                beyond[i] += int(np.count_nonzero(totals[i] - side <= ties[i]))
            else:
                beyond[i] += int(np.count_nonzero(side >= -ties[i]))
                beyond[i] += int(np.count_nonzero(totals[i] - side >= -ties[i]))
    return [
        1.0 if abs(total) <= tie else (1 + count) / (1 + splits)
        for total, tie, count in zip(totals, ties, beyond, strict=True)
    ]


def differences(
    sums: Float64, counts: Float64, *, split: Split, level: float = 0.95, pairs: int = 1
) -> list[Difference]:
    """Each row of summed differences (rows, clusters) tested and turned into an interval; counts: (clusters,) clips.

    All rows share the splits of their speakers. For two clusters or more.
    """
    clusters, n = sums.shape[1], int(counts.sum())
    (sizes,) = halves.split_sums(counts[None], draws=split.n_draws, seed=split.seed, fast=True)
    place = halves.places(clusters, split.n_draws, level)
    exact = clusters <= halves.EXACT
    found = []
    for row, part in _row_by_row(sums, split, max(1, AT_ONCE // len(sizes))):
        sides = _sides(row, part)
        low, high = _ends(sides, sizes, n, place) if place else (math.nan, math.nan)
        least = detectable(row, counts, level=level, pairs=pairs, n_draws=split.n_draws)
        found.append(
            Difference(float(row.sum()) / n, low, high, _p(row, sides), exact, least, n, clusters, 0)
        )
    return found


def _row_by_row(sums: Float64, split: Split, step: int) -> Iterator[tuple[Float64, Float64]]:
    """Each row with its sums over the first side of every split; those of `step` rows are in memory at a time."""
    for start in range(0, len(sums), step):
        some = sums[start : start + step]
        yield from zip(
            some, halves.split_sums(some, draws=split.n_draws, seed=split.seed, fast=True), strict=True
        )


def _sides(row: Float64, part: Float64) -> Float64:
    """(2, splits): the sums of both sides of each split, those that are 0 up to rounding set to 0."""
    sides = np.stack([part, row.sum() - part])
    sides[np.abs(sides) <= TIE * np.abs(row).sum()] = 0.0
    return sides


def _p(row: Float64, sides: Float64) -> float:
    """The share of splits, the observed one among them, whose turned signs give as large a total as was observed.

    Turning the signs of one side gives the total less twice that side. Its size is no smaller than that of the total
    where a side's sum is 0 or has the other sign (Phipson & Smyth 2010: so p is never 0).
    """
    total = float(row.sum())
    if abs(total) <= TIE * float(np.abs(row).sum()):
        return 1.0
    beyond = sides <= 0 if total > 0 else sides >= 0
    return (1 + int(beyond.sum())) / (1 + sides.shape[1])


def _ends(sides: Float64, sizes: Float64, n: int, place: int) -> tuple[float, float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.concatenate([sides[0] / sizes, sides[1] / (n - sizes)])
    low, high = halves.middle(means[None], place)
    return float(low[0]), float(high[0])


def sign_test(sums: Float64, *, n_draws: int = DRAWS, seed: int = 0) -> tuple[float, bool]:
    """(two-sided p, whether it is exact) of a total of cluster sums under random signs.

    >>> sign_test(np.array([1.0, 1.0, 1.0]))
    (0.25, True)
    """
    (part,) = halves.split_sums(sums[None], draws=n_draws, seed=seed, fast=True)
    return _p(sums, _sides(sums, part)), len(sums) <= halves.EXACT


def detectable(
    sums: Float64,
    counts: Float64,
    *,
    level: float = 0.95,
    power: float = POWER,
    pairs: int = 1,
    n_draws: int = DRAWS,
) -> float:
    """The true difference that a study of these speakers shows with that power or more: (t of the test's level + t of
    the power) times an upper bound of the standard error.

    The error is that of Bell & McCaffrey (Survey Methodology 2002): residuals of speakers grow by 1 / sqrt(1 - share of
    the clips) (CR2), and the degrees of freedom are those of their sum of squares for independent clips. The bound is
    what the true error lies below in 80 % of studies; without it, half of them would promise too much. The level is
    shared among `pairs` (Holm's first step), and is the one that the test attains. inf where it attains none: the
    smallest p of 5 speakers is 2 / 2^5, above 0.05.
    """
    from scipy.stats import chi2, t

    wanted = 1 - round(1 - level, halves.DIGITS) / pairs
    place = halves.places(len(sums), n_draws, wanted)
    if not place:
        return math.inf
    alpha = halves.attained(len(sums), n_draws, wanted)
    error, freedom = cr2(sums, counts)
    bound = BOUND_OF_EXTREMES if place == 1 and len(sums) <= halves.EXACT else BOUND
    error *= math.sqrt(freedom / chi2.ppf(1 - bound, freedom))
    return float(t.ppf(1 - alpha / 2, freedom) + t.ppf(power, freedom)) * error


def cr2(sums: Float64, counts: Float64) -> tuple[float, float]:
    """(standard error, degrees of freedom) of the mean of clips, after Bell & McCaffrey.

    For a mean, the (K, K) matrix whose squares the degrees of freedom need has closed sums: with shares h = counts / n
    and a = 1 / (1 - h), its diagonal is h, and its other entries are -sqrt(a a') h h'.

    >>> error, freedom = cr2(np.array([1.0, 2.0, 3.0, 6.0]), np.ones(4))
    >>> round(error, 4), round(freedom, 9)  # equal speakers: s / sqrt(4), and 3
    (1.0801, 3.0)
    """
    n = float(counts.sum())
    share = counts / n
    grown = 1 / (1 - share)
    error = math.sqrt(float((grown * (sums - counts * (sums.sum() / n)) ** 2).sum())) / n
    cross = grown * share**2
    squares = float((share**2).sum() + cross.sum() ** 2 - (cross**2).sum())
    return error, 1 / squares


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
