"""The anchors do what their cards say, and names are checked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from tkbench import media, models
from tkbench.errors import UnknownName, UsageError
from tkbench.models.files import Files, cut_canvas
from tkbench.types import Batch, Generated, Reason, Sample


def make_sample(key: str = "a/b", frames: int = 12, size: int = 32, **canvas: int) -> Sample:
    rng = np.random.default_rng(len(key))
    return Sample(
        key=key,
        video=rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8),
        audio=rng.normal(0, 0.1, frames * 640).astype(np.float32),
        landmarks=np.zeros((frames, 478, 2), np.float32),
        track_score=np.ones(frames, np.float32),
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


def test_files_that_match_no_clip_are_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def check() -> list[str]:
        model = models.create(f"files:{folder}")
        assert isinstance(model, Files)
        return model.check(["a1", "b/2"], {})

    with pytest.raises(UsageError, match=r"holds no video; expected one per clip, such as a1\.mp4"):
        check()
    (folder / "made_2_x.mp4").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    with pytest.raises(
        UsageError, match=r"1 video \(made_2_x\.mp4\).*--pattern 'made_\{name\}_x\.mp4' would fit 1 of"
    ):
        check()
    (folder / "b__2.mp4").write_bytes(b"")
    first = f"{folder}: 1 of 2 clips have a video; without one is a1, scored as not-generated"
    assert check() == [
        first,
        "1 video there is of none of these clips: made_2_x.mp4; a video is found by the name of its clip",
    ]
    (folder / "made_2_x.mp4").rename(folder / "A1_result.mp4")
    assert check() == [
        first,
        "1 video there is of none of these clips: A1_result.mp4; --pattern '{key}_result.mp4' would fit 1 of them: "
        "call all by one pattern, and give it, or by their clips",
    ]
    (folder / "A1_result.mp4").unlink()
    assert check() == [first]


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


@pytest.mark.parametrize(("size", "how"), [(48, cv2.INTER_CUBIC), (128, cv2.INTER_AREA)])
def test_a_canvas_is_cut_as_preparation_cuts_it(size: int, how: int) -> None:
    """Enlarged by cubic, shrunk by areas: the other way costs a model of the source's size 13 dB."""
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2, 160, 150, 3), dtype=np.uint8)
    placed = make_sample(
        "k", frames=2, size=64, source_width=150, source_height=160, x=4, y=6, width=size, height=size
    )
    found = cut_canvas(video, placed)
    assert found is not None
    wanted = [cv2.resize(frame[6 : 6 + size, 4 : 4 + size], (64, 64), interpolation=how) for frame in video]
    np.testing.assert_array_equal(found, wanted)


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


def smooth_sample(frames: int = 12, size: int = 64) -> Sample:
    """A picture that a codec can hold: a gradient with a moving disc."""
    rows, columns = np.mgrid[:size, :size]
    pictures = []
    for t in range(frames):
        disc = (rows - 32) ** 2 + (columns - 20 - t) ** 2 < 100
        pictures.append(np.stack([rows * 3, columns * 3, 40 + 150 * disc], axis=-1).astype(np.uint8))
    return dataclasses.replace(make_sample(frames=frames, size=size), video=np.stack(pictures))


@pytest.mark.parametrize(
    "row",
    [
        ["jpeg:95", "jpeg:50", "jpeg:5"],
        ["noise:1", "noise:8", "noise:40"],
        ["resize:48", "resize:24", "resize:8"],
    ],
)
def test_a_greater_fault_is_a_greater_error(row: list[str]) -> None:
    sample = smooth_sample()
    errors = [float(np.square(video(name, sample).astype(float) - sample.video).mean()) for name in row]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_noise_has_its_sigma_and_depends_on_clip_and_seed_alone() -> None:
    sample = dataclasses.replace(make_sample(size=64), video=np.full((12, 64, 64, 3), 128, np.uint8))
    made = video("noise:10", sample)
    assert float(made.std()) == pytest.approx(10, rel=0.02)
    assert abs(float(made.mean()) - 128) < 0.1
    np.testing.assert_array_equal(made, video("noise:10", sample))
    other = dataclasses.replace(sample, key="b")
    assert (made != video("noise:10", other)).mean() > 0.5
    (batched, _) = models.create("noise:10").generate(Batch((sample, other)), seed=0)
    np.testing.assert_array_equal(batched.video, made)
    assert (video("noise:0", sample) == sample.video).all()


def test_jpeg_keeps_red_red() -> None:
    sample = dataclasses.replace(make_sample(), video=np.tile(np.uint8([200, 30, 30]), (12, 32, 32, 1)))
    assert np.abs(video("jpeg:90", sample).astype(int) - sample.video).max() <= 4


def test_resize_leaves_smaller_pictures_alone() -> None:
    sample = make_sample(size=32)
    np.testing.assert_array_equal(video("resize:32", sample), sample.video)
    np.testing.assert_array_equal(video("resize:96", sample), sample.video)


@pytest.mark.parametrize(("rate", "distinct"), [(25, 25), (50, 25), (12.5, 13), (5, 6)])
def test_fps_repeats_frames_and_stays_on_time(rate: float, distinct: int) -> None:
    sample = make_sample(frames=25, size=8)
    sample.video[...] = np.arange(25, dtype=np.uint8)[:, None, None, None]
    shown = video(f"fps:{rate:g}", sample)[:, 0, 0, 0].astype(int)
    assert len(set(shown)) == distinct
    # Never further from its time than half a frame of the lower rate, and never drifting.
    assert np.abs(shown - np.arange(25)).max() <= np.ceil(25 / min(rate, 25) / 2)


@pytest.mark.parametrize("name", ["jpeg:0", "jpeg:x", "noise:-1", "resize:4", "fps:0", "fps:nan", "jpeg"])
def test_a_fault_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        models.create(name)
