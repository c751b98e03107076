"""A model for tkbench: the true video, mirrored. It has the right sync and the wrong picture."""

from __future__ import annotations

import numpy as np

from tkbench.models.base import ModelCard
from tkbench.types import Batch, Generated


class Mirror:
    """Left and right exchanged. Load the weights of a model in `__init__`: it is called once per process."""

    card = ModelCard(name="mirror", summary="The true video, mirrored.")

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """One video per sample, of its size and length: (T, H, W, 3) uint8 RGB."""
        return [Generated(sample.key, np.ascontiguousarray(sample.video[:, :, ::-1])) for sample in batch]
