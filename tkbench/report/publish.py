"""After an evaluation: write the table's CSV and its page, and make the tables that the terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench import report
from tkbench.results import board, bundle, cost, leaderboard, stacks
from tkbench.runtime.words import counted
from tkbench.types import Column

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Published:
    """What was written."""

    csv: Path
    report: Path
    folder: Path
    """The table's folder: every bundle in it is a row."""
    faults: tuple[str, ...] = ()
    """A line per bundle beside the new ones that could not be used."""


def publish(bundles: Sequence[Path], leaderboards: Path) -> Published:
    """Bring CSV and report up to date with every bundle that lies beside the new ones."""
    folder = bundles[0].parent
    bad: list[str] = []
    rows = bundle.find(folder, bad)
    page = report.write([row.folder for row in rows], folder / "report.html")
    changed = board.publish(bundles, leaderboards)
    return Published(changed.tables[0], page, folder, tuple(dict.fromkeys([*bad, *changed.faults])))


def rich_tables(
    folder: Path, width: int, *, names: Sequence[str] = (), whole: bool = False, bad: list[str] | None = None
) -> list[RenderableType]:
    """The ranked table for a terminal of `width` characters: title, table, and what must be known to read it.

    Shown are the ranking column and as many others as fit, in the protocol's order. `names`: these columns instead.
    Those of `results.cost` are shown where they are named. `whole`: all of them. More than fit stand in further
    tables below each other. `bad`: see `bundle.find`. Raises UnknownName for a
    column that the table does not have.
    """
    from rich.text import Text

    entries = leaderboard.ranked(cost.with_costs(bundle.find(folder, bad), names))
    result = entries[0].result
    mine = [column for column in result.columns if not _has_table_of_its_own(column)]
    scored = _in_order_of_use(entries, mine)
    chosen = leaderboard.chosen(result.columns, names) if names else mine if whole else scored
    blocks = _blocks(entries, chosen, width)
    if not names and not whole:
        blocks = blocks[:1]
    shown = [column for block in blocks for column in block]
    title = (
        f"{result.data_title}, {result.split}: {counted(result.n_clips, 'clip')}, protocol {result.protocol}; "
        f"{leaderboard.intervals_are(result)}"
    )
    below = [*leaderboard.remarks(entries, shown), *_notes(entries)]
    if more := len([column for column in scored if column not in shown]):
        below.append(
            f"More columns with scores: {more}. --all shows them, --columns some of them; all are in CSV and report."
        )
    return [
        Text(title, style="italic"),
        *(_table(entries, block) for block in blocks),
        Text("\n".join(below), style="dim"),
    ]


def _in_order_of_use(entries: Sequence[leaderboard.Entry], columns: Sequence[Column]) -> list[Column]:
    """The ranking column, then the others that have a score, distances to the true video last."""
    rank_by = entries[0].result.rank_by
    scored = [c for c in columns if any(entry.result.summary[c.name].n for entry in entries)]
    return sorted(scored, key=lambda c: (c.name != rank_by, c.name.startswith("delta_")))


def _blocks(
    entries: Sequence[leaderboard.Entry], columns: Sequence[Column], width: int
) -> list[list[Column]]:
    """Columns in groups that fit beside rank and model, at least one in each."""
    fixed = sum(
        3 + max(map(len, texts))
        for texts in (
            ["", *(leaderboard.standing(entry) for entry in entries)],
            ["model", *(entry.result.model for entry in entries)],
        )
    )
    blocks: list[list[Column]] = [[]]
    left = width - fixed
    for column in columns:
        lines = [_heading(column), *(_short(leaderboard.cells(entry, [column])[0]) for entry in entries)]
        need = 3 + max(len(line) for text in lines for line in text.splitlines())
        if blocks[-1] and need > left:
            blocks.append([])
            left = width - fixed
        blocks[-1].append(column)
        left -= need
    return blocks


def _table(entries: Sequence[leaderboard.Entry], columns: Sequence[Column]) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for column in columns:
        table.add_column(escape(_heading(column)), justify="right", no_wrap=True)
    for entry in entries:
        # Reasons stand beneath the table, each once for all columns that share it.
        shown = [_short(cell) for cell in leaderboard.cells(entry, columns)]
        rank = leaderboard.standing(entry) or "-"
        style = "dim" if entry.anchor else None
        mark = stacks.MARK if entry.other else ""
        table.add_row(escape(rank), escape(entry.result.model + mark), *map(escape, shown), style=style)
    return table


def _heading(column: Column) -> str:
    """A column's heading in short lines."""
    text = f"{leaderboard.heading(column)} {leaderboard.ARROWS[column.better]}"
    return text.replace(" (", "\n(").replace(" / ", "\n")


def _has_table_of_its_own(column: Column) -> bool:
    """Whether a column belongs to `lse_tables`: the field's recipes would make 24 columns here, and are rows there."""
    from tkbench.metrics.lse_recipes import RECIPES

    return column.signature.removeprefix("lse[").partition(",")[0] in RECIPES


