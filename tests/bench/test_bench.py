"""The speed bench: its stages add up, several trackers stand side by side, and the plain loop does what it says."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.toy_shards import make_shards

from tkbench import media
from tkbench.bench import plain as loop
from tkbench.bench import prep as stages
from tkbench.bench.prep import Report, Timing, bench_prep
from tkbench.bench.train import WARM, TrainReport, _full, bench_train
from tkbench.errors import UnknownName, UsageError, WeightsMissing
from tkbench.prep.plan import Settings
from tkbench.train.config import Data, load_config
from tkbench.train.objectives import objective
from tkbench.types import UInt8

SHORT = Settings(min_frames=12)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face of 20 frames at 160 x 160 with sound, and the same without."""
    import cv2
    from skimage import data

    folder = tmp_path_factory.mktemp("videos")
    photo = cv2.resize(np.ascontiguousarray(data.astronaut()[0:288, 80:368]), (160, 160))
    frames = [np.roll(photo, t // 4, axis=1) for t in range(20)]
    sound = np.random.default_rng(0).normal(0, 0.1, 12_800)
    media.write_video(folder / "plain.mp4", frames, audio=sound)
    media.write_video(folder / "mute.mp4", frames)
    return folder


def test_trackers_and_the_plain_loop_on_the_same_clip(videos: Path) -> None:
    said: list[tuple[int, int]] = []
    report = bench_prep(
        videos,
        repeat=1,
        settings=SHORT,
        trackers=["mediapipe", "mediapipe-plain"],
        progress=lambda done, total, _: said.append((done, total)),
    )
    group = "160x160 h264"
    assert list(report.rows()) == [(group, "mediapipe"), (group, "mediapipe-plain")]
    for timing in report.timings:
        assert set(timing.seconds) == set(stages.STAGES)
        assert all(value >= 0 for value in timing.seconds.values())
        assert timing.seconds["track"] > 0.01
        assert timing.frames == 20
    (run,) = report.plain[group]
    assert run.frames == 20
    assert min(run.decode, run.full, run.near, run.write) > 0
    assert run.haar > 0 if loop.cascade() else math.isnan(run.haar)
    assert report.table().row_count == report.comparison().row_count == 2
    assert "left out: mute: no-audio-stream" in report.verdict()
    assert re.search(r"160x160 h264, mediapipe: \d+ frames/s per core; the limit is \w+ ", report.verdict())
    # The peak is the process's own: here that of all tests before this one, so it has no upper bound to hold.
    assert report.peak_bytes > 1e8
    assert said[-1][0] == said[-1][1]
    assert all(done <= total for done, total in said)


def test_the_default_stands_beside_the_tracker_before_it(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the wheel has no runtime for it, the report says so, and nothing else is missing."""

    def check(name: str) -> None:
        if name == stages.FORMER:
            raise UsageError("it needs mediapipe<0.10.22")

    monkeypatch.setattr(stages.backends, "check", check)
    report = bench_prep(videos, repeat=1, settings=SHORT, plain=False)
    assert {timing.backend for timing in report.timings} == {"mediapipe"}
    assert report.over_former() == {}
    assert "not compared with the tracker before it: it needs mediapipe<0.10.22" in report.verdict()


def test_the_tracker_before_it_runs_where_its_wheel_is(videos: Path) -> None:
    try:
        stages.backends.check(stages.FORMER)
    except UsageError as error:
        pytest.skip(str(error))
    report = bench_prep(videos, repeat=1, settings=SHORT, plain=False)
    assert [timing.backend for timing in report.timings] == ["mediapipe", stages.FORMER]
    assert re.search(r"160x160 h264: mediapipe tracks \d+\.\d\d times as fast as", report.verdict())


def test_the_gain_over_the_tracker_before_it_is_that_of_tracking() -> None:
    seconds = dict.fromkeys(stages.STAGES, 1.0)
    report = Report(
        [
            Timing(key, group, backend, 100, seconds | {"track": track}, 1.0)
            for key, group, backend, track in (
                ("a", "x", "mediapipe", 2.0),
                ("b", "x", "mediapipe", 4.0),
                ("a", "x", stages.FORMER, 3.0),
                ("b", "x", stages.FORMER, 6.0),
                ("c", "y", "mediapipe", 1.0),
            )
        ]
    )
    assert report.over_former() == {"x": pytest.approx(1.5)}


def test_speeds_are_those_of_all_clips_together() -> None:
    """Frames over seconds, both summed: the mean of the clips' own speeds would be 125."""
    seconds = dict.fromkeys(stages.STAGES, 0.0)
    group = "64x64 h264"
    report = Report(
        [
            Timing("a", group, "mediapipe", 100, seconds | {"decode": 0.75, "track": 0.25}, 1.0),
            Timing("b", group, "mediapipe", 300, seconds | {"decode": 0.5, "track": 1.5}, 2.5),
            Timing("a", group, "other", 100, seconds | {"track": 5.0}, 6.0),
        ],
        {
            group: [
                loop.Plain(100, decode=0.5, full=0.25, near=0.125, haar=4.0, write=0.25),
                loop.Plain(300, decode=1.0, full=0.5, near=0.5, haar=8.0, write=0.5),
            ]
        },
    )
    assert report.fps(group) == pytest.approx(400 / 3)
    assert report.fps(group, "other") == pytest.approx(20)
    shares = report.shares(group)
    assert (shares["decode"], shares["track"]) == (pytest.approx(1.25 / 3), pytest.approx(1.75 / 3))
    assert sum(shares.values()) == pytest.approx(1)
    assert report.plain_fps(group) == pytest.approx(400 / 3)
    assert report.plain_fps(group, "near") == pytest.approx(400 / 2.875)
    assert report.plain_fps(group, "haar") == pytest.approx(400 / 14.25)


def test_the_plain_loop_writes_a_crop_per_frame_and_the_sound(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    class Kept:
        """A temporary folder that stays."""

        def __init__(self, **_: str) -> None: ...

        def __enter__(self) -> str:
            return str(tmp_path)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(loop.tempfile, "TemporaryDirectory", Kept)
    full, near = loop.own_detectors()
    detectors: loop.Detectors = {"full": full, "near": near, "haar": loop.cascade()}
    result = loop.plain_loop(str(videos / "plain.mp4"), 20, detectors)
    assert result.frames == 20
    crops = sorted(tmp_path.glob("*.jpg"))
    assert len(crops) == 20
    crop = cv2.imread(str(crops[0]))
    # The face fills about half of the picture.
    assert 40 < crop.shape[0] < 140
    assert media.read_audio(tmp_path / "sound.wav").shape == (12_800,)


def test_the_plain_loop_holds_no_more_than_it_may(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "HELD", 5 * 160 * 160 * 3)
    blind: loop.Detectors = {"full": see_nothing, "near": see_nothing, "haar": Blind()}
    assert loop.plain_loop(str(videos / "plain.mp4"), 20, blind).frames == 5


def test_the_loops_detectors_agree(videos: Path) -> None:
    """The same networks by the wheel, where it has them, and by tkbench."""
    frame = media.read_video(videos / "plain.mp4")[0]
    own = loop.own_detectors()
    assert all(len(detect(frame)) == 1 for detect in own)
    if not hasattr(loop.mediapipe(), "solutions"):
        pytest.skip("needs mediapipe<0.10.22")
    with loop.quiet():
        for detect, other in zip(loop.wheel_detectors(), own, strict=True):
            np.testing.assert_allclose(detect(frame), other(frame), atol=0.05)


def test_the_cascade_of_the_loop_finds_the_face() -> None:
    import cv2
    from skimage import data

    photo = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    if (cascade := loop.cascade()) is None:
        pytest.skip("this OpenCV has no cascades")
    (box,) = cascade.detectMultiScale(photo, 1.1, 5)
    assert 150 < box[0] < 200
    assert 80 < box[2] < 140


def test_an_opencv_without_cascades_leaves_them_out(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    assert loop.cascade() is None
    found = loop.plain_loop(
        str(videos / "plain.mp4"), 20, {"full": see_nothing, "near": see_nothing, "haar": None}
    )
    assert math.isnan(found.haar)
    assert math.isfinite(found.seconds("full"))
    seconds = dict.fromkeys(stages.STAGES, 0.1)
    report = Report([Timing("a", "g", "mediapipe", 20, seconds, 1.0)], {"g": [found]})
    cells = [next(iter(column.cells)) for column in report.comparison().columns]
    assert cells[-2:] == ["-", "-"]
    assert "-" not in cells[:-2]


def see_nothing(_: UInt8) -> list[loop.Box]:
    """A detector that finds nothing."""
    return []


class Blind:
    """A cascade that finds nothing."""

    def detectMultiScale(self, *_: object) -> tuple[()]:
        return ()


def test_what_goes_wrong_in_the_loop_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"no\.mp4: the plain loop ended with code 1"):
        loop.measure_plain(str(tmp_path / "no.mp4"), 1, 1)


def test_the_verdict_names_the_largest_stage() -> None:
    seconds = dict.fromkeys(stages.STAGES, 0.1) | {"decode": 0.5}
    report = Report([Timing("k", "64x64 h264", "mediapipe", 100, seconds, 1.0)])
    assert report.fps("64x64 h264") == pytest.approx(100)
    assert "the limit is decode (ffmpeg's decoder, scaling and the pipe), 50%" in report.verdict()
    assert (
        "decoding, encoding and tracking are 70%, so at most 30% could be saved elsewhere" in report.verdict()
    )


def test_a_tracker_that_cannot_start_is_told_before_any_work(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsMissing, match="tkbench weights fetch s3fd fan-2d"):
        bench_prep(videos, trackers=["mediapipe", "face-alignment"])
    with pytest.raises(UnknownName, match="did you mean mediapipe"):
        bench_prep(videos, trackers=["mediapip"])
    with pytest.raises(UsageError, match="not a folder"):
        bench_prep(videos / "nowhere")
    with pytest.raises(UsageError, match="no video file"):
        bench_prep(tmp_path)


def test_training_pace_is_that_of_full_steps(tmp_path: Path) -> None:
    """Every term from the first step on, and nothing left behind."""
    clips = {f"{name}/0": ("train", 40) for name in "abcdef"}
    folder = make_shards(tmp_path, clips)
    there = sorted(tmp_path.iterdir())
    said: list[str] = []
    report = bench_train(
        folder,
        models=["wav2lip"],
        steps=1,
        accelerator="cpu",
        progress=lambda done, total, note: said.append(note),
    )
    (speed,) = report.speeds
    assert (speed.model, speed.config, speed.windows, speed.frames) == ("wav2lip", "wav2lip-small", 6, 5)
    assert (speed.steps, speed.device[:3]) == (1, "CPU")
    assert 0 <= speed.wait <= 1
    assert report.table().row_count == 1
    assert said == ["wav2lip", "measured"]
    assert sorted(tmp_path.iterdir()) == there
    full = _full(load_config(None, "synctalkface"), 1)
    assert [full.loss[name] for name in ("pretrain", "memory_from", "sync_from", "gan_from")] == [0] * 4
    objective(replace(full, loss={**full.loss, "av": 0.0}), None)  # no step of another phase is asked for
    with pytest.raises(UnknownName, match="cals"):
        bench_train(folder, models=["calls"], steps=1)


def test_only_the_steps_after_the_first_ones_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four windows a step: two steps to warm up, then three in 1.5 s, of which it waits 0.3 s."""
    from tkbench.train import loop as training
    from tkbench.train import steps

    folder = make_shards(tmp_path, {f"{name}/0": ("train", 40) for name in "abcd"})
    clock = [100.0]
    monkeypatch.setattr(steps.time, "perf_counter", lambda: clock[0])
    rules = replace(load_config(None, "expert"), data=Data(batch=4, frames=5))
    monkeypatch.setattr("tkbench.bench.train.load_config", lambda name, model: rules)

    def step(trainer: training.Trainer, batch: object, number: int) -> dict[str, torch.Tensor]:
        clock[0] += 30.0 if number < WARM else 0.4
        return {"total": torch.zeros(())}

    def slow(batch: object, device: object) -> object:
        clock[0] += 0.1
        return batch

    monkeypatch.setattr(training.Trainer, "step", step)
    monkeypatch.setattr(training, "on_device", slow)
    (speed,) = bench_train(folder, models=["expert"], steps=3, accelerator="cpu").speeds
    assert speed.windows_per_second == pytest.approx(8)
    assert speed.seconds == pytest.approx(0.5)
    assert speed.wait == pytest.approx(0.2)
    cells = [next(iter(column.cells)) for column in TrainReport([speed]).table().columns]
    assert cells[3:] == ["4 x 5", "0.500", "8.0", "40", "20.0%"]
