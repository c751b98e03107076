"""A model for tkbench: the true video, mirrored. It shows what a plug-in needs, and nothing else."""

from __future__ import annotations

import numpy as np

from tkbench.models.base import ModelCard
from tkbench.types import Batch, Generated


class Mirror:
    """Left and right exchanged: right sync, wrong picture."""

    card = ModelCard(name="mirror", summary="The true video, mirrored.")

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """One video per sample, of its size and length: (T, H, W, 3) uint8 RGB."""
        return [Generated(sample.key, np.ascontiguousarray(sample.video[:, :, ::-1])) for sample in batch]
