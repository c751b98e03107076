"""One clip of the sheet: pictures at several times with landmarks over them, its waveform, and its facts."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.crops import align
from tkbench.crops.recipes import ibug68
from tkbench.report.page import jpeg_address
from tkbench.shards import Shards, unpack_arrays, unpack_sound
from tkbench.shards.originals import renamed
from tkbench.sheet.choose import PreparedRow
from tkbench.sheet.drawing import envelope
from tkbench.sheet.lag import Lag
from tkbench.sheet.measure import Measure
from tkbench.types import FPS, Array, Float64, UInt8

PICTURES, SIDE = 4, 160
"""Pictures of a clip, and their side in pixels."""
REACH = 1.7
"""Side of a picture over the larger side of the landmarks' box."""
WAVE = (240, 40)
"""Width and height of the waveform's drawing."""

_LINES = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36))
_RINGS = ((36, 42), (42, 48))
_LIPS = ((48, 60), (60, 68))


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the waveform's width."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Card:
    """What the template shows of a clip."""

    key: str
    file: str
    """The name of its file, where that is another than its key."""
    why: tuple[str, ...]
    speaker: str
    split: str
    text: str
    picture: str
    """The pictures side by side, a data URI."""
    alt: str
    face: str
    lips: str
    """SVG paths over the pictures, in their pixels."""
    wave: str
    times: tuple[float, ...]
    """Where the pictures were taken, in the waveform's units."""
    filled: tuple[Span, ...]
    """Frames whose landmarks were filled in."""
    facts: tuple[str, ...]
    fixes: tuple[str, ...]


def make(
    source: Shards,
    key: str,
    row: PreparedRow,
    measured: Measure,
    why: Sequence[str],
    lag: Lag | None = None,
) -> Card:
    """Read a clip and draw it; its pictures are decoded up to the last one that is shown."""
    path = _text(row.get("path"))
    members = source.members(key)
    arrays = unpack_arrays(key, members["npz"])
    landmarks, score = arrays["landmarks"], arrays["score"]
    n = len(landmarks)
    shown = np.unique(np.linspace(0, n - 1, 2 * PICTURES + 1)[1::2].round().astype(int))
    frames = _frames(members["mp4"], shown)
    transforms = view(landmarks, (frames.shape[1], frames.shape[2]))[shown]
    crops = align.warp(frames, transforms, (SIDE, SIDE), border=128)
    marks = align.apply(transforms, ibug68(landmarks[shown]))
    marks[:, :, 0] += SIDE * np.arange(len(shown))[:, None]
    audio = unpack_sound(key, members["flac"])
    times = [frame / FPS for frame in shown]
    at = ", ".join(f"{t:.1f}" for t in times)
    return Card(
        key=key,
        file=path if renamed(str(row.get("clip")), path) else "",
        why=tuple(why),
        speaker=_text(row.get("speaker")),
        split=_text(row.get("split")),
        text=_text(row.get("text")),
        picture=jpeg_address(np.concatenate(list(crops), axis=1)),
        alt=f"The face of {key} at {at} s",
        face="".join(_path(frame[a:b]) for frame in marks for a, b in _LINES)
        + "".join(_path(frame[a:b]) + "Z" for frame in marks for a, b in _RINGS),
        lips="".join(_path(frame[a:b]) + "Z" for frame in marks for a, b in _LIPS),
        wave=envelope(audio, *WAVE),
        times=tuple(round((frame + 0.5) / n * WAVE[0], 1) for frame in shown),
        filled=tuple(
            Span(round(a / n * WAVE[0], 1), max(round((b - a) / n * WAVE[0], 1), 1.0))
            for a, b in runs(score == 0)
        ),
        facts=(*_facts(row, measured, n, audio), *([str(lag)] if lag else [])),
        fixes=tuple(part for part in _text(row.get("fixes")).split("; ") if part),
    )


def view(landmarks: Array, size: tuple[int, int]) -> Float64:
    """A square around the face in each frame, of one size for the clip: (T, 2, 3), canvas -> SIDE x SIDE.

    size: (height, width) of the canvas, which the square does not leave.
    """
    low, high = landmarks.min(axis=1).astype(np.float64), landmarks.max(axis=1).astype(np.float64)
    side = min(REACH * max(float(np.median((high - low).max(axis=1))), 8.0), *size)
    room = np.maximum(np.array(size[::-1]) - side, 0.0)
    corner = np.clip((low + high) / 2 + 0.5 - side / 2, 0.0, room) - 0.5  # the outer edge of its first pixel
    out = np.zeros((len(landmarks), 2, 3))
    out[:, 0, 0] = out[:, 1, 1] = SIDE / side
    out[:, :, 2] = -corner * SIDE / side - 0.5
    return out


def runs(flags: Array) -> list[tuple[int, int]]:
    """[start, stop) of each run of True.

    >>> runs(np.array([0, 1, 1, 0, 1], bool))
    [(1, 3), (4, 5)]
    """
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def _frames(video: bytes, wanted: Array) -> UInt8:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        file.write_bytes(video)
        stream = media.stream_frames(file, media.probe(file))
        for index, frame in enumerate(stream):
            if index in wanted:
                found.append(frame.copy())
            if index >= wanted[-1]:
                break
    return np.stack(found)


def _path(points: Array) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(value: object) -> str:
    """A value of the manifest as text; empty for None and nan."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _facts(row: PreparedRow, measured: Measure, n: int, audio: Array) -> tuple[str, ...]:
    peak = float(np.abs(audio).max(initial=0.0))
    level = f"peak {_signed(20 * math.log10(peak))} dB" if peak > 0 else "digital silence"
    faces, filled = int(row.get("n_faces") or 1), int(row.get("filled_frames") or 0)
    return (
        f"{n / FPS:.1f} s",
        f"{int(row['width'])}×{int(row['height'])}",
        f"face {measured.height:.0f} px",
        f"yaw {_signed(measured.yaw)}°",
        level,
        *([f"{faces} faces"] if faces > 1 else []),
        *([f"{filled} filled"] if filled else []),
    )


def _signed(value: float) -> str:
    """A whole number with a real sign; 0 has none.

    >>> _signed(-0.3), _signed(4.0), _signed(-17.2)
    ('0', '+4', '−17')
    """
    whole = round(value)
    return f"{whole:+d}".replace("-", "−") if whole else "0"
