"""Is the gap between the best and the worst stratum more than chance? Speakers are permuted between strata.

The hypothesis is that a stratum makes no difference: a speaker could as well have been in another one. A speaker whose
clips all lie in one stratum changes places with other such speakers; one who has clips in several strata keeps them,
and changes the strata of these parts (for two strata: turns the sign of the difference). So speakers are paired exactly
where they are in both, and the others still count. Whole speakers move, with all of their clips, because clips of one
speaker resemble each other.

Each time, the strata's means and the gap between the best and the worst are taken anew, so a gap that is large only
because it is the largest of many pairs is not called large. The gap is taken in units of its standard error over
speakers, since a stratum of few speakers scatters farther than one of many. p is the share of permutations with a gap
as large as the observed one, the observed one among them: it is never 0. docs/statistics.md has how often it errs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tkbench.errors import BadInput
from tkbench.results.stats import without_infinity
from tkbench.types import Array, Better, Float64

DRAWS = 4000
"""Permutations of a table; fewer where there are very many speakers (`MOST_WORK`)."""
LEAST_DRAWS = 999
MOST_WORK = 40_000_000
"""Permutations x parts of speakers."""
LEAST_SPEAKERS = 2
"""Of a stratum that is tested."""
AT_ONCE = 1_000_000
"""Parts of speakers whose permutations are in memory together."""
TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Gap:
    """The best stratum less the worst on one metric; nan where `note` says why."""

    best: int
    """Place of the stratum, -1 where there is none."""
    worst: int
    size: float
    """By how much they differ, never negative."""
    p: float
    """That the strata make no difference."""
    n_speakers: int
    """Of the strata that were compared."""
    n_paired: int
    """Of these, speakers with clips in the best and in the worst stratum."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What speakers have in strata: a part is one speaker's clips in one stratum."""

    sums: Float64
    counts: Float64
    group: Array
    speaker: Array


