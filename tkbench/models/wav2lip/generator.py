"""The generator: a voice encoder, a face encoder, and a decoder that meets the face again at every scale.

Sizes of 64, 96 and 128 pixels share one form: five halvings leave size / 32 pixels (2, 3 or 4), and the last
convolution of the encoder, like the first transposed one of the decoder, has that as its kernel. At 96 it is
the published network, at 128 that of SyncTalkFace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tkbench.errors import BadInput
from tkbench.models.layers import Conv, UpConv, stage, wide

SIZES = (64, 96, 128)


@dataclass(frozen=True, slots=True)
class Wav2LipSpec:
    """What differs between networks of this form; the defaults are the published one."""

    size: int = 96
    """Side of the face in pixels."""
    width: float = 1.0
    """Every channel count is multiplied by this."""
    blend: bool = False
    """Whether what was seen shines through where nothing has to change; see `Picture`."""
    warp: float = 0.0
    """How far, as a share of the side, `blend` may move what was seen; see `Picture`."""

    def __post_init__(self) -> None:
        check_size(self.size)


def check_size(size: int) -> int:
    """`size` if the networks can take it; BadInput otherwise."""
    if size not in SIZES:
        raise BadInput(f"size {size}: the face networks take {', '.join(map(str, SIZES))} pixels")
    return size


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


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the end of a generator gives."""

    picture: torch.Tensor
    """(N, 3, size, size), or as large as the finer faces."""
    moved: torch.Tensor | None
    """The reference as it was moved, of the same shape; None where nothing is moved."""


