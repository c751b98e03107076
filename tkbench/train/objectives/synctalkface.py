"""SyncTalkFace's loss: reconstruction, memory, sync by voice and by lips, quality.

    10 L1 + 0.2 L_av + 0.2 L_vv + 0.2 L_gan + 0.2 (L_store + L_align)

Each of L1, L_av, L_vv and L_gan is the sum over two pictures, one recalled by voice and one by lips. The weights,
and L1 in [0, 1], are those of the authors' code.

Ours, for short training: a first phase without pictures (`pretrain`), in which the encoders and the memory learn alone,
and a term `shape` that makes them keep what moves. A step of it costs a fraction of a step that draws.

Ours, for a memory that is used: encoders learn shapes before anything is stored (`memory_from`), voice and lips are to
ask alike (`agree`), and slots that never win begin again (`restart`; `tkbench.train.objectives.slots`). How many slots
are in use, and how much of the lip features the recall explains, stand in every report: a collapse shows there within
minutes.
"""

from __future__ import annotations

import torch
from torch import nn

from tkbench.data.loader import TensorBatch
from tkbench.models.face import generator_input
from tkbench.models.spec import wide
from tkbench.models.synctalkface.lips import LipEncoder, lip_windows
from tkbench.models.synctalkface.memory import Recall, align_loss, store_loss
from tkbench.models.synctalkface.model import SyncTalkFace
from tkbench.models.wav2lip.expert import agreement_loss
from tkbench.models.wav2lip.quality import Quality
from tkbench.train.config import Config
from tkbench.train.objectives.base import (
    FaceObjective,
    Step,
    detached,
    face_l1,
    first_windows,
    gan_term,
    inside_losses,
    sync_mels,
    warp_loss,
    weighted,
)
from tkbench.train.objectives.slots import SlotUse, forget
from tkbench.train.objectives.terms import SyncTalkFaceLoss
from tkbench.train.steps import seed_of


