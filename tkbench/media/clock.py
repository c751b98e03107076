"""What the time stamps of a file's packets promise, and whether a clip can keep it.

Zero is the stamp of the first picture that can be decoded. From there on the pictures lie on the container's own clock,
and so does the sound. A clock that begins anew cannot be followed; one that leaps, or a header that spreads few
pictures over a long time, would fill a clip with one picture held. Both are found here, before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tkbench.errors import BadMedia
from tkbench.types import FPS, Array, MediaFacts, Reason

BACKWARDS = 0.1
"""Seconds that decoding times may go back: more is a clock that begins anew."""
BACKWARDS_SHOWN = 1.0
"""The same where only the times of showing are known: pictures that are shown later may be decoded first."""
LEAP = 2.0
"""Seconds after the last picture at which sound that had stopped before it cannot begin again."""
SLOWEST = 4.0
"""Pictures per second below which a stream is no video of a talking face."""
MOST_HELD = 0.25
"""Share of a clip's frames that may be pictures held beyond the source's own interval."""


@dataclass(slots=True)
class Stamps:
    """The stamps of one stream's packets as they come, in seconds."""

    shown: list[float] = field(default_factory=list)
    end: float = -np.inf
    """Where the last packet ends."""
    leap: tuple[float, float] = (0.0, 0.0)
    """The longest time without a packet: where the one before ended, and where the next one begins."""
    _last: float = -np.inf
    _last_shown: float = -np.inf

    def add(self, shown: float | None, decoded: float | None, length: float, *, kept: bool = True) -> None:
        """The next packet: when it is shown and decoded, how long it lasts, and whether it is shown at all.

        Raises BadMedia(CLOCK_RESTARTS).
        """
        if decoded is not None:
            if decoded < self._last - BACKWARDS:
                raise _restart(self._last, decoded)
            self._last = max(self._last, decoded)
        elif shown is not None:
            if shown < self._last_shown - BACKWARDS_SHOWN:
                raise _restart(self._last_shown, shown)
            self._last_shown = max(self._last_shown, shown)
        time = shown if shown is not None else decoded
        if time is None:
            return
        if time - self.end > self.leap[1] - self.leap[0] and self.end > -np.inf:
            self.leap = (self.end, time)
        self.end = max(self.end, time + length)
        if kept:
            self.shown.append(time)


def _restart(last: float, now: float) -> BadMedia:
    return BadMedia(
        Reason.CLOCK_RESTARTS,
        f"the time stamps go from {last:.3f} s back to {now:.3f} s; join the parts with one clock (ffmpeg concat)",
    )


def check_leap(sounds: Stamps, last: float) -> None:
    """Refuse sound that goes on long after the last picture, having stopped before it: its clock has leapt.

    last: seconds at which the last picture is shown. Raises BadMedia(STRETCHED).
    """
    begin, end = sounds.leap
    if begin < last < end - LEAP:
        found = f"the sound leaps from {begin:.1f} s to {end:.1f} s"
        raise BadMedia(Reason.STRETCHED, f"{found}; the last picture is shown at {last:.1f} s")


def holds_of(stamps: Array) -> tuple[tuple[float, int], ...]:
    """Where pictures are held beyond the source's own interval: (seconds after the first, frames of the 25 fps grid).

    stamps: (n,) rising seconds. The own interval is the third quartile of the steps, and never less than a frame.

    >>> holds_of(np.concatenate([np.arange(10), np.arange(20, 30)]) / 25)
    ((0.36, 10),)
    """
    if len(stamps) < 3:
        return ()
    steps = np.diff(stamps)
    own = max(1 / FPS, float(np.quantile(steps, 0.75)))
    held = np.floor((steps - own) * FPS + 0.5 + 1e-6).astype(int)
    places = np.flatnonzero(held > 0)
    return tuple((round(float(stamps[k] - stamps[0]), 6), int(held[k])) for k in places)


def held_frames(holds: Sequence[tuple[float, int]], start: float = 0.0, stop: float = np.inf) -> int:
    """Frames within [start, stop) seconds that show a picture held beyond its time.

    >>> held_frames(((0.36, 10),)), held_frames(((0.36, 10),), 0.0, 0.6)
    (10, 5)
    """
    total = 0.0
    for begin, frames in holds:
        first, last = begin + 1 / FPS, begin + (frames + 1) / FPS
        total += max(0.0, min(last, stop) - max(first, start)) * FPS
    return round(total)


def check_pace(facts: MediaFacts, *, start: float = 0.0) -> None:
    """Refuse a clip whose stamps spread its pictures over far more time than they fill.

    facts: of the file, or of the part of it that begins at `start` seconds. Raises BadMedia(STRETCHED).
    """
    frames = facts.duration * FPS
    if facts.n_frames > 1 and facts.n_frames / facts.duration < SLOWEST:
        heard = f"{facts.audio_duration or 0.0:.1f} s of sound and {facts.n_frames} pictures"
        raise BadMedia(Reason.STRETCHED, f"{heard} for {facts.duration:.0f} s")
    held = held_frames(facts.reading.holds, start, start + facts.duration)
    if held > MOST_HELD * frames:
        found = f"{held} of {frames:.0f} frames would be held pictures, at most {MOST_HELD:.0%} may be"
        raise BadMedia(Reason.STRETCHED, f"{found}: {facts.n_frames} pictures for {facts.duration:.1f} s")
