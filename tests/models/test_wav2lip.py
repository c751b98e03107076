"""Wav2Lip's networks have the published shapes, and its files load, or are refused in one line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.seeded_weights import seeded_state

from tkbench.errors import BadInput, UsageError, WeightsRefused
from tkbench.models import checkpoint, kinds
from tkbench.models.face import Cut
from tkbench.models.picture import ReferenceWarp, joined
from tkbench.models.wav2lip.expert import (
    Expert,
    ExpertSpec,
    agreement_loss,
    contrast_loss,
    windows_of,
)
from tkbench.models.wav2lip.generator import Wav2Lip
from tkbench.models.wav2lip.quality import Quality, adversarial_loss, discriminator_loss
from tkbench.models.wav2lip.spec import Wav2LipSpec
from tkbench.train.objectives.base import warp_loss

GOLDEN = Path(__file__).parent / "golden" / "wav2lip.npz"
"""Written by golden/make_wav2lip.py."""


def count(net: torch.nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())


def test_published_shapes() -> None:
    """Names and shapes of Rudrabha/Wav2Lip models/; the count pins every layer at once."""
    with torch.device("meta"):
        generator, expert, quality = Wav2Lip(), Expert(), Quality()
    assert count(generator) == 36_298_035
    shapes = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    assert shapes["face_encoder_blocks.0.0.conv_block.0.weight"] == (16, 6, 7, 7)
    assert shapes["face_encoder_blocks.6.0.conv_block.0.weight"] == (512, 512, 3, 3)
    assert shapes["audio_encoder.12.conv_block.1.running_mean"] == (512,)
    assert shapes["face_decoder_blocks.1.0.conv_block.0.weight"] == (1024, 512, 3, 3)
    assert shapes["face_decoder_blocks.6.2.conv_block.0.weight"] == (64, 64, 3, 3)
    assert shapes["output_block.0.conv_block.0.weight"] == (32, 80, 3, 3)
    assert shapes["output_block.1.weight"] == (3, 32, 1, 1)
    shapes = {name: tuple(value.shape) for name, value in expert.state_dict().items()}
    assert shapes["face_encoder.0.conv_block.0.weight"] == (32, 15, 7, 7)
    assert shapes["face_encoder.16.conv_block.0.weight"] == (512, 512, 1, 1)
    assert shapes["audio_encoder.13.conv_block.0.weight"] == (512, 512, 1, 1)
    shapes = {name: tuple(value.shape) for name, value in quality.state_dict().items()}
    assert shapes["face_encoder_blocks.6.1.conv_block.0.weight"] == (512, 512, 1, 1)
    assert shapes["binary_pred.0.weight"] == (1, 512, 1, 1)


@torch.no_grad()
def test_networks_answer_as_the_published_ones_do() -> None:
    """Rudrabha/Wav2Lip@5c90fa9 with the same seeded weights; the largest difference seen is 0.

    A float32 sum over up to 9216 products in another order (another torch, another processor) may differ in its last
    digits: 1e-5 allows for fifty such layers, and is far below any fault in a layer.
    """
    from golden.make_wav2lip import GAIN, STEP, inputs

    expected, given = dict(np.load(GOLDEN)), inputs()

    def ready(net: torch.nn.Module, kind: str) -> torch.nn.Module:
        net.load_state_dict(seeded_state(net.state_dict(), GAIN[kind]))
        return net.eval()

    picture = ready(Wav2Lip(), "generator")(given["mel"], given["faces"])
    mouth, voice = ready(Expert(), "expert")(given["mouths"].unflatten(1, (5, 3)), given["mel"])
    real = torch.sigmoid(ready(Quality(), "quality")(given["frames"]))
    found = {"picture": picture[:, :, ::STEP, ::STEP], "mouth": mouth, "voice": voice, "real": real}
    for name, value in found.items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=0, atol=1e-5, err_msg=name)
    # The answers tell the inputs apart: equal ones would prove little.
    assert float(picture.std()) > 0.1
    assert all(float((value[0] - value[1]).abs().max()) > 1e-3 for value in (picture, mouth, voice, real))


def test_a_file_of_the_published_form_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = Expert()
    # Saved from several devices, with an optimiser beside it, as the authors' script does.
    table = {
        "state_dict": {f"module.{k}": v for k, v in own.state_dict().items()},
        "optimizer": {},
        "global_step": 3,
    }
    torch.save(table, tmp_path / "lipsync_expert.pth")
    net, facts = checkpoint.load(tmp_path / "lipsync_expert.pth", "expert")
    assert (facts.cut.recipe, facts.lead) == ("wav2lip-96", 0)
    for name, value in own.state_dict().items():
        assert torch.equal(net.state_dict()[name], value)
    with pytest.raises(WeightsRefused, match="does not fit Wav2Lip"):
        checkpoint.load(tmp_path / "lipsync_expert.pth", "wav2lip")


def test_foreign_and_broken_files_are_refused(tmp_path: Path) -> None:
    from tkbench import weights

    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0not a header")
    with pytest.raises(WeightsRefused, match="not a checkpoint of tkbench"):
        checkpoint.load(broken, "cals")
    with pytest.raises(WeightsRefused, match="a judge never trains"):
        checkpoint.load(weights.find("syncnet-synth"), "expert")
    with pytest.raises(UsageError, match="no such file"):
        checkpoint.load(tmp_path / "none.safetensors", "cals")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    with pytest.raises(WeightsRefused, match="cannot be read"):
        checkpoint.load(tmp_path / "broken.pth", "wav2lip")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(WeightsRefused, match="state_dict"):
        checkpoint.load(tmp_path / "other.pth", "wav2lip")
    spec = {"size": 64, "width": 0.125}
    facts = checkpoint.Facts("expert", spec, Cut("face-128", 64))
    own = kinds.registry.get("expert").build(spec)
    checkpoint.save(tmp_path / "e.safetensors", own.state_dict(), facts)
    assert checkpoint.read_facts(tmp_path / "e.safetensors") == facts
    with pytest.raises(WeightsRefused, match="holds an expert"):
        checkpoint.load(tmp_path / "e.safetensors", "wav2lip")
    state = own.state_dict()
    state.pop("face_encoder.0.conv_block.0.weight")
    checkpoint.save(tmp_path / "e.safetensors", state, facts)
    with pytest.raises(WeightsRefused, match="missing"):
        checkpoint.load(tmp_path / "e.safetensors", "expert")


@pytest.mark.parametrize("size", [64, 96, 128])
def test_every_size_comes_out_as_it_went_in(size: int) -> None:
    net = Wav2Lip(Wav2LipSpec(size, 0.05)).eval()
    with torch.no_grad():
        made = net(torch.zeros(2, 80, 16), torch.zeros(2, 6, size, size))
    assert made.shape == (2, 3, size, size)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    expert = Expert(ExpertSpec(size, 0.05)).eval()
    with torch.no_grad():
        look, hear = expert(windows_of(torch.rand(1, 6, 3, size, size)), torch.rand(2, 80, 16))
    assert look.shape == hear.shape
    assert float(look.min()) >= 0
    torch.testing.assert_close(look.norm(dim=1), torch.ones(2))
    assert Quality(size, 0.05)(torch.rand(2, 3, size, size)).shape == (2,)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(BadInput, match="64, 96, 128"):
        Wav2LipSpec(size=112)


def test_windows_are_lower_halves_in_order() -> None:
    frames = torch.arange(2 * 7 * 3 * 4 * 2).reshape(2, 7, 3, 4, 2).float()
    found = windows_of(frames)
    assert found.shape == (6, 5, 3, 2, 2)
    torch.testing.assert_close(found[4], frames[1, 1:6, :, 2:])


def test_the_expert_and_the_discriminator_see_lower_halves_only() -> None:
    torch.manual_seed(0)
    quality = Quality(64, 0.1).eval()
    faces = torch.rand(2, 3, 64, 64)
    other = faces.clone()
    other[:, :, :32] = 0
    torch.testing.assert_close(quality(faces), quality(other))


def test_a_blended_picture_is_between_the_drawn_and_the_shown() -> None:
    """Nothing drawn: the target's upper half, fading into the reference's lower one; all drawn: what the head made."""
    torch.manual_seed(0)
    net = Wav2Lip(Wav2LipSpec(size=64, width=0.05, blend=True)).eval()
    mel, faces = torch.randn(2, 80, 16), torch.rand(2, 6, 64, 64)
    share = net.output_block[1]
    shown = joined(faces[:, :3], faces[:, 3:])
    with torch.no_grad():
        share.weight[3] = 0
        share.bias[3] = -100.0
        torch.testing.assert_close(net(mel, faces), shown)
        share.bias[3] = 0.0
        half = net(mel, faces)
        share.bias[3] = 100.0
        drawn = net(mel, faces)
    torch.testing.assert_close(half, (drawn + shown) / 2)
    assert not torch.allclose(drawn, shown, atol=0.01)
    plain = Wav2Lip(Wav2LipSpec(size=64, width=0.05)).state_dict()
    assert plain.keys() == net.state_dict().keys()
    assert plain["output_block.1.weight"].shape[0] == 3


@pytest.mark.parametrize("size", [64, 96, 128, 288])
def test_target_and_reference_fade_into_each_other(size: int) -> None:
    target, reference = torch.rand(2, 3, size, size), torch.rand(2, 3, size, size)
    half, rows = size // 2, size // 16
    out = joined(target, reference)
    assert torch.equal(out[:, :, : half - rows], target[:, :, : half - rows])
    assert torch.equal(out[:, :, half:], reference[:, :, half:])
    # Nothing of the target's lower half, which it must not see, is used.
    other = target.clone()
    other[:, :, half:] = torch.rand(2, 3, size - half, size)
    assert torch.equal(joined(other, reference), out)
    # Where both are the same there is no seam, and where they differ by 1 no row is more than a step of the fade away.
    torch.testing.assert_close(joined(target, target), target)
    edge = joined(torch.zeros(1, 3, size, size), torch.ones(1, 3, size, size))[0, 0, :, 0]
    assert edge.diff().min() >= 0
    assert edge.diff().max() < 1.6 / rows
    assert edge[half - rows - 1] == 0
    assert edge[half] == 1


def test_a_mover_moves_by_what_its_field_says() -> None:
    """At first nothing; with a level field, every pixel by the same 8 pixels, and the rim is repeated."""
    torch.manual_seed(0)
    mover = ReferenceWarp(0.05, 0.25).eval()
    x, picture = torch.randn(2, 24, 16, 16), torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(mover(x, picture), picture, atol=1e-5, rtol=0)
    with torch.no_grad():
        mover.field[-1].bias[0] = math.atanh(0.5)
    found = mover(x, picture)
    torch.testing.assert_close(found[..., :-8], picture[..., 8:], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[..., -8:], picture[..., -1:].expand(-1, -1, -1, 8), atol=1e-4, rtol=0)
    with torch.no_grad():
        mover.field[-1].bias.copy_(torch.tensor([0.0, 1e9]))
    torch.testing.assert_close(mover(x, picture)[:, :, :48], picture[:, :, 16:], atol=1e-4, rtol=0)
    # The same field moves a larger picture by as many parts of its side.
    large = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(mover(x, large)[:, :, :96], large[:, :, 32:], atol=1e-4, rtol=0)


def test_a_moved_reference_is_shown_and_learned_from() -> None:
    torch.manual_seed(0)
    net = Wav2Lip(Wav2LipSpec(size=64, width=0.05, blend=True, warp=0.1)).eval()
    mel, faces = torch.randn(2, 80, 16), torch.rand(2, 6, 64, 64)
    with torch.no_grad():
        net.output_block[1].weight[3] = 0
        net.output_block[1].bias[3] = -100.0
        torch.nn.init.normal_(net.output_block.mover.field[-1].weight)
    drawn = net.draw(mel, faces)
    assert drawn.warped is not None
    torch.testing.assert_close(drawn.picture[:, :, :28], faces[:, :3, :28])
    torch.testing.assert_close(drawn.picture, joined(faces[:, :3], drawn.warped))
    torch.testing.assert_close(drawn.picture[:, :, 32:], drawn.warped[:, :, 32:])
    assert (drawn.warped - faces[:, 3:]).abs().max() > 0.1
    real = torch.rand(2, 3, 64, 64)
    warp_loss(drawn.warped, real).backward()
    assert net.output_block.mover.field[-1].weight.grad.abs().sum() > 0
    with pytest.raises(BadInput, match="finer faces without blend"):
        Wav2Lip(Wav2LipSpec(size=64, width=0.05)).eval()(mel, faces, faces)
    with pytest.raises(BadInput, match="blend = true"):
        Wav2Lip(Wav2LipSpec(size=64, width=0.05, warp=0.1))


def test_what_is_moved_is_compared_on_three_scales() -> None:
    """What lies apart everywhere counts on all, what a pixel's neighbour makes up for on the finest alone."""
    real = torch.rand(2, 3, 64, 64)
    assert warp_loss(real, real).item() == 0
    assert warp_loss(real + 0.3, real).item() == pytest.approx(0.3, abs=1e-5)
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 0.6 - 0.3
    assert warp_loss(real + board, real).item() == pytest.approx(0.1, abs=1e-5)


