"""The three convolution blocks that Wav2Lip, SyncTalkFace and CALS are built from.

Facts of Rudrabha/Wav2Lip models/conv.py: convolution, batch norm and ReLU, with the input added before the ReLU where
`residual`. The parameter names are the published ones (`conv_block.0.weight`), so that published state dicts load.
"""

from __future__ import annotations

import torch
from torch import nn

Pair = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; (B, C, H, W) -> (B, out, H', W')."""

    def __init__(
        self, inside: int, out: int, kernel: Pair, stride: Pair = 1, padding: Pair = 0, residual: bool = False
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inside, out, kernel, stride, padding), nn.BatchNorm2d(out))
        self.act = nn.ReLU()
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_block(x)
        made: torch.Tensor = self.act(y + x if self.residual else y)
        return made


class PlainConv(nn.Module):
    """Convolution and leaky ReLU (0.01), without norm: the discriminator's block."""

    def __init__(self, inside: int, out: int, kernel: Pair, stride: Pair = 1, padding: Pair = 0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inside, out, kernel, stride, padding))
        self.act = nn.LeakyReLU(0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.act(self.conv_block(x))
        return made


class UpConv(nn.Module):
    """Transposed convolution, batch norm, ReLU: the decoder's way up."""

    def __init__(
        self, inside: int, out: int, kernel: int, stride: int = 1, padding: int = 0, extra: int = 0
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(inside, out, kernel, stride, padding, extra), nn.BatchNorm2d(out)
        )
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.act(self.conv_block(x))
        return made


def stage(first: nn.Module, channels: int, residuals: int) -> list[nn.Module]:
    """`first`, then 3x3 residual blocks at its width."""
    return [first, *(Conv(channels, channels, 3, 1, 1, residual=True) for _ in range(residuals))]
