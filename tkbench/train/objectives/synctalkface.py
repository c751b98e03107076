"""SyncTalkFace's loss: reconstruction, memory, sync by voice and by lips, quality.

    10 L1 + 0.2 L_av + 0.2 L_vv + 0.2 L_gan + 0.2 (L_store + L_align)

Each of L1, L_av, L_vv and L_gan is the sum over two pictures, one recalled by voice and one by lips. The weights,
and L1 in [0, 1], are those of the authors' code.

Ours, for short training: a first phase without pictures (`pretrain`), in which the encoders and the memory learn alone,
and a term `shape` that makes them keep what moves. A step of it costs a fraction of a step that draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tkbench.data.loader import TensorBatch
from tkbench.errors import UsageError
from tkbench.models.face import generator_input
from tkbench.models.layers import wide
from tkbench.models.synctalkface.lips import LipEncoder, lip_windows
from tkbench.models.synctalkface.memory import Recall
from tkbench.models.synctalkface.model import SyncTalkFace
from tkbench.models.wav2lip.expert import agreement_loss
from tkbench.models.wav2lip.quality import Quality
from tkbench.train.config import Config
from tkbench.train.objectives.base import (
    FaceLoss,
    FaceObjective,
    Step,
    detached,
    face_l1,
    first_windows,
    gan_term,
    sync_mels,
    warp_loss,
    weighted,
)


@dataclass(frozen=True, slots=True)
class SyncTalkFaceLoss(FaceLoss):
    """Weights; 0 switches a term off. `net.memory = false` leaves the memory out (the paper's ablation)."""

    recon: float = 10.0
    av: float = 0.2
    vv: float = 0.2
    store: float = 0.2
    align: float = 0.2
    pretrain: int = 0
    """Steps of the phase without pictures (ours)."""
    drawn: int = 0
    """Windows of a batch that the second phase draws, 0 for all: the first phase can use larger batches (ours)."""
    shape: float = 0.0
    """Weight of the shape of the mouth as a linear layer reads it from what is recalled (ours); see `shape_loss`."""


class SyncTalkFaceObjective(FaceObjective):
    """Windows of T frames, with two more on either side for the mouths around each frame."""

    loss_type = SyncTalkFaceLoss
    net: SyncTalkFace
    weight: SyncTalkFaceLoss

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if self.weight.pretrain > 0 and self.net.memory is None:
            raise UsageError(
                "[loss] pretrain: without a memory ([net] memory = false) there is nothing to train first"
            )
        if self.weight.shape > 0:
            self.add_shape_head(wide(512, self.net.spec.width))

    def needs_expert(self) -> bool:
        return self.weight.av > 0

    def step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        if step < self.weight.pretrain:
            return self.memory_step(batch)
        return self.face_step(first_windows(batch, self.weight.drawn), step, quality)

    def memory_step(self, batch: TensorBatch) -> Step:
        """Store, align and shape; nothing is drawn."""
        mouths = lip_windows(self.scaled(batch["video"]))
        recall = self.net.recall(batch["mels"].flatten(0, 1), mouths)
        parts = self.memory_terms(batch, recall)
        return Step(weighted(self.weight, parts), detached(parts))

    def memory_terms(self, batch: TensorBatch, recall: Recall) -> dict[str, torch.Tensor]:
        """The terms of the memory, and those of the shape of the mouth where `shape` has a weight."""
        assert recall.by_lips is not None
        assert recall.store is not None
        assert recall.align is not None
        parts = {"store": recall.store, "align": recall.align}
        if self.weight.shape > 0:
            parts["shape"] = self.shape_loss(recall.by_voice, batch)
            parts["shape_lips"] = self.shape_loss(recall.by_lips, batch)
        return parts

    def face_step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        wide = self.scaled(batch["video"])
        target = self.without_margin(wide)
        size, frames = target.shape[:2]
        faces = generator_input(target, self.scaled(batch["reference"])).flatten(0, 1)
        made = self.net.draw_both(batch["mels"].flatten(0, 1), faces, lip_windows(wide))
        streams = tuple(s for s in (made.by_voice, made.by_lips) if s is not None)
        drawn = [self.to_unit_range(s) for s in streams]
        real = self.to_unit_range(target).flatten(0, 1)

        parts = {**self.memory_terms(batch, made.recall), "gan": gan_term(quality, tuple(drawn))}
        parts["recon"] = torch.stack([face_l1(s, real, self.weight.mouth) for s in drawn]).sum()
        if self.weight.warp > 0 and made.warped:
            parts["warp"] = torch.stack([warp_loss(self.to_unit_range(w), real) for w in made.warped]).sum()
        clips = [s.unflatten(0, (size, frames)) for s in drawn]
        judged = step >= self.weight.sync_from
        if self.weight.av > 0 and judged:
            assert self.expert is not None
            voices = self.expert.embed_voice(sync_mels(batch["mels"]))
            mouths = [self.embed_drawn(clip, self.weight.soft) for clip in clips]
            parts["av"] = torch.stack([agreement_loss(mouth, voices) for mouth in mouths]).sum()
        if self.weight.vv > 0 and judged:
            encoder = self.net.lip_encoder
            with torch.no_grad():
                wanted = frozen_features(encoder, lip_windows(target))
            own_range = [s.unflatten(0, (size, frames)) for s in streams]
            gaps = [(frozen_features(encoder, lip_windows(c)) - wanted).abs().mean() for c in own_range]
            parts["vv"] = torch.stack(gaps).sum()
        total = weighted(self.weight, parts)
        parts["l1"] = nn.functional.l1_loss(drawn[0].float(), real)
        return Step(total, detached(parts), real.detach(), tuple(s.detach() for s in drawn))

    def sample(self, batch: TensorBatch) -> torch.Tensor:
        target = self.scaled(self.without_margin(batch["video"]))
        faces = generator_input(target, self.scaled(batch["reference"])).flatten(0, 1)
        return self.sample_rows(batch, self.net(batch["mels"].flatten(0, 1), faces))


def frozen_features(encoder: LipEncoder, windows: torch.Tensor) -> torch.Tensor:
    """Features of lips for L_vv, by a copy of the encoder: gradients reach the pictures, not the encoder.

    The authors freeze it for drawn lips only, and send true lips through the encoder itself. Ours: frozen for both,
    because an encoder that learns from L_vv learns to give all lips the same feature (after 600 steps drawn and true
    lips differed by 0.0005). Norms are those of inference, so that equal lips have equal features: with the norms of
    the batch, other windows in it would make a difference that no picture can remove.
    """
    parts = {name: value.detach() for name, value in encoder.named_parameters()}
    training = encoder.training
    encoder.eval()
    features: torch.Tensor = torch.func.functional_call(encoder, parts, (windows,))
    encoder.train(training)
    return features
