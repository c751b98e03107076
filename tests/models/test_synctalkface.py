"""The Audio-Lip Memory does what its equations say, and the gradients go where they should."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tkbench.errors import BadInput
from tkbench.models.spec import wide
from tkbench.models.synctalkface.lips import LipEncoder, lip_windows
from tkbench.models.synctalkface.memory import AudioLipMemory, Recall, align_loss, store_loss
from tkbench.models.synctalkface.model import SyncTalkFace
from tkbench.models.synctalkface.spec import SyncTalkFaceSpec
from tkbench.models.wav2lip.generator import encode

TINY = SyncTalkFaceSpec(size=64, width=0.05, slots=6)


@pytest.fixture
def memory() -> AudioLipMemory:
    torch.manual_seed(0)
    return AudioLipMemory(dim=12, slots=7)


def plain(memory: AudioLipMemory) -> AudioLipMemory:
    """Queries as they come."""
    for layer in (memory.ask_by_voice, memory.ask_by_lips):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return memory


def store(recall: Recall, *, detached: bool = True) -> torch.Tensor:
    assert recall.by_lips is not None
    assert recall.lips is not None
    return store_loss(recall.by_lips, recall.lips.query, detached=detached)


def align(recall: Recall) -> torch.Tensor:
    assert recall.lips is not None
    assert recall.voice is not None
    return align_loss(recall.lips.weights, recall.voice.weights)


def test_addresses_sum_to_one(memory: AudioLipMemory) -> None:
    address = memory.address(torch.randn(5, 12), memory.key)
    assert address.shape == (5, 7)
    torch.testing.assert_close(address.sum(dim=1), torch.ones(5))
    assert (address > 0).all()


def test_address_is_softmax_of_scaled_cosine(memory: AudioLipMemory) -> None:
    query = torch.randn(3, 12)
    cosine = torch.nn.functional.cosine_similarity(query[:, None], memory.key[None], dim=2)
    found = memory.address(query, memory.key)
    torch.testing.assert_close(found, torch.softmax(16 * cosine, dim=1))
    torch.testing.assert_close(memory.address(9 * query, memory.key), found)


def test_a_stored_slot_is_recalled_by_its_key(memory: AudioLipMemory) -> None:
    plain(memory).kappa = 200.0
    for slot in range(7):
        recalled = memory(memory.key[slot : slot + 1])
        torch.testing.assert_close(recalled.by_voice[0], memory.value[slot], rtol=0.05, atol=0.02)
        both = memory(memory.key[slot : slot + 1], memory.value[slot : slot + 1])
        torch.testing.assert_close(both.by_lips[0], memory.value[slot], rtol=0.05, atol=0.02)
        assert store(both).item() < 1e-3
        assert align(both).item() < 1e-2


def test_recall_by_voice_does_not_look_at_lips(memory: AudioLipMemory) -> None:
    voice = torch.randn(4, 12)
    torch.testing.assert_close(memory(voice).by_voice, memory(voice, torch.randn(4, 12)).by_voice)


def test_alignment_reaches_the_key_side_only(memory: AudioLipMemory) -> None:
    voice, lips = torch.randn(4, 12, requires_grad=True), torch.randn(4, 12, requires_grad=True)
    align(memory(voice, lips)).backward()
    assert voice.grad is not None
    assert voice.grad.abs().sum() > 0
    assert memory.key.grad.abs().sum() > 0
    assert memory.ask_by_voice.weight.grad.abs().sum() > 0
    assert lips.grad is None
    assert memory.value.grad is None
    assert memory.ask_by_lips.weight.grad is None


def test_storing_moves_the_slots_and_not_the_voice(memory: AudioLipMemory) -> None:
    voice, lips = torch.randn(4, 12, requires_grad=True), torch.randn(4, 12, requires_grad=True)
    store(memory(voice, lips)).backward()
    assert memory.value.grad.abs().sum() > 0
    assert memory.key.grad is None
    assert voice.grad is None


def test_the_papers_store_loss_also_draws_the_lips_to_what_can_be_stored(memory: AudioLipMemory) -> None:
    """By the authors' code lips learn from the store loss through their address alone; by the equation, as a target."""
    for detached in (True, False):
        lips = torch.randn(4, 12, requires_grad=True)
        recall = memory(torch.randn(4, 12), lips)
        assert recall.lips is not None
        recall.lips.query.retain_grad()
        recalled = recall.by_lips.detach()  # a constant, so that the target is all that is left
        loss = store_loss(recalled, recall.lips.query, detached=detached)
        torch.testing.assert_close(loss, (recalled - recall.lips.query).square().mean())
        assert loss.requires_grad is not detached
        if not detached:
            loss.backward()
            wanted = 2 * (recall.lips.query - recalled) / recalled.numel()
            torch.testing.assert_close(recall.lips.query.grad, wanted.detach())


