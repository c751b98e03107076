"""The mel against its formulae, written out here once more in plain numpy, and against truths one can work out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tkbench import audio
from tkbench.errors import BadInput


def tone(hertz: float, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(16000 * seconds)) / 16000)).astype(np.float32)


def mel_by_the_book(sound: np.ndarray) -> np.ndarray:
    """Every step as its formula says, one window after the other; float64."""
    y = sound.astype(np.float64)
    y = np.concatenate([y[:1], y[1:] - 0.97 * y[:-1]])
    y = np.concatenate([y[400:0:-1], y, y[-2:-402:-1]])  # mirrored about its end samples
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    steps = 1 + len(sound) // 200
    magnitude = np.abs(np.array([np.fft.rfft(hann * y[200 * k : 200 * k + 800]) for k in range(steps)]).T)
    centres = hertz_of(np.linspace(mel_of(55.0), mel_of(7600.0), 82))
    bins = np.arange(401) * 20.0
    bank = np.zeros((80, 401))
    for band, (low, middle, high) in enumerate(zip(centres, centres[1:], centres[2:], strict=False)):
        rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
        bank[band] = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
    level = 20 * np.log10(np.maximum(1e-5, bank @ magnitude)) - 20
    return np.clip(8 * (level + 100) / 100 - 4, -4, 4)


def mel_of(hertz: float) -> float:
    """Slaney's scale: 200/3 Hz to the mel up to 1 kHz, 27 steps to each factor of 6.4 above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def hertz_of(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))


@pytest.mark.parametrize("samples", [401, 640, 16000, 16001, 29 * 640, 18999])
def test_the_mel_is_its_definition(samples: int) -> None:
    """Largest gap seen 1.2e-7: half of the last bit of float32 near 4."""
    rng = np.random.default_rng(samples)
    sound = np.clip(rng.normal(0, 0.1, samples) + tone(300, 2)[:samples], -1, 1).astype(np.float32)
    found = audio.mel(sound)
    assert found.dtype == np.float32
    assert found.shape == (80, audio.n_steps(samples))
    np.testing.assert_allclose(found, mel_by_the_book(sound), rtol=0, atol=5e-7)


def test_silence_is_the_floor() -> None:
    assert np.array_equal(
        audio.mel(np.zeros(16000, np.float32)), np.full((80, 81), audio.SILENCE, np.float32)
    )


@pytest.mark.parametrize("hertz", [120, 440, 1000, 3100, 7000])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    centres = hertz_of(np.linspace(mel_of(55.0), mel_of(7600.0), 82))[1:-1]
    middle = audio.mel(tone(hertz))[:, 40]
    # One band beside it: below 1 kHz bands are narrower than the transform's 20 Hz bins are sharp.
    assert abs(int(middle.argmax()) - int(np.abs(centres - hertz).argmin())) <= 1


def test_the_level_of_a_tone_can_be_worked_out() -> None:
    """A sine of amplitude a on bin 50 (1 kHz) has |X| = a * 800 / 4 under a Hann window, times pre-emphasis."""
    centres = hertz_of(np.linspace(mel_of(55.0), mel_of(7600.0), 82))
    band = int(np.abs(centres[1:-1] - 1000).argmin())
    low, middle, high = centres[band : band + 3]
    weights = [
        max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) * 2 / (high - low)
        for f in (980.0, 1000.0, 1020.0)
    ]
    gain = abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / 16000))
    # Hann spreads a tone over three bins: half, whole, half.
    magnitude = 0.5 * 800 / 4 * gain * (0.5 * weights[0] + weights[1] + 0.5 * weights[2])
    wanted = float(audio.scale(np.array(magnitude)))
    assert audio.mel(tone(1000))[band, 40] == pytest.approx(wanted, abs=2e-3)


