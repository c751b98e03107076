"""The tables `[loss]` of configurations: weights and switches of the terms; 0 switches a term off.

Each says which sizes of the network and windows it fits, so that a wrong one is refused before torch is loaded; the
objectives beside this file compute the terms.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from tkbench.errors import UsageError
from tkbench.models.spec import check_count, check_share
from tkbench.models.wav2lip.spec import FRAMES


@dataclass(frozen=True, slots=True)
class Loss:
    """What every table has; a `NetworkKind` names its own."""

    def needs_expert(self) -> bool:
        """Whether a term uses the frozen sync expert."""
        return False

    def check(self, spec: Any, frames: int) -> None:
        """Raises UsageError for what no loss can have, the network's sizes (`spec`) or windows of `frames` rule out."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and value < 0:  # a package's own table may hold other things
                raise UsageError(f"[loss] {item.name} = {value:g}: at least 0")


@dataclass(frozen=True, slots=True)
class FaceLoss(Loss):
    """Weights that the losses of all generators have."""

    gan: float = 0.2
    warp: float = 0.0
    """Weight of the error of the warped reference, for a network with `[net] warp` (ours); see `warp_loss`."""
    sync_from: int = 0
    """The first step of the sync terms (ours): before it, faces are too blurred to be judged."""
    mouth: float = 1.0
    """How many times a pixel of the mouth counts in L1 (ours); see `face_l1`."""
    soft: int = 0
    """Blurs of 1-2-1 before the expert is given a drawn face (ours); see `softened`."""
    gan_from: int = 0
    """The first step of the discriminator (ours)."""
    inside: float = 0.0
    """Weight of L1 within the true opening of the mouth (ours); see `inside_losses`."""
    solid: float = 0.0
    """Weight of what shines through there of the reference, for a network with `[net] blend` (ours); see
    `inside_losses`."""
    amplitude: float = 0.0
    """Weight of (1 - slope)^2, the slope of drawn openings on true ones (ours); see `reader`."""
    amplitude_from: int = 0
    """The first drawn step of that term (ours): before it the reader learns to read."""

    def check(self, spec: Any, frames: int) -> None:
        Loss.check(self, spec, frames)
        if self.warp and not spec.warp:
            raise UsageError(
                "[loss] warp: [net] warp is 0, so nothing is moved; set it, or leave the term out"
            )
        if self.solid and not spec.blend:
            raise UsageError(
                "[loss] solid: [net] blend is false, so nothing shines through; set it, or leave the term out"
            )


@dataclass(frozen=True, slots=True)
class Wav2LipLoss(FaceLoss):
    """Shares of the loss; L1 has the rest."""

    sync: float = 0.03
    gan: float = 0.07

    def needs_expert(self) -> bool:
        return self.sync > 0

    def check(self, spec: Any, frames: int) -> None:
        FaceLoss.check(self, spec, frames)
        if self.sync + self.gan > 1:
            raise UsageError(
                f"[loss] sync = {self.sync:g}, gan = {self.gan:g}: shares of the loss, from 0 to 1 together"
            )


