"""LPIPS: distance of two pictures in the features of an image network; the networks come from the weights registry.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018; version 0.1, with the
linear heads of the `lpips` package. Nothing is downloaded. The network wants RGB in [-1, 1], and feeding [0, 1] is the
commonest mistake with it; so only uint8 is taken here.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName, UsageError, WeightsRefused
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    PerClipMetric,
    Score,
    hashes,
    network_file,
    unscored,
)
from tkbench.metrics.faults import video_fault
from tkbench.registry import suggest
from tkbench.runtime.devices import device_facts, whole_floats
from tkbench.runtime.feature_cache import recall
from tkbench.types import Column, Float32, Float64, Reason, Sample, UInt8

if TYPE_CHECKING:
    from torch import nn

SMALLEST = {"alex": 35, "vgg": 16, "squeeze": 17}
"""Pixels a side below which a backbone has nothing left to pool."""
BATCH = 8


@weights.once_per_content(2)
def load_lpips(net: str, path: Path, device: str = "cpu") -> nn.Module:
    """The LPIPS module of the `lpips` package with the torchvision backbone in the checked file `path`.

    Raises WeightsRefused where the file is not that backbone.
    """
    import lpips

    with warnings.catch_warnings():
        # lpips 0.1.4 asks torchvision for its networks by an argument that torchvision is retiring.
        warnings.simplefilter("ignore")
        # pnet_rand: no download of the backbone; its values come from `path` just below.
        module = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    state = weights.load_state(path)
    own = module.net.state_dict()
    # "slice3.6.weight" is torchvision's "features.6.weight".
    wanted = {name: "features." + name.split(".", 1)[1] for name in own}
    missing = sorted(set(wanted.values()) - set(state))
    if missing:
        raise WeightsRefused(f"{path}: not a torchvision {net} network: {missing[0]} is missing")
    try:
        module.net.load_state_dict({name: state[source] for name, source in wanted.items()})
    except RuntimeError as error:
        raise WeightsRefused(f"{path}: not a torchvision {net} network: {error}") from error
    network: nn.Module = module.eval().requires_grad_(False).to(device)
    return network


def lpips_frames(module: nn.Module, real: UInt8, made: UInt8, *, batch: int = BATCH) -> Float64:
    """LPIPS of each frame, (T,) float64; real, made: (T, H, W, 3) uint8 RGB of equal shape."""
    import torch

    if real.dtype != np.uint8 or made.dtype != np.uint8 or real.shape != made.shape or real.ndim != 4:
        found = f"{real.dtype} {real.shape} and {made.dtype} {made.shape}"
        raise BadInput(f"pictures are {found}; expected two equal uint8 (T, H, W, 3)")
    device = next(iter(module.buffers())).device

    def tensor(frames: UInt8) -> torch.Tensor:
        moved = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
        return moved.permute(0, 3, 1, 2).float() / 127.5 - 1

    values = []
    with torch.inference_mode(), whole_floats():
        for start in range(0, len(real), batch):
            piece = slice(start, start + batch)
            values.append(module(tensor(real[piece]), tensor(made[piece])).flatten().double().cpu().numpy())
    return np.concatenate(values)


class Lpips(PerClipMetric):
    """Mean LPIPS over every `stride`-th frame of the whole canvas; 0 for identical videos."""

    name = "lpips"
    compares_with_true_video = True

    def __init__(
        self,
        *,
        net: Literal["alex", "vgg", "squeeze"] = "alex",
        stride: int = 1,
        context: BuildContext = ON_CPU,
    ) -> None:
        if net not in SMALLEST:
            raise UnknownName(f"LPIPS has no net {net!r}: {suggest(net, list(SMALLEST))}")
        if stride < 1:
            raise UsageError(f"LPIPS stride {stride}: expected 1 or more frames")
        self.net, self.stride = net, stride
        self._file = network_file(f"lpips-{net}")
        super().__init__(context=context)
        self.weights = hashes(self._file)
        default = net == "alex"
        column = Column(
            "lpips" if default else f"lpips_{net}",
            "LPIPS" if default else f"LPIPS ({net})",
            "distance",
            "lower",
            4,
            signature=f"lpips[{net}@{self._file.short_hash},heads:0.1,rgb,region:full,stride:{stride}]",
            bounds=(0.0, math.inf),
            also_called=("learned perceptual image patch similarity",),
            text="Distance to the true video in the features of an image network, 0 for identical videos. It sees blur "
            "and artefacts that PSNR forgives.",
            variant="" if default else f"By the network {net}.",
        )
        self.columns = (column,)

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """The mean over frames, in float64."""
        fault = video_fault(sample, video)
        if fault is not None:
            return unscored(self.columns, *fault)
        if min(video.shape[1:3]) < SMALLEST[self.net]:
            found = f"{video.shape[2]}x{video.shape[1]}; {self.net} needs {SMALLEST[self.net]} pixels a side"
            return unscored(self.columns, Reason.WRONG_SHAPE, found)
        if self._file.path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._file.hint)
        values = self._frames(self._file.path, sample.video, video)
        if not np.isfinite(values).all():
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf")
        return ClipScores({self.columns[0].name: Score(float(values.mean()))})

    def _frames(self, path: Path, real: UInt8, made: UInt8) -> Float64:
        """(n,) of every `stride`-th frame.

        The store keeps the distances of two videos, not the features of the true one: those are 2.6 MB per frame of
        256 x 256, 13 times the frame itself.
        """

        def compute() -> tuple[Float64]:
            module = load_lpips(self.net, path, self.device)
            if np.array_equal(real, made):
                return (np.zeros(len(real[:: self.stride])),)  # by definition, and what the module answers
            return (lpips_frames(module, real[:: self.stride], made[:: self.stride]),)

        computation = (
            f"lpips-{self.net}|{weights.sha256(path)}|stride:{self.stride}|{device_facts(self.device)}"
        )
        (values,) = recall(computation, real, made, make=compute)
        return values
