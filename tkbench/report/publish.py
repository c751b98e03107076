"""After an evaluation: write the table's CSV and its page, and make the tables that the terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench import report
from tkbench.results import bundle, leaderboard
from tkbench.types import Column

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Published:
    """What was written."""

    csv: Path
    report: Path
    folder: Path
    """The table's folder: every bundle in it is a row."""


def publish(bundles: Sequence[Path], leaderboards: Path) -> Published:
    """Bring CSV and report up to date with every bundle that lies beside the new ones."""
    folder = bundles[0].parent
    rows = bundle.find(folder)
    csv = leaderboard.write_csv(rows, leaderboards)
    page = report.write([row.folder for row in rows], folder / "report.html")
    return Published(csv, page, folder)


def rich_table(folder: Path) -> Table:
    """The ranked table for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    entries = leaderboard.ranked(bundle.find(folder))
    result = entries[0].result
    level = leaderboard.intervals_are(result)
    columns = [column for column in result.columns if not _has_table_of_its_own(column)]
    table = Table(
        title=escape(
            f"{result.dataset}, {result.split}: {result.n_clips} clips, protocol {result.protocol}; {level}"
        ),
        caption=escape("\n".join([*leaderboard.remarks(entries, columns), *_notes(entries)])) or None,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("", justify="right")
    table.add_column("model", no_wrap=True)
    for column in columns:
        heading = f"{leaderboard.heading(column)} {leaderboard.ARROWS[column.better]}".replace(" (", "\n(")
        table.add_column(heading, justify="right", overflow="fold")
    for entry in entries:
        # Reasons stand beneath the table, each once for all columns that share it.
        shown = [_short(cell) for cell in leaderboard.cells(entry, columns)]
        table.add_row(
            escape(leaderboard.standing(entry) or "-"), escape(entry.result.model), *map(escape, shown)
        )
    return table


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
