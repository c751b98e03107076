"""After an evaluation: write the table's CSV and its page, and make the tables that the terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench import report
from tkbench.results import board, bundle, leaderboard, stacks
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
    `whole`: all of them. More than fit stand in further tables below each other. `bad`: see `bundle.find`. Raises
    UnknownName for a column that the table does not have.
    """
    from rich.text import Text

    entries = leaderboard.ranked(bundle.find(folder, bad))
    result = entries[0].result
    mine = [column for column in result.columns if not _has_table_of_its_own(column)]
    scored = _in_order_of_use(entries, mine)
    chosen = leaderboard.chosen(result.columns, names) if names else mine if whole else scored
    blocks = _blocks(entries, chosen, width)
    if not names and not whole:
        blocks = blocks[:1]
    shown = [column for block in blocks for column in block]
    title = (
        f"{result.dataset}, {result.split}: {result.n_clips} clips, protocol {result.protocol}; "
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
    """Whether a column belongs to `lse_table`: the field's recipes would make 24 columns here, and are rows there."""
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
    for column in entries[0].result.columns:
        if _has_table_of_its_own(column):
            continue
        for entry in entries:
            cell = entry.result.summary[column.name]
            if cell.n_unscored:
                count = "" if not cell.n else f" on {cell.n_unscored} clips of {entry.result.model}"
                reasons = ", ".join(cell.reasons)
                notes.setdefault(f"unscored{count}: {reasons}; {cell.detail}", []).append(column.label)
                break
    return [f"{', '.join(names)} {note}" for note, names in notes.items()]


def lse_table(folders: Sequence[Path]) -> Table:
    """LSE-C, LSE-D and AVOffset of each model by every recipe in its bundle: a row per recipe."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="LSE by recipe; numbers of different rows are not comparable", title_justify="left")
    for name in ("model", "recipe", "LSE-C / Sync-C ↑", "LSE-D / Sync-D ↓", "AVOffset →0", "clips", ""):
        table.add_column(name, justify="left" if name in ("model", "recipe", "") else "right")
    for folder in folders:
        result = bundle.read(folder).result
        summary = result.summary
        for column in result.columns:
            if not column.name.startswith("lse_c"):
                continue
            end = column.name.removeprefix("lse_c")
            trio = [summary[f"{start}{end}"] for start in ("lse_c", "lse_d", "av_offset")]
            shown = ["-" if not cell.n else f"{cell.mean:.3f}" for cell in trio]
            scored = f"{trio[0].n}/{trio[0].n + trio[0].n_unscored}"
            recipe = column.label.removeprefix("LSE-C").strip(" ()")
            # The metric `sync` has no recipe in its label: it is the one without lossy coding.
            recipe = (
                recipe
                if ",ends:valid" not in column.signature or "tkbench" in recipe
                else (f"tkbench-v1, {recipe}" if recipe else "tkbench-v1")
            )
            why = "" if not trio[0].reasons else f"{', '.join(trio[0].reasons)}: {trio[0].detail}"
            table.add_row(escape(result.model), escape(recipe), *shown, scored, escape(why))
    return table
