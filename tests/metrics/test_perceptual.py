"""LPIPS and FID against the packages' own results, with seeded random weights and no network."""

from __future__ import annotations

import math
import pickle
import socket
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Gap

from tkbench import weights
from tkbench.errors import BadInput, UnknownName, UsageError, WeightsRefused
from tkbench.metrics import fid, frechet, perceptual, registry
from tkbench.scoring.reproduce import pytorch_fid_distance
from tkbench.types import Reason, Sample


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a metric tried to reach the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def give(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, state: dict[str, torch.Tensor]) -> Path:
    """Put `state` where the weight `name` is looked for, and pin it."""
    path = folder / f"{name}.pth"
    torch.save(state, path)
    entry = weights.Weight(name, path.name, "none", "tests", "tests", sha256=weights.sha256(path))
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(folder))
    monkeypatch.setattr(weights, "known", lambda: {name: entry})
    return path


def sample_of(frames: int, size: int = 64, key: str = "a", seed: int = 0) -> Sample:
    video = np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    return Sample(
        key=key,
        video=video,
        audio=np.zeros(frames * 640, np.float32),
        landmarks=np.zeros((frames, 478, 2), np.float32),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


# -- LPIPS ---------------------------------------------------------------------------------------------------


def backbone(net: str) -> dict[str, torch.Tensor]:
    import torchvision

    torch.manual_seed(0)
    name = {"alex": "alexnet", "squeeze": "squeezenet1_1"}[net]
    state = getattr(torchvision.models, name)(weights=None).features.state_dict()
    return {f"features.{name}": value for name, value in state.items()}


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_lpips_equals_the_package(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: Gap
) -> None:
    """The package's own module with the same backbone, fed as its documentation says, frame by frame."""
    import lpips

    state = backbone(net)
    give(monkeypatch, tmp_path, f"lpips-{net}", state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    for name, parameter in reference.net.named_parameters():
        parameter.data.copy_(state["features." + name.split(".", 1)[1]])
    sample = sample_of(5)
    made = np.clip(sample.video + np.random.default_rng(1).normal(0, 30, sample.video.shape), 0, 255).astype(
        np.uint8
    )

    def tensor(frame: np.ndarray) -> torch.Tensor:
        return lpips.im2tensor(frame)  # (1, 3, H, W) in [-1, 1]

    with torch.no_grad():
        pairs = zip(sample.video, made, strict=True)
        expected = [float(reference(tensor(a), tensor(b))) for a, b in pairs]
    metric = perceptual.Lpips(net=net)  # type: ignore[arg-type]
    value = metric.score(sample, made, sample.audio).values[metric.columns[0].name].value
    gap(f"LPIPS ({net})", value, np.mean(expected))
    # Batches of 8 against one by one.
    assert value == pytest.approx(np.mean(expected), abs=1e-6)
    assert metric.score(sample, sample.video, sample.audio).values[metric.columns[0].name].value == 0


def test_lpips_sees_the_range_and_the_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[0, 1] for [-1, 1] and BGR for RGB would both move the value."""
    give(monkeypatch, tmp_path, "lpips-alex", backbone("alex"))
    module = perceptual.load_lpips("alex", weights.find("lpips-alex"))
    a, b = sample_of(2).video, sample_of(2, seed=1).video
    right = perceptual.lpips_frames(module, a, b)
    assert not np.allclose(perceptual.lpips_frames(module, a[..., ::-1], b[..., ::-1]), right, rtol=1e-3)
    assert not np.allclose(perceptual.lpips_frames(module, a // 2 + 128, b // 2 + 128), right, rtol=1e-3)
    with pytest.raises(BadInput, match="uint8"):
        perceptual.lpips_frames(module, a / 255, b / 255)
    np.testing.assert_allclose(perceptual.lpips_frames(module, b, a), right, rtol=1e-5)
    np.testing.assert_allclose(perceptual.lpips_frames(module, a, b, batch=1), right, rtol=1e-5)


def test_lpips_answers_odd_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, tmp_path, "lpips-alex", backbone("alex"))
    metric = perceptual.Lpips(stride=2)
    sample = sample_of(3)

    def reason(of: Sample, video: np.ndarray) -> Reason | None:
        return metric.score(of, video, of.audio).values["lpips"].reason

    assert reason(sample, sample.video) is None
    assert reason(sample_of(1), sample_of(1).video) is None
    assert reason(sample, sample.video[:2]) is Reason.WRONG_LENGTH
    assert reason(sample, sample.video.astype(np.float32)) is Reason.WRONG_SHAPE
    assert reason(sample_of(0), sample_of(0).video) is Reason.TOO_SHORT
    assert reason(sample_of(3, 20), sample_of(3, 20).video) is Reason.WRONG_SHAPE


def test_a_backbone_of_another_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, tmp_path, "lpips-alex", {"features.0.weight": torch.zeros(1)})
    metric = perceptual.Lpips()
    sample = sample_of(2)
    with pytest.raises(WeightsRefused, match="not a torchvision alex network"):
        metric.score(sample, sample.video, sample.audio)


@pytest.mark.parametrize(("name", "weight"), [("lpips", "lpips-alex"), ("fid", "inception-fid")])
def test_missing_weights_are_a_reason_and_a_command(
    name: str, weight: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    metric = registry.get(name)()
    sample = sample_of(2)
    if name == "fid":
        state = metric.start()
        metric.update(state, sample, sample.video)
        scored = metric.compute(metric.merge(state, metric.start()))[name]
    else:
        scored = metric.score(sample, sample.video, sample.audio).values[name]
    assert scored.reason is Reason.WEIGHTS_MISSING
    assert f"tkbench weights fetch {weight}" in scored.detail
    assert metric.weights == {}


def test_settings_with_a_typo_are_refused() -> None:
    with pytest.raises(UnknownName, match="alex"):
        perceptual.Lpips(net="alexx")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        perceptual.Lpips(stride=0)
    with pytest.raises(UsageError):
        fid.Fid(stride=0)


# -- FID -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception_state() -> dict[str, torch.Tensor]:
    """Seeded weights in the form of pytorch-fid's file."""
    from pytorch_fid import inception

    torch.manual_seed(0)
    download = inception.load_state_dict_from_url
    kept: dict[str, Any] = {}

    class Stop(Exception):
        pass

    def grab(*_: object, **__: object) -> None:
        raise Stop

    # The network as pytorch-fid builds it, caught just before it would be filled with downloaded weights.
    original = inception._inception_v3

    def catch(*arguments: Any, **settings: Any) -> Any:
        kept["net"] = original(*arguments, **settings)
        return kept["net"]

    inception._inception_v3, inception.load_state_dict_from_url = catch, grab
    try:
        with pytest.raises(Stop):
            inception.fid_inception_v3()
    finally:
        inception._inception_v3, inception.load_state_dict_from_url = original, download
    state: dict[str, torch.Tensor] = kept["net"].state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):  # keep the signal's size from layer to layer
            value.normal_(0, math.sqrt(2 / value[0].numel()))
    return state


def test_fid_features_and_value_equal_pytorch_fid(
    inception_state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: Gap
) -> None:
    from PIL import Image
    from pytorch_fid import fid_score, inception

    give(monkeypatch, tmp_path, "inception-fid", inception_state)
    metric = fid.Fid(stride=2, min_frames=3)
    clips = [sample_of(1, 48, "a"), sample_of(4, 48, "b", seed=1)]
    made = [np.clip(c.video + 20, 0, 255).astype(np.uint8) // 2 for c in clips]
    state = metric.start()
    for sample, video in zip(clips, made, strict=True):
        metric.update(state, sample, video)
    scored = metric.compute(state)["fid"]
    assert scored.detail == "3 frames of 2 clips"

    for side in ("real", "made"):
        (tmp_path / side).mkdir()
    for i, (sample, video) in enumerate(zip(clips, made, strict=True)):
        for t in range(0, len(video), 2):
            Image.fromarray(sample.video[t]).save(tmp_path / "real" / f"{i}{t:03d}.png")
            Image.fromarray(video[t]).save(tmp_path / "made" / f"{i}{t:03d}.png")
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: inception_state)
    network = inception.InceptionV3([3])
    rows = {}
    for side in ("real", "made"):
        files = sorted((tmp_path / side).glob("*.png"))
        rows[side] = fid_score.get_activations(files, network, batch_size=len(files), num_workers=0)
    found = np.concatenate([state.real["a"], state.real["b"]])
    gap("FID's features", found, rows["real"], relative=True)
    # Another batch size.
    assert np.abs(found - rows["real"]).max() / np.abs(rows["real"]).max() < 1e-5
    # scipy's square root is out of its depth with fewer rows than features, so the distance of the reference's
    # features is taken with ours, which the next tests hold against pytorch-fid's.
    expected = fid.frechet(*frechet.moments(rows["real"]), *frechet.moments(rows["made"]))
    gap("FID of 3 frames", scored.value, expected, relative=True)
    assert scored.value == pytest.approx(expected, rel=1e-4)


def spread(n: int, d: int, seed: int, move: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5 + move


def test_frechet_equals_pytorch_fid(gap: Gap) -> None:
    for seed in range(3):
        a, b = frechet.moments(spread(400, 64, seed)), frechet.moments(spread(300, 64, seed + 10, move=0.1))
        expected = pytorch_fid_distance(*a, *b)
        gap("Frechet distance, full rank", fid.frechet(*a, *b), expected, relative=True)
        assert fid.frechet(*a, *b) == pytest.approx(expected, rel=1e-8)


def test_frechet_of_known_gaussians() -> None:
    """Diagonal covariances have a closed form; so do equal and singular ones."""
    rng = np.random.default_rng(0)
    a, b, gap = rng.uniform(0.1, 2, 20), rng.uniform(0.1, 2, 20), rng.normal(size=20)
    expected = (gap**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert fid.frechet(np.zeros(20), np.diag(a), gap, np.diag(b)) == pytest.approx(expected, rel=1e-12)
    mean, cov = frechet.moments(spread(10, 50, 0))  # rank 9 of 50
    assert fid.frechet(mean, cov, mean, cov) == pytest.approx(0, abs=1e-6)
    other = frechet.moments(spread(12, 50, 1))
    assert fid.frechet(mean, cov, *other) == pytest.approx(fid.frechet(*other, mean, cov), rel=1e-8)


def test_moments_equal_numpy() -> None:
    rows = spread(30, 8, 0).astype(np.float32) + 100
    mean, cov = frechet.moments(rows)
    np.testing.assert_allclose(mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-14)
    np.testing.assert_allclose(cov, np.cov(rows.astype(np.float64), rowvar=False), rtol=1e-10)
    with pytest.raises(BadInput, match="two rows"):
        frechet.moments(rows[:1])


class Means:
    """In the place of Inception: three numbers per frame, so that set logic is tested without its cost."""


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fid.Fid:
    give(monkeypatch, tmp_path, "inception-fid", {"x": torch.zeros(1)})
    monkeypatch.setattr(fid, "load_inception", lambda path, device: Means())
    monkeypatch.setattr(fid, "features", lambda net, frames: frames.mean(axis=(1, 2)).astype(np.float32))
    return fid.Fid(stride=2, min_frames=10)


def test_any_partition_merges_to_the_same_bits(quick: fid.Fid) -> None:
    clips = [sample_of(6, 16, key, seed) for seed, key in enumerate("abcdef")]
    whole = quick.start()
    parts = []
    for sample in clips:
        quick.update(whole, sample, 255 - sample.video)
        part = quick.start()
        quick.update(part, sample, 255 - sample.video)
        parts.append(pickle.loads(pickle.dumps(part)))
    expected = quick.compute(whole)["fid"].value
    for order in ([0, 1, 2, 3, 4, 5], [5, 2, 0, 4, 1, 3]):
        merged = quick.start()
        for i in order:
            merged = quick.merge(merged, parts[i])
        assert quick.compute(merged)["fid"].value == expected
    assert expected > 0
    with pytest.raises(BadInput, match="both states"):
        quick.merge(parts[0], parts[0])
    with pytest.raises(BadInput, match="before"):
        quick.update(parts[0], clips[0], clips[0].video)


def test_fid_answers_odd_sets(quick: fid.Fid) -> None:
    sample = sample_of(40, 16)
    state = quick.start()
    assert quick.compute(state)["fid"].reason is Reason.TOO_FEW_CLIPS
    quick.update(state, sample, sample.video[:3])  # the wrong length: other columns say so
    assert quick.compute(state)["fid"].detail.startswith("0 frames")
    quick.update(state, sample, sample.video)
    assert quick.compute(state)["fid"].value == pytest.approx(0, abs=1e-6)
    state.made["a"][0] = np.nan
    assert quick.compute(state)["fid"].reason is Reason.NOT_FINITE
    strict = fid.Fid()
    scored = strict.compute(state)["fid"]
    assert scored.reason is Reason.TOO_FEW_CLIPS
    assert "2048" in scored.detail


def test_a_file_that_is_not_inception_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, tmp_path, "inception-fid", {"x": torch.zeros(1)})
    metric = fid.Fid()
    with pytest.raises(WeightsRefused, match="not the FID Inception network"):
        metric.update(metric.start(), sample_of(2), sample_of(2).video)
