"""A static site of several tables: a list of them, a page per table, and a page per model over all tables.

    index.html               every table: who leads, and whether it can be trusted
    TABLE/index.html         the report; its videos are files beside it
    TABLE/videos/*.mp4       named by their content
    models/MODEL.html        what the model is, and where it stands in each table

Nothing on the pages asks for anything outside of the folder, so that it can be put on any web server, or opened from a
disk. The same bundles give the same bytes. Files that were there and are none of these pages' are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tkbench.errors import BadBundle
from tkbench.report import board, finding, gaps, page, trust
from tkbench.results import bundle, leaderboard
from tkbench.results.bundle import Bundle, slug
from tkbench.results.leaderboard import Entry
from tkbench.runtime.storage import write_file
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd

MOST_CELLS = 8
"""Columns of a table that a model's page shows; the table's own page has all."""


@dataclass(frozen=True, slots=True)
class TablePage:
    """A table of the site."""

    name: str
    address: str
    entries: list[Entry]
    rank: Column
    columns: list[Column]
    """The first ones that have scores, the ranking one at the front."""
    found: finding.Finding
    warnings: int
    """Checks that did not pass."""
    gaps: Mapping[str, gaps.GapLine]
    """Model -> its differences on the ranking metric."""

    @property
    def leaders(self) -> str:
        """The models of rank 1."""
        if lone := [e.result.model for e in self.entries if e.alone]:
            return f"{lone[0]}, the only model"
        return ", ".join(e.result.model for e in self.entries if e.rank == 1) or "none is ranked"

    @property
    def size(self) -> str:
        """How many clips, models and anchors."""
        result = self.entries[0].result
        anchors = sum(entry.anchor for entry in self.entries)
        return f"{result.n_clips:,} clips, {len(self.entries) - anchors} models, {anchors} anchors"


@dataclass(frozen=True, slots=True)
class Standing:
    """A model in one table, as its page shows it."""

    table: TablePage
    entry: Entry
    gap: gaps.GapLine | None
    cells: tuple[tuple[board.Head, str, str], ...]
    """(heading, mean, interval or why there is none)."""


def find_tables(folders: Sequence[Path]) -> list[list[Bundle]]:
    """The bundles of each table in these folders: a table's own folder, or one that holds tables.

    Raises BadBundle where a folder has neither, and where a table comes twice.
    """
    found: dict[str, tuple[Path, list[Bundle]]] = {}
    for folder in folders:
        inner = (
            [folder]
            if any(folder.glob("*/result.json"))
            else sorted(
                {path.parent.parent for path in folder.glob("*/*/result.json") if _is_shown(path, folder)}
            )
        )
        if not inner:
            raise BadBundle(
                f"{folder}: no result bundle in it; expected a table's folder, such as runs/<table>, or one of tables"
            )
        for place in inner:
            rows = bundle.find(place)
            name = rows[0].result.table
            if name in found:
                raise BadBundle(f"{place} and {found[name][0]}: both hold the table {name}; leave one out")
            found[name] = (place, rows)
    return [rows for _, (_, rows) in sorted(found.items())]


def _is_shown(path: Path, root: Path) -> bool:
    """Whether no folder on the way is hidden: a bundle that is being written is."""
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def write(folders: Sequence[Path], out: Path) -> Path:
    """Write the site into `out`, and return its index.html."""
    tables = [_table(rows) for rows in find_tables(folders)]
    models = sorted({entry.result.model for table in tables for entry in table.entries})
    names = _file_names(models)
    for table in tables:
        folder = out / table.name
        folder.mkdir(parents=True, exist_ok=True)
        links = {model: f"../models/{names[model]}" for model in models}
        site = page.Site("../index.html", links, folder / "videos")
        text = page.render([entry.bundle for entry in table.entries], site)
        write_file(folder / "index.html", text.encode())
    (out / "models").mkdir(parents=True, exist_ok=True)
    standings = {model: [_standing(table, model) for table in tables] for model in models}
    for model in models:
        rows = [one for one in standings[model] if one is not None]
        write_file(
            out / "models" / names[model], _render("site_model.html.j2", model=model, rows=rows).encode()
        )
    anchors = {e.result.model for table in tables for e in table.entries if e.anchor}
    order = sorted(models, key=lambda model: (model in anchors, model))
    listed = [(model, names[model], standings[model]) for model in order]
    index = out / "index.html"
    text = _render("site_index.html.j2", tables=tables, models=listed, n_anchors=len(anchors))
    write_file(index, text.encode())
    return index


def _file_names(models: Sequence[str]) -> dict[str, str]:
    """Model -> the file name of its page; names that fall together get a number."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for model in models:
        name, n = slug(model).lower(), 1
        while name in taken:
            n += 1
            name = f"{slug(model).lower()}-{n}"
        taken.add(name)
        found[model] = f"{name}.html"
    return found


def _table(rows: Sequence[Bundle]) -> TablePage:
    clips: dict[str, pd.DataFrame] = {row.result.model: row.clips() for row in rows}
    entries = leaderboard.ranked(rows, clips)
    result = entries[0].result
    columns = list(max(entries, key=lambda entry: entry.result.format_version).result.columns)
    rank = next((column for column in columns if column.name == result.rank_by), columns[0])
    found = finding.find(entries, rank)
    checks = trust.checks(entries, clips, columns, rank, found)
    standing = next((entry.standing for entry in entries if entry.standing is not None), None)
    gap = None if standing is None else gaps.table(entries, clips, rank, rank, standing)
    return TablePage(
        name=result.table,
        address=f"{result.table}/index.html",
        entries=entries,
        rank=rank,
        columns=board.first_shown(entries, columns, rank)[:MOST_CELLS],
        found=found,
        warnings=sum(check.state == "warn" for check in checks),
        gaps={} if gap is None else {line.name: line for line in gap.lines},
    )


def _standing(table: TablePage, model: str) -> Standing | None:
    entry = next((entry for entry in table.entries if entry.result.model == model), None)
    if entry is None:
        return None
    cells = []
    for column in table.columns:
        cell = entry.result.summary[column.name]
        beside = finding.interval(cell, column) if cell.n else leaderboard.status(cell)
        cells.append((board.head(column, table.rank), finding.number(cell.mean, column), beside))
    return Standing(table, entry, table.gaps.get(model), tuple(cells))


def _render(template: str, **facts: object) -> str:
    return page.templates().get_template(template).render(style=Markup(page.asset("report.css")), **facts)
