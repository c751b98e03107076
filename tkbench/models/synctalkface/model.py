"""The network: encoders, memory and decoder. Inference draws by voice alone; training also draws by lips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from tkbench.models.network import FaceNetwork
from tkbench.models.picture import Drawn, Picture
from tkbench.models.spec import wide
from tkbench.models.synctalkface.lips import LipEncoder
from tkbench.models.synctalkface.memory import AudioLipMemory, Recall
from tkbench.models.synctalkface.spec import SyncTalkFaceSpec
from tkbench.models.wav2lip.generator import decode, encode, face_decoder, face_encoder, voice_encoder


@dataclass(frozen=True, slots=True)
class Made:
    """What the network gives in a training step."""

    drawn: tuple[Drawn, ...]
    """The picture of inference, drawn by voice, and the same drawn from the lips; the memory is to make the first as
    good as the second. Without the lip path the first alone. (N, 3, size, size) in [-1, 1]."""
    recall: Recall
    """What the memory gave for both."""


class SyncTalkFace(FaceNetwork):
    """Faces for a voice; pictures are BGR in [-1, 1], and the missing half is 0, that is mid-grey."""

    spec: SyncTalkFaceSpec

    def __init__(self, spec: SyncTalkFaceSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or SyncTalkFaceSpec()
        dim = wide(512, spec.width)
        self.audio_encoder = voice_encoder(spec.width)
        self.lip_encoder = LipEncoder(spec.size, spec.width)
        self.identity_encoder = face_encoder(spec.size, spec.width)
        self.memory = None
        if spec.memory:
            self.memory = AudioLipMemory(dim, spec.slots, spec.kappa, centred=spec.centred)
        self.fusion = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(2 * dim, dim))
        self.decoder = face_decoder(spec.size, spec.width)
        self.output = Picture(spec.width, nn.Tanh(), blend=spec.blend, warp=spec.warp)

    @property
    def painter(self) -> Mapping[str, nn.Module]:
        """CALS's have the same form."""
        return {"encoder": self.identity_encoder, "decoder": self.decoder, "output": self.output}

    def draw(self, voice: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """Inference: (N, 80, 16) mel and (N, 6, size, size) -> N faces; each frame is heard by itself."""
        heard = self.hear(voice)
        scales = encode(self.identity_encoder, faces)
        recalled = self.memory(heard).by_voice if self.memory is not None else torch.zeros_like(heard)
        return self.draw_from(recalled, heard, scales, faces, fine)

    def draw_both(self, mel: torch.Tensor, faces: torch.Tensor, lips: torch.Tensor) -> Made:
        """Training: as `draw`, and with (N, 3, 5, size, size) true mouths around each frame.

        The lip path recalls by lips (A_lip . M_lip), as the authors' code does; the paper's equation has the
        lip feature itself there. Without a memory that feature is all there is, and it is used (ours).
        """
        voice, scales = self.hear(mel), encode(self.identity_encoder, faces)
        recall = self._recall(voice, lips)
        drawn = [self.draw_from(recall.by_voice, voice, scales, faces)]
        if self.spec.lip_path:
            assert recall.by_lips is not None
            drawn.append(self.draw_from(recall.by_lips, voice, scales, faces))
        return Made(tuple(drawn), recall)

    def recall(self, mel: torch.Tensor, lips: torch.Tensor) -> Recall:
        """`draw_both` without the pictures: encoders and memory learn from it alone, at a fraction of the time."""
        return self._recall(self.hear(mel), lips)

    def _recall(self, voice: torch.Tensor, lips: torch.Tensor) -> Recall:
        lip_features = self.lip_encoder(lips)
        if self.memory is None:
            return Recall(torch.zeros_like(voice), by_lips=lip_features)
        recall: Recall = self.memory(voice, lip_features)
        return recall

    def hear(self, mel: torch.Tensor) -> torch.Tensor:
        """(N, 80, 16) mel -> (N, C) features of the voice, before the memory."""
        features: torch.Tensor = self.audio_encoder(mel[:, None]).flatten(1)
        return features

    def draw_from(
        self,
        recalled: torch.Tensor,
        voice: torch.Tensor,
        scales: list[torch.Tensor],
        faces: torch.Tensor,
        fine: torch.Tensor | None = None,
    ) -> Drawn:
        """N faces from what is recalled and the features of the voice, (N, C) each; `scales` are the encoded faces."""
        if self.training and self.spec.voice_drop > 0:
            voice = voice * (torch.rand(len(voice), 1, device=voice.device) >= self.spec.voice_drop)
        fused = self.fusion(torch.cat([voice, recalled], dim=1))
        return self.output.draw(decode(self.decoder, fused[:, :, None, None], scales), faces, fine)