def enlarged(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(N, C, h, w) -> (N, C, *size), bilinear, edges on edges."""
    return nn.functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class Picture(nn.Sequential):
    """The end of a generator: (N, 64 w + 16 w, size, size) -> (N, 3, size, size), in the range of `last`.

    blend (ours, for small networks and short training; ATVGnet, CVPR 2019, has such a mask, too): a fourth channel says
    how much of each pixel is drawn. The rest is what the generator was shown: the target's upper half and the
    reference's lower one. So looks are sharp from the start, and what is learned is the mouth.

    warp (ours, with blend): the reference is moved before it is shown, each pixel by up to this share of the side, as
    far as a second head says. A head turns between the reference and the target, and what does not lie in its place
    has to be drawn, softly; what is moved there stays sharp. The target's upper half stays as it is.
    """

    def __init__(self, width: float, last: nn.Module, *, blend: bool = False, warp: float = 0.0) -> None:
        inside, c32 = wide(64, width) + wide(16, width), wide(32, width)
        super().__init__(Conv(inside, c32, 3, 1, 1), nn.Conv2d(c32, 4 if blend else 3, 1, 1, 0), last)
        if not 0 <= warp <= 1 or (warp and not blend):
            raise BadInput(
                f"warp = {warp:g}, blend = {blend}: from 0 to 1, and above 0 with blend = true alone"
            )
        self.blend = blend
        self.mover = Mover(width, warp) if warp else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without blend: every pixel is drawn."""
        made: torch.Tensor = self[2](self[1](self[0](x)))
        return made

    def draw(
        self, maps: Sequence[torch.Tensor], faces: torch.Tensor, fine: torch.Tensor | None = None
    ) -> Drawn:
        """maps: what `decode` gives. faces: (N, 6, size, size), the masked target over the reference.

        fine: the same in a larger picture, with blend alone; the answer is as large: what is shown keeps its detail,
        what is drawn is enlarged. Training has no use for it.
        """
        if not self.blend:
            if fine is not None:
                raise BadInput("finer faces without blend: nothing of them would be shown; set blend = true")
            return Drawn(self(maps[0]), None)
        drawn = self[1](self[0](maps[0]))
        colours, share = self[2](drawn[:, :3]), torch.sigmoid(drawn[:, 3:])
        if fine is not None:
            faces = fine
            colours, share = (enlarged(layer, fine.shape[-2:]) for layer in (colours, share))
        half = faces.shape[-2] // 2
        looks = faces[:, 3:]
        if self.mover is not None:
            looks = self.mover(maps[Mover.LEVEL], looks, cubic=fine is not None)
        shown = torch.cat([faces[:, :3, :half], looks[:, :, half:]], dim=-2)
        return Drawn(share * colours + (1 - share) * shown, None if self.mover is None else looks)


class Mover(nn.Module):
    """Moves pixels of a picture to where they belong; at first it leaves them where they are.

    Its field has a quarter of the resolution and is smooth in between: a face moves in large pieces.
    """

    LEVEL = 2
    """Which of `decode`'s maps it looks at: two halvings below the picture."""

    def __init__(self, width: float, reach: float) -> None:
        super().__init__()
        self.reach = reach
        inside, c128 = wide(256, width) + wide(64, width), wide(128, width)
        last = nn.Conv2d(c128, 2, 3, 1, 1)
        for value in last.parameters():
            nn.init.zeros_(value)
        self.field = nn.Sequential(*stage(Conv(inside, c128, 3, 1, 1), c128, 1), last)

    def forward(self, x: torch.Tensor, picture: torch.Tensor, *, cubic: bool = False) -> torch.Tensor:
        """(N, 256 w + 64 w, h, w) map and (N, 3, H, W) -> (N, 3, H, W), with the rim repeated outside.

        Bilinear, or bicubic, which keeps more detail and is for inference: it can overshoot.
        """
        height, width = picture.shape[-2:]
        field = enlarged(2 * self.reach * torch.tanh(self.field(x).float()), (height, width))
        down = (torch.arange(height, device=x.device) * 2 + 1) / height - 1
        right = (torch.arange(width, device=x.device) * 2 + 1) / width - 1
        grid = torch.stack(torch.meshgrid(down, right, indexing="ij")[::-1], dim=-1)
        return nn.functional.grid_sample(
            picture.float(),
            grid + field.movedim(1, -1),
            mode="bicubic" if cubic else "bilinear",
            padding_mode="border",
            align_corners=False,
        )


def encode(blocks: nn.ModuleList, faces: torch.Tensor) -> list[torch.Tensor]:
    """What each block of the face encoder gives, the finest first."""
    scales = []
    for block in blocks:
        faces = block(faces)
        scales.append(faces)
    return scales


def decode(blocks: nn.ModuleList, x: torch.Tensor, scales: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """`x` (B, 512 w, 1, 1) up through the decoder, joined after each block by the scale of the same size.

    What each block and its scale give, the finest first.
    """
    found = []
    for block, scale in zip(blocks, reversed(scales), strict=True):
        x = torch.cat([block(x), scale], dim=1)
        found.append(x)
    return found[::-1]


class Wav2Lip(nn.Module):
    """Mouths for a voice: the face with its lower half gone, another frame for its looks, 0.2 s of sound.

    Pictures are BGR in [0, 1]; the missing half is black.
    """

    def __init__(self, spec: Wav2LipSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or Wav2LipSpec()
        self.face_encoder_blocks = face_encoder(spec.size, spec.width)
        self.audio_encoder = voice_encoder(spec.width)
        self.face_decoder_blocks = face_decoder(spec.size, spec.width)
        self.output_block = Picture(spec.width, nn.Sigmoid(), blend=spec.blend, warp=spec.warp)

    def forward(
        self, mel: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(N, 80, 16) and (N, 6, size, size) masked target over reference -> (N, 3, size, size), or as large as `fine`.

        fine: see `Picture.draw`.
        """
        return self.draw(mel, faces, fine).picture

    def draw(self, mel: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """`forward`, and what training looks at besides."""
        voice = self.audio_encoder(mel[:, None])
        scales = encode(self.face_encoder_blocks, faces)
        return self.output_block.draw(decode(self.face_decoder_blocks, voice, scales), faces, fine)