class SyncTalkFaceObjective(FaceObjective):
    """Windows of T frames, with two more on either side for the mouths around each frame."""

    net: SyncTalkFace
    weight: SyncTalkFaceLoss

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if self.weight.shape > 0:
            self.add_shape_head(wide(512, self.net.spec.width))
        if self.net.memory is not None:
            self.use = SlotUse(self.net.spec.slots)
            self.heads["slots"] = self.use
        self.last: Recall | None = None
        """What the memory gave in the last training step, for `after`."""

    def step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        if step < self.weight.pretrain:
            return self.memory_step(batch, step)
        return self.face_step(first_windows(batch, self.weight.drawn), step, quality)

    def memory_step(self, batch: TensorBatch, step: int) -> Step:
        """Store, align and shape; nothing is drawn."""
        mouths = lip_windows(self.scaled(batch["video"]))
        recall = self.net.recall(batch["mels"].flatten(0, 1), mouths)
        if step < self.weight.memory_from:
            parts = self.encoder_terms(batch, recall)
        else:
            parts = self.memory_terms(batch, recall)
        if self.weight.amplitude > 0:
            real = self.to_unit_range(self.scaled(self.without_margin(batch["video"]))).flatten(0, 1)
            parts["amplitude_reader"] = self.reader_loss(real, batch["mouth"].flatten(0, 1))[0]
        total = weighted(self.weight, parts)
        return Step(total, detached(parts | self.health(recall)))

    def encoder_terms(self, batch: TensorBatch, recall: Recall) -> dict[str, torch.Tensor]:
        """The shapes of mouths, read from queries that are not yet centred: what is learned before there is a memory.

        A batch holds few people, and centred by it their looks drown what little their mouths differ: after 250 steps
        lips missed 0.49 of the shapes so, and 0.97 read from centred queries.
        """
        self.last = recall
        assert recall.voice is not None
        assert recall.lips is not None
        parts = {
            "shape": self.shape_loss(recall.voice.raw, batch),
            "shape_lips": self.shape_loss(recall.lips.raw, batch),
        }
        if self.weight.agree > 0:
            parts["agree"] = agree_loss(recall.voice.query, recall.lips.query)
        return parts

    def memory_terms(self, batch: TensorBatch, recall: Recall) -> dict[str, torch.Tensor]:
        """The terms of the memory, and those of the shape of the mouth where `shape` has a weight."""
        self.last = recall
        assert recall.by_lips is not None
        parts: dict[str, torch.Tensor] = {}
        if recall.lips is not None:
            assert recall.voice is not None
            parts["store"] = store_loss(
                recall.by_lips, recall.lips.query, detached=self.weight.store_detached
            )
            parts["align"] = align_loss(recall.lips.weights, recall.voice.weights)
            if self.weight.agree > 0:
                parts["agree"] = agree_loss(recall.voice.query, recall.lips.query)
        if self.weight.shape > 0:
            parts["shape"] = self.shape_loss(recall.by_voice, batch)
            parts["shape_lips"] = self.shape_loss(recall.by_lips, batch)
        return parts

    @torch.no_grad()
    def health(self, recall: Recall) -> dict[str, torch.Tensor]:
        """For the log: slots in use, and the share of the lip features that is recalled, by lips and by voice.

        A batch of validation is of one or two people, and what differs between people is missing from its spread. So it
        is measured there against the variance over everybody, which is 1 where queries are centred.
        """
        if recall.lips is None:
            return {}
        if self.training:
            self.use.count(recall)
        wanted = recall.lips.query
        assert recall.by_lips is not None
        spread = 1.0 if self.net.spec.centred and not self.training else None
        return self.use.in_use() | {
            "explained_lips": explained(recall.by_lips, wanted, spread),
            "explained_voice": explained(recall.by_voice, wanted, spread),
        }

    def after(self, step: int, optimiser: torch.optim.Optimizer) -> None:
        """Begin dead slots again, with what the memory was asked in this step."""
        recall, self.last = self.last, None
        weight, memory = self.weight, self.net.memory
        begins = weight.memory_from > 0 and step == weight.memory_from - 1
        lives = weight.memory_from <= step < weight.restart_until and weight.restart > 0
        if memory is None or recall is None or not (begins or lives):
            return
        if begins:
            self.use.lips.zero_()
        values, keys = self.use.restart(
            memory, recall, max(weight.restart, 1e-9), seed_of(self.config.seed, step, 0)
        )
        forget(optimiser, memory.value, values)
        forget(optimiser, memory.key, keys)

    def face_step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        wide = self.scaled(batch["video"])
        target = self.without_margin(wide)
        size, frames = target.shape[:2]
        faces = generator_input(target, self.scaled(batch["reference"])).flatten(0, 1)
        made = self.net.draw_both(batch["mels"].flatten(0, 1), faces, lip_windows(wide))
        drawn = [self.to_unit_range(d.picture) for d in made.drawn]
        real = self.to_unit_range(target).flatten(0, 1)

        parts = {**self.memory_terms(batch, made.recall), "gan": gan_term(quality, tuple(drawn))}
        parts["recon"] = torch.stack([face_l1(s, real, self.weight.mouth) for s in drawn]).sum()
        if self.weight.warp > 0:
            moved = [self.to_unit_range(d.warped) for d in made.drawn if d.warped is not None]
            parts["warp"] = torch.stack([warp_loss(w, real) for w in moved]).sum()
        if self.openings:
            opening = batch["opening"].flatten(0, 1)
            both = [inside_losses(s, real, d.share, opening) for s, d in zip(drawn, made.drawn, strict=True)]
            parts["inside"], parts["solid"] = (torch.stack(terms).sum() for terms in zip(*both, strict=True))
        mouth = batch["mouth"].flatten(0, 1) if self.mouths else real.new_zeros(0)
        terms, told = self.amplitude_terms(drawn[0], real, mouth, step)
        parts |= terms
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
            own_range = [d.picture.unflatten(0, (size, frames)) for d in made.drawn]
            gaps = [(frozen_features(encoder, lip_windows(c)) - wanted).abs().mean() for c in own_range]
            parts["vv"] = torch.stack(gaps).sum()
        total = weighted(self.weight, parts)
        parts["l1"] = nn.functional.l1_loss(drawn[0].float(), real)
        parts |= self.health(made.recall) | told
        return Step(total, detached(parts), real.detach(), tuple(s.detach() for s in drawn))

    def sample(self, batch: TensorBatch) -> torch.Tensor:
        target = self.scaled(self.without_margin(batch["video"]))
        faces = generator_input(target, self.scaled(batch["reference"])).flatten(0, 1)
        return self.sample_rows(batch, self.net(batch["mels"].flatten(0, 1), faces))


def agree_loss(voice: torch.Tensor, lips: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the centred queries by voice and by lips, (N, C) each: 0 to 4, 2 without relation.

    Ours. Once lips are drawn to what can be stored, they drift to what groups most easily, and that is whose lips they
    are: after 900 steps the slots by lips explained 0.91 of the lip features and those by voice 0.20. What both sides
    know of is what is said. Neither can shrink, because both are centred with a variance of 1.
    """
    return nn.functional.mse_loss(voice.float(), lips.float())


def explained(made: torch.Tensor, wanted: torch.Tensor, spread: float | None = None) -> torch.Tensor:
    """The share of the variance of `wanted` (N, C) that `made` explains: 1 is all, 0 a memory that is one constant.

    spread: the variance, where it is known; None takes that of these N.
    """
    made, wanted = made.float(), wanted.float()
    variance = (wanted - wanted.mean(dim=0)).square().mean().clamp(min=1e-12) if spread is None else spread
    return 1 - (made - wanted).square().mean() / variance


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
