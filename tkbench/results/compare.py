"""Pairs of models of one table, compared clip by clip on every metric that has a value per clip.

What is said here is what ranks, bold figures and the headline of the same models say (see `standing`): models are
compared on the clips that all of them have a score for, by one sign-flip test, corrected for all pairs. A model with
scores for too few clips, which tables do not rank, is compared on the clips that a pair shares; such pairs are
corrected among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import UnknownName, UsageError
from tkbench.registry import suggest
from tkbench.results import halves
from tkbench.results.bundle import Bundle
from tkbench.results.leaderboard import check_comparable, percent
from tkbench.results.paired import Difference, Split, differences, draws_for, holm
from tkbench.results.standing import qualifies, scores_of, shared_sums, too_few, unit_of
from tkbench.runtime.words import counted, in_list
from tkbench.types import Column, Float64

if TYPE_CHECKING:
    from rich.console import RenderableType
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
    """Of the interval; a corrected p of at most 1 - level is a clear difference."""
    too_few: str = ""
    """Why so few speakers can show no order of these models, or ""."""
    aside: str = ""
    """Why tables do not compare the two, or ""."""
    infinite: int = 0
    """Scores that count as the best finite one of any model."""
    pairs: int = 1
    """How many pairs p is corrected for."""
    unit: str = "speaker"
    """What the test is over: "speaker", or "clip" where (nearly) each clip is its own."""

    @property
    def better(self) -> str:
        """The model that is clearly better, or ""."""
        gap = self.difference
        if gap.note or not self.holm <= round(1 - self.level, halves.DIGITS):
            return ""
        return self.first if (gap.mean > 0) == (self.column.better == "higher") else self.second

    @property
    def undecided(self) -> str:
        """Why no model is clearly better, in two or three words."""
        if self.difference.note:
            return "no test"
        if self.too_few:
            return f"too few {self.unit}s"
        alpha = round(1 - self.level, halves.DIGITS)
        return "not after Holm's correction" if self.difference.p <= alpha else "no difference shown"

    @property
    def verdict(self) -> str:
        """Which model is clearly better, or why none is, with all that is to be said of the pair."""
        if self.better:
            return f"{self.better} ({self.aside})" if self.aside else self.better
        return self.difference.note or self.too_few or self.undecided


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
    tables = [bundle.clips() for bundle in bundles]
    found: list[Comparison] = []
    for column in columns:
        values, clusters = scores_of(tables, column)
        inside = [i for i, bundle in enumerate(bundles) if qualifies(bundle.result, column)]
        groups = [inside] if len(inside) > 1 else []
        done = _tested(bundles, column, values, clusters, groups)
        groups = [[a, b] for a, b in combinations(range(len(bundles)), 2) if not {a, b} <= set(inside)]
        done |= _tested(bundles, column, values, clusters, groups)
        found += [done[pair] for pair in sorted(done)]
    return found


def _tested(
    bundles: Sequence[Bundle],
    column: Column,
    values: Float64,
    clusters: Sequence[str],
    groups: Sequence[Sequence[int]],
) -> dict[tuple[int, int], Comparison]:
    """The pairs of each group of models, on the clips that the group shares; all of them corrected together."""
    result = bundles[0].result
    level = result.stats["level"]
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    split = Split(draws_for(len(pairs)), int(result.stats["seed"]))
    gaps: list[Difference] = []
    few: list[str] = []
    infinite: list[int] = []
    unit = unit_of(len(set(clusters)), len(clusters))
    for group in groups:
        sums, counts, shared, beyond = shared_sums(values[list(group)], clusters)
        inner = list(combinations(range(len(group)), 2))
        gaps += _gaps(sums, counts, inner, split, (level, len(pairs)), values.shape[1] - shared.shape[1])
        few += [too_few(len(counts), len(group), level, len(pairs), unit=unit)] * len(inner)
        infinite += [beyond] * len(inner)
    corrected = holm([gap.p for gap in gaps])
    return {
        pair: Comparison(
            column,
            bundles[pair[0]].result.model,
            bundles[pair[1]].result.model,
            gap,
            p,
            level,
            why,
            _aside([bundles[i] for i in pair], column),
            beyond,
            len(pairs),
            unit,
        )
        for pair, gap, p, why, beyond in zip(pairs, gaps, corrected, few, infinite, strict=True)
    }


def _gaps(
    sums: Float64,
    counts: Float64,
    pairs: Sequence[tuple[int, int]],
    split: Split,
    asked: tuple[float, int],
    unpaired: int,
) -> list[Difference]:
    """The differences of models with these sums per speaker; asked: the level, and how many pairs are corrected."""
    rows = np.stack([sums[a] - sums[b] for a, b in pairs])
    n = int(counts.sum())
    if len(counts) < 2:
        nothing = math.nan
        note = "no clip has a score of both" if not n else "one speaker gives no test"
        means = [float(row.sum()) / n if n else nothing for row in rows]
        return [
            Difference(mean, nothing, nothing, nothing, False, nothing, n, len(counts), unpaired, note)
            for mean in means
        ]
    found = differences(rows, counts, split=split, level=asked[0], pairs=asked[1])
    return [replace(gap, n_unpaired=unpaired) for gap in found]


def _aside(pair: Sequence[Bundle], column: Column) -> str:
    """Why a table does not compare two models on a metric, or ""."""
    low = [
        f"{bundle.result.model} has {percent(bundle.result.summary[column.name].coverage)} of the clips"
        for bundle in pair
        if not qualifies(bundle.result, column)
    ]
    return " and ".join(low)


def _columns(columns: Sequence[Column], wanted: Sequence[str]) -> list[Column]:
    known = {column.name: column for column in columns}
    for name in wanted:
        if name not in known:
            raise UnknownName(f"these bundles have no metric {name!r}: {suggest(name, list(known))}")
        if not known[name].per_clip:
            raise UsageError(f"{name} is one number for the whole set; a paired test needs a value per clip")
    return [known[name] for name in wanted] or [column for column in columns if column.per_clip]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a table of comparisons shows in a row."""

    heads: tuple[str, ...]
    padding: int
    """Characters between two columns."""
    by_metric: bool
    """Whether each metric has a table of its own, with its name above."""

    @property
    def boxed(self) -> bool:
        """Whether there is room for lines between the columns."""
        return self.padding > 2


