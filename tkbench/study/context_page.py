"""The page, figure and table of `tkbench study context`."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup, escape

from tkbench.study.context import ContextStudy
from tkbench.study.page import render, write_all
from tkbench.synth.reach import REACHED, reach
from tkbench.types import FPS

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 380, 54, 40, 16, 150
COLOURS = ("#2a78d6", "#d1495b", "#2e8b57", "#8a5cc2", "#c77b12", "#5b6b7a", "#0d8a9c")
MEANINGS = {
    "truth": "the synthetic mouth from the gestures within the window alone; no network",
    "truth slow": "the same where sounds blend 2.5 times as far",
    "phonemes": "told the exact phonemes within the window",
    "phonemes slow": "the same where sounds blend 2.5 times as far",
    "phonemes none": "the same where each mouth is its own phoneme's",
    "sound": "hears the window, tells the tracked mouth",
    "recognition": "hears the window, tells the phoneme; the share that is right",
}


def write(study: ContextStudy, out: Path) -> list[Path]:
    """Write table (CSV, Markdown), figure (SVG) and page into a folder: the files, the page last."""
    figure = drawing(study)
    files = {
        "context.csv": study.table().to_csv(index=False, lineterminator="\n"),
        "context.svg": figure,
        "context.md": markdown(study),
        "context.html": render(
            "study_context.html.j2",
            study=study,
            sentence=study.sentence(),
            figure=Markup(figure),
            head=head(study),
            rows=rows(study),
            facts=facts(study),
        ),
    }
    return write_all(out, files)


def head(study: ContextStudy) -> list[str]:
    """The windows that were measured, as the table heads them."""
    return [str(window) for window in sorted({point.window for point in study.points})]


def rows(study: ContextStudy) -> list[list[str]]:
    """One line per curve: its name, what it is, its reach, and its mean at each window."""
    windows = [int(text) for text in head(study)]
    found = []
    for name in study.names():
        curve = study.mean(name)
        cells = [f"{curve[n]:.3f}" if n in curve else "–" for n in windows]
        found.append([name, MEANINGS[name], str(reach(curve)), *cells])
    return found


def markdown(study: ContextStudy) -> str:
    """The table in Markdown."""
    columns = ["curve", "what it is", "reach", *head(study)]
    lines = ["| " + " | ".join(columns) + " |", "|---|---|" + "---:|" * (len(columns) - 2)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(study)]
    return "\n\n".join([study.sentence(), "\n".join(lines), facts(study)]) + "\n"


def facts(study: ContextStudy) -> str:
    """What the numbers were measured on."""
    seeds = sorted({point.seed for point in study.points if point.seed >= 0})
    return (
        f"R2 of the mouth's shape (recognition: share of frames), mean over {len(seeds)} seeds, on {study.held_frames} "
        f"frames of {study.held_speakers} people; trained on {study.train_speakers} others (data "
        f"{study.data}@{study.data_hash[:12]}). Reach: the smallest window with {REACHED:.0%} of the gain. A frame is "
        f"{1000 // FPS} ms."
    )


def drawing(study: ContextStudy) -> str:
    """A line per curve over the windows, a point per seed, a ring at the reach."""
    windows = [int(text) for text in head(study)]
    low = min(0.0, *(point.value for point in study.points))
    high = max(1.0, *(point.value for point in study.points))

    def x(window: int) -> float:
        # Evenly by place: windows grow.
        return LEFT + (WIDTH - LEFT - RIGHT) * windows.index(window) / max(1, len(windows) - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="11" fill="currentColor" role="img" '
        'aria-label="Quality against the frames of sound on either side">'
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="currentColor" '
            f'stroke-opacity="0.15"/><text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for window in windows:
        parts.append(
            f'<text x="{x(window):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{window}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">frames of sound on either '
        "side</text>"
    )
    taken: list[float] = []
    for name, colour in zip(study.names(), COLOURS, strict=False):
        curve = study.mean(name)
        line = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in curve.items())
        dashes = ' stroke-dasharray="5 3"' if name.startswith("truth") else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts += [
            f'<circle cx="{x(p.window):.1f}" cy="{y(p.value):.1f}" r="2" fill="{colour}"/>'
            for p in study.points
            if p.curve == name and p.seed >= 0
        ]
        n = reach(curve)
        parts.append(
            f'<circle cx="{x(n):.1f}" cy="{y(curve[n]):.1f}" r="6" fill="none" stroke="{colour}" stroke-width="2">'
            f"<title>{escape(name)}: reach {n}</title></circle>"
        )
        place = y(curve[max(curve)])
        while any(abs(place - other) < 13 for other in taken):
            place += 1
        taken.append(place)
        parts.append(
            f'<text x="{WIDTH - RIGHT + 10}" y="{place + 4:.1f}" fill="{colour}">{escape(name)} ({n})</text>'
        )
    return "".join([*parts, "</svg>"])
