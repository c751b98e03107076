"""Whether a table can be trusted: the anchors, the share of clips with a score, networks that are missing, and what the
judge of lip sync does on these very data.

The judge is asked two things that have a known answer. The true video shall fit its own voice better than the same
video with the voice of another clip (`shuffled-audio`), and its offset shall be 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tkbench.report import finding
from tkbench.report.finding import CEILING, FLOOR, sentence
from tkbench.results import pleased
from tkbench.results.bundle import column_of
from tkbench.results.leaderboard import Entry, worth
from tkbench.results.standing import qualifies
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd

State = Literal["good", "warn", "note"]
IN_SYNC = 1.0
"""Frames by which the offset of a true video may differ from 0."""
RELIABLE = 0.95
"""Share of the true videos on which a judge that can be trusted gives the known answer."""
CEILING_TITLE, MISSING_TITLE = "Ceiling", "Missing"
ABSENT = ("weights-missing", "extra-missing")
"""Reasons that a download or an installation mends."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was checked, and what was found."""

    state: State
    title: str
    text: str


def checks(
    entries: Sequence[Entry],
    clips: Mapping[str, pd.DataFrame],
    columns: Sequence[Column],
    rank: Column,
    found: finding.Finding,
) -> list[Check]:
    """All checks of a table, in the order of the page."""
    lines = []
    if found.anchors:
        lines.append(Check("good" if found.trusted else "warn", "Anchors", found.anchors))
    lines += [_coverage(entries, rank), *_judges(clips, columns), *_ceiling(entries, rank)]
    lines += _missing(entries, columns)
    if text := pleased.warning(rank.name, rank.label):
        lines.append(Check("warn", "Ranking metric", text))
    standing = next((entry.standing for entry in entries if entry.standing is not None), None)
    if standing is not None and standing.too_few:
        lines.append(Check("warn", f"{standing.unit.capitalize()}s", sentence(standing.too_few)))
    return lines


def _coverage(entries: Sequence[Entry], rank: Column) -> Check:
    """How many clips the ranking rests on."""
    cells = {entry.result.model: entry.result.summary[rank.name] for entry in entries}
    if not rank.per_clip:
        return Check("note", "Coverage", f"{rank.label} is one number for the whole set.")
    total = entries[0].result.n_clips
    short = {name: cell for name, cell in cells.items() if cell.n < total}
    if not short:
        return Check("good", "Coverage", f"Every row has a score on all {total:,} clips.")
    parts = [f"{name} {cell.n:,} of {total:,}" for name, cell in short.items()]
    low = [e.result.model for e in entries if not qualifies(e.result, rank) and cells[e.result.model].n]
    text = f"Clips with a score on {rank.label}: {', '.join(parts)}; all others have all."
    if len(parts) == len(cells):
        text = f"Clips with a score on {rank.label}: {', '.join(parts)}."
    if low:
        text += f" Too few to be ranked: {', '.join(low)}."
    return Check("warn", "Coverage", text)


def _ceiling(entries: Sequence[Entry], rank: Column) -> list[Check]:
    """Models that the ranking metric does not tell from the true video: above it, a better score is no better video."""
    standing = next((entry.standing for entry in entries if entry.standing is not None), None)
    if standing is None or CEILING not in standing.names or not standing.holm or standing.too_few:
        return []
    near = [
        entry.result.model
        for entry in entries
        if not entry.anchor and entry.rank is not None and not standing.clearly(CEILING, entry.result.model)
    ]
    if not near:
        return []
    text = f"{rank.label} does not tell {' or '.join(near)} from the true video."
    return [Check("note", CEILING_TITLE, text)]


def _missing(entries: Sequence[Entry], columns: Sequence[Column]) -> list[Check]:
    """A line per network or package that is missing, with the columns that wait for it."""
    waiting: dict[str, list[str]] = {}
    for column in columns:
        for entry in entries:
            cell = entry.result.summary[column.name]
            if not cell.n and any(reason in ABSENT for reason in cell.reasons):
                labels = waiting.setdefault(sentence(cell.detail), [])
                if column.label not in labels:
                    labels.append(column.label)
    return [
        Check("note", MISSING_TITLE, f"{', '.join(labels)}: no score. {what}".strip())
        for what, labels in waiting.items()
    ]


def _judges(clips: Mapping[str, pd.DataFrame], columns: Sequence[Column]) -> list[Check]:
    """What each judge of lip sync says of the true videos."""
    if CEILING not in clips:
        return []
    found = []
    for column in columns:
        if not column.name.startswith("lse_c") or not column.per_clip:
            continue
        end = column.name.removeprefix("lse_c")
        true = _scores(clips[CEILING], column)
        if not true:
            continue
        parts, shares = [], []
        if FLOOR in clips:
            wrong = _scores(clips[FLOOR], column)
            both = sorted(true.keys() & wrong.keys())
            if both:
                right = sum(worth(true[key], column) > worth(wrong[key], column) for key in both)
                parts.append(
                    f"the true video fits its own voice better than a wrong one on {_of(right, len(both))}"
                )
                shares.append(right / len(both))
        offset = next((one for one in columns if one.name == f"av_offset{end}"), None)
        lags = _scores(clips[CEILING], offset) if offset is not None else {}
        if lags:
            near = sum(abs(lag) <= IN_SYNC for lag in lags.values())
            shares.append(near / len(lags))
            middle = float(np.median(list(lags.values())))
            told = "" if abs(middle) <= IN_SYNC else f" (median {finding.number(middle, offset or column)})"
            parts.append(
                f"it finds the true video in sync to {IN_SYNC:.0f} frame on {_of(near, len(lags))}{told}"
            )
        if parts:
            _, _, judge = column.label.partition(" (")
            good = all(share >= RELIABLE for share in shares)
            text = f"{judge.removesuffix(')') or 'syncnet-v2'} on these data: {'; '.join(parts)}."
            found.append(Check("good" if good else "warn", "Judge", text))
    return found


def _of(count: int, total: int) -> str:
    """A count of clips: "all 24 clips", "20 of 24 clips (83 %)"."""
    if count == total:
        return f"all {total:,} clips" if total != 1 else "the one clip"
    return f"{count:,} of {total:,} clips ({math.floor(100 * count / total)} %)"


def _scores(table: pd.DataFrame, column: Column) -> dict[str, float]:
    part = table[(table["metric"] == column.name) & table["value"].notna()]
    return dict(zip(column_of(part, "key"), part["value"].tolist(), strict=True))