_WHOLE = ("metric", "a", "b", "a - b", "interval", "p", "Holm p", "detectable", "clips", "clearly better")
_SHORT = ("a", "b", "a - b", "interval", "Holm p")
LAYOUTS = (
    _Layout(_WHOLE, 3, by_metric=False),
    _Layout((*_SHORT, "clearly better"), 2, by_metric=True),
    _Layout((*_SHORT, "better"), 1, by_metric=True),
    _Layout(("a, b", "a - b, interval", "Holm p", "better"), 2, by_metric=True),
)
"""From wide to narrow: the first that fits the terminal is shown, or the last."""
OF_ONE_PAIR = (
    _Layout(
        ("metric", "a - b", "interval", "p", "detectable", "clips", "clearly better"), 2, by_metric=False
    ),
    _Layout(("metric", "a - b", "interval", "p", "clips", "better"), 2, by_metric=False),
    _Layout(("metric", "a - b", "interval", "p", "better"), 1, by_metric=False),
)
"""The same where two models are compared: a line for each metric, and their names above."""
_LEFT = ("metric", "a", "b", "a, b", "clearly better", "better")


def rich_tables(
    comparisons: Sequence[Comparison], *, level: float, width: int = 200, verbose: bool = False
) -> list[RenderableType]:
    """The comparisons for a terminal of `width` characters: title, tables, and how to read them.

    Metrics that no pair has a score of are in no table; a note names them.
    """
    from rich.text import Text

    scored = {item.column.name for item in comparisons if item.difference.n}
    rows = [_cells(item) for item in comparisons if item.column.name in scored]
    models = list(dict.fromkeys(name for item in comparisons for name in (item.first, item.second)))
    layouts = LAYOUTS[:1] + OF_ONE_PAIR if len(models) == 2 else LAYOUTS
    layout = next((one for one in layouts if _needs(one, rows) <= width), layouts[-1])
    # Those that tables do not compare are corrected among themselves; the notes say so.
    pairs = max((item.pairs for item in comparisons if not item.aside), default=comparisons[0].pairs)
    # A table of its own for each metric: their columns have one width.
    groups = list(dict.fromkeys(row["metric"] for row in rows)) if layout.by_metric else [""]
    return [
        Text(
            (f"a: {models[0]}, b: {models[1]}. " if layout in OF_ONE_PAIR else "")
            + f"Paired by clip, clustered by {comparisons[0].unit}; {percent(level)} intervals; "
            f"{counted(pairs, 'pair')}"
        ),
        *(
            _table(layout, rows, [row for row in rows if not group or row["metric"] == group], group, width)
            for group in groups
            if rows
        ),
        Text("\n".join(_notes(comparisons, level, layout, verbose=verbose)), style="dim"),
    ]


def _cells(item: Comparison) -> dict[str, str]:
    """A comparison as texts, by column."""
    gap, digits = item.difference, item.column.digits
    shown = ["-" if math.isnan(x) else f"{x:+.{digits}f}" for x in (gap.mean, gap.low, gap.high)]
    interval = "-" if math.isnan(gap.low) else f"[{shown[1]}, {shown[2]}]"
    least = "-" if math.isnan(gap.detectable) else f"{gap.detectable:.{digits}f}"
    if math.isinf(gap.detectable):
        least = "none"
    winner = item.better
    marks = ("(", ")") if winner and item.aside else ("", "")
    letter = "" if not winner else "a" if winner == item.first else "b"
    return {
        "metric": f"|{item.column.label}|" if item.column.better == "zero" else item.column.label,
        "a": item.first,
        "b": item.second,
        "a - b": shown[0],
        "interval": interval,
        "p": probability(gap.p) + ("" if gap.exact or math.isnan(gap.p) else "*"),
        "Holm p": probability(item.holm),
        "detectable": least,
        "clips": f"{gap.n}" + (f" (-{gap.n_unpaired})" if gap.n_unpaired else ""),
        "clearly better": winner.join(marks) if winner else item.undecided,
        "better": letter.join(marks) if winner else "-",
        "a, b": f"{item.first}\n  {item.second}",
        "a - b, interval": f"{shown[0]}\n{interval}",
    }


