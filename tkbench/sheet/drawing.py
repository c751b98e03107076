"""Coordinates of the sheet's drawings; the template draws them. Units are pixels, y grows downwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tkbench.report.figures import Tick, nice_ticks, tick_texts
from tkbench.types import Array

WIDE, HIGH = 300.0, 150.0
"""Of a histogram; letters are sized for it, and it is never drawn much larger or smaller."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin: its rectangle and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts over bins of equal, round width."""

    title: str
    note: str
    unit: str
    width: float
    height: float
    top: float
    bottom: float
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    most: int
    """Count of the highest bar, written at its height."""
    median: float | None
    """x of the median."""
    summary: str


def histogram(
    title: str,
    values: Sequence[float],
    unit: str,
    *,
    note: str,
    bins: int = 20,
    digits: int = 0,
    signed: bool = False,
) -> Histogram:
    """Lay out the counts of `values`; nothing but an empty frame where there is none.

    signed: values may be negative; otherwise no axis begins below 0.
    """
    top, bottom, left, right = 16.0, HIGH - 22, 4.0, WIDE - 4
    gap = "" if unit in ("°", "") else " "
    data = np.array([v for v in values if math.isfinite(v)], np.float64)
    if not len(data):
        return Histogram(title, note, unit, WIDE, HIGH, top, bottom, (), (), 0, None, "nothing measured")
    low, high = float(data.min()), float(data.max())
    step = _round_step((high - low) / bins if high > low else max(abs(high) * 0.1, 10.0**-digits), digits)
    first = math.floor(low / step + 1e-9)
    last = max(math.floor(high / step + 1e-9) + 1, first + 1)
    while last - first < 8:  # a few values in one place: room on both sides, so that the scale can be read
        first, last = first - 1, last + 1
    edges = np.round(np.arange(first, last + 1) * step, 10)
    if not signed and edges[0] < 0:
        edges = edges - edges[0]
    places = np.clip(np.floor((data - edges[0]) / step + 1e-9).astype(int), 0, len(edges) - 2)
    counts = np.bincount(places, minlength=len(edges) - 1)
    most = int(counts.max())

    def x(value: float) -> float:
        return round(left + (value - edges[0]) / (edges[-1] - edges[0]) * (right - left), 1)

    bars = []
    for i in np.flatnonzero(counts):
        tall = round(float(counts[i]) / most * (bottom - top), 1)
        between = f"{_number(edges[i], digits)} to {_number(edges[i + 1], digits)}{gap}{unit}"
        clips = f"{counts[i]:,} clip{'' if counts[i] == 1 else 's'}"
        begin, end = x(edges[i]), x(edges[i + 1])
        wide = max(round(end - begin - 1, 1), 1.0)
        bars.append(Bar(begin, round(bottom - tall, 1), wide, tall, int(counts[i]), f"{between}: {clips}"))
    ticks = _ticks(float(edges[0]), float(edges[-1]), digits)
    middle = float(np.median(data))
    summary = (
        f"median {_number(middle, digits)}, {_number(low, digits)} to {_number(high, digits)}{gap}{unit}"
        if high > low
        else f"all {_number(low, digits)}{gap}{unit}"
    )
    return Histogram(
        title=title,
        note=note,
        unit=unit,
        width=WIDE,
        height=HIGH,
        top=top,
        bottom=bottom,
        bars=tuple(bars),
        ticks=tuple(Tick(x(v), text) for v, text in zip(ticks, tick_texts(ticks), strict=True)),
        most=most,
        median=x(middle),
        summary=summary,
    )


def _round_step(raw: float, digits: int) -> float:
    """The next of 1, 2, 5, 10, ... that is at least `raw`, not below the last digit that is shown."""
    raw = max(raw, 10.0**-digits)
    power = 10 ** math.floor(math.log10(raw) + 1e-9)
    return float(min(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9)))


def _ticks(low: float, high: float, digits: int) -> list[float]:
    """About five round places, with no more decimals than the numbers themselves are shown with."""
    for count in (5, 4, 6, 3, 7):
        found = nice_ticks(low, high, count)
        if len(found) > 1 and all(abs(round(v, digits) - v) < 1e-9 for v in found):
            return found
    return nice_ticks(low, high, 5)


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def envelope(audio: Array, width: int, height: float) -> str:
    """A sound as the outline of its loudest samples, an SVG path `width` units wide and `height` high.

    >>> envelope(np.zeros(640), 2, 10)
    'M0 5.0L1 5.0L2 5.0L2 5.0L1 5.0L0 5.0Z'
    """
    edges = np.linspace(0, len(audio), width + 2).astype(int)
    peak = max(float(np.abs(audio).max(initial=0.0)), 1e-6)
    high, low = [], []
    for begin, end in pairwise(edges):
        part = audio[begin : max(end, begin + 1)] / peak
        high.append(max(float(part.max(initial=0.0)), 0.0))
        low.append(min(float(part.min(initial=0.0)), 0.0))
    middle, reach = height / 2, height / 2 - 1
    there = [f"{i} {middle - v * reach + 0.0:.1f}" for i, v in enumerate(high)]
    back = [f"{i} {middle - v * reach + 0.0:.1f}" for i, v in reversed(list(enumerate(low)))]
    return "M" + "L".join(there + back) + "Z"
