"""Metrics on plain arrays: the same numbers as on a sample, and one line for arrays that are no video."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support.talkers import talker

import tkbench
from tkbench import media
from tkbench.errors import BadInput, UnknownName, Unscored, UsageError
from tkbench.metrics import image
from tkbench.metrics.base import ON_CPU
from tkbench.metrics.landmark import Lmd
from tkbench.metrics.sync import Sync
from tkbench.scoring import arrays as measure
from tkbench.scoring.clips import track_face
from tkbench.types import Float32, UInt8


@pytest.fixture(scope="module")
def blurred() -> UInt8:
    import cv2

    return np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in talker().video])


def test_the_module_is_part_of_the_package() -> None:
    assert tkbench.measure is measure


def test_pictures_give_the_numbers_of_the_metrics(blurred: UInt8) -> None:
    real = talker().video
    assert measure.psnr(blurred, real) == pytest.approx(
        float(image.psnr(image.mse(real, blurred).mean())), rel=1e-9
    )
    assert measure.psnr(real, real) == math.inf
    assert 0 < measure.ssim(blurred, real) < measure.ssim(real, real) == 1
    assert measure.cpbd(blurred) < measure.cpbd(real)
    whole, mouth = (
        measure.ssim(blurred, real, region=r, landmarks=talker().landmarks) for r in ("full", "mouth")
    )
    assert mouth < whole


def test_lse_equals_the_metric_on_the_same_landmarks() -> None:
    sample = talker()
    found = measure.lse(
        sample.video, sample.audio, real=sample.video, judge="syncnet-synth", landmarks=sample.landmarks
    )
    scores = Sync(judge="syncnet-synth").score(sample, sample.video, sample.audio)
    assert [found.c, found.d, found.offset] == [score.value for score in scores.values.values()]
    assert scores.curve is not None
    assert np.array_equal(found.curve, scores.curve)
    assert found.offset == 0


def test_landmarks_that_are_not_given_are_found(blurred: UInt8) -> None:
    sample = talker()
    points = measure.find_face(sample.video)
    assert points.shape == sample.landmarks.shape
    assert np.abs(points - sample.landmarks).mean() < 1.0
    ours = measure.lmd(blurred, sample.video, landmarks=sample.landmarks)
    metric = Lmd(variants=["lmd_mouth"], context=ON_CPU)
    theirs = metric.score(sample, blurred, sample.audio, lambda: track_face(sample, blurred))
    assert ours == theirs.values[metric.columns[0].name].value > 0
    given = track_face(sample, blurred).landmarks
    assert measure.lmd(blurred, sample.video, landmarks=sample.landmarks, made_landmarks=given) == ours
    follows = measure.lip(blurred, sample.video, landmarks=sample.landmarks)
    assert follows.corr > 0.9
    assert 0 < follows.error < 5


def test_the_voice_is_heard_and_a_lag_found() -> None:
    sample = talker()
    found = measure.voice(sample.video, sample.audio, landmarks=sample.landmarks, zero="synth")
    assert found.corr > 0.2
    assert found.sure > 0.9
    assert abs(found.lag) < 1.5
    late = np.concatenate([np.zeros(5 * 640, np.float32), sample.audio])[: len(sample.audio)]
    assert measure.voice(sample.video, late, landmarks=sample.landmarks, zero="synth").lag < found.lag - 3
    assert measure.voice_score(sample.video, sample.audio, landmarks=sample.landmarks) > 0


def test_sound_may_end_within_a_frame_of_the_pictures() -> None:
    sample = talker()
    whole = measure.scores("voice", sample.video, sample.audio, landmarks=sample.landmarks)
    longer = np.concatenate([sample.audio, np.zeros(300, np.float32)])
    assert measure.scores("voice", sample.video, longer, landmarks=sample.landmarks) == whole
    with pytest.raises(BadInput, match=r"audio lasts .* s at 16000 Hz and the video"):
        measure.voice(sample.video, sample.audio[::2], landmarks=sample.landmarks)


REAL = np.zeros((30, 64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("video", "real", "said"),
    [
        (REAL.astype(np.float32), REAL, "video is float32"),
        (REAL[0], REAL, "video is uint8"),
        (list(REAL), REAL, "video is list"),
        (REAL[:0], REAL[:0], "video is empty"),
        (REAL[:-1], REAL, "expected the same frames"),
        (REAL, REAL[:, :32], "expected the same frames"),
        (REAL, REAL.transpose(0, 3, 1, 2), "real is uint8"),
    ],
)
def test_arrays_that_are_no_videos_are_named(video: UInt8, real: UInt8, said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        measure.psnr(video, real)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros(30 * 640, np.int16), "audio is int16"),
        (np.zeros((30 * 640, 2), np.float32), "audio is float32"),
        (np.full(30 * 640, np.nan, np.float32), "nan"),
        (np.full(30 * 640, 3000.0, np.float32), "reaches 3000"),
        (np.zeros(30 * 1764, np.float32), "audio lasts"),
    ],
)
def test_sounds_that_are_none_are_named(audio: Float32, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        measure.voice(REAL, audio, landmarks=np.zeros((30, 478, 2), np.float32))


def test_what_has_no_number_is_said_with_its_reason() -> None:
    with pytest.raises(Unscored, match="no-face: a face was found in 0 of 30 frames"):
        measure.lse(REAL, np.zeros(30 * 640, np.float32), judge="syncnet-synth")
    with pytest.raises(Unscored, match=r"sync is weights-missing: .*tkbench weights"):
        measure.lse(talker().video, talker().audio, landmarks=talker().landmarks)
    with pytest.raises(Unscored, match="fid is"):
        measure.fid([talker().video], [talker().video])
    with pytest.raises(BadInput, match="give real="):
        measure.scores("lmd", REAL)
    with pytest.raises(UnknownName, match="psnrr"):
        measure.scores("psnrr", REAL, real=REAL)
    with pytest.raises(UsageError, match="has no setting 'strides'"):
        measure.scores("psnr", REAL, real=REAL, strides=2)
    with pytest.raises(BadInput, match="landmarks"):
        measure.lmd(REAL, REAL, landmarks=np.zeros((30, 5, 2), np.float32))


def test_a_file_is_read_as_arrays(tmp_path: Path) -> None:
    sample = talker()
    media.write_video(tmp_path / "made.mp4", sample.video, audio=sample.audio, quality=14)
    video, audio = measure.read(tmp_path / "made.mp4")
    assert video.shape == sample.video.shape
    assert len(audio) == 640 * len(video)
    assert measure.psnr(video, sample.video) > 35
