"""CPBD: how sharp a picture is, by the cumulative probability of blur detection (Narvekar and Karam, IEEE TIP 2011).

Only the generated picture counts. The definition is that of python-cpbd 1.0.7 (0x64746b/python-cpbd@09c99a4), which
the field runs. The picture becomes grey, and its vertical Sobel edges are thinned. Edge widths are measured along the
rows (Marziliano). Blocks of 64 x 64 with more than 0.2 % edge pixels count; there, an edge is seen as blurred with a
probability that depends on its width and on the just noticeable width, 5 pixels in blocks of contrast up to 50,
otherwise 3 (beta 3.6). CPBD is the share of edges whose probability rounds to less than 0.64.

The largest gap to python-cpbd that was seen is 1.1e-16. Its quirks are kept: the two pixels of a perfect step respond
alike, so neither is an edge, and a picture without edges scores 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tkbench.errors import BadInput, UsageError
from tkbench.metrics.base import ON_CPU, BuildContext, RegionMetric
from tkbench.types import Array, Bool, Column, Float64, UInt8

BLOCK = 64
THRESHOLD = 0.002
BETA = 3.6
LOW_CONTRAST = 50
LONGEST = 100


def grey(frames: UInt8) -> UInt8:
    """(..., 3) RGB -> brightness in whole levels, as Pillow's mode L has it (ITU-R 601, rounded)."""
    r, g, b = (frames[..., k].astype(np.uint32) for k in range(3))
    return ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16).astype(np.uint8)


def cpbd(picture: UInt8) -> float:
    """Sharpness of one grey picture (H, W) uint8, in [0, 1]; 0 where no block of 64 x 64 has edges.

    An edge is `w` pixels wide; blur is seen there with probability 1 - exp(-(w / just noticeable width) ** 3.6).
    """
    if picture.dtype != np.uint8 or picture.ndim != 2 or min(picture.shape, default=0) < 3:
        raise BadInput(
            f"picture is {picture.dtype} {picture.shape}; expected uint8 (H, W), 3 pixels a side or more"
        )
    image = picture.astype(np.float64)
    edges = edges_of(image)
    widths = widths_of(image, edges)
    total = below = 0
    for top in range(0, image.shape[0] - BLOCK + 1, BLOCK):
        for left in range(0, image.shape[1] - BLOCK + 1, BLOCK):
            where = (slice(top, top + BLOCK), slice(left, left + BLOCK))
            if np.count_nonzero(edges[where]) <= BLOCK * BLOCK * THRESHOLD:
                continue
            block = image[where]
            noticeable = 5.0 if block.max() - block.min() <= LOW_CONTRAST else 3.0
            found = widths[where]
            blur = 1 - np.exp(-((found[found != 0] / noticeable) ** BETA))
            total += blur.size
            below += int((np.rint(blur * 100) < 64).sum())
    return below / total if total else 0.0


def edges_of(image: Float64) -> Bool:
    """(H, W) bool: local maxima of the horizontal Sobel response above twice its root mean square.

    "Above" as python-cpbd has it: the SQUARED response against 2 * sqrt of its mean.
    """
    p = np.pad(image, 1, mode="symmetric")
    across = (p[:, 2:] - p[:, :-2]) / 8
    strength = (across[:-2] + 2 * across[1:-1] + across[2:]) ** 2
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    q = np.pad(strength, 1)
    ridge = (strength > q[1:-1, :-2]) & (strength > q[1:-1, 2:])
    return np.asarray(ridge | ((strength > q[:-2, 1:-1]) & (strength > q[2:, 1:-1])))


def widths_of(image: Float64, edges: Bool) -> Float64:
    """(H, W): how many columns the brightness keeps rising or falling around an edge pixel; 0 off the edges.

    Only where the gradient points along the row, to 22.5 degrees; where it has no horizontal part it counts as
    pointing right, as in python-cpbd. A picture whose gradients all point right has no widths, as there.
    """
    down, right = np.gradient(image)
    angle = np.where(right != 0, np.arctan2(down, right), 0.0) * (180 / np.pi)
    if not angle.any():
        return np.zeros(image.shape)
    turn = np.rint(angle / 45)
    rising, falling = turn == 0, np.abs(turn) == 4
    inner = np.zeros(image.shape, bool)
    inner[1:-1, 1:-1] = edges[1:-1, 1:-1]
    up, low = _runs(image, falls=False), _runs(image, falls=True)
    out = np.zeros(image.shape)
    # Left of a rising edge the picture goes on falling, seen from the edge; right of it, rising. A run is counted
    # from the neighbour of the edge pixel, and each side is at least one column wide.
    for kind, (to_left, to_right) in ((rising, (low[0], up[1])), (falling, (up[0], low[1]))):
        rows, columns = np.nonzero(inner & kind)
        out[rows, columns] = to_left[rows, columns - 1] + to_right[rows, columns + 1] + 2
    return out


def _runs(image: Float64, *, falls: bool) -> tuple[Array, Array]:
    """Number of steps, at most 100, that brightness strictly rises (or falls) from each pixel to the left and right."""
    step = np.diff(image, axis=1)
    to_right = step < 0 if falls else step > 0
    to_left = step > 0 if falls else step < 0
    height, width = image.shape
    left, right = np.zeros((2, height, width), np.int64)
    for column in range(1, width):
        left[:, column] = np.where(to_left[:, column - 1], left[:, column - 1] + 1, 0)
    for column in range(width - 2, -1, -1):
        right[:, column] = np.where(to_right[:, column], right[:, column + 1] + 1, 0)
    return np.minimum(left, LONGEST), np.minimum(right, LONGEST)


class Cpbd(RegionMetric):
    """Mean CPBD over every `stride`-th frame of the generated video; frames beside each other differ little."""

    name = "cpbd"
    smallest = BLOCK
    cached = True

    def __init__(
        self, *, regions: Sequence[str] = ("full",), stride: int = 5, context: BuildContext = ON_CPU
    ) -> None:
        if stride < 1:
            raise UsageError(f"CPBD stride {stride}: expected 1 or more frames")
        self.stride = stride
        self.whole = Column(
            "cpbd",
            "CPBD",
            "share",
            "higher",
            4,
            signature=f"cpbd[python-cpbd-1.0.7,grey:601,region:full,stride:{stride}]",
            bounds=(0.0, 1.0),
            also_called=("cumulative probability of blur detection",),
            text="How sharp the generated video is by itself: the share of edges that are so narrow that nobody would "
            "see blur. It does not look at the true video, whose own value is the one to compare with.",
        )
        super().__init__(regions=regions, context=context)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        return float(np.mean([cpbd(grey(frame)) for frame in made[:: self.stride]]))
