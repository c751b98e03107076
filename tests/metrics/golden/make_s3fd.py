"""Write s3fd.json: what syncnet_python's detector makes of network answers that are drawn from a seed.

No weight is needed: its own code runs from the answers of the six levels on (priors, decoding, both suppressions and
the scale to pixels). Sizes of boxes keep their prior's, so that no exponential is taken: then every processor gives
the same bits. To make it again, from the top of the checkout, with a checkout of joonson/syncnet_python@6efbb1c:

    python tests/metrics/golden/make_s3fd.py /tmp/syncnet_python
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
SIZES = ((480, 720), (360, 640), (333, 501), (272, 480))
"""Height and width of the pictures."""


def answers(height: int, width: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Score logits (1, 2, h, w) and offsets (1, 4, h, w) of six levels for a picture shrunk to (height, width)."""
    rng = np.random.default_rng([height, width])
    levels = []
    for step in (4, 8, 16, 32, 64, 128):
        rows, columns = math.ceil(height / step), math.ceil(width / step)
        logits = np.zeros((2, rows, columns), np.float32)
        offsets = np.zeros((4, rows, columns))
        logits[1] = np.where(rng.random((rows, columns)) < 0.1, rng.normal(2, 3, (rows, columns)), -9)
        offsets[:2] = rng.normal(0, 1.5, (2, rows, columns))
        levels.append((torch.from_numpy(logits)[None], torch.from_numpy(offsets.astype(np.float32))[None]))
    return levels


def main(checkout: Path) -> None:
    """Import the detector from `checkout` and write its boxes beside this file."""
    np.__dict__["int"] = int  # its code is older than NumPy 1.24
    warnings.simplefilter("ignore", UserWarning)
    sys.path.insert(0, str(checkout))
    detectors, boxes = import_module("detectors.s3fd"), import_module("detectors.s3fd.box_utils")

    def network(x: torch.Tensor) -> Any:
        levels = answers(*x.shape[2:])
        scores, offsets = (
            torch.cat([part.permute(0, 2, 3, 1).reshape(1, -1) for part in kind], 1)
            for kind in zip(*levels, strict=True)
        )
        priors = boxes.PriorBox(x.shape[2:], [part.shape[2:] for part, _ in levels]).forward()
        return boxes.Detect().forward(offsets.view(1, -1, 4), scores.view(1, -1, 2).softmax(-1), priors)

    detector = detectors.S3FD.__new__(detectors.S3FD)
    detector.device, detector.net = "cpu", network
    found = {
        f"{height}x{width}": detector.detect_faces(
            np.zeros((height, width, 3), np.uint8), conf_th=0.9, scales=[0.25]
        )[:, :4].tolist()
        for height, width in SIZES
    }
    (HERE / "s3fd.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print({size: len(rows) for size, rows in found.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
