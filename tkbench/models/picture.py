"""The last layers of every face generator: from feature maps to a picture.

Wav2Lip, SyncTalkFace and CALS end in the same two convolutions and a squashing function. Two options are ours, for
small networks and short training: `blend` shows the reference through where nothing has to change, and `warp` moves
the reference into place first. Pictures are (N, 3, H, W), blue first, in the range of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tkbench.errors import BadInput
from tkbench.models.layers import Conv, stage
from tkbench.models.spec import wide


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a generator gives for N frames."""

    picture: torch.Tensor
    """(N, 3, size, size), or as large as the finer faces."""
    warped: torch.Tensor | None
    """The reference after its warp, of the same shape; None for a network without `warp`."""
    share: torch.Tensor | None = None
    """(N, 1, size, size), how much of each pixel is drawn rather than shown; None for a network without `blend`."""


def enlarged(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(N, C, h, w) -> (N, C, *size), bilinear; the outer edges of both pictures coincide."""
    return nn.functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


JOIN = 16
"""The join between target and reference is a fade over the last 1 / JOIN of the side above the middle."""


def joined(target: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The target's upper half over the reference's lower half: (N, 3, H, W) each -> (N, 3, H, W).

    Ours: above the middle the one fades into the other, because a face whose head has turned does not meet the
    reference's at a line. The fade lies in the upper half, where both are known; of the target's lower half nothing is
    used.
    """
    half = target.shape[-2] // 2
    rows = max(1, target.shape[-2] // JOIN)
    place = (torch.arange(rows, device=target.device, dtype=target.dtype) + 0.5) / rows
    weight = (place * place * (3 - 2 * place))[:, None]
    fade = torch.lerp(target[:, :, half - rows : half], reference[:, :, half - rows : half], weight)
    return torch.cat([target[:, :, : half - rows], fade, reference[:, :, half:]], dim=-2)


class Picture(nn.Sequential):
    """(N, 64 w + 16 w, size, size) feature maps -> (N, 3, size, size), in the range of the function `last`.

    blend (ours; ATVGnet, CVPR 2019, has such a mask, too): a fourth channel says how much of each pixel is drawn. The
    rest is what the generator was shown: the target's upper half and the reference's lower half. So faces are sharp
    from the first step, and the network learns the mouth.

    warp (ours, needs blend): the reference is moved before it is shown, each pixel by up to this share of the side. A
    second head of the network gives the field. The head of a person turns between the reference and the target; without
    the warp, whatever does not lie in its place would have to be drawn, and comes out soft. The target's upper half is
    never moved; `joined` says how the two meet.
    """

    def __init__(self, width: float, last: nn.Module, *, blend: bool = False, warp: float = 0.0) -> None:
        inside, c32 = wide(64, width) + wide(16, width), wide(32, width)
        super().__init__(Conv(inside, c32, 3, 1, 1), nn.Conv2d(c32, 4 if blend else 3, 1, 1, 0), last)
        self.blend = blend
        # Checkpoints store its tensors under this name.
        self.mover = ReferenceWarp(width, warp) if warp else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without blend: every pixel is drawn."""
        made: torch.Tensor = self[2](self[1](self[0](x)))
        return made

    def draw(
        self, maps: Sequence[torch.Tensor], faces: torch.Tensor, fine: torch.Tensor | None = None
    ) -> Drawn:
        """The picture from the maps of `decode` and the faces (N, 6, size, size): masked target over reference.

        fine: the same faces in a larger picture; needs blend. The answer is as large: what is shown keeps the detail of
        `fine`, what is drawn is enlarged. Inference uses it, training does not.
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
        reference = faces[:, 3:]
        if self.mover is not None:
            reference = self.mover(maps[ReferenceWarp.LEVEL], reference, cubic=fine is not None)
        shown = joined(faces[:, :3], reference)
        picture = share * colours + (1 - share) * shown
        return Drawn(picture, None if self.mover is None else reference, share)


class ReferenceWarp(nn.Module):
    """Moves the pixels of a picture by a field that it predicts; a fresh one moves nothing.

    The field has a quarter of the picture's resolution and is interpolated in between: a face moves in large pieces.
    """

    LEVEL = 2
    """Which of `decode`'s maps predicts the field: the one at a quarter of the picture's side."""

    def __init__(self, width: float, reach: float) -> None:
        super().__init__()
        self.reach = reach
        inside, c128 = wide(256, width) + wide(64, width), wide(128, width)
        last = nn.Conv2d(c128, 2, 3, 1, 1)
        for value in last.parameters():
            nn.init.zeros_(value)
        self.field = nn.Sequential(*stage(Conv(inside, c128, 3, 1, 1), c128, 1), last)

    def forward(self, x: torch.Tensor, picture: torch.Tensor, *, cubic: bool = False) -> torch.Tensor:
        """(N, 256 w + 64 w, h, w) map and (N, 3, H, W) picture -> (N, 3, H, W); outside, the rim is repeated.

        cubic: bicubic instead of bilinear sampling. It keeps more detail but can overshoot, so it is for inference.
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
