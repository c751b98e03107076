"""Speakers split in two, in every way or at random: what intervals of means and tests of pairs are made from.

If a speaker's total is as likely to lie above what is true as below it by the same amount, then turning round the
signs of any speakers changes nothing. Two things follow, and they are one. The mean over any part of the speakers is
as likely to lie on either side of the true mean, so their means, in order, cut the line into pieces that hold the true
mean equally often (Hartigan, "Using Subsample Values as Typical Values", JASA 1969). And the observed difference of two
models has an equal chance of any rank among those with turned signs: the sign-flip test. A difference lies outside of
the interval of subset means exactly where that test rejects it.

K speakers have 2^(K - 1) splits, each of which is a part of the speakers and the rest. Up to `EXACT` speakers all of
them are made, except for the one that leaves a side empty, which stands for what was observed. Beyond, splits are
drawn: each speaker goes to either side with equal chances. The same seed gives the same splits, so all models and pairs
of a table share them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from tkbench.types import Float64, UInt8

EXACT = 12
"""Up to so many speakers every split is made: 2047 for 12."""
DIGITS = 12
"""Decimals that an error rate is rounded to: 1 - 0.95 is no 0.05 in binary numbers."""
AT_ONCE = 1 << 21
"""Places of splits (splits x speakers) held in memory as floats together: 16 MB."""


def number_of_splits(clusters: int, draws: int) -> int:
    """How many splits there are beside the observed one: all of few speakers, or `draws`.

    >>> number_of_splits(6, 2000), number_of_splits(30, 2000)
    (31, 2000)
    """
    return 2 ** (clusters - 1) - 1 if clusters <= EXACT else draws


def places(clusters: int, draws: int, level: float) -> int:
    """How many subset means lie beyond each end of an interval of that level, the end itself included.

    0 means that so few speakers, or draws, have no interval of that level: five have 2^5 = 32 pieces, and leaving out
    one on either side leaves 94 %.

    >>> places(5, 2000, 0.95), places(6, 2000, 0.95), places(12, 2000, 0.95)
    (0, 1, 102)
    """
    alpha = round(1 - level, DIGITS)
    return math.floor(round(alpha * (1 + number_of_splits(clusters, draws)), 6))


def attained(clusters: int, draws: int, level: float) -> float:
    """The error rate that the interval or test really has where it is exact: at most 1 - level.

    >>> attained(6, 2000, 0.95)
    0.03125
    """
    return places(clusters, draws, level) / (1 + number_of_splits(clusters, draws))


def smallest_p(clusters: int, draws: int) -> float:
    """The smallest p-value that a test of so many speakers can have.

    >>> smallest_p(5, 20_000)
    0.0625
    """
    return 1 / (1 + number_of_splits(clusters, draws))


def speakers_needed(pairs: int, level: float = 0.95) -> int:
    """The fewest speakers that can show any of so many differences after Holm's correction.

    >>> [speakers_needed(pairs) for pairs in (1, 10, 45)]
    [6, 9, 11]
    """
    alpha = round(1 - level, DIGITS) / max(pairs, 1)
    return next(k for k in range(2, 200) if 2.0 ** (1 - k) <= alpha)


def split_sums(rows: Float64, *, draws: int, seed: int, fast: bool = False) -> Float64:
    """(rows, splits): the sum of each row (rows, clusters) over the first side of each split.

    Where splits are drawn, a side can be empty; its sum is 0. `fast` adds up by BLAS, whose last digits change with
    its threads: for tests, which have a tolerance, and not for what a bundle stores.
    """
    return np.concatenate(list(slices_of_sums(rows, draws=draws, seed=seed, fast=fast)), axis=1)


def slices_of_sums(rows: Float64, *, draws: int, seed: int, fast: bool = False) -> Iterator[Float64]:
    """The same, some splits at a time: of 200 models and 800,000 splits, all would be 1.3 GB."""
    for part in _splits(rows.shape[1], draws, seed):
        side = np.asarray(part, np.float64)
        yield rows @ side.T if fast else np.einsum("rk,sk->rs", rows, side)


def _splits(clusters: int, draws: int, seed: int) -> Iterator[UInt8]:
    """Splits as rows of 1 (first side) and 0, in slices: a data set without speakers has a cluster per clip."""
    packed = _packed(clusters, draws, seed)
    step = max(1, AT_ONCE // clusters)
    for start in range(0, len(packed), step):
        yield np.unpackbits(packed[start : start + step], axis=1, bitorder="little", count=clusters)


@lru_cache(maxsize=2)
def _packed(clusters: int, draws: int, seed: int) -> UInt8:
    """The splits with eight speakers to a byte: 20,000 of 1000 speakers take 2.5 MB."""
    if clusters <= EXACT:
        numbers = np.arange(1, 2 ** (clusters - 1), dtype="<u2")
        return numbers.view(np.uint8).reshape(-1, 2)
    words = -(-clusters // 64)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.integers(0, 1 << 64, size=(draws, words), dtype=np.uint64)
    return drawn.astype("<u8").view(np.uint8).reshape(draws, 8 * words)


def subset_means(sums: Float64, counts: Float64, *, draws: int, seed: int) -> Float64:
    """(rows, 2 x splits): means of both sides of each split, nan for an empty one.

    sums: (rows, clusters). counts: the same, or (clusters,) for all rows.
    """
    parts = split_sums(np.atleast_2d(sums), draws=draws, seed=seed)
    sizes = split_sums(np.atleast_2d(counts), draws=draws, seed=seed)
    rest, others = sums.sum(axis=-1)[..., None] - parts, counts.sum(axis=-1)[..., None] - sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.concatenate([parts / sizes, rest / others], axis=1)
    # An empty side has a sum of 0, but the rest of the other is 0 up to rounding alone.
    found[~np.broadcast_to(np.concatenate([sizes, others], axis=1) > 0.5, found.shape)] = np.nan
    return found


def middle(means: Float64, place: int) -> tuple[Float64, Float64]:
    """(low, high), (rows,) each: the place-th smallest and largest of subset means (rows, 2 x splits); place > 0.

    An empty side, which is nan, lies beyond either end.
    """
    low = np.partition(np.where(np.isnan(means), -np.inf, means), place - 1, axis=1)[:, place - 1]
    # partition sorts nan last, where they lie beyond the upper end.
    return low, np.partition(means, means.shape[1] - place, axis=1)[:, means.shape[1] - place]
