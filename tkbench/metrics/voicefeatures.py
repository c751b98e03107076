"""What is compared of a mouth and a voice: rows of numbers at 25 frames a second, without the pose of the head.

There are two sets, each with the fit that it is made for (`voicefit`):

    SYNC    eight lengths of the mouth, and cepstra: when does the mouth move as the voice does?
    SCORE   52 points of lips and lower face, and mel bands: how well does it say what the voice says?

Both are taken about the mean of their clip. The mouth is in units of the face, so that a large movement has large
features; the loudness of the whole clip does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from tkbench.metrics.mouth import MESH_LIPS, lengths, mesh_points
from tkbench.types import SAMPLE_RATE, SAMPLES_PER_FRAME, Array, Float32, Float64

STEP = 160
"""Samples from one spectrum to the next: 10 ms, four per video frame."""
WINDOW = 400
N_FFT = 512
N_BANDS = 26
N_CEPSTRA = 13
LOW_HZ, HIGH_HZ = 80.0, 7600.0
MEL_UNIT = 10.0
"""Decibels that count as one."""
FLOOR_DB = 55.0
"""Sound that is further below the loud parts of a clip counts as silence: room noise says nothing about a mouth."""
VOICE_AROUND = (-12, -8, -4, 0, 4, 8, 12)
"""Spectra that are features of a frame: their distances from it, in steps of 10 ms."""
MOUTH_AROUND = (-2, -1, 0, 1, 2)
"""Frames whose shapes are features of a frame: their distances from it."""
VOICE_DRIFT, MOUTH_DRIFT = 64, 15
"""Half widths of the windows whose mean is subtracted: 0.64 s of sound, 0.6 s of picture."""
SCORE_MOUTH_AROUND = (-1, 0, 1)
MOUTH_UNIT = 0.05
"""Eye distances that count as one. Tracking noise stays small beside speech; a division by each clip's own spread would
enlarge it."""
LOWER_FACE = (152, 148, 377, 176, 400, 199, 200, 50, 280, 205, 425, 2)
"""Points of chin, jaw, cheeks and the base of the nose."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """One way to describe mouths and voices."""

    name: str
    voice: Callable[[Float32], Float64]
    """(T * 640,) samples at 16 kHz -> (T, V)."""
    mouth: Callable[[Array], Float64]
    """(T, N, 2) landmarks -> (T, M)."""
    sizes: tuple[int, int]
    """V and M."""
    pairs: int
    """Pairs of canonical variates that its fits keep."""
    settings: str
    """Every number that a fit depends on, in one line."""


@lru_cache(maxsize=1)
def _bank() -> Float64:
    """(257, 26): triangles of height 1, evenly spaced in mel from 80 to 7600 Hz."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, N_BANDS + 2) / 2595) - 1)
    hz = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)[:, None]
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


@lru_cache(maxsize=1)
def _cosines() -> Float64:
    """(26, 13): the orthonormal DCT-II."""
    n, k = np.arange(N_BANDS)[:, None], np.arange(N_CEPSTRA)[None, :]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * N_BANDS)) * np.sqrt(2 / N_BANDS)
    basis[:, 0] /= np.sqrt(2)
    return np.asarray(basis)


def log_mel(audio: Float32) -> Float64:
    """(S,) samples at 16 kHz -> (S // 160, 26) float64 decibels, cut off `FLOOR_DB` below the loud parts."""
    level = band_levels(spectrum_windows(audio))
    return np.asarray(np.maximum(level, quietest(level)))


def spectrum_windows(audio: Float32) -> Float64:
    """(S,) samples -> (S // 160, 400): the samples of each spectrum, 120 of them before its step of 10 ms and 120
    behind; beyond the ends stands silence.
    """
    count = len(audio) // STEP
    padded = np.pad(np.asarray(audio, np.float64), ((WINDOW - STEP) // 2, WINDOW))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count]


def band_levels(windows: Float64) -> Float64:
    """(n, 400) samples -> (n, 26) decibels, with no floor."""
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW), N_FFT)) ** 2 @ _bank()
    return np.asarray(10 * np.log10(power + 1e-12))


def quietest(level: Float64) -> float:
    """The level below which a clip's sound counts as silence, from its (n, 26) decibels."""
    return float(np.percentile(level.max(axis=1), 95) - FLOOR_DB)


