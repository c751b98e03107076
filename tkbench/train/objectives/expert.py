"""The sync expert's loss: binary cross-entropy of the cosine, as Wav2Lip trains it, and optionally InfoNCE.

Wav2Lip pairs a mouth with its own sound (1) or with that of another time of the same clip (0). InfoNCE
over the batch (ours, `contrast`) gives each mouth all other sounds of the batch for negatives, of its own clip and of
others: many more pairs per step, meant for little data.
"""

from __future__ import annotations

import torch

from tkbench.data.loader import TensorBatch
from tkbench.models.wav2lip.expert import Expert, agreement_loss, contrast_loss, windows_of
from tkbench.train.objectives.base import Objective, Step, detached, sync_mels
from tkbench.train.objectives.terms import ExpertLoss


class ExpertObjective(Objective):
    """Windows of T frames: T - 4 runs of five, every `stride`-th of them."""

    margin = 0
    net: Expert
    weight: ExpertLoss

    def step(self, batch: TensorBatch, step: int, quality: object) -> Step:
        video, mels = self.scaled(batch["video"]), batch["mels"]
        size, frames = video.shape[:2]
        picked = torch.arange(0, frames - 4, self.weight.stride, device=mels.device)
        place = (torch.arange(size, device=mels.device)[:, None] * (frames - 4) + picked).flatten()
        other = batch["reference_mel"][:, :, : mels.shape[3]]
        mouths = self.net.embed_mouths(windows_of(video)[place])
        voices = self.net.embed_voice(torch.cat([sync_mels(mels)[place], other]))
        true, false = voices[: len(place)], voices[len(place) :]
        firsts = mouths[:: len(picked)]
        same = torch.cat([torch.ones(len(true)), torch.zeros(len(false))]).to(mels.device)
        # As many pairs that belong together as pairs that do not, whatever the length of a window.
        balance = torch.where(same > 0, 0.5 / len(true), 0.5 / len(false))
        p = (torch.cat([mouths, firsts]).float() * voices.float()).sum(dim=1).clamp(1e-6, 1 - 1e-6)
        bce = -(balance * torch.where(same > 0, p.log(), (1 - p).log())).sum()
        contrast = contrast_loss(mouths, true, self.weight.temperature)
        total = self.weight.bce * bce + self.weight.contrast * contrast
        ranks = (mouths.float() @ true.float().T).argmax(dim=1)
        right = (ranks == torch.arange(len(ranks), device=ranks.device)).float().mean()
        parts = {"bce": bce, "contrast": contrast, "found": right, "agree": agreement_loss(mouths, true)}
        return Step(total, detached(parts))
