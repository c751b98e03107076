"""Phonemes -> mouth parameters over time, by the dominance functions of Cohen and Massaro (1993).

Each gesture pulls each parameter towards its target with a strength that falls off exponentially before and
after its time; the parameter is the mean of the targets, weighted by these dominances. So the influence of the
neighbours on a sound is known exactly. Two physical constraints are added: lips that must touch do touch, and they
do not part faster than real lips can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tkbench.synth.visemes import PARAMETERS, VISEMES, Gesture, gestures
from tkbench.types import Float64, Word

RATE = 1.4
"""Common factor of the falling-off rates in the viseme table: sets how much running speech blends."""
LIP_SPEED = 11.0
"""Fastest opening next to a closure, in apertures per second (about 15 cm/s on a 14 mm mouth)."""
HOLD = 0.5
"""Share of a bilabial's time in which the lips touch; at least `SHORTEST` seconds."""
SHORTEST = 0.048

_RANGES = np.array([[0, 1], [-1, 1], [0, 1], [0, 1], [0, 1], [0, 1], [0, 1], [0, 1]], float)


@dataclass(frozen=True, slots=True)
class Style:
    """How one speaker articulates."""

    opening: float = 1.0
    """Scales aperture, jaw and raise (mumbling < 1 < over-articulation), before the limits."""
    rounding: float = 1.0
    """Scales width where it is negative, and protrusion."""
    spreading: float = 1.0
    """Scales width where it is positive."""
    sluggishness: float = 1.0
    """Scales the falling-off rates: below 1 sounds blend more."""


@dataclass(frozen=True)
class Articulation:
    """The mouth of one utterance at any time: `articulation(times)` -> (n, 8), in the order of PARAMETERS."""

    gestures: tuple[Gesture, ...]
    style: Style = Style()

    @classmethod
    def of(cls, phonemes: tuple[Word, ...], style: Style | None = None) -> Articulation:
        """From phonemes of an utterance; before the first and after the last the mouth rests."""
        if not phonemes:
            return cls((Gesture(VISEMES[""], -1.0, 1.0, 1.0),), style or Style())
        first, last = phonemes[0].start, phonemes[-1].end
        around = (Word("", first - 4.0, first), *phonemes, Word("", last, last + 4.0))
        merged: list[Word] = []
        for phone in around:
            if merged and merged[-1].text == phone.text == "":
                merged[-1] = Word("", merged[-1].start, phone.end)
            else:
                merged.append(phone)
        return cls(tuple(gestures(tuple(merged))), style or Style())

    def dominance(self, times: Float64) -> Float64:
        """(n, s, 8) pull of each gesture on each parameter at each time."""
        starts = np.array([g.start for g in self.gestures])
        ends = np.array([g.end for g in self.gestures])
        # Time counts from the core of a gesture: the middle third, or all but the rims of a long one.
        core = np.maximum((ends - starts) / 6, (ends - starts) / 2 - 0.07)
        middle = (starts + ends) / 2
        distance = times[:, None] - middle
        early = np.maximum(0, -distance - core)
        late = np.maximum(0, distance - core)
        ahead = np.array([g.viseme.ahead for g in self.gestures]) * self.style.sluggishness
        behind = np.array([g.viseme.behind for g in self.gestures]) * self.style.sluggishness
        fall = np.exp(-RATE * (ahead * early + behind * late))
        strength = np.array([g.viseme.strength for g in self.gestures])
        return strength[None] * fall[..., None]

    def __call__(self, times: Float64) -> Float64:
        """Parameters at `times` (n,) in seconds: (n, 8), each in its range."""
        times = np.asarray(times, float)
        pull = self.dominance(times)
        targets = np.array([g.viseme.target for g in self.gestures])
        emphasis = np.array([g.emphasis for g in self.gestures])
        targets[:, [0, 3]] *= np.where(targets[:, [0, 3]] > 0, emphasis[:, None], 1.0)
        values = (pull * targets).sum(1) / np.maximum(pull.sum(1), 1e-12)
        style = self.style
        values[:, [0, 3, 4]] *= style.opening
        values[:, 1] *= np.where(values[:, 1] < 0, style.rounding, style.spreading)
        values[:, 2] *= style.rounding
        values = np.clip(values, _RANGES[:, 0], _RANGES[:, 1])
        values[:, 0] = np.minimum(values[:, 0], self._limit(times))
        return values

    def _limit(self, times: Float64) -> Float64:
        """The largest possible aperture at each time, given the closures near it."""
        limit = np.ones(len(times))
        for gesture in self.gestures:
            if gesture.viseme.closed:
                half = max((gesture.end - gesture.start) * HOLD, SHORTEST) / 2
                away = np.abs(times - (gesture.start + gesture.end) / 2) - half
                limit = np.minimum(limit, np.maximum(0.0, away * LIP_SPEED))
        return limit


assert len(PARAMETERS) == len(_RANGES)
