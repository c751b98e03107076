"""LSE: the network beside its published form, the distances beside the published script, and truths without either."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Gap

from tkbench import weights
from tkbench.crops import align
from tkbench.errors import BadInput, UnknownName, WeightsRefused
from tkbench.metrics import registry
from tkbench.metrics.judge_check import late
from tkbench.metrics.mfcc import mfcc
from tkbench.metrics.sync import MIN_FRAMES, Sync, confidence_at, judge_crops, lse, sync_curve
from tkbench.metrics.syncnet import (
    Judge,
    SyncNet,
    SyncNetSpec,
    flat_lip,
    load_flat,
    load_syncnet,
    read_facts,
    save_syncnet,
)
from tkbench.types import Reason, Sample

SMALL = SyncNetSpec(
    size=80, channels=1, lip=(4, 6, 6, 6, 6, 8), voice=(4, 6, 6, 6, 6, 8), hidden=8, embedding=6, unit=True,
    region=(0.25, 0.3125, 0.75, 0.8125),
)  # fmt: skip


def seeded(spec: SyncNetSpec, seed: int = 0) -> SyncNet:
    """A network whose every weight and statistic is random, so that no fault can hide behind a 0 or a 1."""
    torch.manual_seed(seed)
    net = SyncNet(spec)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return net.eval()


def frames_of(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def published_lips(net: SyncNet, frames: np.ndarray, first: int, last: int) -> np.ndarray:
    """Windows as syncnet_python feeds them: BGR, 0-255, (B, 3, 5, H, W)."""
    bgr = torch.from_numpy(frames[..., ::-1].astype(np.float32)).permute(3, 0, 1, 2)
    with torch.no_grad():
        return net.forward_lip(torch.stack([bgr[:, v : v + 5] for v in range(first, last)])).numpy()


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_the_published_network_has_these_layers() -> None:
    """Names and shapes of syncnet_v2.model, so that it loads."""
    state = SyncNet().state_dict()
    expected = {
        "netcnnaud.0.weight": (64, 1, 3, 3), "netcnnaud.4.weight": (192, 64, 3, 3),
        "netcnnaud.8.weight": (384, 192, 3, 3), "netcnnaud.11.weight": (256, 384, 3, 3),
        "netcnnaud.14.weight": (256, 256, 3, 3), "netcnnaud.18.weight": (512, 256, 5, 4),
        "netfcaud.0.weight": (512, 512), "netfcaud.3.weight": (1024, 512),
        "netfclip.0.weight": (512, 512), "netfclip.3.bias": (1024,),
        "netcnnlip.0.weight": (96, 3, 5, 7, 7), "netcnnlip.4.weight": (256, 96, 1, 5, 5),
        "netcnnlip.8.weight": (256, 256, 1, 3, 3), "netcnnlip.11.weight": (256, 256, 1, 3, 3),
        "netcnnlip.14.weight": (256, 256, 1, 3, 3), "netcnnlip.18.weight": (512, 256, 1, 6, 6),
        "netcnnlip.19.running_var": (512,), "netfcaud.1.running_mean": (512,),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert len(state) == 2 * (6 * 2 + 6 * 5 + 2 * 2 + 5)
    # 11,978 bytes fewer than the published file: what its pickle says around the numbers.
    assert sum(value.numel() * value.element_size() for value in state.values()) == 54_561_136


def test_fast_pass_equals_the_published_form(gap: Gap) -> None:
    """Batch norm is folded, sums have another order."""
    net = seeded(SyncNetSpec())
    judge = Judge(net, batch=3)
    frames = frames_of(9, 224)
    published = published_lips(net, frames, 0, 5)
    gap("SyncNet's lips", judge.lips(frames), published, relative=True)
    assert relative(judge.lips(frames), published) < 1e-5
    cepstra = mfcc(np.random.default_rng(1).integers(-9000, 9000, 12 * 640).astype(np.int16))
    windows = np.stack([cepstra[4 * v : 4 * v + 20].T for v in range(7)])[:, None].astype(np.float32)
    with torch.no_grad():
        expected = net.forward_aud(torch.from_numpy(windows)).numpy()
    gap("SyncNet's voice", judge.voice(cepstra), expected, relative=True)
    assert relative(judge.voice(cepstra), expected) < 1e-5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("unit", [False, True])
def test_fast_pass_equals_the_slow_one_at_any_size(channels: int, unit: bool) -> None:
    spec = replace(SMALL, channels=channels, unit=unit, size=96)
    net = seeded(spec)
    frames = frames_of(30, 96)
    if channels == 1:
        grey = (frames.astype(int).sum(axis=-1) // 3).astype(np.float32)
        slow = torch.from_numpy(np.stack([grey[v : v + 5] for v in range(26)])[:, None])
        with torch.no_grad():
            expected = net.forward_lip(slow).numpy()
    else:
        expected = published_lips(net, frames, 0, 26)
    for batch in (1, 7, 64):
        assert relative(Judge(net, batch=batch).lips(frames), expected) < 1e-5


def test_channel_order_and_range_matter() -> None:
    """Faults that a parity test must catch: RGB for BGR, [0, 1] for 0-255, frames in reverse."""
    net = seeded(replace(SMALL, channels=3, unit=False))
    judge = Judge(net)
    frames = frames_of(9, 80)
    right = published_lips(net, frames, 0, 5)
    assert relative(judge.lips(frames[..., ::-1]), right) > 1e-2
    assert relative(judge.lips(frames[::-1])[::-1], right) > 1e-2
    assert relative(judge.lips(frames // 255), right) > 1e-2


def test_judge_refuses_other_pictures() -> None:
    judge = Judge(seeded(SMALL))
    for wrong in (frames_of(6, 81), frames_of(6, 80).astype(np.float32), frames_of(6, 80)[..., 0]):
        with pytest.raises(BadInput, match="expected uint8"):
            judge.lips(wrong)
    with pytest.raises(BadInput, match="expected"):
        judge.voice(np.zeros((40, 12)))
    assert judge.lips(frames_of(4, 80)).shape == (0, 6)
    assert judge.voice(np.zeros((19, 13))).shape == (0, 6)


def test_training_form_and_back() -> None:
    net = seeded(SMALL)
    flat = flat_lip(net)
    other = seeded(SMALL, seed=1)
    load_flat(other, flat)
    for name, value in net.netcnnlip.state_dict().items():
        torch.testing.assert_close(other.netcnnlip.state_dict()[name], value)
    windows = torch.randn(3, 1, 5, 80, 80)
    planes = windows.permute(0, 2, 1, 3, 4).flatten(1, 2)
    torch.testing.assert_close(
        flat(planes).flatten(1), net.netcnnlip(windows).flatten(1), rtol=1e-4, atol=1e-5
    )


def test_file_keeps_everything_and_is_always_the_same(tmp_path: Path) -> None:
    net = seeded(SMALL)
    for name in ("a", "b"):
        save_syncnet(net, tmp_path / f"{name}.safetensors", {"recipe": {"seed": 3}})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_syncnet(tmp_path / "a.safetensors")
    assert again.spec == SMALL
    assert read_facts(tmp_path / "a.safetensors")["recipe"] == {"seed": 3}
    frames = frames_of(8, 80)
    np.testing.assert_array_equal(Judge(again).lips(frames), Judge(net).lips(frames))
    torch.save(seeded(SyncNetSpec()).state_dict(), tmp_path / "syncnet_v2.model")
    assert load_syncnet(tmp_path / "syncnet_v2.model").spec == SyncNetSpec()
    torch.save({"netcnnlip.0.weight": torch.zeros(1)}, tmp_path / "other.model")
    with pytest.raises((WeightsRefused, RuntimeError)):
        load_syncnet(tmp_path / "other.model")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsRefused, match="not a SyncNet"):
        load_syncnet(tmp_path / "broken.safetensors")


def published_distances(lips: np.ndarray, voice: np.ndarray, vshift: int) -> np.ndarray:
    """What calc_pdist of syncnet_python 6efbb1c computes, then its mean over windows."""
    a, b = torch.from_numpy(lips), torch.from_numpy(voice)
    padded = torch.nn.functional.pad(b, (0, 0, vshift, vshift))
    size = 2 * vshift + 1
    rows = [
        torch.nn.functional.pairwise_distance(a[[i], :].repeat(size, 1), padded[i : i + size, :])
        for i in range(len(a))
    ]
    return torch.mean(torch.stack(rows, 1), 1).numpy()


@pytest.mark.parametrize("frames", [1, 24, 200])
def test_zero_padded_curve_equals_calc_pdist(frames: int, gap: Gap) -> None:
    rng = np.random.default_rng(frames)
    lips, voice = rng.normal(size=(2, frames, 64)).astype(np.float32)
    # Float32 against float64, on distances of about 11.
    expected = published_distances(lips, voice, 15)
    gap("distance curve", sync_curve(lips, voice, ends="zeros"), expected)
    np.testing.assert_allclose(sync_curve(lips, voice, ends="zeros"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lag", [-9, -1, 0, 4, 15])
@pytest.mark.parametrize("ends", ["valid", "zeros"])
def test_a_known_lag_is_found_with_its_sign(lag: int, ends: str) -> None:
    """Lips that come `lag` frames after the voice give AVOffset +lag."""
    rng = np.random.default_rng(0)
    voice = rng.normal(size=(90, 16)).astype(np.float32)
    lips = np.roll(voice, lag, axis=0)
    confidence, distance, offset = lse(sync_curve(lips, voice, ends=ends))  # type: ignore[arg-type]
    assert offset == lag
    assert confidence > 1
    if ends == "valid":
        assert distance == 0
        assert confidence_at(sync_curve(lips, voice), lag) == confidence


def test_curve_does_not_depend_on_which_pair_comes_first() -> None:
    """Time reversed, the curve is reversed; lips and voice exchanged, too."""
    lips, voice = np.random.default_rng(0).normal(size=(2, 60, 8))
    forward = sync_curve(lips, voice)
    np.testing.assert_allclose(sync_curve(lips[::-1], voice[::-1])[::-1], forward, rtol=1e-12)
    np.testing.assert_allclose(sync_curve(voice, lips)[::-1], forward, rtol=1e-12)


def test_valid_ends_do_not_favour_length() -> None:
    """The same quality at 24 and 500 windows: zero padding lowers LSE-C of the short one, valid overlaps do not."""
    rng = np.random.default_rng(0)

    def confidence(n: int, ends: str) -> float:
        values = []
        for _ in range(40):
            voice = rng.normal(size=(n, 64))
            lips = voice + rng.normal(size=(n, 64))
            values.append(lse(sync_curve(lips, voice, ends=ends))[0])  # type: ignore[arg-type]
        return float(np.mean(values))

    assert confidence(24, "zeros") < 0.9 * confidence(500, "zeros")
    assert confidence(24, "valid") == pytest.approx(confidence(500, "valid"), rel=0.05)


def test_without_any_sync_short_clips_look_better() -> None:
    """What the README warns of: the best of 31 lags of pure noise, at 20 and at 500 windows."""
    rng = np.random.default_rng(0)
    noise = {}
    for n in (20, 500):
        curves = [sync_curve(rng.normal(size=(n, 64)), rng.normal(size=(n, 64))) for _ in range(40)]
        noise[n] = float(np.mean([lse(curve)[0] for curve in curves]))
    assert noise[20] > 5 * noise[500]


def test_odd_shapes_are_refused() -> None:
    rows = np.zeros((4, 3))
    for lips, voice in ((rows, rows[:3]), (rows[:0], rows[:0]), (rows[0], rows[0])):
        with pytest.raises(BadInput, match="expected two equal shapes"):
            sync_curve(lips, voice)
    assert np.isnan(sync_curve(rows, rows, max_shift=4)[0])


def face_track(frames: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    points = rng.uniform(0.3 * size, 0.7 * size, (478, 2)).astype(np.float32)
    return np.repeat(points[None], frames, axis=0)


def sample_of(frames: int, size: int = 64, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(
        key="s/c",
        video=rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8),
        audio=rng.normal(0, 0.1, frames * 640).astype(np.float32),
        landmarks=face_track(frames, size),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


def test_region_is_cut_out_of_the_published_crop() -> None:
    """Half of the crop at half of its size, taken at once, is the published crop with its border cut off."""
    sample = sample_of(5, 256)
    smooth = np.stack([np.tile(np.linspace(0, 255, 256), (256, 1))] * 3, axis=-1).astype(np.uint8)
    video = np.repeat(smooth[None], 5, axis=0)
    spec = replace(SMALL, size=112, region=(0.25, 0.3125, 0.75, 0.8125))
    whole = align.crop(video, sample.landmarks, "syncnet-224")
    part = judge_crops(video, sample.landmarks, spec)
    np.testing.assert_allclose(part.astype(int), whole[:, 70:182, 56:168].astype(int), atol=1)
    full = judge_crops(video, sample.landmarks, SyncNetSpec())
    np.testing.assert_array_equal(full, whole)


@pytest.fixture
def small_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A seeded small network in the place of the bundled judge."""
    path = tmp_path / "syncnet_small.safetensors"
    save_syncnet(seeded(SMALL), path, {})
    table = {"syncnet-synth": weights.Weight("syncnet-synth", path.name, "none", "tests", "tests")}
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(weights, "known", lambda: table)
    return path


