"""One column of a table as a figure: each model's mean and interval, as SVG or PDF.

The figure is a list of lines, dots and texts in points (1/72 inch) with y downwards. Two writers put it into a file.
Both formats scale without loss, hold no date, and use no font that must be shipped. SVG asks for a sans serif. PDF uses
the standard font Helvetica, whose letters are those of Windows-1252.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tkbench.errors import BadBundle, UsageError, printable
from tkbench.results import leaderboard
from tkbench.results.leaderboard import Entry
from tkbench.runtime.storage import write_file
from tkbench.types import Column

WIDTH, MARGIN, ROW, TEXT = 340.0, 6.0, 15.0, 8.0
"""Points: a column of a paper is about 240 wide, a page 500."""
LEFT = 120.0
"""Where the axis begins; names stand before it."""
LONGEST = 26
"""Letters of a model's name; the rest is cut."""
GREY, BLACK = "#8a8a8a", "#111111"


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    color: str = BLACK
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    color: str = BLACK
    radius: float = 2.4


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; (x, y) is the left end of its base line, or its middle."""

    x: float
    y: float
    text: str
    color: str = BLACK
    middle: bool = False


Mark = Line | Dot | Text


@dataclass(frozen=True, slots=True)
class Figure:
    """Marks on a sheet."""

    width: float
    height: float
    marks: tuple[Mark, ...]


def draw(entries: Sequence[Entry], column: Column) -> Figure:
    """The models of a table from the first row down; anchors are grey. Raises BadBundle where none has a number."""
    shown = [(e, e.result.summary[column.name]) for e in entries if e.result.summary[column.name].n]
    shown = [(entry, cell) for entry, cell in shown if math.isfinite(cell.mean)]
    if not shown:
        raise BadBundle(
            f"{column.name}: no model of the table has a finite number, so there is nothing to draw"
        )
    ends = [x for _, cell in shown for x in (cell.mean, cell.low, cell.high) if math.isfinite(x)]
    ticks = ticks_of(min(ends), max(ends))
    begin, end = min(ticks[0], *ends), max(ticks[-1], *ends)
    right = WIDTH - MARGIN - 12

    def x_of(value: float) -> float:
        return LEFT + (value - begin) / (end - begin) * (right - LEFT)

    floor = MARGIN + ROW * len(shown) + 4
    marks: list[Mark] = []
    for tick in ticks:
        marks.append(Line(x_of(tick), MARGIN, x_of(tick), floor, "#dddddd", 0.5))
        marks.append(Text(x_of(tick), floor + 11, f"{tick:g}", middle=True))
    marks.append(Line(LEFT, floor, right, floor, width=0.8))
    for place, (entry, cell) in enumerate(shown):
        y = MARGIN + ROW * (place + 0.5)
        color = GREY if entry.anchor else BLACK
        name = leaderboard.named(entry)
        marks.append(
            Text(MARGIN, y + 3, name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}...", color)
        )
        if math.isfinite(cell.low) and math.isfinite(cell.high):
            marks.append(Line(x_of(cell.low), y, x_of(cell.high), y, color, 1.2))
        marks.append(Dot(x_of(cell.mean), y, color))
    better = {"higher": "higher is better", "lower": "lower is better", "zero": "0 is best"}[column.better]
    unit = f", {column.unit}" if column.unit else ""
    marks.append(Text((LEFT + right) / 2, floor + 24, f"{column.label}{unit} ({better})", middle=True))
    return Figure(WIDTH, floor + 30, tuple(marks))


def ticks_of(low: float, high: float) -> list[float]:
    """Three to six round numbers that span an interval.

    >>> ticks_of(0.13, 0.58), ticks_of(2.0, 2.0)
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1.8, 2.0, 2.2])
    """
    span = high - low or max(abs(high), 1.0) / 2
    raw = span / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.8)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    return [round(i * step, 12) for i in range(first, last + 1)]


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's name ends with: .svg or .pdf. Raises UsageError for another."""
    writers = {".svg": to_svg, ".pdf": to_pdf}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UsageError(f"--out {path}: expected a name that ends in .svg or .pdf")
    write_file(path, writer(figure))


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{figure.width:g}pt" height="{figure.height:g}pt" '
        f'viewBox="0 0 {figure.width:g} {figure.height:g}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="{TEXT:g}">',
        f'<rect width="{figure.width:g}" height="{figure.height:g}" fill="white"/>',
    ]
    for mark in figure.marks:
        if isinstance(mark, Line):
            lines.append(
                f'<line x1="{mark.x1:.2f}" y1="{mark.y1:.2f}" x2="{mark.x2:.2f}" y2="{mark.y2:.2f}" '
                f'stroke="{mark.color}" stroke-width="{mark.width:g}"/>'
            )
        elif isinstance(mark, Dot):
            lines.append(
                f'<circle cx="{mark.x:.2f}" cy="{mark.y:.2f}" r="{mark.radius:g}" fill="{mark.color}"/>'
            )
        else:
            anchor = ' text-anchor="middle"' if mark.middle else ""
            text = escape(printable(mark.text))
            lines.append(f'<text x="{mark.x:.2f}" y="{mark.y:.2f}" fill="{mark.color}"{anchor}>{text}</text>')
    return "\n".join([*lines, "</svg>", ""]).encode()


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF 1.4, one page of its size."""
    drawn = "\n".join(_pdf_mark(mark, figure.height) for mark in figure.marks).encode("cp1252")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {figure.width:.2f} {figure.height:.2f}] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return out + end % (count, table, count, len(out))


def _pdf_mark(mark: Mark, height: float) -> str:
    r, g, b = (int(mark.color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    if isinstance(mark, Line):
        ends = f"{mark.x1:.2f} {height - mark.y1:.2f} m {mark.x2:.2f} {height - mark.y2:.2f} l S"
        return f"{r:.3f} {g:.3f} {b:.3f} RG {mark.width:g} w {ends}"
    fill = f"{r:.3f} {g:.3f} {b:.3f} rg"
    if isinstance(mark, Dot):
        x, y, radius = mark.x, height - mark.y, mark.radius
        bend = radius * 0.5523  # four Bezier curves that differ from a circle by less than 0.03 %
        curves = [
            (x + radius, y + bend, x + bend, y + radius, x, y + radius),
            (x - bend, y + radius, x - radius, y + bend, x - radius, y),
            (x - radius, y - bend, x - bend, y - radius, x, y - radius),
            (x + bend, y - radius, x + radius, y - bend, x + radius, y),
        ]
        path = " ".join(" ".join(f"{value:.2f}" for value in curve) + " c" for curve in curves)
        return f"{fill} {x + radius:.2f} {y:.2f} m {path} f"
    text = _in_windows_letters(mark.text)
    left = mark.x - text_width(text) / 2 if mark.middle else mark.x
    quoted = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"{fill} BT /F1 {TEXT:g} Tf {left:.2f} {height - mark.y:.2f} Td ({quoted}) Tj ET"


def _in_windows_letters(text: str) -> str:
    """A text in the letters that Helvetica has in a PDF; others are written out.

    >>> _in_windows_letters("ΔLSE-C ±1 你")
    'Delta LSE-C ±1 ?'
    """
    text = printable(text).replace("Δ", "Delta ").replace("→", "to ").replace("∞", "inf")
    return text.encode("cp1252", errors="replace").decode("cp1252")


_NARROW = {**dict.fromkeys("iIjl.,:;/ !|'", 0.26), **dict.fromkeys("frt()-[]", 0.31)}
_WIDE = {**dict.fromkeys("mMW@", 0.86), **dict.fromkeys("ABCDGHKNOQRUVXYw", 0.70)}


def text_width(text: str) -> float:
    """About how wide a line of Helvetica is, points; digits are exact, so numbers stand where they belong.

    >>> round(text_width("0.25"), 2)
    15.42
    """
    return TEXT * sum(_NARROW.get(letter, _WIDE.get(letter, 0.556)) for letter in text)
