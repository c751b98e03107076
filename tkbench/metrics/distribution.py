"""FID, FID-infinity and KID with everything that moves them in the column's name.

    fid_legacy_full_s5_n2048      mode, region, frame stride, number of frames

Only the mode "legacy" is here: pytorch-fid's network and its own bilinear resizing without anti-aliasing.
Exactly `n` frames of each side are compared, evenly taken from the strided frames of all clips in key order; a
set with fewer is unscored. So a number of frames is never compared with another: it is another column.

FVD compares clips instead of frames, by any network that is registered under `tkbench.video_features`; none
that is free to share comes with tkbench, and without one the column says what to do.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics import fid
from tkbench.metrics.base import Scored, video_fault
from tkbench.metrics.frechet import KID_SIZE, KID_SUBSETS, frechet, frechet_infinity, kid, moments
from tkbench.metrics.image import REGIONS, boxes
from tkbench.registry import Registry, suggest
from tkbench.runtime.devices import device_facts
from tkbench.runtime.feature_cache import recall
from tkbench.types import Float32, Metric, Reason, Sample, UInt8

LEAST_FID = fid.FEATURES
"""Frames under which a covariance of 2048 features cannot have full rank."""
LEAST_KID = 100
video_features: Registry[Any] = Registry("video network", "tkbench.video_features")
"""Name -> a function (T, H, W, 3) uint8 RGB -> (clips, D) float32, with the attributes `sha256` and `frames`."""


class Distribution:
    """FID, FID-infinity and KID on `n` frames of a region; only KID where `n` is under 2048."""

    def __init__(
        self,
        *,
        region: str = "full",
        stride: int = 5,
        n: int = LEAST_FID,
        mode: Literal["legacy"] = "legacy",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if region not in REGIONS:
            raise UnknownName(f"no region is called {region!r}: {suggest(region, list(REGIONS))}")
        if mode != "legacy":
            raise UnknownName(f"no FID mode is called {mode!r}: {suggest(mode, ['legacy'])}")
        if stride < 1 or n < LEAST_KID:
            raise UsageError(f"stride {stride}, n {n}: expected 1 or more, and {LEAST_KID} frames or more")
        self.region, self.stride, self.n, self.seed, self.device = region, stride, n, seed, device
        self._path, self._hint = weights.find_or_hint(fid.WEIGHT)
        self.weights = {fid.WEIGHT: weights.sha256(self._path)} if self._path else {}
        digest = self.weights.get(fid.WEIGHT, "missing")[:12]
        end = f"{mode}_{region}_s{stride}_n{n}"
        label = f"({mode}, {region}, every {stride}., {n})"
        facts = f"[pytorch-fid,pool3@{digest},rgb,mode:{mode},region:{region},stride:{stride},n:{n}"
        kid_column = Metric(
            f"kid_{end}", f"KID x 1000 {label}", "", "lower", 3, per_clip=False,
            signature=f"kid{facts},poly:3,subsets:{kid_subsets(n)},seed:{seed}]",
        )  # fmt: skip
        fid_columns = (
            Metric(f"fid_{end}", f"FID {label}", "", "lower", 2, per_clip=False, signature=f"fid{facts}]"),
            Metric(
                f"fid_inf_{end}", f"FID∞ {label}", "", "lower", 2, per_clip=False,
                signature=f"fid-inf{facts},points:8,seed:{seed}]",
            ),
        )  # fmt: skip
        self.columns = (*(fid_columns if n >= LEAST_FID else ()), kid_column)

    def start(self) -> fid.FidState:
        return fid.FidState()

    def update(self, state: fid.FidState, sample: Sample, video: UInt8) -> None:
        """Add every `stride`-th frame of one clip; a clip of the wrong shape is left to the other columns."""
        if self._path is None or video_fault(sample, video) is not None:
            return
        if self.region != "full" and not np.isfinite(sample.landmarks).all():
            return
        if sample.key in state.real:
            raise BadInput(f"clip {sample.key!r} was added to this distribution before")
        for source, side in ((sample.video, state.real), (video, state.made)):
            side[sample.key] = self._features(self._path, source[:: self.stride], sample)

    def _features(self, path: Path, frames: UInt8, sample: Sample) -> Float32:
        if self.region == "full":
            return fid.known_features(path, self.device, frames)
        where = boxes(sample.landmarks[:: self.stride], self.region, *frames.shape[1:3])
        parts = [frame[y0:y1, x0:x1] for frame, (x0, y0, x1, y1) in zip(frames, where, strict=True)]

        # A region's size changes from frame to frame, so the frames go in one by one; empty ones are left out.
        def make() -> tuple[Float32]:
            network = fid.load_inception(path, self.device)
            rows = [fid.features(network, part[None]) for part in parts if min(part.shape[:2]) > 0]
            return (np.concatenate([np.empty((0, fid.FEATURES), np.float32), *rows]),)

        recipe = f"inception-fid|{weights.sha256(path)}|pool3|one by one|{device_facts(self.device)}"
        (rows,) = recall(recipe, frames, np.array(where), make=make)
        return rows

    def merge(self, a: fid.FidState, b: fid.FidState) -> fid.FidState:
        both = sorted(set(a.real) & set(b.real))
        if both:
            raise BadInput(f"clip {both[0]!r} is in both states of this distribution")
        return fid.FidState(a.real | b.real, a.made | b.made)

    def compute(self, state: fid.FidState) -> dict[str, Scored]:
        """FID, FID-infinity (for 2048 frames and more) and KID."""
        names = [column.name for column in self.columns]
        if self._path is None:
            return dict.fromkeys(names, Scored(math.nan, Reason.WEIGHTS_MISSING, self._hint))
        order = sorted(state.real)
        total = sum(len(state.real[key]) for key in order)
        found = f"{self.n} of {total} frames of {len(order)} clips"
        if total < self.n:
            detail = f"{total} frames of {len(order)} clips; this column compares exactly {self.n}"
            return dict.fromkeys(names, Scored(math.nan, Reason.TOO_FEW_CLIPS, detail))
        rows = chosen(total, self.n)
        real, made = (np.concatenate([side[key] for key in order])[rows] for side in (state.real, state.made))
        if not (np.isfinite(real).all() and np.isfinite(made).all()):
            return dict.fromkeys(
                names, Scored(math.nan, Reason.NOT_FINITE, "the network answered nan or inf")
            )
        values = []
        if self.n >= LEAST_FID:
            # The distance is never negative; rounding can leave -1e-10 for equal sets.
            values.append(max(0.0, frechet(*moments(real), *moments(made))))
            values.append(frechet_infinity(real, made, seed=self.seed))
        values.append(1000 * kid(real, made, seed=self.seed))
        return {name: Scored(value, detail=found) for name, value in zip(names, values, strict=True)}


def kid_subsets(n: int) -> str:
    """How KID draws from two sets of `n`: below 1,000 it takes them whole.

    >>> kid_subsets(100), kid_subsets(2048)
    ('1x100', '100x1000')
    """
    return f"{KID_SUBSETS}x{KID_SIZE}" if n > KID_SIZE else f"1x{n}"


def chosen(total: int, n: int) -> Any:
    """Which `n` of `total` rows: evenly spaced, the same for every model.

    >>> chosen(10, 4).tolist()
    [0, 2, 5, 7]
    """
    return np.arange(n) * total // n


class Fvd:
    """Frechet distance of clip features: a plug-in point for a network that you may use.

    `net`: a name in the entry-point group `tkbench.video_features`. `n`: clips of each side, exactly.
    """

    def __init__(self, *, net: str = "", n: int = 1000) -> None:
        if n < 2:
            raise UsageError(f"n {n}: expected 2 clips or more")
        self.net, self.n = net, n
        self._network = video_features.get(net) if net else None
        sha = str(getattr(self._network, "sha256", "none"))
        self.weights: dict[str, str] = {net: sha} if self._network is not None else {}
        facts = f"fvd[net:{net or 'none'}@{sha[:12]},frames:{getattr(self._network, 'frames', '?')},n:{n}]"
        name = "_".join(filter(None, ("fvd", net.replace("-", "_"), f"n{n}")))
        label = f"FVD ({net or 'no network'}, {n} clips)"
        self.columns = (Metric(name, label, "", "lower", 1, per_clip=False, signature=facts),)

    def start(self) -> fid.FidState:
        return fid.FidState()

    def update(self, state: fid.FidState, sample: Sample, video: UInt8) -> None:
        """Add the clips that the network cuts out of one video; too short a video has none."""
        if self._network is None or video_fault(sample, video) is not None:
            return
        for source, side in ((sample.video, state.real), (video, state.made)):
            rows = np.asarray(self._network(source), np.float32)
            if rows.ndim != 2:
                raise BadInput(f"video network {self.net!r} answered {rows.shape}; expected (clips, D)")
            side[sample.key] = rows

    def merge(self, a: fid.FidState, b: fid.FidState) -> fid.FidState:
        return fid.FidState(a.real | b.real, a.made | b.made)

    def compute(self, state: fid.FidState) -> dict[str, Scored]:
        return {self.columns[0].name: self._value(state)}

    def _value(self, state: fid.FidState) -> Scored:
        if self._network is None:
            hint = (
                "no video network comes with tkbench; register a function (T, H, W, 3) uint8 -> (clips, D) as an "
                "entry point of the group tkbench.video_features and name it in the protocol: fvd, net = NAME"
            )
            return Scored(math.nan, Reason.WEIGHTS_MISSING, hint)
        order = sorted(state.real)
        total = sum(len(state.real[key]) for key in order)
        if total < self.n:
            detail = f"{total} clips; this column compares exactly {self.n}"
            return Scored(math.nan, Reason.TOO_FEW_CLIPS, detail)
        rows = chosen(total, self.n)
        real, made = (np.concatenate([side[key] for key in order])[rows] for side in (state.real, state.made))
        if not (np.isfinite(real).all() and np.isfinite(made).all()):
            return Scored(math.nan, Reason.NOT_FINITE, "the network answered nan or inf")
        return Scored(max(0.0, frechet(*moments(real), *moments(made))), detail=f"{self.n} of {total} clips")
