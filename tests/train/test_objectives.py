"""The losses of the trained models, term by term: each is computed once more from its definition, and so is their sum.

Faces, sounds and mouths are random, networks fresh: a formula is right on any numbers.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.models.cals.audio_to_lip import draw_mask
from tkbench.models.face import Cut
from tkbench.models.synctalkface.lips import lip_windows
from tkbench.models.synctalkface.memory import Address, Recall, align_loss
from tkbench.models.wav2lip.expert import Expert
from tkbench.models.wav2lip.quality import Quality
from tkbench.models.wav2lip.spec import ExpertSpec
from tkbench.train.config import Config, Data
from tkbench.train.objectives import objective
from tkbench.train.objectives.base import SHAPE_UNIT, face_l1, mouth_box, shape_loss
from tkbench.train.objectives.reader import MouthReader, movement_slope
from tkbench.train.objectives.synctalkface import explained

CUT = Cut("steady-172", 64)
NETS: dict[str, dict[str, Any]] = {
    "expert": {"width": 0.05},
    "wav2lip": {"width": 0.05},
    "synctalkface": {"width": 0.05, "slots": 8, "dropout": 0.0},
    "cals": {
        "width": 0.05,
        "voice": {"width": 0.0625, "layers": 2, "heads": 4, "units": 24, "dropout": 0.0, "window": 4},
    },
}
FRAMES, CLIPS = 9, 2


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh expert whose norms have seen pictures and sounds like those below, so that it tells them apart."""
    torch.manual_seed(1)
    net = Expert(ExpertSpec(size=64, width=0.05))
    net.train()
    with torch.no_grad():
        for _ in range(30):
            net(torch.rand(16, 5, 3, 32, 64), torch.rand(16, 80, 16))
    path = tmp_path_factory.mktemp("expert") / "expert.safetensors"
    checkpoint.save(path, net.state_dict(), checkpoint.Facts("expert", {"size": 64, "width": 0.05}, CUT))
    return path


def make(model: str, expert: Path | None, **loss: Any) -> Any:
    torch.manual_seed(2)
    rules = Config(
        model=model, steps=9, cut=CUT, net=NETS[model], loss=loss, data=Data(frames=FRAMES, batch=CLIPS)
    )
    return objective(rules, expert).eval()


