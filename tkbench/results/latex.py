r"""Tables for papers: a booktabs table with caption and label, as one pastes it.

The preamble needs `\usepackage{booktabs}`. Bold are the best mean and those within its interval that no test
parts from it (`leaderboard.best_of`). A caption of one's own is LaTeX and stands as it is; every other text comes from
bundles, and is escaped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tkbench.errors import UsageError, printable
from tkbench.results import leaderboard
from tkbench.results.bundle import Bundle, Result, Summary
from tkbench.results.delta import with_deltas
from tkbench.results.leaderboard import Entry
from tkbench.runtime.words import counted
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd

LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"}
LATEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "†": r"$^\dagger$"}
LATEX |= {"Δ": r"$\Delta$", "∞": r"$\infty$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\to$"}
Intervals = Literal["brackets", "pm", "none"]


@dataclass(frozen=True, slots=True)
class Style:
    """How a table looks."""

    intervals: Intervals = "brackets"
    """brackets: the interval. pm: the larger distance of its two bounds from the mean. none: means alone."""
    counts: bool = False
    """The number of clips of every mean, and not only of those that lack some."""
    anchors: bool = True
    caption: str = ""
    """LaTeX; "" for one that says data, protocol, intervals and the hash of the signature."""
    label: str = ""
    """Without `tab:`; "" for the table's name."""

    def __post_init__(self) -> None:
        """Refuse what a table cannot be made of."""
        if self.intervals not in get_args(Intervals):
            raise UsageError(f"--intervals {self.intervals!r}: expected {', '.join(get_args(Intervals))}")
        if any(letter in self.label for letter in "{}\\%#$&~^ \n"):
            raise UsageError(f"--label {self.label!r}: letters, digits, - and : only, as in main-results")


def tex(text: str) -> str:
    r"""Text for LaTeX.

    >>> tex("lse_c 5%")
    'lse\\_c 5\\%'
    """
    return "".join(LATEX.get(letter, letter) for letter in " ".join(printable(text).split()))


def signature_hash(signature: str) -> str:
    """12 hex digits of a signature's sha256, whose first 8 are in the table's name.

    >>> signature_hash("a|b")
    '0eab8a0a3380'
    """
    return hashlib.sha256(signature.encode()).hexdigest()[:12]


def entries_of(bundles: Sequence[Bundle], style: Style) -> list[Entry]:
    """The rows of the table; without anchors, models are ranked among themselves."""
    if style.anchors:
        return leaderboard.ranked(bundles)
    models = [row for row in with_deltas(bundles) if not row.result.model_card.get("anchor")]
    if not models:
        raise UsageError("--no-anchors leaves no row: every bundle is an anchor")
    return leaderboard.ranked(models)


def to_latex(
    entries: Sequence[Entry],
    columns: Sequence[Column],
    style: Style | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """The table; who is not ranked and why, and what must be known, stand beneath its rule.

    tables: `Bundle.clips()` by model, where they are at hand.
    """
    style = style or Style()
    result = entries[0].result
    clips = tables if tables is not None else {e.result.model: e.bundle.clips() for e in entries}
    standings = leaderboard.by_column(entries, clips)
    best = {
        column.name: leaderboard.best_of(entries, column, standings.get(column.name)) for column in columns
    }
    head = ["", "Model", *(tex(f"{leaderboard.heading(c)} {leaderboard.ARROWS[c.better]}") for c in columns)]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{style.caption or _caption(entries, style)}}}",
        rf"\label{{tab:{style.label.removeprefix('tab:') or result.table}}}",
        r"\begin{tabular}{ll" + "r" * len(columns) + "}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
    ]
    for entry in entries:
        row = [tex(leaderboard.standing(entry)) or "--", tex(leaderboard.named(entry))]
        row += [
            _cell(entry, column, style, bold=entry.result.model in best[column.name]) for column in columns
        ]
        lines.append(" & ".join(row) + r" \\")
    notes = [
        *leaderboard.second_choice(result),
        *_unscored(entries, columns),
        *leaderboard.warnings_of(entries, columns),
        *(leaderboard.not_ranked(entry) for entry in entries if entry.note),
    ]
    if notes:
        lines.append(r"\midrule")
        wide = rf"\multicolumn{{{2 + len(columns)}}}{{p{{0.9\linewidth}}}}"
        lines += [rf"{wide}{{\footnotesize {tex(note)}}} \\" for note in notes]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    lines += [f"% {line}" for line in leaderboard.caption(entries, columns).splitlines()]
    return "\n".join(lines) + "\n"


def _unscored(entries: Sequence[Entry], columns: Sequence[Column]) -> list[str]:
    """Why a cell has no number, a sentence per column and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        for entry in entries:
            if not (cell := entry.result.summary[column.name]).n:
                found.setdefault((column.label, leaderboard.status(cell)), []).append(entry.result.model)
    return [
        f"{label}: {why}" + ("." if len(models) == len(entries) else f" ({', '.join(models)}).")
        for (label, why), models in found.items()
    ]


def _cell(entry: Entry, column: Column, style: Style, *, bold: bool) -> str:
    cell = entry.result.summary[column.name]
    if cell.n == 0:
        return "--"  # beneath the rule stands why
    mean = tex(f"{leaderboard.number(cell.mean, column.digits)}{leaderboard.size(cell, column)}")
    mean = rf"\textbf{{{mean}}}" if bold else mean
    texts = [mean, _interval(cell, column, style)]
    total = cell.n + cell.n_unscored
    if column.per_clip and (cell.n_unscored or style.counts):
        count = f"{cell.n}/{total}" if cell.n_unscored else f"{cell.n}"
        texts.append(rf"{{\scriptsize ($n={count}$)}}")
    return " ".join(filter(None, texts))


def _interval(cell: Summary, column: Column, style: Style) -> str:
    bracket = leaderboard.bracket(cell, column.digits)
    if not bracket or style.intervals == "none":
        return ""
    if style.intervals == "pm":
        reach = max(cell.high - cell.mean, cell.mean - cell.low)
        return rf"$\pm$ {leaderboard.number(reach, column.digits)}"
    return rf"{{\scriptsize {tex(bracket)}}}"


def _caption(entries: Sequence[Entry], style: Style) -> str:
    """What a reader of the paper must know, in LaTeX."""
    result = entries[0].result
    unit = leaderboard.clusters_of(result)
    return " ".join(
        filter(
            None,
            [
                tex(
                    f"{result.data_title}, split {result.split}, {counted(result.n_clips, 'clip')}, protocol "
                    f"{result.protocol}."
                ),
                tex(f"Means of clips{_of_intervals(result, style)}."),
                f"Bold: {leaderboard.BOLD.replace('speakers', unit)}."
                if sum(not entry.anchor for entry in entries) > 1
                else "",
                tex(" ".join(leaderboard.ranks_are(entries))),
                rf"Signature: sha256 \texttt{{{signature_hash(result.signature)}}}, tkbench.",
            ],
        )
    )


def _of_intervals(result: Result, style: Style) -> str:
    if not (over := leaderboard.levels_of(result)):
        return ""
    shown = {
        "brackets": f"; brackets: {over}",
        "pm": f"; after the sign: the farther bound of {over}",
        "none": "",
    }
    return shown[style.intervals]
