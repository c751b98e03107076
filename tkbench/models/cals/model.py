"""Lip-to-Face, and the two modules together."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from tkbench.models.cals.audio_to_lip import AudioToLip, AudioToLipSpec
from tkbench.models.layers import wide
from tkbench.models.wav2lip.generator import (
    Drawn,
    Picture,
    check_size,
    decode,
    encode,
    face_decoder,
    face_encoder,
)


@dataclass(frozen=True, slots=True)
class CALSSpec:
    """Sizes: 128 is likely the paper's; the rest is ours."""

    size: int = 128
    width: float = 1.0
    blend: bool = False
    """Whether what was seen shines through where nothing has to change; see `Picture`."""
    warp: float = 0.0
    """How far, as a share of the side, `blend` may move what was seen; see `Picture`."""
    voice: AudioToLipSpec = field(default_factory=AudioToLipSpec)

    def __post_init__(self) -> None:
        check_size(self.size)


class LipToFace(nn.Module):
    """The face that makes a lip motion unit: SyncTalkFace's identity encoder and decoder (ours).

    Pictures are BGR in [-1, 1]; the missing half is 0.
    """

    def __init__(
        self, size: int, width: float, units: int, *, blend: bool = False, warp: float = 0.0
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(units, wide(512, width))
        self.identity_encoder = face_encoder(size, width)
        self.decoder = face_decoder(size, width)
        self.output = Picture(width, nn.Tanh(), blend=blend, warp=warp)

    def forward(
        self, units: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(N, units) and (N, 6, size, size) masked target over reference -> (N, 3, size, size), or as large as `fine`.

        fine: see `Picture.draw`.
        """
        return self.draw(units, faces, fine).picture

    def draw(self, units: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """`forward`, and what training looks at besides."""
        scales = encode(self.identity_encoder, faces)
        return self.output.draw(
            decode(self.decoder, self.enter(units)[:, :, None, None], scales), faces, fine
        )


class CALS(nn.Module):
    """Voice to lip motion units in context, units to faces."""

    def __init__(self, spec: CALSSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or CALSSpec()
        self.audio_to_lip = AudioToLip(spec.voice)
        self.lip_to_face = LipToFace(
            spec.size, spec.width, spec.voice.units, blend=spec.blend, warp=spec.warp
        )

    def forward(self, mel: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        """(B, T, 80, 16) and (B, T, 6, size, size) -> (B, T, 3, size, size)."""
        units = self.audio_to_lip(mel)
        made: torch.Tensor = self.lip_to_face(units.flatten(0, 1), faces.flatten(0, 1))
        return made.unflatten(0, faces.shape[:2])
