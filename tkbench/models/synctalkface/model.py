"""The network: encoders, memory, decoder; two ways to a picture, by voice alone and by lips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tkbench.models.layers import wide
from tkbench.models.synctalkface.lips import LipEncoder
from tkbench.models.synctalkface.memory import AudioLipMemory, Recall
from tkbench.models.wav2lip.generator import (
    Drawn,
    Picture,
    check_size,
    decode,
    encode,
    face_decoder,
    face_encoder,
    voice_encoder,
)


@dataclass(frozen=True, slots=True)
class SyncTalkFaceSpec:
    """What differs between networks of this form; the defaults are those of the authors' code."""

    size: int = 128
    width: float = 1.0
    slots: int = 96
    kappa: float = 16.0
    dropout: float = 0.5
    """Before the fusion of voice and recalled lips."""
    memory: bool = True
    """False: the paper's ablation; the decoder then has the voice alone."""
    lip_path: bool = True
    """Whether training also decodes from the lips (the paper's second picture). Ours: it can be left out."""
    blend: bool = False
    """Whether what was seen shines through where nothing has to change (ours); see `Picture`."""
    warp: float = 0.0
    """How far, as a share of the side, `blend` may move what was seen (ours); see `Picture`."""

    def __post_init__(self) -> None:
        check_size(self.size)


@dataclass(frozen=True, slots=True)
class Made:
    """What a training step looks at."""

    by_voice: torch.Tensor
    """(N, 3, size, size) in [-1, 1]: the picture of inference."""
    by_lips: torch.Tensor | None
    """The same from the lips themselves: what the memory is to reach; None without the lip path."""
    moved: tuple[torch.Tensor, ...]
    """The reference as it was moved for each picture; empty where nothing is moved."""
    recall: Recall
    """What the memory gave for both."""


class SyncTalkFace(nn.Module):
    """Faces for a voice; pictures are BGR in [-1, 1], and the missing half is 0, that is mid-grey."""

    def __init__(self, spec: SyncTalkFaceSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or SyncTalkFaceSpec()
        dim = wide(512, spec.width)
        self.audio_encoder = voice_encoder(spec.width)
        self.lip_encoder = LipEncoder(spec.size, spec.width)
        self.identity_encoder = face_encoder(spec.size, spec.width)
        self.memory = AudioLipMemory(dim, spec.slots, spec.kappa) if spec.memory else None
        self.fusion = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(2 * dim, dim))
        self.decoder = face_decoder(spec.size, spec.width)
        self.output = Picture(spec.width, nn.Tanh(), blend=spec.blend, warp=spec.warp)

    def forward(
        self, mel: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Inference: (N, 80, 16) and (N, 6, size, size) masked target over reference -> (N, 3, size, size).

        fine: see `Picture.draw`.
        """
        voice = self._hear(mel)
        scales = encode(self.identity_encoder, faces)
        recalled = self.memory(voice).by_voice if self.memory is not None else torch.zeros_like(voice)
        return self._draw(recalled, voice, scales, faces, fine).picture

    def both(self, mel: torch.Tensor, faces: torch.Tensor, lips: torch.Tensor) -> Made:
        """Training: as `forward`, and with (N, 3, 5, size, size) true mouths around each frame.

        The lip path recalls by lips (A_lip . M_lip), as the authors' code does; the paper's equation has the
        lip feature itself there. Without a memory that feature is all there is, and it is used (ours).
        """
        voice, scales = self._hear(mel), encode(self.identity_encoder, faces)
        recall = self._remember(voice, lips)
        drawn = [self._draw(recall.by_voice, voice, scales, faces)]
        if self.spec.lip_path:
            assert recall.by_lips is not None
            drawn.append(self._draw(recall.by_lips, voice, scales, faces))
        moved = tuple(d.moved for d in drawn if d.moved is not None)
        return Made(drawn[0].picture, drawn[1].picture if self.spec.lip_path else None, moved, recall)

    def remember(self, mel: torch.Tensor, lips: torch.Tensor) -> Recall:
        """`both` without the pictures, at a fraction of the time: what encoders and memory alone can learn from."""
        return self._remember(self._hear(mel), lips)

    def _remember(self, voice: torch.Tensor, lips: torch.Tensor) -> Recall:
        seen = self.lip_encoder(lips)
        if self.memory is None:
            none = voice.new_zeros(())
            return Recall(torch.zeros_like(voice), seen, none, none)
        recall: Recall = self.memory(voice, seen)
        return recall

    def _hear(self, mel: torch.Tensor) -> torch.Tensor:
        heard: torch.Tensor = self.audio_encoder(mel[:, None]).flatten(1)
        return heard

    def _draw(
        self,
        recalled: torch.Tensor,
        voice: torch.Tensor,
        scales: list[torch.Tensor],
        faces: torch.Tensor,
        fine: torch.Tensor | None = None,
    ) -> Drawn:
        fused = self.fusion(torch.cat([voice, recalled], dim=1))
        return self.output.draw(decode(self.decoder, fused[:, :, None, None], scales), faces, fine)
