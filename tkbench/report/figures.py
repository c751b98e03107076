"""Coordinates of the two drawings of a report; the template draws them. Units are pixels, y grows downwards.

Each figure is laid out for a given width, so that its letters keep their size on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LETTER = 7.1
"""Mean advance of a letter at the 12 px of the labels, in the widest of the usual system fonts."""
COLOURS = 12
"""Colours in the style sheet (tests/report/test_colours.py says how distinct they are); after them come dashes."""
DASHES = 4
"""Patterns of the lines of anchors, which are all grey."""
LABEL_GAP = 29.0
"""Pixels between two labels of two lines each."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    text: str
    second: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the curve figure: (shift in frames, distance) pairs, by shift."""

    name: str
    style: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve in pixels."""

    name: str
    short: str
    style: str
    path: str
    best: tuple[float, float]
    best_shift: str
    end: tuple[float, float]
    label: float
    """y of the label, moved away from its neighbours."""


@dataclass(frozen=True, slots=True)
class Curves:
    """The figure of distance against shift."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    zero: float
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A row of the interval figure; nan bounds: no interval; a nan or infinite value stands as text."""

    name: str
    style: str
    anchor: bool
    value: float
    low: float
    high: float
    text: str
    bounds: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A Mark in pixels; None where there is nothing to draw."""

    mark: Mark
    short: str
    y: float
    x: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Forest:
    """The figure of intervals."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    reference: float | None
    """x of the true video's value."""
    x: tuple[Tick, ...]
    strips: tuple[Strip, ...]
    wide: bool


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside [low, high], about `count` of them.

    >>> nice_ticks(0.3, 9.8)
    [2, 4, 6, 8]
    """
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(math.log(s / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """All with as many decimals as the finest needs, and a real minus sign."""
    digits = 0
    while digits < 6 and any(abs(round(v, digits) - v) > 1e-9 for v in values):
        digits += 1
    return [f"{v:.{digits}f}".replace("-", "−") for v in values]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places close to `wanted` that are at least `gap` apart, between low and high where they fit.

    >>> spread([10, 11, 50], 10, 0, 55)
    [10.0, 20.0, 50.0]
    >>> spread([50, 52], 10, 0, 55)
    [45, 55]
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    placed = [0.0] * len(wanted)
    floor = low
    for i in order:
        placed[i] = max(float(wanted[i]), floor)
        floor = placed[i] + gap
    ceiling = max(high, low + gap * (len(wanted) - 1))
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def shorten(name: str, letters: int) -> str:
    """At most that many letters; the middle is left out, because versions of a model differ at the end.

    >>> shorten("my-model-step-2000", 12)
    'my-mod…-2000'
    """
    if len(name) <= letters:
        return name
    tail = (letters - 1) // 2
    return f"{name[: letters - 1 - tail]}…{name[-tail:]}"


def curves(series: Sequence[Series], width: float) -> Curves:
    """Lay out mean distance (y) against shift (x); the series are not empty."""
    letters = 18 if width > 500 else 14
    names = [shorten(one.name, letters) for one in series]
    left, top = 40.0, 12.0
    right = width - 26 - max(LETTER * max(len(name) for name in names), LETTER * 10)
    bottom = top + max(270.0 if width > 500 else 250.0, LABEL_GAP * len(series))
    shifts = [shift for one in series for shift, _ in one.points]
    values = [value for one in series for _, value in one.points]
    x_low, x_high = min(shifts), max(shifts)
    pad = (max(values) - min(values)) * 0.06 or max(abs(max(values)) * 0.05, 0.5)
    y_low, y_high = min(values) - pad, max(values) + pad

    def x(shift: float) -> float:
        return round(left + (shift - x_low) / max(x_high - x_low, 1) * (right - left), 1)

    def y(value: float) -> float:
        return round(bottom - (value - y_low) / (y_high - y_low) * (bottom - top), 1)

    ends = [y(one.points[-1][1]) for one in series]
    labels = spread(ends, LABEL_GAP, top + 6, bottom - 16)
    lines = []
    for one, short, end, label in zip(series, names, ends, labels, strict=True):
        shift, lowest = min(one.points, key=lambda point: (point[1], abs(point[0]), point[0]))
        path = "M" + "L".join(f"{x(s)} {y(v)}" for s, v in one.points)
        sign = "+" if shift > 0 else "−" if shift < 0 else ""
        lines.append(
            Line(
                name=one.name,
                short=short,
                style=one.style,
                path=path,
                best=(x(shift), y(lowest)),
                best_shift=f"{sign}{abs(shift)}",
                end=(x(one.points[-1][0]), end),
                label=round(label, 1),
            )
        )
    y_ticks = nice_ticks(y_low, y_high)
    return Curves(
        width=width,
        height=bottom + 62,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        zero=x(0),
        x=tuple(
            Tick(
                x(s),
                f"{s:+d}".replace("-", "−") if s else "0",
                f"{s * 40}".replace("-", "−") if width > 500 or s % 10 == 0 else "",
            )
            for s in range(x_low, x_high + 1)
            if s % 5 == 0
        ),
        y=tuple(Tick(y(v), text) for v, text in zip(y_ticks, tick_texts(y_ticks), strict=True)),
        lines=tuple(lines),
    )


def forest(marks: Sequence[Mark], width: float, *, reference: float) -> Forest:
    """Lay out one row per mark; `reference` (nan for none) is the value of the true video."""
    wide = width > 420
    letters = 20 if wide else 15
    names = [shorten(mark.name, letters) for mark in marks]
    left = 16 + LETTER * max(len(name) for name in names)
    right = width - (132.0 if wide else 52.0)
    top, row = 8.0, max(30.0, min(44.0, 280 / len(marks)))
    bottom = round(top + row * len(marks), 1)
    finite = [v for m in marks for v in (m.value, m.low, m.high, reference) if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    pad = (high - low) * 0.05 or max(abs(high) * 0.05, 0.5)
    if low >= 0 and low < 0.3 * high:
        low, pad_low = 0.0, 0.0  # a scale that starts nearly at 0 should start at 0
    else:
        pad_low = pad
    low, high = low - pad_low, high + pad

    def x(value: float) -> float | None:
        return (
            round(left + (value - low) / (high - low) * (right - left), 1) if math.isfinite(value) else None
        )

    ticks = nice_ticks(low, high, 5 if wide else 4)
    return Forest(
        width=width,
        height=bottom + 40,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        reference=x(reference),
        x=tuple(Tick(x(v) or left, text) for v, text in zip(ticks, tick_texts(ticks), strict=True)),
        strips=tuple(
            Strip(mark, short, round(top + row * (i + 0.5), 1), x(mark.value), x(mark.low), x(mark.high))
            for i, (mark, short) in enumerate(zip(marks, names, strict=True))
        ),
        wide=wide,
    )


def style(place: int) -> str:
    """CSS classes of a model by its place among the models: colours first, then dashes too.

    >>> style(0), style(13)
    ('c0', 'c1 dash')
    """
    return f"c{place % COLOURS}" + (" dash" if place >= COLOURS else "")
