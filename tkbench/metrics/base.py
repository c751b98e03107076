"""What a metric is: the classes that every metric derives from, ours and those of other packages.

A metric turns a generated video into numbers, one per column:

    PerClipMetric   one value per clip, from pictures and voice
    FaceMetric      one value per clip, from the face that the tracker finds in the generated video
    FileMetric      one value per clip, from the video file as it was released
    RegionMetric    one value per clip and region of the true face, from the pixels there (PSNR, SSIM)
    SetMetric       one value per set of clips, from a state that tasks share out and merge (FID)

A protocol names a metric and its settings, which are keyword arguments of its class. One more argument, `context`,
brings what the machine offers: the device, and the codecs that some recipes need. It never decides a score.

A metric never leaves a clip out and never raises because of one: what cannot be scored is nan with a `Reason`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np

from tkbench import weights
from tkbench.errors import UnknownName
from tkbench.metrics.faults import video_fault
from tkbench.metrics.regions import REGIONS, boxes
from tkbench.registry import suggest
from tkbench.runtime.feature_cache import recall
from tkbench.types import Bool, Column, Float32, Float64, Reason, Released, Sample, UInt8

State = TypeVar("State")
"""What a set metric keeps of the clips that it was given."""


@dataclass(frozen=True, slots=True)
class Score:
    """One number, or nan and why."""

    value: float
    reason: Reason | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.value) != (self.reason is not None):
            raise ValueError(f"{self}: nan and a reason go together")


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What one metric says of one clip."""

    values: dict[str, Score]
    """By column name, every column of the metric."""
    curve: Float64 | None = None
    """Sync metrics: (31,) mean distance where the video is taken to lag by -15 to 15 frames."""


def unscored(columns: Sequence[Column], reason: Reason, detail: str) -> ClipScores:
    """Every column nan, for the same reason."""
    return ClipScores({column.name: Score(math.nan, reason, detail) for column in columns})


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """The face in a generated video, as found by the tracker that prepared the true one."""

    landmarks: Float32
    """(T, N, 2) pixels of the canvas, the same set of points as the sample's; gaps are filled."""
    found: Bool
    """(T,) False where no face was found and the landmarks are filled in."""
    reason: Reason | None = None
    """Why there are no landmarks to compare; they are then empty."""
    detail: str = ""


FaceSource = Callable[[], TrackedFace]
"""Tracks the generated video when it is first called: that is slow, and many metrics do not need it."""


def no_face_source() -> TrackedFace:
    """What a `FaceMetric` calls when its caller tracks nothing."""
    raise TypeError("this metric needs the face in the generated video: pass score(..., face)")


class CodedVideo(Protocol):
    """A video after the first encoding of a script."""

    @property
    def pictures(self) -> Sequence[UInt8]:
        """JPEGs of it, (H, W, 3) RGB each."""

    @property
    def sound(self) -> Float32:
        """Its sound, (S,) mono at 16 kHz."""

    def frames(self) -> Iterator[UInt8]:
        """Its pictures as they are decoded, without JPEG."""


