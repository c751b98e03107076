"""The networks of `tkbench study context`: one layer for each slice, shared, and two for all of a window together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tkbench.study.context_data import Slices, Task
from tkbench.study.frames import LETTERS
from tkbench.types import Array, Float32

if TYPE_CHECKING:
    import torch

STEPS, BATCH, RATE, DECAY, DROPOUT = 800, 256, 2e-3, 0.02, 0.1
SLICE, HIDDEN = 32, 128
"""Numbers that each slice becomes, and all of them together."""
SETTINGS = f"batch:{BATCH},lr:{RATE:g},decay:{DECAY:g},dropout:{DROPOUT:g},net:{SLICE}-{HIDDEN}"
AT_ONCE = 2048


def trained(train: Task, held: Task, window: int, seed: int, *, steps: int = STEPS) -> Float32:
    """Train one network, and what it tells of the held-out frames: (N, 8), or the probability of each class."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    goal = train.targets
    middle, spread = (0.0, 1.0) if train.classes else (goal.mean(axis=0), goal.std(axis=0) + 1e-4)
    wanted = torch.from_numpy(goal if train.classes else np.float32((goal - middle) / spread))
    ear = _Ear.of(train)
    net = _network(train.slices.middle.shape[1], window, len(LETTERS) if train.classes else goal.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    # A cycle needs a step up and one down.
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(2, steps))
    loss_of = torch.nn.functional.cross_entropy if train.classes else torch.nn.functional.mse_loss
    net.train()
    for _ in range(steps):
        rows = rng.integers(0, len(goal), BATCH)
        loss = loss_of(net(ear.hear(rows, window)), wanted[torch.from_numpy(rows)])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    net.eval()
    ear = _Ear.of(held)
    rows = np.arange(len(held.targets))
    with torch.inference_mode():
        parts = [net(ear.hear(rows[k : k + AT_ONCE], window)) for k in range(0, len(rows), AT_ONCE)]
        told = torch.cat([part.softmax(dim=1) if train.classes else part for part in parts]).numpy()
    return np.asarray(told if train.classes else told * spread + middle, np.float32)


@dataclass(frozen=True, slots=True)
class _Ear:
    """Cuts windows out of a task."""

    task: Task
    middle: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    alone: torch.Tensor

    @classmethod
    def of(cls, task: Task) -> _Ear:
        import torch

        s: Slices = task.slices
        return cls(task, *(torch.from_numpy(rows) for rows in (s.middle, s.first, s.last, s.alone)))

    def hear(self, rows: Array, window: int) -> torch.Tensor:
        """(n,) frames -> (n, 2 window + 1, D)."""
        import torch

        places = torch.from_numpy(self.task.places(rows, window))
        if window == 0:
            return self.alone[places]
        sound = self.middle[places]
        sound[:, 0] = self.first[places[:, 0]]
        sound[:, -1] = self.last[places[:, -1]]
        return sound


def _network(size: int, window: int, outputs: int) -> torch.nn.Module:
    """(B, 2 window + 1, size) -> (B, outputs)."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(size, SLICE),
        nn.GELU(),
        nn.Flatten(),
        nn.Dropout(DROPOUT),
        nn.Linear(SLICE * (2 * window + 1), HIDDEN),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, outputs),
    )
