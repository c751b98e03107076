"""The sizes of Wav2Lip and of the sync expert; no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tkbench.models.spec import FaceSpec, check_size, check_width

FRAMES = 5
"""Frames in one embedding of the expert: 0.2 s."""


@dataclass(frozen=True, slots=True)
class Wav2LipSpec(FaceSpec):
    """What differs between networks of this form; the defaults are the published one."""

    size: int = 96


@dataclass(frozen=True, slots=True)
class ExpertSpec:
    """What differs between experts; the defaults are the published one."""

    size: int = 96
    """Side of the whole face; the input is its lower half."""
    width: float = 1.0
    motion: float = 1.0
    """Factor on the difference of each frame from the mean of the five. 1 is the published network.

    Ours: with 1 a small expert is at chance after 250 steps, because people differ more than mouths move; with 40 it is
    clearly above chance after 100.
    """

    def __post_init__(self) -> None:
        check_size(self.size)
        check_width(self.width)