class LossyCodecs(Protocol):
    """Encoders for LSE recipes that score a video only after lossy coding; `tkbench.media.lossy` has them.

    Metrics run no encoder of their own, and open no video.
    """

    def jpegs(self, frames: UInt8) -> UInt8: ...

    def jpegs_of(self, path: Path) -> Sequence[UInt8]: ...

    def sound_of(self, path: Path) -> Float32: ...

    def voice_of(self, path: Path) -> Float32: ...

    def first_generation(
        self, frames: UInt8, audio: Float32, container: Literal["avi", "mp4"]
    ) -> CodedVideo: ...

    def first_generation_of(self, path: Path, container: Literal["avi", "mp4"]) -> CodedVideo: ...

    def second_generation(
        self, crops: UInt8, audio: Float32, container: Literal["avi", "mp4"]
    ) -> tuple[UInt8, Float32]: ...


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a metric is given beside its settings: what this machine offers."""

    device: str = "cpu"
    """Where networks run: "cpu", "cuda" or "cuda:1"."""
    lossy: LossyCodecs | None = None
    """None: recipes with lossy coding cannot be scored."""


ON_CPU = BuildContext()


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """The weight file of a network, whether or not it is on this machine."""

    name: str
    path: Path | None
    """None where the file is missing; then `hint` says how to get it."""
    sha256: str
    hint: str

    @property
    def short_hash(self) -> str:
        """As signatures name it: 12 digits of its sha256, or "missing"."""
        return self.sha256[:12] or "missing"


def network_file(name: str) -> NetworkFile:
    """The checked file of the weight called `name`; raises WeightsRefused where its content is another."""
    path, hint = weights.find_or_hint(name)
    return NetworkFile(name, path, weights.sha256(path) if path is not None else "", hint)


def hashes(*files: NetworkFile) -> dict[str, str]:
    """Name -> sha256 of those that are on this machine: what a metric stores as its `weights`."""
    return {file.name: file.sha256 for file in files if file.path is not None}


class Metric(ABC):
    """A metric with its settings; derive from one of the classes below."""

    name: ClassVar[str]
    """As it is registered, and as protocols name it."""
    columns: tuple[Column, ...]
    weights: Mapping[str, str]
    """Name -> sha256 of every network that it uses and that is on this machine."""

    def __init__(self, *, context: BuildContext = ON_CPU) -> None:
        self.context = context
        self.weights = {}

    @property
    def device(self) -> str:
        """Where its networks run."""
        return self.context.device


class PerClipMetric(Metric):
    """One value per clip and column."""

    compares_with_true_video: ClassVar[bool] = False
    """True where the generated frames are compared with the true ones. Such a metric is left out where the model spoke
    with another clip's voice (`cross:MODEL`): the true video then says something else."""

    @abstractmethod
    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """Score `video`, (len(sample), H, W, 3), against `sample` and the `audio` that it should fit."""


class FaceMetric(PerClipMetric):
    """One value per clip and column, from the landmarks of the generated video."""

    @abstractmethod
    def score(
        self, sample: Sample, video: UInt8, audio: Float32, face: FaceSource = no_face_source
    ) -> ClipScores:
        """As `PerClipMetric.score`; `face` tracks `video` when it is called."""


NOT_GIVEN = Released(None, "no file came with the pictures")


class FileMetric(PerClipMetric):
    """One value per clip and column, some of them from the video file as it was released."""

    @property
    def needs_file(self) -> bool:
        """Whether it looks at the file at all; finding one costs time."""
        return True

    @abstractmethod
    def score(
        self, sample: Sample, video: UInt8, audio: Float32, released: Released = NOT_GIVEN
    ) -> ClipScores:
        """As `PerClipMetric.score`; `released` is the file that `video` came from, or says why there is none."""


class RegionMetric(PerClipMetric):
    """One value per clip and region of the true face; a subclass has `whole` and `of_clip`, and little else.

    `whole` is the column of the whole picture. Those of other regions are made from it: the region is added to name and
    label, and replaces the word `full` in the part `region:full` of the signature.
    """

    whole: Column
    smallest: int = 1
    """Pixels a side; a region that is smaller in any frame is unscored."""
    instead: str = ""
    """What can be scored where a region is smaller."""
    cached: ClassVar[bool] = False
    """Whether reading a value back (`tkbench.runtime.feature_cache`) is cheaper than computing it."""

    def __init__(self, *, regions: Sequence[str] = ("full", "mouth"), context: BuildContext = ON_CPU) -> None:
        super().__init__(context=context)
        for region in regions:
            if region not in REGIONS:
                raise UnknownName(f"no region is called {region!r}: {suggest(region, list(REGIONS))}")
        self.regions = tuple(regions)
        self.columns = tuple(region_column(self.whole, region) for region in self.regions)

    @abstractmethod
    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        """The value of one clip from its true and generated frames, (H, W, 3) each, whose size may change in a clip."""

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """One value per region; a region that is too small or not in the picture is unscored."""
        fault = video_fault(sample, video)
        if fault is not None:
            return unscored(self.columns, *fault)
        pairs = zip(self.regions, self.columns, strict=True)
        return ClipScores(
            {column.name: self._score(sample, video, region, column) for region, column in pairs}
        )

    def _score(self, sample: Sample, video: UInt8, region: str, column: Column) -> Score:
        if region == "full":
            where = [(0, 0, video.shape[2], video.shape[1])] * len(video)
        elif not np.isfinite(sample.landmarks).all():
            return Score(math.nan, Reason.NOT_FINITE, "landmarks hold nan or inf")
        else:
            where = boxes(sample.landmarks, region, *video.shape[1:3])
        smallest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in where)
        if smallest < self.smallest:
            reason = Reason.PICTURE_TOO_SMALL if region == "full" else Reason.FACE_TOO_SMALL
            what = "the canvas" if region == "full" else f"the {region}"
            detail = f"{what} is {smallest} pixels at its smallest; at least {self.smallest} are needed"
            return Score(math.nan, reason, f"{detail}{self.instead and f': {self.instead}'}")

        def compute() -> tuple[Float64]:
            real, made = (
                [frame[y0:y1, x0:x1] for frame, (x0, y0, x1, y1) in zip(source, where, strict=True)]
                for source in (sample.video, video)
            )
            return (np.array([self.of_clip(real, made)]),)

        if self.cached:
            (values,) = recall(column.signature, sample.video, video, np.array(where), make=compute)
        else:
            (values,) = compute()
        value = float(values[0])
        if math.isnan(value):
            return Score(math.nan, Reason.NOT_FINITE, f"{self.name} answered nan")
        return Score(value)


