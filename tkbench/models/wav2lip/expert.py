"""The sync expert that trains generators: `SyncNet_color` of Wav2Lip, at 96 as published, at 128 as SyncTalkFace.

It embeds the lower halves of five frames and 0.2 s of mel, so that a mouth lies near its own sound. It is no judge: the
network that trains a model must never be the one that scores it, and `tkbench train` refuses the judges' files.
"""

from __future__ import annotations

import torch
from torch import nn

from tkbench.models.layers import Conv, stage
from tkbench.models.network import Network
from tkbench.models.spec import wide
from tkbench.models.wav2lip.generator import voice_encoder
from tkbench.models.wav2lip.spec import FRAMES, ExpertSpec


class Expert(Network):
    """Embeddings of mouth and sound, non-negative and of length 1: their cosine lies in [0, 1]."""

    spec: ExpertSpec

    def __init__(self, spec: ExpertSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or ExpertSpec()
        c = [wide(n, spec.width) for n in (32, 64, 128, 256, 512)]
        self.face_encoder = nn.Sequential(
            Conv(3 * FRAMES, c[0], 7, 1, 3),
            *stage(Conv(c[0], c[1], 5, (1, 2), 1), c[1], 2),
            *stage(Conv(c[1], c[2], 3, 2, 1), c[2], 3),
            *stage(Conv(c[2], c[3], 3, 2, 1), c[3], 2),
            *stage(Conv(c[3], c[4], 3, 2, 1), c[4], 2),
            # SyncTalkFace added two residuals at 4 x 4 for 128 pixels.
            *stage(Conv(c[4], c[4], 3, 2, 1), c[4], 2 if spec.size == 128 else 0),
            Conv(c[4], c[4], spec.size // 32, 1, 0),
            Conv(c[4], c[4], 1, 1, 0),
        )
        self.audio_encoder = voice_encoder(spec.width, (2, 2, 2, 2))

    def embed_mouths(self, mouths: torch.Tensor) -> torch.Tensor:
        """(N, 5, 3, size / 2, size) BGR in [0, 1] -> (N, D).

        Mouths of another side are brought to this one's; the crop recipe has to be the same. (Ours: what an expert
        hears in a mouth does not depend on how finely it is drawn.)
        """
        wanted = (self.spec.size // 2, self.spec.size)
        if mouths.shape[-2:] != wanted:
            n, t = mouths.shape[:2]
            fitted = nn.functional.interpolate(
                mouths.flatten(0, 1), wanted, mode="bilinear", align_corners=False, antialias=True
            )
            mouths = fitted.unflatten(0, (n, t))
        if self.spec.motion != 1:
            still = mouths.mean(dim=1, keepdim=True)
            mouths = still + self.spec.motion * (mouths - still)
        return nn.functional.normalize(self.face_encoder(mouths.flatten(1, 2)).flatten(1), dim=1)

    def embed_voice(self, mel: torch.Tensor) -> torch.Tensor:
        """(N, 80, 16) -> (N, D)."""
        return nn.functional.normalize(self.audio_encoder(mel[:, None]).flatten(1), dim=1)

    def forward(self, mouths: torch.Tensor, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both embeddings."""
        return self.embed_mouths(mouths), self.embed_voice(mel)


def windows_of(frames: torch.Tensor) -> torch.Tensor:
    """Every run of five frames of each clip, lower halves: (B, T, 3, H, W) -> (B * (T - 4), 5, 3, H / 2, W)."""
    lower = frames[..., frames.shape[-2] // 2 :, :]
    runs = lower.unfold(1, FRAMES, 1)  # (B, T - 4, 3, H / 2, W, 5)
    return runs.movedim(-1, 2).flatten(0, 1)


def agreement_loss(
    mouths: torch.Tensor, voices: torch.Tensor, same: torch.Tensor | None = None
) -> torch.Tensor:
    """Binary cross-entropy of the cosine as a probability; `same` (N,) is 1 for pairs that belong together.

    mouths, voices: embeddings, (N, D). Without `same`, all pairs should agree: the sync loss of the generators. It is
    computed in float32, as the logarithm needs it.
    """
    p = (mouths.float() * voices.float()).sum(dim=1).clamp(1e-6, 1 - 1e-6)
    if same is None:
        return -p.log().mean()
    return -(same * p.log() + (1 - same) * (1 - p).log()).mean()


def contrast_loss(mouths: torch.Tensor, voices: torch.Tensor, temperature: float = 0.07) -> torch.Tensor:
    """InfoNCE both ways: row i of each belongs to row i of the other, and to no other row; (N, D) each."""
    logits = mouths.float() @ voices.float().T / temperature
    target = torch.arange(len(logits), device=logits.device)
    entropy = nn.functional.cross_entropy
    return 0.5 * (entropy(logits, target) + entropy(logits.T, target))
