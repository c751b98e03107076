"""The trainer: it learns, resumes exactly, refuses what is not its own, and says which clips broke it."""

from __future__ import annotations

import itertools
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.toy_shards import make_shards

from tkbench import audio, models, shards, weights
from tkbench.errors import UnknownName, UsageError, WeightsRefused
from tkbench.models import checkpoint, kinds
from tkbench.models.face import Cut
from tkbench.models.wav2lip.expert import Expert
from tkbench.registry import resolve
from tkbench.runtime import stops
from tkbench.train import board, state
from tkbench.train.card import thinned
from tkbench.train.config import Config, Data, Keep, Optim, Run, load_config
from tkbench.train.dry import dry_run
from tkbench.train.loop import LAST, Trained, Trainer, TrainingJob, train
from tkbench.train.objectives import objective
from tkbench.train.objectives.base import SHAPE_UNIT, face_l1, shape_loss, softened, sync_mels
from tkbench.train.objectives.synctalkface import frozen_features
from tkbench.train.steps import NotFinite, check_finite, mirrored, on_device, set_rates
from tkbench.types import Batch

CUT = Cut("steady-172", 64)
NETS: dict[str, dict[str, Any]] = {
    "expert": {"width": 0.05},
    "wav2lip": {"width": 0.05},
    "synctalkface": {"width": 0.05, "slots": 8},
    "cals": {
        "width": 0.05,
        "voice": {"width": 0.0625, "layers": 2, "heads": 4, "units": 24, "window": 3, "cut": True},
    },
}
LOSSES: dict[str, dict[str, Any]] = {
    "expert": {"contrast": 1.0},
    "cals": {"pretrain": 2, "shape": 1.0},
    "synctalkface": {"pretrain": 2, "shape": 1.0},
}


def config(model: str, **more: Any) -> Config:
    settings: dict[str, Any] = {
        "steps": 4,
        "cut": CUT,
        "net": NETS[model],
        "loss": LOSSES.get(model, {}),
        "data": Data(frames=6, batch=2, frames_per_window=12, flip=0.5),
        "optim": Optim(lr=1e-3, lr_quality=1e-4, clip=5.0, ema=0.9, warmup=2, cosine=True),
        "run": Run(log_every=1, val_every=2, val_batches=1, save_every=1, sample_every=4),
    }
    return Config(model=model, **(settings | more))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {f"{name}/0": ("train", 30) for name in "abcd"} | {"v/0": ("val", 30), "t/0": ("test", 30)}
    return make_shards(tmp_path_factory.mktemp("toys"), clips)


