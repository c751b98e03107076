"""MFCC of speech as SyncNet was trained on it, in vectorised numpy.

The numbers are those of `python_speech_features` 0.6, `mfcc(int16 audio, 16000)`, with its defaults: 25 ms windows
every 10 ms without taper, pre-emphasis 0.97, a 512-point power spectrum, 26 mel filters, 13 cepstra, lifter 22, and
the log energy in the place of the first cepstrum. The largest gap in tests is 1.3e-12, on values up to about 250.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tkbench.errors import BadInput
from tkbench.metrics.faults import LOUDEST
from tkbench.types import SAMPLE_RATE, Array, Float32, Float64

WINDOW = 400
"""Samples in one analysis window: 25 ms."""
STEP = 160
"""Samples from one window to the next: 10 ms, so four windows per video frame."""
N_FFT = 512
N_FILTERS = 26
N_CEPSTRA = 13
PREEMPHASIS = 0.97
LIFTER = 22
EPS = float(np.finfo(np.float64).eps)
"""Stands for an energy of exactly zero, so that its log is finite (digital silence: -36.04)."""


def to_pcm16(audio: Float32) -> npt.NDArray[np.int16]:
    """Float samples in [-1, 1) as the 16-bit integers that a wav file would hold; louder ones are clipped.

    Raises BadInput unless `audio` is (S,) floating point, finite and not on an integer's scale.
    """
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        raise BadInput(f"audio is {audio.dtype} {audio.shape}; expected float32 (S,) in [-1, 1)")
    if not np.isfinite(audio).all():
        raise BadInput("audio holds nan or inf; expected finite samples in [-1, 1)")
    if audio.size and float(np.abs(audio).max()) > LOUDEST:
        raise BadInput(
            f"audio reaches {np.abs(audio).max():.0f}; expected samples in [-1, 1), not on an int16 scale"
        )
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


@lru_cache(maxsize=1)
def _filterbank() -> Float64:
    """(257, 26): triangles evenly spaced in mel from 0 to 8 kHz, edges rounded down to FFT bins."""
    top = 2595 * np.log10(1 + (SAMPLE_RATE / 2) / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, N_FILTERS + 2) / 2595) - 1)
    edges = np.floor((N_FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(N_FFT // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (middle - low)
    falling = (high - bins) / (high - middle)
    bank: Float64 = np.where(
        (bins >= low) & (bins < middle), rising, np.where((bins >= middle) & (bins < high), falling, 0.0)
    )
    return bank


@lru_cache(maxsize=1)
def _cepstrum() -> Float64:
    """(26, 13): the orthonormal DCT-II of the log filter energies, times the lifter."""
    n = np.arange(N_FILTERS)[:, None]
    k = np.arange(N_CEPSTRA)[None, :]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * N_FILTERS)) * np.sqrt(2 / N_FILTERS)
    basis[:, 0] /= np.sqrt(2)
    lifted: Float64 = basis * (1 + LIFTER / 2 * np.sin(np.pi * k / LIFTER))
    return lifted


def n_windows(samples: int) -> int:
    """How many windows cover `samples`; the last one is filled with zeros.

    >>> n_windows(400), n_windows(401), n_windows(25 * 640)
    (1, 2, 99)
    """
    return 1 + max(0, -(-(samples - WINDOW) // STEP))


def mfcc(pcm: Array) -> Float64:
    """(S,) int16 samples at 16 kHz -> (F, 13) float64 cepstra at 100 Hz, with F = n_windows(S)."""
    if pcm.dtype != np.int16 or pcm.ndim != 1 or pcm.size == 0:
        raise BadInput(f"audio is {pcm.dtype} {pcm.shape}; expected int16 (S,) with at least one sample")
    signal = pcm.astype(np.float64)
    signal[1:] -= PREEMPHASIS * pcm[:-1]
    count = n_windows(len(signal))
    signal = np.pad(signal, (0, (count - 1) * STEP + WINDOW - len(signal)))
    return cepstra_of(np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::STEP])


def cepstra_of(windows: Float64) -> Float64:
    """(F, 400) pre-emphasised windows -> (F, 13) cepstra."""
    spectrum = np.fft.rfft(windows, N_FFT)
    power = (spectrum.real**2 + spectrum.imag**2) / N_FFT
    filters = power @ _filterbank()
    energy = power.sum(axis=1)
    cepstra: Float64 = np.log(np.where(filters == 0, EPS, filters)) @ _cepstrum()
    cepstra[:, 0] = np.log(np.where(energy == 0, EPS, energy))
    return cepstra
