"""FVD: its network against a public one with the same weights, its distance, its clips, and what it refuses."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Gap
from golden.make_i3d import GOLDEN, clips, rows
from support.seeded_weights import seeded_state
from torch import Tensor

from tkbench import metrics, weights
from tkbench.errors import BadInput, UnknownName, UsageError, WeightsRefused
from tkbench.metrics import fvd, i3d
from tkbench.metrics.frechet import frechet, moments
from tkbench.metrics.fvd import Efid, Fvd, clips_of
from tkbench.types import Array, Reason, Sample, UInt8


def clip(key: str, seed: int, frames: int = 40) -> Sample:
    video = np.random.default_rng(seed).integers(0, 256, (frames, 24, 24, 3), dtype=np.uint8)
    return Sample(
        key=key,
        video=video,
        audio=np.zeros(frames * 640, np.float32),
        landmarks=np.zeros((frames, 478, 2), np.float32),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


# -- parity ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("i3d") / "i3d_pretrained_400.pt"
    torch.save(seeded_state(i3d.I3d().state_dict()), path)
    return path


def test_i3d_equals_the_public_one(state_file: Path, gap: Gap) -> None:
    """i3d.json holds its answers to the same clips with the same weights, preprocessing included."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    features = i3d.load_videogpt(state_file)
    for video, expected in zip(clips(), golden["features"], strict=True):
        found = features(video)
        gap("I3D's features", found, expected, relative=True)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_the_distance_equals_those_of_public_fvd_code(gap: Gap) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = frechet(*moments(rows()[0]), *moments(rows()[1]))
    for name in ("styleganv", "videogpt"):
        gap(f"Frechet distance of {name}", found, golden[name], relative=True)
        assert found == pytest.approx(golden[name], rel=1e-8)


def test_weights_of_another_network_are_refused(tmp_path: Path, state_file: Path) -> None:
    state = torch.load(state_file, weights_only=True)
    del state["logits.conv3d.bias"]
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(WeightsRefused, match="logits"):
        i3d.load_videogpt(tmp_path / "other.pt")
    with pytest.raises(WeightsRefused, match="TorchScript"):
        i3d.load_styleganv(state_file)


# -- clips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "stride", "expected"),
    [
        ("first", 1, [[0, 1, 2]]),
        ("first", 3, [[0, 3, 6]]),
        ("all", 1, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        ("all", 2, [[0, 2, 4]]),
        ("first", 5, []),
    ],
)
def test_clips_are_cut_as_they_are_named(
    sampling: fvd.Sampling, stride: int, expected: list[list[int]]
) -> None:
    video = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert [c[:, 0, 0, 0].tolist() for c in clips_of(video, 3, stride, sampling)] == expected


# -- a network of another package --------------------------------------------------------------------------------------


def light(video: UInt8) -> Array:
    """A video network for tests: brightness of each run of 8 frames."""
    runs = len(video) // 8
    return np.asarray(video[: runs * 8].reshape(runs, -1, 3).mean(axis=1))


light.sha256 = "f" * 64  # type: ignore[attr-defined]
light.frames = 8  # type: ignore[attr-defined]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fvd, "video_features", metrics.Registry("video network"))
    fvd.video_features.add("light", "test_fvd:light")


def filled(metric: Fvd, change: int = 0, videos: int = 6) -> dict[str, fvd.Score]:
    state = metric.start()
    for seed in range(videos):
        sample = clip(f"c{seed}", seed)
        brighter = np.clip(sample.video.astype(int) + change, 0, 255).astype(np.uint8)
        other = metric.start()
        metric.update(other, sample, brighter)
        state = metric.merge(state, other)
    return metric.compute(state)


def test_a_network_is_taken_by_its_name_and_named_by_its_hash(registered: None) -> None:
    metric = Fvd(net="light", n=10)
    whole, halves = (column.name for column in metric.columns)
    assert (whole, halves) == ("fvd_light_ffffffff_n10", "fvd_halves_light_ffffffff_n10")
    assert "net:light@ffffffffffff" in metric.columns[0].signature
    same = filled(metric)
    assert same[whole].value == pytest.approx(0, abs=1e-8)
    with pytest.raises(UnknownName, match="light"):
        Fvd(net="ligth")
    state = metric.start()
    metric.update(state, clip("a", 0), clip("a", 0).video)
    with pytest.raises(BadInput, match="before"):
        metric.update(state, clip("a", 0), clip("a", 0).video)