@given(st.floats(0.05, 0.9))
@settings(max_examples=10, deadline=None)
def test_ten_times_as_loud_is_20_db_more(level: float) -> None:
    """20 dB are 1.6 of the 8 that 100 dB fill, wherever neither end is clipped."""
    loud, soft = audio.mel(tone(500, level=level)), audio.mel(tone(500, level=level / 10))
    free = (loud < 4) & (soft > -4)
    assert free.any()
    np.testing.assert_allclose((loud - soft)[free], 1.6, rtol=0, atol=1e-4)


def test_a_shift_by_one_step_shifts_the_mel() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    later = np.concatenate([np.zeros(200, np.float32), sound])
    np.testing.assert_allclose(audio.mel(later)[:, 6:70], audio.mel(sound)[:, 5:69], rtol=0, atol=1e-6)


def test_windows_begin_where_their_frame_does() -> None:
    spectrum = np.tile(np.arange(93, dtype=np.float32), (80, 1))
    found = audio.windows(spectrum, np.array([0, 1, 5, 24]))
    assert found.shape == (4, 80, 16)
    assert found.dtype == np.float32
    assert found[:, 0, 0].tolist() == [0, 3, 16, 76]
    assert found[2, 7].tolist() == list(range(16, 32))
    assert audio.windows(spectrum, np.array([6]), lead=1)[0, 0, 0] == 16
    assert audio.windows(spectrum, np.array([6]), steps=32).shape == (1, 80, 32)


def test_windows_are_silent_outside_of_the_clip() -> None:
    spectrum = np.zeros((80, 93), np.float32)
    first, last = audio.windows(spectrum, np.array([0, 29]), lead=1)
    assert (first[:, :4] == audio.SILENCE).all()  # frame -1 begins at step -3.2, which is -4 rounded down
    assert (first[:, 4:] == 0).all()
    assert (last[:, :4] == 0).all()  # 89 to 92 are there
    assert (last[:, 4:] == audio.SILENCE).all()
    assert audio.windows(np.zeros((80, 5), np.float32), np.array([0])).shape == (1, 80, 16)


@given(st.integers(1, 400), st.integers(0, 2), st.sampled_from([16, 17, 52]))
def test_whole_windows_need_no_silence(frames: int, lead: int, steps: int) -> None:
    """17 steps end with the sound for some frames; 16 never do."""
    spectrum = np.zeros((80, audio.n_steps(frames * 640)), np.float32)
    inside = audio.whole_windows(frames, lead=lead, steps=steps)
    everything = np.arange(frames)
    full = (audio.windows(spectrum, everything, lead=lead, steps=steps) == 0).all(axis=(1, 2))
    assert np.flatnonzero(full).tolist() == list(inside)


def test_a_generator_frame_lies_in_its_window() -> None:
    """Wav2Lip's crop_audio_window(spec, f - 1): int(80 * (f - 1) / 25), for every frame of three minutes."""
    frames = np.arange(1, 4500)
    wanted = [int(80.0 * (f - 1) / 25.0) for f in frames]
    assert audio.first_step(frames - 1).tolist() == wanted


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (np.zeros((2, 8000), np.float32), "expected float32"),
        (np.zeros(8000, np.int16), "expected float32"),
        (np.zeros(400, np.float32), "400 samples"),
        (np.full(8000, np.nan, np.float32), "nan"),
        (np.full(8000, 3000.0, np.float32), "not int16"),
    ],
)
def test_wrong_sounds_are_refused(sound: np.ndarray, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        audio.mel(sound)
    with pytest.raises(BadInput, match="expected"):
        audio.windows(np.zeros((13, 50), np.float32), np.array([0]))


def test_the_length_law() -> None:
    audio.check_length(29, 29 * 640, "clip a")
    with pytest.raises(BadInput, match=r"clip a: 29 frames are 1.16 s, 18559 samples .* 1 fewer than 640"):
        audio.check_length(29, 29 * 640 - 1, "clip a")


def test_librosa_loads_late_and_without_a_warning() -> None:
    code = (
        "import sys, numpy as np\nfrom tkbench import audio\n"
        "assert 'librosa' not in sys.modules\naudio.mel(np.zeros(800, np.float32))\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
