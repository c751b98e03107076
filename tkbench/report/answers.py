"""The four answers at the top of a report, each in a line or two: which is best, by how much, can it be trusted, where
does it fail. The sections below give the numbers behind them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tkbench.report import finding, trust
from tkbench.report.gaps import Gap, GapTable
from tkbench.report.trust import Check
from tkbench.results.bundle import column_of
from tkbench.results.leaderboard import Entry, worth
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, its answer, and where the numbers are."""

    question: str
    headline: str
    text: str
    place: str
    """Id of the section."""
    state: str = ""
    """CSS class: "good", "warn" or ""."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """The clip on which a model falls furthest below the true video."""

    model: str
    key: str
    value: str
    true: str
    below: int
    """Clips on which it is below the true video, of `clips`."""
    clips: int


def answers(
    entries: Sequence[Entry],
    found: finding.Finding,
    gap: GapTable | None,
    checks: Sequence[Check],
    weakness: Weakness | None,
) -> list[Answer]:
    """The answers; those that a table cannot give are left out."""
    made = [Answer("Which is best", _leaders(entries), found.lead, "table")]
    if gap is not None and (text := _by_how_much(gap)):
        made.append(Answer("By how much", _lead_gap(gap), text, "gaps"))
    if checks:
        made.append(_trust(checks))
    if weakness is not None:
        made.append(_fails(weakness))
    return made


def _leaders(entries: Sequence[Entry]) -> str:
    best = [entry.result.model for entry in entries if entry.rank == 1]
    if any(entry.alone for entry in entries):
        return f"{best[0]} is the only model"
    return " and ".join(best) if best else "No model is ranked"


def _second(gap: GapTable) -> tuple[str, Gap] | None:
    """The best of the other models, against the best one."""
    return next(((line.name, line.best) for line in gap.lines if not line.anchor and line.best), None)


def _against_real(gap: GapTable) -> Gap | None:
    """The best model, or the only one, against the true video."""
    return next((one.real for one in gap.lines if not one.anchor and gap.best in ("", one.name)), None)


def _lead_gap(gap: GapTable) -> str:
    second = _second(gap)
    if second is None:
        real = _against_real(gap)
        return f"{real.mean} against the true video" if real is not None else "Nothing to compare with"
    return f"{_turned(second[1].mean)} ahead of {second[0]}"


def _turned(text: str) -> str:
    """The same difference, seen from the other model.

    >>> _turned("−0.02"), _turned("[−0.02, +0.30]"), _turned("0.0")
    ('+0.02', '[−0.30, +0.02]', '0.0')
    """
    text = text.translate({ord("−"): "+", ord("+"): "−"})
    if text.startswith("["):
        low, high = text.strip("[]").split(", ")
        return f"[{high}, {low}]"
    return text


def _by_how_much(gap: GapTable) -> str:
    parts = []
    if (second := _second(gap)) is not None:
        words = {"worse": "a clear difference", "better": "a clear difference"}.get(
            second[1].tone, second[1].verdict
        )
        evidence = [_turned(part) if part.startswith("[") else part for part in second[1].evidence]
        parts.append(f"{', '.join(evidence)}: {words}." if evidence else f"{words.capitalize()}.")
    real = _against_real(gap)
    if real is not None:
        parts.append(f"Against the true video {real.words}.")
    return " ".join(parts)


def _trust(checks: Sequence[Check]) -> Answer:
    warned, good, notes = ([c for c in checks if c.state == state] for state in ("warn", "good", "note"))
    titles = [", ".join(dict.fromkeys(c.title.lower() for c in some)) for some in (warned, good)]
    counted = len(warned) + len(good)
    text = [f"Against it: {titles[0]}."] if warned else []
    text += [f"For it: {titles[1]}."] if good else []
    text += [check.text for check in notes if check.title == trust.CEILING_TITLE]
    if missing := sum(check.title == trust.MISSING_TITLE for check in notes):
        text.append(f"{missing} download{'' if missing == 1 else 's'} would add columns.")
    if warned:
        headline = f"{len(warned)} of {counted} checks fail{'s' if len(warned) == 1 else ''}"
        return Answer("Can I trust it", headline, " ".join(text), "trust", "warn")
    headline = "The check passes" if counted == 1 else f"All {counted} checks pass"
    return Answer("Can I trust it", headline, " ".join(text), "trust", "good")


def _fails(weakness: Weakness) -> Answer:
    share = f"Below the true video on {weakness.below:,} of {weakness.clips:,} clips."
    if not weakness.below:
        return Answer("Where does it fail", "Never below the true video", share, "clips")
    text = f"{weakness.model} has {weakness.value} there, the true video {weakness.true}. {share}"
    return Answer("Where does it fail", f"Most on {weakness.key}", text, "clips")


def weakness(entries: Sequence[Entry], clips: Mapping[str, pd.DataFrame], rank: Column) -> Weakness | None:
    """Where the best model fails; None without a model, or without scores of the true video."""
    best = next((e.result.model for e in entries if e.rank is not None), None)
    if best is None or finding.CEILING not in clips or not rank.per_clip:
        return None
    own, true = (_scores(clips[name], rank) for name in (best, finding.CEILING))
    gaps = {
        key: worth(own[key], rank) - worth(true[key], rank)
        for key in sorted(own.keys() & true.keys())
        if math.isfinite(own[key]) and math.isfinite(true[key])
    }
    if not gaps:
        return None
    key = min(gaps, key=lambda name: gaps[name])
    below = sum(gap < 0 for gap in gaps.values())
    return Weakness(
        best, key, finding.number(own[key], rank), finding.number(true[key], rank), below, len(gaps)
    )


def _scores(table: pd.DataFrame, column: Column) -> dict[str, float]:
    part = table[(table["metric"] == column.name) & table["value"].notna()]
    return dict(zip(column_of(part, "key"), part["value"].tolist(), strict=True))
