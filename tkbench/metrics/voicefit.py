"""The map between a mouth's shape and a voice: features, canonical correlation, and the file that holds a fit.

Canonical correlation analysis (Hotelling 1936) on frames of true talking faces finds the few combinations of mouth
lengths and of sound that correlate best. It needs only sums over frames, so a fit from many clips is as cheap as one
from few, and speakers can be left out by leaving out their sums: `Fit.map_for` never uses the sums of the speaker
that is judged.

The bundled fit (`voice_synth.safetensors`) was made from synthetic faces alone: no model was trained against it, and no
real clip that is scored can be in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UsageError, WeightsRefused
from tkbench.metrics.mouth import lengths
from tkbench.types import SAMPLE_RATE, SAMPLES_PER_FRAME, Array, Float32, Float64

STEP = 160
"""Samples from one spectrum to the next: 10 ms, four per video frame."""
WINDOW = 400
N_FFT = 512
N_BANDS = 26
N_CEPSTRA = 13
LOW_HZ, HIGH_HZ = 80.0, 7600.0
FLOOR_DB = 55.0
"""Sound that is further below the loud parts of a clip counts as silence: room noise says nothing about a mouth."""
VOICE_AROUND = (-12, -8, -4, 0, 4, 8, 12)
"""Spectra that are features of a frame: their distances from it, in steps of 10 ms."""
MOUTH_AROUND = (-2, -1, 0, 1, 2)
"""Frames whose shapes are features of a frame: their distances from it."""
VOICE_DRIFT, MOUTH_DRIFT = 64, 15
"""Half widths of the windows whose mean is subtracted: 0.64 s of sound, 0.6 s of picture."""
MOUTH_UNIT = 0.05
"""Eye distances that count as one. Tracking noise stays small beside speech; a division by each clip's own spread would
enlarge it."""
PAIRS = 8
"""Pairs of canonical variates."""
RIDGE = 0.3
"""Share of the mean variance that is added to every feature's own."""
SPEECH_LEAD = 1.35
"""Frames by which real mouths run ahead of synthetic ones: the median lag, under the bundled fit, of the 9 true public
clips of 4 s and more that it is sure of and whose offset is not known to be another. Standard error 0.4; 1.3 to 1.4
where any one of them is left out."""
FOLDS = 10
"""Groups of speakers, where the fit is made from data that it will score."""


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
    count = len(audio) // STEP
    padded = np.pad(np.asarray(audio, np.float64), ((WINDOW - STEP) // 2, WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(windows, N_FFT)) ** 2 @ _bank()
    level = 10 * np.log10(power + 1e-12)
    return np.asarray(np.maximum(level, np.percentile(level.max(axis=1), 95) - FLOOR_DB))


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
    """(T * 640,) samples -> (T, 91): cepstra around the middle of each frame, without drift, each of unit spread.

    Digital silence gives zeros.
    """
    cepstra = without_drift(log_mel(audio) @ _cosines(), VOICE_DRIFT)
    spread = cepstra.std(axis=0)
    cepstra = np.where(spread > 1e-6, cepstra / np.maximum(spread, 1e-6), 0.0)
    middle = np.arange(len(audio) // SAMPLES_PER_FRAME) * (SAMPLES_PER_FRAME // STEP) + 2
    return _around(cepstra, middle, VOICE_AROUND)


def mouth_features(landmarks: Array) -> Float64:
    """(T, N, 2) landmarks -> (T, 40): mouth lengths of the frames around each, without drift, in MOUTH_UNIT."""
    shape = without_drift(lengths(landmarks), MOUTH_DRIFT) / MOUTH_UNIT
    return _around(shape, np.arange(len(shape)), MOUTH_AROUND)


def _around(rows: Float64, middle: Array, offsets: tuple[int, ...]) -> Float64:
    beside = [rows[np.clip(middle + offset, 0, len(rows) - 1)] for offset in offsets]
    features = np.concatenate(beside, axis=1)
    return np.asarray(features - features.mean(axis=0))


@dataclass(frozen=True, slots=True)
class Map:
    """Canonical variates: features @ weights gives variates of about unit spread."""

    voice: Float64
    """(91, PAIRS)."""
    mouth: Float64
    """(40, PAIRS)."""
    strength: Float64
    """(PAIRS,) the correlations on the clips of the fit; what a pair counts."""


@dataclass(frozen=True, slots=True)
class Sums:
    """All that a fit needs of its clips."""

    frames: float
    vv: Float64
    """(91, 91) sum of outer products of voice features; features of a clip have mean zero."""
    vm: Float64
    mm: Float64

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.frames + other.frames, self.vv + other.vv, self.vm + other.vm, self.mm + other.mm)


def sums_of(voice: Float64, mouth: Float64) -> Sums:
    """The sums of one clip."""
    return Sums(float(len(voice)), voice.T @ voice, voice.T @ mouth, mouth.T @ mouth)


def solve(sums: Sums, *, ridge: float = RIDGE, pairs: int = PAIRS) -> Map:
    """Canonical correlation with a ridge; raises BadInput where the mouths or voices never move."""
    vv, vm, mm = (part / sums.frames for part in (sums.vv, sums.vm, sums.mm))
    if np.trace(vv) <= 0 or np.trace(mm) <= 0:
        raise BadInput("the voices or the mouths of these clips never change; there is nothing to fit")
    left = np.linalg.cholesky(vv + ridge * np.trace(vv) / len(vv) * np.eye(len(vv)))
    right = np.linalg.cholesky(mm + ridge * np.trace(mm) / len(mm) * np.eye(len(mm)))
    whitened = np.linalg.solve(right, np.linalg.solve(left, vm).T).T
    u, strength, v = np.linalg.svd(whitened, full_matrices=False)
    return Map(np.linalg.solve(left.T, u[:, :pairs]), np.linalg.solve(right.T, v[:pairs].T), strength[:pairs])


@dataclass(slots=True)
class Fit:
    """A fit as it is used: one map for everybody, or sums in folds from which a speaker is left out."""

    points: str
    """The set of landmarks that it was made from: "mesh" or "ibug68"."""
    null: tuple[float, float]
    """Place and scale of the Gumbel law of peak * sqrt(frames) where mouth and voice do not belong together."""
    zero: dict[str, float] = field(default_factory=dict)
    """Kind of data -> frames by which the voice lies behind the mouth in clips that are on time."""
    whole: Map | None = None
    folds: tuple[Sums, ...] = ()
    _solved: dict[int, Map] = field(default_factory=dict)

    def map_for(self, speaker: str) -> Map:
        """The map to judge `speaker` by; made without the fold that holds this speaker."""
        if self.whole is not None:
            return self.whole
        fold = fold_of(speaker)
        if fold not in self._solved:
            others = [sums for place, sums in enumerate(self.folds) if place != fold]
            self._solved[fold] = solve(total(others))
        return self._solved[fold]


def fold_of(speaker: str) -> int:
    """The fold of a speaker, which depends on the name alone."""
    return int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") % FOLDS


def total(parts: Iterable[Sums]) -> Sums:
    """The sum of several sums."""
    parts = list(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def nothing() -> Sums:
    """Sums over no clips."""
    v, m = N_CEPSTRA * len(VOICE_AROUND), 8 * len(MOUTH_AROUND)
    return Sums(0.0, np.zeros((v, v)), np.zeros((v, m)), np.zeros((m, m)))


def settings() -> str:
    """Every number that a fit depends on, in one line."""
    return (
        f"mel{N_BANDS}:{LOW_HZ:g}-{HIGH_HZ:g},floor{FLOOR_DB:g},cep{N_CEPSTRA},around{'/'.join(map(str, VOICE_AROUND))}"
        f",mouth8,around{'/'.join(map(str, MOUTH_AROUND))},drift{VOICE_DRIFT}/{MOUTH_DRIFT},unit{MOUTH_UNIT:g}"
        f",cca{PAIRS},ridge{RIDGE:g}"
    )


def save(fit: Fit, path: Path) -> None:
    """Write a fit as safetensors; the numbers of a whole map in float32, sums in float64."""
    from safetensors.numpy import save_file

    facts = {"points": fit.points, "settings": settings(), "null": fit.null, "zero": fit.zero}
    if fit.whole is not None:
        parts = {"voice": fit.whole.voice, "mouth": fit.whole.mouth, "strength": fit.whole.strength}
        tensors = {name: np.ascontiguousarray(part, np.float32) for name, part in parts.items()}
    else:
        tensors = {"frames": np.array([sums.frames for sums in fit.folds])}
        for name in ("vv", "vm", "mm"):
            tensors[name] = np.stack([getattr(sums, name) for sums in fit.folds])
    # One entry: the order of several is not fixed, and the same fit must have the same hash.
    save_file(tensors, str(path), metadata={"fit": json.dumps(facts, sort_keys=True)})


@weights.once_per_content(4)
def load(path: Path) -> Fit:
    """The fit in a file that `save` wrote; raises WeightsRefused for any other, and for one with other settings."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"{path}: no such file; `tkbench train --model voice` makes one from shards")
    try:
        with safe_open(str(path), framework="np") as file:
            facts = json.loads((file.metadata() or {}).get("fit", "{}"))
            tensors = {name: np.asarray(file.get_tensor(name), np.float64) for name in file.keys()}
    except SafetensorError as error:
        raise WeightsRefused(f"{path}: not a safetensors file ({error}); make the fit again") from error
    if facts.get("settings") != settings():
        raise WeightsRefused(
            f"{path}: made with {facts.get('settings')!r}, this tkbench has {settings()!r}; make the fit again"
        )
    place, scale = facts["null"]
    fit = Fit(str(facts["points"]), (float(place), float(scale)), dict(facts["zero"]))
    if "voice" in tensors:
        fit.whole = Map(tensors["voice"], tensors["mouth"], tensors["strength"])
    else:
        parts = zip(tensors["frames"], tensors["vv"], tensors["vm"], tensors["mm"], strict=True)
        fit.folds = tuple(Sums(float(n), vv, vm, mm) for n, vv, vm, mm in parts)
    return fit
