"""CSIM: the network against a second way to write it, the crops against their template, and missing weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Gap
from support.talkers import talker

from tkbench import metrics, weights
from tkbench.errors import BadInput, UnknownName, UsageError, WeightsRefused
from tkbench.metrics import arcface, csim
from tkbench.metrics.arcface import IResNet, embeddings, load_arcface
from tkbench.metrics.csim import TEMPLATE, Csim, five_points, onto_template, whole
from tkbench.types import Float32, Reason, Sample, UInt8


def random_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of a network with one block a stage that has not seen anything; running statistics included."""
    generator = torch.Generator().manual_seed(seed)
    network = IResNet((1, 1, 1, 1))
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            state[name] = torch.rand(value.shape, generator=generator) + 0.5
        elif value.is_floating_point():
            spread = 0.5 / max(1.0, value[0].numel() ** 0.5) if value.ndim > 1 else 0.3
            state[name] = torch.randn(value.shape, generator=generator) * spread + (value.ndim == 1)
        else:
            state[name] = value
    return state


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The published forward pass, written with functions: batch norm, convolution, PReLU, in the order of the paper."""
    f = torch.nn.functional

    def norm(name: str, y: torch.Tensor) -> torch.Tensor:
        parts = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return f.batch_norm(y, *parts, training=False, eps=1e-5)

    x = f.prelu(norm("bn1", f.conv2d(x, state["conv1.weight"], padding=1)), state["prelu.weight"])
    for stage in (1, 2, 3, 4):
        name = f"layer{stage}.0"
        y = f.conv2d(norm(f"{name}.bn1", x), state[f"{name}.conv1.weight"], padding=1)
        y = f.prelu(norm(f"{name}.bn2", y), state[f"{name}.prelu.weight"])
        y = norm(f"{name}.bn3", f.conv2d(y, state[f"{name}.conv2.weight"], stride=2, padding=1))
        skip = f.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
        x = y + norm(f"{name}.downsample.1", skip)
    x = f.linear(norm("bn2", x).flatten(1), state["fc.weight"], state["fc.bias"])
    return norm("features", x)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A weight file of a network with one block a stage, found under the name of the real one."""
    path = tmp_path / "little.safetensors"
    from safetensors.torch import save_file

    save_file(random_state(), str(path))
    monkeypatch.setattr(weights, "find_or_hint", lambda name: (path, ""))
    monkeypatch.setattr(arcface, "BLOCKS", (1, 1, 1, 1))
    monkeypatch.setattr(IResNet.__init__, "__defaults__", ((1, 1, 1, 1),))
    load_arcface.cache_clear()
    return path


def faces(seed: int, count: int = 3) -> UInt8:
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)


def test_the_network_is_the_published_one() -> None:
    """r100 has 65,156,160 parameters; with its statistics it fills the 261 MB of the published file to 0.1 %."""
    with torch.device("meta"):
        state = IResNet().state_dict()
    learnt = [v.numel() for k, v in state.items() if "running" not in k and "num_batches" not in k]
    assert sum(learnt) == 65_156_160
    size = sum(value.numel() * value.element_size() for value in state.values())
    published = weights.get("arcface-r100").bytes
    assert published is not None
    assert 0 < published - size < 0.002 * published
    assert state["layer3.29.conv2.weight"].shape == (256, 256, 3, 3)
    assert "layer3.29.downsample.0.weight" not in state


