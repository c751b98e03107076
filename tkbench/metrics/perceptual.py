"""LPIPS through the `lpips` package, with its backbone from the weights registry: it never downloads
anything.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018; version
0.1, linear heads from the package. Pictures go in as RGB in [-1, 1], which is what the network wants; feeding
[0, 1] is the commonest mistake with it, so only uint8 is taken here.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName, UsageError, WeightsRefused
from tkbench.metrics.base import ClipScores, Scored, unscored, video_fault
from tkbench.registry import suggest
from tkbench.runtime.devices import device_facts, whole_floats
from tkbench.runtime.feature_cache import recall
from tkbench.types import Float32, Float64, Metric, Reason, Sample, UInt8

SMALLEST = {"alex": 35, "vgg": 16, "squeeze": 17}
"""Pixels a side below which a backbone has nothing left to pool."""
BATCH = 8


@weights.once_per_content(2)
def load_lpips(net: str, path: Path, device: str = "cpu") -> Any:
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
    return module.eval().requires_grad_(False).to(device)


def lpips_frames(module: Any, real: UInt8, made: UInt8, *, batch: int = BATCH) -> Float64:
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


class Lpips:
    """Mean LPIPS over every `stride`-th frame of the whole canvas; 0 for identical videos."""

    compares = True

    def __init__(
        self, *, net: Literal["alex", "vgg", "squeeze"] = "alex", stride: int = 1, device: str = "cpu"
    ) -> None:
        if net not in SMALLEST:
            raise UnknownName(f"LPIPS has no net {net!r}: {suggest(net, list(SMALLEST))}")
        if stride < 1:
            raise UsageError(f"LPIPS stride {stride}: expected 1 or more frames")
        self.net, self.stride, self.device = net, stride, device
        name = f"lpips-{net}"
        self._path, self._hint = weights.find_or_hint(name)
        self.weights = {name: weights.sha256(self._path)} if self._path else {}
        digest = self.weights.get(name, "missing")[:12]
        facts = f"lpips[{net}@{digest},heads:0.1,rgb,region:full,stride:{stride}]"
        suffix = "" if net == "alex" else f"_{net}"
        label = "LPIPS" if net == "alex" else f"LPIPS ({net})"
        self.columns = (Metric("lpips" + suffix, label, "", "lower", 4, signature=facts),)

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """The mean over frames, in float64."""
        fault = video_fault(sample, video)
        if fault is not None:
            return unscored(self.columns, *fault)
        if min(video.shape[1:3]) < SMALLEST[self.net]:
            found = f"{video.shape[2]}x{video.shape[1]}; {self.net} needs {SMALLEST[self.net]} pixels a side"
            return unscored(self.columns, Reason.WRONG_SHAPE, found)
        if self._path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._hint)
        values = self._frames(self._path, sample.video, video)
        if not np.isfinite(values).all():
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf")
        return ClipScores({self.columns[0].name: Scored(float(values.mean()))})

    def _frames(self, path: Path, real: UInt8, made: UInt8) -> Float64:
        """(n,) of every `stride`-th frame.

        Kept is the distance of two videos, not the features of the true one: those are 2.6 MB per frame of 256 x 256,
        13 times the frame itself.
        """

        def make() -> tuple[Float64]:
            module = load_lpips(self.net, path, self.device)
            if np.array_equal(real, made):
                return (np.zeros(len(real[:: self.stride])),)  # by definition, and what the module answers
            return (lpips_frames(module, real[:: self.stride], made[:: self.stride]),)

        recipe = f"lpips-{self.net}|{weights.sha256(path)}|stride:{self.stride}|{device_facts(self.device)}"
        (values,) = recall(recipe, real, made, make=make)
        return values
