"""Checkpoints of the networks that tkbench trains: safetensors with one line of facts in the header.

The line holds the kind, the sizes, the cut of the face and how it was trained: enough to build the network and
to use it, and nothing that runs code. Published Wav2Lip files (a pickled table with a `state_dict`) are read
as tensors alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from tkbench.errors import UsageError, WeightsRefused
from tkbench.models import kinds
from tkbench.models.face import Cut
from tkbench.models.settings import build
from tkbench.weights import load_state, read_about, read_torch, sha256, write_tensors

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tkbench.models.network import FaceNetwork, Network


class EarlierTraining(TypedDict, total=False):
    """One training whose weights a later one began with."""

    dataset: str
    data: str
    """`Shards.data_hash` of the split."""
    n_train: int
    """Clips."""
    steps: int
    seed: int
    published: str
    """The authors' file, where they trained it."""
    sha256: str
    """Of the checkpoint, and with it how it cut faces, its lead, and the tensors that it lacked."""
    cut: dict[str, object]
    lead: int
    fresh: list[str]
    painter: str
    """The kind of network whose drawing layers alone this training gave."""


class Training(EarlierTraining, total=False):
    """How a checkpoint was trained."""

    tkbench: str
    """Version."""
    batch: int
    """Windows in a step, those of all devices together."""
    device: str
    precision: str
    seconds: float
    samples_per_second: float
    wait: float
    """Share of the time in which steps waited for data."""
    expert: str | None
    """sha256 of the frozen expert."""
    before: list[EarlierTraining]
    """The latest first."""
    config: dict[str, object]


HANDED_ON = ("dataset", "data", "n_train", "steps", "seed", "published")
"""The facts of a training that the next one stores if it begins with these weights."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a checkpoint says of itself."""

    kind: str
    """Name of a `NetworkKind`."""
    spec: Mapping[str, object]
    """Its sizes."""
    cut: Cut
    lead: int = 1
    """Frames by which the mel of a frame begins before it; see `tkbench.audio.windows`."""
    training: Training = field(default_factory=Training)


def save(path: Path, state: Mapping[str, torch.Tensor], facts: Facts, *, half: bool = False) -> None:
    """Write a checkpoint under a temporary name, then rename it; equal content makes equal bytes.

    half: matrices and kernels in float16, which changes a drawn pixel by less than a grey level; norms and biases stay
    as they are, because a variance can exceed the range of float16.
    """
    tensors = dict(state)
    if half:
        large = {name for name, value in tensors.items() if value.is_floating_point() and value.ndim > 1}
        tensors |= {name: tensors[name].half() for name in large}
    write_tensors(path, tensors, asdict(facts))


