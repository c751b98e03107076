"""How the models of a table stand to each other on one metric: ranks, their intervals, and who is clearly better.

Everything that a table says of two models is said here once: ranks, bold figures, the headline of the report and
`tkbench compare` all ask a `Standing`. Models are compared on the clips that each of them has a score for, so that a
model gains nothing by failing on hard clips. Those with scores for too few clips (the protocol's `coverage_min`) stay
out, for they would leave the others too few.

A model is *clearly* better than another where the sign-flip test over speakers says so after Holm's correction for all
pairs of the table. The interval of a rank follows: from 1 + the models that are clearly better, to the number of models
less those that are clearly worse. All ranks of a table lie in their intervals together in 95 % of tables.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tkbench.results import halves
from tkbench.results.bundle import ALONE, Result, column_of
from tkbench.results.paired import Split, draws_for, holm, p_values
from tkbench.results.stats import cluster_sums
from tkbench.runtime.words import counted
from tkbench.types import Column, Float64

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Standing:
    """Models compared on one metric."""

    column: Column
    names: tuple[str, ...]
    means: tuple[float, ...]
    """Of each model on the shared clips; of distances from 0 where the metric's best value is 0. Beside finite scores
    an infinite one counts as the best finite one of any model."""
    p: Mapping[tuple[str, str], float]
    """Two-sided p of each pair, first name first; empty where one speaker, or no clip, gives no test."""
    holm: Mapping[tuple[str, str], float]
    n: int
    """Clips that every model has a score for."""
    n_clips: int
    n_clusters: int
    unit: str
    """What a cluster is: "speaker", or "clip" where (nearly) each clip is one; see `unit_of`."""
    infinite: int
    """Scores that count as the best finite one."""
    level: float

    def better(self, a: str, b: str) -> float:
        """Above 0 where `a` has the better mean on the shared clips, 0 where they are equal."""
        one, two = (self.means[self.names.index(name)] for name in (a, b))
        if one == two:
            return 0.0
        return one - two if self.column.better == "higher" else two - one

    def clearly(self, a: str, b: str) -> bool:
        """Whether `a` is clearly better than `b`."""
        found = self.holm.get((a, b), self.holm.get((b, a), math.nan))
        return found <= round(1 - self.level, halves.DIGITS) and self.better(a, b) > 0

    def rank(self, name: str, among: Collection[str] | None = None) -> int:
        """1 is best; equal means share the better rank. among: only these count, by default all."""
        return 1 + sum(self.better(other, name) > 0 for other in self._counted(among))

    def ranks(self, name: str, among: Collection[str] | None = None) -> tuple[int, int] | None:
        """The interval of the rank; None where nothing could be tested. among: as in `rank`."""
        counted = self._counted(among)
        if not self.holm or len(counted) < 2:
            return None
        above = sum(self.clearly(other, name) for other in counted)
        below = sum(self.clearly(name, other) for other in counted)
        return 1 + above, len(counted) - below

    def best(self, among: Collection[str] | None = None) -> set[str]:
        """The models that count as best: the best mean, and every model that the test of the two alone does not part
        from it. Empty for a single model, and where so few speakers can show no order.

        Holm's correction guards the claim that a model is better. It makes p larger, so that it would also call more
        models as good as the best one; that claim rests on p without it. among: as in `rank`.
        """
        counted = self._counted(among)
        if len(counted) < 2 or not self.holm or self.too_few:
            return set()
        alpha = round(1 - self.level, halves.DIGITS)
        top = {name for name in counted if self.rank(name, counted) == 1}
        return top | {
            name
            for name in counted
            if all(self.p.get((a, name), self.p.get((name, a), 0.0)) > alpha for a in top - {name})
            and not any(self.clearly(other, name) for other in counted)
        }

    def _counted(self, among: Collection[str] | None) -> list[str]:
        return [name for name in self.names if among is None or name in among]

    @property
    def too_few(self) -> str:
        """Why no order of the models can be shown whatever their scores, or ""."""
        return too_few(self.n_clusters, len(self.names), self.level, unit=self.unit)


def unit_of(clusters: int, clips: int) -> str:
    """What so many clusters of so many clips are called: "clip" where (nearly) each clip is its own, or "speaker".

    >>> unit_of(8, 8), unit_of(4, 8), unit_of(0, 0)
    ('clip', 'speaker', 'speaker')
    """
    return "clip" if clusters > 0.9 * clips else "speaker"


def too_few(
    clusters: int, models: int, level: float, pairs: int | None = None, *, unit: str = "speaker"
) -> str:
    """Why so few clusters can show no order of so many models, or ""; pairs: where others than theirs are corrected.

    unit: what a cluster is, see `unit_of`.

    >>> too_few(6, 5, 0.95)
    '6 speakers can show no order of 5 models: that takes 9'
    >>> too_few(9, 5, 0.95)
    ''
    """
    inner = models * (models - 1) // 2
    pairs = inner if pairs is None else pairs
    needed = halves.speakers_needed(pairs, level)
    if not pairs or clusters >= needed:
        return ""
    who = counted(clusters, unit)
    what = f"order of {models} models" if pairs == inner else f"difference among {pairs} pairs"
    return f"{who} can show no {what}: that takes {needed}"


def qualifies(result: Result, column: Column) -> bool:
    """Whether a model has enough scores on a metric to be compared with others."""
    cell = result.summary[column.name]
    return cell.n > 0 and not math.isnan(cell.mean) and cell.coverage >= result.coverage_min


def standing(results: Sequence[Result], tables: Sequence[pd.DataFrame], column: Column) -> Standing:
    """The models that have enough scores on a metric with a value per clip, compared.

    tables: `Bundle.clips()` of each result. `n` is 0 where no clip has a score of all of them.
    """
    chosen = [i for i, result in enumerate(results) if qualifies(result, column)]
    values, clusters = scores_of([tables[i] for i in chosen], column)
    first = results[0]
    return compared(
        column,
        [results[i].model for i in chosen],
        values,
        clusters,
        seed=int(first.stats["seed"]),
        level=first.stats["level"],
    )


def compared(
    column: Column,
    names: Sequence[str],
    values: Float64,
    clusters: Sequence[str],
    *,
    seed: int,
    level: float,
) -> Standing:
    """The same of scores (models, clips), nan for none, with the cluster of each clip."""
    sums, counts, shared, infinite = shared_sums(values, clusters)
    pairs = list(combinations(range(len(names)), 2)) if len(counts) > 1 else []
    ps = p_values(sums - sums.mean(axis=0), pairs, Split(draws_for(len(pairs)), seed)) if pairs else []
    labels = [(names[a], names[b]) for a, b in pairs]
    means = np.sort(shared, axis=1).mean(axis=1) if shared.size else np.full(len(names), math.nan)
    return Standing(
        column,
        tuple(names),
        tuple(means.tolist()),
        dict(zip(labels, ps, strict=True)),
        dict(zip(labels, holm(ps), strict=True)),
        shared.shape[1],
        values.shape[1],
        len(counts),
        unit_of(len(set(clusters)), len(clusters)),
        infinite,
        level,
    )


def shared_sums(values: Float64, clusters: Sequence[str]) -> tuple[Float64, Float64, Float64, int]:
    """Of scores (models, clips), nan for none: sums per cluster (models, K) of the clips that all models have, the
    clips of each cluster (K,), these clips' scores (models, clips), and how many of them were infinite.
    """
    kept = ~np.isnan(values).any(axis=0) if len(values) else np.zeros(values.shape[1:], bool)
    shared = values[:, kept]
    infinite = int(np.isinf(shared).sum())
    if infinite:
        finite = shared[np.isfinite(shared)]
        low, high = (finite.min(), finite.max()) if finite.size else (-1.0, 1.0)
        shared = np.clip(shared, low, high)
    # Numbers sort faster than names, once for each model.
    numbers = np.unique(np.asarray(clusters, dtype=str)[kept], return_inverse=True)[1]
    both = [cluster_sums(row, numbers) for row in shared]
    if not both or not shared.size:
        return np.zeros((len(values), 0)), np.zeros(0), shared, infinite
    return np.stack([sums for sums, _ in both]), both[0][1], shared, infinite


def scores_of(tables: Sequence[pd.DataFrame], column: Column) -> tuple[Float64, list[str]]:
    """(models, clips) scores in the order of the keys, nan for none, and the clusters of the clips.

    Where 0 is best, scores are taken without their signs. tables: `Bundle.clips()` of each model.
    """
    scores: list[dict[str, float]] = []
    speakers: dict[str, str] = {}
    for table in tables:
        part = table[table["metric"] == column.name]
        keys_here = column_of(part, "key")
        scores.append(dict(zip(keys_here, part["value"].to_numpy(np.float64).tolist(), strict=True)))
        speakers |= dict(zip(keys_here, column_of(part, "speaker"), strict=True))
    keys = sorted(speakers)
    values = np.array([[row.get(key, math.nan) for key in keys] for row in scores], np.float64)
    values = values.reshape(len(tables), len(keys))
    return np.abs(values) if column.better == "zero" else values, [
        speakers[key] or f"{ALONE}{key}" for key in keys
    ]
