"""FVD: how far apart two sets of clips are, in the features of a video network; and E-FID by the same door.

    fvd_i3d_styleganv_bec6519f_f16_s1_r224_first_n1000
        network, first digits of its sha256, frames of a clip, frame stride, side, sampling, clips of each side

Unterthiner et al., "Towards Accurate Generative Models of Video", 2018. All that moves the number is in the column's
name, so numbers of different networks, lengths or counts never share a column. `tkbench.metrics.i3d` has two networks;
another one comes through the entry-point group `tkbench.video_features`. `sampling`: "first" takes one clip from the
start of each video, as StyleGAN-V does; "all" takes as many as fit one after the other.

Exactly `n` clips of each side are compared. With no more clips than features a covariance has no full rank and the
number tells how many clips there were: such a set is unscored. Beside each FVD stands that of the true videos split
into halves: what two sets of real clips score, on half as many. A model that comes near cannot be told from real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics.base import ON_CPU, BuildContext, NetworkFile, Score, SetMetric, hashes, network_file
from tkbench.metrics.faults import video_fault
from tkbench.metrics.fid import Features, FidState, Side
from tkbench.metrics.frechet import frechet, moments
from tkbench.registry import Registry, suggest
from tkbench.runtime.devices import device_facts
from tkbench.runtime.feature_cache import recall
from tkbench.types import Array, Column, Float32, Reason, Sample, UInt8

Sampling = Literal["first", "all"]


class VideoNetwork(Protocol):
    """What a video network is that another package brings: a function with two facts beside it."""

    sha256: str
    """Of its weights; it is part of the name and the signature."""
    frames: int
    """Frames of a clip that it sees."""

    def __call__(self, video: UInt8, /) -> Array:
        """(T, H, W, 3) uint8 RGB -> (clips, D): one row for each clip that it cuts out of the video."""
        ...


video_features: Registry[VideoNetwork] = Registry("video network", "tkbench.video_features")


@dataclass(frozen=True, slots=True)
class Own:
    """A network that tkbench runs itself."""

    weight: str
    load: str
    """Function of `tkbench.metrics.i3d`."""
    side: int
    shortest: int


OWN = {
    "i3d-styleganv": Own("i3d-styleganv", "load_styleganv", 224, 9),
    "i3d-videogpt": Own("i3d-videogpt", "load_videogpt", 224, 9),
}


def clips_of(video: UInt8, frames: int, stride: int, sampling: Sampling) -> list[UInt8]:
    """The clips of one video, (frames, H, W, 3) each: none where it is too short.

    >>> [
    ...     clip[:, 0, 0, 0].tolist()
    ...     for clip in clips_of(np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1), 2, 2, "all")
    ... ]
    [[0, 2], [4, 6]]
    """
    reach = (frames - 1) * stride + 1
    step = frames * stride
    starts = range(0, len(video) - reach + 1, step)
    return [video[start : start + reach : stride] for start in starts][: 1 if sampling == "first" else None]


class Fvd(SetMetric[FidState]):
    """Frechet distance of clip features, and that of the halves of the true clips.

    net: "i3d-styleganv", "i3d-videogpt" or a name of the entry-point group `tkbench.video_features`, which cuts its
    clips itself. n: clips of each side, exactly. frames, stride, sampling: how a network of tkbench is given its clips.
    """

    name: ClassVar[str] = "fvd"
    label: ClassVar[str] = "FVD"
    other: ClassVar[str] = "Fréchet video distance"
    what: ClassVar[str] = (
        "Distance between the statistics of true and generated clips in the features of a video network: one number "
        "for the whole set. Numbers of different networks never compare."
    )
    unit_of_rows: ClassVar[str] = "clips"
    default: ClassVar[str] = "i3d-styleganv"

    def __init__(
        self,
        *,
        net: str | None = None,
        n: int = 1000,
        frames: int = 16,
        stride: int = 1,
        sampling: Sampling = "first",
        context: BuildContext = ON_CPU,
    ) -> None:
        if n < 4:
            raise UsageError(f"{self.name} n {n}: expected 4 {self.unit_of_rows} or more")
        if sampling not in ("first", "all"):
            raise UnknownName(f"no sampling is called {sampling!r}: {suggest(sampling, ['first', 'all'])}")
        super().__init__(context=context)
        self.net = self.default if net is None else net
        self.n, self.frames, self.stride, self.sampling = n, frames, stride, sampling
        self._own: Own | None = OWN.get(self.net) if self.name == "fvd" else None
        self._file: NetworkFile | None = None
        self._network: VideoNetwork | None = None
        if self._own is not None:
            if frames < self._own.shortest or stride < 1:
                raise UsageError(
                    f"{self.name} frames {frames}, stride {stride}: {self.net} needs {self._own.shortest} frames or "
                    "more, and a stride of 1 or more"
                )
            self._file = network_file(self._own.weight)
            self.weights = hashes(self._file)
            sha = self._file.sha256 or weights.get(self._own.weight).pin or "missing"
            rule, side = f"f{frames}_s{stride}_r{self._own.side}_{sampling}", str(self._own.side)
            seen = f"{frames} frames, one in {stride}, at {side} × {side}; " + (
                "one clip from the start of each video"
                if sampling == "first"
                else "clips one after the other"
            )
        elif self.net:
            self._network = self._foreign()
            self.weights = {self.net: self._network.sha256}
            sha, rule, seen = (
                self._network.sha256,
                "",
                f"{self._network.frames} frames that the network chooses",
            )
        else:
            sha, rule, seen = "", "", "as the network that you name chooses"
        self.columns = self._columns(sha, rule, seen)

    def _foreign(self) -> VideoNetwork:
        try:
            return video_features.get(self.net)
        except UnknownName as error:
            known = f"; tkbench's own are {', '.join(OWN)}" if self.name == "fvd" else ""
            raise UnknownName(f"{error}{known}") from error

    def _columns(self, sha: str, rule: str, seen: str) -> tuple[Column, Column]:
        named = "_".join(filter(None, (self.net.replace("-", "_"), sha[:8], rule, f"n{self.n}")))
        settings = f"[net:{self.net or 'none'}@{sha[:12] or 'none'},{rule or 'clips:own'},n:{self.n}"
        which = f"By {self.net or 'the network that you name'} {sha[:8]}: {seen}."
        head = f"({self.net or 'no network'}, {self.n} {self.unit_of_rows})"
        return (
            Column(
                f"{self.name}_{named}",
                f"{self.label} {head}",
                "distance",
                "lower",
                1,
                per_clip=False,
                signature=f"{self.name}{settings}]",
                bounds=(0.0, math.inf),
                also_called=(self.other,),
                text=self.what,
                variant=which,
            ),
            Column(
                f"{self.name}_halves_{named}",
                f"{self.label} of real halves {head}",
                "distance",
                "lower",
                1,
                per_clip=False,
                signature=f"{self.name}{settings},real-halves]",
                bounds=(0.0, math.inf),
                text=f"What two sets of true {self.unit_of_rows} score: the {self.label} between one half of the true "
                f"videos and the other, on {self.n // 2} {self.unit_of_rows} each. It is the same for every model. "
                "Half as many also make it larger, so a model that comes near it cannot be told from real.",
                variant=which,
            ),
        )

    def start(self) -> FidState:
        return FidState()

    def update(self, state: FidState, sample: Sample, video: UInt8) -> None:
        """Add the clips of one video; one that is too short has none."""
        ready = self._network is not None or (self._file is not None and self._file.path is not None)
        if not ready or video_fault(sample, video) is not None:
            return
        if sample.key in state.real:
            raise BadInput(f"clip {sample.key!r} was added to this {self.label} before")
        for source, side in ((sample.video, state.real), (video, state.made)):
            side[sample.key] = self._rows(source)

    def _rows(self, video: UInt8) -> Float32:
        if self._network is not None:
            rows = np.asarray(self._network(video), np.float32)
            if rows.ndim != 2:
                raise BadInput(f"video network {self.net!r} answered {rows.shape}; expected (clips, D)")
            return rows
        assert self._own is not None
        assert self._file is not None
        assert self._file.path is not None
        path, own = self._file.path, self._own
        clips = clips_of(video, self.frames, self.stride, self.sampling)
        if not clips:
            return np.empty((0, 0), np.float32)

        def compute() -> tuple[Float32]:
            network = _loader(own)(path, self.device)
            return (np.stack([network(clip) for clip in clips]),)

        rule = f"f{self.frames}|s{self.stride}|{self.sampling}"
        computation = f"{self.net}|{weights.sha256(path)}|{rule}|{device_facts(self.device)}"
        (rows,) = recall(computation, video, make=compute)
        return rows

    def only(self, state: FidState, keys: frozenset[str]) -> FidState:
        return state.only(keys)

    def merge(self, a: FidState, b: FidState) -> FidState:
        both = sorted(set(a.real) & set(b.real))
        if both:
            raise BadInput(f"clip {both[0]!r} is in both states of this {self.label}")
        return FidState(a.real | b.real, a.made | b.made)

    def compute(self, state: FidState) -> dict[str, Score]:
        return self.compute_all([state])

    def compute_all(self, states: Sequence[FidState]) -> dict[str, Score]:
        whole, halves = self.columns
        missing = self._missing()
        if missing:
            return {column.name: Score(math.nan, Reason.WEIGHTS_MISSING, missing) for column in self.columns}
        known = Features(states)
        keys = [key for key in known.keys if known.counts["real"][key]]
        return {
            whole.name: self._distance(known, ("real", keys), ("made", keys), self.n),
            halves.name: self._distance(known, ("real", keys[::2]), ("real", keys[1::2]), self.n // 2),
        }

    def _missing(self) -> str:
        if self._file is not None and self._file.path is None:
            return self._file.hint
        if self._file is None and self._network is None:
            return (
                f"no network for {self.label} comes with tkbench; register a function (T, H, W, 3) uint8 -> (rows, D) "
                f"as an entry point of the group tkbench.video_features and name it in the protocol: {self.name}, "
                "net = NAME"
            )
        return ""

    def _distance(
        self, known: Features, left: tuple[Side, list[str]], right: tuple[Side, list[str]], n: int
    ) -> Score:
        fewest = min(known.total(*left), known.total(*right))
        if fewest < n:
            detail = f"{fewest} {self.unit_of_rows}; this column compares exactly {n}"
            return Score(math.nan, Reason.TOO_FEW_CLIPS, detail)
        a, b = (
            known.chosen(side, np.arange(n) * known.total(side, keys) // n, keys)
            for side, keys in (left, right)
        )
        if n <= a.shape[1]:
            detail = (
                f"{n} {self.unit_of_rows} of {a.shape[1]} features: as few measure their own number; more than "
                f"{a.shape[1]} are needed"
            )
            return Score(math.nan, Reason.TOO_FEW_CLIPS, detail)
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return Score(math.nan, Reason.NOT_FINITE, "the network answered nan or inf")
        # The distance is never negative; rounding can leave -1e-10 for equal sets.
        return Score(
            max(0.0, frechet(*moments(a), *moments(b))), detail=f"{n} of {fewest} {self.unit_of_rows}"
        )


class Efid(Fvd):
    """E-FID: the same distance of expression coefficients, frame by frame, by a network that another package brings.

    net: a name of the entry-point group `tkbench.video_features`; it answers a row of coefficients for each frame that
    it sees. EMO (Tian et al., ECCV 2024) took those of a 3D face model.
    """

    name: ClassVar[str] = "efid"
    label: ClassVar[str] = "E-FID"
    other: ClassVar[str] = "expression FID"
    what: ClassVar[str] = (
        "Distance between the statistics of true and generated expressions, as coefficients of a face model: one "
        "number for the whole set. Numbers of different face models never compare."
    )
    unit_of_rows: ClassVar[str] = "frames"
    default: ClassVar[str] = ""


def _loader(own: Own) -> Callable[[Path, str], Callable[[UInt8], Float32]]:
    from tkbench.metrics import i3d

    found: Callable[[Path, str], Callable[[UInt8], Float32]] = getattr(i3d, own.load)
    return found
