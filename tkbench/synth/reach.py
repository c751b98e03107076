"""How much context the mouths of a corpus need: the reach of its coarticulation, known exactly.

The mouth of a frame is drawn from the gestures of its own sound and of those around it. With the gestures further away
than n frames left out, a part of the movement is missing; the reach is the smallest n with nearly all of it. It is what
a lip-sync model could gain from context if it knew every phoneme, and the truth that `tkbench study context` is held
against. n counts frames of 40 ms on either side of the frame itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tkbench.synth.articulation import Articulation, Style
from tkbench.types import FPS, Array, Float64, Word

REACHED = 0.95
"""The share of the widest window's gain that defines the reach."""
WINDOWS = (*range(11), 15, 25)
"""Frames on either side."""


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance, by one speaker's way of articulating."""

    phonemes: tuple[Word, ...]
    frames: int
    style: Style


def within(said: Said, window: int) -> Float64:
    """(T, 8) mouth parameters from the gestures alone that are spoken within `window` frames of each frame."""
    whole = Articulation.of(said.phonemes, said.style)
    rows = []
    for k in range(said.frames):
        low, high = (k - window) / FPS, (k + 1 + window) / FPS
        near = tuple(g for g in whole.gestures if g.start < high and g.end > low)
        rows.append(replace(whole, gestures=near or whole.gestures[:1])(np.array([(k + 0.5) / FPS])))
    return np.concatenate(rows)


def middles(frames: int) -> Float64:
    """The time in the middle of each frame, (T,) seconds."""
    return np.asarray((np.arange(frames) + 0.5) / FPS)


def explained(true: Array, made: Array) -> float:
    """R2 over all columns that vary, each about its own mean and in its own spread."""
    spread = true.var(axis=0)
    moving = spread > 1e-9
    rest = ((true - made) ** 2).mean(axis=0)
    return float((1 - rest[moving] / spread[moving]).mean())


def reach(curve: dict[int, float], *, share: float = REACHED, least: float = 0.01) -> int:
    """The smallest window with `share` of the gain from 0 to the widest; 0 where that is below `least`.

    >>> reach({0: 0.5, 1: 0.9, 2: 0.98, 4: 1.0}), reach({0: 0.7, 4: 0.705})
    (2, 0)
    """
    first, last = curve[min(curve)], curve[max(curve)]
    if last - first < least:
        return 0
    return min(n for n, value in curve.items() if value - first >= share * (last - first))


def reach_of(said: Sequence[Said], windows: Sequence[int] = WINDOWS) -> int:
    """The reach of some utterances, in frames."""
    true = np.concatenate([Articulation.of(one.phonemes, one.style)(middles(one.frames)) for one in said])
    return reach({n: explained(true, np.concatenate([within(one, n) for one in said])) for n in windows})