def test_centred_queries_point_everywhere() -> None:
    """Frames that differ by a tenth of what they share: their cosines are near 1 as they come, and spread centred."""
    torch.manual_seed(0)
    frames = 5 * torch.randn(1, 32) + 0.5 * torch.randn(200, 32)

    def alike(query: torch.Tensor) -> float:
        unit = torch.nn.functional.normalize(query, dim=1)
        return float((unit @ unit.T).mean().detach())

    found = {}
    for centred in (False, True):
        memory = plain(AudioLipMemory(32, 8, centred=centred))
        assert bool(list(memory.buffers())) is centred
        query = memory.address_by_lips(frames).query
        found[centred] = alike(query)
        if centred:
            torch.testing.assert_close(query.mean(dim=0), torch.zeros(32), atol=1e-5, rtol=0)
            torch.testing.assert_close(query.var(dim=0, unbiased=False), torch.ones(32), atol=1e-3, rtol=0)
    assert found[False] > 0.95
    assert abs(found[True]) < 0.02


def test_align_is_the_divergence() -> None:
    lips = torch.tensor([[0.7, 0.2, 0.1]])
    voice = torch.tensor([[0.1, 0.2, 0.7]])
    expected = 0.7 * torch.log(torch.tensor(7.0)) + 0.1 * torch.log(torch.tensor(1 / 7))
    torch.testing.assert_close(align_loss(lips, voice), expected)
    assert align_loss(lips, lips).item() == pytest.approx(0, abs=1e-6)


def test_a_memory_learns_to_answer_the_voice_with_lips() -> None:
    """Storing and aligning alone, on twelve pairs: lips come back by voice where none were shown."""
    torch.manual_seed(0)
    voice, lips = torch.randn(12, 16), torch.randn(12, 16)
    memory = AudioLipMemory(dim=16, slots=24)
    optimiser = torch.optim.Adam(memory.parameters(), lr=2e-2)
    for _ in range(250):
        recall = memory(voice, lips)
        loss = store(recall) + align(recall)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        recall = memory(voice, lips)
        wanted = memory.ask_by_lips(lips)
    found = torch.nn.functional.cosine_similarity(recall.by_voice[:, None], wanted[None], dim=2)
    assert (found.argmax(dim=1) == torch.arange(12)).all()


def test_lip_windows_hide_the_upper_half() -> None:
    frames = torch.rand(2, 9, 3, 8, 8) + 1
    found = lip_windows(frames)
    assert found.shape == (10, 3, 5, 8, 8)
    assert (found[:, :, :, :4] == 0).all()
    torch.testing.assert_close(found[6, :, :, 4:], frames[1, 1:6, :, 4:].movedim(0, 1))


def test_network_shapes_and_paths() -> None:
    torch.manual_seed(0)
    net = SyncTalkFace(TINY).eval()
    mel, faces, lips = torch.randn(3, 80, 16), torch.rand(3, 6, 64, 64), torch.rand(3, 3, 5, 64, 64)
    made = net.draw_both(mel, faces, lips)
    by_voice, by_lips = (drawn.picture for drawn in made.drawn)
    assert by_voice.shape == by_lips.shape == (3, 3, 64, 64)
    torch.testing.assert_close(net(mel, faces), by_voice)
    # Inference does not look at lips; the training path does.
    other = net.draw_both(mel, faces, torch.rand(3, 3, 5, 64, 64))
    torch.testing.assert_close(other.drawn[0].picture, by_voice)
    assert not torch.equal(other.drawn[1].picture, by_lips)


def test_the_decoder_is_sometimes_without_the_voice() -> None:
    """In training, and there alone: then only what is recalled decides."""
    torch.manual_seed(0)
    net = SyncTalkFace(replace(TINY, voice_drop=0.5, dropout=0.0))
    faces = torch.rand(1, 6, 64, 64)
    scales = [scale.expand(64, -1, -1, -1) for scale in encode(net.identity_encoder.eval(), faces)]
    net.decoder.eval()
    net.output.eval()
    voice, recalled = torch.randn(2, 1, wide(512, 0.05)).expand(2, 64, -1)
    drawn = net.draw_from(recalled, voice, scales, faces.expand(64, -1, -1, -1)).picture
    kinds = torch.unique(drawn.flatten(1), dim=0)
    assert len(kinds) == 2
    without = net.draw_from(recalled, torch.zeros_like(voice), scales, faces.expand(64, -1, -1, -1)).picture
    share = torch.isclose(drawn, without[:1]).flatten(1).all(dim=1).float().mean()
    assert 0.3 < share < 0.7
    net.eval()
    assert (
        len(torch.unique(net.draw_from(recalled, voice, scales, faces.expand(64, -1, -1, -1)).picture, dim=0))
        == 1
    )
    with pytest.raises(BadInput, match="voice_drop = 1: a share"):
        replace(TINY, voice_drop=1.0)


def test_without_memory_the_voice_is_all_there_is() -> None:
    net = SyncTalkFace(replace(TINY, memory=False)).eval()
    assert not [name for name, _ in net.named_parameters() if name.startswith("memory")]
    made = net.draw_both(torch.randn(2, 80, 16), torch.rand(2, 6, 64, 64), torch.rand(2, 3, 5, 64, 64))
    assert made.recall.voice is made.recall.lips is None
    assert (made.recall.by_voice == 0).all()


def test_published_lip_encoder_shapes() -> None:
    with torch.device("meta"):
        net = LipEncoder()
        made = net(torch.zeros(2, 3, 5, 128, 128))
    assert made.shape == (2, 512)
    assert tuple(net.first.weight.shape) == (64, 3, 5, 7, 7)
