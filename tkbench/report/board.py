"""The ranked table: one line per model, one cell per metric, and footnotes for whatever is missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from tkbench.report import figures, finding
from tkbench.report.finding import interval, number, sentence
from tkbench.results import leaderboard
from tkbench.results.bundle import Result, Summary
from tkbench.results.leaderboard import Entry, goodness
from tkbench.results.standing import Standing
from tkbench.types import Column

MOST_SHOWN = 6
"""Columns of the table before a reader chooses others."""
HINTS = {"higher": "higher is better", "lower": "lower is better", "zero": "closer to 0 is better"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the ranked table."""

    text: str
    interval: str
    n: str
    """Number of scored clips, where it is not all of them."""
    worth: str
    """A number that grows as the cell gets better, for sorting; "" without a mean."""
    reason: str
    """Set exactly where there is no mean."""
    best: bool
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ranked table."""

    name: str
    summary: str
    rank: int | None
    span: tuple[int, int] | None
    """The interval of the rank; None where there is none, or where it is the rank alone."""
    anchor: bool
    style: str
    coverage: str
    clips: str
    scored: int
    gap: tuple[int, ...]
    """Footnotes of the number of clips."""
    notes: tuple[int, ...]
    """Footnotes of the rank."""
    cells: tuple[Cell, ...]


class Footnotes:
    """Footnotes, numbered from 1 in the order of first use. Equal texts share a number, and name all that they are
    about.
    """

    def __init__(self) -> None:
        self._about: dict[str, list[str]] = {}

    def add(self, text: str, about: str = "") -> int:
        names = self._about.setdefault(text, [])
        if about and about not in names:
            names.append(about)
        return list(self._about).index(text) + 1

    @property
    def texts(self) -> list[str]:
        return [": ".join(filter(None, (", ".join(names), text))) for text, names in self._about.items()]


def line(
    entry: Entry,
    entries: Sequence[Entry],
    columns: Sequence[Column],
    rank: Column,
    standings: Mapping[str, Standing],
    notes: Footnotes,
) -> Line:
    """A model's line; explanations are added to `notes`. standings: the models compared, by column."""
    result = entry.result
    main = _base(result, rank)
    # Where the ranking metric has no score at all, its cell says why nothing is ranked.
    why = entry.note if result.summary[rank.name].n else ""
    unranked = (notes.add(f"{result.model} is not ranked: {why}."),) if why else ()
    gap = (notes.add(_gap_note(entry, main)),) if main.n and main.n_unscored else ()
    return Line(
        name=result.model,
        summary=str(result.model_card.get("summary", "")),
        rank=None if entry.alone else entry.rank,
        # An interval of one place says nothing more than the rank.
        span=entry.ranks if entry.ranks != (entry.rank, entry.rank) else None,
        anchor=entry.anchor,
        style=styles(entries)[result.model],
        coverage="" if math.isnan(main.coverage) else _percent(main.coverage),
        clips=f"{main.n:,} / {main.n + main.n_unscored:,}",
        scored=main.n,
        gap=gap,
        notes=unranked,
        cells=tuple(
            _cell(
                entry,
                column,
                main,
                notes,
                best=result.model in leaderboard.best_of(entries, column, standings.get(column.name)),
            )
            for column in columns
        ),
    )


def _base(result: Result, rank: Column) -> Summary:
    """The cell that says how many clips have a score: the ranking metric's, or the first that has any."""
    cells = [result.summary[rank.name], *(result.summary[c.name] for c in result.columns if c.per_clip)]
    return next((cell for cell in cells if cell.n), cells[0])


def styles(entries: Sequence[Entry]) -> dict[str, str]:
    """Model -> CSS classes: models have colours, anchors are grey with dashes, the true video is black."""
    found = {}
    models = anchors = 0
    for entry in entries:
        name = entry.result.model
        if entry.anchor and name == finding.CEILING:
            found[name] = "ink"
        elif entry.anchor:
            found[name] = f"soft dash{anchors % figures.DASHES}"
            anchors += 1
        else:
            found[name] = figures.style(models)
            models += 1
    return found


