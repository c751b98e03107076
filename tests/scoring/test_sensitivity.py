"""`tkbench sensitivity`: one knob at a time, paired differences, a page that shows them."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tkbench import shards
from tkbench.errors import UsageError
from tkbench.media import codecs
from tkbench.report import sensitivity as page
from tkbench.scoring import sensitivity
from tkbench.scoring.sensitivity import KNOBS, Point, Result, Step, apply, measure, scaled, trend
from tkbench.types import Reason, Sample

PROTOCOL = """
name = "pictures"
summary = "Pictures alone."
rank_by = "psnr"
[stats]
n_boot = 200
[[metrics]]
name = "psnr"
[[metrics]]
name = "ssim"
[[metrics]]
name = "fid"
"""


def make_sample(key: str, frames: int = 30, side: int = 64) -> Sample:
    rows, columns = np.mgrid[:side, :side]
    pictures = []
    for t in range(frames):
        wave = 128 + 80 * np.sin((rows + columns + 4 * t) / 3)
        pictures.append(np.stack([rows * 3, columns * 3, wave], axis=-1).astype(np.uint8))
    points = np.random.default_rng(0).uniform(16, 48, (1, 478, 2)).astype(np.float32)
    return Sample(
        key=key,
        video=np.stack(pictures),
        audio=np.zeros(frames * 640, np.float32),
        landmarks=np.repeat(points, frames, axis=0),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
        speaker=key[0],
    )


class Folder:
    """Shards in memory."""

    dataset, data_hash, signature, split = "test", "0" * 64, "prep", "test"

    def __init__(self) -> None:
        lengths = (("a1", 30), ("b1", 60), ("c1", 80))
        self.samples = {key: make_sample(key, frames) for key, frames in lengths}
        self.speakers = {key: sample.speaker for key, sample in self.samples.items()}

    def keys(self) -> list[str]:
        return sorted(self.samples)

    def get(self, key: str) -> Sample:
        return self.samples[key]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    rules = tmp_path_factory.mktemp("rules") / "pictures.toml"
    rules.write_text(PROTOCOL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "open_shards", lambda path, split=None: Folder())
        knobs = ["shift", "jpeg", "crop-scale", "min-frames", "n"]
        return measure(Path("memory"), knobs=knobs, protocol=rules)


def means(result: Result, knob: str, metric: str) -> list[float]:
    return [point.mean for point in result.series(knob, metric)]


def test_every_knob_begins_at_the_unchanged_video(result: Result) -> None:
    for knob in result.knobs:
        assert means(result, knob.name, "psnr")[0] == math.inf
        assert means(result, knob.name, "ssim")[0] == 1.0
        assert result.series(knob.name, "ssim")[0].change == 0.0


def test_faults_move_pictures_their_way(result: Result) -> None:
    for knob in ("shift", "jpeg"):
        assert means(result, knob, "psnr")[1] < math.inf
    assert trend(result.series("jpeg", "psnr")) == "falls"
    assert trend(result.series("jpeg", "ssim")) == "falls"
    last = result.series("jpeg", "ssim")[-1]
    assert last.change < 0
    # Three speakers have no 95 % interval.
    assert math.isnan(last.low)
    assert math.isnan(last.change_low)
    assert last.change == pytest.approx(last.mean - 1.0)


def test_the_scale_of_the_crop_moves_no_whole_picture(result: Result) -> None:
    assert set(means(result, "crop-scale", "ssim")) == {1.0}


def test_subsets_keep_what_they_say(result: Result) -> None:
    assert [point.n for point in result.series("min-frames", "ssim")] == [3, 2, 1, 0]
    assert math.isnan(means(result, "min-frames", "ssim")[3])
    assert [point.n for point in result.series("n", "ssim")] == [3, 2, 1]
    assert not result.series("n", "fid")


def test_a_missing_network_is_a_reason_at_every_value(result: Result) -> None:
    points = result.series("jpeg", "fid")
    assert len(points) == len(KNOBS["jpeg"].values)
    for point in points:
        assert math.isnan(point.mean)
        assert point.why.startswith(("weights-missing", "too-few"))


def test_csv_has_every_point(result: Result) -> None:
    lines = list(csv.DictReader(result.to_csv().splitlines()))
    assert len(lines) == len(result.points)
    assert {line["knob"] for line in lines} == {knob.name for knob in result.knobs}


def test_the_page_names_every_knob_and_what_is_missing(result: Result, tmp_path: Path) -> None:
    text = page.write(result, tmp_path / "s.html").read_text()
    for knob in result.knobs:
        assert f'id="k-{knob.name}"' in text
    assert "Not drawn, because unscored: FID" in text
    assert ">nan" not in text
    assert page.write(result, tmp_path / "t.html").read_bytes() == (tmp_path / "s.html").read_bytes()
    assert len(page.rich_tables(result)) == len(result.knobs)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Both knobs of codecs, with an ffmpeg that lacks one of the encoders."""
    rules = tmp_path_factory.mktemp("rules") / "coded.toml"
    rules.write_text(PROTOCOL)
    poor = codecs.encoders(codecs.ffmpeg_exe()) - {"libsvtav1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "open_shards", lambda path, split=None: Folder())
        patch.setattr(codecs, "encoders", lambda exe: poor)
        return measure(Path("memory"), knobs=["video-codec", "audio-codec"], protocol=rules, limit=1)


def test_a_codec_of_sound_moves_no_picture_and_a_codec_of_pictures_does(coded: Result) -> None:
    assert set(means(coded, "audio-codec", "ssim")) == {1.0}
    assert set(means(coded, "audio-codec", "psnr")) == {math.inf}
    by_name = points_of(coded, "psnr")
    ladder = [by_name[name] for name in ("as it is", "h264-crf18", "h264-crf23", "h264-crf28", "h264-crf35")]
    assert ladder == sorted(ladder, reverse=True)
    assert len(set(ladder)) == len(ladder)


def test_a_codec_changes_one_side_of_the_sample() -> None:
    sample = make_sample("a1")
    voice = np.random.default_rng(0).normal(0, 0.1, len(sample.audio)).astype(np.float32)
    sample = replace(sample, audio=voice)
    same, video = apply(sample, Step("video-codec", 1))
    assert same is sample
    assert video.shape == sample.video.shape
    assert not np.array_equal(video, sample.video)
    other, video = apply(sample, Step("audio-codec", 1))
    assert video is sample.video
    assert other.video is sample.video
    assert other.audio.shape == voice.shape
    assert not np.array_equal(other.audio, voice)
    assert apply(sample, Step("audio-codec", 0))[0] is sample


def test_a_missing_encoder_is_an_unscored_point(coded: Result) -> None:
    for metric in ("psnr", "ssim", "fid"):
        found = coded.series("video-codec", metric)
        points = {KNOBS["video-codec"].label(point.value): point for point in found}
        assert math.isnan(points["av1-crf35"].mean)
        assert points["av1-crf35"].why.startswith("encoder-missing")
    assert not math.isnan(points_of(coded, "ssim")["h265-crf28"])


def points_of(result: Result, metric: str) -> dict[str, float]:
    return {KNOBS["video-codec"].label(p.value): p.mean for p in result.series("video-codec", metric)}


def test_codecs_stand_by_name_in_table_and_page(coded: Result, tmp_path: Path) -> None:
    lines = list(csv.DictReader(coded.to_csv().splitlines()))
    assert {line["value"] for line in lines if line["knob"] == "audio-codec"} == {"as it is", *codecs.AUDIO}
    text = page.write(coded, tmp_path / "c.html").read_text()
    assert "opus-24k" in text
    assert "encoder-missing" in text


def test_what_papers_report_is_a_number_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "open_shards", lambda path, split=None: Folder())
    found = measure(Path("memory"), knobs=["still"], protocol="papers-v1", limit=1)
    names = [column.name for column in found.columns]
    starts = (
        "lse_c", "lse_d", "voice_score", "voice_corr", "fid", "fvd", "efid", "lpips", "psnr", "ssim", "lmd_mouth",
        "lmd_face", "csim_aligned", "lip_dynamics", "head_dynamics", "iqa_niqe", "iqa_musiq",
    )  # fmt: skip
    for start in starts:
        assert any(name.startswith(start) for name in names), f"{start} is not a column of papers-v1"
    known = {reason.value for reason in Reason}
    for point in found.points:
        if math.isnan(point.mean):
            assert point.why.partition(":")[0].split(", ")[0] in known, point
    assert {"psnr", "ssim"} <= {point.metric for point in found.points if not math.isnan(point.mean)}


