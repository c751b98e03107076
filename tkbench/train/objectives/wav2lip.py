"""Wav2Lip's loss: (1 - s - g) L1 + s L_sync + g L_gan, with s = 0.03 once faces are worth judging, and g = 0.07.

Rudrabha/Wav2Lip hq_wav2lip_train.py turns s on when the validation sync loss falls below 0.75; a step count here
(ours), so that a run depends on its configuration alone.
"""

from __future__ import annotations

import torch

from tkbench.data.loader import TensorBatch
from tkbench.models.face import generator_input
from tkbench.models.wav2lip.expert import agreement_loss
from tkbench.models.wav2lip.generator import Wav2Lip
from tkbench.models.wav2lip.quality import Quality
from tkbench.train.objectives.base import (
    FaceObjective,
    Step,
    detached,
    face_l1,
    gan_term,
    inside_losses,
    sync_mels,
    warp_loss,
)
from tkbench.train.objectives.terms import Wav2LipLoss


class Wav2LipObjective(FaceObjective):
    """Windows of T frames."""

    margin = 0
    net: Wav2Lip
    weight: Wav2LipLoss

    def step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        target = self.scaled(batch["video"])
        faces = generator_input(target, self.scaled(batch["reference"])).flatten(0, 1)
        drawn = self.net.draw(batch["mels"].flatten(0, 1), faces)
        made = drawn.picture
        real = target.flatten(0, 1)
        parts = {"recon": face_l1(made, real, self.weight.mouth), "gan": gan_term(quality, (made,))}
        sync = self.weight.sync if step >= self.weight.sync_from else 0.0
        gan = self.weight.gan if quality is not None else 0.0
        total = (1 - sync - gan) * parts["recon"] + gan * parts["gan"]
        if self.weight.warp > 0 and drawn.warped is not None:
            parts["warp"] = warp_loss(drawn.warped, real)
            total = total + self.weight.warp * parts["warp"]
        if self.openings:
            opening = batch["opening"].flatten(0, 1)
            parts["inside"], parts["solid"] = inside_losses(made, real, drawn.share, opening)
            total = total + self.weight.inside * parts["inside"] + self.weight.solid * parts["solid"]
        mouth = batch["mouth"].flatten(0, 1) if self.mouths else made.new_zeros(0)
        terms, told = self.amplitude_terms(made, real, mouth, step)
        parts |= terms
        if terms:
            total = total + self.weight.amplitude * torch.stack(list(terms.values())).sum()
        if self.expert is not None:
            mouths = self.embed_drawn(made.unflatten(0, target.shape[:2]), self.weight.soft)
            parts["sync"] = agreement_loss(mouths, self.expert.embed_voice(sync_mels(batch["mels"])))
            total = total + sync * parts["sync"]
        return Step(total, detached(parts | told), real.detach(), (made.detach(),))

    def sample(self, batch: TensorBatch) -> torch.Tensor:
        faces = generator_input(self.scaled(batch["video"]), self.scaled(batch["reference"]))
        return self.sample_rows(batch, self.net(batch["mels"].flatten(0, 1), faces.flatten(0, 1)))
