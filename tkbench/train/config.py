"""What a training run is: one TOML file, in which every setting is known or refused.

A configuration has a name, that of its file in the folder of the kind of network (`NetworkKind.configs`): `cals-small`
trains on a CPU, `cals-paper` is the paper's scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench.errors import BadInput, UsageError
from tkbench.models import kinds
from tkbench.models.face import Cut
from tkbench.models.settings import build
from tkbench.registry import find_file, resolve, suggest
from tkbench.runtime import toml

if TYPE_CHECKING:
    from tkbench.train.objectives.terms import Loss


@dataclass(frozen=True, slots=True)
class Data:
    """Which windows a step is given; see `tkbench.data.load`."""

    frames: int = 5
    """Length of a window."""
    batch: int = 16
    """Windows per step and device."""
    min_reference_gap: int = 1
    """Least number of frames between the start of a window and that of its reference."""
    frames_per_window: float = 25.0
    """An epoch takes one window per so many frames of a clip; 0 takes one per clip."""
    padded_sound: bool = False
    """Also windows whose sound reaches beyond an end of the clip, where it is padded with silence."""
    silent: bool = False
    """Silence in the place of every sound, for a version of a model that is trained without sound; switch off the terms
    of the loss that compare with sound (`av`)."""
    flip: float = 0.0
    """The share of windows that are mirrored, with their references. Ours: the papers do not say."""
    camera: float = 0.0
    """The share of training windows that are shown as another camera would have taken them (ours); see
    `tkbench.data.camera`. Validation windows are left as they are."""
    workers: int = -1
    """Processes that load; 0 loads between steps. -1 is 0 on a CPU, where steps need every core, and on a GPU one per
    core, at most 8."""


@dataclass(frozen=True, slots=True)
class Optim:
    """How weights are updated (Adam)."""

    lr: float = 1e-4
    lr_quality: float = 1e-4
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.999)
    warmup: int = 0
    """Steps in which the rate rises linearly from 0."""
    cosine: bool = False
    """Whether the rate then falls to 0 along half a cosine, or stays."""
    clip: float = 0.0
    """Largest norm of a gradient; 0 does not clip."""
    ema: float = 0.0
    """Decay of the averaged weights that are validated and written; 0 takes those of the last step."""
    accumulate: int = 1
    """Batches whose gradients are added up for one step: larger batches than the memory holds."""

    def check(self) -> None:
        """Raises UsageError for what no update can be made with."""
        for name in ("lr", "lr_quality"):
            if getattr(self, name) <= 0:
                raise UsageError(f"[optim] {name} = {getattr(self, name):g}: a learning rate is above 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError(f"[optim] betas = {list(self.betas)}: two numbers from 0 to below 1")
        if not 0 <= self.ema < 1:
            raise UsageError(f"[optim] ema = {self.ema:g}: a decay from 0 to below 1")
        for name in ("warmup", "clip"):
            if getattr(self, name) < 0:
                raise UsageError(f"[optim] {name} = {getattr(self, name):g}: at least 0")


@dataclass(frozen=True, slots=True)
class Keep:
    """Which weights are written in the end: those of the last step, or the best ones by a validation term."""

    best: str = ""
    """A term of validation, such as recon or store; the lowest mean wins. Empty: the last step."""
    patience: int = 0
    """Validations in a row without a new best after which the run ends; 0 runs to the last step."""


PRECISIONS = ("32-true", "64-true", "16-true", "16-mixed", "bf16-true", "bf16-mixed")
"""As Lightning Fabric names them."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run is carried out. Of these settings only the precision changes the weights."""

    precision: str = "32-true"
    """One of PRECISIONS."""
    log_every: int = 50
    val_every: int = 500
    val_batches: int = 4
    save_every: int = 500
    sample_every: int = 500
    half: bool = False
    """Whether the finished checkpoint stores its kernels in float16: half the bytes."""
    wandb: str = ""
    """A Weights & Biases project that gets the reports, too; needs its package. Empty: nothing leaves this machine."""