def test_unknown_knobs_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean jpeg"):
        measure(Path("nowhere"), knobs=["jpg"])


def test_scaled_landmarks_keep_their_centre() -> None:
    points = np.random.default_rng(1).normal(100, 20, (5, 478, 2)).astype(np.float32)
    for by in (0.5, 1.0, 1.3):
        grown = scaled(points, by)
        wanted = by * (points.max(1) - points.min(1))
        np.testing.assert_allclose(grown.max(1) - grown.min(1), wanted, rtol=1e-5)
        np.testing.assert_allclose(grown.max(1) + grown.min(1), points.max(1) + points.min(1), rtol=1e-5)


FAULTS = [knob for knob in KNOBS.values() if knob.kind != "subset"]


@pytest.mark.parametrize("knob", FAULTS, ids=lambda knob: knob.name)
def test_every_value_of_every_knob_can_be_applied(knob: sensitivity.Knob) -> None:
    sample = make_sample("a")
    sound = np.random.default_rng(0).normal(0, 0.1, len(sample.audio)).astype(np.float32)
    sample = replace(sample, audio=sound)
    for value in knob.values:
        changed, video = apply(sample, Step(knob.name, value))
        assert video.shape == sample.video.shape
        same = np.array_equal(video, sample.video) and np.array_equal(changed.landmarks, sample.landmarks)
        same = same and np.array_equal(changed.audio, sample.audio)
        # 64 pixels and more are all that this picture has.
        assert same == (value == knob.values[0] or (knob.name == "resize" and value >= 64))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 2, 1], "falls"),
        ([math.inf, 30, 20], "falls"),
        ([1, 1, 2], "rises"),
        ([1, 1], "flat"),
        ([math.inf, math.inf], "flat"),
        ([1, 2, 1], "mixed"),
        ([math.nan, 1], "unscored"),
    ],
)
def test_trend(values: list[float], expected: str) -> None:
    points = [Point("k", i, "m", v, 0, 0, 0, 0, 0, 1, 0) for i, v in enumerate(values)]
    assert trend(points) == expected


def test_metrics_that_look_at_the_made_video_are_given_its_landmarks(tmp_path: Path) -> None:
    rules = tmp_path / "lips.toml"
    rules.write_text(
        'name = "lips"\nsummary = ""\nrank_by = "lmd_mouth_mesh"\n[stats]\nn_boot = 200\n'
        '[[metrics]]\nname = "lmd"\nsettings = { variants = ["lmd_mouth"] }\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "open_shards", lambda path, split=None: Folder())
        found = measure(Path("memory"), knobs=["crop-scale"], protocol=rules)
    assert means(found, "crop-scale", "lmd_mouth_mesh") == [0.0] * 5
