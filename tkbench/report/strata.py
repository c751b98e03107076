"""Strata on the page: the ranking metric of each model within groups of clips (head pose, language, loudness ...).

The page shows what it is given: a table per label, with a column per group. Whoever knows the groups makes these
records and hands them to `page.render`.
"""

from __future__ import annotations

from dataclasses import dataclass


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