def test_a_finer_picture_has_what_is_shown_in_full_and_what_is_drawn_enlarged() -> None:
    torch.manual_seed(0)
    net = Wav2Lip(Wav2LipSpec(size=64, width=0.05, blend=True, warp=0.1)).eval()
    mel, faces, fine = torch.randn(2, 80, 16), torch.rand(2, 6, 64, 64), torch.rand(2, 6, 128, 128)
    share = net.output_block[1]
    with torch.no_grad():
        torch.testing.assert_close(net(mel, faces, faces), net(mel, faces))
        share.weight[3] = 0
        share.bias[3] = -100.0
        shown = net(mel, faces, fine)
        share.bias[3] = 100.0
        drawn = net(mel, faces, fine)
        small = net(mel, faces)
    torch.testing.assert_close(shown, joined(fine[:, :3], fine[:, 3:]), atol=1e-5, rtol=0)
    larger = torch.nn.functional.interpolate(small, (128, 128), mode="bilinear", align_corners=False)
    torch.testing.assert_close(drawn, larger, atol=1e-5, rtol=0)


def test_a_fresh_discriminator_sees_its_pictures() -> None:
    """Its logit differs from picture to picture; with the framework's own first weights hardly."""
    for seed in range(5):
        torch.manual_seed(seed)
        pictures = torch.rand(8, 3, 1, 1).expand(-1, -1, 96, 96)
        quality = Quality(96, 0.25)
        with torch.no_grad():
            assert quality(pictures).std() > 5e-3
            for layer in quality.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.reset_parameters()
            assert quality(pictures).std() < 1e-5


