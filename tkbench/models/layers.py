"""The three convolution blocks that Wav2Lip, SyncTalkFace and CALS are built from.

Facts of Rudrabha/Wav2Lip models/conv.py: convolution, batch norm and ReLU, with the input added before the ReLU where
`residual`. The parameter names are the published ones (`conv_block.0.weight`), so that published state dicts load.
"""

from __future__ import annotations

import torch
from torch import nn

from tkbench.errors import BadInput

Pair = int | tuple[int, int]

SIZES = (64, 96, 128)
"""Sides of a face, in pixels, that the face networks are made for."""


def check_size(size: int) -> int:
    """`size` if the networks can take it; BadInput otherwise."""
    if size not in SIZES:
        raise BadInput(f"size {size}: the face networks take {', '.join(map(str, SIZES))} pixels")
    return size


def wide(channels: int, width: float) -> int:
    """`channels` of the published network at another width: a multiple of 8, at least 8.

    >>> wide(512, 1.0), wide(80, 0.25), wide(16, 0.25)
    (512, 24, 8)
    """
    if width <= 0:
        raise BadInput(f"width {width}: a network's width is above 0")
    return channels if width == 1 else max(8, 8 * int(channels * width / 8 + 0.5))


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
