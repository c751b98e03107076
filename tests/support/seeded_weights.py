"""Weights that two implementations of a network can both be given: drawn from the names of its parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch


def seeded_state(shapes: Mapping[str, torch.Tensor], gain: float = 0.7) -> dict[str, torch.Tensor]:
    """A state dict of these names and shapes; the same for the same names, whatever their order.

    Kernels are drawn by He's rule, times `gain`, so that signals neither vanish nor explode.
    Norms have means, variances, scales and shifts that are not 0 and 1, so that each of them matters.
    """
    state = {}
    for name, value in shapes.items():
        rng = np.random.default_rng(np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32))
        shape, leaf = tuple(value.shape), name.rpartition(".")[2]
        if leaf == "num_batches_tracked":
            drawn = np.zeros(shape)
        elif leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
            drawn = rng.uniform(0.7, 1.3, shape)
        elif len(shape) > 1:
            drawn = rng.standard_normal(shape, np.float32) * (2 / np.prod(shape[1:])) ** 0.5 * gain
        else:
            drawn = rng.normal(0, 0.1, shape)
        state[name] = torch.from_numpy(np.asarray(drawn)).to(value.dtype)
    return state