def test_motion_weighs_what_moves() -> None:
    """A still mouth is seen as it is; of a moving one the difference from its mean counts `motion` times."""
    torch.manual_seed(0)
    plain = Expert(ExpertSpec(size=64, width=0.05)).eval()
    keen = Expert(ExpertSpec(size=64, width=0.05, motion=3.0)).eval()
    keen.load_state_dict(plain.state_dict())
    still = torch.rand(2, 1, 3, 32, 64).expand(-1, 5, -1, -1, -1)
    torch.testing.assert_close(keen.embed_mouths(still), plain.embed_mouths(still))
    moves = 0.1 * torch.randn(2, 5, 3, 32, 64)
    moves = moves - moves.mean(dim=1, keepdim=True)
    torch.testing.assert_close(keen.embed_mouths(still + moves), plain.embed_mouths(still + 3 * moves))
    assert not torch.allclose(keen.embed_mouths(still + moves), plain.embed_mouths(still + moves))


def test_losses_on_known_values() -> None:
    one = torch.eye(4)
    assert agreement_loss(one, one).item() == pytest.approx(0, abs=1e-5)
    half = torch.full((2, 2), 0.5**0.5)
    assert agreement_loss(half, torch.eye(2)).item() == pytest.approx(-np.log(0.5**0.5), rel=1e-5)
    same = torch.tensor([1.0, 0.0])
    expected = -0.5 * (np.log(0.5**0.5) + np.log(1 - 0.5**0.5))
    assert agreement_loss(half, torch.eye(2), same).item() == pytest.approx(expected, rel=1e-5)
    assert contrast_loss(one, one).item() < 1e-4 < contrast_loss(one, one.roll(1, 0)).item()
    logits = torch.tensor([200.0])
    # On logits, a certain discriminator still tells the generator where to go: nothing saturates.
    assert adversarial_loss(-logits).item() == pytest.approx(200)
    assert discriminator_loss(logits, -logits).item() == pytest.approx(0)
