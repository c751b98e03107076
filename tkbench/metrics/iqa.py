"""Quality of the generated pictures by themselves, by models of pyiqa (IQA-PyTorch): NIQE, BRISQUE, PIQE, MUSIQ.

    niqe     how far from natural statistics                      Mittal et al., IEEE SPL 2013; lower is better
    brisque  the same, by a regression on people's scores         Mittal et al., IEEE TIP 2012; lower is better
    piqe     share of blocks with artefacts, no training          Venkatanath et al., NCC 2015; lower is better
    musiq    a transformer on people's scores (KonIQ-10k)         Ke et al., ICCV 2021; higher is better

pyiqa (extra `iqa`) computes them; its release and the sha256 of the model's file are in the signature. Nothing is
downloaded while scoring: the files are weights of tkbench (`tkbench weights fetch iqa-musiq`). `musiq` on the mouth is
THEval's Mouth Quality, but for its box of the lips plus 10 pixels. None of these looks at the true video, and none was
made for faces: a smooth face can do better than a real one. Read them beside the true video's value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from tkbench import weights
from tkbench.errors import UnknownName, UsageError, WeightsRefused
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    NetworkFile,
    RegionMetric,
    hashes,
    network_file,
    unscored,
)
from tkbench.registry import suggest
from tkbench.runtime.devices import device_facts
from tkbench.runtime.extras import install_line
from tkbench.types import Better, Column, Float32, Reason, Sample, UInt8


@dataclass(frozen=True, slots=True)
class Model:
    """One model of pyiqa."""

    label: str
    better: Better
    bounds: tuple[float, float]
    smallest: int
    """Pixels a side that it needs."""
    weight: str | None
    """Name in the weights registry; None where it needs no file."""
    what: str


INF = float("inf")
MODELS = {
    "niqe": Model(
        "NIQE", "lower", (0.0, INF), 96, "iqa-niqe",
        "How far the statistics of a picture are from those of natural pictures.",
    ),
    "brisque": Model(
        "BRISQUE", "lower", (-INF, INF), 32, "iqa-brisque",
        "Quality of a picture by a regression of natural statistics on people's scores; it can leave 0 to 100.",
    ),
    "piqe": Model(
        "PIQE", "lower", (0.0, 100.0), 32, None,
        "Share of the blocks of a picture that show artefacts or noise, weighted by strength; nothing is trained.",
    ),
    "musiq": Model(
        "MUSIQ", "higher", (0.0, 100.0), 32, "iqa-musiq",
        "Quality of a picture by a transformer that was trained on people's scores of photographs (KonIQ-10k).",
    ),
}  # fmt: skip
Score = Callable[[UInt8], float]
"""(H, W, 3) uint8 RGB -> the value of a picture."""


@lru_cache(maxsize=1)
def release() -> str:
    """The version of pyiqa, or "" where it is not installed."""
    try:
        return version("pyiqa")
    except PackageNotFoundError:
        return ""


@weights.once_per_content(2)
def load(model: str, path: Path | None, device: str = "cpu") -> Score:
    """A model of pyiqa with the weights in a checked file; WeightsRefused for a file that it cannot read."""
    import pyiqa
    import torch

    if path is not None and path.suffix == ".pth":
        # pyiqa reads some files with a loader that would run code in them; what passes here holds tensors alone.
        weights.read_torch(path, "not a file of weights", "; give the published one")
    given = {} if path is None else {"pretrained_model_path": str(path)}
    try:
        metric = pyiqa.create_metric(model, device=device, **given)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise WeightsRefused(
            f"{path}: pyiqa's {model} cannot use it ({str(error).splitlines()[0]})"
        ) from error

    def score(picture: UInt8) -> float:
        block = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            return float(metric(block.to(device)).reshape(-1)[0])

    return score


class Iqa(RegionMetric):
    """Mean over every `stride`-th frame of the generated video, by one model."""

    name = "iqa"
    cached = True

    def __init__(
        self,
        *,
        model: str = "niqe",
        regions: Sequence[str] = ("full",),
        stride: int = 5,
        context: BuildContext = ON_CPU,
    ) -> None:
        if model not in MODELS:
            raise UnknownName(f"no quality model is called {model!r}: {suggest(model, list(MODELS))}")
        if stride < 1:
            raise UsageError(f"{model} stride {stride}: expected 1 or more frames")
        facts = MODELS[model]
        self.model, self.stride, self.smallest = model, stride, facts.smallest
        self._file: NetworkFile | None = network_file(facts.weight) if facts.weight else None
        file = "none" if self._file is None else self._file.short_hash
        where = device_facts(context.device)
        self.whole = Column(
            f"iqa_{model}",
            facts.label,
            "points",
            facts.better,
            3,
            signature=f"iqa[{model}@pyiqa-{release() or 'missing'},weights:{file},rgb,region:full,stride:{stride}"
            f"{'' if where == 'cpu' else f',{where}'}]",
            bounds=facts.bounds,
            also_called=(f"{facts.label} (pyiqa)",),
            text=f"{facts.what} It does not look at the true video, whose own value is the one to compare with.",
            variant=f"By pyiqa {release()}." if release() else "By pyiqa.",
            near_true=True,
        )
        super().__init__(regions=regions, context=context)
        if self._file is not None:
            self.weights = hashes(self._file)

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """As `RegionMetric.score`; without pyiqa or the model's file every column says how to get it."""
        if not release():
            return unscored(
                self.columns, Reason.EXTRA_MISSING, f"pyiqa is not installed: {install_line('iqa')}"
            )
        if self._file is not None and self._file.path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._file.hint)
        return super().score(sample, video, audio)

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        score = load(self.model, self._file.path if self._file is not None else None, self.device)
        return float(np.mean([score(frame) for frame in made[:: self.stride]]))
