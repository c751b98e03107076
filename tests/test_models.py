"""The anchors do what their cards say, and names are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tkbench import media, models
from tkbench.errors import UnknownName, UsageError
from tkbench.types import Batch, Generated, Reason, Sample


def make_sample(key: str = "a/b", frames: int = 12, size: int = 32, **canvas: int) -> Sample:
    rng = np.random.default_rng(len(key))
    return Sample(
        key=key,
        video=rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8),
        audio=rng.normal(0, 0.1, frames * 640).astype(np.float32),
        landmarks=np.zeros((frames, 478, 2), np.float32),
        score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
        canvas=canvas,
    )


def one(name: str, sample: Sample) -> Generated:
    (made,) = models.create(name).generate(Batch((sample,)), seed=0)
    assert made.key == sample.key
    return made


def video(name: str, sample: Sample) -> np.ndarray:
    made = one(name, sample)
    assert made.video is not None
    assert made.video.shape == sample.video.shape
    assert made.video.dtype == np.uint8
    return made.video


def test_real_is_the_sample() -> None:
    sample = make_sample()
    np.testing.assert_array_equal(video("real", sample), sample.video)
    np.testing.assert_array_equal(video("shuffled-audio", sample), sample.video)


def test_still_holds_the_first_frame() -> None:
    sample = make_sample()
    made = video("still", sample)
    assert (made == sample.video[0]).all()


@pytest.mark.parametrize("lag", [-20, -3, 0, 5])
def test_shift_is_late_by_its_number(lag: int) -> None:
    sample = make_sample()
    made = video(f"shift:{lag}", sample)
    for t in range(len(sample)):
        np.testing.assert_array_equal(made[t], sample.video[min(max(t - lag, 0), len(sample) - 1)])


def test_blur_lowers_contrast_and_keeps_the_mean() -> None:
    sample = make_sample()
    made = video("blur", sample)
    assert made.std() < 0.3 * sample.video.std()
    assert abs(made.mean() - sample.video.mean()) < 2


@pytest.mark.parametrize(
    "name", ["shift:x", "shift:1.5", "blur:0", "blur:x", "real:1", "shift", "files", "files:/nowhere"]
)
def test_settings_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as error:
        models.create(name)
    assert name.split(":")[0] in str(error.value)


def test_near_misses_are_suggested() -> None:
    with pytest.raises(UnknownName, match="did you mean still"):
        models.create("stil")


def test_every_anchor_is_marked_as_one() -> None:
    for name in models.ANCHORS:
        card = models.create(name).card
        assert card.anchor
        assert card.name == name


def test_files_joins_by_key(tmp_path: Path) -> None:
    sample = make_sample("s1/c1", size=64)
    media.write_video(tmp_path / "s1__c1.mp4", iter(sample.video), fps=25, quality="lossless")
    made = one(f"files:{tmp_path}", sample)
    assert made.video is not None
    assert made.video.shape == sample.video.shape
    missing = one(f"files:{tmp_path}", make_sample("s1/c2"))
    assert missing.reason is Reason.NOT_GENERATED
    assert "s1/c2.mp4" in missing.detail


def test_files_of_another_size_are_refused_and_source_size_is_cut(tmp_path: Path) -> None:
    big = np.zeros((10, 128, 96, 3), np.uint8)
    big[:, 20:84, 10:74] = 200
    media.write_video(tmp_path / "k.mp4", iter(big), fps=25, quality="lossless")
    plain = make_sample("k", frames=10, size=64)
    made = one(f"files:{tmp_path}", plain)
    assert made.reason is Reason.WRONG_SHAPE
    assert "96x128" in made.detail
    assert "64x64" in made.detail
    placed = make_sample(
        "k", frames=10, size=64, source_width=96, source_height=128, x=10, y=20, width=64, height=64
    )
    cut = one(f"files:{tmp_path}", placed)
    assert cut.video is not None
    assert abs(int(cut.video[:, 4:-4, 4:-4].mean()) - 200) <= 2


def test_files_say_when_they_were_resampled(tmp_path: Path) -> None:
    sample = make_sample("k", frames=10, size=64)
    media.write_video(
        tmp_path / "k.mp4", iter(np.repeat(sample.video, 2, axis=0)), fps=50, quality="lossless"
    )
    made = one(f"files:{tmp_path}", sample)
    assert made.video is not None
    assert "50.00" in made.detail
    assert len(made.video) == 10


def test_a_broken_file_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "k.mp4").write_bytes(b"not a video at all")
    made = one(f"files:{tmp_path}", make_sample("k"))
    assert made.video is None
    assert made.reason is Reason.NOT_A_VIDEO
