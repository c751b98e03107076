"""The records that flow through tkbench. Units, layout and range are said here, once.

Time runs at 25 frames/s and 16,000 samples/s everywhere after decoding, so 640 samples belong to one frame.
Pixels are uint8 RGB, rows first. Points and boxes are (x, y) in pixels; pixel centres sit on whole numbers.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    UInt8 = npt.NDArray[np.uint8]
    Float32 = npt.NDArray[np.float32]
    Float64 = npt.NDArray[np.float64]
    Complex128 = npt.NDArray[np.complex128]
    Bool = npt.NDArray[np.bool_]

FPS = 25
"""Video frames per second after decoding."""
SAMPLE_RATE = 16_000
"""Audio samples per second after decoding."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
"""640: the length law between the two."""

POINT_SETS: dict[str, int] = {"mesh478": 478, "mesh468": 468, "ibug68": 68}
"""Sets of landmarks and how many points a face has: MediaPipe's mesh with and without its 10 iris points (the last
ones), and the 68 points of iBUG 300-W that FAN and dlib give."""

Better = Literal["higher", "lower", "zero"]
"""The direction of a metric; "zero" means closer to 0 is better (an offset)."""


class Reason(str, Enum):
    """Why a clip has no sample, or a clip no score. The value is what every table shows."""

    MISSING_FILE = "missing-file"
    EMPTY_FILE = "empty-file"
    NOT_A_VIDEO = "not-a-video"
    NO_VIDEO = "no-video-stream"
    TRUNCATED = "truncated"
    NOT_A_FILE = "not-a-file"
    TOO_LARGE = "too-large"
    CLOCK_RESTARTS = "clock-restarts"
    STRETCHED = "stretched"
    OUT_OF_STEP = "out-of-step"
    ENDLESS = "endless"
    STALLED = "stalled"
    DECODE_ERROR = "decode-error"
    NO_AUDIO = "no-audio-stream"
    SILENT_AUDIO = "silent-audio"
    AUDIO_TOO_SHORT = "audio-too-short"
    NO_FACE = "no-face"
    FACE_LOST = "face-lost"
    FACE_TOO_SMALL = "face-too-small"
    PICTURE_TOO_SMALL = "picture-too-small"
    TOO_SHORT = "too-short"
    UNREADABLE = "unreadable"
    WEIGHTS_MISSING = "weights-missing"
    EXTRA_MISSING = "extra-missing"
    ENCODER_MISSING = "encoder-missing"
    WRONG_SHAPE = "wrong-shape"
    WRONG_LENGTH = "wrong-length"
    WRONG_RANGE = "wrong-range"
    NOT_GENERATED = "not-generated"
    NO_RELEASED_FILE = "no-released-file"
    TOO_FEW_CLIPS = "too-few-clips"
    NOT_FINITE = "not-finite"
    UNCLEAR = "unclear"
    NO_TRUTH = "no-truth"
    OTHER_VOICE = "other-voice"
    MODEL_ERROR = "model-error"
    INTERNAL_ERROR = "internal-error"
    PROCESS_DIED = "process-died"