def speech_seconds(audio: Float32, *, below_peak: float = 25.0, quiet_db: float = -60.0) -> float:
    """Seconds of speech: 10 ms steps near the loud level of the clip and above `quiet_db`
    (dB of full scale).
    """
    count = len(audio) // STEP
    if count == 0:
        return 0.0
    steps = np.asarray(audio[: count * STEP], np.float64).reshape(count, STEP)
    level = 10 * np.log10((steps**2).mean(axis=1) + 1e-12)
    loud = max(float(np.percentile(level, 95)) - below_peak, quiet_db)
    return float((level > loud).sum() * STEP / SAMPLE_RATE)


def without_drift(values: Float64, half: int) -> Float64:
    """(T, D) minus a smooth running mean over 2 * half + 1 rows; ends are mirrored where there is enough to mirror."""
    weights = np.hanning(2 * half + 3)[1:-1]
    ends: Literal["reflect", "edge"] = "reflect" if len(values) > half else "edge"
    padded = np.pad(values, ((half, half), (0, 0)), mode=ends)
    kernel = weights / weights.sum()
    slow = np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
    return np.asarray(values - slow)


def voice_features(audio: Float32) -> Float64:
    """(T * 640,) samples at 16 kHz -> (T, 91): cepstra around each frame, without drift, in their own spread."""
    cepstra = without_drift(log_mel(audio) @ _cosines(), VOICE_DRIFT)
    spread = cepstra.std(axis=0)
    cepstra = np.where(spread > 1e-6, cepstra / np.maximum(spread, 1e-6), 0.0)
    return _around(cepstra, _middles(audio), VOICE_AROUND)


def mouth_features(landmarks: Array) -> Float64:
    """(T, N, 2) landmarks -> (T, 40): mouth lengths of the frames around each, without drift, in MOUTH_UNIT."""
    shape = without_drift(lengths(landmarks), MOUTH_DRIFT) / MOUTH_UNIT
    return _around(shape, np.arange(len(shape)), MOUTH_AROUND)


def mel_features(audio: Float32) -> Float64:
    """(T * 640,) samples at 16 kHz -> (T, 182): mel bands around each frame, in MEL_UNIT; loudness is kept."""
    return _around(log_mel(audio) / MEL_UNIT, _middles(audio), VOICE_AROUND)


def point_features(landmarks: Array) -> Float64:
    """(T, 478, 2) landmarks -> (T, 312): points of lips and lower face around each frame, without drift."""
    points = mesh_points(landmarks, (*MESH_LIPS, *LOWER_FACE))
    flat = points.transpose(0, 2, 1).reshape(len(points), -1)
    shape = without_drift(flat, MOUTH_DRIFT) / MOUTH_UNIT
    return _around(shape, np.arange(len(shape)), SCORE_MOUTH_AROUND)


def _middles(audio: Float32) -> Array:
    """The spectrum in the middle of each frame."""
    return np.arange(len(audio) // SAMPLES_PER_FRAME) * (SAMPLES_PER_FRAME // STEP) + 2


def _around(rows: Float64, middle: Array, offsets: tuple[int, ...]) -> Float64:
    beside = [rows[np.clip(middle + offset, 0, len(rows) - 1)] for offset in offsets]
    features = np.concatenate(beside, axis=1)
    return np.asarray(features - features.mean(axis=0))


def _steps(offsets: tuple[int, ...]) -> str:
    return "/".join(map(str, offsets))


_SOUND = f"mel{N_BANDS}:{LOW_HZ:g}-{HIGH_HZ:g},floor{FLOOR_DB:g}"
SYNC = FeatureSet(
    "sync",
    voice_features,
    mouth_features,
    (N_CEPSTRA * len(VOICE_AROUND), 8 * len(MOUTH_AROUND)),
    8,
    f"{_SOUND},cep{N_CEPSTRA},around{_steps(VOICE_AROUND)},mouth8,around{_steps(MOUTH_AROUND)},"
    f"drift{VOICE_DRIFT}/{MOUTH_DRIFT},unit{MOUTH_UNIT:g}",
)
SCORE = FeatureSet(
    "score",
    mel_features,
    point_features,
    (N_BANDS * len(VOICE_AROUND), 2 * (len(MESH_LIPS) + len(LOWER_FACE)) * len(SCORE_MOUTH_AROUND)),
    16,
    f"{_SOUND},unit{MEL_UNIT:g}dB,around{_steps(VOICE_AROUND)},mesh{len(MESH_LIPS)}+{len(LOWER_FACE)},"
    f"around{_steps(SCORE_MOUTH_AROUND)},drift{MOUTH_DRIFT},unit{MOUTH_UNIT:g}",
)
