"""Slots of a memory: which win, and what becomes of those that never do."""

from __future__ import annotations

import pytest
import torch

from tkbench.models.synctalkface.memory import Address, AudioLipMemory, Recall
from tkbench.train.objectives.slots import DECAY, SlotUse, forget, won


@pytest.fixture
def memory() -> AudioLipMemory:
    torch.manual_seed(0)
    memory = AudioLipMemory(dim=12, slots=6)
    for layer in (memory.ask_by_voice, memory.ask_by_lips):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return memory


def address_of(weights: torch.Tensor) -> Address:
    nothing = torch.zeros(len(weights), 2)
    return Address(nothing, nothing, weights)


def test_the_share_of_frames_that_a_slot_wins() -> None:
    weights = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1]])
    assert won(address_of(weights)).tolist() == [0.25, 0.75, 0]


def test_use_is_a_running_share() -> None:
    use = SlotUse(3)
    weights = torch.eye(3)[[0, 0, 2, 0]]
    address = address_of(weights)
    recall = Recall(torch.zeros(4, 2), address, torch.zeros(4, 2), address)
    for _ in range(400):
        use.count(recall)
    torch.testing.assert_close(use.lips, torch.tensor([0.75, 0, 0.25]), atol=1e-3, rtol=0)
    assert use.in_use() == {"slots_lips": 2, "slots_voice": 2}
    use.count(Recall(torch.zeros(4, 2), address, torch.zeros(4, 2), address_of(torch.eye(3)[[1] * 4])))
    assert float(use.lips[1]) == pytest.approx(1 - DECAY)


def test_a_dead_slot_begins_again_at_a_frame_and_a_living_one_stays(memory: AudioLipMemory) -> None:
    voice, lips = torch.randn(9, 12), torch.randn(9, 12)
    recall = memory(voice, lips)
    use = SlotUse(6)
    use.lips += torch.tensor([0.5, 0, 0.2, 0, 0.1, 0.2])
    use.voice += 1 / 6
    before = memory.value.detach().clone(), memory.key.detach().clone()
    values, keys = use.restart(memory, recall, 0.01, seed=1)
    assert values.tolist() == keys.tolist() == [1, 3]
    places = []
    for slot in range(6):
        if slot not in (1, 3):
            assert torch.equal(memory.value[slot], before[0][slot])
            assert torch.equal(memory.key[slot], before[1][slot])
            continue
        [place] = [f for f in range(9) if torch.allclose(memory.value[slot], lips[f])]
        torch.testing.assert_close(memory.key[slot], voice[place])
        places.append(place)
    assert len(set(places)) == 2
    torch.testing.assert_close(use.lips[[1, 3]], torch.full((2,), 1 / 6))
    # Now the same voice and lips find it.
    again = memory(voice, lips)
    assert {int(again.lips.weights[f].argmax()) for f in places} == {1, 3}
    assert {int(again.voice.weights[f].argmax()) for f in places} == {1, 3}


def test_a_slot_that_only_the_voice_misses_gets_a_new_key(memory: AudioLipMemory) -> None:
    voice, lips = torch.randn(40, 12), torch.randn(40, 12)
    recall = memory(voice, lips)
    chosen = recall.lips.weights.argmax(dim=1)
    slot = int(chosen.mode().values)
    use = SlotUse(6)
    use.lips += 1 / 6
    use.voice += 1 / 6
    use.voice[slot] = 0
    value = memory.value.detach().clone()
    values, keys = use.restart(memory, recall, 0.01, seed=1)
    assert values.tolist() == []
    assert keys.tolist() == [slot]
    assert torch.equal(memory.value, value)
    [place] = [f for f in range(40) if torch.allclose(memory.key[slot], voice[f])]
    assert chosen[place] == slot


def test_a_seed_decides_where_slots_begin(memory: AudioLipMemory) -> None:
    recall = memory(torch.randn(30, 12), torch.randn(30, 12))
    found = []
    for seed in (1, 1, 2):
        SlotUse(6).restart(memory, recall, 0.01, seed)
        found.append(memory.value.detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_moments_of_new_slots_are_forgotten(memory: AudioLipMemory) -> None:
    adam = torch.optim.Adam(memory.parameters(), lr=0.1)
    forget(adam, memory.value, torch.tensor([2]))
    memory(torch.randn(4, 12), torch.randn(4, 12)).by_lips.square().sum().backward()
    adam.step()
    forget(adam, memory.value, torch.tensor([2]))
    kept = adam.state[memory.value]
    for name in ("exp_avg", "exp_avg_sq"):
        assert (kept[name][2] == 0).all()
        assert (kept[name][3] != 0).any()
    assert kept["step"] == 1
