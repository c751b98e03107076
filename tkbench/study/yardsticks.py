"""Measures of a codebook: do its slots say what is spoken? Each tells a collapse from health.

Rows are frames. `counted` are frames of people on whom tables and fits are made, `held` those of other people: nothing
here is measured on what it was fitted to. Mutual information corrected by shuffling is not among them: it is as high
for a memory of five slots as for one of sixty.
"""

from __future__ import annotations

import numpy as np

from tkbench.train.objectives.slots import USED
from tkbench.types import Array, Float64


def slots_used(winners: Array, slots: int) -> int:
    """How many of `slots` win at least `USED` of the frames, (n,) numbers of slots."""
    share = np.bincount(winners, minlength=slots) / max(1, len(winners))
    return int((share >= USED).sum())


def perplexity(winners: Array, slots: int) -> float:
    """2 to the entropy of the winners: the number of slots that would be used as evenly."""
    share = np.bincount(winners, minlength=slots) / max(1, len(winners))
    share = share[share > 0]
    return float(2 ** -(share * np.log2(share)).sum())


def explained(made: Array, wanted: Array) -> float:
    """The share of the variance of `wanted` (n, C) that `made` explains: 1 is all of it, 0 a constant."""
    spread = np.square(wanted - wanted.mean(axis=0)).sum()
    return float(1 - np.square(np.asarray(made, np.float64) - wanted).sum() / spread) if spread > 0 else 0.0


def held_out_gain(
    counted: tuple[Array, Array], held: tuple[Array, Array], slots: int, classes: int, prior: float = 1.0
) -> float:
    """(H(class) - H(class | slot)) / H(class) of held-out frames, with tables from the counted ones.

    counted, held: (n,) winning slots and (n,) classes. Entropies are cross-entropies of the held-out frames, so a table
    that does not carry over is a loss, and a gain below 0 is possible. prior: frames of the overall distribution that
    are added to each slot's own.
    """
    base = np.bincount(counted[1], minlength=classes) + 0.5
    base = base / base.sum()
    table = np.zeros((slots, classes))
    np.add.at(table, counted, 1)
    table = (table + prior * base) / (table.sum(axis=1, keepdims=True) + prior)
    before = -np.log(base[held[1]]).mean()
    after = -np.log(table[held]).mean()
    return float((before - after) / before)


def readable(
    counted: tuple[Array, Array], held: tuple[Array, Array], ridge: float = 1e-2
) -> tuple[float, Float64]:
    """How well a linear layer reads targets from features: R2 of held-out frames over all targets, and what it reads.

    counted, held: (n, C) features and (n, D) targets. Features are standardized by the counted frames; `ridge` is the
    penalty as a share of their number.
    """
    features = np.asarray(counted[0], np.float64)
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    level = counted[1].mean(axis=0)
    x = (features - middle) / spread
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (counted[1] - level))
    read = (held[0] - middle) / spread @ weights + level
    return explained(read, np.asarray(held[1], np.float64)), read


def clusters(counted: Array, held: Array, count: int, seed: int = 0) -> tuple[Array, Array]:
    """The control: k-means of standardized features with `count` centres: each frame's nearest centre, twice (n,)."""
    from scipy.cluster.vq import kmeans2, vq

    middle, spread = counted.mean(axis=0), counted.std(axis=0) + 1e-9
    known, other = ((np.asarray(part, np.float64) - middle) / spread for part in (counted, held))
    centres, labels = kmeans2(known, count, iter=25, minit="++", seed=seed)
    return labels, vq(other, centres)[0]
