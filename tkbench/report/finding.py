"""The sentences at the top of a report: who leads, and whether the anchors stand where they should."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tkbench.results.bundle import Summary
from tkbench.results.leaderboard import Entry, goodness, only_one, percent
from tkbench.types import Column

CEILING, FLOOR = "real", "shuffled-audio"
"""The anchors that should stand at the two ends of every ranking metric."""
STILL = "still"
"""The other floor: a face that does not move fits no voice either. Its curve is flat, while that of a wrong voice has
the dip that the best of 31 shifts has by chance; so either of the two floors may be the lower one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the table says, in words."""

    lead: str
    anchors: str
    """What the anchors say, or "" where nothing has a score."""
    trusted: bool
    """Whether the anchors stand where they should; False also where that cannot be checked."""


def find(entries: Sequence[Entry], column: Column) -> Finding:
    """Read the ranking metric of a table."""
    if all(math.isnan(cell(entry, column).mean) for entry in entries):
        return Finding(_nothing(entries[0], column), "", False)
    anchors, trusted = _anchors(entries, column)
    return Finding(_lead(entries, column), anchors, trusted)


def number(value: float, column: Column) -> str:
    """A value as tables print it: ∞ for infinity, a real minus sign, a plus sign where the sign is the point.

    >>> lse = Column("x", "X", "", "zero", 1)
    >>> number(-0.01, lse), number(2, lse), number(-math.inf, lse)
    ('0.0', '+2.0', '−∞')
    """
    if math.isnan(value):
        return "–"
    rounded = round(value, column.digits) if math.isfinite(value) else value
    sign = "−" if rounded < 0 else "+" if rounded > 0 and column.better == "zero" else ""
    size = "∞" if math.isinf(rounded) else f"{abs(rounded):.{column.digits}f}"
    return sign + size


def interval(summary: Summary, column: Column) -> str:
    """The bounds in brackets, with their level where it is not the table's, or "" where there are none."""
    if math.isnan(summary.low) or math.isnan(summary.high):
        return ""
    level = "" if math.isnan(summary.reach) else f"; {percent(summary.reach)}"
    return f"[{number(summary.low, column)}, {number(summary.high, column)}{level}]"


def cell(entry: Entry, column: Column) -> Summary:
    """The ranking cell of a model."""
    return entry.result.summary[column.name]


def _nothing(entry: Entry, column: Column) -> str:
    found = cell(entry, column)
    why = max(found.reasons, key=lambda name: found.reasons[name], default="no clip")
    words = f"No model has a score on {column.label} ({why}), so nothing is ranked."
    return f"{words} {sentence(found.detail)}".strip()


def _lead(entries: Sequence[Entry], column: Column) -> str:
    scored = [entry for entry in entries if not math.isnan(cell(entry, column).mean)]
    # Entries come by rank, which is that of the means on the clips that all ranked models have.
    models = [entry for entry in scored if not entry.anchor and entry.rank is not None]
    if not models:
        best = max(scored, key=lambda entry: goodness(cell(entry, column), column))
        words = f"No model is ranked yet: among the reference points, {_name(best)} leads on {column.label}"
        return f"{words} with {_value(best, column)}."
    best, rest = models[0], models[1:]
    level = [_name(entry) for entry in rest if entry.rank == best.rank]
    words = f"{_name(best)} leads on {column.label} with {_value(best, column)}"
    if not rest:
        reached = f"{_value(best, column)} on {column.label}"
        words = f"{_name(best)} is the {only_one(entries)}, so it has no rank; it reaches {reached}"
    elif level:
        words = (
            f"{' and '.join([_name(best), *level])} are level on {column.label} with {_value(best, column)}"
        )
    if rest:
        words += _ahead(best, rest, column)
    real = _named(scored, CEILING)
    lead = "lead" if rest else "score"
    if real is not None:
        words += f"; the true video has {number(cell(real, column).mean, column)}"
        if _compare(best, real, column) > 0 and _unclear(best, real):
            words += f", which is not clearly worse, so the {lead} does not prove better lips"
        elif _compare(best, real, column) > 0:
            words += (
                f", so the judge rates it above the true video, and its {lead} does not prove better lips"
            )
    return words + "."


