"""What a training step of each network computes: one objective per kind, named by its `NetworkKind`.

An objective holds the network, the frozen expert and the weights of its terms. The loop calls `forward` (a step's loss,
term by term, and the drawn frames, also on validation windows) and `sample` (faces to look at), and saves `net`. It
never looks inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tkbench.errors import UsageError
from tkbench.models import kinds
from tkbench.registry import resolve
from tkbench.train.job import EXPERT, no_expert

if TYPE_CHECKING:
    from tkbench.models.wav2lip.expert import Expert
    from tkbench.train.config import Config
    from tkbench.train.objectives.base import Objective


def objective(config: Config, expert: Path | None) -> Objective:
    """The objective of a run, with fresh weights. `expert`: the checkpoint of the frozen sync expert.

    Raises UsageError where an expert is needed and none is given, or it knows another crop recipe. One that knows the
    recipe at another side is shown faces of its own side.
    """
    made: Objective = resolve(kinds.registry.get(config.model).objective)(config)
    if made.weight.needs_expert() and expert is None:
        raise no_expert(config)
    if expert is not None and config.model != EXPERT and made.weight.needs_expert():
        made.expert = _frozen(expert, config)
    return made


def _frozen(path: Path, config: Config) -> Expert:
    from tkbench.models import checkpoint
    from tkbench.models.wav2lip.expert import Expert

    net, facts = checkpoint.load(path, "expert")
    assert isinstance(net, Expert)
    if facts.cut.recipe != config.cut.recipe:
        raise UsageError(
            f"{path}: an expert for faces cut as {facts.cut}, the configuration cuts {config.cut}; train an expert "
            f"with this recipe, or give another one"
        )
    return net.requires_grad_(False)
