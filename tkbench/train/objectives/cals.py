"""CALS's loss, in two phases: masked prediction of lip motion units, then faces from units.

    phase 1   units     L1 + (1 - cosine) to the lip motion units of the true mouths, sounds masked
              shape     what a linear layer reads from each unit is the shape of the mouth, where asked for
    phase 2   recon     L1 of the face
              units     as before, nothing masked, so that units stay units; shape likewise
              av        d_av: a drawn mouth is closest to its own sound, among sounds of other times and clips
              vv        d_vv: a drawn mouth is closest to its own true mouth, among mouths of other times and clips
              gan       quality
              amplitude drawn mouths open as far as true ones, where asked for; its reader learns in both phases

Of this the paper is known to have masked learning, the two sync terms, and their discriminative kind. Targets
(what the frozen expert sees in the five frames around each one), InfoNCE with a temperature of 0.07, phase
lengths and weights are ours.
"""

from __future__ import annotations

import math

import torch

from tkbench.data.loader import TensorBatch
from tkbench.errors import UsageError
from tkbench.models.cals.audio_to_lip import draw_mask, unit_loss
from tkbench.models.cals.model import CALS
from tkbench.models.face import generator_input
from tkbench.models.wav2lip.expert import contrast_loss, windows_of
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
from tkbench.train.objectives.terms import CALSLoss


class CALSObjective(FaceObjective):
    """Windows of T frames, with two more on either side for the mouths around each frame."""

    net: CALS
    weight: CALSLoss

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sound = self.net.context
        if self.weight.shape > 0:
            self.add_shape_head(self.net.spec.voice.units)

    def step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        if step < self.weight.pretrain:
            return self.masked_step(batch)
        return self.face_step(first_windows(batch, self.weight.drawn), step, quality)

    def true_units(self, batch: TensorBatch) -> torch.Tensor:
        """(B, T, units): what the expert sees in the five frames around each frame, of unit variance or so."""
        assert self.expert is not None
        with torch.no_grad():
            wide = self.to_unit_range(self.scaled(batch["video"]))
            units = self.expert.embed_mouths(windows_of(wide)).unflatten(0, (len(wide), -1))
        if units.shape[2] != self.net.spec.voice.units:
            raise UsageError(
                f"[net.voice] units = {self.net.spec.voice.units}: the expert's embeddings have {units.shape[2]}; set "
                f"it to {units.shape[2]}, or give an --expert of that width"
            )
        return units * math.sqrt(units.shape[2])

    def masked_step(self, batch: TensorBatch) -> Step:
        target, mels = self.true_units(batch), batch["mels"]
        masked = draw_mask(len(mels), mels.shape[1], self.weight.masked, self.weight.longest).to(mels.device)
        units = self.net.audio_to_lip(mels, masked)
        masked = masked[:, self.sound : self.sound + target.shape[1]]
        loss = unit_loss(units, target)
        parts = {
            "units": loss,
            "masked": unit_loss(units, target, masked),
            # The loss of a predictor that does not hear: the level to compare `masked` with.
            "mean": unit_loss(target.mean(dim=(0, 1)).expand_as(target), target, masked),
        }
        if self.weight.shape > 0:
            parts["shape"] = self.shape_loss(units, batch)
            loss = loss + self.weight.shape * parts["shape"]
        if self.weight.amplitude > 0:
            real = self.to_unit_range(self.scaled(self.without_margin(batch["video"])))
            parts["amplitude_reader"] = self.reader_loss(real.flatten(0, 1), batch["mouth"].flatten(0, 1))[0]
            loss = loss + self.weight.amplitude * parts["amplitude_reader"]
        return Step(loss, detached(parts))

    def face_step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        units = self.net.audio_to_lip(batch["mels"])
        parts: dict[str, torch.Tensor] = {}
        if self.weight.units > 0:
            parts["units"] = unit_loss(units, self.true_units(batch))
        if self.weight.shape > 0:
            parts["shape"] = self.shape_loss(units, batch)
        units, batch = self.drawn_frames(units, batch)
        target = self.scaled(batch["video"])
        size, frames = target.shape[:2]
        faces = generator_input(target, self.scaled(batch["reference"]))
        drawn = self.net.draw(units.flatten(0, 1), faces.flatten(0, 1))
        made, real = self.to_unit_range(drawn.picture), self.to_unit_range(target).flatten(0, 1)

        parts["recon"] = face_l1(made, real, self.weight.mouth)
        parts["gan"] = gan_term(quality, (made,))
        if self.weight.warp > 0 and drawn.warped is not None:
            parts["warp"] = warp_loss(self.to_unit_range(drawn.warped), real)
        if self.openings:
            opening = batch["opening"].flatten(0, 1)
            parts["inside"], parts["solid"] = inside_losses(made, real, drawn.share, opening)
        mouth = batch["mouth"].flatten(0, 1) if self.mouths else made.new_zeros(0)
        terms, told = self.amplitude_terms(made, real, mouth, step)
        parts |= terms
        if max(self.weight.av, self.weight.vv) > 0 and step >= self.weight.sync_from:
            assert self.expert is not None
            picked = torch.arange(0, frames - 4, self.weight.stride, device=made.device)
            place = (torch.arange(size, device=made.device)[:, None] * (frames - 4) + picked).flatten()
            mouths = self.embed_drawn(made.unflatten(0, (size, frames)), self.weight.soft, place)
            if self.weight.av > 0:
                voices = self.expert.embed_voice(sync_mels(batch["mels"])[place])
                parts["av"] = contrast_loss(mouths, voices, self.weight.temperature)
            if self.weight.vv > 0:
                with torch.no_grad():
                    true = self.expert.embed_mouths(windows_of(self.to_unit_range(target))[place])
                parts["vv"] = contrast_loss(mouths, true, self.weight.temperature)
        total = weighted(self.weight, parts)
        return Step(total, detached(parts | told), real.detach(), (made.detach(),))

    def drawn_frames(self, units: torch.Tensor, batch: TensorBatch) -> tuple[torch.Tensor, TensorBatch]:
        """The frames that are drawn, a run without the margin: their units, and their part of the batch."""
        frames = units.shape[1]
        count = self.weight.drawn_frames or frames
        start = int(torch.randint(0, frames - count + 1, ()))
        part = slice(start, start + count)
        heard = slice(self.sound + start, self.sound + start + count)
        return units[:, part], {
            "video": self.without_margin(batch["video"])[:, part],
            "reference": batch["reference"][:, part],
            "mels": batch["mels"][:, heard],
            **({"opening": batch["opening"][:, part]} if self.openings else {}),
            **({"mouth": batch["mouth"][:, part]} if self.mouths else {}),
        }

    def sample(self, batch: TensorBatch) -> torch.Tensor:
        target = self.scaled(self.without_margin(batch["video"]))
        faces = generator_input(target, self.scaled(batch["reference"]))
        return self.sample_rows(batch, self.net.draw_clips(batch["mels"], faces).flatten(0, 1))