def batch_of(margin: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {
        "video": torch.randint(0, 256, (CLIPS, FRAMES + 2 * margin, 64, 64, 3), dtype=torch.uint8),
        "reference": torch.randint(0, 256, (CLIPS, FRAMES, 64, 64, 3), dtype=torch.uint8),
        "mels": torch.rand(CLIPS, FRAMES, 80, 16),
        "reference_mel": torch.rand(CLIPS, 80, 40),
        "mouth": 0.1 * torch.randn(CLIPS, FRAMES, 8),
    }


def picture(video: torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) BGR in [0, 1]."""
    return video[..., [2, 1, 0]].movedim(-1, -3) / 255


def windows(clips: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Lower halves of five frames in a row, every `stride`-th run of each clip."""
    lower = clips[..., clips.shape[-2] // 2 :, :]
    return torch.stack([clip[f : f + 5] for clip in lower for f in range(0, clips.shape[1] - 4, stride)])


def sounds(mels: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """What begins with the first frame of each window: a piece begins one frame before its own."""
    return torch.stack([clip[f + 1] for clip in mels for f in range(0, mels.shape[1] - 4, stride)])


def agreement(mouths: torch.Tensor, voices: torch.Tensor) -> torch.Tensor:
    return -torch.log((mouths * voices).sum(dim=1)).mean()


def contrast(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """InfoNCE in both directions, with temperature 0.07."""
    logits = one @ other.T / 0.07
    right = logits.diagonal()
    return (logits.logsumexp(dim=1) - right + logits.logsumexp(dim=0) - right).mean() / 2


def fooling(quality: Quality, faces: torch.Tensor) -> torch.Tensor:
    return -torch.log(torch.sigmoid(quality(faces))).mean()


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found.detach(), wanted.detach(), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("warp", [0.0, 0.5])
def test_wav2lip_has_the_published_shares(warp: float, expert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETS, "wav2lip", {"width": 0.05, "warp": warp, "blend": True})
    goal, batch = make("wav2lip", expert, sync_from=5, warp=warp), batch_of(0)
    quality = Quality(64, 0.05).eval()
    done = goal.step(batch, 5, quality)
    (made,), real = done.made, picture(batch["video"]).flatten(0, 1)
    close(done.real, real)
    mouths = goal.expert.embed_mouths(windows(made.unflatten(0, (CLIPS, FRAMES))))
    terms = {
        "recon": (made - real).abs().mean(),
        "gan": fooling(quality, made),
        "sync": agreement(mouths, goal.expert.embed_voice(sounds(batch["mels"]))),
    }
    rest = torch.zeros(())
    if warp:
        rest = warp * done.parts["warp"]
        assert rest > 0
    assert set(done.parts) == {*terms, *(["warp"] if warp else [])}
    for name, value in terms.items():
        close(done.parts[name], value)
    close(done.total, 0.9 * terms["recon"] + 0.03 * terms["sync"] + 0.07 * terms["gan"] + rest)
    close(goal.step(batch, 4, quality).total, 0.93 * terms["recon"] + 0.07 * terms["gan"] + rest)
    close(goal.step(batch, 5, None).total, 0.97 * terms["recon"] + 0.03 * terms["sync"] + rest)


def test_synctalkface_sums_both_pictures_with_the_published_weights(expert: Path) -> None:
    goal, batch = make("synctalkface", expert, sync_from=5), batch_of(2)
    quality = Quality(64, 0.05).eval()
    done = goal.step(batch, 5, quality)
    true = picture(batch["video"])
    real = true[:, 2:-2].flatten(0, 1)
    assert len(done.made) == 2
    close(done.real, real)
    clips = [made.unflatten(0, (CLIPS, FRAMES)) for made in done.made]
    lips = goal.net.lip_encoder(lip_windows(2 * true[:, 2:-2] - 1))
    memory = goal.net.draw_both(
        batch["mels"].flatten(0, 1), torch.zeros(CLIPS * FRAMES, 6, 64, 64), lip_windows(2 * true - 1)
    ).recall
    voices = goal.expert.embed_voice(sounds(batch["mels"]))
    terms = {
        "recon": sum((made - real).abs().mean() for made in done.made),
        "gan": sum(fooling(quality, made) for made in done.made),
        "av": sum(agreement(goal.expert.embed_mouths(windows(clip)), voices) for clip in clips),
        "vv": sum((goal.net.lip_encoder(lip_windows(2 * clip - 1)) - lips).abs().mean() for clip in clips),
        "store": (memory.by_lips - memory.lips.query).square().mean(),
        "align": align_loss(memory.lips.weights, memory.voice.weights),
    }
    for name, value in terms.items():
        close(done.parts[name], value)
    others = ("gan", "av", "vv", "store", "align")
    close(done.total, 10 * terms["recon"] + 0.2 * sum(terms[name] for name in others))
    close(done.parts["l1"], (done.made[0] - real).abs().mean())
    early = goal.step(batch, 4, quality)
    close(early.total, 10 * terms["recon"] + 0.2 * sum(terms[name] for name in ("gan", "store", "align")))
    assert not {"av", "vv"} & set(early.parts)


def test_synctalkface_begins_with_its_memory_alone() -> None:
    goal, batch = make("synctalkface", None, pretrain=3, shape=2.0, av=0.0), batch_of(2)
    done = goal.step(batch, 2, None)
    recall = goal.net.recall(batch["mels"].flatten(0, 1), lip_windows(2 * picture(batch["video"]) - 1))
    head = goal.heads["shape"]
    shapes = {
        "shape": shape_loss(head(recall.by_voice).reshape(batch["mouth"].shape), batch["mouth"]),
        "shape_lips": shape_loss(head(recall.by_lips).reshape(batch["mouth"].shape), batch["mouth"]),
    }
    memory = {
        "store": (recall.by_lips - recall.lips.query).square().mean(),
        "align": align_loss(recall.lips.weights, recall.voice.weights),
    }
    for name, value in {**memory, **shapes}.items():
        close(done.parts[name], value)
    close(done.total, 0.2 * sum(memory.values()) + 2 * sum(shapes.values()))
    wanted = recall.lips.query
    spread = (wanted - wanted.mean(dim=0)).square().sum()
    for name, made in (("explained_lips", recall.by_lips), ("explained_voice", recall.by_voice)):
        close(done.parts[name], 1 - (made - wanted).square().sum() / spread)
    assert done.made == ()
    assert len(goal.step(batch, 3, None).made) == 2


def test_a_memory_is_validated_against_the_variance_over_everybody() -> None:
    """A batch of validation is of one person, whose mouths differ by less than those of all."""
    torch.manual_seed(2)
    net = NETS["synctalkface"] | {"centred": True}
    rules = Config(model="synctalkface", steps=9, cut=CUT, net=net, loss={"pretrain": 3, "av": 0.0})
    goal = objective(rules, None)
    everybody = torch.randn(200, 512)
    person = everybody[:1] + 0.1 * torch.randn(30, 512)
    for evaluated, wanted, spread in ((False, everybody, None), (True, person, 1.0)):
        goal.train(not evaluated)
        made = wanted + 0.3 * torch.randn_like(wanted)
        address = Address(wanted, wanted, torch.full((len(wanted), 8), 1 / 8))
        found = goal.health(Recall(made, address, made, address))
        close(found["explained_voice"], explained(made, wanted, spread))
        assert float(found["explained_lips"]) == pytest.approx(0.91, abs=0.02)
    assert float(explained(made, wanted)) < 0


def test_synctalkface_learns_shapes_before_it_has_a_memory() -> None:
    rules = {"pretrain": 4, "memory_from": 2, "shape": 2.0, "av": 0.0}
    goal, batch = make("synctalkface", None, **rules), batch_of(2)
    done = goal.step(batch, 1, None)
    recall = goal.net.recall(batch["mels"].flatten(0, 1), lip_windows(2 * picture(batch["video"]) - 1))
    head = goal.heads["shape"]
    for name, query in (("shape", recall.voice.raw), ("shape_lips", recall.lips.raw)):
        close(done.parts[name], shape_loss(head(query).reshape(batch["mouth"].shape), batch["mouth"]))
    assert not {"store", "align"} & set(done.parts)
    done.total.backward()
    assert goal.net.memory.value.grad is None
    assert goal.net.memory.key.grad is None

    # Its last step begins every slot (8, and 18 frames) at a frame: value and key at the same one.
    optimiser = torch.optim.Adam(goal.net.parameters())
    goal.after(1, optimiser)
    for slots, query in (
        (goal.net.memory.value, recall.lips.query),
        (goal.net.memory.key, recall.voice.query),
    ):
        gaps = torch.cdist(slots.detach(), query.detach())
        assert (gaps.min(dim=1).values < 1e-4).all()
    places = [
        torch.cdist(slots.detach(), query.detach()).argmin(dim=1)
        for slots, query in (
            (goal.net.memory.value, recall.lips.query),
            (goal.net.memory.key, recall.voice.query),
        )
    ]
    assert torch.equal(*places)
    assert len(set(places[0].tolist())) == 8
    assert {"store", "align"} < set(goal.step(batch, 2, None).parts)
    with pytest.raises(UsageError, match="memory_from = 4: needs pretrain above it"):
        make("synctalkface", None, **rules | {"memory_from": 4})


@pytest.mark.parametrize("pretrain", [0, 4])
def test_voice_and_lips_are_to_ask_alike(pretrain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETS, "synctalkface", {**NETS["synctalkface"], "centred": True})
    rules = {"pretrain": pretrain, "shape": 1.0, "av": 0.0, "vv": 0.0}
    plain, goal, batch = (
        make("synctalkface", None, **rules),
        make("synctalkface", None, agree=3.0, **rules),
        batch_of(2),
    )
    recall = goal.net.recall(batch["mels"].flatten(0, 1), lip_windows(2 * picture(batch["video"]) - 1))
    done = goal.step(batch, 1, None)
    close(done.parts["agree"], (recall.voice.query - recall.lips.query).square().mean())
    close(done.total, plain.step(batch, 1, None).total + 3 * done.parts["agree"])
    monkeypatch.setitem(NETS, "synctalkface", {**NETS["synctalkface"], "centred": False})
    with pytest.raises(UsageError, match="agree by shrinking"):
        make("synctalkface", None, agree=3.0, **rules)


@pytest.mark.parametrize("model", ["wav2lip", "synctalkface", "cals"])
def test_open_mouths_have_a_loss_of_their_own(
    model: str, expert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETS, model, {**NETS[model], "blend": True})
    late = {"sync_from": 9}
    plain = make(model, expert, **late)
    goal = make(model, expert, inside=3.0, solid=0.5, **late)
    assert goal.openings
    assert not plain.openings
    batch = batch_of(goal.margin)
    opening = torch.zeros(CLIPS, FRAMES, 64, 64, dtype=torch.uint8)
    opening[0, 2, 40:44, 30:36] = opening[1, 5, 41:45, 28:30] = 1
    done, before = goal.step({**batch, "opening": opening}, 5, None), plain.step(batch, 5, None)
    inside = 0.0
    for made in done.made:
        gap = (made - done.real).abs()
        first, second = gap[2, :, 40:44, 30:36], gap[FRAMES + 5, :, 41:45, 28:30]
        inside += (first.sum() + second.sum()) / (3 * (24 + 8))
    close(done.parts["inside"], torch.as_tensor(inside))
    assert 0 < float(done.parts["solid"]) < len(done.made)
    close(done.total, before.total + 3 * done.parts["inside"] + 0.5 * done.parts["solid"])
    closed = goal.step({**batch, "opening": torch.zeros_like(opening)}, 5, None)
    close(closed.total, before.total)


@pytest.mark.parametrize("model", ["wav2lip", "synctalkface", "cals"])
def test_mouths_are_to_open_as_far_as_true_ones(model: str, expert: Path) -> None:
    late = {"sync_from": 9}
    plain, goal = make(model, expert, **late), make(model, expert, amplitude=2.0, amplitude_from=3, **late)
    batch = batch_of(goal.margin)
    done, before = goal.step(batch, 5, None), plain.step(batch, 5, None)
    box = mouth_box(64, 64)

    def read(faces: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return goal.heads["reader"](faces[..., box[0] : box[1], box[2] : box[3]])

    true = batch["mouth"].flatten(0, 1)
    shown, drawn = read(done.real), read(done.made[0])
    centred = (true[:, 0] - true[:, 0].mean()) / SHAPE_UNIT
    least = 0.25 * centred.square().mean()
    slope = (drawn[:, 0] * centred).mean() / torch.maximum((shown[:, 0] * centred).mean(), least)
    close(done.parts["slope"], slope)
    close(done.parts["amplitude"], (1 - slope) ** 2)
    close(done.parts["amplitude_reader"], shape_loss(shown, true.float()))
    close(done.total, before.total + 2 * (done.parts["amplitude"] + done.parts["amplitude_reader"]))
    assert "amplitude" not in goal.step(batch, 2, None).parts
    assert "slope" not in before.parts
    # The reader learns from true pictures alone, the generator from what it reads in drawn ones.
    goal.zero_grad()
    (2 * goal.step(batch, 5, None).total).backward()
    both = [p.grad.clone() for p in goal.heads["reader"].parameters()]
    goal.zero_grad()
    shape_loss(goal.heads["reader"](done.real[..., box[0] : box[1], box[2] : box[3]]), true).backward()
    for one, other in zip(both, goal.heads["reader"].parameters(), strict=True):
        close(one, 4 * other.grad)


def test_the_slope_of_openings_does_not_depend_on_how_well_they_are_read() -> None:
    torch.manual_seed(0)
    true = torch.randn(4000)
    for reads in (1.0, 0.4):
        shown = reads * true + 0.3 * torch.randn(4000)
        drawn = reads * 0.7 * true + 0.5 * torch.randn(4000) - 3
        assert float(movement_slope(drawn, shown, true)) == pytest.approx(0.7, abs=0.05)
    assert float(movement_slope(torch.randn(4000), true, true)) == pytest.approx(0, abs=0.05)


def test_a_small_network_learns_to_read_how_far_mouths_open() -> None:
    """Dark bars between two light lips, of a height that is read back from pictures it has not seen."""
    generator = torch.Generator().manual_seed(0)

    def mouths(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        opening = torch.rand(count, generator=generator)
        row = torch.arange(36)[None, :]
        middle = 14 + 6 * torch.rand(count, 1, generator=generator)
        dark = ((row - middle).abs() < 1 + 8 * opening[:, None]).float()
        faces = 0.7 - 0.6 * dark[:, None, :, None].expand(-1, 3, -1, 42)
        faces = faces + 0.05 * torch.randn(faces.shape, generator=generator)
        lengths = torch.zeros(count, 8)
        lengths[:, 0] = 0.1 * (opening - 0.5)
        return faces, lengths

    torch.manual_seed(0)
    reader = MouthReader()
    adam = torch.optim.Adam(reader.parameters(), 2e-3)
    for _ in range(120):
        faces, lengths = mouths(32)
        adam.zero_grad()
        shape_loss(reader(faces), lengths).backward()
        adam.step()
    faces, lengths = mouths(200)
    with torch.no_grad():
        assert float(shape_loss(reader(faces), lengths)) < 0.15


def test_the_first_windows_of_a_batch_are_drawn() -> None:
    goal, batch = make("synctalkface", None, drawn=1, av=0.0), batch_of(2)
    done = goal.step(batch, 0, None)
    close(done.real, picture(batch["video"])[0, 2:-2])


def test_cals_draws_with_our_weights(expert: Path) -> None:
    goal, batch = make("cals", expert, sync_from=5, shape=0.5), batch_of(2)
    quality = Quality(64, 0.05).eval()
    done = goal.step(batch, 5, quality)
    (made,), true = done.made, picture(batch["video"])
    real = true[:, 2:-2].flatten(0, 1)
    close(done.real, real)
    units = goal.net.audio_to_lip(batch["mels"])
    # 24 numbers of length 1, as large as numbers of variance 1.
    wanted = goal.expert.embed_mouths(windows(true)).unflatten(0, (CLIPS, FRAMES)) * math.sqrt(24)
    cosine = torch.nn.functional.cosine_similarity(units, wanted, dim=2)
    mouths = goal.expert.embed_mouths(windows(made.unflatten(0, (CLIPS, FRAMES)), 3))
    terms = {
        "recon": (made - real).abs().mean(),
        "gan": fooling(quality, made),
        "units": (units - wanted).abs().mean() + (1 - cosine).mean(),
        "shape": shape_loss(goal.heads["shape"](units), batch["mouth"]),
        "av": contrast(mouths, goal.expert.embed_voice(sounds(batch["mels"], 3))),
        "vv": contrast(mouths, goal.expert.embed_mouths(windows(true[:, 2:-2], 3))),
    }
    assert set(done.parts) == set(terms)
    for name, value in terms.items():
        close(done.parts[name], value)
    sync = 0.2 * (terms["av"] + terms["vv"])
    rest = 10 * terms["recon"] + 0.2 * terms["gan"] + 0.2 * terms["units"] + 0.5 * terms["shape"]
    close(done.total, rest + sync)
    close(goal.step(batch, 4, quality).total, rest)


def test_cals_begins_with_masked_units(expert: Path) -> None:
    goal, batch = make("cals", expert, pretrain=3, shape=0.5), batch_of(2)
    torch.manual_seed(4)
    done = goal.step(batch, 2, None)
    torch.manual_seed(4)
    masked = draw_mask(CLIPS, FRAMES, 0.3, 5)
    assert 0 < masked.sum() < masked.numel()
    units = goal.net.audio_to_lip(batch["mels"], masked)
    wanted = goal.expert.embed_mouths(windows(picture(batch["video"]))).unflatten(
        0, (CLIPS, FRAMES)
    ) * math.sqrt(24)

    def error(made: torch.Tensor) -> torch.Tensor:
        return (
            (made - wanted).abs().mean(dim=2) + 1 - torch.nn.functional.cosine_similarity(made, wanted, dim=2)
        )

    close(done.parts["units"], error(units).mean())
    close(done.parts["masked"], error(units)[masked].mean())
    close(done.parts["mean"], error(wanted.mean(dim=(0, 1)).expand_as(wanted))[masked].mean())
    shape = shape_loss(goal.heads["shape"](units), batch["mouth"])
    close(done.total, error(units).mean() + 0.5 * shape)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_expert_tells_its_own_sound_from_another_time(weight: float) -> None:
    """Pairs that belong together weigh as much as pairs that do not; contrast has its weight."""
    goal, batch = make("expert", None, contrast=weight), batch_of(0)
    with torch.no_grad():
        for value in goal.net.parameters():
            value.mul_(1.5)
    done = goal.step(batch, 0, None)
    mouths = goal.net.embed_mouths(windows(picture(batch["video"]), 2))
    voices = goal.net.embed_voice(sounds(batch["mels"], 2))
    others = goal.net.embed_voice(batch["reference_mel"][:, :, :16])
    firsts = torch.stack([mouths[0], mouths[len(mouths) // 2]])
    false = torch.log(1 - (firsts * others).sum(dim=1).clamp(1e-6, 1 - 1e-6)).mean()
    bce = (agreement(mouths, voices) - false) / 2
    close(done.parts["bce"], bce)
    close(done.parts["contrast"], contrast(mouths, voices))
    close(done.parts["agree"], agreement(mouths, voices))
    close(done.total, bce + weight * contrast(mouths, voices))
    found = [int((mouth @ voices.T).argmax()) == place for place, mouth in enumerate(mouths)]
    assert float(done.parts["found"]) == pytest.approx(sum(found) / len(found))


@pytest.mark.parametrize("model", ["wav2lip", "synctalkface", "cals"])
def test_sample_pictures_stand_in_the_order_reference_drawn_true(model: str) -> None:
    weights = {"sync": 0.0} if model == "wav2lip" else {"av": 0.0, "vv": 0.0}
    goal = make(model, None, **weights, **({"units": 0.0} if model == "cals" else {}))
    batch = batch_of(goal.margin)
    with torch.no_grad():
        rows = goal.sample(batch)
    assert rows.shape == (CLIPS, 3, 64, 64, 3)
    assert torch.equal(rows[:, 0], batch["reference"][:, FRAMES // 2])
    assert torch.equal(rows[:, 2], batch["video"][:, goal.margin + FRAMES // 2])
    with torch.no_grad():
        (drawn, *_) = goal.step(batch, 0, None).made
    middle = drawn.unflatten(0, (CLIPS, FRAMES))[:, FRAMES // 2, [2, 1, 0]].movedim(1, -1) * 255
    assert (rows[:, 1] - middle).abs().max() <= 0.501


def test_the_box_of_mouths_is_where_mouths_are() -> None:
    """Rows 54 to 92 and columns 28 to 72 of a hundred, to the pixel."""
    assert mouth_box(100, 100) == (54, 92, 28, 72)
    assert mouth_box(64, 128) == (35, 59, 36, 92)
    real = torch.zeros(1, 3, 100, 100)
    inside = [
        face_l1(torch.nn.functional.pad(torch.ones(1, 3, 1, 1), (x, 99 - x, y, 99 - y)), real, 4).item()
        for y, x in ((53, 50), (54, 50), (91, 50), (92, 50), (70, 27), (70, 28), (70, 71), (70, 72))
    ]
    beside = min(inside)
    assert [round(value / beside) for value in inside] == [1, 4, 4, 1, 1, 4, 4, 1]
