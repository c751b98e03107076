"""What `tkbench study context` gives its networks: sound that is cut, phonemes, and the mouths that belong to them.

Sound is heard in slices of 40 ms, one per frame. A spectrum is as wide as 25 ms, so the first and the last one of a
slice also hear what lies up to 7.5 ms outside. Inside a window that is the neighbour, which is heard anyway; at its two
ends the samples outside are silence, so that a window of n frames hears n frames on either side and nothing beyond.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import audio, shards
from tkbench.metrics.mouth import lengths
from tkbench.metrics.voicefeatures import (
    N_BANDS,
    STEP,
    WINDOW,
    band_levels,
    quietest,
    spectrum_windows,
    without_drift,
)
from tkbench.study.frames import LETTERS
from tkbench.synth.articulation import Articulation, Style
from tkbench.synth.reach import Said, middles, within
from tkbench.synth.visemes import letters_at
from tkbench.types import SAMPLES_PER_FRAME, Array, Float32, Float64, Word

SLOW = 0.4
"""Sluggishness of the slow control, a factor on the corpus's own: sounds blend 2.5 times as far."""
STEPS_PER_FRAME = SAMPLES_PER_FRAME // STEP
"""Spectra in a slice."""
OUTSIDE = (WINDOW - STEP) // 2
"""Samples that the first spectrum of a slice hears before it, and the last one behind it."""
DECIBELS = 20.0
"""Decibels that count as one."""

Curve = Literal["phonemes", "phonemes slow", "phonemes none", "sound", "recognition"]
CURVES: tuple[Curve, ...] = ("phonemes", "phonemes slow", "phonemes none", "sound", "recognition")
SLUGGISH: dict[str, float | None] = {"phonemes": 1.0, "phonemes slow": SLOW, "phonemes none": None}
"""A factor on how sluggish the corpus is; None: no coarticulation."""


@dataclass(frozen=True, slots=True)
class Slices:
    """What can be heard of each frame, by its place in a window; (T, D) each."""

    middle: Float32
    """With neighbours on both sides."""
    first: Float32
    """At the beginning of a window."""
    last: Float32
    """At its end."""
    alone: Float32
    """As the whole window."""

    @classmethod
    def of(cls, rows: Float32) -> Slices:
        """Where a slice is the same wherever it stands."""
        return cls(rows, rows, rows, rows)

    @classmethod
    def joined(cls, parts: Sequence[Slices]) -> Slices:
        """Of several clips, one after another."""
        names = ("middle", "first", "last", "alone")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip."""

    speaker: str
    split: str
    phonemes: tuple[Word, ...]
    """Empty where nobody knows what is said."""
    style: Style
    """How the mouth moves from phoneme to phoneme."""
    letters: Array
    """(T,) numbers in LETTERS, -1 where unknown."""
    sound: Slices
    """(T, 104) mel bands of each frame's 40 ms."""
    mouth: Float32
    """(T, 8) lengths of the tracked mouth without drift, eye distances."""


def utterances(data: Path) -> tuple[shards.Shards, list[Utterance], bool]:
    """Every clip with its sound, its tracked mouth, and what is said where that is known; and whether the corpus
    states how its speakers articulate.
    """
    source = shards.open_shards(data)
    found, stated = [], True
    for key in sorted(source.keys()):
        landmarks = source.get_arrays(key)["landmarks"]
        record = json.loads(source.members(key, ["json"])["json"])
        truth = record.get("extra", {})
        words = tuple(
            Word(str(p["phone"]), float(p["start"]), float(p["end"])) for p in truth.get("phonemes") or []
        )
        style = stated_style(truth)
        stated &= style is not None
        sound = heard(source.get_audio(key), len(landmarks))
        frames = len(sound.middle)
        letters = np.full(frames, -1)
        if words:
            letters = np.array([LETTERS.index(x) for x in letters_at(words, middles(frames))])
        found.append(
            Utterance(
                source.speakers[key] or key,
                str(record.get("split", "")),
                words,
                style or usual_style(truth),
                letters,
                sound,
                without_drift(lengths(landmarks[:frames]), 15).astype(np.float32),
            )
        )
    return source, found, stated


def stated_style(truth: dict[str, object]) -> Style | None:
    """How a synthetic speaker articulates, as `tkbench prep synth` states it; None in corpora made before it did."""
    fields = truth.get("style")
    return (
        Style(**{name: float(value) for name, value in fields.items()}) if isinstance(fields, dict) else None
    )


