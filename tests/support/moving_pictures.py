"""Small videos with cuts, flashes and slow changes, drawn from a seed: what scene rules are held against."""

from __future__ import annotations

import numpy as np

from tkbench.types import UInt8

CASES = (
    # width, height, frames, seed
    (120, 90, 150, 0),
    (255, 64, 150, 1),
    (256, 144, 150, 2),
    (300, 200, 150, 3),
    (399, 96, 120, 4),
    (420, 300, 120, 5),
    (640, 360, 120, 6),
    (144, 900, 90, 7),
    (912, 300, 90, 8),
    (1300, 128, 90, 9),
    (1720, 96, 60, 10),
    (64, 64, 40, 11),
    (64, 64, 16, 12),
    (200, 64, 300, 13),
    (200, 64, 300, 14),
    (200, 64, 300, 15),
)
"""Below, at and above every width at which a release changes its way of shrinking; long ones with bursts of flashes."""


def frames_of(width: int, height: int, frames: int, seed: int) -> UInt8:
    """(frames, height, width, 3) RGB: shots of coarse noise, some so near each other that a rule may miss the cut."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, -(-height // 8), -(-width // 8), 3))
    shots = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    shown, level = 0, 0.0
    out = np.empty((frames, height, width, 3), np.uint8)
    for t in range(frames):
        chance = 0.3 if (t // 40) % 3 == 1 else 0.04
        if rng.random() < chance:
            shown = int(rng.integers(len(shots)))
            # Part of the way to another shot: changes on both sides of 27 and 30.
            share = rng.uniform(0.2, 0.6)
        elif t == 0:
            share = 0.4
        level = 0.8 * level + rng.normal(0, 4)
        out[t] = np.clip(128 * (1 - share) + share * shots[shown] + level, 0, 255).astype(np.uint8)
    return out
