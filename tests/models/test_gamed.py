"""Videos that are made to please: each does what its name says, and leaves the rest of the picture alone."""

from __future__ import annotations

import numpy as np
import pytest
from support.talkers import talker

from tkbench import models
from tkbench.crops.recipes import eyes_and_nose, ibug68
from tkbench.errors import UsageError
from tkbench.metrics.mouth import aperture
from tkbench.models import gamed
from tkbench.prep import backends
from tkbench.types import Batch, Float32, Float64, UInt8


def video(name: str) -> UInt8:
    [made] = models.create(name).generate(Batch((talker(),)), seed=0)
    assert made.video is not None
    assert made.video.shape == talker().video.shape
    assert made.video.dtype == np.uint8
    return made.video


def tracked(frames: UInt8) -> Float32:
    tracker = backends.shared(backends.DEFAULT)
    tracker.restart()
    found = [tracker.track([np.ascontiguousarray(frame)])[0] for frame in frames]
    assert all(points is not None for points in found)
    return np.stack([points for points in found if points is not None])


def test_a_flapping_mouth_follows_the_loudness_and_nothing_else_moves() -> None:
    made, sample = video("flap"), talker()
    loud = gamed.loudness(sample.audio, len(sample))
    points = tracked(made)
    assert np.corrcoef(aperture(points), loud)[0, 1] > 0.9
    upper = ibug68(points)[:, :48:5]
    assert np.ptp(upper[:, 5:], axis=0).max() < 3  # brows, eyes and nose, in pixels of 192
    top = int(np.min(ibug68(points)[:, 30, 1]))
    assert (made[:, :top] == made[0, :top]).all()


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_a_gaping_mouth_is_open_as_many_times_as_far(factor: float) -> None:
    points = tracked(video(f"gape:{factor:g}"))
    true, made = aperture(talker().landmarks), aperture(points)
    wide = true > np.quantile(true, 0.5)
    # The tracker believes in a usual mouth, so it sees a little less of an unusual one.
    assert np.polyfit(true[wide], made[wide], 1)[0] == pytest.approx(factor, rel=0.3)


def test_gape_by_one_is_the_true_video() -> None:
    np.testing.assert_array_equal(video("gape:1"), talker().video)


@pytest.mark.parametrize("name", ["wrong-mouth", "held-mouth"])
def test_only_the_mouth_is_of_another_moment(name: str) -> None:
    made, sample = video(name), talker()
    points = np.asarray(ibug68(sample.landmarks))
    differs = (made != sample.video).any(axis=3)
    rows = np.nonzero(differs.any(axis=(0, 2)))[0]
    columns = np.nonzero(differs.any(axis=(0, 1)))[0]
    assert rows.min() > points[:, 27, 1].min()  # below the bridge of the nose
    assert columns.min() > points[:, 0, 0].min() - 5
    assert columns.max() < points[:, 16, 0].max() + 5
    assert differs.mean() < 0.25
    true, shown = aperture(sample.landmarks), aperture(tracked(made))
    if name == "wrong-mouth":
        assert np.corrcoef(true[::-1], shown)[0, 1] > 0.8
        assert abs(np.corrcoef(true, shown)[0, 1]) < 0.6
    else:
        assert shown.std() < 0.35 * true.std()


def test_similarity_is_undone_by_its_inverse() -> None:
    points: Float64 = eyes_and_nose(talker().landmarks[:1])[0]
    turn = 1.3 * np.exp(0.4j)
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    moved = points @ matrix.T + (12, -7)
    found = gamed.similarity(points, moved)
    np.testing.assert_allclose(found[:, :2], matrix, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], (12, -7), atol=1e-6)


def test_loudness_is_zero_in_silence_and_one_where_it_is_loud() -> None:
    audio = np.zeros(50 * 640, np.float32)
    audio[25 * 640 :] = np.random.default_rng(0).normal(size=25 * 640).astype(np.float32) * 0.1
    found = gamed.loudness(audio, 50)
    assert (found[:25] == 0).all()
    assert (found[25:] > 0.9).all()
    np.testing.assert_allclose(gamed.loudness(audio * np.float32(0.3), 50), found, atol=1e-4)
    assert len(gamed.loudness(audio[: 30 * 640], 50)) == 50


@pytest.mark.parametrize("name", ["gape:0.5", "gape:x", "gape:9", "flap:2", "wrong-mouth:1"])
def test_a_setting_that_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        models.create(name)
