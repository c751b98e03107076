"""Strata on the page: the ranking metric of each model within groups of clips (head pose, language, loudness ...).

The page shows what it is given: a table per label, with a column per group. `tables` makes these records of the strata
that all bundles of a table hold; whoever knows other groups hands theirs to `page.render`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tkbench.results.by_stratum import ByStratum, StratumTable, split_by
from tkbench.results.compare import probability
from tkbench.results.leaderboard import Entry, bracket, number, status
from tkbench.results.strata import NOT_KNOWN, SCALES, By, values_of
from tkbench.types import Column

DRAWS = 999
"""Permutations of a gap: a page tests many."""
MOST_GROUPS = 12
"""Groups of a label that a page shows; `tkbench leaderboard show --by` shows more."""


@dataclass(frozen=True, slots=True)
class StratumCell:
    """A model within a group."""

    text: str
    """The mean, or "" with a reason in `interval`."""
    interval: str
    tone: str = ""
    """CSS class: "better" or "worse" where the model is clearly so against the true video; else ""."""


@dataclass(frozen=True, slots=True)
class StratumLine:
    """A model: one cell per group."""

    name: str
    anchor: bool
    cells: tuple[StratumCell, ...]


@dataclass(frozen=True, slots=True)
class Strata:
    """All models by one label."""

    label: str
    """What the groups are groups of: "Head pose"."""
    groups: tuple[tuple[str, str], ...]
    """(name, how many clips and speakers) of each group."""
    lines: tuple[StratumLine, ...]
    note: str = ""


def tables(entries: Sequence[Entry], rank: Column) -> list[Strata]:
    """The ranking metric by each stratum that all bundles hold and that splits their clips into a few groups.

    Labels of the data set stand before what was measured. p of each gap is corrected for all that the page shows.
    """
    if not rank.per_clip or not any(entry.result.summary[rank.name].n for entry in entries):
        return []
    bundles = [entry.bundle for entry in entries]
    held = [values_of(bundle) for bundle in bundles]
    names = set(held[0]).intersection(*held[1:]) - {"speaker"}
    order = [*sorted(names - set(SCALES)), *(name for name in SCALES if name in names)]
    asked = [By(name, SCALES.get(name)) for name in order if len(_groups(held[0][name], name)) <= MOST_GROUPS]
    if not asked:
        return []
    found = split_by(bundles, asked, columns=[rank.name], draws=DRAWS)
    made = []
    for by in asked:
        parts = [table for table in found.tables if table.by == by]
        if len([name for name in parts[0].groups if name != NOT_KNOWN]) > 1:
            made.append(_strata(by, parts, entries, rank, found))
    return made


def _groups(values: dict[str, float | str], name: str) -> set[str]:
    scale = SCALES.get(name)
    return {
        scale.group(value) if scale is not None and not isinstance(value, str) else str(value)
        for value in values.values()
    }


def _strata(
    by: By, parts: Sequence[StratumTable], entries: Sequence[Entry], rank: Column, found: ByStratum
) -> Strata:
    sizes = [f"{n:,} clip{'' if n == 1 else 's'}" for n in parts[0].clips]
    lines = []
    for entry, part in zip(entries, parts, strict=True):
        cells = [
            StratumCell(number(cell.mean, rank.digits), bracket(cell, rank.digits))
            if cell.n
            else StratumCell("", status(cell))
            for cell in part.cells[rank.name]
        ]
        lines.append(StratumLine(entry.result.model, entry.anchor, tuple(cells)))
    about = f"{by.scale.text[0].upper()}{by.scale.text[1:]}. " if by.scale is not None else ""
    clear = [
        f"{part.model}: {number(gap.found.size, rank.digits)} between {gap.best} and {gap.worst} "
        f"(p {probability(gap.holm)})"
        for part in parts
        if (gap := part.gaps[rank.name]).holm <= round(1 - found.level, 10)
    ]
    tested = sum(not math.isnan(part.gaps[rank.name].found.p) for part in parts)
    if clear:
        gaps = f"Clear gaps between best and worst: {'; '.join(clear)}."
    else:
        gaps = "No gap between best and worst is clear." if tested else "Too few speakers to test a gap."
    how = f" Speakers permuted between groups, Holm's correction for {found.n_tests} gaps." if tested else ""
    title = by.title[0].upper() + by.title[1:]
    return Strata(title, tuple(zip(parts[0].groups, sizes, strict=True)), tuple(lines), f"{about}{gaps}{how}")
