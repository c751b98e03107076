"""The sizes that generators of faces have in common, and which of them the networks can be built with.

No torch: a wrong configuration is refused before it is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from tkbench.errors import BadInput

SIZES = (64, 96, 128)
"""Sides of a face, in pixels, that the face networks are made for."""


def check_size(size: int) -> int:
    """`size` if the networks can take it; BadInput otherwise."""
    if size not in SIZES:
        raise BadInput(f"size {size}: the face networks take {', '.join(map(str, SIZES))} pixels")
    return size


def check_width(width: float) -> float:
    """`width` if a network can have it; BadInput otherwise."""
    if width <= 0:
        raise BadInput(f"width {width:g}: a network's width is above 0")
    return width


def check_share(name: str, share: float) -> float:
    """`share` if it is one, from 0 to below 1; BadInput otherwise."""
    if not 0 <= share < 1:
        raise BadInput(f"{name} = {share:g}: a share from 0 to below 1")
    return share


def check_count(name: str, count: int) -> int:
    """`count` if there is at least one; BadInput otherwise."""
    if count < 1:
        raise BadInput(f"{name} = {count}: at least 1")
    return count


def wide(channels: int, width: float) -> int:
    """`channels` of the published network at another width: a multiple of 8, at least 8.

    >>> wide(512, 1.0), wide(80, 0.25), wide(16, 0.25)
    (512, 24, 8)
    """
    return channels if check_width(width) == 1 else max(8, 8 * int(channels * width / 8 + 0.5))


@dataclass(frozen=True, slots=True)
class FaceSpec:
    """The sizes that every generator has."""

    size: int = 128
    """Side of the face in pixels."""
    width: float = 1.0
    """Every channel count of the published network is multiplied by this."""
    blend: bool = False
    """Whether the reference shows through where nothing has to change (ours); see `Picture`."""
    warp: float = 0.0
    """How far `blend` may move the reference, as a share of the side (ours); see `Picture`."""

    def __post_init__(self) -> None:
        check_size(self.size)
        check_width(self.width)
        if not 0 <= self.warp <= 1 or (self.warp and not self.blend):
            raise BadInput(
                f"warp = {self.warp:g}, blend = {str(self.blend).lower()}: warp is a share from 0 to 1, and needs "
                f"blend = true; set blend = true, or warp = 0"
            )