@dataclass(frozen=True, slots=True)
class Config:
    """A training run."""

    model: str
    """The kind of network."""
    steps: int
    seed: int = 0
    cut: Cut = field(default_factory=Cut)
    net: Mapping[str, object] = field(default_factory=dict)
    """Sizes of the network: the settings of its spec."""
    loss: Mapping[str, object] = field(default_factory=dict)
    """Weights and switches of its terms: the settings of its objective."""
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    keep: Keep = field(default_factory=Keep)
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        if self.model not in kinds.registry:
            raise UsageError(f"model = {self.model!r}: {suggest(self.model, list(kinds.registry))}")
        if self.steps < 1 or self.data.frames < 5:
            raise UsageError(f"steps = {self.steps}, frames = {self.data.frames}: at least 1 step, 5 frames")
        for name in ("log_every", "val_every", "val_batches", "save_every", "sample_every"):
            if getattr(self.run, name) < 1:
                raise UsageError(f"[run] {name} = {getattr(self.run, name)}: at least 1")
        if self.seed < 0 or self.data.batch < 1:
            raise UsageError(f"seed = {self.seed}, batch = {self.data.batch}: at least 0 and 1")
        if self.optim.accumulate < 1 or self.keep.patience < 0:
            raise UsageError(
                f"[optim] accumulate = {self.optim.accumulate}, [keep] patience = {self.keep.patience}: at least 1, 0"
            )
        if self.keep.patience and not self.keep.best:
            raise UsageError('[keep] patience: needs the term that it watches, as in best = "recon"')
        if not 0 <= self.data.camera <= 1:
            raise UsageError(f"[data] camera = {self.data.camera:g}: a share of the windows, from 0 to 1")
        self.optim.check()
        if self.run.precision not in PRECISIONS:
            raise UsageError(
                f"[run] precision = {self.run.precision!r}: {suggest(self.run.precision, list(PRECISIONS))}"
            )
        if self.data.workers < -1:
            raise UsageError(
                f"[data] workers = {self.data.workers}: a number of processes, or -1 for as many as fit"
            )
        size = self.net.get("size", self.cut.size)
        if size != self.cut.size:
            raise UsageError(f"net.size = {size} and cut.size = {self.cut.size} must be the same")

    def sizes(self) -> Mapping[str, object]:
        """The sizes of the network: those of `[net]`, and the side that faces are cut to."""
        return {"size": self.cut.size, **self.net}

    def terms(self) -> Loss:
        """The weights of the loss."""
        made: Loss = build(resolve(kinds.registry.get(self.model).loss), self.loss, "[loss]")
        return made

    def check(self) -> None:
        """Raises UsageError or BadInput for a size, a weight or a combination of them that cannot be, without torch."""
        spec = kinds.registry.get(self.model).sizes(self.sizes(), "[net]")
        self.terms().check(spec, self.data.frames)


RENAMED = {"apart": "min_reference_gap", "every": "frames_per_window", "edges": "padded_sound"}
"""Former names of settings of `[data]`: files with them still work, and the bundled checkpoints store them."""
ADVICE = "compare with a file of tkbench/configs"


def load_config(config: str | Path | None, model: str, changes: Sequence[str] = ()) -> Config:
    """The configuration called `config`, or that file; by default `MODEL-small`. It must be one for `model`.

    changes: settings of its tables that are replaced, as "loss.gan=0".
    """
    named = {path.stem: path for kind in kinds.registry.loadable() for path in configs_of(kind)}
    path = find_file(f"{model}-small" if config is None else config, named, "configuration")
    table = toml.read(path, advice=ADVICE)
    for needed in ("model", "steps"):
        if needed not in table:
            raise UsageError(f"{path}: {needed} is missing; {ADVICE}")
    if table["model"] != model:
        raise UsageError(f"{path}: is for --model {table['model']}, found --model {model}")
    old = set(RENAMED) & set(_data(table))
    if old:
        renames = ", ".join(f"{name} is now {RENAMED[name]}" for name in sorted(old))
        warnings.warn(f"{path.name}: [data] {renames}", DeprecationWarning, stacklevel=2)
    for change in changes:
        table = changed(table, change)
    name = path.name + "".join(f" with --set {change}" for change in changes)
    try:
        rules = build(Config, with_new_names(table), name)
        rules.check()
    except (UsageError, BadInput) as error:
        text = str(error)
        raise UsageError(text if text.startswith(name) else f"{name}: {text}") from error
    return rules


def changed(table: toml.Table, change: str) -> toml.Table:
    """The table with one setting replaced: "optim.lr=1e-4"; the value is TOML, or else a text.

    >>> changed({"loss": {"gan": 0.2}}, "loss.gan=0")
    {'loss': {'gan': 0}}
    """
    name, equal, text = change.partition("=")
    names = name.strip().split(".")
    if not equal or not all(names):
        raise UsageError(f"--set {change}: expected TABLE.NAME=VALUE, as in optim.lr=1e-4")
    if names == ["model"]:
        raise UsageError(f"--set {change}: the model is chosen by --model")
    try:
        value = toml.parse(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()
    return _with(table, names, value, change)


def _with(table: Mapping[str, object], names: Sequence[str], value: object, change: str) -> toml.Table:
    if len(names) == 1:
        return {**table, names[0]: value}
    inner = table.get(names[0], {})
    if not isinstance(inner, Mapping):
        raise UsageError(f"--set {change}: {names[0]} is a setting, not a table of settings")
    return {**table, names[0]: _with(inner, names[1:], value, change)}


def find_judge_config(config: str | Path) -> Path:
    """The file of a configuration of the bundled judge, by its name or path."""
    return find_file(
        config, {path.stem: path for path in sorted(kinds.CONFIGS.glob("syncnet*.toml"))}, "configuration"
    )


def configs_of(kind: str) -> list[Path]:
    """The bundled configurations of a kind of network, sorted."""
    return sorted(kinds.registry.get(kind).configs.glob(f"{kind}-*.toml"))


def with_new_names(table: toml.Table) -> toml.Table:
    """The table of a configuration, each setting of `[data]` under its name of today."""
    renamed = {RENAMED.get(name, name): value for name, value in _data(table).items()}
    return {**table, "data": renamed} if "data" in table else table


def _data(table: toml.Table) -> Mapping[str, object]:
    data = table.get("data")
    return data if isinstance(data, Mapping) else {}
