"""Pairs of models of one table, compared clip by clip on every metric that has a value per clip; see `paired`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from tkbench.errors import UnknownName, UsageError
from tkbench.registry import suggest
from tkbench.results.bundle import Bundle
from tkbench.results.leaderboard import check_comparable, scores_of
from tkbench.results.paired import Difference, holm, paired_difference
from tkbench.types import Column

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Comparison:
    """Model `first` against `second` on one metric."""

    column: Column
    first: str
    second: str
    difference: Difference
    """first minus second; of distances from 0 where the metric's best value is 0."""
    holm: float
    """p corrected for all pairs of models on this metric."""
    level: float
    """Of the interval; a corrected p below 1 - level is a difference."""

    @property
    def verdict(self) -> str:
        """Which model is better, or that nothing is shown."""
        gap = self.difference
        if gap.note:
            return gap.note
        if math.isnan(self.holm) or self.holm >= 1 - self.level:
            return "no difference shown"
        return self.first if (gap.mean > 0) == (self.column.better == "higher") else self.second


def compare(bundles: Sequence[Bundle], *, metrics: Sequence[str] = ()) -> list[Comparison]:
    """Every pair of models on every per-clip metric (or those named), p corrected per metric over the pairs.

    Raises BadBundle where the bundles are not of one table, UsageError for fewer than two or a metric of the
    whole set, UnknownName for a metric that is not there.
    """
    if len(bundles) < 2:
        raise UsageError(f"{len(bundles)} bundle to compare; give two folders or more")
    check_comparable(bundles)
    result = bundles[0].result
    columns = _columns(result.columns, metrics)
    tables = {bundle.result.model: bundle.clips() for bundle in bundles}
    found: list[Comparison] = []
    for column in columns:
        values, clusters = scores_of(list(tables.values()), column)
        scores = dict(zip(tables, values, strict=True))
        pairs = list(combinations(scores, 2))
        differences = [
            paired_difference(
                scores[first],
                scores[second],
                clusters,
                n_boot=int(result.stats["n_boot"]),
                seed=int(result.stats["seed"]),
                level=result.stats["level"],
                pairs=len(pairs),
            )
            for first, second in pairs
        ]
        corrected = holm([difference.p for difference in differences])
        found += [
            Comparison(column, *pair, difference, p, result.stats["level"])
            for pair, difference, p in zip(pairs, differences, corrected, strict=True)
        ]
    return found


def _columns(columns: Sequence[Column], wanted: Sequence[str]) -> list[Column]:
    known = {column.name: column for column in columns}
    for name in wanted:
        if name not in known:
            raise UnknownName(f"these bundles have no metric {name!r}: {suggest(name, list(known))}")
        if not known[name].per_clip:
            raise UsageError(f"{name} is one number for the whole set; a paired test needs a value per clip")
    return [known[name] for name in wanted] or [column for column in columns if column.per_clip]


def rich_table(comparisons: Sequence[Comparison], *, level: float) -> Table:
    """The comparisons for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    pairs = len({(item.first, item.second) for item in comparisons})
    title = (
        f"Paired by clip, clustered by speaker; {level:.0%} intervals; p corrected by Holm over {pairs} pair"
    )
    table = Table(title=title + ("s" if pairs > 1 else ""), title_justify="left")
    for name in ("metric", "a", "b", "a - b", "interval", "p", "Holm p", "detectable", "clips", "better"):
        left = name in ("metric", "a", "b", "better")
        table.add_column(name, justify="left" if left else "right", no_wrap=name in ("p", "Holm p"))
    for item in comparisons:
        gap, digits = item.difference, item.column.digits
        label = f"|{item.column.label}|" if item.column.better == "zero" else item.column.label
        shown = ["-" if math.isnan(x) else f"{x:+.{digits}f}" for x in (gap.mean, gap.low, gap.high)]
        interval = "-" if math.isnan(gap.low) else f"[{shown[1]}, {shown[2]}]"
        least = "-" if math.isnan(gap.detectable) else f"{gap.detectable:.{digits}f}"
        if math.isinf(gap.detectable):
            least = "none"
        clips = f"{gap.n}" + (f" (-{gap.n_unpaired})" if gap.n_unpaired else "")
        table.add_row(
            escape(label),
            escape(item.first),
            escape(item.second),
            shown[0],
            interval,
            probability(gap.p) + ("" if gap.exact or math.isnan(gap.p) else "*"),
            probability(item.holm),
            least,
            clips,
            escape(item.verdict),
        )
    table.caption = (
        "detectable: the smallest true difference that these speakers show with a power of 80 % after "
        "Holm's correction; none: too few speakers to show any; *: from random permutations, otherwise "
        "every permutation was tried"
    )
    table.caption_justify = "left"
    return table


def probability(p: float) -> str:
    """A p value as tables print it.

    >>> probability(0.04567), probability(0.00001)
    ('0.046', '<0.001')
    """
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
