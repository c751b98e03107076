"""The input sound of models: the field's mel spectrogram, cut into windows that belong to video frames.

The mel is that of Wav2Lip (Prajwal et al. 2020; Rudrabha/Wav2Lip audio.py and hparams.py), which SyncTalkFace
and most later models use unchanged: 16 kHz, pre-emphasis 0.97, magnitudes of an 800-point transform
(periodic Hann window of 800 samples, one step every 200, ends mirrored), 80 mel bands from 55 to 7600 Hz on
Slaney's scale with areas of one, decibels over a floor of -100 dB, minus 20 dB, and [-100, 0] dB stretched to
[-4, 4], clipped.

80 steps a second are 3.2 a frame, so a window's first step is rounded down: frame f starts at int(80 * f / 25).
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from tkbench.errors import BadInput
from tkbench.runtime.locks import in_turn
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Array, Float32, Float64

BANDS = 80
N_FFT = 800
STEP = 200
"""Samples from one mel step to the next: 80 steps a second."""
STEPS_PER_SECOND = SAMPLE_RATE // STEP
WINDOW = 16
"""Mel steps in a window: 0.2 s, five frames."""
FMIN, FMAX = 55.0, 7600.0
PREEMPHASIS = 0.97
FLOOR_DB, REFERENCE_DB, REACH = -100.0, 20.0, 4.0
SILENCE = -REACH
"""The value of every band in silence."""


@lru_cache(maxsize=1)
def load_librosa() -> ModuleType:
    """librosa, whose compiled parts are loaded; the import that first compiles them is made in turn.

    Its parts are compiled by numba as they are imported, into a cache that all processes share. Two that do so at once
    after an install can crash each other.
    """
    with in_turn("librosa"):
        import librosa.filters
        import librosa.onset
        import librosa.util.utils
    return librosa


def signature() -> str:
    """Every setting of the mel in one line."""
    return (
        f"mel-80/1(sr={SAMPLE_RATE},pre={PREEMPHASIS},fft={N_FFT},hop={STEP},hann,reflect,magnitude,"
        f"slaney{BANDS}:{FMIN:g}-{FMAX:g},db={FLOOR_DB:g}-{REFERENCE_DB:g},clip={REACH:g})"
    )


def n_steps(samples: int) -> int:
    """Mel steps of so many samples.

    >>> n_steps(25 * 640), n_steps(29 * 640)
    (81, 93)
    """
    return 1 + samples // STEP


def first_step(frame: int | Array) -> Array:
    """The mel step at which a frame begins.

    >>> first_step(np.arange(6)).tolist()
    [0, 3, 6, 9, 12, 16]
    """
    # Whole numbers: 80 * (frame / 25) in floating point is one step short for some frames.
    return np.asarray(frame) * STEPS_PER_SECOND // FPS


def mel(audio: Float32) -> Float32:
    """(S,) float samples in [-1, 1) at 16 kHz -> (80, 1 + S // 200) float32 in [-4, 4].

    Raises BadInput for another shape or scale, and for fewer than 401 samples: the ends are mirrored, and
    there is nothing to mirror.
    """
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        raise BadInput(f"audio is {audio.dtype} {audio.shape}; expected float32 (S,) in [-1, 1)")
    if len(audio) <= N_FFT // 2:
        raise BadInput(f"audio has {len(audio)} samples; a mel needs more than {N_FFT // 2}")
    if not np.isfinite(audio).all():
        raise BadInput("audio holds nan or inf; expected finite samples in [-1, 1)")
    # A decoder's overshoot stays near 1; samples on the int16 scale do not.
    if float(np.abs(audio).max()) > 4.0:
        raise BadInput(f"audio reaches {np.abs(audio).max():.0f}; expected samples in [-1, 1), not int16")
    librosa = load_librosa()
    sound = audio.astype(np.float64)
    sound[1:] -= PREEMPHASIS * sound[:-1].copy()
    # Mirrored here, because librosa's own default was that when these models were trained, and is zeros now.
    sound = np.pad(sound, N_FFT // 2, mode="reflect")
    spectrum = librosa.stft(
        sound, n_fft=N_FFT, hop_length=STEP, win_length=N_FFT, window="hann", center=False
    )
    return scale(_bank() @ np.abs(spectrum)).astype(np.float32)


def scale(magnitude: Array) -> Float64:
    """Mel magnitudes as decibels over the floor, in [-4, 4].

    >>> scale(np.array([0.0, 1e-5, 1.0, 1e3])).round(6).tolist()
    [-4.0, -4.0, 2.4, 4.0]
    """
    level = 20 * np.log10(np.maximum(10 ** (FLOOR_DB / 20), magnitude)) - REFERENCE_DB
    return np.clip(2 * REACH * (level - FLOOR_DB) / -FLOOR_DB - REACH, -REACH, REACH)


@lru_cache(maxsize=1)
def _bank() -> Float64:
    bank: Float64 = load_librosa().filters.mel(
        sr=SAMPLE_RATE,
        n_fft=N_FFT,
        n_mels=BANDS,
        fmin=FMIN,
        fmax=FMAX,
        htk=False,
        norm="slaney",
        dtype=np.float64,
    )
    return bank


def windows(spectrum: Float32, frames: Array, *, lead: int = 0, steps: int = WINDOW) -> Float32:
    """The mel windows that belong to frames: (80, M), (n,) whole numbers -> (n, 80, steps) float32.

    A window begins with frame `f - lead`: lead 0 is the window of a sync network, which begins with the first
    of five frames; lead 1 is the window of a generator, which has its frame in its second fifth (Wav2Lip and
    SyncTalkFace). Steps before the clip's first and behind its last are silence (-4). The trainers of both
    leave such windows out; `whole_windows` gives the others.
    """
    begin = first_step(np.asarray(frames, np.int64) - lead)
    if spectrum.ndim != 2 or spectrum.shape[0] != BANDS or begin.ndim != 1:
        raise BadInput(f"mel {spectrum.shape} and frames {begin.shape}; expected (80, M) and (n,)")
    before = max(0, -int(begin.min(initial=0)))
    behind = max(0, int(begin.max(initial=0)) + steps - spectrum.shape[1])
    padded = np.pad(spectrum, ((0, 0), (before, behind)), constant_values=SILENCE)
    if padded.shape[1] < steps:
        padded = np.pad(padded, ((0, 0), (0, steps - padded.shape[1])), constant_values=SILENCE)
    views = np.lib.stride_tricks.sliding_window_view(padded, steps, axis=1)
    return np.ascontiguousarray(views[:, begin + before].swapaxes(0, 1), np.float32)


def around(frames: Array, reach: int) -> Array:
    """The frames that are heard with each of (n,) frames: (n, 2 reach + 1), `reach` on either side and itself.

    Some may lie before or behind the clip; who asks says what is heard there.

    >>> around(np.array([0, 5]), 1).tolist()
    [[-1, 0, 1], [4, 5, 6]]
    """
    return np.asarray(np.asarray(frames)[:, None] + np.arange(-reach, reach + 1))


def edges(before: int, behind: int) -> Array:
    """Which of a window's 16 steps belong to the first `before` or the last `behind` of its five frames: (16,) bool.

    A window begins at a whole step, up to 10 ms before its first frame, so the border lies within a step of 12.5 ms.

    >>> edges(1, 0).nonzero()[0].tolist(), edges(0, 3).nonzero()[0].tolist()
    ([0, 1, 2, 3], [7, 8, 9, 10, 11, 12, 13, 14, 15])
    """
    frame = np.arange(WINDOW) * FPS // STEPS_PER_SECOND
    return np.asarray((frame < before) | (frame >= 5 - behind))


def whole_windows(n_frames: int, *, lead: int = 0, steps: int = WINDOW) -> range:
    """The frames of a clip whose windows lie wholly inside its sound.

    >>> whole_windows(29), whole_windows(29, lead=1)
    (range(0, 25), range(1, 26))
    """
    total = n_steps(n_frames * SAMPLES_PER_FRAME)
    begin = first_step(np.arange(-lead, n_frames - lead))
    inside = np.flatnonzero((begin >= 0) & (begin + steps <= total))
    return range(int(inside[0]), int(inside[-1]) + 1) if len(inside) else range(0)


def check_length(n_frames: int, n_samples: int, what: str) -> None:
    """Raises BadInput unless there are exactly 640 samples per frame; the message says how many are off."""
    off = n_samples - n_frames * SAMPLES_PER_FRAME
    if off:
        side = "more" if off > 0 else "fewer"
        raise BadInput(
            f"{what}: {n_frames} frames are {n_frames / FPS:.2f} s, {n_samples} samples are "
            f"{n_samples / SAMPLE_RATE:.3f} s: {abs(off)} {side} than {SAMPLES_PER_FRAME} per frame; prepare it again"
        )
