"""The page, figure and table of `tkbench study context`."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup, escape

from tkbench.runtime.words import counted
from tkbench.study.context import ContextStudy
from tkbench.study.page import markdown_table, render, write_all
from tkbench.synth.reach import REACHED
from tkbench.types import FPS

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 400, 54, 40, 16, 160
COLOURS = {
    "truth": "#2a78d6",
    "phonemes": "#2a78d6",
    "truth slow": "#d1495b",
    "phonemes slow": "#d1495b",
    "phonemes none": "#5b6b7a",
    "sound": "#2e8b57",
    "recognised": "#8a5cc2",
    "excess": "#c77b12",
    "recognition": "#0d8a9c",
}
MEANINGS = {
    "truth": "the synthetic mouth from the gestures within the window alone; no network",
    "phonemes": "told the exact phonemes within the window",
    "truth slow": "the truth where sounds blend 2.5 times as far",
    "phonemes slow": "told the phonemes there",
    "phonemes none": "told the phonemes, where each mouth is its own phoneme's",
    "sound": "hears the window, tells the tracked mouth",
    "recognised": "the mean mouth of the phoneme that a classifier hears there",
    "excess": "gain of sound less that of recognised",
    "recognition": "the classifier itself: the share of frames that is right",
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
            signature=study.signature(),
        ),
    }
    return write_all(out, files)


def head(study: ContextStudy) -> list[str]:
    """The windows that were measured, as the table heads them."""
    return [str(window) for window in study.windows()]


def rows(study: ContextStudy) -> list[list[str]]:
    """One line per curve: its name, what it is, its reach, its gain, and its mean at each window."""
    found = []
    for name in study.names():
        curve, far = study.mean(name), study.reach(name)
        seeds = f" ({', '.join(map(str, far.seeds))})" if far.seeds else ""
        cells = [f"{curve[n]:.3f}" if n in curve else "" for n in study.windows()]
        found.append(
            [
                name,
                MEANINGS[name],
                f"{far.frames} [{far.low}, {far.high}]{seeds}" if far.told else "none",
                f"{far.gain:+.3f} [{far.gain_low:+.3f}, {far.gain_high:+.3f}]",
                *cells,
            ]
        )
    return found


def markdown(study: ContextStudy) -> str:
    """The table in Markdown."""
    columns = ["curve", "what it is", "reach", "gain", *head(study)]
    table = markdown_table(columns, rows(study), words=2)
    return "\n\n".join([study.sentence(), table, facts(study), signature(study)]) + "\n"


def facts(study: ContextStudy) -> str:
    """What the numbers were measured on."""
    style = (
        "the corpus states how each speaker articulates"
        if study.stated
        else "the corpus does not state how its speakers articulate, so the truths have the usual style"
    )
    return (
        f"R2 of the mouth's shape (recognition: share of frames) on {counted(study.held_frames, 'frame')} of "
        f"{counted(study.held_speakers, 'person', 'people')}, mean over the seeds "
        f"{', '.join(map(str, study.seeds()))}; trained on {study.train_speakers} others. Small networks of "
        f"{counted(study.steps, 'step')} that tell shapes; none draws faces. Reach: the smallest window with "
        f"{REACHED:.0%} of the widest one's gain, in frames of {1000 // FPS} ms on either side; in square brackets "
        f"95 % intervals over speakers, in round ones each seed. Columns are windows; {style}. "
        f"{counted(len(study.points), 'point')} took {study.hours():.2f} core-hours, the longest "
        f"{max(p.seconds for p in study.points) / 60:.1f} minutes."
    )


def signature(study: ContextStudy) -> str:
    """As the page and the table print it."""
    return f"Signature: `{study.signature()}`"


def drawing(study: ContextStudy) -> str:
    """A line per curve over the windows, a point per seed, a ring at the reach."""
    windows = study.windows()
    table = study.table()
    low, high = min(0.0, float(table.value.min())), max(1.0, float(table.value.max()))

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
    names: list[tuple[float, str]] = []
    for name in study.names():
        curve, colour = study.mean(name), COLOURS[name]
        line = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in curve.items())
        dashes = ' stroke-dasharray="5 3"' if name.startswith("truth") else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        for window, each in study.curves[name].items():
            parts += [
                f'<circle cx="{x(window):.1f}" cy="{y(float(values[0])):.1f}" r="2" fill="{colour}"/>'
                for seed, values in each.items()
                if seed >= 0
            ]
        far = study.reach(name)
        if far.told:
            n = far.frames
            parts.append(
                f'<circle cx="{x(n):.1f}" cy="{y(curve[n]):.1f}" r="6" fill="none" stroke="{colour}" stroke-width="2">'
                f"<title>{escape(name)}: reach {n}</title></circle>"
            )
        names.append((y(curve[max(curve)]), name))
    for (_, name), place in zip(sorted(names), apart(sorted(p for p, _ in names)), strict=True):
        parts.append(
            f'<text x="{WIDTH - RIGHT + 10}" y="{place + 4:.1f}" fill="{COLOURS[name]}">{escape(name)} '
            f"({far.frames if (far := study.reach(name)).told else 'none'})</text>"
        )
    return "".join([*parts, "</svg>"])


def apart(places: list[float], least: float = 14.0, bottom: float = HEIGHT - BOTTOM) -> list[float]:
    """Heights of labels, moved so that none touches the next: first down, then up from the bottom.

    >>> apart([10.0, 12.0, 50.0]), apart([350.0, 352.0, 359.0])
    ([10.0, 24.0, 50.0], [332.0, 346.0, 360.0])
    """
    moved = list(places)
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + least)
    limit = float(bottom)
    for k in reversed(range(len(moved))):
        moved[k] = min(moved[k], limit)
        limit = moved[k] - least
    return moved
