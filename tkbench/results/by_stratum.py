"""A table split by a stratum: per model and group the mean with its interval and n, and the gap between best and worst.

Columns with a value per clip add up: the groups' clips are the table's, and their means, each counted as often as it
has clips, make the table's mean. A number of the whole set (FID, FVD) is another one for each group; it is there where
`tkbench eval --by` computed it and the group has the clips or frames that the metric asks for.

p of a gap is `results.gaps`; it is corrected by Holm for all models and strata that are shown of one column.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tkbench.errors import UsageError
from tkbench.results import halves
from tkbench.results.bundle import (
    ALONE,
    Bundle,
    SetScore,
    Summary,
    Value,
    column_of,
    rows_of,
    rule_of,
    summarise,
)
from tkbench.results.compare import probability
from tkbench.results.gaps import DRAWS, Gap, gap
from tkbench.results.leaderboard import (
    ARROWS,
    bracket,
    chosen,
    clusters_of,
    heading,
    number,
    percent,
    safe,
    size,
    status,
)
from tkbench.results.paired import holm
from tkbench.results.strata import NOT_KNOWN, By, Grouping, grouped, values_of
from tkbench.types import Column, Row

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_SHOWN = 3
"""Columns that are shown where nobody names any."""


@dataclass(frozen=True, slots=True)
class TestedGap:
    """The gap of one column, with p corrected for all that is shown."""

    found: Gap
    best: str
    """Names of the groups, "" where nothing could be compared."""
    worst: str
    holm: float


@dataclass(frozen=True, slots=True)
class StratumTable:
    """One model by one stratum."""

    model: str
    by: By
    groups: tuple[str, ...]
    clips: tuple[int, ...]
    """Of each group, scored or not."""
    cells: Mapping[str, tuple[Summary, ...]]
    """Column -> the cell of each group."""
    gaps: Mapping[str, TestedGap]
    """Column with a value per clip -> its gap."""


@dataclass(frozen=True, slots=True)
class ByStratum:
    """The tables of several models and strata, all of the same columns."""

    columns: tuple[Column, ...]
    tables: tuple[StratumTable, ...]
    """By stratum, then by model, in the order they were asked for."""
    level: float
    clusters: str
    """What intervals are drawn over: speakers, or clips where nobody knows who speaks."""
    n_tests: int
    """How many gaps of a column p is corrected for."""


def split_by(
    bundles: Sequence[Bundle],
    by: Sequence[By],
    *,
    columns: Sequence[str] = (),
    known: Mapping[str, Mapping[str, Value]] | None = None,
    draws: int = DRAWS,
) -> ByStratum:
    """Split the rows of bundles of one table by strata.

    columns: names; by default the ranking one and the next that have scores, `MOST_SHOWN` in all. known: strata of the
    clips where the bundles have none (`scoring.strata.of_shards`). draws: permutations of a gap. Raises UnknownName for
    a stratum or column that is not there, UsageError for a stratum of too many groups.
    """
    result = bundles[0].result
    picked = chosen(result.columns, columns) if columns else _usual(bundles)
    tables: list[StratumTable] = []
    opened = [(bundle, _opened(bundle, known)) for bundle in bundles]
    for item in by:
        for bundle, (rows, speakers, values) in opened:
            grouping = grouped(item, sorted(speakers), values, bundle.folder)
            tables.append(_table(bundle, grouping, picked, (rows, speakers), draws))
    corrected = {
        column.name: holm([table.gaps[column.name].found.p for table in tables])
        for column in picked
        if column.per_clip
    }
    tables = [
        replace(
            table,
            gaps={name: replace(gap, holm=corrected[name][place]) for name, gap in table.gaps.items()},
        )
        for place, table in enumerate(tables)
    ]
    tests = max(
        (sum(not math.isnan(p) for p in ps) for ps in corrected.values()),
        default=0,
    )
    return ByStratum(tuple(picked), tuple(tables), result.stats["level"], clusters_of(result), tests)


def _usual(bundles: Sequence[Bundle]) -> list[Column]:
    result = bundles[0].result
    there = [c for c in result.columns if any(bundle.result.summary[c.name].n for bundle in bundles)]
    there.sort(key=lambda column: (column.name != result.rank_by, not column.per_clip))
    if not there:
        raise UsageError(f"{bundles[0].folder}: no column has a score")
    return there[:MOST_SHOWN]


_Opened = tuple[list[Row], dict[str, str], Mapping[str, Mapping[str, Value]]]


def _opened(bundle: Bundle, known: Mapping[str, Mapping[str, Value]] | None) -> _Opened:
    table = bundle.clips()
    pairs = zip(column_of(table, "key"), column_of(table, "speaker"), strict=True)
    speakers = {key: speaker for key, speaker in pairs if key != "*"}
    return rows_of(table), speakers, {**(known or {}), **values_of(bundle)}


def _table(
    bundle: Bundle,
    grouping: Grouping,
    columns: Sequence[Column],
    scores: tuple[Sequence[Row], Mapping[str, str]],
    draws: int,
) -> StratumTable:
    rows, speakers = scores
    result = bundle.result
    mine = [column for column in columns if column.per_clip]
    wanted = {column.name for column in mine}
    of_groups: list[list[Row]] = [[] for _ in grouping.names]
    for row in rows:
        if row.metric in wanted:
            of_groups[grouping.of[row.key]].append(row)
    stats = result.stats
    summaries = [
        summarise(
            part,
            speakers,
            mine,
            n_boot=int(stats["n_boot"]),
            seed=int(stats["seed"]),
            level=stats["level"],
            rule=rule_of(result),
        )
        for part in of_groups
    ]
    cells = {column.name: tuple(summary[column.name] for summary in summaries) for column in mine}
    sets = {
        (score.metric, score.group): score for score in bundle.sets() if score.stratum == grouping.by.name
    }
    clips = tuple(len(grouping.keys(place)) for place in range(len(grouping.names)))
    for column in columns:
        if not column.per_clip:
            cells[column.name] = tuple(_set_cell(sets.get((column.name, name))) for name in grouping.names)
    gaps = {}
    for column in mine:
        part = [row for row in rows if row.metric == column.name]
        found = gap(
            [row.value for row in part],
            [speakers[row.key] or f"{ALONE}{row.key}" for row in part],
            [_tested(grouping, row.key) for row in part],
            better=column.better,
            draws=draws,
            seed=int(stats["seed"]),
        )
        names = [grouping.names[place] if place >= 0 else "" for place in (found.best, found.worst)]
        gaps[column.name] = TestedGap(found, names[0], names[1], math.nan)
    return StratumTable(result.model, grouping.by, grouping.names, clips, cells, gaps)


def _tested(grouping: Grouping, key: str) -> int:
    place = grouping.of[key]
    return -1 if grouping.names[place] == NOT_KNOWN else place


def _set_cell(score: SetScore | None) -> Summary:
    """A number of a whole group as a cell of the table."""
    nan = math.nan
    if score is None:
        return Summary(
            mean=nan,
            low=nan,
            high=nan,
            n=0,
            n_unscored=1,
            n_clusters=0,
            coverage=0,
            mean_size=nan,
            note="not computed: `tkbench eval --by` does",
        )
    n = 0 if score.reason is not None else 1
    return Summary(
        mean=score.value,
        low=nan,
        high=nan,
        n=n,
        n_unscored=1 - n,
        n_clusters=n,
        coverage=n,
        mean_size=abs(score.value),
        reasons={score.reason.value: 1} if score.reason is not None else {},
        detail=score.detail,
        note="one number for the whole stratum",
    )


# -- as people read it ---------------------------------------------------------------------------------------


def rich_tables(found: ByStratum) -> list[RenderableType]:
    """One table for the terminal per stratum, all models below each other, and how to read them."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    made: list[RenderableType] = []
    for by in dict.fromkeys(table.by for table in found.tables):
        about = f": {by.scale.text}" if by.scale is not None else ""
        table = Table(title=escape(f"by {by.title}{about}"), title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("model")
        table.add_column(escape(by.title))
        table.add_column("clips", justify="right")
        for column in found.columns:
            table.add_column(escape(f"{heading(column)} {ARROWS[column.better]}"), justify="right")
        for part in (part for part in found.tables if part.by == by):
            for place, name in enumerate(part.groups):
                texts = [cell_text(part.cells[c.name][place], c) for c in found.columns]
                first = part.model if place == 0 else ""
                table.add_row(escape(first), escape(name), str(part.clips[place]), *map(escape, texts))
            texts = [gap_text(part, column) for column in found.columns]
            table.add_row("", "gap", "", *map(escape, texts), style="italic", end_section=True)
        made.append(table)
    return [*made, Text("\n".join(caption(found)), style="dim")]


def cell_text(cell: Summary, column: Column) -> str:
    """A cell as tables print it: mean, interval, and n where not all clips have a score."""
    if not cell.n:
        return status(cell)
    text = " ".join(
        filter(
            None, (f"{number(cell.mean, column.digits)}{size(cell, column)}", bracket(cell, column.digits))
        )
    )
    return f"{text} (n={cell.n}/{cell.n + cell.n_unscored})" if cell.n_unscored else text


def gap_text(table: StratumTable, column: Column) -> str:
    """The gap of a column as tables print it, in short lines."""
    tested = table.gaps.get(column.name)
    if tested is None:
        return "-"
    found = tested.found
    if math.isnan(found.size):
        return f"- ({found.note})"
    if found.best == found.worst:
        return "none: all are equal"
    lines = [number(found.size, column.digits), f"best: {tested.best}", f"worst: {tested.worst}"]
    if not math.isnan(found.p):
        lines.append(f"p {probability(found.p)}, Holm {probability(tested.holm)}")
    return "\n".join([*lines, *([found.note] if found.note else [])])


def caption(found: ByStratum) -> list[str]:
    """How to read the tables, a line each."""
    alpha = round(1 - found.level, halves.DIGITS)
    pairs = [tested.found for table in found.tables for tested in table.gaps.values()]
    lines = [
        f"brackets: {percent(found.level)} intervals over {found.clusters}; groups add up to the whole table",
        "gap: best less worst stratum; p: speakers are permuted between strata, one who is in several keeps to "
        f"them; Holm: p corrected for {found.n_tests} gaps of a column, a clear gap has {alpha:g} or less",
    ]
    if any(item.n_paired for item in pairs):
        most = max(item.n_paired for item in pairs)
        lines.append(f"paired: up to {most} speakers are in the best and in the worst stratum of a gap")
    if any(NOT_KNOWN in table.groups for table in found.tables):
        lines.append(f"{NOT_KNOWN}: clips without a value; they are in no gap")
    return lines


def to_csv(found: ByStratum) -> str:
    """A line per model, stratum, group and column, and a line `gap` for each tested column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        "model stratum group clips metric mean low high n n_unscored n_speakers gap_best gap_worst gap_p gap_holm "
        "gap_paired note".split()
    )
    for table in found.tables:
        for column in found.columns:
            for place, name in enumerate(table.groups):
                cell = table.cells[column.name][place]
                numbers = [_plain(value) for value in (cell.mean, cell.low, cell.high)]
                counts = [cell.n, cell.n_unscored, cell.n_clusters]
                row = [table.model, table.by.name, name, table.clips[place], column.name, *numbers, *counts]
                writer.writerow(
                    [safe(item) for item in (*row, "", "", "", "", "", status(cell) if not cell.n else "")]
                )
            if (tested := table.gaps.get(column.name)) is not None:
                item = tested.found
                row = [table.model, table.by.name, "gap", "", column.name, _plain(item.size), "", "", "", ""]
                row += [item.n_speakers, tested.best, tested.worst, _plain(item.p), _plain(tested.holm)]
                writer.writerow([safe(part) for part in (*row, item.n_paired, item.note)])
    return out.getvalue()


def records(found: ByStratum) -> list[dict[str, object]]:
    """The lines of `to_csv` with numbers as numbers, and None for an empty cell."""
    texts = ("model", "stratum", "group", "metric", "gap_best", "gap_worst", "note")

    def value(cell: str) -> int | float | None:
        if not cell:
            return None
        return int(cell) if cell.isdecimal() else float(cell)

    return [
        {name: cell if name in texts else value(cell) for name, cell in line.items()}
        for line in csv.DictReader(io.StringIO(to_csv(found)))
    ]


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
