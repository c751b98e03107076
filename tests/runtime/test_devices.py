"""Where networks run: what is refused, who is told, and that a GPU's numbers are those of a processor.

The tests on a GPU are skipped where there is none.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Gap
from support.toy_shards import make_shards
from test_csim import random_state
from test_loop import config
from test_perceptual import inception_state  # noqa: F401
from test_sync import SMALL, frames_of, seeded
from test_talker import SPECS, make_checkpoint, make_sample

from tkbench import models, weights
from tkbench.errors import UsageError
from tkbench.metrics import arcface, fid
from tkbench.metrics.syncnet import Judge, SyncNetSpec
from tkbench.models.talker import Talker
from tkbench.protocol import load
from tkbench.runtime.devices import check_device, put_on, whole_floats
from tkbench.scoring.clips import build_metrics
from tkbench.train.job import TrainingJob
from tkbench.train.loop import Trainer, train
from tkbench.types import Batch

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:99", "CUDA", "", "mps:0"])
def test_a_device_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        check_device(name)


def test_apples_gpu_is_taken_where_torch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(UsageError, match="is the GPU of a Mac; use cpu or cuda here"):
        check_device("mps")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds no GPU of Apple here; use cpu"):
        check_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert check_device("mps") == "mps"


def test_cuda_is_refused_before_any_work_where_there_is_none(
    run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(platform, "system", lambda: "Other")  # torch itself is asked
    folder = make_shards(tmp_path, {"a/0": ("test", 30)})
    monkeypatch.chdir(tmp_path)
    code, _, said = run_cli("eval", "--data", folder, "--model", "real", "--device", "cuda")
    assert code == 2
    assert "finds none of CUDA here; use cpu" in said
    assert not (tmp_path / "runs").exists()


def test_every_metric_with_a_network_and_every_generator_is_told(tmp_path: Path) -> None:
    for protocol in ("synth-v1", "tkbench-v3", "lips-v2"):
        built = build_metrics(load(protocol), "cuda:7")
        assert {metric.device for metric in (*built.per_clip, *built.whole_set)} == {"cuda:7"}, protocol
    path = make_checkpoint("cals", tmp_path)
    for name in (f"cals:{path}", f"mute:cals:{path}", f"cross:cals:{path}"):
        model = put_on(models.create(name), "meta")
        inner = getattr(model, "model", model)
        assert inner.device.type == "meta"
        assert next(inner.net.parameters()).device.type == "meta"
    assert put_on(models.create("still"), "meta").card.name == "still"


def test_floats_stay_whole_inside_and_are_as_before_outside() -> None:
    conv = torch.backends.cudnn.conv if hasattr(torch.backends.cudnn, "conv") else torch.backends.cudnn
    name = "fp32_precision" if hasattr(conv, "fp32_precision") else "allow_tf32"
    before = getattr(conv, name)
    with whole_floats():
        assert getattr(conv, name) in ("ieee", False)
    assert getattr(conv, name) == before


# -- on a GPU ------------------------------------------------------------------------------------------------


@GPU
@pytest.mark.parametrize(
    "spec", [SyncNetSpec(), replace(SMALL, channels=3, unit=False)], ids=["full", "small"]
)
def test_embeddings_of_the_judge_equal_those_of_a_processor(spec: SyncNetSpec, gap: Gap) -> None:
    frames, cepstra = frames_of(40, spec.size), np.random.default_rng(0).normal(0, 10, (160, 13))
    ours, theirs = Judge(seeded(spec), device="cuda", batch=64), Judge(seeded(spec))
    for found, expected in (
        (ours.lips(frames), theirs.lips(frames)),
        (ours.voice(cepstra), theirs.voice(cepstra)),
    ):
        gap("LSE's embeddings, GPU to processor", found, expected, relative=True)
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    rough = Judge(seeded(spec), device="cuda", precision="bf16", batch=64).lips(frames)
    assert np.abs(rough - ours.lips(frames)).max() < 0.05 * np.abs(rough).max()


@GPU
def test_features_for_fid_and_csim_equal_those_of_a_processor(
    inception_state: dict[str, torch.Tensor],  # noqa: F811
    tmp_path: Path,
    gap: Gap,
) -> None:
    torch.save(inception_state, tmp_path / "inception.pth")
    frames = frames_of(6, 96)
    near, far = (
        fid.features(fid.load_inception(tmp_path / "inception.pth", device), frames)
        for device in ("cuda", "cpu")
    )
    gap("FID's features, GPU to processor", near, far, relative=True)
    assert np.abs(near - far).max() < 1e-4 * np.abs(far).max()

    network = arcface.IResNet((1, 1, 1, 1))
    network.load_state_dict(random_state())
    faces = frames_of(5, arcface.SIDE)
    far = arcface.embeddings(network.eval(), faces)
    near = arcface.embeddings(network.to("cuda"), faces)
    gap("CSIM's embeddings, GPU to processor", near, far)
    assert np.abs(near - far).max() < 1e-4


@GPU
@pytest.mark.parametrize("kind", sorted(SPECS))
@pytest.mark.parametrize("shown", [{}, {"blend": True, "warp": 0.2}], ids=["plain", "blend and warp"])
def test_a_generator_draws_the_same_picture_on_a_gpu(
    kind: str, shown: dict[str, object], tmp_path: Path
) -> None:
    path, sample = make_checkpoint(kind, tmp_path, **shown), make_sample(40)
    pictures = []
    for device in ("cuda", "cpu"):
        talker = Talker(kind, path)
        talker.to(device)
        (made,) = talker.generate(Batch((sample,)), seed=0)
        assert made.video is not None
        pictures.append(made.video.astype(int))
    apart = np.abs(pictures[0] - pictures[1])
    assert apart.max() <= 2
    assert (apart > 0).mean() < 0.01
    assert (np.abs(pictures[1] - sample.video.astype(int)) > 2).any()


@pytest.mark.parametrize("model", ["expert", "wav2lip", "synctalkface", "cals"])
@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "32-true"),
        *(pytest.param("cuda", name, marks=GPU) for name in ("32-true", "bf16-mixed", "16-mixed")),
    ],
)
def test_training_on_a_device_learns_resumes_and_loads_on_a_processor(
    model: str, device: str, precision: str, tmp_path: Path
) -> None:
    """On a processor, too, so that the test itself does not age where there is no GPU."""
    clips = {f"{name}/0": ("train", 30) for name in "abcd"} | {"v/0": ("val", 30)}
    folder = make_shards(tmp_path, clips)
    expert = None
    if model != "expert":
        expert = tmp_path / "expert.safetensors"
        train(TrainingJob(folder, expert, config("expert", steps=2), accelerator="cpu"))
    base = config(model, steps=6)
    rules = replace(base, run=replace(base.run, precision=precision))
    job = TrainingJob(folder, tmp_path / "one.safetensors", rules, expert=expert, accelerator=device)
    assert train(job, stop_after=3) is None
    trainer = Trainer(job)
    assert trainer.fabric.device.type == device
    assert trainer.done == 3
    made = train(job)
    assert made is not None
    assert made.facts.training["steps"] == 6
    if device == "cuda":
        assert torch.cuda.get_device_name() in job.out.with_suffix(".md").read_text(encoding="utf-8")
    values = weights.load_state(job.out)
    assert all(bool(torch.isfinite(value).all()) for value in values.values())
    assert all(np.isfinite(value) for value in made.parts.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gpuu"], "--device 'gpuu': expected cpu, cuda, cuda:NUMBER or mps"),
        (["cuda:1", "--devices", "2"], "--device cuda:1: is one device, and --devices says 2"),
        (["cpu", "--devices", "2000"], "--devices 2000: on processors at most"),
        pytest.param(
            ["cuda:0"],
            "--device 'cuda:0': torch .* here; use cpu, or a torch that is built for the driver",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_training_on_a_device_that_is_not_there(
    words: list[str], said: str, run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    folder = make_shards(tmp_path, {"a/0": ("train", 30), "b/0": ("val", 30)})
    out = tmp_path / "one.safetensors"
    code, _, err = run_cli("train", "--model", "expert", "--data", folder, "--out", out, "--device", *words)
    assert code == 2
    assert re.search(said, err), err
    assert not out.exists()
