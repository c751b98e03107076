"""A folder of bundles as a printed table: CSV, Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.results import latex, leaderboard
from tkbench.results.bundle import find
from tkbench.results.latex import Style

FORMATS = ("csv", "markdown", "latex")


def export(
    runs: Path,
    form: str,
    columns: Sequence[str] = (),
    *,
    style: Style | None = None,
    bad: list[str] | None = None,
) -> str:
    """The table of a folder of bundles, with its signature beneath.

    columns: names of metrics, in the order wanted; none means all of them. A CSV is always whole. style: of LaTeX
    alone. bad: see `bundle.find`.
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form!r}: expected one of {', '.join(FORMATS)}")
    if form == "csv" and columns:
        raise UsageError("--columns is for tables that people read (markdown, latex); a CSV is always whole")
    if form != "latex" and style not in (None, Style()):
        raise UsageError("--intervals, --counts, --no-anchors, --caption and --label are for --format latex")
    bundles = find(runs, bad)
    look = style or Style()
    entries = latex.entries_of(bundles, look) if form == "latex" else leaderboard.ranked(bundles)
    if form == "csv":
        return leaderboard.to_csv(entries)
    picked = leaderboard.chosen(entries[0].result.columns, columns)
    return (
        leaderboard.to_markdown(entries, picked)
        if form == "markdown"
        else latex.to_latex(entries, picked, look)
    )