def _short(cell: str) -> str:
    return "unscored" if cell.startswith("unscored:") else cell.replace(" [", "\n[")


def _notes(entries: Sequence[leaderboard.Entry]) -> list[str]:
    """The notes beneath a table: which models are not ranked and why, what is unscored and what to do."""
    notes: dict[str, list[str]] = {}
    for entry in entries:
        if entry.note:
            notes.setdefault(f"not ranked: {entry.note}", []).append(entry.result.model)
    lines = [f"{', '.join(models)} {note}" for note, models in notes.items()]
    # A summary has the detail of its commonest reason alone: columns without one go with those that say it.
    gaps: dict[tuple[str, str], dict[str, list[str]]] = {}
    for column in entries[0].result.columns:
        if not _has_table_of_its_own(column):
            for gap, detail in _gaps(entries, column):
                gaps.setdefault(gap, {}).setdefault(detail, []).append(column.label)
    for (reason, where), details in gaps.items():
        without = details.pop("", [])
        first, *others = details.items() if details else [("", [])]
        for detail, labels in [(first[0], first[1] + without), *others]:
            # One of many names: a narrow terminal shows the beginning of a line, and the reason has to be in it.
            shown = _named(labels) if len(labels) <= FEW else f"{labels[0]} and {len(labels) - 1} more"
            lines.append(f"{shown} unscored{where}: {reason}" + (f"; {detail}" if detail else ""))
    return lines


def _gaps(entries: Sequence[leaderboard.Entry], column: Column) -> list[tuple[tuple[str, str], str]]:
    """What lacks a score in a column: ((reason, where), what to do), once per reason."""
    found = []
    cells = [(entry.result.model, entry.result.summary[column.name]) for entry in entries]
    for reason in dict.fromkeys(name for _, cell in cells for name in cell.reasons):
        mine = [(model, cell) for model, cell in cells if reason in cell.reasons]
        parts = [f"{counted(cell.reasons[reason], 'clip')} of {model}" for model, cell in mine]
        # A network that is missing, and whatever else no model escapes, needs no list.
        usual = [max(cell.reasons, key=cell.reasons.__getitem__) for _, cell in mine]
        everywhere = usual.count(reason) == len(cells) and not any(cell.n for _, cell in mine)
        where = "" if everywhere else f" on {_named(parts)}"
        texts = [cell.detail for (_, cell), most in zip(mine, usual, strict=True) if most == reason]
        found.append(((reason, where), next(filter(None, texts), "")))
    return found


FEW = 3
"""Columns that a note names all."""
NAMED = 4
"""Names that a note lists before it counts the others."""


def _named(names: Sequence[str]) -> str:
    """Names with commas; of more than one too many only the first.

    >>> _named(["a", "b", "c", "d", "e"]), _named(["a", "b", "c", "d", "e", "f"])
    ('a, b, c, d, e', 'a, b, c, d and 2 more')
    """
    if len(names) <= NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def lse_tables(folders: Sequence[Path]) -> list[RenderableType]:
    """LSE-C, LSE-D and AVOffset of each model by every recipe in its bundle: a row per recipe; beneath, what to do."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    table = Table(title="LSE by recipe; numbers of different rows are not comparable", title_justify="left")
    for name in ("model", "recipe", "LSE-C / Sync-C ↑", "LSE-D / Sync-D ↓", "AVOffset →0", "clips", ""):
        table.add_column(name, justify="left" if name in ("model", "recipe", "") else "right")
    advice: dict[str, None] = {}
    for folder in folders:
        result = bundle.read(folder).result
        for column in result.columns:
            if not column.name.startswith("lse_c"):
                continue
            end = column.name.removeprefix("lse_c")
            trio = [result.summary[f"{start}{end}"] for start in ("lse_c", "lse_d", "av_offset")]
            shown = ["-" if not cell.n else f"{cell.mean:.3f}" for cell in trio]
            scored = f"{trio[0].n}/{trio[0].n + trio[0].n_unscored}"
            table.add_row(
                escape(result.model),
                escape(_recipe(column)),
                *shown,
                scored,
                escape(", ".join(trio[0].reasons)),
            )
            if trio[0].reasons:
                advice.setdefault(f"{', '.join(trio[0].reasons)}: {trio[0].detail}")
    return [table, *([Text("\n".join(advice), style="dim")] if advice else [])]


def _recipe(column: Column) -> str:
    """The recipe of an LSE column. The metric `sync` has none in its label: it is the one without lossy coding."""
    recipe = column.label.removeprefix("LSE-C").strip(" ()")
    if ",ends:valid" not in column.signature or "tkbench" in recipe:
        return recipe
    return f"tkbench-v1, {recipe}" if recipe else "tkbench-v1"