def _needs(layout: _Layout, rows: Sequence[dict[str, str]]) -> int:
    """Characters of a line of the table."""
    return sum(_widest(name, rows) + layout.padding for name in layout.heads) + 1


def _widest(name: str, rows: Sequence[dict[str, str]]) -> int:
    return max(len(line) for text in (name, *(row[name] for row in rows)) for line in text.splitlines())


def _table(
    layout: _Layout,
    rows: Sequence[dict[str, str]],
    shown: Sequence[dict[str, str]],
    title: str,
    width: int,
) -> Table:
    """The table of those rows that are shown; all rows decide how wide its columns are."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title) or None,
        title_justify="left",
        title_style="bold",
        box=box.HEAVY_HEAD if layout.boxed else box.SIMPLE_HEAD,
        padding=(0, 1) if layout.boxed else (0, layout.padding - 1, 0, 0),
    )
    fits = _needs(layout, rows) <= width
    for name in layout.heads:
        table.add_column(
            name,
            justify="left" if name in _LEFT else "right",
            # Where not even the narrowest layout fits, names of models are folded, and nothing else.
            no_wrap=fits or name not in ("a, b", "metric"),
            min_width=_widest(name, rows) if fits else None,
            overflow="fold",
        )
    for row in shown:
        table.add_row(*(escape(row[name]) for name in layout.heads))
    return table


def _notes(
    comparisons: Sequence[Comparison], level: float, layout: _Layout, *, verbose: bool = False
) -> list[str]:
    """How to read the table, a line each: what is true of this one, and with `verbose` what is true of all."""
    alpha = round(1 - level, halves.DIGITS)
    lines = []
    p = "Holm p" if "Holm p" in layout.heads else "p"
    if "better" in layout.heads:
        lines.append(f"better: a or b where it is clearly better, {p} at most {alpha:g}; -: not shown")
    else:
        lines.append(f"clearly better: {p} at most {alpha:g}")
    tested = [item for item in comparisons if item.difference.n]
    lines += _of_metrics([(item.too_few, item.column.label) for item in tested], len(tested))
    lines += _of_metrics(
        [(item.difference.note, item.column.label) for item in comparisons], len(comparisons)
    )
    if any(item.difference.n_unpaired for item in tested):
        lines.append(
            "clips are left out that a model of the table has no score for"
            + " (-n)" * ("clips" in layout.heads)
        )
    aside = [item for item in tested if item.aside]
    if aside:
        shown = "in brackets: " if any(item.better for item in aside) else ""
        said = "; ".join(dict.fromkeys(item.aside for item in aside))
        lines.append(f"{shown}{said}; tested on the clips of the pair alone, p corrected among such pairs")
    if any(item.infinite for item in tested):
        lines.append("infinite scores count as the best finite one of any model")
    if not verbose:
        return [*lines, "-v: how intervals and p are made; --json: all columns"]
    return [
        *lines,
        f"interval: the pair's own, not corrected; it leaves out 0 exactly where p is at most {alpha:g}",
        "p: sign-flip test over speakers; exact where models are exchangeable, too small where differences are very "
        f"skewed (up to {LIBERAL} false alarms in 100 instead of 5); *: from {draws_for(1):,} or more random splits of "
        "the speakers, otherwise every split was tried",
        "detectable: the true difference that so many speakers show with a power of 80 % or more after Holm's "
        "correction; none: too few speakers to show any",
    ]


MOST_NAMED = 4
"""Metrics that a note names."""


def _of_metrics(said: Sequence[tuple[str, str]], total: int) -> list[str]:
    """Notes on pairs, and which metrics each is true of, where it is not true of all.

    >>> _of_metrics([("3 clips are few", "PSNR"), ("", "SSIM")], 2)
    ['3 clips are few (PSNR)']
    """
    by_note: dict[str, list[str]] = {}
    for note, label in said:
        if note:
            by_note.setdefault(note, []).append(label)
    lines = []
    for note, labels in by_note.items():
        names = list(dict.fromkeys(map(in_list, labels)))
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        where = "" if len(labels) == total else f" ({', '.join(names[:MOST_NAMED])}{more})"
        lines.append(f"{note}{where}")
    return lines


LIBERAL = "10 to 15"
"""False alarms at 5 %, where differences follow a shifted lognormal or exponential law: docs/statistics.md."""


def probability(p: float) -> str:
    """A p value as tables print it.

    >>> probability(0.04567), probability(0.00001)
    ('0.046', '<0.001')
    """
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
