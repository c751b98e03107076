"""Through a codec and back: nothing moves in time, and a poorer rate is a poorer picture."""

from __future__ import annotations

import subprocess
from itertools import pairwise

import numpy as np
import pytest

from tkbench.errors import BadInput, BadMedia
from tkbench.media import codecs
from tkbench.media.codecs import AUDIO, VIDEO, Coding, coded_pictures, coded_sound
from tkbench.types import SAMPLE_RATE, Float32, Reason, UInt8

FLASH = 17
BEEP = 9600
"""The sample at which the beep begins, 0.6 s."""


@pytest.fixture(scope="module")
def flash() -> UInt8:
    """Textured pictures that get brighter from frame to frame, one of them white."""
    rows, columns = np.mgrid[:64, :96]
    texture = 40 * np.sin(rows / 3) * np.cos(columns / 5)
    frames = np.stack([np.clip(60 + 3 * t + texture, 0, 255) for t in range(30)]).astype(np.uint8)
    frames[FLASH] = 255
    return np.repeat(frames[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def beep() -> Float32:
    """1.3 s and a bit: silence, 100 ms of 1 kHz, silence."""
    time = np.arange(21_000) / SAMPLE_RATE
    sound = np.where((time >= 0.6) & (time < 0.7), 0.5 * np.sin(2 * np.pi * 1000 * time), 0.0)
    return sound.astype(np.float32)


def psnr(a: UInt8, b: UInt8) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.mark.parametrize("name", VIDEO)
def test_pictures_keep_their_number_and_their_place(name: str, flash: UInt8) -> None:
    back = coded_pictures(flash, VIDEO[name])
    assert back.shape == flash.shape
    assert back.dtype == np.uint8
    light = back.mean(axis=(1, 2, 3))
    assert int(light.argmax()) == FLASH
    assert np.corrcoef(light, flash.mean(axis=(1, 2, 3)))[0, 1] > 0.98
    assert not np.array_equal(back, flash)


def test_a_higher_crf_is_a_lower_psnr(flash: UInt8) -> None:
    found = [psnr(flash, coded_pictures(flash, VIDEO[f"h264-crf{crf}"])) for crf in (18, 23, 28, 35)]
    assert all(a > b + 1 for a, b in pairwise(found)), found


def test_the_container_changes_no_pixel(flash: UInt8) -> None:
    of_mp4 = coded_pictures(flash, Coding("libx264", "crf 23", "mp4"))
    for suffix in ("mov", "mkv"):
        np.testing.assert_array_equal(coded_pictures(flash, Coding("libx264", "crf 23", suffix)), of_mp4)


@pytest.mark.parametrize("name", AUDIO)
def test_sound_keeps_its_length_and_its_place(name: str, beep: Float32) -> None:
    """The lag is that of the best match, to within a quarter of a millisecond: the encoder's silence is left out."""
    back = coded_sound(beep, AUDIO[name])
    assert back.shape == beep.shape
    assert back.dtype == np.float32
    # The envelope tells of whole periods, the tone of parts of one.
    shifts = range(-1200, 1201)
    matches = [float(np.dot(beep[1200:-1200], back[1200 + s : len(back) - 1200 + s])) for s in shifts]
    assert abs(shifts[int(np.argmax(matches))]) <= 4
    assert np.abs(back[BEEP - 2000 : BEEP - 800]).max() < 0.02
    assert np.abs(back[BEEP + 400 : BEEP + 1200]).max() == pytest.approx(0.5, abs=0.1)


def test_what_is_coded_is_the_same_from_run_to_run(flash: UInt8, beep: Float32) -> None:
    first = coded_pictures(flash, VIDEO["av1-crf35"])
    np.testing.assert_array_equal(coded_pictures(flash, VIDEO["av1-crf35"]), first)
    np.testing.assert_array_equal(coded_sound(beep, AUDIO["opus-24k"]), coded_sound(beep, AUDIO["opus-24k"]))


def test_an_encoder_that_is_not_there_is_named(flash: UInt8, beep: Float32) -> None:
    for call in (
        lambda: coded_pictures(flash, Coding("libnone", "crf 1", "mp4")),
        lambda: coded_sound(beep, Coding("libnone", "1k", "mp4")),
    ):
        with pytest.raises(BadMedia, match="no encoder libnone") as error:
            call()
        assert error.value.reason is Reason.ENCODER_MISSING


def test_an_encoder_that_refuses_is_bad_media(flash: UInt8) -> None:
    with pytest.raises(BadMedia) as error:
        coded_pictures(flash, Coding("libx264", "crf 23", "mp4", ("-profile:v", "nonsense")))
    assert error.value.reason is Reason.DECODE_ERROR


def test_odd_sides_are_refused(flash: UInt8) -> None:
    with pytest.raises(BadInput, match="96x63"):
        coded_pictures(np.ascontiguousarray(flash[:, :63]), VIDEO["h264-crf23"])


def test_encoders_are_those_that_ffmpeg_lists() -> None:
    found = codecs.encoders(codecs.ffmpeg_exe())
    assert {coding.encoder for coding in (*VIDEO.values(), *AUDIO.values())} <= found
    listed = subprocess.run(
        [codecs.ffmpeg_exe(), "-hide_banner", "-encoders"], capture_output=True, text=True
    )
    assert all(f" {name} " in listed.stdout for name in found if name.startswith("lib"))