def first_shown(entries: Sequence[Entry], columns: Sequence[Column], rank: Column) -> list[Column]:
    """The columns that the table shows at first: the ranking one and those that follow, while others can be chosen.

    Columns that no model has a score in, and distances to the true video, are not among them.
    """
    scored = [
        column
        for column in columns
        if any(entry.result.summary[column.name].n for entry in entries)
        and not column.name.startswith("delta_")
    ]
    order = sorted(scored, key=lambda column: column.name != rank.name)
    return order[:MOST_SHOWN]


def _percent(share: float) -> str:
    """Whole percent, but never 100% for less than all."""
    return "99%" if 0.99 < share < 1 else f"{share:.0%}"


def _cell(entry: Entry, column: Column, main: Summary, notes: Footnotes, *, best: bool) -> Cell:
    summary = entry.result.summary[column.name]
    # Clips that are missing in most columns are named once, in the column of the number of clips.
    own_gap = bool(summary.n and summary.n_unscored) and summary.reasons != main.reasons
    marks = []
    reasons = ""
    if not summary.n:
        # Clips that no metric could score are no reason of this one.
        own = Counter({name: n for name, n in summary.reasons.items() if main.reasons.get(name) != n})
        reasons = ", ".join(name for name, _ in (own or Counter(summary.reasons)).most_common())
        reasons = reasons or summary.note or "no clip"
        todo = sentence(summary.detail)
        marks.append(notes.add(f"unscored ({reasons}). {todo}".strip(), about=column.label))
    elif own_gap:
        marks.append(notes.add(_gap_note(entry, summary, column)))
    if summary.n and summary.note:
        marks.append(notes.add(sentence(summary.note)))
    if summary.n and summary.lopsided:
        marks.append(
            notes.add(
                f"the mean of speakers, each counted once, is {number(summary.cluster_mean, column)}; the mean of "
                "clips, which stands here, differs from it by over a quarter of the interval.",
                about=f"{result_name(entry)}, {column.label}",
            )
        )
    return Cell(
        text="" if reasons else number(summary.mean, column) + leaderboard.size(summary, column),
        interval=interval(summary, column),
        worth="" if reasons else f"{goodness(summary, column):.9g}",
        n=f"n = {summary.n:,}" if own_gap else "",
        reason=reasons,
        best=best,
        notes=tuple(marks),
    )


def _gap_note(entry: Entry, summary: Summary, column: Column | None = None) -> str:
    """How many clips a mean lacks, and why; `column` where other columns do not lack them."""
    reasons = Counter(summary.reasons).most_common()
    counts = ", ".join(f"{count:,} {name}" for name, count in reasons)
    who = entry.result.model + (f", {column.label}" if column else "")
    clips = f"{summary.n_unscored:,} of {summary.n + summary.n_unscored:,} clips"
    first = "The most frequent: " if len(reasons) > 1 and summary.detail else "For example: "
    what = f" {first}{summary.detail.rstrip('.')}." if summary.detail else ""
    return f"{who}: {clips} have no score and are not in the mean ({counts}).{what}"


def result_name(entry: Entry) -> str:
    """The model of a line."""
    return entry.result.model


class Head(TypedDict):
    """The heading of a column, here and in the per-clip table."""

    name: str
    rest: str
    """The judge or region that the label has in brackets."""
    arrow: str
    hint: str
    unit: str
    rank: bool
    """Whether models are ranked by this column."""


def head(column: Column, rank: Column) -> Head:
    """The heading of a column."""
    name, rest = split_label(leaderboard.heading(column))
    return Head(
        name=name,
        rest=rest,
        arrow=leaderboard.ARROWS[column.better],
        hint=HINTS[column.better],
        unit=column.unit,
        rank=column is rank,
    )


def split_label(label: str) -> tuple[str, str]:
    """A label and what it has in brackets: the judge or the region."""
    name, _, rest = label.partition(" (")
    return name, rest.removesuffix(")")
