"""The health of an Audio-Lip Memory in training: how often each slot wins, and what becomes of slots that never do.

A slot that wins nowhere gets no gradient and stays where it is for ever. As in codebooks of vector-quantised networks
(Dhariwal et al., "Jukebox", 2020, restart codes that are used too little at outputs of the encoder), such a slot begins
again at a frame of the batch: its value at the lips, its key at the voice of the same frame. Ours: neither paper nor
code of SyncTalkFace does it.
"""

from __future__ import annotations

import torch
from torch import nn

from tkbench.models.synctalkface.memory import Address, AudioLipMemory, Recall

DECAY = 0.98
"""Of the running share of frames that a slot wins: what happened 50 steps ago counts a third."""
USED = 0.005
"""A slot is in use if it wins at least this share of the frames."""


class SlotUse(nn.Module):
    """The running share of frames that each slot wins, by lips and by voice; part of a run's state."""

    lips: torch.Tensor
    voice: torch.Tensor

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.register_buffer("lips", torch.zeros(slots))
        self.register_buffer("voice", torch.zeros(slots))

    @torch.no_grad()
    def count(self, recall: Recall) -> None:
        """Take in the winners of a batch, those of all ranks together."""
        assert recall.lips is not None
        assert recall.voice is not None
        for kept, address in ((self.lips, recall.lips), (self.voice, recall.voice)):
            kept.lerp_(_everywhere_mean(won(address)), 1 - DECAY)

    def in_use(self) -> dict[str, torch.Tensor]:
        """Slots in use by lips and by voice, for the log."""
        return {
            "slots_lips": (self.lips >= USED).sum().float(),
            "slots_voice": (self.voice >= USED).sum().float(),
        }

    @torch.no_grad()
    def restart(
        self, memory: AudioLipMemory, recall: Recall, below: float, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Begin slots again that win less than `below` of the frames; the same on every rank.

        A slot that lips never choose begins again whole. One that only the voice never chooses gets a new key alone,
        the voice of a frame whose lips choose it, as soon as a batch has one. Returns the numbers of the slots whose
        values, and of those whose keys, are new.
        """
        assert recall.lips is not None
        assert recall.voice is not None
        seen, heard = _of_first_rank(recall.lips.query.detach(), recall.voice.query.detach())
        # Matrix products of mixed precision give queries of fewer bits; slots are full floats.
        seen, heard = seen.to(memory.value.dtype), heard.to(memory.key.dtype)
        chance = torch.Generator().manual_seed(seed)
        fresh = torch.randperm(len(seen), generator=chance)
        dead = torch.nonzero(self.lips < below).flatten().cpu()
        dead = dead[torch.randperm(len(dead), generator=chance)][: len(fresh)].sort().values
        values = dead.to(seen.device)
        frames = fresh[: len(dead)].to(seen.device)
        memory.value[values], memory.key[values] = seen[frames], heard[frames]
        level = 1 / len(self.lips)
        self.lips[values] = self.voice[values] = level

        winners = memory.address(seen, memory.value).argmax(dim=1)
        keys = [values]
        for slot in torch.nonzero(self.voice < below).flatten():
            shown = torch.nonzero(winners == slot).flatten()
            if len(shown):
                pick = int(torch.randint(len(shown), (), generator=chance))
                memory.key[slot] = heard[shown[pick]]
                self.voice[slot] = level
                keys.append(slot[None])
        return values, torch.cat(keys)


def won(address: Address) -> torch.Tensor:
    """(S,) the share of frames in which each slot has the largest weight."""
    winners = address.weights.argmax(dim=1)
    return torch.bincount(winners, minlength=address.weights.shape[1]).float() / len(winners)


def forget(optimiser: torch.optim.Optimizer, slots: nn.Parameter, rows: torch.Tensor) -> None:
    """Clear an optimiser's moments of those rows: they belong to slots that no longer exist."""
    for value in optimiser.state.get(slots, {}).values():
        if isinstance(value, torch.Tensor) and value.shape == slots.shape:
            value[rows] = 0


def _everywhere_mean(value: torch.Tensor) -> torch.Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value


def _of_first_rank(*values: torch.Tensor) -> list[torch.Tensor]:
    out = [value.contiguous() for value in values]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for value in out:
            torch.distributed.broadcast(value, 0)
    return out
