"""The voice of a clip: the mean of its channels, or one of them where they cancel.

A stereo recording whose second channel is the first one upside down (a balanced cable, read as two channels) is silent
in the mean. Where the mean is quiet, each channel is heard alone; one that is much louder is taken.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.prep.gates import loudness
from tkbench.types import Array, MediaFacts

QUIET_DB = -30.0
"""Level of the mean, relative to full scale, below which the channels are heard alone."""
LOUDER_DB = 20.0
"""A channel that is louder than the mean by so much is taken alone."""
_MOST = 8


def read(
    path: str, facts: MediaFacts, sound: Path, interval: tuple[float, float] | None
) -> tuple[MediaFacts, Array]:
    """The samples (S,) int16 that the main pass wrote to `sound`, or those of one channel where the channels cancel,
    and the facts with that channel.
    """
    samples = _samples(sound)
    if (facts.channels or 1) < 2 or not len(samples):
        return facts, samples
    level = loudness(samples)
    if level >= QUIET_DB:
        return facts, samples
    best = level + LOUDER_DB if level > -np.inf else -100.0
    chosen, kept = None, sound.with_suffix(".channel")
    for channel in range(min(facts.channels or 1, _MOST)):
        reading = replace(facts.reading, channel=channel)
        trial = sound.with_suffix(".trial")
        media.write_sound(path, reading, trial, interval=interval, clipped=True)
        mine = loudness(_samples(trial))
        if mine > best:
            best, chosen = mine, reading
            trial.replace(kept)
    if chosen is None:
        return facts, samples
    return replace(facts, reading=chosen), _samples(kept)


def _samples(file: Path) -> Array:
    return np.memmap(file, "<i2", "r") if file.stat().st_size else np.zeros(0, np.int16)
