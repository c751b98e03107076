"""The generator: a voice encoder, a face encoder, and a decoder that is given the face again at every scale.

Faces of 64, 96 and 128 pixels share one form: the encoder halves the side five times, to size / 32 (2, 3 or 4), and
the kernel of its last convolution, like that of the decoder's first transposed one, has this side. At 96 it is
the published network, at 128 that of SyncTalkFace.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tkbench.models.layers import Conv, UpConv, stage
from tkbench.models.network import FaceNetwork
from tkbench.models.picture import Drawn, Picture
from tkbench.models.spec import wide
from tkbench.models.wav2lip.spec import Wav2LipSpec


def voice_encoder(width: float, residuals: tuple[int, int, int, int] = (2, 2, 2, 1)) -> nn.Sequential:
    """(B, 1, 80, 16) mel -> (B, 512 w, 1, 1); the sync expert has one residual more at 256 channels."""
    c32, c64, c128, c256, c512 = (wide(c, width) for c in (32, 64, 128, 256, 512))
    return nn.Sequential(
        *stage(Conv(1, c32, 3, 1, 1), c32, residuals[0]),
        *stage(Conv(c32, c64, 3, (3, 1), 1), c64, residuals[1]),
        *stage(Conv(c64, c128, 3, 3, 1), c128, residuals[2]),
        *stage(Conv(c128, c256, 3, (3, 2), 1), c256, residuals[3]),
        Conv(c256, c512, 3, 1, 0),
        Conv(c512, c512, 1, 1, 0),
    )


def face_encoder(size: int, width: float) -> nn.ModuleList:
    """(B, 6, size, size), pose over reference -> seven scales down to (B, 512 w, 1, 1)."""
    c = [wide(n, width) for n in (16, 32, 64, 128, 256, 512)]
    residuals = (2, 3, 2, 2, 1)
    blocks = [nn.Sequential(Conv(6, c[0], 7, 1, 3))]
    for i, count in enumerate(residuals):
        blocks.append(nn.Sequential(*stage(Conv(c[i], c[i + 1], 3, 2, 1), c[i + 1], count)))
    blocks.append(nn.Sequential(Conv(c[5], c[5], size // 32, 1, 0), Conv(c[5], c[5], 1, 1, 0)))
    return nn.ModuleList(blocks)


def face_decoder(size: int, width: float) -> nn.ModuleList:
    """(B, 512 w, 1, 1) -> seven scales up; each but the first takes its own output beside the encoder's."""
    c32, c64, c128, c256, c512 = (wide(n, width) for n in (32, 64, 128, 256, 512))
    c384 = wide(384, width)

    def up(inside: int, out: int) -> nn.Sequential:
        return nn.Sequential(*stage(UpConv(inside, out, 3, 2, 1, 1), out, 2))

    return nn.ModuleList(
        [
            nn.Sequential(Conv(c512, c512, 1, 1, 0)),
            nn.Sequential(*stage(UpConv(2 * c512, c512, size // 32, 1, 0), c512, 1)),
            up(2 * c512, c512),
            up(c512 + c256, c384),
            up(c384 + c128, c256),
            up(c256 + c64, c128),
            up(c128 + c32, c64),
        ]
    )


def encode(blocks: nn.ModuleList, faces: torch.Tensor) -> list[torch.Tensor]:
    """The output of each block of the face encoder, the finest first."""
    scales = []
    for block in blocks:
        faces = block(faces)
        scales.append(faces)
    return scales


def decode(blocks: nn.ModuleList, x: torch.Tensor, scales: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """`x` (B, 512 w, 1, 1) up through the decoder; after each block the encoder's scale of that size is appended.

    Returns the output of each block with its scale, the finest first.
    """
    found = []
    for block, scale in zip(blocks, reversed(scales), strict=True):
        x = torch.cat([block(x), scale], dim=1)
        found.append(x)
    return found[::-1]


class Wav2Lip(FaceNetwork):
    """The published generator. Pictures are BGR in [0, 1]; the missing half is black."""

    spec: Wav2LipSpec

    def __init__(self, spec: Wav2LipSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or Wav2LipSpec()
        self.face_encoder_blocks = face_encoder(spec.size, spec.width)
        self.audio_encoder = voice_encoder(spec.width)
        self.face_decoder_blocks = face_decoder(spec.size, spec.width)
        self.output_block = Picture(spec.width, nn.Sigmoid(), blend=spec.blend, warp=spec.warp)

    def draw(self, voice: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """(N, 80, 16) mel and (N, 6, size, size) -> N faces; each frame is heard by itself."""
        heard = self.audio_encoder(voice[:, None])
        scales = encode(self.face_encoder_blocks, faces)
        return self.output_block.draw(decode(self.face_decoder_blocks, heard, scales), faces, fine)