def _ahead(best: Entry, rest: Sequence[Entry], column: Column) -> str:
    """Of which models the first one is clearly ahead; in words that follow its name and value."""
    second = number(cell(rest[0], column).mean, column)
    standing = best.standing
    if standing is None or not standing.holm:
        return (
            f", {_name(rest[0])} has {second}; without intervals nothing tells whether that is a difference"
        )
    where = ""
    if standing.n < standing.n_clips:
        where = f" on the {standing.n} clips that every ranked model has a score for"
    unclear = [_name(entry) for entry in rest if not standing.clearly(_name(best), _name(entry))]
    if not unclear:
        return f", clearly ahead of {_name(rest[0])} ({second}){where}"
    if standing.too_few:
        return f", ahead of {_name(rest[0])} ({second}){where}, but {standing.too_few}"
    return f"{where}, but is not clearly ahead of {', '.join(unclear)}"


def _anchors(entries: Sequence[Entry], column: Column) -> tuple[str, bool]:
    scored = [entry for entry in entries if entry.anchor and not math.isnan(cell(entry, column).mean)]
    real, shuffled = _named(scored, CEILING), _named(scored, FLOOR)
    if real is None or shuffled is None:
        missing = [name for name in (CEILING, FLOOR) if _named(scored, name) is None]
        words = (
            f"Whether the metric can be trusted here is not known: {' and '.join(missing)} "
            f"{'has' if len(missing) == 1 else 'have'} no score in this table."
        )
        here = {entry.result.model for entry in entries}
        advice = "" if here >= set(missing) else " Run `tkbench eval --model anchors` on the same data."
        return words + advice, False
    wrong = [
        _gap(entry, "above", real, column)
        for entry in scored
        if entry is not real and _compare(entry, real, column) > 0
    ]
    still = _named(scored, STILL)
    floors = [shuffled] if still is None else [shuffled, still]
    wrong += [
        _gap(entry, "below", floor, column)
        for floor in floors
        for entry in scored
        if entry is not real and entry not in floors and _compare(entry, floor, column) < 0
    ]
    low = [e for e in entries if not e.anchor and _compare(e, shuffled, column) <= 0]
    aside = ""
    if low:
        aside = (
            f" No better than {FLOOR}, the true video with a wrong voice: {', '.join(_name(e) for e in low)}."
        )
    if wrong:
        return f"The anchors do not order as they should: {'; '.join(wrong)}.{aside}", False
    worst = f"{FLOOR} is worst" if still is None else f"{FLOOR} and {STILL}, which fit no voice, are worst"
    return f"The anchors order as they should: {CEILING} is best, {worst}.{aside}", True


def _gap(entry: Entry, side: str, other: Entry, column: Column) -> str:
    values = [number(cell(e, column).mean, column) for e in (entry, other)]
    better = "better" if side == "above" else "worse"
    text = f"{_name(entry)} ({values[0]}) is {better} than {_name(other)} ({values[1]})"
    return text + (", though not clearly" if _unclear(entry, other) else "")


def _compare(a: Entry, b: Entry, column: Column) -> float:
    """Above 0 where a is better, on shared clips where both are ranked; nan where one has no score."""
    standing = a.standing
    if standing is not None and b.standing is standing:
        return standing.better(_name(a), _name(b))
    left, right = (goodness(cell(entry, column), column) for entry in (a, b))
    return 0.0 if left == right else left - right


def _unclear(a: Entry, b: Entry) -> bool:
    """Whether two ranked models cannot be told apart."""
    standing = a.standing
    return (
        standing is not None
        and b.standing is standing
        and bool(standing.holm)
        and not (standing.clearly(_name(a), _name(b)) or standing.clearly(_name(b), _name(a)))
    )


def _named(entries: Sequence[Entry], name: str) -> Entry | None:
    return next((entry for entry in entries if entry.anchor and entry.result.model == name), None)


def _name(entry: Entry) -> str:
    return entry.result.model


def _value(entry: Entry, column: Column) -> str:
    found = cell(entry, column)
    return f"{number(found.mean, column)} {interval(found, column)}".strip()


def sentence(text: str) -> str:
    """With a capital and a full stop, as a message becomes when it stands alone.

    >>> sentence("run it"), sentence("")
    ('Run it.', '')
    """
    return text and text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
