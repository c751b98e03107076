"""The page of `tkbench sensitivity`: one small drawing per knob and metric, and the same numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tkbench.report.page import asset, templates
from tkbench.runtime.storage import write_file
from tkbench.scoring.sensitivity import Knob, Point, Result, trend
from tkbench.types import Column

if TYPE_CHECKING:
    from rich.table import Table

WIDTH, HEIGHT, PAD = 168.0, 84.0, 8.0
MARKS = {"rises": "↗", "falls": "↘", "flat": "→", "mixed": "↕", "unscored": ""}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A curve in pixels; `path` is empty where fewer than two values are finite."""

    label: str
    path: str
    band: str
    dots: tuple[tuple[float, float, str], ...]
    first: str
    last: str
    trend: str
    why: str


def write(result: Result, out: Path) -> Path:
    """Write the page in one step and return it."""
    rows = []
    missing: dict[str, str] = {}
    for knob in result.knobs:
        drawings = []
        for column in result.columns:
            points = result.series(knob.name, column.name)
            if points and all(math.isnan(point.mean) for point in points):
                missing[column.label] = points[0].why
            elif points:
                drawings.append(drawing(points, knob, column))
        rows.append((knob, drawings))
    page = templates().get_template("sensitivity.html.j2")
    text = page.render(
        result=result,
        rows=rows,
        missing=missing,
        tables=[table(result, knob) for knob in result.knobs],
        signature=result.signature.split("|"),
        style=Markup(asset("report.css")),
        width=WIDTH,
        height=HEIGHT,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, text.encode())
    return out


def number(value: float, column: Column) -> str:
    """As tables print it; an infinite PSNR stands for equal pictures."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{column.digits}f}".replace("-", "−")


def table(result: Result, knob: Knob) -> list[tuple[str, list[tuple[str, str]]]]:
    """Rows (value of the knob, cells): each cell is the mean, and how far it moved."""
    rows = []
    for value in knob.values:
        cells = []
        for column in result.columns:
            point = next((p for p in result.series(knob.name, column.name) if p.value == value), None)
            cells.append(cell(point, column, first=value == knob.values[0]))
        rows.append((knob.label(value), cells))
    return rows


def cell(point: Point | None, column: Column, *, first: bool) -> tuple[str, str]:
    """(mean, change) in words; a missing score says why."""
    if point is None:
        return "", ""
    if math.isnan(point.mean):
        return "unscored", point.why.partition(":")[0]
    if first or math.isnan(point.change) or math.isinf(point.change):
        return number(point.mean, column), ""
    sign = "+" if point.change >= 0 else ""
    return number(point.mean, column), sign + number(point.change, column)


def mark(points: Sequence[Point], knob: Knob) -> str:
    """The arrow of a curve; codecs have no order, so they have none."""
    return "" if knob.kind == "codec" else MARKS[trend(points)]


def drawing(points: Sequence[Point], knob: Knob, column: Column) -> Drawing:
    """The curve of one column along one knob, from the unchanged video on; scales of the crop in order of their
    value.
    """
    if knob.kind == "crop":
        points = sorted(points, key=lambda point: point.value)
    seen = [(place, p) for place, p in enumerate(points) if math.isfinite(p.mean)]
    why = "" if seen else "equal pictures at every value"
    first, last = number(points[0].mean, column), number(points[-1].mean, column)
    label = column.label
    if len(seen) < 2:
        return Drawing(label, "", "", (), first, last, mark(points, knob), why)
    lows = [p.low if math.isfinite(p.low) else p.mean for _, p in seen]
    highs = [p.high if math.isfinite(p.high) else p.mean for _, p in seen]
    low, high = min(lows), max(highs)
    if high - low < 1e-12:  # a flat line runs through the middle
        low, high = low - 1, high + 1
    reach = high - low
    step = (WIDTH - 2 * PAD) / max(len(points) - 1, 1)

    def y(value: float) -> float:
        return round(HEIGHT - PAD - (value - low) / reach * (HEIGHT - 2 * PAD), 1)

    xs = [round(PAD + place * step, 1) for place, _ in seen]
    path = "M" + "L".join(f"{x} {y(p.mean)}" for x, (_, p) in zip(xs, seen, strict=True))
    there = [f"{x} {y(value)}" for x, value in zip(xs, highs, strict=True)]
    back = [f"{x} {y(value)}" for x, value in zip(reversed(xs), reversed(lows), strict=True)]
    band = "M" + "L".join([*there, *back]) + "Z"
    dots = tuple(
        (x, y(p.mean), f"{knob.label(p.value)}: {number(p.mean, column)}")
        for x, (_, p) in zip(xs, seen, strict=True)
    )
    return Drawing(label, path, band, dots, first, last, mark(points, knob), why)


def rich_tables(result: Result) -> list[Table]:
    """One table per knob for the terminal."""
    from rich.table import Table

    out = []
    for knob in result.knobs:
        made = Table(title=f"{knob.name}: {knob.what}", title_justify="left")
        made.add_column(knob.name, no_wrap=True)
        for column in result.columns:
            made.add_column(column.label, justify="right")
        for value, cells in table(result, knob):
            made.add_row(value, *(f"{mean}\n[dim]{change or ' '}[/dim]" for mean, change in cells))
        marks = [mark(result.series(knob.name, column.name), knob) for column in result.columns]
        made.add_row("way", *marks)
        out.append(made)
    return out