def test_of_two_made_sets_the_one_nearer_to_the_truth_is_better(registered: None) -> None:
    values = [filled(Fvd(net="light", n=30), change)["fvd_light_ffffffff_n30"].value for change in (0, 5, 20)]
    assert values[0] < values[1] < values[2]


def test_halves_of_the_true_videos_are_the_same_for_every_model(registered: None) -> None:
    name = "fvd_halves_light_ffffffff_n10"
    one, two = (filled(Fvd(net="light", n=10), change)[name] for change in (0, 50))
    assert one.value == two.value > 0
    assert filled(Fvd(net="light", n=10), videos=1)[name].reason is Reason.TOO_FEW_CLIPS


def test_few_clips_are_refused(registered: None) -> None:
    """As many clips as features: the covariance has no full rank, and the number is that of the clips."""
    found = filled(Fvd(net="light", n=4))
    assert found["fvd_light_ffffffff_n4"].reason is None
    assert found["fvd_halves_light_ffffffff_n4"].reason is Reason.TOO_FEW_CLIPS
    assert "2 clips of 3 features" in found["fvd_halves_light_ffffffff_n4"].detail
    short = filled(Fvd(net="light", n=31))["fvd_light_ffffffff_n31"]
    assert short.reason is Reason.TOO_FEW_CLIPS
    assert "30 clips; this column compares exactly 31" in short.detail
    with pytest.raises(UsageError, match="4 clips"):
        Fvd(n=3)


def test_expressions_come_through_the_same_door(registered: None) -> None:
    metric = Efid(net="light", n=10)
    assert [column.label for column in metric.columns] == [
        "E-FID (light, 10 frames)",
        "E-FID of real halves (light, 10 frames)",
    ]
    assert filled(metric, 20)["efid_light_ffffffff_n10"].value > 1


# -- tkbench's own networks --------------------------------------------------------------------------------------------


class Program(torch.nn.Module):
    """A stand-in for the published TorchScript program: its arguments, and 5 numbers of a clip."""

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        if rescale:
            x = x / 127.5 - 1.0
        if resize:
            x = torch.nn.functional.interpolate(x, [x.shape[2], 224, 224])
        if return_features:
            return torch.stack([x.mean(), x.std(), x[:, 0].mean(), x[:, 1].std(), x[:, 2].max()])[None]
        return x


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weight i3d-styleganv is this file."""
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    path = tmp_path / "i3d_torchscript.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its format old
        torch.jit.script(Program()).save(str(path))
    table = dict(weights.known())
    table["i3d-styleganv"] = replace(table["i3d-styleganv"], sha256=weights.sha256(path), bytes=None)
    monkeypatch.setattr(weights, "known", lambda: table)
    return path


def test_the_program_is_run_as_it_is(program: Path) -> None:
    sha = weights.sha256(program)
    metric = Fvd(n=12, frames=9, stride=2, sampling="all")
    names = [column.name for column in metric.columns]
    assert names[0] == f"fvd_i3d_styleganv_{sha[:8]}_f9_s2_r224_all_n12"
    assert metric.weights == {"i3d-styleganv": sha}
    found = filled(metric, 30)
    assert found[names[0]].value > filled(metric, 3)[names[0]].value > 0
    assert found[names[1]].reason is None


def test_another_file_of_that_name_is_refused_before_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "i3d_torchscript.pt").write_bytes(b"anything")
    with pytest.raises(WeightsRefused, match="bec6519f"):
        Fvd()


def test_without_its_file_the_name_still_says_which_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    assert Fvd().columns[0].name == "fvd_i3d_styleganv_bec6519f_f16_s1_r224_first_n1000"
    missing = Fvd(net="i3d-videogpt")
    assert missing.columns[0].name == "fvd_i3d_videogpt_missing_f16_s1_r224_first_n1000"
    for score in filled(missing).values():
        assert score.reason is Reason.WEIGHTS_MISSING
        assert "tkbench weights add i3d-videogpt" in score.detail


def test_a_file_without_a_published_hash_is_pinned_on_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_file: Path
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    weights.add("i3d-videogpt", state_file)
    sha = weights.sha256(state_file)
    assert f"_{sha[:8]}_" in Fvd(net="i3d-videogpt").columns[0].name
    other = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(1)}, other)
    with pytest.raises(WeightsRefused):
        weights.add("i3d-videogpt", other)


def test_settings_that_no_clip_fits_are_mistakes() -> None:
    for wrong in ({"frames": 8}, {"stride": 0}):
        with pytest.raises(UsageError):
            Fvd(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="first"):
        Fvd(sampling="middle")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="9 or more"):
        i3d.check_clip(np.zeros((8, 4, 4, 3), np.uint8))
