"""Lip-to-Face, and the two modules together."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from tkbench.models.cals.audio_to_lip import AudioToLip, AudioToLipSpec
from tkbench.models.layers import wide
from tkbench.models.network import FaceNetwork, FaceSpec
from tkbench.models.picture import Drawn, Picture
from tkbench.models.wav2lip.generator import decode, encode, face_decoder, face_encoder


@dataclass(frozen=True, slots=True)
class CALSSpec(FaceSpec):
    """A size of 128 is likely the paper's; the rest is ours."""

    voice: AudioToLipSpec = field(default_factory=AudioToLipSpec)


class LipToFace(nn.Module):
    """The face that makes a lip motion unit: SyncTalkFace's identity encoder and decoder (ours).

    Pictures are BGR in [-1, 1]; the missing half is 0.
    """

    def __init__(self, spec: CALSSpec) -> None:
        super().__init__()
        self.enter = nn.Linear(spec.voice.units, wide(512, spec.width))
        self.identity_encoder = face_encoder(spec.size, spec.width)
        self.decoder = face_decoder(spec.size, spec.width)
        self.output = Picture(spec.width, nn.Tanh(), blend=spec.blend, warp=spec.warp)

    def draw(self, units: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """(N, units) and (N, 6, size, size), the masked target over the reference -> N faces."""
        scales = encode(self.identity_encoder, faces)
        maps = decode(self.decoder, self.enter(units)[:, :, None, None], scales)
        return self.output.draw(maps, faces, fine)


class CALS(FaceNetwork):
    """Voice to lip motion units in context, units to faces."""

    spec: CALSSpec

    def __init__(self, spec: CALSSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or CALSSpec()
        self.audio_to_lip = AudioToLip(spec.voice)
        self.lip_to_face = LipToFace(spec)

    def embed_voice(self, mel: torch.Tensor) -> torch.Tensor:
        """(T, 80, 16) -> (T, units): a unit needs the frames around its own, so the whole clip is heard at once."""
        units: torch.Tensor = self.audio_to_lip(mel[None])[0]
        return units

    def draw(self, voice: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """(N, units) and (N, 6, size, size) -> N faces."""
        return self.lip_to_face.draw(voice, faces, fine)

    def draw_clips(self, mel: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        """(B, T, 80, 16) and (B, T, 6, size, size) -> (B, T, 3, size, size)."""
        units = self.audio_to_lip(mel)
        made = self.draw(units.flatten(0, 1), faces.flatten(0, 1)).picture
        return made.unflatten(0, faces.shape[:2])