@pytest.fixture(scope="module")
def expert(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An expert of two steps: frozen, it can teach nothing, but all that needs one runs."""
    out = tmp_path_factory.mktemp("expert") / "expert.safetensors"
    train(TrainingJob(folder, out, config("expert", steps=2), accelerator="cpu"))
    return out


@pytest.fixture
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "crops"


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return weights.load_state(path)


SLOW = pytest.mark.slow
"""The same for models whose steps have nothing that the others' lack."""


def test_ctrl_c_ends_between_two_steps_and_keeps_them(folder: Path, crops: Path, tmp_path: Path) -> None:
    """The command line asks `stops.wait` where it is stopped; the same run goes on to the weights of a whole one."""
    rules = config("expert")
    job = TrainingJob(folder, tmp_path / "parted.safetensors", rules, accelerator="cpu", cache=crops)
    with pytest.raises(KeyboardInterrupt):
        train(job, progress=lambda done, *_: stops.wait() if done == 2 else None)
    assert torch.load(job.folder / LAST, weights_only=True)["step"] == 2
    assert not job.out.exists()
    assert not stops.wait()
    made = train(job)
    whole = train(TrainingJob(folder, tmp_path / "whole.safetensors", rules, accelerator="cpu", cache=crops))
    assert isinstance(made, Trained)
    assert isinstance(whole, Trained)
    one, other = tensors(whole.out), tensors(made.out)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    "model", ["expert", "cals", pytest.param("wav2lip", marks=SLOW), pytest.param("synctalkface", marks=SLOW)]
)
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(
    model: str, folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    """Stopped in the middle of an epoch, and between phases where there are two; equal to the last bit."""
    rules, teacher = config(model), None if model == "expert" else expert
    whole = train(
        TrainingJob(
            folder, tmp_path / "whole.safetensors", rules, expert=teacher, accelerator="cpu", cache=crops
        )
    )
    assert isinstance(whole, Trained)
    parted = tmp_path / "parted.safetensors"
    for stop in (1, 2, None):
        again = train(
            TrainingJob(folder, parted, rules, expert=teacher, accelerator="cpu", cache=crops),
            stop_after=stop,
        )
        assert (again is None) == (stop is not None)
        assert parted.exists() == (stop is None)
    one, other = tensors(whole.out), tensors(parted)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    steps = [report["step"] for report in board.read(whole.folder) if "train/total" in report]
    assert steps == [1, 2, 3, 4]
    assert [r["step"] for r in board.read(parted.with_suffix(".run")) if "train/total" in r] == steps
    assert any("val/" in name for report in board.read(whole.folder) for name in report)
    facts = checkpoint.read_facts(parted)
    assert facts.kind == model
    assert facts.training["n_train"] == 4
    assert facts.training["expert"] == (weights.sha256(expert) if teacher else None)
    card = parted.with_suffix(".md").read_text(encoding="utf-8")
    assert "toys, 4 training clips" in card
    assert "train/total" in card
    assert (whole.folder / "faces-0000004.png").exists() == (model != "expert")
    if model != "expert":
        sample = shards.open_shards(folder).get("t/0")
        (made,) = models.create(f"{model}:{parted}").generate(Batch((sample,)), seed=0)
        assert made.video is not None
        assert made.video.shape == sample.video.shape
        assert (made.video != sample.video).any()


@pytest.mark.parametrize("model", ["wav2lip", "synctalkface", "cals"])
def test_the_discriminator_sleeps_until_its_step(
    model: str, folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    """Before `gan_from` its weights stand still and its term is 0; from there on both move."""
    rules = config(model, loss={"gan_from": 2, "gan": 0.1})
    trainer = Trainer(
        TrainingJob(folder, tmp_path / "x.safetensors", rules, expert=expert, accelerator="cpu", cache=crops)
    )
    assert trainer.quality is not None
    trainer.wrapped.train()
    fresh = {name: value.clone() for name, value in trainer.quality.state_dict().items()}
    moved, terms = [], []
    for step in range(3):
        batch = {
            name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v
            for name, v in trainer.windows[0].items()
        }
        parts = trainer.step([batch], step)
        terms.append(float(parts["gan"]))
        moved.append(any(not torch.equal(v, fresh[n]) for n, v in trainer.quality.state_dict().items()))
    assert moved == [False, False, True]
    assert terms[:2] == [0, 0]
    assert terms[2] > 0


def test_half_a_checkpoint_draws_the_same_face(tmp_path: Path) -> None:
    """Kernels in float16 take half the bytes, come back as float32, and move a pixel by a grey level at most."""
    torch.manual_seed(0)
    net = kinds.registry.get("wav2lip").build({"size": 64, "width": 0.25}).eval()
    facts = checkpoint.Facts("wav2lip", {"size": 64, "width": 0.25}, CUT)
    for half in (False, True):
        checkpoint.save(tmp_path / f"{half}.safetensors", net.state_dict(), facts, half=half)
    sizes = [(tmp_path / f"{half}.safetensors").stat().st_size for half in (False, True)]
    assert 0.49 < sizes[1] / sizes[0] < 0.53
    again, _ = checkpoint.load(tmp_path / "True.safetensors", "wav2lip")
    assert {v.dtype for v in again.state_dict().values() if v.is_floating_point()} == {torch.float32}
    mel, faces = torch.randn(2, 80, 16), torch.rand(2, 6, 64, 64)
    with torch.inference_mode():
        gap = (net(mel, faces) - again(mel, faces)).abs().max()
    assert 0 < float(gap) < 1 / 255


def test_a_run_does_not_go_on_from_another_one(folder: Path, crops: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.safetensors"
    train(TrainingJob(folder, out, config("expert"), accelerator="cpu", cache=crops), stop_after=1)
    with pytest.raises(UsageError, match=r"config\.seed \(0 there, 1 here\)"):
        train(TrainingJob(folder, out, config("expert", seed=1), accelerator="cpu", cache=crops))
    # How it is carried out may change.
    rules = config("expert", run=Run(log_every=2))
    assert train(TrainingJob(folder, out, rules, accelerator="cpu", cache=crops)) is not None
    kept = out.with_suffix(".run") / LAST
    kept.write_bytes(kept.read_bytes()[:-200])
    with pytest.raises(WeightsRefused, match="cannot be read as a training state"):
        train(TrainingJob(folder, out, config("expert"), accelerator="cpu", cache=crops))
    torch.save({"state_dict": {}}, kept)
    with pytest.raises(WeightsRefused, match="not a training state"):
        train(TrainingJob(folder, out, config("expert"), accelerator="cpu", cache=crops))


def test_experts_are_checked(folder: Path, expert: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    other = config("cals", cut=Cut("face-128", 64))
    with pytest.raises(UsageError, match=r"give --expert FILE.*cut as Cut\(recipe='steady-172', size=96\)"):
        train(TrainingJob(folder, out, other, accelerator="cpu"))
    with pytest.raises(UsageError, match="units = 24: the expert's embeddings have 128; set it to 128"):
        train(TrainingJob(folder, out, config("cals"), accelerator="cpu"))
    with pytest.raises(WeightsRefused, match="a judge never trains"):
        train(
            TrainingJob(folder, out, config("cals"), expert=weights.find("syncnet-synth"), accelerator="cpu")
        )
    with pytest.raises(UsageError, match="an expert for faces cut as"):
        train(TrainingJob(folder, out, other, expert=expert, accelerator="cpu"))
    with pytest.raises(UsageError, match=r"\.safetensors"):
        train(TrainingJob(folder, tmp_path / "m.pth", config("expert"), accelerator="cpu"))
    assert objective(config("synctalkface", loss={"av": 0.0}), None).expert is None


def test_the_bundled_expert_teaches_where_none_is_given(folder: Path, expert: Path, tmp_path: Path) -> None:
    """For faces of its own recipe, at any side; it is pinned, small, and no judge."""
    rules, out = load_config("cals-small", "cals"), tmp_path / "m.safetensors"
    path = weights.find("expert-synth")
    assert path.stat().st_size < 2_500_000
    assert weights.sha256(path) != weights.get("syncnet-synth").sha256
    assert checkpoint.read_facts(path).cut == rules.cut
    assert TrainingJob(folder, out, rules).teacher() == path
    assert TrainingJob(folder, out, rules, expert=expert).teacher() == expert
    assert TrainingJob(folder, out, config("cals")).teacher() == path  # at 64 pixels
    assert TrainingJob(folder, out, config("cals", cut=Cut("face-128", 96))).teacher() is None
    assert TrainingJob(folder, out, load_config("expert-small", "expert")).teacher() is None
    taught = objective(rules, path)
    assert taught.expert is not None
    assert not any(p.requires_grad for p in taught.expert.parameters())
    # A run without a term that learns from it does not load it.
    assert objective(replace(rules, loss={"units": 0.0, "av": 0.0, "vv": 0.0}), path).expert is None


def test_the_expert_sees_the_same_in_a_mouth_of_any_side() -> None:
    """Fine mouths and the same at the expert's own side: nearer to each other than to any other mouth."""
    net, _ = checkpoint.load(weights.find("expert-synth"), "expert")
    assert isinstance(net, Expert)
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(4 * 5, 3, 6, 12, generator=generator)
    fine = torch.nn.functional.interpolate(rough, (64, 128), mode="bicubic").clamp(0, 1)
    own = torch.nn.functional.interpolate(fine, (48, 96), mode="area")
    with torch.no_grad():
        embedded = [net.embed_mouths(mouths.unflatten(0, (4, 5))) for mouths in (fine, own)]
    near = (embedded[0] * embedded[1]).sum(dim=1)
    others = embedded[0] @ embedded[1].T - torch.eye(4)
    assert near.min() > 0.98
    assert near.min() > others.max()
    fine.requires_grad_(True)
    net.embed_mouths(fine.unflatten(0, (4, 5))).square().sum().backward()
    assert fine.grad is not None
    assert bool(fine.grad.isfinite().all())


@pytest.mark.parametrize("kind", ["synctalkface", "cals", "wav2lip"])
def test_a_checkpoint_of_another_side_is_a_beginning(kind: str, tmp_path: Path) -> None:
    """Kernels that span the smallest map are interpolated, all else is taken over; the same side changes nothing."""
    torch.manual_seed(0)
    spec = {**config(kind).net}
    small, large = (kinds.registry.get(kind).build({**spec, "size": size}).eval() for size in (64, 128))
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, small.state_dict(), checkpoint.Facts(kind, {**spec, "size": 64}, CUT))
    before = {name: value.clone() for name, value in large.state_dict().items()}
    history = checkpoint.begin_with(large, path, kind)
    assert history[0]["cut"]["size"] == 64
    there, here = small.state_dict(), large.state_dict()
    fitted = {name for name in there if there[name].shape != here[name].shape}
    assert 2 <= len(fitted) <= 3
    assert all(here[name].shape[2:] == (4, 4) and there[name].shape[2:] == (2, 2) for name in fitted)
    assert all(torch.equal(here[name], there[name]) for name in set(there) - fitted)
    assert not any(torch.equal(here[name], before[name]) for name in fitted)
    # A map that is flat is answered alike at both sides.
    name = next(n for n in fitted if "identity_encoder" in n or "face_encoder" in n)
    assert here[name].sum(dim=(2, 3)) == pytest.approx(there[name].sum(dim=(2, 3)), abs=1e-5)
    with pytest.raises(WeightsRefused, match="give --from a checkpoint whose"):
        checkpoint.begin_with(kinds.registry.get(kind).build({**spec, "width": 0.3}), path, kind)


@pytest.mark.parametrize("sides", [(64, 128), (96, 128), (128, 96)])
def test_an_expert_of_another_form_is_no_beginning(sides: tuple[int, int], tmp_path: Path) -> None:
    """At 128 it has two layers more: a kernel that happens to fit would land in another layer."""
    spec = dict(config("expert").net)
    small, large = (kinds.registry.get("expert").build({**spec, "size": size}) for size in sides)
    path = tmp_path / "small.safetensors"
    facts = checkpoint.Facts("expert", {**spec, "size": sides[0]}, Cut("steady-172", sides[0]))
    checkpoint.save(path, small.state_dict(), facts)
    with pytest.raises(WeightsRefused, match="give --from a checkpoint whose"):
        checkpoint.begin_with(large, path, "expert")


def trainer(folder: Path, out: Path, rules: Config, expert: Path | None, cache: Path) -> Trainer:
    return Trainer(TrainingJob(folder, out, rules, expert=expert, accelerator="cpu", cache=cache))


@pytest.mark.parametrize("steps", [24, pytest.param(200, marks=SLOW)])
@pytest.mark.parametrize("model", ["wav2lip", "synctalkface", "cals"])
def test_losses_fall_on_one_batch(
    model: str, steps: int, folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    """By a third in 24 steps; near zero in 200 (faces of constant patches: nothing keeps them from it)."""
    loss = {"gan": 0.0} | ({"pretrain": 0} if model == "cals" else {})
    net = dict(NETS[model]) | ({"dropout": 0.0} if model == "synctalkface" else {})
    rules = config(
        model,
        steps=steps,
        loss=loss,
        net=net,
        data=Data(frames=6, batch=1, frames_per_window=12),
        optim=Optim(lr=3e-3, betas=(0.9, 0.99), cosine=True),
    )
    run = trainer(folder, tmp_path / "m.safetensors", rules, expert, crops)
    batch = next(iter(run.loader))
    run.wrapped.train()
    history = [run.step([batch], step) for step in range(steps)]
    pictures = 2 if model == "synctalkface" else 1
    first, last = (float(parts["recon"]) / pictures for parts in (history[0], history[-1]))
    assert last < (0.67 * first if steps < 100 else 0.02), f"L1 {first:.3f} -> {last:.3f}"
    assert float(history[-1]["total"]) < float(history[0]["total"])


def test_frozen_expert_and_copied_eye_do_not_move(
    folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    run = trainer(folder, tmp_path / "m.safetensors", config("synctalkface"), expert, crops)
    assert run.goal.expert is not None
    before = {name: value.clone() for name, value in run.goal.expert.state_dict().items()}
    run.wrapped.train()
    assert not run.goal.expert.training
    run.step([next(iter(run.loader))], 0)
    for name, value in run.goal.expert.state_dict().items():
        assert torch.equal(value, before[name]), name
    eye = run.goal.net.lip_encoder
    norms = {name: value.clone() for name, value in eye.named_buffers()}
    drawn = torch.rand(2, 3, 5, 64, 64, requires_grad=True)
    eye.zero_grad()
    assert eye.training
    features = frozen_features(eye, drawn)
    features.sum().backward()
    assert drawn.grad is not None
    assert drawn.grad.abs().sum() > 0
    assert all(value.grad is None for value in eye.parameters())
    # The same lips have the same features, alone or beside others.
    alone = frozen_features(eye, drawn[:1].detach())
    torch.testing.assert_close(alone, features[:1].detach(), rtol=1e-4, atol=1e-5)
    assert eye.training
    for name, value in eye.named_buffers():
        assert torch.equal(value, norms[name])


def test_softening_keeps_means_and_takes_dots_away() -> None:
    """Flat colour stays, a checkerboard is gone, a dot becomes the binomial of its passes; 0 passes change nothing."""
    flat = torch.full((2, 3, 3, 8, 8), 0.3)
    torch.testing.assert_close(softened(flat, 3), flat)
    place = torch.arange(8)
    board = ((place[:, None] + place) % 2).float().expand(1, 1, 3, 8, 8)
    torch.testing.assert_close(softened(board, 1)[..., 1:-1, 1:-1], torch.full((1, 1, 3, 6, 6), 0.5))
    dot = torch.zeros(1, 1, 3, 9, 9)
    dot[..., 4, 4] = 1
    row = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    torch.testing.assert_close(softened(dot, 2)[0, 0, 0, 2:7, 2:7], row[:, None] * row)
    torch.testing.assert_close(softened(dot, 0), dot)


def test_the_mouth_weighs_more_in_l1() -> None:
    """An error on the mouth counts `mouth` times one beside it; weights are shares, and 1 is plain L1."""
    real = torch.zeros(1, 3, 96, 96)
    on, beside = real.clone(), real.clone()
    on[..., 70, 48] = 1
    beside[..., 20, 48] = 1
    assert float(face_l1(on, real, 1)) == pytest.approx(1 / 96**2)
    assert float(face_l1(on, real, 8) / face_l1(beside, real, 8)) == pytest.approx(8)
    assert float(face_l1(real + 0.3, real, 8)) == pytest.approx(0.3)


@pytest.mark.parametrize("model", ["synctalkface", "cals"])
def test_sync_terms_begin_at_their_step(
    model: str, folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    rules = config(model, loss={"sync_from": 1, "soft": 1, "gan": 0.0})
    run = trainer(folder, tmp_path / "s.safetensors", rules, expert, crops)
    run.wrapped.train()
    batch = next(iter(run.loader))
    terms = [set(run.step([batch], step)) for step in (0, 1)]
    assert terms[1] - terms[0] == {"av", "vv"}


def test_a_loss_that_is_no_number_names_the_clips(
    folder: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "e.safetensors"
    run = trainer(folder, out, config("expert"), None, crops)
    run.run(1, lambda *_: None)
    with torch.no_grad():
        next(run.goal.net.parameters()).fill_(float("nan"))
    with pytest.raises(NotFinite, match=r"step 2: .*its clips: [a-d]/0"):
        run.run(4, lambda *_: None)
    assert state.load(out.with_suffix(".run") / LAST, run.identity)["step"] == 1
    parts = {"a": torch.tensor(1.0), "b": torch.tensor(float("inf"))}
    with pytest.raises(FloatingPointError, match="b = inf; its clips: x, y"):
        check_finite(parts, ["x", "x", "y"], 0)


def test_targets_of_the_generators_step_stay_unseen(
    folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    """In training, too, the lower half of the target moves no pixel of the picture drawn from the voice."""
    ways: list[dict[str, Any]] = [{}, {"blend": True}, {"blend": True, "warp": 0.1}]
    for model, way in itertools.product(("wav2lip", "synctalkface", "cals"), ways):
        loss: dict[str, Any] = {"pretrain": 0, "drawn_frames": 5} if model == "cals" else {}
        rules = config(model, loss=loss | ({"warp": 1.0} if "warp" in way else {}), net=NETS[model] | way)
        run = trainer(folder, tmp_path / f"{model}-{len(way)}.safetensors", rules, expert, crops)
        run.goal.eval()
        batch = dict(next(iter(run.loader)))
        with torch.no_grad():
            torch.manual_seed(0)
            made = run.goal.step(batch, 3, run.quality).made[0]
            assert len(made) == 2 * (5 if model == "cals" else 6)
            batch["video"] = batch["video"].clone()
            batch["video"][..., 32:, :, :] = 255 - batch["video"][..., 32:, :, :]
            torch.manual_seed(0)
            again = run.goal.step(batch, 3, run.quality)
        assert torch.equal(made, again.made[0]), model
        assert ("warp" in again.parts) == ("warp" in way)


def test_a_run_begins_with_the_weights_of_another(
    folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    """All that both networks have is the file's; what only the new one has keeps its own first weights."""
    plain, moved = (NETS["wav2lip"] | {"blend": True} | more for more in ({}, {"warp": 0.1}))
    given: dict[str, Any] = {"expert": expert, "accelerator": "cpu", "cache": crops}
    first = train(TrainingJob(folder, tmp_path / "first.safetensors", config("wav2lip", net=plain), **given))
    assert first is not None
    rules = config("wav2lip", net=moved, loss={"warp": 1.0})
    run = Trainer(
        TrainingJob(
            folder,
            tmp_path / "x.safetensors",
            rules,
            expert=expert,
            accelerator="cpu",
            cache=crops,
            start=first.out,
        )
    )
    there, here = tensors(first.out), run.goal.net.state_dict()
    new = here.keys() - there.keys()
    assert new
    assert all("mover" in name for name in new)
    assert all(torch.equal(here[name], value) for name, value in there.items())
    assert run.average is not None
    assert all(torch.equal(run.average.state[name], value) for name, value in there.items())

    # A stopped run ends with the weights of one that was not, and with no other start.
    whole = train(TrainingJob(folder, tmp_path / "whole.safetensors", rules, start=first.out, **given))
    assert whole is not None
    parted = tmp_path / "parted.safetensors"
    assert train(TrainingJob(folder, parted, rules, start=first.out, **given), stop_after=2) is None
    with pytest.raises(UsageError, match="differs in the checkpoint of --from"):
        train(TrainingJob(folder, parted, rules, **given))
    train(TrainingJob(folder, parted, rules, start=first.out, **given))
    assert all(torch.equal(tensors(whole.out)[name], value) for name, value in tensors(parted).items())

    # What the first one saw is not forgotten.
    (before,) = whole.facts.training["before"]
    assert before["sha256"] == weights.sha256(first.out)
    assert before["data"] == first.facts.training["data"]
    assert set(before["fresh"]) == new
    text = whole.out.with_suffix(".md").read_text(encoding="utf-8")
    assert f"4 steps on toys, seed 0 (sha256 {before['sha256'][:12]}, steady-172 at 64" in text
    assert "blend and warp" in text
    assert "and warp" not in first.out.with_suffix(".md").read_text(encoding="utf-8")
    third = train(TrainingJob(folder, tmp_path / "third.safetensors", rules, start=whole.out, **given))
    assert third is not None
    assert [t["steps"] for t in third.facts.training["before"]] == [4, 4]


def test_drawing_layers_of_another_kind(folder: Path, expert: Path, crops: Path, tmp_path: Path) -> None:
    """The layers that draw are those of --painter, all others those of --from or fresh; the card says it."""
    given: dict[str, Any] = {"expert": expert, "accelerator": "cpu", "cache": crops}
    draws = {"blend": True, "warp": 0.1}
    rules = config("synctalkface", net=NETS["synctalkface"] | draws)
    painter = train(TrainingJob(folder, tmp_path / "stf.safetensors", rules, **given))
    plain = config("cals", net=NETS["cals"] | {"blend": True})
    start = train(TrainingJob(folder, tmp_path / "cals.safetensors", plain, **given))
    assert painter is not None
    assert start is not None
    rules = config("cals", net=NETS["cals"] | draws, seed=3)
    out = tmp_path / "on.safetensors"
    both = {"start": start.out, "painter": painter.out, **given}
    begun = Trainer(TrainingJob(folder, tmp_path / "x.safetensors", rules, **both)).goal.net.state_dict()
    theirs, own = tensors(painter.out), tensors(start.out)
    drawing = ("identity_encoder.", "decoder.", "output.")
    painted = {name for name in theirs if name.startswith(drawing)}
    assert any("mover" in name for name in painted)
    assert all(torch.equal(begun[f"lip_to_face.{name}"], theirs[name]) for name in painted)
    rest = own.keys() - {f"lip_to_face.{name}" for name in painted}
    assert any("audio_to_lip" in name for name in rest)
    assert all(torch.equal(begun[name], own[name]) for name in rest)
    assert begun.keys() == rest | {f"lip_to_face.{name}" for name in painted}

    made = train(TrainingJob(folder, out, rules, **both), stop_after=2)
    assert made is None
    with pytest.raises(UsageError, match="differs in the checkpoint of --painter"):
        train(TrainingJob(folder, out, rules, start=start.out, **given))
    made = train(TrainingJob(folder, out, rules, **both))
    assert made is not None
    first, second = made.facts.training["before"]
    assert "painter" not in first
    assert (second["painter"], second["sha256"]) == ("synctalkface", weights.sha256(painter.out))
    text = out.with_suffix(".md").read_text(encoding="utf-8")
    assert (
        f"| drawing layers of synctalkface | 4 steps on toys, seed 0 (sha256 {second['sha256'][:12]}" in text
    )

    alone = train(TrainingJob(folder, tmp_path / "alone.safetensors", rules, painter=painter.out, **given))
    assert alone is not None
    assert [t["painter"] for t in alone.facts.training["before"]] == ["synctalkface"]


def test_whose_drawing_layers_do_not_fit(folder: Path, expert: Path, crops: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"expert": expert, "accelerator": "cpu", "cache": crops}
    made = {
        name: train(
            TrainingJob(
                folder, tmp_path / f"{name}.safetensors", config(name, steps=1, net=NETS[name] | net), **given
            )
        )
        for name, net in (("synctalkface", {"width": 0.1}), ("wav2lip", {}))
    }
    stf, wav2lip = (tmp_path / f"{name}.safetensors" for name in made)
    rules, out = config("cals"), tmp_path / "x.safetensors"
    with pytest.raises(WeightsRefused, match=r"does not fit .*its encoder.*width, blend and warp"):
        train(TrainingJob(folder, out, rules, painter=stf, **given))
    for painter, complaint in (
        (wav2lip, "holds a wav2lip, whose black is 0; that of a cals is -1"),
        (expert, "holds an expert, and a cals is trained"),
    ):
        with pytest.raises(WeightsRefused, match=complaint):
            TrainingJob(folder, out, rules, painter=painter, **given).check()
    with pytest.raises(UsageError, match="no such file; expected a checkpoint"):
        TrainingJob(folder, out, rules, painter=tmp_path / "nowhere.safetensors", **given).check()
    with pytest.raises(UsageError, match="is the checkpoint of --painter itself"):
        TrainingJob(folder, stf, rules, painter=stf, **given).check()


def test_what_no_run_can_begin_with(folder: Path, expert: Path, crops: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"expert": expert, "accelerator": "cpu", "cache": crops}
    first = train(TrainingJob(folder, tmp_path / "first.safetensors", config("wav2lip", steps=1), **given))
    assert first is not None
    out = tmp_path / "x.safetensors"
    with pytest.raises(WeightsRefused, match=r"does not fit Wav2Lip.* or has less in it"):
        train(TrainingJob(folder, out, config("wav2lip", net={"width": 0.1}), start=first.out, **given))
    with pytest.raises(WeightsRefused, match="holds an expert, expected a wav2lip"):
        train(TrainingJob(folder, out, config("wav2lip"), start=expert, **given))
    for nothing in (tmp_path, tmp_path / "nowhere.safetensors"):
        with pytest.raises(UsageError, match="no such file; expected a checkpoint"):
            train(TrainingJob(folder, out, config("wav2lip"), start=nothing, **given))
    with pytest.raises(UsageError, match="is the checkpoint of --from itself"):
        train(TrainingJob(folder, first.out, config("wav2lip"), start=first.out, **given))
    with pytest.raises(UsageError, match="nothing is moved"):
        train(TrainingJob(folder, out, config("wav2lip", loss={"warp": 1.0}), **given))


def test_what_cals_draws_are_frames_of_one_run(folder: Path, expert: Path) -> None:
    """Units, sounds, targets and references of the same frames; with 0, of all of them."""
    batch = {name: torch.arange(12.0)[None, :, None] for name in ("video", "reference", "mels")}
    batch["reference"] = batch["reference"][:, 2:-2]
    # The sound of a cut window comes with three frames on either side.
    batch["mels"] = torch.arange(-1.0, 13.0)[None, :, None]
    units = batch["mels"][:, 3:-3] + 0.5
    firsts = set()
    for run in (0, 5):
        goal = objective(config("cals", loss={"drawn_frames": run}, data=Data(frames=8, batch=2)), expert)
        for _ in range(20):
            some, part = goal.drawn_frames(units, batch)
            assert some.shape[1] == (run or 8)
            for value in part.values():
                assert torch.equal(value + 0.5, some)
            assert torch.equal(some[0, :, 0].diff(), torch.ones((run or 8) - 1))
            firsts.add((run, float(some[0, 0, 0])))
    assert firsts == {(0, 2.5), (5, 2.5), (5, 3.5), (5, 4.5), (5, 5.5)}
    with pytest.raises(UsageError, match=r"drawn_frames = 9: from 5 frames.* those of a window, 6"):
        objective(config("cals", loss={"drawn_frames": 9}), expert)


def test_windows_of_cals_hold_what_its_units_hear(
    folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    voice = {**NETS["cals"]["voice"], "cut": False}
    for window in (3, -1):
        net = {**NETS["cals"], "voice": {**voice, "window": window}}
        with pytest.raises(UsageError, match=rf"window = {window}, \[data\] frames = 6: .* window of 0 to 2"):
            objective(config("cals", net=net), expert)
    objective(config("cals", net={**NETS["cals"], "voice": {**voice, "window": 2}}), expert)
    # Where the sound is cut, it is loaded with any window; beyond the clip it is silent.
    run = Trainer(
        TrainingJob(
            folder,
            tmp_path / "x.safetensors",
            config("cals", data=Data(frames=6, batch=2, padded_sound=True)),
            expert=expert,
            accelerator="cpu",
            cache=crops,
        )
    )
    windows = run.windows
    (key, n) = next(iter(windows.lengths.items()))
    spectrum = audio.mel(windows.shards.get_audio(key))
    starts, _ = windows.draw(key, 0)
    found = windows._visit(key, 0, 0, len(starts))
    for start, mels in zip(starts, found["mels"], strict=True):
        wanted = audio.windows(spectrum, np.arange(start - 3, start + 6 + 3), lead=1)
        np.testing.assert_array_equal(mels, wanted)
    assert windows.starts(n).start == 2


def test_what_only_training_uses_goes_on_with_the_next_training(
    folder: Path, expert: Path, crops: Path, tmp_path: Path
) -> None:
    """Where the folder of the first run still stands; without it these layers begin anew, and another run it is."""
    given: dict[str, Any] = {"expert": expert, "accelerator": "cpu", "cache": crops}
    rules = config("cals", loss={"shape": 1.0, "amplitude": 1.0}, steps=2)
    first = train(TrainingJob(folder, tmp_path / "first.safetensors", rules, **given))
    assert first is not None
    heads = torch.load(first.folder / LAST, weights_only=True)["heads"]
    assert any(name.startswith("reader.") for name in heads)

    def begun() -> Trainer:
        return Trainer(TrainingJob(folder, tmp_path / "x.safetensors", rules, start=first.out, **given))

    run = begun()
    for name, value in run.goal.heads.state_dict().items():
        assert torch.equal(value, heads[name]), name
    (first.folder / LAST).unlink()
    anew = begun()
    assert any(not torch.equal(v, heads[name]) for name, v in anew.goal.heads.state_dict().items())
    assert list(state.differences(json.loads(run.identity), json.loads(anew.identity))) == [
        "whether the run folder of --from was there"
    ]


def test_the_discriminators_rate_rises_when_it_wakes_and_stays() -> None:
    """The generator's falls to 0 by a cosine meanwhile."""
    net = torch.nn.Linear(1, 1)
    adam, quality_adam = (torch.optim.Adam(net.parameters()) for _ in range(2))
    rules = config(
        "cals", steps=100, loss={"gan_from": 50}, optim=Optim(lr=1.0, lr_quality=0.5, warmup=10, cosine=True)
    )
    rates = []
    for step in (0, 9, 49, 50, 54, 59, 99):
        set_rates(adam, quality_adam, rules, step, gan_from=50)
        rates.append((adam.param_groups[0]["lr"], quality_adam.param_groups[0]["lr"]))
    assert [own for _, own in rates] == pytest.approx([0, 0, 0, 0.05, 0.25, 0.5, 0.5])
    assert rates[1][0] == 1
    assert rates[-1][0] < 0.001
    set_rates(adam, None, rules, 0)
    assert adam.param_groups[0]["lr"] == pytest.approx(0.1)


def test_before_it_draws_the_memory_learns_the_shapes_of_mouths(
    folder: Path, crops: Path, tmp_path: Path
) -> None:
    """Steps without pictures move encoders and memory, not the decoder; shapes are found by voice and by lips."""
    loss = {"pretrain": 40, "shape": 1.0, "av": 0.0, "gan": 0.0}
    rules = config(
        "synctalkface", steps=40, loss=loss, optim=Optim(lr=3e-3), net=NETS["synctalkface"] | {"dropout": 0.0}
    )
    run = trainer(folder, tmp_path / "m.safetensors", rules, None, crops)
    fresh = {name: value.clone() for name, value in run.goal.net.named_parameters()}
    batch = next(iter(run.loader))
    run.wrapped.train()
    history = [run.step([batch], step) for step in range(40)]
    moved = {
        name.split(".")[0] for name, v in run.goal.net.named_parameters() if not torch.equal(v, fresh[name])
    }
    assert moved == {"audio_encoder", "lip_encoder", "memory"}
    for way in ("shape", "shape_lips"):
        assert float(history[-1][way]) < 0.5 < float(history[0][way])
    with pytest.raises(UsageError, match="without a memory"):
        objective(config("synctalkface", net=NETS["synctalkface"] | {"memory": False}, loss=loss), None)


def test_shapes_that_are_missed_count_in_shares_of_what_mouths_do() -> None:
    mouth = torch.randn(2, 5, 8)
    assert shape_loss(mouth / SHAPE_UNIT, mouth).item() == 0
    assert shape_loss(torch.zeros_like(mouth), mouth).item() == pytest.approx(1)
    assert shape_loss(0.5 * mouth / SHAPE_UNIT, mouth).item() == pytest.approx(0.25)
    assert shape_loss(torch.zeros_like(mouth), torch.zeros_like(mouth)).item() == 0


def test_windows_bring_the_shapes_of_their_own_frames(folder: Path) -> None:
    from tkbench import data
    from tkbench.metrics.mouth import lengths

    spec = data.WindowSpec(recipe="steady-172", size=(64, 64), frames=7, margin=2, mouths=True)
    how = data.Sampling(batch=2, frames_per_window=12, rank=0, world=1)
    windows = data.load(folder, split="train", window=spec, sampling=how)
    batch = windows[0]
    for place, key in enumerate(batch["key"]):
        shape = lengths(windows.shards.get_arrays(key)["landmarks"])
        first = batch["frame"][place]
        wanted = (shape - np.median(shape, axis=0))[first : first + 7]
        np.testing.assert_allclose(batch["mouth"][place], wanted, atol=1e-6)
        assert np.ptp(wanted[:, 0]) > 0.01
    plain = data.load(folder, split="train", window=replace(spec, mouths=False), sampling=how)
    assert "mouth" not in plain[0]


def test_mels_of_sync_windows_begin_with_their_first_frame(folder: Path, crops: Path) -> None:
    from tkbench import audio, data

    windows = data.load(
        folder,
        split="train",
        window=data.WindowSpec(recipe="steady-172", size=(64, 64), frames=9),
        sampling=data.Sampling(batch=2, frames_per_window=12, rank=0, world=1),
    )
    batch = windows[0]
    spectrum = audio.mel(windows.clip(batch["key"][0])[1])
    expected = audio.windows(spectrum, batch["frame"][0] + np.arange(5))
    found = sync_mels(torch.from_numpy(batch["mels"]))
    assert found.shape == (10, 80, 16)
    np.testing.assert_array_equal(found[:5], expected)


def test_mirrors_turn_whole_windows() -> None:
    torch.manual_seed(0)
    batch = {
        name: torch.randint(0, 255, (16, 3, 4, 6, 3), dtype=torch.uint8) for name in ("video", "reference")
    }
    turned = mirrored(batch, 0.5)
    flipped = [all(torch.equal(turned[n][i], batch[n][i].flip(-2)) for n in batch) for i in range(16)]
    same = [all(torch.equal(turned[n][i], batch[n][i]) for n in batch) for i in range(16)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 0 < sum(flipped) < 16
    assert mirrored(batch, 0.0) is batch


def test_averages_follow_the_weights() -> None:
    net = torch.nn.BatchNorm1d(2)
    average = state.Average(net, 0.5)
    with torch.no_grad():
        net.weight.fill_(3.0)
    for step in range(40):
        average.update(net, step)
    torch.testing.assert_close(average.state["weight"], torch.full((2,), 3.0))


def test_reports_behind_a_resumed_step_are_forgotten(tmp_path: Path) -> None:
    pages = board.Board(tmp_path)
    for step in (1, 2, 3):
        pages.numbers(step, {"train/total": 1.0 / step})
    pages.close()
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "tra')
    board.Board(tmp_path, 2).close()
    assert [report["step"] for report in board.read(tmp_path)] == [1, 2]
    assert len(thinned([{"step": i} for i in range(100)])) == 20


def test_without_tensorboard_numbers_are_kept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    pages = board.Board(tmp_path)
    pages.numbers(1, {"train/total": 2.0})
    rows = torch.zeros(2, 3, 8, 8, 3, dtype=torch.uint8)
    assert pages.faces(1, rows).is_file()
    pages.close()
    assert "(pip install 'tensorboard>=" in pages.hint
    assert board.read(tmp_path) == [{"step": 1, "train/total": 2.0}]


def test_every_bundled_configuration_builds_its_network() -> None:
    from importlib import resources

    names = sorted(p.name for p in resources.files("tkbench").joinpath("configs").iterdir())
    wanted = [n for n in names if not n.startswith("syncnet")]
    assert {n.split("-")[0] for n in wanted} == set(NETS)
    for name in wanted:
        model = name.split("-")[0]
        rules = load_config(name.removesuffix(".toml"), model)
        with torch.device("meta"):
            goal = resolve(kinds.registry.get(model).objective)(rules)
            assert goal.net.spec.size == rules.cut.size
    assert load_config(None, "cals").model == "cals"


@pytest.mark.parametrize("model", ["synctalkface", "expert"])
def test_configurations_at_128_pixels_build_and_step(model: str, folder: Path, tmp_path: Path) -> None:
    """The last kind of step, with every term but that of the expert, which is trained first."""
    rules = load_config(f"{model}-128", model)
    few = replace(rules.data, batch=2, frames_per_window=0, min_reference_gap=5, workers=0)
    loss = {**rules.loss, "av": 0.0} if model == "synctalkface" else rules.loss
    job = TrainingJob(
        folder, tmp_path / "x.safetensors", replace(rules, data=few, loss=loss), accelerator="cpu"
    )
    run = Trainer(job)
    batch = on_device(run.windows[0], run.fabric.device)
    assert batch["video"].shape[2:4] == (128, 128)
    parts = run.step([batch], rules.steps - 1)
    assert all(bool(value.isfinite()) for value in parts.values())
    if model == "synctalkface":
        assert {"gan", "quality", "inside", "solid", "amplitude", "slope", "warp", "vv"} <= set(parts)


def test_configurations_are_read_strictly(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"

    def said(text: str, model: str = "cals") -> str:
        own.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as error:
            objective(load_config(own, model), None)
        return str(error.value)

    assert "steps is missing" in said('model = "cals"\n')
    assert "is for --model cals" in said('model = "cals"\nsteps = 1\n', "wav2lip")
    assert "did you mean batch" in said('model = "cals"\nsteps = 1\n[data]\nbach = 2\n')
    assert "did you mean recon" in said('model = "cals"\nsteps = 1\n[loss]\nrecno = 2\n')
    assert "did you mean width" in said('model = "cals"\nsteps = 1\n[net]\nwitdh = 2.0\n')
    assert "must be the same" in said('model = "cals"\nsteps = 1\n[net]\nsize = 96\n')
    assert "not a TOML file" in said("model: cals")
    with pytest.raises(UnknownName, match="cals-small"):
        load_config("cals-smal", "cals")


def test_identity_tells_what_differs() -> None:
    one = json.loads(state.identity(config("cals"), "d", 1))
    other = json.loads(state.identity(replace(config("cals"), steps=5), "e", 1))
    assert list(state.differences(one, other)) == ["config.steps (4 there, 5 here)", "the data"]


def test_validation_measures_the_weights_that_are_written(folder: Path, crops: Path, tmp_path: Path) -> None:
    """The averaged ones, where weights are averaged; the live ones come back untouched."""
    rules = config("wav2lip", loss={"sync": 0.0}, steps=3, optim=Optim(lr=1e-2, ema=0.999))
    trainer = Trainer(TrainingJob(folder, tmp_path / "a.safetensors", rules, cache=crops, accelerator="cpu"))
    trainer.run(3, lambda *_: None)
    live = {name: value.clone() for name, value in trainer.goal.net.state_dict().items()}
    assert trainer.average is not None
    found = trainer.validate()
    for name, value in trainer.goal.net.state_dict().items():
        assert torch.equal(value, live[name])
    trainer.goal.net.load_state_dict(trainer.average.state)
    trainer.average = None
    assert trainer.validate() == found
    trainer.goal.net.load_state_dict(live)
    assert trainer.validate() != found


def scripted(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Validations that give these values, one after the other."""
    turns = iter(values)
    monkeypatch.setattr(Trainer, "validate", lambda _: {"recon": next(turns)})


def test_the_best_weights_by_a_term_are_written_and_a_stop_changes_nothing(
    folder: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = config(
        "wav2lip", loss={"sync": 0.0}, steps=8, keep=Keep(best="recon"), run=Run(val_every=2, save_every=2)
    )
    made = {}
    for name, after in (("through", (None,)), ("stopped", (6, None))):
        scripted([0.5, 0.3, 0.4, 0.6], monkeypatch)
        for stop in after:
            out = tmp_path / f"{name}.safetensors"
            done = train(TrainingJob(folder, out, rules, cache=crops, accelerator="cpu"), stop_after=stop)
        made[name] = tensors(out)
        assert done is not None
        assert done.facts.training["steps"] == 4
    short = config("wav2lip", loss={"sync": 0.0}, steps=8, run=Run(val_every=2, save_every=2))
    scripted([0.0] * 4, monkeypatch)
    train(TrainingJob(folder, tmp_path / "last.safetensors", short, cache=crops, accelerator="cpu"))
    last = tensors(tmp_path / "last.safetensors")
    for name, value in made["through"].items():
        assert torch.equal(value, made["stopped"][name])
    assert any(not torch.equal(value, last[name]) for name, value in made["through"].items())


def test_a_run_that_gets_no_better_ends(
    folder: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = config(
        "wav2lip",
        loss={"sync": 0.0},
        steps=20,
        keep=Keep(best="recon", patience=2),
        run=Run(val_every=2, save_every=100),
    )
    scripted([0.5, 0.3, 0.4, 0.6], monkeypatch)
    out = tmp_path / "a.safetensors"
    done = train(TrainingJob(folder, out, rules, cache=crops, accelerator="cpu"))
    assert done is not None
    assert done.facts.training["steps"] == 4
    kept = torch.load(tmp_path / "a.run" / LAST, weights_only=True)
    assert kept["step"] == 8
    # The same command again does not go on: it writes the same file.
    again = train(TrainingJob(folder, out, rules, cache=crops, accelerator="cpu"))
    assert again is not None
    assert again.facts.training["steps"] == 4


def test_a_term_that_validation_does_not_have_is_one_line(folder: Path, crops: Path, tmp_path: Path) -> None:
    rules = config("wav2lip", loss={"sync": 0.0}, keep=Keep(best="store"))
    with pytest.raises(
        UsageError, match=r"\[keep\] best = 'store': validation has no such term; known are recon"
    ):
        train(TrainingJob(folder, tmp_path / "a.safetensors", rules, cache=crops, accelerator="cpu"))


def test_gradients_of_several_batches_make_one_step(folder: Path, crops: Path, tmp_path: Path) -> None:
    """Two batches of two windows move the weights as far as their mean gradient says, and draw four windows."""
    rules = config(
        "wav2lip",
        loss={"sync": 0.0, "gan": 0.0},
        optim=Optim(lr=1e-3, accumulate=2),
        data=Data(frames=6, batch=2, frames_per_window=12),
    )
    trainer = Trainer(TrainingJob(folder, tmp_path / "a.safetensors", rules, cache=crops, accelerator="cpu"))
    assert trainer.windows_per_step == 4
    one, two = (
        {
            name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v
            for name, v in trainer.windows[n].items()
        }
        for n in range(2)
    )
    trainer.goal.eval()  # norms that do not depend on the batch
    start = {name: value.detach().clone() for name, value in trainer.goal.net.named_parameters()}
    found = {}
    for name, batches in (("both", [one, two]), ("one", [one]), ("two", [two])):
        trainer.goal.net.load_state_dict({**trainer.goal.net.state_dict(), **start})
        parts = trainer.step(batches, 0)
        found[name] = {
            n: p.grad.clone() for n, p in trainer.goal.net.named_parameters() if p.grad is not None
        }
        found[name]["total"] = parts["total"]
    for name, value in found["both"].items():
        torch.testing.assert_close(value, (found["one"][name] + found["two"][name]) / 2, rtol=1e-4, atol=1e-6)


def test_the_state_of_a_loss_scaler_is_kept(
    folder: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 16-mixed has one on a GPU: a scale that has fallen is not raised again by a stop."""
    rules = config("wav2lip", loss={"sync": 0.0}, steps=4)
    job = TrainingJob(folder, tmp_path / "a.safetensors", rules, cache=crops, accelerator="cpu")
    trainer = Trainer(job)
    monkeypatch.setattr(trainer.precision, "state_dict", lambda: {"scale": 1024.0, "_growth_tracker": 3})
    trainer.run(2, lambda *_: None)
    got: list[dict[str, object]] = []
    again = Trainer.__new__(Trainer)
    monkeypatch.setattr(
        type(trainer.precision), "load_state_dict", lambda _, given: got.append(given), raising=False
    )
    again.__init__(job)  # type: ignore[misc]
    assert again.done == 2
    assert got == [{"scale": 1024.0, "_growth_tracker": 3}]


def test_a_setting_is_replaced_by_name() -> None:
    rules = load_config(
        None, "cals", ["loss.gan=0", "optim.betas=[0.9, 0.99]", "net.voice.window = 5", "cut.recipe=face-128"]
    )
    assert rules.loss["gan"] == 0
    assert rules.optim.betas == (0.9, 0.99)
    assert rules.net["voice"]["window"] == 5
    assert rules.net["voice"]["heads"] == 4
    assert rules.cut.recipe == "face-128"
    for change, says in (
        ("loss.gan", "expected TABLE.NAME=VALUE"),
        ("model=wav2lip", "chosen by --model"),
        ("steps.many=3", "steps is a setting, not a table"),
        ("optim.rate=3", "rate is not a setting"),
    ):
        with pytest.raises(UsageError, match=says):
            load_config(None, "cals", [change])


def test_a_dry_run_tells_what_a_run_costs_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    rules = config("synctalkface", loss={"pretrain": 3, "shape": 1.0, "av": 0.0, "gan_from": 5}, steps=9)
    found = dry_run(TrainingJob(folder, tmp_path / "a.safetensors", rules, accelerator="cpu"))
    assert [phase.first for phase in found.phases] == [0, 3, 5]
    assert found.shapes["video"] == (2, 10, 64, 64, 3)
    net = objective(rules, None).net
    assert sum(n for name, n in found.parameters.items() if name not in ("heads", "discriminator")) == sum(
        p.numel() for p in net.parameters()
    )
    assert found.parameters["discriminator"] > 0
    per_step = [phase.seconds for phase in found.phases]
    assert found.seconds == pytest.approx(3 * per_step[0] + 2 * per_step[1] + 4 * per_step[2])
    assert found.memory > 0.1
    assert "nothing was written" in str(found)
    assert list(tmp_path.iterdir()) == []


class FakeRun:
    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, object]]] = []
        self.ended = False

    def log(self, data: dict[str, object], *, step: int) -> None:
        self.logged.append((step, data))

    def finish(self) -> None:
        self.ended = True


def test_reports_go_to_weights_and_biases_only_if_asked(
    folder: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[FakeRun, dict[str, object]]] = []

    def init(**settings: object) -> FakeRun:
        runs.append((FakeRun(), settings))
        return runs[-1][0]

    fake = types.ModuleType("wandb")
    fake.init, fake.Image = init, str  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    rules = config("wav2lip", loss={"sync": 0.0})
    train(TrainingJob(folder, tmp_path / "quiet.safetensors", rules, cache=crops, accelerator="cpu"))
    assert runs == []
    asked = replace(rules, run=replace(rules.run, wandb="faces"))
    job = TrainingJob(folder, tmp_path / "a.safetensors", asked, cache=crops, accelerator="cpu")
    train(job, stop_after=2)
    train(job)
    (first, settings), (second, again) = runs
    assert settings["project"] == "faces"
    assert settings["id"] == again["id"]
    assert [step for step, data in first.logged if "train/recon" in data] == [1, 2]
    assert [step for step, data in second.logged if "train/recon" in data] == [3, 4]
    assert first.ended
    assert second.ended
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="pip install wandb"):
        train(TrainingJob(folder, tmp_path / "b.safetensors", asked, cache=crops, accelerator="cpu"))


@pytest.mark.parametrize("share", ["2", "-0.1"])
def test_a_share_of_cameras_is_refused_with_the_configuration(share: str) -> None:
    """Before torch is loaded or a shard is opened."""
    with pytest.raises(UsageError, match=rf"\[data\] camera = {share}: a share of the windows, from 0 to 1"):
        load_config("synctalkface-wide", "synctalkface", [f"data.camera={share}"])
