"""By how much models differ: each against the best model and against the true video, clip by clip.

A difference is the mean of (model - other) over the clips that all compared models have a score for, of distances from
0 where 0 is best. Its interval is the pair's own; p is corrected for all pairs of the table (Holm), and that one says
what "clearly" means everywhere in tkbench. `tkbench compare` prints the same numbers for every pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tkbench.report import board, finding
from tkbench.results.compare import probability
from tkbench.results.leaderboard import Entry
from tkbench.results.paired import Difference, Split, differences, draws_for
from tkbench.results.standing import Standing, scores_of, shared_sums
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval as shares of the width of a drawing, 0 to 1; `low` and `high` are None where there is none."""

    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A model against another one."""

    difference: Difference
    p: float
    """Corrected for all pairs of the table."""
    mean: str
    interval: str
    verdict: str
    """In one or two words: "clearly worse", "level", "no difference shown"."""
    tone: str
    """CSS class of the verdict: "better", "worse" or ""."""
    bar: Bar | None

    @property
    def p_text(self) -> str:
        return probability(self.p)

    @property
    def evidence(self) -> list[str]:
        """Interval and p, those that there are."""
        return [part for part in (self.interval, self._p_told) if part]

    @property
    def words(self) -> str:
        """The difference, its interval, p and what follows, without a gap where one is missing."""
        value = f"{self.mean} {self.interval}".strip()
        return f"{value}, {self._p_told}: {self.verdict}" if self._p_told else f"{value}: {self.verdict}"

    @property
    def _p_told(self) -> str:
        return "" if math.isnan(self.p) else f"p {self.p_text}".replace("<", "< ")

    @property
    def own_p_text(self) -> str:
        return probability(self.difference.p)


@dataclass(frozen=True, slots=True)
class GapLine:
    """One model."""

    name: str
    style: str
    anchor: bool
    value: str
    best: Gap | None
    """None for the best model itself."""
    real: Gap | None
    """None for the true video itself, and where it is not compared."""


@dataclass(frozen=True, slots=True)
class GapTable:
    """All models on one metric."""

    head: board.Head
    column: str
    """The column's name."""
    best: str
    """The best model, anchors aside; "" where there is none, or one alone and the true video to compare it with."""
    beside: str
    """What the best model is called in a cell: a single one is not the best of anything."""
    real: bool
    """Whether the true video is among those compared."""
    bounded: tuple[bool, bool]
    """Whether any difference from the best, and from the true video, has an interval."""
    zeros: tuple[float, float]
    """Where 0 lies in the drawings, against the best and against the true video; shares of their width."""
    lines: tuple[GapLine, ...]
    note: str
    left_out: tuple[str, ...]
    """Models without enough scores."""


def tables(
    entries: Sequence[Entry],
    clips: Mapping[str, pd.DataFrame],
    rank: Column,
    standings: Mapping[str, Standing],
) -> list[GapTable]:
    """A table per metric with a value per clip, the ranking one first. clips: `Bundle.clips()` by model."""
    columns = [c for c in entries[0].result.columns if c.name in standings]
    columns.sort(key=lambda column: column.name != rank.name)
    return [one for c in columns if (one := table(entries, clips, c, rank, standings[c.name])) is not None]


def table(
    entries: Sequence[Entry],
    clips: Mapping[str, pd.DataFrame],
    column: Column,
    rank: Column,
    standing: Standing,
) -> GapTable | None:
    """One metric; None where fewer than two models can be compared."""
    names = standing.names
    if len(names) < 2:
        return None
    models = [entry.result.model for entry in entries if not entry.anchor and entry.result.model in names]
    best = min(models, key=standing.rank, default="")
    real = next((e.result.model for e in entries if e.anchor and e.result.model == finding.CEILING), "")
    real = real if real in names else ""
    if len(models) == 1 and real:
        best = ""
    found = _differences(entries, clips, column, standing, [name for name in (best, real) if name])
    against_best, against_real = found.get(best, {}), found.get(real, {})
    scales = [_scale(side) for side in (against_best, against_real)]
    lines = []
    for entry in entries:
        name = entry.result.model
        if name not in names:
            continue
        pair = [
            _gap(standing, name, other, side, scale)
            for other, side, scale in zip((best, real), (against_best, against_real), scales, strict=True)
        ]
        value = finding.number(standing.means[names.index(name)], column)
        lines.append(GapLine(name, board.styles(entries)[name], entry.anchor, value, *pair))
    return GapTable(
        head=board.head(column, rank),
        column=column.name,
        best=best,
        beside="the only model" if len(models) == 1 else "the best model",
        real=bool(real),
        bounded=(_bounded(against_best), _bounded(against_real)),
        zeros=(_share(0.0, scales[0]), _share(0.0, scales[1])),
        lines=tuple(lines),
        note=_note(standing),
        left_out=tuple(entry.result.model for entry in entries if entry.result.model not in names),
    )