def test_metric_scores_a_clip(small_judge: Path) -> None:
    metric = Sync(judge="syncnet-synth")
    sample = sample_of(40)
    scored = metric.score(sample, sample.video, sample.audio)
    assert [column.name for column in metric.columns] == ["lse_c_synth", "lse_d_synth", "av_offset_synth"]
    values = {name: value.value for name, value in scored.values.items()}
    assert scored.curve is not None
    assert scored.curve.shape == (31,)
    assert values["lse_d_synth"] == scored.curve.min()
    assert values["lse_c_synth"] == pytest.approx(np.median(scored.curve) - scored.curve.min())
    assert values["av_offset_synth"] == int(scored.curve.argmin()) - 15
    assert metric.weights == {"syncnet-synth": weights.sha256(small_judge)}
    assert weights.sha256(small_judge)[:12] in metric.columns[0].signature
    again = metric.score(sample, sample.video.copy(), sample.audio.copy())
    assert again.values == scored.values


class Ear:
    """A judge that needs no training: a face that shines as loud as it speaks."""

    spec = SMALL

    def lips(self, frames: np.ndarray) -> np.ndarray:
        light = frames.mean(axis=(1, 2, 3))
        return self._standard(np.convolve(light, np.ones(5) / 5, "valid"))

    def voice(self, cepstra: np.ndarray) -> np.ndarray:
        loudness = np.exp(cepstra[:, 0] / 2)
        return self._standard(np.convolve(loudness, np.ones(20) / 20, "valid")[::4])

    def _standard(self, rows: np.ndarray) -> np.ndarray:
        return ((rows - rows.mean()) / rows.std())[:, None].astype(np.float32)


