"""Lip-to-Face, and the two modules together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from tkbench.errors import UsageError
from tkbench.models.cals.audio_to_lip import AudioToLip
from tkbench.models.cals.spec import CALSSpec
from tkbench.models.network import FaceNetwork
from tkbench.models.picture import Drawn, Picture
from tkbench.models.spec import wide
from tkbench.models.wav2lip.generator import decode, encode, face_decoder, face_encoder

UNITS = 64
"""Units that are made at a time where the sound is cut."""


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

    @property
    def context(self) -> int:
        """As far as the sound is cut."""
        return self.spec.voice.around

    @property
    def painter(self) -> Mapping[str, nn.Module]:
        """SyncTalkFace's have the same form."""
        face = self.lip_to_face
        return {"encoder": face.identity_encoder, "decoder": face.decoder, "output": face.output}

    def embed_voice(self, mel: torch.Tensor) -> torch.Tensor:
        """(context + T + context, 80, 16) -> (T, units): a unit needs the frames around its own."""
        around = self.context
        if not around:
            units: torch.Tensor = self.audio_to_lip(mel[None])[0]
            return units
        # In pieces: each unit has a sequence of its own.
        starts = range(0, len(mel) - 2 * around, UNITS)
        parts = [self.audio_to_lip(mel[None, k : k + UNITS + 2 * around])[0] for k in starts]
        return torch.cat(parts)

    def check_heard(self, frames: int) -> None:
        """Bands of attention reach as far as the windows of training were long, and no farther."""
        voice = self.spec.voice
        if not voice.cut and not 0 <= voice.window < frames:
            reach = "the whole clip" if voice.window < 0 else f"{voice.window} frames on either side"
            raise UsageError(
                f"cals: [net.voice] window = {voice.window} hears {reach}, but the weights were trained on windows of "
                f"{frames} frames and have not seen more; train with a window of 0 to {(frames - 1) // 2}, or with "
                f"cut = true"
            )

    def draw(self, voice: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """(N, units) and (N, 6, size, size) -> N faces."""
        return self.lip_to_face.draw(voice, faces, fine)

    def draw_clips(self, mel: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        """(B, context + T + context, 80, 16) and (B, T, 6, size, size) -> (B, T, 3, size, size)."""
        units = self.audio_to_lip(mel)
        made = self.draw(units.flatten(0, 1), faces.flatten(0, 1)).picture
        return made.unflatten(0, faces.shape[:2])
