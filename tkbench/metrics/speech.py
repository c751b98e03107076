"""Which frames of a clip hold speech: by the level of the sound, or by a network.

    level    a frame is speech where one of its four steps of 10 ms lies within 25 dB of the loud level of the clip (the
             95th percentile) and above -60 dB of full scale. No network; music and noise count as speech.
    silero   silero-vad with its defaults, as THEval uses it: a network that comes inside its package (extra `vad`).
             A segment covers every frame from int(start x 25) to int(end x 25), both included.

Sound is (T * 640,) float32 mono at 16 kHz, frames are those of the video: 25 a second.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal, get_args

import numpy as np

from tkbench.errors import UnknownName
from tkbench.metrics.faults import Fault
from tkbench.registry import suggest
from tkbench.runtime.extras import install_line
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Bool, Float32, Reason

Detector = Literal["level", "silero"]
BELOW_LOUD = 25.0
QUIET_DB = -60.0
STEPS_PER_FRAME = 4


def check(detector: str) -> Detector:
    """The detector of this name; UnknownName for another."""
    known: tuple[Detector, ...] = get_args(Detector)
    for name in known:
        if name == detector:
            return name
    raise UnknownName(f"no speech detector is called {detector!r}: {suggest(detector, list(known))}")


def signature(detector: Detector) -> str:
    """What stands in the signature of a column: "level" or "silero@5.1.2"."""
    return "level" if detector == "level" else f"silero@{_version() or 'missing'}"


def fault(detector: Detector) -> Fault | None:
    """Why a detector cannot be used here, with the line that installs it."""
    if detector == "level" or _version():
        return None
    return (
        Reason.EXTRA_MISSING,
        f"speech is found by silero-vad, which is not installed: {install_line('vad')}",
    )


def speech_frames(audio: Float32, frames: int, detector: Detector = "level") -> Bool:
    """(frames,) whether each frame of the video holds speech.

    >>> sound = np.zeros(4 * 640, np.float32)
    >>> sound[640:1280] = np.sin(np.arange(640) / 5)
    >>> speech_frames(sound, 4).tolist()
    [False, True, False, False]
    """
    if detector == "silero":
        return _by_network(audio, frames)
    step = SAMPLES_PER_FRAME // STEPS_PER_FRAME
    steps = np.zeros(frames * STEPS_PER_FRAME * step, np.float64)
    steps[: len(audio)] = audio[: len(steps)]
    level = 10 * np.log10((steps.reshape(-1, step) ** 2).mean(axis=1) + 1e-12)
    loud = level > max(float(np.percentile(level, 95)) - BELOW_LOUD, QUIET_DB)
    return np.asarray(loud.reshape(frames, STEPS_PER_FRAME).any(axis=1))


def covered(segments: list[tuple[float, float]], frames: int) -> Bool:
    """(frames,) True in the frames that segments of (start, end) seconds cover, their last ones included.

    >>> covered([(0.04, 0.09)], 5).tolist()
    [False, True, True, False, False]
    """
    found = np.zeros(frames, bool)
    for start, end in segments:
        found[int(start * FPS) : int(end * FPS) + 1] = True
    return found


def silences(speech: Bool, shortest: float) -> Bool:
    """(T,) the frames of every pause of at least `shortest` seconds.

    >>> silences(np.array([True, False, True, False, False, False]), 0.12).tolist()
    [False, False, False, True, True, True]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[True], speech, [True]]).astype(np.int8)))
    kept = np.zeros(len(speech), bool)
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= shortest * FPS:
            kept[start:stop] = True
    return kept


@lru_cache(maxsize=1)
def _version() -> str:
    try:
        return version("silero-vad")
    except ModuleNotFoundError:
        return ""


@lru_cache(maxsize=1)
def _network() -> Any:
    import warnings

    from silero_vad import load_silero_vad

    with warnings.catch_warnings():
        # torch calls the format of the network's file old.
        warnings.simplefilter("ignore")
        return load_silero_vad()


def _by_network(audio: Float32, frames: int) -> Bool:
    import torch
    from silero_vad import get_speech_timestamps

    found = get_speech_timestamps(
        torch.from_numpy(np.ascontiguousarray(audio)),
        _network(),
        sampling_rate=SAMPLE_RATE,
        return_seconds=True,
    )
    return covered([(float(part["start"]), float(part["end"])) for part in found], frames)