@pytest.mark.parametrize("lag", [-5, 0, 3, 12])
def test_the_whole_way_reports_a_late_video_as_positive(
    lag: int, small_judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From pixels and samples to AVOffset; and entry k of the stored curve is for a video that lags by k - 15."""
    monkeypatch.setattr("tkbench.metrics.sync.load_judge", lambda path, device: Ear())
    level = np.random.default_rng(3).uniform(0.2, 1, 100)
    sample = sample_of(100)
    video = np.broadcast_to((220 * level).astype(np.uint8)[:, None, None, None], sample.video.shape)
    sample = replace(
        sample, video=np.array(video), audio=sample.audio * np.repeat(level, 640).astype(np.float32)
    )
    scored = Sync(judge="syncnet-synth").score(sample, late(sample.video, lag), sample.audio)
    assert scored.values["av_offset_synth"].value == lag
    assert scored.curve is not None
    assert int(scored.curve.argmin()) - 15 == lag


def test_every_odd_clip_gets_its_reason(small_judge: Path) -> None:
    metric = Sync(judge="syncnet-synth")
    sample = sample_of(30)

    def reason(of: Sample, video: np.ndarray, audio: np.ndarray) -> Reason | None:
        scored = metric.score(of, video, audio)
        assert all(math.isnan(value.value) == (value.reason is not None) for value in scored.values.values())
        return scored.values["lse_c_synth"].reason

    assert reason(sample, sample.video, sample.audio) is None
    assert reason(sample, sample.video[:-1], sample.audio) is Reason.WRONG_LENGTH
    assert reason(sample, sample.video[:, :9], sample.audio) is Reason.WRONG_SHAPE
    assert reason(sample, sample.video.astype(float), sample.audio) is Reason.WRONG_SHAPE
    assert reason(sample, sample.video, sample.audio[:-1]) is Reason.WRONG_LENGTH
    assert reason(sample, sample.video, sample.audio.astype(np.int16)) is Reason.WRONG_SHAPE
    assert reason(sample, sample.video, np.full_like(sample.audio, np.nan)) is Reason.NOT_FINITE
    full = sample.audio / np.abs(sample.audio).max()
    assert reason(sample, sample.video, 3.9 * full) is None  # a decoder's overshoot
    assert reason(sample, sample.video, 4.1 * full) is Reason.WRONG_RANGE
    assert reason(sample, sample.video, -4.1 * full) is Reason.WRONG_RANGE
    lost = replace(sample, landmarks=np.full_like(sample.landmarks, np.nan))
    assert reason(lost, sample.video, sample.audio) is Reason.NOT_FINITE
    for frames in (0, 1, MIN_FRAMES - 1):
        short = sample_of(frames)
        assert reason(short, short.video, short.audio) is Reason.TOO_SHORT
    enough = sample_of(MIN_FRAMES)
    assert reason(enough, enough.video, enough.audio) is None
    silent = replace(sample, audio=np.zeros_like(sample.audio))
    assert reason(silent, silent.video, silent.audio) is None


def test_missing_weight_is_a_reason_and_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    metric = registry.get("sync")(judge="syncnet-v2")
    sample = sample_of(30)
    scored = metric.score(sample, sample.video, sample.audio)
    assert set(scored.values) == {"lse_c", "lse_d", "av_offset"}
    assert scored.curve is None
    assert {value.reason for value in scored.values.values()} == {Reason.WEIGHTS_MISSING}
    assert "tkbench weights fetch syncnet-v2" in scored.values["lse_c"].detail
    assert metric.weights == {}


def test_settings_with_a_typo_are_refused() -> None:
    with pytest.raises(UnknownName, match="syncnet-synth"):
        Sync(judge="syncnet-sinth")
    with pytest.raises(UnknownName, match="valid"):
        Sync(ends="vald")  # type: ignore[arg-type]
