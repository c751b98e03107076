"""The page, figures and table of `tkbench study memory`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench.report.page import jpeg_address
from tkbench.runtime.words import counted
from tkbench.study.frames import LETTERS, VISEMES, Frames
from tkbench.study.memory import MemoryStudy
from tkbench.study.page import render, write_all
from tkbench.train.objectives.slots import USED
from tkbench.types import Array, Float64, UInt8

WALL_SLOTS = 32
"""Slots on the wall of mouths, those that win most."""
WALL_MOUTHS = 8
CELL = 14
"""Pixels of a cell of a heat map."""
LABEL = 62


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A drawing of how a slot's frames divide over classes."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Wall:
    """The mouths nearest to one slot."""

    slot: int
    share: float
    """Of the frames that it wins."""
    says: str
    """The commonest visemes there."""
    mouths: tuple[str, ...]
    """JPEGs as data addresses."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table that people read."""

    what: str
    memory: str
    untrained: str
    note: str


def write(study: MemoryStudy, out: Path) -> list[Path]:
    """Write table (CSV, Markdown), heat maps (SVG) and page into a folder: the files, the page last."""
    files = {"memory.csv": study.table().to_csv(index=False, lineterminator="\n")}
    maps = heat_maps(study)
    files |= {f"memory-{place}.svg": item.svg for place, item in enumerate(maps)}
    files["memory.md"] = _markdown(study)
    files["memory.html"] = render(
        "study_memory.html.j2",
        study=study,
        sentence=study.sentence(),
        lines=lines(study),
        maps=maps,
        wall=wall(study),
        facts=facts(study),
    )
    return write_all(out, files)


def lines(study: MemoryStudy) -> list[Line]:
    """The table, in the order in which it is read."""
    one, two = study.memory, study.untrained

    def share(name: str) -> tuple[str, str]:
        pair = (getattr(one, name), getattr(two, name))
        return (_percent(pair[0]), _percent(pair[1]))

    of = f"of {one.slots}"
    reads = f"a linear layer reads {one.readable_from_voice:.0%} from the voice"
    evenly = "slots that would be used as evenly"
    out = [
        Line(
            "slots in use by lips",
            str(one.used_lips),
            str(two.used_lips),
            f"{of}; win {USED:.1%} of the frames",
        ),
        Line("slots in use by voice", str(one.used_voice), str(two.used_voice), of),
        Line("perplexity by lips", f"{one.perplexity_lips:.1f}", f"{two.perplexity_lips:.1f}", evenly),
        Line("perplexity by voice", f"{one.perplexity_voice:.1f}", f"{two.perplexity_voice:.1f}", ""),
        Line("lip features explained by lips", *share("explained_lips"), "of their variance"),
        Line("lip features explained by voice", *share("explained_voice"), reads),
        Line("the same by the winner alone, lips", *share("explained_lips_winner"), ""),
        Line("the same by the winner alone, voice", *share("explained_voice_winner"), ""),
        Line(
            "mouth shape in the recall by lips",
            f"{one.shape_lips:.3f}",
            f"{two.shape_lips:.3f}",
            "R2, 8 lengths",
        ),
        Line("mouth shape in the recall by voice", f"{one.shape_voice:.3f}", f"{two.shape_voice:.3f}", ""),
        Line("voice and lips choose the same slot", *share("agree"), "of the frames"),
    ]
    for kind in ("viseme", "phoneme") if study.transcribed else ():
        others = ", ".join(f"{c.name} {_percent(getattr(c, f'gain_{kind}'))}" for c in study.controls)
        out.append(Line(f"gain about the {kind} by voice", *share(f"gain_{kind}_voice"), others))
        out.append(Line(f"gain about the {kind} by lips", *share(f"gain_{kind}_lips"), ""))
    for item in study.movement:
        size = f"of the intact memory's; its size is {_percent(item.size)}"
        out.append(Line(f"movement that stays, {item.name}", _percent(item.kept), "", size))
    return out


def heat_maps(study: MemoryStudy) -> list[HeatMap]:
    """How the frames of each slot in use divide over visemes and phonemes, by voice and by lips.

    None where nobody knows what is said.
    """
    if not study.transcribed:
        return []
    frames, slots = study.held.frames, study.memory.slots
    return [
        HeatMap(f"{title} chosen by {side}", _heat_map(winner, classes, names, slots))
        for title, classes, names in (
            ("Visemes of the slots", frames.viseme, VISEMES),
            ("Phonemes of the slots", frames.letter, tuple(letter or "silence" for letter in LETTERS)),
        )
        for side, winner in (("voice", frames.key), ("lips", frames.value))
    ]


