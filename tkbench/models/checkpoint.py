"""Checkpoints of the generators and of the sync expert: safetensors with one line of facts in the header.

The line holds the kind, the sizes, the cut of the face and how it was trained: enough to build the network and
to use it, and nothing that runs code. Published Wav2Lip files (a pickled table with a `state_dict`) are read
as tensors alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tkbench.errors import UsageError, WeightsRefused
from tkbench.models.face import Cut
from tkbench.models.settings import build
from tkbench.weights import load_state, read_torch, sha256

if TYPE_CHECKING:
    import torch
    from torch import nn

GENERATORS = ("synctalkface", "cals", "wav2lip")
LOW = {"synctalkface": -1.0, "cals": -1.0, "wav2lip": 0.0, "expert": 0.0}
"""Black, in the pictures of each network; white is 1."""
PUBLISHED_CUT = Cut("wav2lip-96", 96)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a checkpoint says of itself."""

    kind: str
    spec: Mapping[str, Any]
    cut: Cut
    lead: int = 1
    """Frames by which the mel of a frame begins before it; see `tkbench.audio.windows`."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Configuration, data hash, steps, losses, device: what a model card is made from."""


SEEN = ("dataset", "data", "n_train", "steps", "seed", "published")
"""What of a training is handed on to the next one that begins with its weights."""


def network(kind: str, spec: Mapping[str, Any] | None = None) -> nn.Module:
    """A fresh network of a kind, from its table of sizes."""
    from tkbench.models.cals.model import CALS, CALSSpec
    from tkbench.models.synctalkface.model import SyncTalkFace, SyncTalkFaceSpec
    from tkbench.models.wav2lip.expert import Expert, ExpertSpec
    from tkbench.models.wav2lip.generator import Wav2Lip, Wav2LipSpec

    made: nn.Module
    table = spec or {}
    if kind == "synctalkface":
        made = SyncTalkFace(build(SyncTalkFaceSpec, table, kind))
    elif kind == "cals":
        made = CALS(build(CALSSpec, table, kind))
    elif kind == "wav2lip":
        made = Wav2Lip(build(Wav2LipSpec, table, kind))
    elif kind == "expert":
        made = Expert(build(ExpertSpec, table, kind))
    else:
        raise UsageError(f"{kind!r} is no network of tkbench; known: {', '.join(LOW)}")
    return made


def save(path: Path, state: Mapping[str, torch.Tensor], facts: Facts, *, half: bool = False) -> None:
    """Write a checkpoint under a temporary name, then give it its own; equal content makes equal bytes.

    half: matrices and kernels in float16, which moves a drawn pixel by less than a grey level; norms and biases stay
    as they are, because a variance can lie beyond its range.
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if half:
        large = {name for name, value in tensors.items() if value.is_floating_point() and value.ndim > 1}
        tensors |= {name: tensors[name].half() for name in large}
    fresh = path.with_name(path.name + ".new")
    save_file(tensors, str(fresh), metadata={"tkbench": json.dumps(asdict(facts), sort_keys=True)})
    fresh.replace(path)


def read_facts(path: Path) -> Facts:
    """The facts of a checkpoint; WeightsRefused, in one line, for any other file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a checkpoint that `tkbench train` wrote")
    try:
        with safe_open(str(path), "pt") as file:
            about = json.loads((file.metadata() or {})["tkbench"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsRefused(
            f"{path}: not a checkpoint of tkbench ({type(error).__name__}); expected a .safetensors file that "
            f"`tkbench train` wrote"
        ) from error
    if not isinstance(about, dict) or about.get("kind") not in LOW:
        raise WeightsRefused(
            f"{path}: a safetensors file of tkbench, but not a generator or an expert (a judge never trains or "
            f"generates); expected one of {', '.join(LOW)}"
        )
    try:
        return build(Facts, about, str(path))
    except UsageError as error:
        raise WeightsRefused(f"{error}; another version of tkbench wrote it") from error


def load(path: Path, kind: str) -> tuple[nn.Module, Facts]:
    """The network in a checkpoint, ready for use. Raises WeightsRefused where it is not one of `kind`."""
    if path.suffix in (".pth", ".pt", ".ckpt") and kind in ("wav2lip", "expert"):
        facts = Facts(kind, {}, PUBLISHED_CUT, lead=0, training={"published": path.name})
        state = load_published(path)
    else:
        facts = read_facts(path)
        if facts.kind != kind:
            raise WeightsRefused(f"{path}: holds {_a(facts.kind)}, expected {_a(kind)}")
        state = load_state(path)
    net = network(kind, facts.spec)
    fill(net, state, path)
    return net.eval(), facts


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "expert" else f"a {kind}"


def fill(net: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load `state` into `net`; WeightsRefused names the first parameters that do not fit."""
    wanted = net.state_dict()
    missing = sorted(set(wanted) - set(state))
    foreign = sorted(set(state) - set(wanted))
    shapes = [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if missing or foreign or shapes:
        raise WeightsRefused(
            f"{path}: does not fit {type(net).__name__}: missing {missing[:2]}, unknown {foreign[:2]}, {shapes[:1]}"
        )
    broken = next((name for name, value in state.items() if not bool(value.isfinite().all())), None)
    if broken is not None:
        raise WeightsRefused(
            f"{path}: {broken} holds values that are no numbers; train it again, or get another file"
        )
    net.load_state_dict(dict(state))


def begin(net: nn.Module, path: Path, kind: str) -> list[dict[str, Any]]:
    """Give `net` the weights of a checkpoint to learn on from; what only `net` has keeps its own.

    What all these weights have seen, the latest training first: what `trainings` tells of the file, and of `path`
    its sha256, its cut, its lead and the names of what it lacks (`fresh`). WeightsRefused where the file has what
    `net` lacks, or a tensor of another shape: that is another network.
    """
    other, facts = load(path, kind)
    state, own = other.state_dict(), net.state_dict()
    try:
        fill(net, {**own, **state}, path)
    except WeightsRefused as error:
        raise WeightsRefused(
            f"{error}; give --from a checkpoint whose [net] is that of the configuration, or has less in it"
        ) from error
    about = {"sha256": sha256(path), "cut": asdict(facts.cut), "lead": facts.lead}
    latest, *earlier = trainings(facts)
    return [{**latest, **about, "fresh": sorted(set(own) - set(state))}, *earlier]


def trainings(facts: Facts) -> list[dict[str, Any]]:
    """Every training that led to a checkpoint, the latest first: data set, hash of its split, steps, or `published`."""
    own = {name: facts.training[name] for name in SEEN if name in facts.training}
    return [own, *facts.training.get("before", ())]


def load_published(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a Wav2Lip checkpoint as its authors saved them: a table with `state_dict`.

    Names saved from several devices begin with `module.`. Nothing but tensors and plain values is read.
    """
    import torch

    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a published Wav2Lip checkpoint")
    table = read_torch(path, "cannot be read as a table of tensors")
    if isinstance(table, dict) and isinstance(table.get("state_dict"), dict):
        table = table["state_dict"]
    if not isinstance(table, dict) or not all(isinstance(v, torch.Tensor) for v in table.values()):
        raise WeightsRefused(
            f"{path}: holds no `state_dict` of tensors; expected a published Wav2Lip checkpoint"
        )
    return {str(name).removeprefix("module."): value for name, value in table.items()}
