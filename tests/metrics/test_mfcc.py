"""MFCC equals python_speech_features, and says what it cannot take."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Gap

from tkbench.errors import BadInput
from tkbench.metrics.mfcc import EPS, mfcc, n_windows, to_pcm16


def tone(samples: int, level: float, seed: int = 0) -> np.ndarray:
    """A chord under noise, int16."""
    t = np.arange(samples) / 16_000
    rng = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * 220 * t) + 0.5 * np.sin(2 * np.pi * 1700 * t) + 0.1 * rng.normal(size=samples)
    return np.clip(level * wave, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 560, 561, 16_000, 25 * 640 * 3])
@pytest.mark.parametrize("level", [0.0, 3.0, 9000.0, 60_000.0])
def test_equals_python_speech_features(samples: int, level: float, gap: Gap) -> None:
    reference = pytest.importorskip("python_speech_features")
    pcm = tone(samples, level)
    # Largest gap seen: 1.3e-12 (digital silence); logs of sums that differ in their last bits.
    expected = reference.mfcc(pcm, 16_000)
    gap("MFCC", mfcc(pcm), expected)
    np.testing.assert_allclose(mfcc(pcm), expected, rtol=0, atol=1e-9)


def test_four_windows_per_video_frame() -> None:
    for frames in (6, 25, 77):
        assert n_windows(frames * 640) == 4 * frames - 1


def test_loudness_moves_the_first_cepstrum_alone() -> None:
    """Twice the amplitude is four times the energy: log 4 in the first one, nothing in the others."""
    pcm = tone(16_000, 3000.0).astype(np.int64)
    quiet, loud = mfcc(pcm.astype(np.int16)), mfcc((2 * pcm).astype(np.int16))
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], np.log(4), atol=1e-9)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-8)


def test_silence_is_finite() -> None:
    cepstra = mfcc(np.zeros(1600, np.int16))
    np.testing.assert_allclose(cepstra[:, 0], np.log(EPS))
    assert np.isfinite(cepstra).all()


def test_a_late_change_leaves_early_windows_alone() -> None:
    pcm = tone(8000, 3000.0)
    other = pcm.copy()
    other[4000:] = 0
    before = (4000 - 400) // 160 + 1
    np.testing.assert_array_equal(mfcc(pcm)[:before], mfcc(other)[:before])
    assert not np.allclose(mfcc(pcm)[before + 1], mfcc(other)[before + 1])


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(400), np.zeros((2, 400), np.int16)])
def test_wrong_input_is_refused(pcm: np.ndarray) -> None:
    with pytest.raises(BadInput, match="expected int16"):
        mfcc(pcm)


def test_floats_become_the_integers_of_a_wav_file() -> None:
    audio = np.array([0.0, 0.5, -1.0, 1.2, 1 / 32768], np.float32)
    assert to_pcm16(audio).tolist() == [0, 16384, -32768, 32767, 1]


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((2, 10), np.float32), "expected float32"),
        (np.zeros(10, np.int16), "expected float32"),
        (np.full(10, np.nan, np.float32), "nan or inf"),
        (np.full(10, 3000.0, np.float32), "int16 scale"),
    ],
)
def test_audio_of_the_wrong_kind_is_refused(audio: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        to_pcm16(audio)
