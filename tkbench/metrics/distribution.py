"""FID, FID-infinity and KID, with all that moves them in the column's name.

    fid_legacy_full_s5_n2048      mode, region, frame stride, number of frames

The only mode is "legacy": pytorch-fid's network and its own bilinear resizing without anti-aliasing. Exactly `n`
frames of each side are compared, taken evenly from the strided frames of all clips in key order; a set with fewer is
unscored. So numbers for different numbers of frames never share a column. FID: Heusel et al., NeurIPS 2017.
FID-infinity: Chong and Forsyth, CVPR 2020. KID: Binkowski et al., ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics import fid
from tkbench.metrics.base import ON_CPU, BuildContext, Score, SetMetric, hashes, network_file, unscored
from tkbench.metrics.faults import video_fault
from tkbench.metrics.frechet import KID_SIZE, KID_SUBSETS, frechet, frechet_infinity, kid, moments
from tkbench.metrics.regions import REGIONS, boxes
from tkbench.registry import suggest
from tkbench.runtime.devices import device_facts
from tkbench.runtime.feature_cache import recall
from tkbench.types import Array, Column, Float32, Reason, Sample, UInt8

MIN_FID = fid.FEATURES
"""Frames below which a covariance of 2048 features cannot have full rank."""
MIN_KID = 100


class Distribution(SetMetric[fid.FidState]):
    """FID, FID-infinity and KID on `n` frames of a region; only KID where `n` is below 2048."""

    name = "distribution"

    def __init__(
        self,
        *,
        region: str = "full",
        stride: int = 5,
        n: int = MIN_FID,
        mode: Literal["legacy"] = "legacy",
        seed: int = 0,
        context: BuildContext = ON_CPU,
    ) -> None:
        if region not in REGIONS:
            raise UnknownName(f"no region is called {region!r}: {suggest(region, list(REGIONS))}")
        if mode != "legacy":
            raise UnknownName(f"no FID mode is called {mode!r}: {suggest(mode, ['legacy'])}")
        if stride < 1 or n < MIN_KID:
            raise UsageError(f"stride {stride}, n {n}: expected 1 or more, and {MIN_KID} frames or more")
        self.region, self.stride, self.n, self.seed = region, stride, n, seed
        self._file = network_file(fid.WEIGHT)
        super().__init__(context=context)
        self.weights = hashes(self._file)
        network = f"pool3@{self._file.short_hash}"
        end = f"{mode}_{region}_s{stride}_n{n}"
        label = f"({mode}, {region}, every {stride}., {n})"
        settings = f"[pytorch-fid,{network},rgb,mode:{mode},region:{region},stride:{stride},n:{n}"
        what = f"Of {n:,} frames on each side, one in {stride}, region {region}."
        kid_column = Column(
            f"kid_{end}",
            f"KID x 1000 {label}",
            "distance × 1000",
            "lower",
            3,
            per_clip=False,
            signature=f"kid{settings},poly:3,subsets:{kid_subsets(n)},seed:{seed}]",
            also_called=("kernel inception distance",),
            text="Kernel distance between Inception features of true and generated frames, times 1000: a "
            "mean over random subsets. It does not grow where frames are few, as FID does, and can fall "
            "below 0.",
            variant=what,
        )
        fid_columns = (
            Column(
                f"fid_{end}",
                f"FID {label}",
                "distance",
                "lower",
                2,
                per_clip=False,
                signature=f"fid{settings}]",
                bounds=(0.0, math.inf),
                also_called=("Fréchet inception distance",),
                text="Distance between the statistics of true and generated frames at a fixed number of frames: one "
                "number for the whole set.",
                variant=what,
            ),
            Column(
                f"fid_inf_{end}",
                f"FID∞ {label}",
                "distance",
                "lower",
                2,
                per_clip=False,
                signature=f"fid-inf{settings},points:8,seed:{seed}]",
                also_called=("FID-infinity",),
                text="The FID that infinitely many frames would have, extrapolated from FIDs of fewer frames; rounding "
                "can bring it below 0.",
                variant=what,
            ),
        )
        self.columns = (*(fid_columns if n >= MIN_FID else ()), kid_column)

    def start(self) -> fid.FidState:
        return fid.FidState()

    def update(self, state: fid.FidState, sample: Sample, video: UInt8) -> None:
        """Add every `stride`-th frame of one clip; one of the wrong shape is not added, other columns report it."""
        if self._file.path is None or video_fault(sample, video) is not None:
            return
        if self.region != "full" and not np.isfinite(sample.landmarks).all():
            return
        if sample.key in state.real:
            raise BadInput(f"clip {sample.key!r} was added to this distribution before")
        for source, side in ((sample.video, state.real), (video, state.made)):
            side[sample.key] = self._features(self._file.path, source[:: self.stride], sample)

    def _features(self, path: Path, frames: UInt8, sample: Sample) -> Float32:
        if self.region == "full":
            return fid.known_features(path, self.device, frames)
        where = boxes(sample.landmarks[:: self.stride], self.region, *frames.shape[1:3])
        parts = [frame[y0:y1, x0:x1] for frame, (x0, y0, x1, y1) in zip(frames, where, strict=True)]

        # A region's size changes from frame to frame, so the frames go in one by one; empty ones are left out.
        def compute() -> tuple[Float32]:
            network = fid.load_inception(path, self.device)
            rows = [fid.features(network, part[None]) for part in parts if min(part.shape[:2]) > 0]
            return (np.concatenate([np.empty((0, fid.FEATURES), np.float32), *rows]),)

        computation = f"inception-fid|{weights.sha256(path)}|pool3|one by one|{device_facts(self.device)}"
        (rows,) = recall(computation, frames, np.array(where), make=compute)
        return rows

    def only(self, state: fid.FidState, keys: frozenset[str]) -> fid.FidState:
        return state.only(keys)

    def merge(self, a: fid.FidState, b: fid.FidState) -> fid.FidState:
        both = sorted(set(a.real) & set(b.real))
        if both:
            raise BadInput(f"clip {both[0]!r} is in both states of this distribution")
        return fid.FidState(a.real | b.real, a.made | b.made)

    def compute(self, state: fid.FidState) -> dict[str, Score]:
        """FID, FID-infinity (for 2048 frames and more) and KID."""
        return self.compute_all([state])

    def compute_all(self, states: Sequence[fid.FidState]) -> dict[str, Score]:
        if self._file.path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._file.hint).values
        known = fid.Features(states)
        total = known.total("real")
        found = f"{self.n} of {total} frames of {len(known.keys)} clips"
        if total < self.n:
            detail = f"{total} frames of {len(known.keys)} clips; this column compares exactly {self.n}"
            return unscored(self.columns, Reason.TOO_FEW_CLIPS, detail).values
        real, made = (known.chosen(side, evenly(total, self.n)) for side in fid.SIDES)
        if not (np.isfinite(real).all() and np.isfinite(made).all()):
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf").values
        values = []
        if self.n >= MIN_FID:
            # The distance is never negative; rounding can leave -1e-10 for equal sets.
            values.append(max(0.0, frechet(*moments(real), *moments(made))))
            values.append(frechet_infinity(real, made, seed=self.seed))
        values.append(1000 * kid(real, made, seed=self.seed))
        pairs = zip(self.columns, values, strict=True)
        return {column.name: Score(value, detail=found) for column, value in pairs}


def kid_subsets(n: int) -> str:
    """How KID draws from two sets of `n`: below 1,000 it takes them whole.

    >>> kid_subsets(100), kid_subsets(2048)
    ('1x100', '100x1000')
    """
    return f"{KID_SUBSETS}x{KID_SIZE}" if n > KID_SIZE else f"1x{n}"


def evenly(total: int, n: int) -> Array:
    """Which `n` of `total` rows: evenly spaced, the same for every model.

    >>> evenly(10, 4).tolist()
    [0, 2, 5, 7]
    """
    return np.arange(n) * total // n
