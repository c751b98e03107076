"""What each metric means and how to read it, for readers who meet it in a report.

The texts are facts of the columns (`tkbench.types.Column`): each metric brings its own, and bundles keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tkbench.types import Better, Column

DIRECTIONS: dict[Better, str] = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "zero": "Closer to 0 is better.",
}
RANK = (
    "The place among the models by the ranking metric, on the clips that every ranked model has a score for; 1 is "
    "best. Anchors stand at their place in the order and take no number. In brackets is its interval: from 1 + the "
    "models that are clearly better, to the number of ranked models less those that are clearly worse. Clearly: a "
    "sign-flip test of the differences, clustered by speaker, that holds after Holm's correction for all pairs of the "
    "table. `tkbench compare` prints the pairs."
)


@dataclass(frozen=True, slots=True)
class Term:
    """One entry."""

    label: str
    direction: str
    unit: str
    text: str
    also_called: str
    """Names that the field uses for the same number, with commas."""
    signature: str


def terms(columns: Sequence[Column]) -> list[Term]:
    """One Term per column, in table order; a text that stands above already is not repeated.

    A column without a text (a bundle of format 3, or a plug-in that brings none) has its direction and unit alone.
    """
    found: list[Term] = []
    first: dict[str, str] = {}
    for column in columns:
        known = first.setdefault(column.text, column.label) if column.text else column.label
        text = column.text if known == column.label else f"As {known} above."
        found.append(
            Term(
                label=column.label,
                direction=DIRECTIONS[column.better],
                unit=column.unit,
                text=" ".join(filter(None, (text, column.variant))),
                also_called=", ".join(column.also_called) if known == column.label else "",
                signature=column.signature,
            )
        )
    return found
