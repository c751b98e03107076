"""FID: how far apart two sets of frames are, seen as Gaussians of Inception features.

Heusel et al., NeurIPS 2017. Network and features (pool3, 2048 of them) are those of mseitzer/pytorch-fid 0.3.0, with
its weights from the registry; nothing is downloaded. `tkbench.metrics.frechet` has the distance.

A small set measures its own size: identical distributions score well above 0 where frames are few. Below `min_frames`
(2048: as many as features, below which the covariance cannot have full rank) the set is unscored. The number of frames
stands in the row's detail; rows with different numbers of frames are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UsageError, WeightsRefused
from tkbench.metrics.base import ON_CPU, BuildContext, Score, SetMetric, hashes, network_file
from tkbench.metrics.faults import video_fault
from tkbench.metrics.frechet import frechet, moments_of
from tkbench.runtime.devices import device_facts, whole_floats
from tkbench.runtime.feature_cache import recall
from tkbench.types import Array, Column, Float32, Reason, Sample, UInt8

if TYPE_CHECKING:
    from torch import nn

WEIGHT = "inception-fid"
FEATURES = 2048
BATCH = 16


@dataclass(frozen=True, slots=True)
class FidState:
    """Features by clip: (n, 2048) float32 of real and of generated frames.

    Features are kept instead of sums: the sums of one task (two 2048 x 2048 matrices) would be larger, and moments
    that are taken at the end in key order do not depend on how clips were shared out among tasks.
    """

    real: dict[str, Float32] = field(default_factory=dict)
    made: dict[str, Float32] = field(default_factory=dict)

    def only(self, keys: frozenset[str]) -> FidState:
        """The part of these clips."""
        real, made = ({key: side[key] for key in side if key in keys} for side in (self.real, self.made))
        return FidState(real, made)


Side = Literal["real", "made"]
SIDES: tuple[Side, Side] = ("real", "made")


class Features:
    """The features in many states, by clip in key order. What is kept here are counts: rows are read when asked for."""

    def __init__(self, states: Sequence[FidState]) -> None:
        self.states = states
        self.where: dict[str, int] = {}
        """Clip -> the state that holds it."""
        self.counts: dict[Side, dict[str, int]] = {"real": {}, "made": {}}
        """Side -> clip -> rows."""
        self.finite = True
        for place, state in enumerate(states):
            for key in state.real:
                if key in self.where:
                    raise BadInput(f"clip {key!r} is in two states of this set")
                self.where[key] = place
                self.counts["real"][key], self.counts["made"][key] = (
                    len(state.real[key]),
                    len(state.made[key]),
                )
                self.finite &= bool(np.isfinite(state.real[key]).all() and np.isfinite(state.made[key]).all())
        self.keys = sorted(self.where)

    def total(self, side: Side, keys: Sequence[str] | None = None) -> int:
        """How many rows there are, of all clips or of some."""
        return sum(self.counts[side][key] for key in (self.keys if keys is None else keys))

    def rows(self, side: Side, keys: Sequence[str] | None = None) -> Iterator[Float32]:
        """The rows of one clip after the other."""
        for key in self.keys if keys is None else keys:
            state = self.states[self.where[key]]
            yield (state.real if side == "real" else state.made)[key]

    def chosen(self, side: Side, which: Array, keys: Sequence[str] | None = None) -> Float32:
        """The rows with these numbers (ascending) of all rows in order: what is not chosen is not kept."""
        found, start = [], 0
        for rows in self.rows(side, keys):
            inside = which[(which >= start) & (which < start + len(rows))] - start
            if len(inside):
                found.append(rows[inside])
            start += len(rows)
        return np.concatenate(found)


@weights.once_per_content(1)
def load_inception(path: Path, device: str = "cpu") -> nn.Module:
    """pytorch-fid's InceptionV3 up to pool3 with the weights in the checked file `path`."""
    from pytorch_fid import inception

    state = weights.load_state(path)
    download = inception.load_state_dict_from_url
    # The class downloads its weights while it is built; it is handed ours instead.
    inception.load_state_dict_from_url = lambda *_, **__: state
    try:
        network: nn.Module = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[FEATURES]])
    except RuntimeError as error:
        raise WeightsRefused(
            f"{path}: not the FID Inception network: {str(error).splitlines()[0]}"
        ) from error
    finally:
        inception.load_state_dict_from_url = download
    return network.eval().to(device)


