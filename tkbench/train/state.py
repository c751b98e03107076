"""Where a run stands, in one file: enough to continue as if it had never stopped.

What a step draws by chance (dropout, masks, mirrors) comes from (seed, step, rank), and its windows from the loader's
place. So weights, moments, averages and two counters are all that has to be kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import nn

from tkbench.data.loader import LoaderState
from tkbench.errors import UsageError, WeightsRefused
from tkbench.train.config import Config
from tkbench.weights import read_torch

FORMAT = 2


class Best(TypedDict, total=False):
    """The best validation so far."""

    value: float
    step: int
    since: int
    """Validations after it."""
    weights: dict[str, torch.Tensor]


class State(TypedDict, total=False):
    """What the file of a run holds."""

    identity: str
    """Everything that must not change between the parts of a run; see `identity`."""
    step: int
    """Steps done, and the seconds that they took and waited."""
    seconds: float
    waited: float
    loader: LoaderState
    net: dict[str, torch.Tensor]
    heads: dict[str, torch.Tensor]
    adam: dict[str, object]
    quality: dict[str, torch.Tensor]
    """The discriminator and its optimiser; empty without one."""
    quality_adam: dict[str, object]
    average: dict[str, torch.Tensor]
    """Averaged weights; empty where they are not averaged."""
    precision: dict[str, object]
    """Of the loss scaler of 16-mixed; empty for other precisions."""
    best: Best
    """Of `[keep] best`; empty without it, and before the first validation."""


class Average:
    """Weights averaged over steps: decay `d` keeps d of the average, less in the first steps.

    Running means and variances of norms are averaged alike; counters are copied.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """After step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        kept, fresh = [], []
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                kept.append(self.state[name])
                fresh.append(value)
            else:
                self.state[name].copy_(value)
        # On a GPU a few kernels instead of one per tensor.
        torch._foreach_lerp_(kept, fresh, 1 - decay)


def identity(
    config: Config,
    data: str,
    world: int,
    expert: str = "",
    start: str = "",
    painter: str = "",
    *,
    heads: bool = False,
) -> str:
    """What must not change between the parts of a run, in one line.

    expert, start, painter: the sha256 of the frozen expert, of the checkpoint that the run began with, and of the one
    that gave the drawing layers; heads: whether layers that only training uses came with it.
    """
    settings = asdict(config)
    settings["run"] = {"precision": config.run.precision}
    settings["data"].pop("workers")
    begun = {"start": start, "painter": painter, "heads": heads}
    files = {"expert": expert} | {name: value for name, value in begun.items() if value}
    return json.dumps({"config": settings, "data": data, "world": world, **files}, sort_keys=True)


def save(path: Path, state: State) -> None:
    """Write under a temporary name, then rename: a kill leaves the last whole file."""
    fresh = path.with_name(path.name + ".new")
    torch.save({"tkbench_train": FORMAT, **state}, fresh)
    fresh.replace(path)


def load(path: Path, wanted: str) -> State:
    """The state in `path`. WeightsRefused for another file, UsageError where it is of another run than `wanted`."""
    advice = "remove it to start afresh, or give another --out"
    state = read_torch(path, "cannot be read as a training state", f"; {advice}")
    if not isinstance(state, dict) or state.get("tkbench_train") != FORMAT:
        raise WeightsRefused(f"{path}: not a training state of this tkbench; {advice}")
    if state["identity"] != wanted:
        differs = ", ".join(differences(json.loads(state["identity"]), json.loads(wanted)))
        raise UsageError(f"{path}: is of another run (differs in {differs}); {advice}")
    return cast(State, state)


def heads_of(path: Path, steps: int) -> dict[str, torch.Tensor]:
    """What only training uses, in the state of the run that wrote a checkpoint after `steps` steps.

    Empty where that state is not there any more, or is of another step: the layers then begin anew.
    """
    if not path.is_file():
        return {}
    kept = read_torch(path, "cannot be read as a training state")
    if not isinstance(kept, dict) or kept.get("tkbench_train") != FORMAT or kept.get("step") != steps:
        return {}
    return cast(State, kept)["heads"]


def differences(one: object, other: object, where: str = "") -> Iterable[str]:
    """Dotted names of what differs between two tables."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from differences(one.get(name), other.get(name), f"{where}.{name}" if where else name)
    elif one != other:
        named = {
            "data": "the data",
            "expert": "the expert",
            "start": "the checkpoint of --from",
            "painter": "the checkpoint of --painter",
            "heads": "whether the run folder of --from was there",
        }
        yield named.get(where, f"{where} ({one} there, {other} here)")