def _heat_map(winner: Array, classes: Array, names: tuple[str, ...], slots: int) -> str:
    """Rows are slots in use, in the order of their commonest class; columns are classes that occur."""
    table = np.zeros((slots, len(names)))
    np.add.at(table, (winner, classes), 1)
    used = np.flatnonzero(table.sum(axis=1) >= USED * len(winner))
    columns = np.flatnonzero(table.sum(axis=0) > 0)
    share: Float64 = table[used] / table[used].sum(axis=1, keepdims=True)
    share = share[:, columns]
    order = np.lexsort((-share.max(axis=1), share.argmax(axis=1)))
    width, height = LABEL + CELL * len(columns) + 30, LABEL + CELL * len(used) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="10" fill="currentColor" role="img">'
    ]
    for x, column in enumerate(columns):
        place = LABEL + CELL * x + CELL / 2 + 3
        parts.append(f'<text transform="translate({place:g},{LABEL - 4}) rotate(-60)">{names[column]}</text>')
    for y, row in enumerate(order):
        top = LABEL + CELL * y
        parts.append(f'<text x="{LABEL - 6}" y="{top + 10}" text-anchor="end">{used[row]}</text>')
        for x, value in enumerate(share[row]):
            tip = f"slot {used[row]}, {names[columns[x]]}: {value:.0%}"
            parts.append(
                f'<rect x="{LABEL + CELL * x}" y="{top}" width="{CELL - 1}" height="{CELL - 1}" fill="#2a78d6" '
                f'fill-opacity="{0.04 + 0.96 * value:.3f}"><title>{tip}</title></rect>'
            )
    return "".join([*parts, "</svg>"])


def wall(study: MemoryStudy) -> list[Wall]:
    """For the slots that lips choose most: the mouths that ask for each most surely, one of a clip."""
    frames = study.held.frames
    counts = np.bincount(frames.value, minlength=study.memory.slots)
    wanted = [int(slot) for slot in np.argsort(-counts, kind="stable")[:WALL_SLOTS] if counts[slot]]
    nearest = {slot: _nearest(frames, slot) for slot in wanted}
    crops = _crops(study, sorted({int(frames.clip[row]) for rows in nearest.values() for row in rows}))
    return [
        Wall(
            slot,
            counts[slot] / len(frames),
            _says(frames, slot) if study.transcribed else "",
            tuple(jpeg_address(_mouth(crops[int(frames.clip[row])][frames.place[row]])) for row in rows),
        )
        for slot, rows in nearest.items()
    ]


def _nearest(frames: Frames, slot: int) -> list[int]:
    found: dict[int, int] = {}
    rows = np.flatnonzero(frames.value == slot)
    for row in rows[np.argsort(-frames.sure[rows], kind="stable")]:
        found.setdefault(int(frames.clip[row]), int(row))
        if len(found) == WALL_MOUTHS:
            break
    return list(found.values())


def _crops(study: MemoryStudy, clips: list[int]) -> dict[int, UInt8]:
    return {clip: study.reader.clip(study.held.clips[clip])[0] for clip in clips}


def _says(frames: Frames, slot: int) -> str:
    counts = np.bincount(frames.viseme[frames.value == slot], minlength=len(VISEMES))
    return ", ".join(VISEMES[kind] for kind in np.argsort(-counts, kind="stable")[:3] if counts[kind] > 0)


def _mouth(face: UInt8) -> UInt8:
    from tkbench.train.objectives.base import mouth_box

    top, bottom, left, right = mouth_box(*face.shape[:2])
    return face[top:bottom, left:right]


def _percent(value: float) -> str:
    """A share for people; below -100 % only that it is."""
    if np.isnan(value):
        return "–"
    # Plus 0, so that nothing rounds to "-0.0".
    return f"{round(100 * value, 1) + 0.0:.1f} %" if value >= -1 else "< -100 %"


def _markdown(study: MemoryStudy) -> str:
    rows = "\n".join(
        f"| {line.what} | {line.memory} | {line.untrained} | {line.note} |" for line in lines(study)
    )
    return (
        f"# The memory of {study.model}\n\n{study.sentence()}\n\n"
        f"| | memory | untrained | |\n|---|---:|---:|---|\n{rows}\n\n{facts(study)}\n\n"
        f"Signature: `{study.signature()}`\n"
    )


def facts(study: MemoryStudy) -> str:
    """What the numbers were measured on."""
    return (
        f"Held out: {counted(study.n_frames, 'frame')} of {counted(study.speakers, 'person', 'people')} in "
        f"{counted(len(study.held.clips), 'clip')} (data {study.data[:12]}). Tables and fits: {study.counted_frames} "
        f"frames (data {study.counted_data[:12]}). Weights "
        f"sha256 {study.weights[:12]}. The study took {study.hours:.2f} core-hours."
    )