def usual_style(truth: dict[str, object]) -> Style:
    """Where no style is stated: that of no speaker in particular, as slow as the clip's knobs say."""
    knobs = truth.get("knobs")
    return Style(sluggishness=float(knobs.get("sluggishness", 1.0)) if isinstance(knobs, dict) else 1.0)


def heard(voice: Float32, frames: int) -> Slices:
    """(S,) samples -> the slices of at most `frames` frames, levels below the loud parts of the clip."""
    frames = min(frames, len(voice) // SAMPLES_PER_FRAME)
    windows = spectrum_windows(voice[: frames * SAMPLES_PER_FRAME])
    level = band_levels(windows)
    floor = quietest(level) if frames else 0.0

    def bands(levels: Float64) -> Float32:
        """From 0 in silence upwards."""
        return ((np.maximum(levels, floor) - floor) / DECIBELS).astype(np.float32)

    middle = bands(level).reshape(frames, -1)
    before, behind = (windows[k::STEPS_PER_FRAME].copy() for k in (0, STEPS_PER_FRAME - 1))
    before[:, :OUTSIDE] = 0
    behind[:, -OUTSIDE:] = 0
    first, last = middle.copy(), middle.copy()
    first[:, :N_BANDS] = bands(band_levels(before))
    last[:, -N_BANDS:] = bands(band_levels(behind))
    return Slices(middle, first, last, np.concatenate([first[:, :-N_BANDS], last[:, -N_BANDS:]], axis=1))


def articulated(said: Utterance, factor: float | None) -> Float32:
    """(T, 8) mouth parameters in the middle of each frame by a mouth as sluggish as the clip's own times a factor;
    None: each frame is its own phoneme, spoken alone.
    """
    if factor is None:
        return _alone()[said.letters]
    style = slower(said.style, factor)
    return Articulation.of(said.phonemes, style)(middles(len(said.letters))).astype(np.float32)


def slower(style: Style, factor: float) -> Style:
    """The same speaker with another sluggishness."""
    return replace(style, sluggishness=style.sluggishness * factor)


@lru_cache(maxsize=1)
def _alone() -> Float32:
    """(len(LETTERS), 8): the mouth in the middle of a phoneme of 0.2 s between silences."""
    rows = [Articulation.of((Word(letter, 0.0, 0.2),), Style())(np.array([0.1]))[0] for letter in LETTERS]
    return np.stack(rows).astype(np.float32)


def truth_within(said: Utterance, window: int, factor: float) -> Float64:
    """(T, 8) mouth parameters from the gestures alone that are spoken within `window` frames of each frame."""
    return within(Said(said.phonemes, len(said.letters), slower(said.style, factor)), window)


def one_hot(letters: Array) -> Float32:
    """(T,) numbers in LETTERS -> (T, len(LETTERS))."""
    return np.eye(len(LETTERS), dtype=np.float32)[letters]


@dataclass(frozen=True, slots=True)
class Task:
    """What one kind of network is given and must tell: N frames of clips, one after another."""

    slices: Slices
    targets: Array
    """(N, 8) to be met, or (N,) classes."""
    bounds: Array
    """(N, 2) the first and the last frame of each frame's clip."""

    @property
    def classes(self) -> bool:
        """Whether classes are told."""
        return self.targets.ndim == 1

    def places(self, rows: Array, window: int) -> Array:
        """The frames that are heard with each of (n,) frames: (n, 2 window + 1); beyond the ends of a clip stands its
        first or last.
        """
        return np.clip(audio.around(rows, window), self.bounds[rows, :1], self.bounds[rows, 1:])


def task_of(curve: Curve, clips: Sequence[Utterance]) -> Task:
    """The inputs and targets of a curve."""
    if curve in ("sound", "recognition"):
        slices = Slices.joined([c.sound for c in clips])
        targets = [c.mouth if curve == "sound" else c.letters for c in clips]
    else:
        slices = Slices.of(np.concatenate([one_hot(c.letters) for c in clips]))
        targets = [articulated(c, SLUGGISH[curve]) for c in clips]
    sizes = np.array([len(target) for target in targets])
    ends = np.cumsum(sizes)
    bounds = np.repeat(np.stack([ends - sizes, ends - 1], axis=1), sizes, axis=0)
    return Task(slices, np.concatenate(targets), bounds)
