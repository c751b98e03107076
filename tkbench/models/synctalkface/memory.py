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
class Address:
    """Where N queries of one side point."""

    raw: torch.Tensor
    """(N, C) the query before it was centred."""
    query: torch.Tensor
    """(N, C) what was compared with the slots."""
    weights: torch.Tensor
    """(N, S) rows that sum to 1."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What the memory gives for N frames."""

    by_voice: torch.Tensor
    """(N, C) A_aud . M_lip."""
    voice: Address | None = None
    """A_aud; None without a memory."""
    by_lips: torch.Tensor | None = None
    """(N, C) A_lip . M_lip; None without lips."""
    lips: Address | None = None
    """A_lip; None without lips or without a memory."""


class AudioLipMemory(nn.Module):
    """S slots of C numbers, twice.

    From the authors' code: 96 slots of 512, kappa 16, slots drawn from N(0, 0.5^2), a linear layer on each
    query before the cosine, and the alignment with A_lip as a constant target: it moves the key side alone (keys, their
    query layer and the voice encoder).

    centred (ours): a batch norm without weights on each query. The features of all frames point nearly one way (the
    mean cosine between two frames is above 0.8), so that a cosine hardly tells them apart and a few slots win
    everywhere. Centred ones point everywhere, and their variance stays 1, so that no loss can be lowered by length.
    """

    def __init__(
        self, dim: int = 512, slots: int = 96, kappa: float = 16.0, *, centred: bool = False
    ) -> None:
        super().__init__()
        self.kappa = kappa
        self.key = nn.Parameter(0.5 * torch.randn(slots, dim))
        self.value = nn.Parameter(0.5 * torch.randn(slots, dim))
        self.ask_by_voice = nn.Linear(dim, dim)
        self.ask_by_lips = nn.Linear(dim, dim)
        self.centre_voice = nn.BatchNorm1d(dim, affine=False) if centred else nn.Identity()
        self.centre_lips = nn.BatchNorm1d(dim, affine=False) if centred else nn.Identity()

    def address(self, query: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """softmax(kappa * cosine): (N, C) queries, (S, C) slots -> (N, S)."""
        cosine = nn.functional.normalize(query, dim=1) @ nn.functional.normalize(slots, dim=1).T
        return torch.softmax(self.kappa * cosine, dim=1)

    def address_by_voice(self, voice: torch.Tensor) -> Address:
        """A_aud of (N, C) voice features."""
        raw = self.ask_by_voice(voice)
        query = self.centre_voice(raw)
        return Address(raw, query, self.address(query, self.key))

    def address_by_lips(self, lips: torch.Tensor) -> Address:
        """A_lip of (N, C) lip features. The query is also what L_store wants to have back."""
        raw = self.ask_by_lips(lips)
        query = self.centre_lips(raw)
        return Address(raw, query, self.address(query, self.value))

    def forward(self, voice: torch.Tensor, lips: torch.Tensor | None = None) -> Recall:
        """(N, C) voice features and, in training, (N, C) lip features."""
        heard = self.address_by_voice(voice)
        if lips is None:
            return Recall(heard.weights @ self.value, heard)
        seen = self.address_by_lips(lips)
        return Recall(heard.weights @ self.value, heard, seen.weights @ self.value, seen)


def store_loss(recalled: torch.Tensor, lips: torch.Tensor, *, detached: bool) -> torch.Tensor:
    """L_store as a mean over frames and features; (N, C) each.

    detached: the lips are a constant target, as in the authors' code, so that the loss moves the slots and, through
    A_lip, the lip encoder. Otherwise, as in the paper's equation, it also draws the lips to what can be stored.
    """
    return nn.functional.mse_loss(recalled, lips.detach() if detached else lips)


def align_loss(by_lips: torch.Tensor, by_voice: torch.Tensor) -> torch.Tensor:
    """KL(A_lip || A_aud), mean over frames, with no gradient to the lips' side; (N, S) each."""
    target = by_lips.detach()
    return (target * (torch.log(target + 1e-13) - torch.log(by_voice + 1e-13))).sum(dim=1).mean()
