"""The detector of syncnet_python: its boxes to the last bit, and what it refuses.

The network's layers are held in test_lse.py, against another package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("size", ["480x720", "360x640", "333x501", "272x480"])
def test_boxes_are_those_of_syncnet_python_to_the_last_bit(
    size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crop's corner is cut to whole pixels: 519.00002 and 518.99999 are two crops, and so two scores.

    golden/s3fd.json holds the boxes that the published code makes of the same answers of a network.
    """
    golden = Path(__file__).parent / "golden"
    monkeypatch.syspath_prepend(golden)
    from make_s3fd import answers

    class Seeded(s3fd.S3FD):
        def heads(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
            return answers(x.shape[2], x.shape[3])

    height, width = map(int, size.split("x"))
    expected = np.array(json.loads((golden / "s3fd.json").read_text(encoding="utf-8"))[size])
    assert len(expected) > 5
    np.testing.assert_array_equal(s3fd.detect(Seeded(), np.zeros((height, width, 3), np.uint8)), expected)
