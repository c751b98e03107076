"""The detector of syncnet_python: what it refuses. Its numbers are held in test_lse.py, against another package."""

from __future__ import annotations

import numpy as np
import pytest

from tkbench.errors import BadInput
from tkbench.metrics import s3fd


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.int16),
    ],
    ids=lambda frame: f"{frame.dtype}{frame.shape}",
)
def test_what_is_no_picture_is_refused_before_the_network_runs(frame: np.ndarray) -> None:
    """OpenCV resizes all of these; the network then answers about something else, or with an error of its own."""
    with pytest.raises(BadInput, match=r"expected uint8 \(H, W, 3\)"):
        s3fd.detect(None, frame)
