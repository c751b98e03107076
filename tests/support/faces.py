"""Pictures of one photographed face, made without any resampling, so that they are the same everywhere."""

from __future__ import annotations

import numpy as np

from tkbench.types import UInt8

LOST = 12
"""The black picture in `moving_face`."""


def photo() -> UInt8:
    """The astronaut of scikit-image, 512 x 512; the face is about 100 pixels wide."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut())


def mesh_crops() -> UInt8:
    """Six pictures of 192 x 192 for the networks of Face Mesh: upright, mirrored, to the side, so large and far left
    that an eye's region reaches beyond the picture, pale, and no face at all.
    """
    whole = photo()
    upright = whole[30:222, 130:322]
    large = whole[72:168, 188:284].repeat(2, axis=0).repeat(2, axis=1)
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3)).astype(np.uint8)
    return np.stack(
        [
            upright,
            upright[:, ::-1],
            whole[60:252, 100:292],
            large,
            upright // 2 + 60,
            noise,
        ]
    )


def moving_face() -> list[UInt8]:
    """20 pictures of 240 x 300: the face moves, is gone in picture 12, and comes back mirrored elsewhere."""
    face = photo()[10:230, 120:320]
    out = []
    for t in range(20):
        picture = np.full((240, 300, 3), 90, np.uint8)
        if t == LOST:
            picture[:] = 0
        elif t < LOST:
            picture[10 + t % 3 : 230 + t % 3, 10 + 3 * t : 210 + 3 * t] = face
        else:
            picture[5:225, 90 - t : 290 - t] = face[:, ::-1]
        out.append(picture)
    return out
