"""The Audio-Lip Memory: lip features in slots, and keys by which a voice recalls them.

M_lip (value), M_aud (key)   S x C each
A_lip = softmax(kappa * cosine(slots of M_lip, lips))       value addressing
A_aud = softmax(kappa * cosine(slots of M_aud, voice))      key addressing
training    recall A_lip . M_lip, and learn to recall the same by voice
inference   recall A_aud . M_lip: no lips are needed
L_store = || lips - A_lip . M_lip ||^2        the slots hold what lips look like
L_align = KL(A_lip || A_aud)                  the voice asks for the same slots as the lips
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Recall:
    """What the memory gives for N frames."""

    by_voice: torch.Tensor
    """(N, C) A_aud . M_lip."""
    by_lips: torch.Tensor | None = None
    """(N, C) A_lip . M_lip; None without lips."""
    store: torch.Tensor | None = None
    """L_store, a scalar."""
    align: torch.Tensor | None = None
    """L_align, a scalar."""


class AudioLipMemory(nn.Module):
    """S slots of C numbers, twice.

    From the authors' code: 96 slots of 512, kappa 16, slots drawn from N(0, 0.5^2), a linear layer on each
    query before the cosine, the store loss as a mean over C with the lips as a constant target, the alignment
    with A_lip as a constant target. So the store loss moves the slots (and, by its address, the lip encoder),
    and the alignment moves the key side alone: keys, their query layer and the voice encoder.
    """

    def __init__(self, dim: int = 512, slots: int = 96, kappa: float = 16.0) -> None:
        super().__init__()
        self.kappa = kappa
        self.key = nn.Parameter(0.5 * torch.randn(slots, dim))
        self.value = nn.Parameter(0.5 * torch.randn(slots, dim))
        self.ask_by_voice = nn.Linear(dim, dim)
        self.ask_by_lips = nn.Linear(dim, dim)

    def address(self, query: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """softmax(kappa * cosine): (N, C), (S, C) -> (N, S), rows that sum to 1."""
        cosine = nn.functional.normalize(query, dim=1) @ nn.functional.normalize(slots, dim=1).T
        return torch.softmax(self.kappa * cosine, dim=1)

    def forward(self, voice: torch.Tensor, lips: torch.Tensor | None = None) -> Recall:
        """(N, C) voice features and, in training, (N, C) lip features."""
        by_voice = self.address(self.ask_by_voice(voice), self.key)
        if lips is None:
            return Recall(by_voice @ self.value)
        place = self.ask_by_lips(lips)
        by_lips = self.address(place, self.value)
        recalled = by_lips @ self.value
        store = nn.functional.mse_loss(recalled, place.detach())
        return Recall(by_voice @ self.value, recalled, store, align_loss(by_lips, by_voice))


def align_loss(by_lips: torch.Tensor, by_voice: torch.Tensor) -> torch.Tensor:
    """KL(A_lip || A_aud), mean over frames, with no gradient to the lips' side; (N, S) each."""
    target = by_lips.detach()
    return (target * (torch.log(target + 1e-13) - torch.log(by_voice + 1e-13))).sum(dim=1).mean()