@dataclass(frozen=True, slots=True)
class Tracks:
    """Numbers of the tracks to read, counted from 1 among those of their kind; None: the one that a player plays."""

    video: int | None = None
    audio: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read, found once by the probe: one zero for picture and sound, and one choice of streams."""

    video: int = 0
    """Index of the video stream in the file."""
    audio: int | None = None
    origin: float = 0.0
    """Stamp of the first picture that can be decoded, seconds on the container's clock: zero of picture and sound."""
    first: float = 0.0
    """The stamp that ffmpeg's decoder gives this picture: the same, but in AVI, which has no times of showing."""
    frames: int = 0
    """Frames at 25 a second that the stamps promise."""
    holds: tuple[tuple[float, int], ...] = ()
    """Pictures held beyond the source's own interval: seconds after the first picture, and frames of the clip."""
    mirrored: bool = False
    """The stored picture is mirrored left to right before it is turned."""
    interlaced: bool = False
    guessed: bool = False
    """The container has no times of showing, and its pictures are not stored in that order."""
    edited: bool = False
    """The container leaves out pictures that its packets hold: an edit list."""
    transfer: str | None = None
    """The curve of a high dynamic range that has to be mapped: "pq" or "hlg"; None for all others."""
    channel: int | None = None
    """The one channel of the sound that is taken, where the mean of all would cancel."""
    notes: tuple[str, ...] = ()
    """What is to be told about the file."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """The facts of a media file, read from headers and packet times without decoding pixels.

    Every sample stores them, so the fields are part of the format of shards.
    """

    width: int
    """Pixels as shown, that is after the rotation flag."""
    height: int
    rotation: int
    """Clockwise degrees that a player turns the stored picture by: 0, 90, 180 or 270."""
    fps: float
    """Mean frames per second over the file."""
    vfr: bool
    """True where frame times are not evenly spaced."""
    n_frames: int
    duration: float
    """Seconds of video."""
    video_codec: str
    pix_fmt: str
    start_offset: float
    """Seconds from the first video frame to the first audio sample; positive means the audio starts later."""
    sample_rate: int | None
    """None where the file has no audio stream; the next three go with it."""
    channels: int | None
    audio_codec: str | None
    audio_duration: float | None
    reading: Reading = Reading()
    """Not part of what is told of a file: see `told`."""

    def told(self) -> dict[str, Any]:
        """The facts as a shard keeps them."""
        names = [item.name for item in fields(self) if item.name != "reading"]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip that a reader found: a file and what the data set says of it; no pixels, no hash."""

    key: str
    """Unique in its data set; letters, digits, `-`, `_` and `/` only, no dot: it names files in a tar shard."""
    path: str
    dataset: str
    split: str = "test"
    speaker: str | None = None
    """Identity, or the source video that stands for it; intervals are clustered by it."""
    text: str | None = None
    words: tuple[Word, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able facts that only this data set has (the synthetic corpus keeps its truth here)."""
    start: float | None = None
    """Seconds from the file's first picture; None: the clip is the whole file. Taken to the nearest of 25 a second."""
    stop: float | None = None
    """Where the clip ends, not included; set exactly when `start` is."""
    crop: Crop | None = None
    """The data set's own canvas, where it has one."""
    target: int | None = None
    """Side in pixels that a square canvas is brought to, up or down; None: `Settings.max_side`, never up."""
    sidecar: str | None = None
    """A text file about this clip, read by the worker (`readers.annotate`): half a million of them are too many to
    open while planning."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A window of the picture in pixels of the resolution that it was measured on."""

    x: int
    y: int
    width: int
    height: int
    of_height: int
    """Height in pixels of the picture that it was measured on, 0 where nobody knows; the file may have another."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word (or phone) and when it is said, in seconds from the first frame."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """A clip that did not become a sample, and why."""

    key: str
    path: str
    reason: Reason
    detail: str
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One prepared clip: everything that training and scoring need once the source is gone."""

    key: str
    video: UInt8
    """(T, H, W, 3) RGB at 25 frames/s: the canvas."""
    audio: Float32
    """(T * 640,) mono in [-1, 1) at 16 kHz, starting with the first frame."""
    landmarks: Float32
    """(T, N, 2) x, y in pixels of the canvas; N is 478, 468 or 68 (`POINT_SETS`), `meta["track"]` names the tracker."""
    track_score: Float32
    """(T,) the tracker's confidence in [0, 1]; 0 marks a frame whose landmarks were filled in from its neighbours."""
    dataset: str
    split: str
    speaker: str | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    canvas: Mapping[str, Any] = field(default_factory=dict)
    """Where the canvas lies in the source: kind, x, y, width, height (source pixels), out_width, out_height."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the JSON member: source file name and sha256, media facts, fixes, truth."""

    def __len__(self) -> int:
        return len(self.video)


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples given to a model together. A tuple, not one padded array: canvases differ in size and length."""

    samples: tuple[Sample, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sample.key for sample in self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, slots=True)
class Generated:
    """What a model made of one sample."""

    key: str
    video: UInt8 | None
    """(n, H, W, 3) uint8 RGB, canvas size, no padding; None where the model gave nothing."""
    reason: Reason | None = None
    """Set exactly when `video` is None."""
    detail: str = ""
    own_count: str = ""
    """How the file that it was read from counts its frames, where that differs: "94 frames at 30 fps are 78 at 25"."""
    file: Path | None = None
    """The video file that it was read from, as it came; None where the model made arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """A video file as it was released, for metrics that start at the file as published scripts do."""

    video: Path | None
    """None where there is none; `detail` then says why."""
    detail: str = ""
    voice: Path | None = None
    """A file with its voice alone, for the recipe that reads its voice from one; None: the sound of `video`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number. nan means unscored, and always has a reason."""

    model: str
    key: str
    """Clip key, or "*" for a metric of the whole set (FID)."""
    metric: str
    value: float
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the facts of a number that a metric gives.

    `signature` decides with which other numbers it may be compared. Label, unit, digits, `text`, `variant` and
    `also_called` only say how people read it.
    """

    name: str
    """Unique in a table: "lse_c", "ssim_mouth". CSV files and protocols use it."""
    label: str
    """As tables print it: "LSE-C", "SSIM (mouth)"."""
    unit: str
    better: Better
    digits: int
    """Decimals that a table shows."""
    per_clip: bool = True
    """Whether each clip has a value; otherwise there is one number for the whole set."""
    signature: str = ""
    """Every setting that can move the number, in one line."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The least and the greatest value that is possible at all; an interval is cut to them."""
    also_called: tuple[str, ...] = ()
    """Other names of the same number in the field: "Sync-C" for LSE-C."""
    text: str = ""
    """What is measured and how to read it, for readers who meet it in a report."""
    variant: str = ""
    """What sets this column apart from others of its metric: its judge, its region, its landmarks."""
    near_true: bool = False
    """Whether it is read by its distance to the true video's own value; tables with `real` then show that distance."""

    def __post_init__(self) -> None:
        if not 0 <= self.digits <= 12:
            raise ValueError(f"column {self.name!r}: {self.digits} digits, expected 0 to 12")
        low, high = self.bounds
        if not low < high:
            raise ValueError(
                f"column {self.name!r}: bounds {low:g} to {high:g}, expected the smaller one first"
            )

    @property
    def lacks_network(self) -> bool:
        """Whether it has no scores because its network, or the package with it, was not there, by its signature."""
        return re.search(r"[@-]missing\b", self.signature) is not None


_ARRAYS = {
    "Array": "",
    "UInt8": "uint8",
    "Float32": "float32",
    "Float64": "float64",
    "Complex128": "complex128",
    "Bool": "bool_",
}

if not TYPE_CHECKING:  # for a type checker every other name stays unknown

    def __getattr__(name: str) -> object:
        """The kinds of arrays, made when a module asks for the first one, and the name that `Column` had before.

        Commands look up names in these records before they do anything: their help has no use for numpy.
        """
        if name in _ARRAYS:
            import numpy as np
            import numpy.typing as npt

            for alias, kind in _ARRAYS.items():
                globals()[alias] = npt.NDArray[getattr(np, kind) if kind else Any]
            return globals()[name]
        if name == "Metric":
            message = (
                "tkbench.types.Metric is called tkbench.types.Column; the old name goes with the next version"
            )
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return Column
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
