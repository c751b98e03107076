"""SyncTalkFace's loss: reconstruction, memory, sync by voice and by lips, quality.

    10 L1 + 0.2 L_av + 0.2 L_vv + 0.2 L_gan + 0.2 (L_store + L_align)

Each of L1, L_av, L_vv and L_gan is the sum over two pictures, one recalled by voice and one by lips. The weights,
and L1 in [0, 1], are those of the authors' code.

Ours, for short training: a first phase without pictures (`pretrain`), in which the encoders and the memory learn alone,
and a term `shape` that tells them what to keep. The phase costs a fraction of a step that draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tkbench.errors import UsageError
from tkbench.models.face import seen_by_generator
from tkbench.models.layers import wide
from tkbench.models.synctalkface.lips import LipEncoder, lip_windows
from tkbench.models.synctalkface.memory import Recall
from tkbench.models.synctalkface.model import SyncTalkFace
from tkbench.models.wav2lip.expert import agreement_loss
from tkbench.models.wav2lip.quality import Quality
from tkbench.train.config import Config
from tkbench.train.objectives.base import (
    Batch,
    FaceLoss,
    FaceObjective,
    Step,
    face_l1,
    fooled,
    moved_loss,
    plain,
    sync_mels,
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
    """Windows of a batch that the second phase draws, 0 for all: the first phase can afford larger batches (ours)."""
    shape: float = 0.0
    """Weight of the shape of the mouth as a linear layer reads it from what is recalled (ours); see `shape_loss`."""


class SyncTalkFaceObjective(FaceObjective):
    """Windows of T frames, with two more on either side for the mouths around each frame."""

    net: SyncTalkFace
    weight: SyncTalkFaceLoss

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.weight = self.weights(SyncTalkFaceLoss)
        if self.weight.pretrain > 0 and self.net.memory is None:
            raise UsageError(
                "[loss] pretrain: without a memory ([net] memory = false) there is nothing to train first"
            )
        if self.weight.shape > 0:
            self.read_shapes(wide(512, self.net.spec.width))

    def needs_expert(self) -> bool:
        return self.weight.av > 0

    def step(self, batch: Batch, step: int, quality: Quality | None) -> Step:
        if step < self.weight.pretrain:
            return self.memory_step(batch)
        return self.face_step(self.first(batch, self.weight.drawn), step, quality)

    def memory_step(self, batch: Batch) -> Step:
        """Store, align and shape; nothing is drawn."""
        mouths = lip_windows(self.scaled(batch["video"]))
        recall = self.net.remember(batch["mels"].flatten(0, 1), mouths)
        parts = self.remembered(batch, recall)
        return Step(weighted(self.weight, parts), plain(parts))

    def remembered(self, batch: Batch, recall: Recall) -> dict[str, torch.Tensor]:
        """The terms of the memory, and what it misses of true mouths where that has a weight."""
        assert recall.by_lips is not None
        assert recall.store is not None
        assert recall.align is not None
        parts = {"store": recall.store, "align": recall.align}
        if self.weight.shape > 0:
            parts["shape"] = self.shape_loss(recall.by_voice, batch)
            parts["shape_lips"] = self.shape_loss(recall.by_lips, batch)
        return parts

    def face_step(self, batch: Batch, step: int, quality: Quality | None) -> Step:
        wide = self.scaled(batch["video"])
        target = self.inside(wide)
        size, frames = target.shape[:2]
        faces = seen_by_generator(target, self.scaled(batch["reference"])).flatten(0, 1)
        made = self.net.both(batch["mels"].flatten(0, 1), faces, lip_windows(wide))
        streams = tuple(s for s in (made.by_voice, made.by_lips) if s is not None)
        lit = [self.lit(s) for s in streams]
        real = self.lit(target).flatten(0, 1)

        parts = {**self.remembered(batch, made.recall), "gan": fooled(quality, tuple(lit))}
        parts["recon"] = torch.stack([face_l1(s, real, self.weight.mouth) for s in lit]).sum()
        if self.weight.warp > 0 and made.moved:
            parts["warp"] = torch.stack([moved_loss(self.lit(m), real) for m in made.moved]).sum()
        clips = [s.unflatten(0, (size, frames)) for s in lit]
        late = step >= self.weight.sync_from
        if self.weight.av > 0 and late:
            assert self.expert is not None
            heard = self.expert.hear(sync_mels(batch["mels"]))
            looks = [self.looks(clip, self.weight.soft) for clip in clips]
            parts["av"] = torch.stack([agreement_loss(look, heard) for look in looks]).sum()
        if self.weight.vv > 0 and late:
            with torch.no_grad():
                wanted = seen(self.net.lip_encoder, lip_windows(target))
            drawn = [s.unflatten(0, (size, frames)) for s in streams]
            apart = [(seen(self.net.lip_encoder, lip_windows(clip)) - wanted).abs().mean() for clip in drawn]
            parts["vv"] = torch.stack(apart).sum()
        total = weighted(self.weight, parts)
        parts["l1"] = nn.functional.l1_loss(lit[0].float(), real)
        return Step(total, plain(parts), real.detach(), tuple(s.detach() for s in lit))

    def sample(self, batch: Batch) -> torch.Tensor:
        target = self.scaled(self.inside(batch["video"]))
        faces = seen_by_generator(target, self.scaled(batch["reference"])).flatten(0, 1)
        return self.rows(batch, self.net(batch["mels"].flatten(0, 1), faces))


def seen(encoder: LipEncoder, windows: torch.Tensor) -> torch.Tensor:
    """Features of lips for L_vv, by a copy of the encoder: it moves the pictures, not the eye.

    So do the authors for drawn lips; their true lips go through the encoder itself. Ours: a copy for both, because an
    eye that learns from L_vv learns to see nothing (after 600 steps drawn and true lips differed by 0.0005 to it). And
    with the norms of inference, so that equal lips have equal features; with the batch's own, other windows beside
    them would make a difference that no picture can mend.
    """
    parts = {name: value.detach() for name, value in encoder.named_parameters()}
    training = encoder.training
    encoder.eval()
    features: torch.Tensor = torch.func.functional_call(encoder, parts, (windows,))
    encoder.train(training)
    return features