def test_embeddings_equal_the_forward_pass_by_hand(gap: Gap) -> None:
    """The same operations in the same order."""
    state = random_state()
    network = IResNet((1, 1, 1, 1))
    network.load_state_dict(state)
    pictures = faces(0)
    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    expected = torch.nn.functional.normalize(by_hand(state, x)).numpy()
    found = embeddings(network.eval(), pictures)
    gap("ArcFace's embeddings", found, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embeddings(network, pictures, batch=1), found, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_five_points_are_laid_on_the_template() -> None:
    target = np.array(TEMPLATE)
    turn = 2.5 * np.exp(0.3j)
    z = (target[:, 0] + 1j * target[:, 1]) * turn + (30 - 12j)
    points = np.stack([z.real, z.imag], axis=1)[None]
    matrix = onto_template(points)[0]
    np.testing.assert_allclose(points[0] @ matrix[:, :2].T + matrix[:, 2], target, atol=1e-9)
    sample = talker()
    matrices = onto_template(five_points(sample.landmarks[:5]))
    laid = (
        np.einsum("tij,tnj->tni", matrices[:, :, :2], five_points(sample.landmarks[:5]))
        + matrices[:, None, :, 2]
    )
    assert np.abs(laid - target).max() < 8
    assert (laid[:, 0, 0] < laid[:, 1, 0]).all()


def test_whole_frames_are_stretched() -> None:
    frames = np.zeros((2, 60, 90, 3), np.uint8)
    frames[:, :, 45:] = 200
    small = whole(frames)
    assert small.shape == (2, 112, 112, 3)
    assert small[0, 5, 20].tolist() == [0, 0, 0]
    assert small[0, 5, 90].tolist() == [200, 200, 200]


def score(metric: Csim, sample: Sample, video: UInt8) -> Float32 | float:
    return metric.score(sample, video, sample.audio).values[metric.columns[0].name].value


def cut(n: int = 4) -> Sample:
    sample = talker()
    return replace(
        sample,
        video=sample.video[:n],
        audio=sample.audio[: n * 640],
        landmarks=sample.landmarks[:n],
        track_score=sample.track_score[:n],
    )


@pytest.mark.parametrize("crop", ["whole", "aligned"])
def test_identical_videos_have_cosine_one_and_others_less(crop: csim.Crop, little: Path) -> None:
    sample = cut()
    metric = Csim(crop=crop)
    assert score(metric, sample, sample.video) == pytest.approx(1.0, abs=1e-6)
    assert score(metric, sample, 255 - sample.video) < 0.9999  # an untrained network tells little apart
    assert metric.weights == {"arcface-r100": weights.sha256(little)}
    assert weights.sha256(little)[:12] in metric.columns[0].signature


def test_the_mean_is_over_every_frame(little: Path) -> None:
    sample = cut(4)
    made = sample.video.copy()
    made[2] = 255 - made[2]
    each = [
        score(
            Csim(), replace(sample, video=sample.video[t : t + 1], audio=sample.audio[:640]), made[t : t + 1]
        )
        for t in range(4)
    ]
    assert score(Csim(), sample, made) == pytest.approx(np.mean(each), abs=1e-6)
    assert score(Csim(stride=2), sample, made) == pytest.approx(np.mean(each[::2]), abs=1e-6)


def test_missing_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    sample = cut(2)
    value = Csim().score(sample, sample.video, sample.audio).values["csim"]
    assert value.reason is Reason.WEIGHTS_MISSING
    assert "tkbench weights fetch arcface-r100" in value.detail


def test_another_network_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    load_arcface.cache_clear()
    few, wrong = tmp_path / "few.safetensors", tmp_path / "wrong.safetensors"
    save_file({"conv1.weight": torch.zeros(2)}, str(few))
    with pytest.raises(WeightsRefused, match="missing"):
        load_arcface(few)
    with torch.device("meta"):
        names = IResNet().state_dict()
    save_file({name: torch.zeros(1) for name in names}, str(wrong))
    with pytest.raises(WeightsRefused, match="not an ArcFace r100"):
        load_arcface(wrong)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("empty", Reason.TOO_SHORT),
        ("shape", Reason.WRONG_SHAPE),
        ("dtype", Reason.WRONG_SHAPE),
        ("length", Reason.WRONG_LENGTH),
        ("nan-landmarks", Reason.NOT_FINITE),
        ("range-landmarks", Reason.NO_FACE),
    ],
)
def test_what_cannot_be_scored_says_why(case: str, reason: Reason, little: Path) -> None:
    sample = cut()
    video = sample.video
    hole = sample.landmarks.copy()
    hole[1, 1] = np.nan
    real, made = {
        "empty": (replace(sample, video=video[:0]), video[:0]),
        "shape": (sample, video[:, 1:]),
        "dtype": (sample, video / np.float32(255)),
        "length": (sample, video[1:]),
        "nan-landmarks": (replace(sample, landmarks=hole), video),
        "range-landmarks": (replace(sample, landmarks=hole * 0), video),
    }[case]
    if case == "range-landmarks":
        real = replace(sample, landmarks=np.zeros_like(hole))
    value = Csim(crop="aligned").score(real, made, sample.audio).values["csim_aligned"]
    assert math.isnan(value.value)
    assert value.reason is reason


def test_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UnknownName, match="whole"):
        Csim(crop="hole")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="stride"):
        Csim(stride=0)
    with pytest.raises(BadInput, match="112"):
        embeddings(IResNet((1, 1, 1, 1)), np.zeros((1, 96, 96, 3), np.uint8))
    assert metrics.registry.get("csim") is Csim
