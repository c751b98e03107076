"""Masks of open mouths."""

from __future__ import annotations

import numpy as np

from tkbench.metrics.mouth import filled


def test_rims_are_filled_however_they_lie_in_memory() -> None:
    """Landmarks of a real file come out of a slice; a square mouth of 4 x 4 pixels is 25 pixels with its rim."""
    square = np.array([[2, 2], [4, 2], [6, 2], [6, 4], [6, 6], [4, 6], [2, 6], [2, 4]], float)
    apart = np.repeat(square[:, None], 3, axis=1).swapaxes(0, 1)
    masks = filled(apart, (10, 12))
    assert masks.shape == (3, 10, 12)
    assert masks.sum(axis=(1, 2)).tolist() == [25, 25, 25]
    assert (masks == filled(np.ascontiguousarray(apart), (10, 12))).all()
    assert masks[0, 2:7, 2:7].all()