def region_column(whole: Column, region: str) -> Column:
    """The column of a region, from that of the whole picture.

    >>> region_column(
    ...     Column("mae", "MAE", "grey levels", "lower", 2, signature="mae[rgb,region:full]"), "mouth"
    ... ).label
    'MAE (mouth)'
    """
    if "region:full" not in whole.signature:
        raise ValueError(f"column {whole.name!r}: its signature {whole.signature!r} must hold `region:full`")
    if region == "full":
        return whole
    return replace(
        whole,
        name=f"{whole.name}_{region}",
        label=f"{whole.label} ({region})",
        signature=whole.signature.replace("region:full", f"region:{region}"),
        variant=" ".join(filter(None, (whole.variant, f"In the {region} region alone."))),
    )


class SetMetric(Metric, Generic[State]):
    """One value per column and set of clips.

    Each clip has a state of its own, which is kept on the disk. So a state is made of numbers, texts, arrays, lists,
    dicts with texts as keys, and may be a dataclass of these. States merge in any order.
    """

    @abstractmethod
    def start(self) -> State:
        """The state that holds no clip."""

    @abstractmethod
    def update(self, state: State, sample: Sample, video: UInt8) -> None:
        """Add the true and the generated frames of one clip to `state`."""

    @abstractmethod
    def merge(self, a: State, b: State) -> State:
        """The state that holds the clips of both; neither is changed."""

    @abstractmethod
    def compute(self, state: State) -> dict[str, Score]:
        """The value of every column."""

    def compute_all(self, states: Sequence[State]) -> dict[str, Score]:
        """The value of every column from the states of all clips, in key order.

        `states` reads a state from the disk each time that it is asked for one. A metric whose states are large can ask
        for them one by one here, so that they are never in memory together; by default they are merged, and `compute`
        answers.
        """
        return self.compute(merged(self, states))

    def only(self, state: State, keys: frozenset[str]) -> State:
        """The state that holds those clips of `state` that are in `keys`, for tables by stratum.

        A metric whose state does not know its clips keeps this one: its numbers are of the whole set alone.
        """
        return self.start()


def merged(metric: SetMetric[State], states: Sequence[State]) -> State:
    """All states in one. Neighbours are merged first, then pairs of them: n states are copied log n times, not n."""
    pending: list[tuple[int, State]] = []
    for state in states:
        size = 1
        while pending and pending[-1][0] == size:
            state = metric.merge(pending.pop()[1], state)
            size *= 2
        pending.append((size, state))
    _, whole = pending.pop() if pending else (0, metric.start())
    while pending:
        whole = metric.merge(pending.pop()[1], whole)
    return whole


AnySetMetric = SetMetric[Any]
"""One of several set metrics in a list: each gets back the states that it made itself."""