def features(network: nn.Module, frames: UInt8, *, batch: int = BATCH) -> Float32:
    """(n, H, W, 3) uint8 RGB -> (n, 2048) float32; the network itself resizes to 299 and scales."""
    import torch

    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise BadInput(f"pictures are {frames.dtype} {frames.shape}; expected uint8 (n, H, W, 3)")
    device = next(network.parameters()).device
    rows = [np.empty((0, FEATURES), np.float32)]
    with torch.inference_mode(), whole_floats():
        for start in range(0, len(frames), batch):
            block = torch.from_numpy(np.ascontiguousarray(frames[start : start + batch])).to(device)
            out = network(block.permute(0, 3, 1, 2).float() / 255)[0]
            rows.append(out.flatten(1).cpu().numpy())
    return np.concatenate(rows)


def known_features(path: Path, device: str, frames: UInt8) -> Float32:
    """`features` by the network in the checked file `path`, read back where the same frames were given before."""

    def compute() -> tuple[Float32]:
        return (features(load_inception(path, device), frames),)

    computation = f"inception-fid|{weights.sha256(path)}|pool3|batch:{BATCH}|{device_facts(device)}"
    (rows,) = recall(computation, frames, make=compute)
    return rows


class Fid(SetMetric[FidState]):
    """FID between the true and the generated frames of all clips: whole canvas, every `stride`-th frame."""

    name = "fid"

    def __init__(
        self, *, stride: int = 5, min_frames: int = FEATURES, context: BuildContext = ON_CPU
    ) -> None:
        if stride < 1 or min_frames < 2:
            raise UsageError(f"FID stride {stride}, min_frames {min_frames}: expected at least 1 and 2")
        self.stride, self.min_frames = stride, min_frames
        self._file = network_file(WEIGHT)
        super().__init__(context=context)
        self.weights = hashes(self._file)
        network = f"pool3@{self._file.short_hash}"
        column = Column(
            "fid",
            "FID",
            "distance",
            "lower",
            2,
            per_clip=False,
            signature=f"fid[pytorch-fid,{network},rgb,region:full,stride:{stride},min:{min_frames}]",
            bounds=(0.0, math.inf),
            also_called=("Fréchet inception distance",),
            text="Distance between the statistics of all true and all generated frames: one number for the "
            "whole set, so it has no interval. It depends on the number of frames and never compares across "
            "data sets.",
        )
        self.columns = (column,)

    def start(self) -> FidState:
        return FidState()

    def update(self, state: FidState, sample: Sample, video: UInt8) -> None:
        """Add every `stride`-th frame of one clip; one of the wrong shape is not added, other columns report it."""
        if self._file.path is None or video_fault(sample, video) is not None:
            return
        if sample.key in state.real:
            raise BadInput(f"clip {sample.key!r} was added to this FID before")
        for source, side in ((sample.video, state.real), (video, state.made)):
            side[sample.key] = known_features(self._file.path, self.device, source[:: self.stride])

    def only(self, state: FidState, keys: frozenset[str]) -> FidState:
        return state.only(keys)

    def merge(self, a: FidState, b: FidState) -> FidState:
        both = sorted(set(a.real) & set(b.real))
        if both:
            raise BadInput(f"clip {both[0]!r} is in both states of this FID")
        return FidState(a.real | b.real, a.made | b.made)

    def compute(self, state: FidState) -> dict[str, Score]:
        return self.compute_all([state])

    def compute_all(self, states: Sequence[FidState]) -> dict[str, Score]:
        return {self.columns[0].name: self._value(Features(states))}

    def _value(self, known: Features) -> Score:
        if self._file.path is None:
            return Score(math.nan, Reason.WEIGHTS_MISSING, self._file.hint)
        frames = known.total("real")
        found = f"{frames} frames of {len(known.keys)} clips"
        if frames < self.min_frames:
            detail = f"{found}; fewer than {self.min_frames} measure the number of frames, not the model"
            return Score(math.nan, Reason.TOO_FEW_CLIPS, detail)
        if not known.finite:
            return Score(math.nan, Reason.NOT_FINITE, "the network answered nan or inf")
        real, made = (moments_of(partial(known.rows, side), known.total(side)) for side in SIDES)
        # The distance is never negative; rounding can leave -1e-10 for equal sets.
        return Score(max(0.0, frechet(*real, *made)), detail=found)