def gap(
    values: Array | Sequence[float],
    speakers: Sequence[str],
    groups: Sequence[int],
    *,
    better: Better,
    draws: int = DRAWS,
    seed: int = 0,
) -> Gap:
    """Compare strata: values (n,) with nan for unscored, speakers (n,), groups (n,) with -1 for clips left out.

    Where 0 is best, sizes without signs are compared. Strata of fewer than `LEAST_SPEAKERS` speakers stay out. The
    same seed gives the same p, in any order of the clips.

    >>> found = gap(
    ...     [1.0, 1.1, 0.9, 1.2, 3.0, 3.2, 2.9, 3.1], list("abcdefgh"), [0] * 4 + [1] * 4, better="higher"
    ... )
    >>> found.best, found.worst, round(found.size, 2), round(found.p, 2)
    (1, 0, 2.0, 0.03)
    """
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not len(data) == len(speakers) == len(groups):
        raise BadInput(
            f"values {data.shape}, {len(speakers)} speakers, {len(groups)} groups; expected equal lengths"
        )
    place = np.asarray(groups, np.int64)
    kept = ~np.isnan(data) & (place >= 0)
    scored = without_infinity(np.abs(data[kept]) if better == "zero" else data[kept])[0]
    parts = _parts_of(scored, np.asarray(speakers, dtype=str)[kept], place[kept])
    present = [int(g) for g in np.unique(parts.group) if (parts.group == g).sum() >= LEAST_SPEAKERS]
    if len(present) < 2 or not np.isfinite(scored).all():
        few = "fewer than two strata with two speakers or more" if len(present) < 2 else "no finite score"
        return Gap(-1, -1, math.nan, math.nan, 0, 0, few)
    inside = np.isin(parts.group, present)
    parts = _Parts(
        parts.sums[inside],
        parts.counts[inside],
        np.searchsorted(present, parts.group[inside]),
        np.unique(parts.speaker[inside], return_inverse=True)[1],
    )
    means = _group_sums(parts.sums, parts.group, len(present)) / _group_sums(
        parts.counts, parts.group, len(present)
    )
    high, low = int(means.argmax()), int(means.argmin())
    best, worst = (high, low) if better == "higher" else (low, high)
    in_best, in_worst = (set(parts.speaker[parts.group == g].tolist()) for g in (best, worst))
    singles, several = _split(parts)
    reached = _arrangements(parts, singles, several)
    size = float(means[high] - means[low])
    facts = (len(set(parts.speaker.tolist())), len(in_best & in_worst))
    if size <= TIE * float(np.abs(parts.sums).max() / parts.counts.min()):
        return Gap(present[best], present[best], 0.0, 1.0, *facts)
    if reached <= 1:
        return Gap(present[best], present[worst], size, math.nan, *facts, "no speaker can change places")
    draws = max(LEAST_DRAWS, min(draws, MOST_WORK // len(parts.sums)))
    statistic = _statistics(parts, len(present), parts.group[None])[0]
    rng = np.random.Generator(np.random.PCG64(seed))
    beyond = 0
    for start in range(0, draws, step := max(1, AT_ONCE // len(parts.sums))):
        n = min(step, draws - start)
        drawn = _statistics(parts, len(present), _permuted(parts.group, singles, several, n, rng))
        beyond += int((drawn >= statistic * (1 - TIE)).sum())
    note = f"too few speakers: p is at least {1 / reached:.2g}" if reached * 0.05 < 1 else ""
    p = max((1 + beyond) / (1 + draws), 1 / reached)
    return Gap(present[best], present[worst], size, p, *facts, note)


def _parts_of(values: Float64, speakers: Array, groups: Array) -> _Parts:
    names = np.unique(speakers, return_inverse=True)[1]
    both = names * (int(groups.max(initial=0)) + 1) + groups
    where, inverse = np.unique(both, return_inverse=True)
    # Sorted before summing: the same clips in another order must give the same last digit.
    order = np.lexsort((values, inverse))
    sums = np.bincount(inverse[order], weights=values[order], minlength=len(where))
    counts = np.bincount(inverse, minlength=len(where)).astype(np.float64)
    width = int(groups.max(initial=0)) + 1
    return _Parts(sums.astype(np.float64), counts, where % width, where // width)


def _group_sums(what: Float64, group: Array, n: int) -> Float64:
    return np.bincount(group, weights=what, minlength=n).astype(np.float64)


def _split(parts: _Parts) -> tuple[Array, list[Array]]:
    """The parts of speakers in one stratum (S,), and of those in k strata, for each k, (speakers, k)."""
    order = np.argsort(parts.speaker, kind="stable")
    _, starts, sizes = np.unique(parts.speaker[order], return_index=True, return_counts=True)
    singles = order[starts[sizes == 1]]
    several = [
        np.stack([order[starts[sizes == k] + i] for i in range(k)], axis=1)
        for k in sorted({int(size) for size in sizes if size > 1})
    ]
    return singles, several


def _arrangements(parts: _Parts, singles: Array, several: Sequence[Array]) -> float:
    """How many ways there are to put speakers into strata, inf for very many."""
    log = math.lgamma(len(singles) + 1)
    log -= (
        sum(math.lgamma(n + 1) for n in np.bincount(parts.group[singles]).tolist()) if len(singles) else 0.0
    )
    log += sum(len(block) * math.lgamma(block.shape[1] + 1) for block in several)
    return round(math.exp(log)) if log < 30 else math.inf


def _permuted(
    group: Array, singles: Array, several: Sequence[Array], n: int, rng: np.random.Generator
) -> Array:
    """(n, parts): the stratum of each part, n times at random."""
    out = np.repeat(group[None], n, axis=0)
    if len(singles):
        out[:, singles] = rng.permuted(np.repeat(group[singles][None], n, axis=0), axis=1)
    for block in several:
        mixed = rng.permuted(np.repeat(group[block][None], n, axis=0), axis=2)
        out[:, block.ravel()] = mixed.reshape(n, -1)
    return out


def _statistics(parts: _Parts, n_groups: int, groups: Array) -> Float64:
    """(draws, parts) strata -> (draws,): the largest gap of two strata over its standard error."""
    s, c = parts.sums, parts.counts
    columns = np.stack([s, c, s * s, s * c, c * c, np.ones(len(s))], axis=1)
    found = np.stack([(groups == g).astype(np.float64) @ columns for g in range(n_groups)])
    sums, counts, ss, sc, cc, parts_in = np.moveaxis(found, 2, 0)
    means = sums / counts
    # The variance of a mean over speakers: squared residuals of their sums.
    spread = np.maximum(ss - 2 * means * sc + means**2 * cc, 0.0) / counts**2
    spread *= parts_in / np.maximum(parts_in - 1, 1)
    scale = np.abs(s).max() / c.min()
    largest = np.zeros(groups.shape[0])
    for a in range(n_groups):
        for b in range(a + 1, n_groups):
            error = np.sqrt(spread[a] + spread[b])
            size = np.abs(means[a] - means[b])
            size[size <= TIE * scale] = 0.0
            with np.errstate(divide="ignore", invalid="ignore"):
                largest = np.maximum(largest, np.where(size > 0, size / error, 0.0))
    return largest
