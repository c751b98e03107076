"""How far drawn mouths open, as a loss: a small network that reads the shape of a mouth from a picture of it.

L1 and its kin shrink movements. Where the voice leaves open how far a mouth opens, the picture that is least wrong on
average is one that opens less: a mouth that follows the truth with a correlation of 0.8 has its least squared error at
0.64 of the true movement. A face is judged by eye, and its mouth should open as far as mouths do. So the movement has a
term of its own (ours): the slope of the drawn openings on the true ones is to be 1.

Pictures have no landmarks that gradients could pass through, so a small network reads them. It learns from true
pictures and their landmarks alone, in the same steps; when it reads drawn ones its weights are frozen, so that it never
learns to please. It reads what true pictures show less perfectly than landmarks do, which shrinks its answers as well;
so its answers for drawn pictures are compared with those for true ones.
"""

from __future__ import annotations

import torch
from torch import nn

from tkbench.metrics.mouth import NAMES

SIDE = 32
"""Mouths are read at so many pixels a side."""
OPENING = NAMES.index("opening")


class MouthReader(nn.Module):
    """(N, 3, h, w) pictures of mouths in [0, 1] -> (N, 8) lengths, in units of SHAPE_UNIT; without norms."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(3, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 48, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48 * (SIDE // 8) ** 2, 64),
            nn.ReLU(),
            nn.Linear(64, len(NAMES)),
        )

    def forward(self, mouths: torch.Tensor) -> torch.Tensor:
        small = nn.functional.interpolate(mouths.float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
        made: torch.Tensor = self.see(4 * (small - small.mean(dim=(1, 2, 3), keepdim=True)))
        return made


def read_frozen(reader: MouthReader, mouths: torch.Tensor) -> torch.Tensor:
    """What the reader says of drawn mouths: gradients reach the pictures, not the reader."""
    parts = {name: value.detach() for name, value in reader.named_parameters()}
    made: torch.Tensor = torch.func.functional_call(reader, parts, (mouths,))
    return made


def movement_slope(drawn: torch.Tensor, shown: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """The slope of drawn openings on true ones, (N,) each: 1 opens as far as the truth, 0 does not follow it.

    drawn, shown: what the reader says of the drawn and of the true pictures; true: by landmarks. As a ratio of two
    covariances with the landmarks, it does not depend on how well the reader reads.

    >>> true = torch.tensor([0.0, 1.0, 2.0, 3.0])
    >>> round(float(movement_slope(0.5 * true + 3, 0.8 * true, true)), 3)
    0.625
    """
    centred = true.float() - true.float().mean()
    with_shown = (shown.float() * centred).mean().detach()
    # A batch of closed mouths, or a reader that cannot read yet, says nothing.
    least = 0.25 * centred.square().mean().clamp(min=1e-2)
    return (drawn.float() * centred).mean() / with_shown.clamp(min=least)
