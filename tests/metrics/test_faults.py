"""Where each check of a clip begins to find fault: the last value that passes, and the first that does not."""

from __future__ import annotations

import numpy as np
import pytest

from tkbench.metrics.faults import audio_fault, landmark_fault, picture_fault, video_fault
from tkbench.types import Reason, Sample


def sample_of(frames: int = 4) -> Sample:
    points = np.random.default_rng(0).uniform(4, 28, (1, 68, 2)).astype(np.float32)
    points[0, 36], points[0, 45] = (4, 10), (24, 10)
    return Sample(
        key="s/c",
        video=np.zeros((frames, 32, 32, 3), np.uint8),
        audio=np.zeros(frames * 640, np.float32),
        landmarks=np.repeat(points, frames, axis=0),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("peak", "reason"), [(1.0, None), (4.0, None), (4.01, Reason.WRONG_RANGE), (32767, Reason.WRONG_RANGE)]
)
def test_sound_on_the_wrong_scale(peak: float, reason: Reason | None, sign: int) -> None:
    sample = sample_of()
    audio = sample.audio.copy()
    audio[7] = sign * peak
    fault = audio_fault(sample, audio)
    assert (fault and fault[0]) == reason


@pytest.mark.parametrize(
    ("audio", "reason", "said"),
    [
        (np.zeros(2559, np.float32), Reason.WRONG_LENGTH, "2559 samples, expected 2560 (4 frames x 640)"),
        (np.zeros((2560, 1), np.float32), Reason.WRONG_SHAPE, "expected float32 (S,)"),
        (np.zeros(2560, np.int16), Reason.WRONG_SHAPE, "int16"),
        (np.full(2560, np.inf, np.float32), Reason.NOT_FINITE, "nan or inf"),
    ],
)
def test_sound_that_is_none(audio: np.ndarray, reason: Reason, said: str) -> None:
    fault = audio_fault(sample_of(), audio)
    assert fault is not None
    assert fault[0] is reason
    assert said in fault[1]


def test_pictures_and_their_number() -> None:
    sample = sample_of()
    assert video_fault(sample, sample.video) is None
    assert picture_fault(sample, sample.video[:1]) is None
    fault = video_fault(sample, sample.video[:3])
    assert fault == (Reason.WRONG_LENGTH, "3 frames, expected 4")
    for wrong in (
        sample.video[:, :31],
        sample.video[..., :1],
        sample.video.astype(np.float32),
        sample.video[0],
    ):
        found = picture_fault(sample, wrong)
        assert found is not None
        assert found[0] is Reason.WRONG_SHAPE
    empty = sample_of(0)
    assert video_fault(empty, empty.video) == (Reason.TOO_SHORT, "no frames")


def test_landmarks_of_a_face() -> None:
    sample = sample_of()
    assert landmark_fault(sample.landmarks, 4) is None
    assert landmark_fault(sample.landmarks, 4, "ibug68") is None
    for points, frames, kind, reason in (
        (sample.landmarks, 4, "mesh478", Reason.WRONG_SHAPE),
        (sample.landmarks, 5, None, Reason.WRONG_LENGTH),
        (sample.landmarks[:, :67], 4, None, Reason.WRONG_SHAPE),
        (sample.landmarks[..., :1], 4, None, Reason.WRONG_SHAPE),
        (sample.landmarks.astype(int), 4, None, Reason.WRONG_SHAPE),
        (np.full_like(sample.landmarks, np.nan), 4, None, Reason.NOT_FINITE),
    ):
        fault = landmark_fault(points, frames, kind)
        assert fault is not None
        assert fault[0] is reason
    for gap, reason in ((1.01, None), (0.99, Reason.NO_FACE)):
        eyes = sample.landmarks.copy()
        eyes[2, 45] = eyes[2, 36] + (gap, 0.5)
        found = landmark_fault(eyes, 4)
        assert (found and found[0]) == reason