def _bounded(side: Mapping[str, Difference]) -> bool:
    return any(not math.isnan(gap.low) for gap in side.values())


def _note(standing: Standing) -> str:
    texts = []
    if standing.n < standing.n_clips:
        texts.append(
            f"Compared on the {standing.n:,} of {standing.n_clips:,} clips that all of them have a score for."
        )
    if standing.column.better == "zero":
        texts.append("Values and differences are of sizes, without their signs.")
    if standing.infinite:
        texts.append("Infinite scores count as the best finite one.")
    if standing.too_few:
        texts.append(finding.sentence(standing.too_few))
    return " ".join(texts)


def _differences(
    entries: Sequence[Entry],
    clips: Mapping[str, pd.DataFrame],
    column: Column,
    standing: Standing,
    others: Sequence[str],
) -> dict[str, dict[str, Difference]]:
    """Other -> model -> the difference; without an interval or p where there is only one speaker."""
    names = standing.names
    values, clusters = scores_of([clips[name] for name in names], column)
    sums, counts, _, _ = shared_sums(values, clusters)
    pairs = [(name, other) for other in others for name in names if name != other]
    rows = sums[[names.index(a) for a, _ in pairs]] - sums[[names.index(b) for _, b in pairs]]
    if len(counts) > 1:
        split = Split(draws_for(len(standing.p)), int(entries[0].result.stats["seed"]))
        tested = differences(rows, counts, split=split, level=standing.level, pairs=len(standing.p))
    else:
        nan, n = math.nan, int(counts.sum())
        tested = [
            Difference(float(row.sum()) / n, nan, nan, nan, False, nan, n, len(counts), 0) for row in rows
        ]
    found: dict[str, dict[str, Difference]] = {}
    for (name, other), one in zip(pairs, tested, strict=True):
        found.setdefault(other, {})[name] = one
    return found


Scale = tuple[float, float]


def _scale(side: Mapping[str, Difference]) -> Scale:
    """What a drawing reaches from and to; 0 is always in it."""
    ends = [x for gap in side.values() for x in (gap.mean, gap.low, gap.high) if math.isfinite(x)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def _share(value: float, scale: Scale) -> float:
    return round((value - scale[0]) / (scale[1] - scale[0]), 4)


def _gap(
    standing: Standing, name: str, other: str, side: Mapping[str, Difference], scale: Scale
) -> Gap | None:
    if name == other or name not in side:
        return None
    gap, column = side[name], standing.column
    p = standing.holm.get((name, other), standing.holm.get((other, name), math.nan))
    if standing.clearly(name, other):
        verdict, tone = "clearly better", "better"
    elif standing.clearly(other, name):
        verdict, tone = "clearly worse", "worse"
    elif gap.mean == 0:
        verdict, tone = "level", ""
    else:
        verdict, tone = ("no difference shown" if standing.holm else "not tested"), ""
    ends = [None if math.isnan(x) else _share(x, scale) for x in (gap.low, gap.high)]
    return Gap(
        difference=gap,
        p=p,
        mean=signed(gap.mean, column),
        interval="" if math.isnan(gap.low) else f"[{signed(gap.low, column)}, {signed(gap.high, column)}]",
        verdict=verdict,
        tone=tone,
        bar=Bar(_share(gap.mean, scale), *ends) if math.isfinite(gap.mean) else None,
    )


def signed(value: float, column: Column) -> str:
    """A difference: with its sign, and a digit more where it would round to 0.

    >>> lse = Column("x", "X", "", "higher", 1)
    >>> signed(0.25, lse), signed(-2, lse), signed(0.04, lse), signed(0, lse)
    ('+0.2', '−2.0', '+0.04', '0.0')
    """
    if math.isnan(value):
        return "–"
    digits = column.digits + (0 < abs(value) < 0.5 * 10**-column.digits)
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return f"{0:.{column.digits}f}"
    return ("+" if value > 0 else "−") + text
