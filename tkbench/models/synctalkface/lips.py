"""The lip encoder: five frames of a mouth become one feature. Its lips are also what L_vv compares."""

from __future__ import annotations

import torch
from torch import nn

from tkbench.models.layers import Conv, stage
from tkbench.models.spec import check_size, wide

FRAMES = 5


class LipEncoder(nn.Module):
    """(N, 3, 5, size, size) in [-1, 1] with the upper half zeroed -> (N, 512 w).

    The first convolution spans all five frames and removes the time axis; it has neither norm nor ReLU, as in
    the authors' code. The next ones halve the picture down to 4 x 4 at 128 pixels (3 x 3 at 96, 2 x 2 at 64).
    """

    def __init__(self, size: int = 128, width: float = 1.0) -> None:
        super().__init__()
        check_size(size)
        c64, c128, c256, c512 = (wide(n, width) for n in (64, 128, 256, 512))
        self.first = nn.Conv3d(3, c64, (FRAMES, 7, 7), 2, (0, 3, 3))
        self.rest = nn.Sequential(
            *stage(Conv(c64, c64, 3, 2, 1), c64, 3),
            *stage(Conv(c64, c128, 3, 2, 1), c128, 2),
            *stage(Conv(c128, c256, 3, 2, 1), c256, 2),
            *stage(Conv(c256, c512, 3, 2, 1), c512, 1),
            Conv(c512, c512, size // 32, 1, 0),
            Conv(c512, c512, 1, 1, 0),
        )

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.rest(self.first(windows).squeeze(2)).flatten(1)
        return made


def lip_windows(frames: torch.Tensor) -> torch.Tensor:
    """Every run of five frames with its upper half zeroed: (B, T, 3, H, W) -> (B * (T - 4), 3, 5, H, W)."""
    lower = frames.clone()
    lower[..., : frames.shape[-2] // 2, :] = 0
    return lower.unfold(1, FRAMES, 1).movedim(-1, 3).flatten(0, 1)