def read_facts(path: Path) -> Facts:
    """The facts of a checkpoint; WeightsRefused, in one line, for any other file."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a checkpoint that `tkbench train` wrote")
    try:
        about = read_about(path)
    except ValueError as error:
        raise WeightsRefused(
            f"{path}: not a checkpoint of tkbench ({error}); expected a .safetensors file that `tkbench train` wrote"
        ) from error
    if about.get("kind") not in kinds.registry:
        raise WeightsRefused(
            f"{path}: a safetensors file of tkbench, but not a generator or an expert (a judge never trains or "
            f"generates); expected one of {', '.join(kinds.registry)}"
        )
    try:
        return build(Facts, about, str(path))
    except UsageError as error:
        raise WeightsRefused(f"{error}; another version of tkbench wrote it") from error


def facts_of(path: Path, kind: str) -> Facts:
    """The facts of a checkpoint of that kind, or of one that its authors published; WeightsRefused for any other file.

    Nothing of this needs torch, so it is asked before torch is loaded.
    """
    record = kinds.registry.get(kind)
    if _is_published(path, kind):
        if not path.is_file():
            raise UsageError(f"{path}: no such file; expected a published Wav2Lip checkpoint")
        assert record.published_cut is not None
        return Facts(kind, {}, Cut(*record.published_cut), lead=0, training={"published": path.name})
    facts = read_facts(path)
    if facts.kind != kind:
        found = kinds.registry.get(facts.kind)
        raise WeightsRefused(f"{path}: holds {found.with_article()}, expected {record.with_article()}")
    return facts


def _is_published(path: Path, kind: str) -> bool:
    """Whether the file is in the form in which the authors of that kind publish theirs."""
    return path.suffix in (".pth", ".pt", ".ckpt") and kinds.registry.get(kind).published_cut is not None


def load(path: Path, kind: str) -> tuple[Network, Facts]:
    """The network in a checkpoint, ready for use. Raises WeightsRefused where it is not one of `kind`."""
    facts = facts_of(path, kind)
    state = load_published(path) if _is_published(path, kind) else load_state(path)
    net = kinds.registry.get(kind).build(facts.spec)
    fill(net, state, path)
    return net.eval(), facts


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
            f"{path}: {broken} holds nan or infinite values; train it again, or get another file"
        )
    net.load_state_dict(dict(state))


def begin_with(net: Network, path: Path, kind: str) -> list[EarlierTraining]:
    """Give `net` the weights of a checkpoint to train on from; tensors that only `net` has keep their first values.

    A checkpoint for faces of another side is fitted to this one's; see `fitted`.

    Returns every training that made these weights, the latest first: what `trainings` says of the file, and of the
    latest the checkpoint's sha256, cut, lead and the names of the tensors that it lacks (`fresh`). Raises
    WeightsRefused where the file has tensors that `net` lacks, or others of another shape: that is another network.
    """
    other, facts = load(path, kind)
    own = net.state_dict()
    state = fitted(net, other.state_dict())
    try:
        fill(net, {**own, **state}, path)
    except WeightsRefused as error:
        raise WeightsRefused(
            f"{error}; give --from a checkpoint whose [net] is that of the configuration, or has less in it"
        ) from error
    return _history(path, facts, fresh=sorted(set(own) - set(state)))


def fitted(net: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` with its kernels at the sides that `net` has, where nothing else differs; the rest as it is.

    Ours. Face networks of 64, 96 and 128 pixels differ in one kernel of each encoder and decoder: the one that spans
    the smallest map. It is interpolated. A convolution adds up over its kernel, so its weights are scaled to keep the
    sum of a map that is flat; a transposed one spreads each input over its kernel, and needs no scale.
    """
    from torch import nn

    from tkbench.models.spec import SIZES

    sides = {(size // 32, size // 32) for size in SIZES}
    out = dict(state)
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or f"{name}.weight" not in state:
            continue
        kernel, wanted = state[f"{name}.weight"], layer.weight.shape
        if kernel.shape == wanted or kernel.shape[:2] != wanted[:2]:
            continue
        if not {tuple(kernel.shape[2:]), tuple(wanted[2:])} <= sides:
            continue  # another layer stands there
        spread = nn.functional.interpolate(kernel, wanted[2:], mode="bilinear", align_corners=False)
        adds_up = isinstance(layer, nn.Conv2d)
        share = kernel[0, 0].numel() / spread[0, 0].numel() if adds_up else 1.0
        out[f"{name}.weight"] = spread * share
    return out


def _history(path: Path, facts: Facts, *, fresh: list[str]) -> list[EarlierTraining]:
    """Every training behind the checkpoint that a training begins with, and which checkpoint that is."""
    latest, *earlier = trainings(facts)
    latest["sha256"], latest["cut"], latest["lead"] = sha256(path), asdict(facts.cut), facts.lead
    latest["fresh"] = fresh
    return [latest, *earlier]


def painter_facts(path: Path, kind: str) -> Facts:
    """The facts of a checkpoint whose drawing layers a network of `kind` may begin with; WeightsRefused for others."""
    facts = read_facts(path)
    own, theirs = kinds.registry.get(kind), kinds.registry.get(facts.kind)
    if not (own.draws_faces and theirs.draws_faces):
        raise WeightsRefused(
            f"{path}: holds {theirs.with_article()}, and {own.with_article()} is trained; drawing layers go from one "
            f"generator of faces to another"
        )
    if own.black != theirs.black:
        raise WeightsRefused(
            f"{path}: holds {theirs.with_article()}, whose black is {theirs.black:g}; that of {own.with_article()} is "
            f"{own.black:g}; give one that draws in the same range"
        )
    return facts


def paint_with(net: FaceNetwork, path: Path, kind: str) -> list[EarlierTraining]:
    """Give `net` the drawing layers of a checkpoint of any kind that draws as it does; the rest of it is left alone.

    Tensors of these layers that only `net` has keep their values; those of another side are `fitted`. Returns what
    `begin_with` does, each training marked with the kind it trained (`painter`). Raises WeightsRefused where the layers
    do not fit.
    """
    facts = painter_facts(path, kind)
    other = cast("FaceNetwork", load(path, facts.kind)[0])
    if not net.painter or set(net.painter) != set(other.painter):
        raise WeightsRefused(
            f"{path}: {facts.kind} and {kind} do not draw with the same layers; leave --painter out"
        )
    fresh = []
    for role, layers in net.painter.items():
        own = layers.state_dict()
        theirs = fitted(layers, other.painter[role].state_dict())
        try:
            fill(layers, {**own, **theirs}, path)
        except WeightsRefused as error:
            raise WeightsRefused(
                f"{error} (its {role}); give --painter a checkpoint whose width, blend and warp are those of the "
                f"configuration"
            ) from error
        fresh += [f"{role}.{name}" for name in sorted(set(own) - set(theirs))]
    history = _history(path, facts, fresh=fresh)
    for training in history:
        training["painter"] = facts.kind
    return history


def trainings(facts: Facts) -> list[EarlierTraining]:
    """Every training that led to a checkpoint, the latest first: data set, hash of its split, steps, or `published`."""
    own = {name: value for name, value in facts.training.items() if name in HANDED_ON}
    return [cast(EarlierTraining, own), *facts.training.get("before", ())]


def frames_of(facts: Facts) -> int | None:
    """Frames in a window of the training that made a checkpoint; None where that is not known."""
    data = facts.training.get("config", {}).get("data")
    frames = data.get("frames") if isinstance(data, Mapping) else None
    return frames if isinstance(frames, int) else None


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