@dataclass(frozen=True, slots=True)
class SyncTalkFaceLoss(FaceLoss):
    """Weights; 0 switches a term off. `net.memory = false` leaves the memory out (the paper's ablation)."""

    recon: float = 10.0
    av: float = 0.2
    vv: float = 0.2
    store: float = 0.2
    align: float = 0.2
    agree: float = 0.0
    """Weight of the difference between the queries by voice and by lips, for `[net] centred` (ours); see
    `agree_loss`."""
    store_detached: bool = True
    """Whether the lips are a constant target of L_store, as in the authors' code; false is the paper's equation."""
    memory_from: int = 0
    """The first step of the memory, within `pretrain` (ours). Before it the encoders learn the shapes of mouths alone;
    then every slot begins at a frame."""
    restart: float = 0.0
    """A slot that wins less than this share of the frames begins again at a frame of the batch (ours); 0 is never."""
    restart_until: int = 0
    """The step from which on no slot begins again: averaged weights need some hundred steps to follow."""
    pretrain: int = 0
    """Steps of the phase without pictures (ours)."""
    drawn: int = 0
    """Windows of a batch that the second phase draws, 0 for all: the first phase can use larger batches (ours)."""
    shape: float = 0.0
    """Weight of the shape of the mouth as a linear layer reads it from what is recalled (ours); see `shape_loss`."""

    def needs_expert(self) -> bool:
        return self.av > 0

    def check(self, spec: Any, frames: int) -> None:
        FaceLoss.check(self, spec, frames)
        if self.pretrain > 0 and not spec.memory:
            raise UsageError(
                "[loss] pretrain: without a memory ([net] memory = false) there is nothing to train first"
            )
        if self.agree and not (spec.memory and spec.centred):
            raise UsageError(
                "[loss] agree: without [net] centred, queries would agree by shrinking; set it, or leave the term out"
            )
        if self.memory_from and not (self.memory_from < self.pretrain and self.shape > 0):
            raise UsageError(
                f"[loss] memory_from = {self.memory_from}: needs pretrain above it (found {self.pretrain}) and a "
                f"weight of shape (found {self.shape:g}): until then nothing else would be learned"
            )


@dataclass(frozen=True, slots=True)
class CALSLoss(FaceLoss):
    """Weights, 0 switches a term off; and the masked learning. All ours."""

    pretrain: int = 0
    """Steps of phase 1; 0 is the ablation without masked learning."""
    drawn: int = 0
    """Windows of a batch that the second phase draws, 0 for all: the first phase can use larger batches (ours)."""
    drawn_frames: int = 0
    """Length of the run of frames of each window that the second phase draws, 0 for all; the voice is heard whole.
    Neighbouring frames teach less than other faces do."""
    masked: float = 0.3
    """Share of frames whose sound is hidden in phase 1."""
    longest: int = 5
    """Frames of the longest hidden run."""
    units: float = 0.2
    shape: float = 0.0
    """Weight, in both phases, of the shape of the mouth as a linear layer reads it from each unit; see `shape_loss`."""
    recon: float = 10.0
    av: float = 0.2
    vv: float = 0.2
    temperature: float = 0.07
    stride: int = 3
    """Frames between the windows that d_av and d_vv compare: neighbours share four of five frames."""

    def needs_expert(self) -> bool:
        return max(self.pretrain, self.units, self.av, self.vv) > 0

    def check(self, spec: Any, frames: int) -> None:
        FaceLoss.check(self, spec, frames)
        _check_contrast(self.temperature, self.stride)
        check_count("[loss] longest", self.longest)
        check_share("[loss] masked", self.masked)
        voice = spec.voice
        if not voice.cut and not 0 <= 2 * voice.window < frames:
            raise UsageError(
                f"[net.voice] window = {voice.window}, [data] frames = {frames}: windows of training must hold what a "
                f"unit hears, 2 window + 1 frames; take a window of 0 to {(frames - 1) // 2} or longer windows, or cut "
                f"the sound (cut = true), whose frames are loaded with any window"
            )
        if self.drawn_frames and not FRAMES <= self.drawn_frames <= frames:
            raise UsageError(
                f"[loss] drawn_frames = {self.drawn_frames}: from {FRAMES} frames, which the expert sees at a time, to "
                f"those of a window, {frames}"
            )


@dataclass(frozen=True, slots=True)
class ExpertLoss(Loss):
    """Weights of the expert's loss, and which windows are compared."""

    bce: float = 1.0
    contrast: float = 0.0
    temperature: float = 0.07
    stride: int = 2
    """Frames between windows of a clip."""

    def check(self, spec: Any, frames: int) -> None:
        Loss.check(self, spec, frames)
        _check_contrast(self.temperature, self.stride)


def _check_contrast(temperature: float, stride: int) -> None:
    """Raises UsageError or BadInput for what windows cannot be told apart by; see `contrast_loss`."""
    if temperature <= 0:
        raise UsageError(f"[loss] temperature = {temperature:g}: above 0")
    check_count("[loss] stride", stride)
