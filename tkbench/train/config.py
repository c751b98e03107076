"""What a training run is: one TOML file, of which every setting is known or refused.

Files of `tkbench/configs` are known by name: `cals-small` trains on a CPU, `cals-paper` is the paper's scale.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tkbench.errors import UnknownName, UsageError
from tkbench.models.face import Cut
from tkbench.models.settings import build
from tkbench.registry import suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MODELS = ("synctalkface", "cals", "wav2lip", "expert")


@dataclass(frozen=True, slots=True)
class Data:
    """Which windows a step sees; see `tkbench.data.load`."""

    frames: int = 5
    """Length of a window."""
    batch: int = 16
    """Windows per step and device."""
    apart: int = 1
    """Frames, at least, between a window's start and its reference's."""
    every: float = 25.0
    """Frames of a clip per window and epoch."""
    edges: bool = False
    """Also windows whose sound reaches over an end of the clip."""
    flip: float = 0.0
    """How often a window is mirrored, with its reference. Ours: the papers do not say."""
    workers: int = -1
    """Processes that load; 0 loads between steps. -1 is 0 on a CPU, where steps need every core, and on a GPU one per
    core, at most 8."""


@dataclass(frozen=True, slots=True)
class Optim:
    """How weights move."""

    lr: float = 1e-4
    lr_quality: float = 1e-4
    """The discriminator's."""
    betas: tuple[float, float] = (0.5, 0.999)
    warmup: int = 0
    """Steps of a linear rise."""
    cosine: bool = False
    """Whether the rate then falls to 0 along half a cosine, or stays."""
    clip: float = 0.0
    """Largest norm of a gradient; 0 leaves it."""
    ema: float = 0.0
    """Decay of the averaged weights that are written in the end; 0 writes the last ones."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run is carried out. None of it but the precision moves a weight."""

    precision: str = "32-true"
    """As Lightning Fabric names it: 32-true, bf16-mixed, 16-mixed."""
    log_every: int = 50
    val_every: int = 500
    val_batches: int = 4
    save_every: int = 500
    sample_every: int = 500
    half: bool = False
    """Whether the finished checkpoint holds its kernels in float16: half the bytes."""


@dataclass(frozen=True, slots=True)
class Config:
    """A training run."""

    model: str
    steps: int
    seed: int = 0
    cut: Cut = field(default_factory=Cut)
    net: Mapping[str, Any] = field(default_factory=dict)
    """Sizes of the network: the settings of its spec."""
    loss: Mapping[str, Any] = field(default_factory=dict)
    """Weights and switches of its terms: the settings of its objective."""
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UsageError(f"model = {self.model!r}: {suggest(self.model, list(MODELS))}")
        if self.steps < 1 or self.data.frames < 5:
            raise UsageError(f"steps = {self.steps}, frames = {self.data.frames}: at least 1 step, 5 frames")
        for name in ("log_every", "val_every", "val_batches", "save_every", "sample_every"):
            if getattr(self.run, name) < 1:
                raise UsageError(f"[run] {name} = {getattr(self.run, name)}: at least 1")
        if self.seed < 0 or self.data.batch < 1:
            raise UsageError(f"seed = {self.seed}, batch = {self.data.batch}: at least 0 and 1")
        if self.data.workers < -1:
            raise UsageError(
                f"[data] workers = {self.data.workers}: a number of processes, or -1 for as many as fit"
            )
        size = self.net.get("size", self.cut.size)
        if size != self.cut.size:
            raise UsageError(f"net.size = {size} and cut.size = {self.cut.size} must be the same")


def load_config(config: str | Path | None, model: str) -> Config:
    """The configuration called `config`, or that file; by default `MODEL-small`. It must be one for `model`."""
    folder = Path(str(resources.files("tkbench") / "configs"))
    bundled = {
        path.stem: path for path in sorted(folder.glob("*.toml")) if not path.stem.startswith("syncnet")
    }
    name = f"{model}-small" if config is None else str(config)
    path = bundled.get(name, Path(name))
    if not path.is_file():
        raise UnknownName(f"no configuration is called {name!r}: {suggest(name, list(bundled))}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not a TOML file ({error}); compare with a file of tkbench/configs"
        ) from error
    for needed in ("model", "steps"):
        if needed not in table:
            raise UsageError(f"{path}: {needed} is missing; compare with a file of tkbench/configs")
    if table["model"] != model:
        raise UsageError(f"{path}: is for --model {table['model']}, found --model {model}")
    return build(Config, table, path.name)
