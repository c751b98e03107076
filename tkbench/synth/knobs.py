"""The difficulties that a synthetic clip can have, and the pictures that some of them need.

The plain case is `Knobs()`. Every difficulty is recorded in the clip's truth, so a test can check that prep finds
exactly what was put in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from tkbench.errors import UsageError
from tkbench.registry import suggest
from tkbench.types import FPS, SAMPLE_RATE, Float32


@dataclass(frozen=True, slots=True)
class Knobs:
    """One clip's difficulties. Times are (start, end) in seconds of the clip."""

    offset_frames: int = 0
    """The mouth lags the voice by this many 25 fps frames; negative: the mouth leads."""
    audio_offset: float = 0.0
    """Seconds by which the container starts the sound after the pictures. A player keeps them in sync; a reader that
    ignores time stamps does not."""
    fps: float = float(FPS)
    """Pictures per second of the file: 25, 29.97, 30 or 50 are usual. The face is drawn at exactly those times."""
    vfr: bool = False
    """Uneven picture times around `fps`, as phones record."""
    sample_rate: int = SAMPLE_RATE
    """Of the sound in the container; 44100 and 48000 are usual. The wav beside it stays at 16 kHz."""
    stereo: bool = False
    """Two channels, of which the right one is quieter."""
    rotation: int = 0
    """Clockwise degrees that a player must turn the stored pictures by: 0, 90, 180 or 270."""
    occlusion: tuple[float, float] | None = None
    """A hand holds a microphone in front of the mouth during this time."""
    two_faces: bool = False
    """Another, silent person is beside the speaker, smaller; the picture is twice as wide."""
    cut: float | None = None
    """At this time the picture cuts to another person in another place, who goes on speaking."""
    silent: bool = False
    """The sound track is digital silence; the mouth moves."""
    mute: bool = False
    """The file has no sound track."""
    no_face: tuple[float, float] | None = None
    """During this time the picture shows only the background; (0, inf) for a clip without any face."""
    yaw: float = 0.0
    """Degrees by which the head is turned, to about 30."""
    sluggishness: float = 1.0
    """Scales the falling-off rates of the speaker's articulation: below 1 sounds blend farther. `tkbench.synth.reach`
    says how far."""

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.rotation % 90:
            raise UsageError(
                f"knobs: fps {self.fps} must be positive and rotation {self.rotation} a multiple of 90"
            )
        if not 0.1 <= self.sluggishness <= 10:
            raise UsageError(
                f"knobs: sluggishness {self.sluggishness:g} scales how fast a mouth moves on; give 0.1 to 10 (1 is "
                f"plain speech, 0.4 blends sounds 2.5 times as far)"
            )
        if self.audio_offset < 0:
            raise UsageError(
                f"knobs: audio_offset {self.audio_offset} must not be negative; use offset_frames"
            )

    def record(self) -> dict[str, object]:
        """Only what differs from the plain case, ready for strict JSON."""
        plain = asdict(Knobs())
        changed = {name: value for name, value in asdict(self).items() if value != plain[name]}
        return {name: _finite(value) for name, value in changed.items()}

    @property
    def plain(self) -> bool:
        """True where nothing is hard."""
        return self == Knobs()

    def times(self, seconds: float, rng: np.random.Generator) -> list[float]:
        """When each picture is shown, rising from 0, for a clip of so many seconds."""
        count = max(1, round(seconds * self.fps))
        steady = np.arange(count) / self.fps
        if self.vfr:
            # Up to a third of a frame early or late, and now and then a dropped picture.
            steady[1:] += rng.uniform(-0.33, 0.33, count - 1) / self.fps
            keep = rng.random(count) > 0.06
            keep[[0, -1]] = True
            steady = steady[keep]
        return [round(float(t), 5) for t in steady]


def _finite(value: object) -> object:
    """JSON has no infinity: an open end is null."""
    if isinstance(value, tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


PRESETS: dict[str, Knobs] = {
    "plain": Knobs(),
    "late": Knobs(offset_frames=4),
    "early": Knobs(offset_frames=-3),
    "container-offset": Knobs(audio_offset=0.2),
    "ntsc": Knobs(fps=30000 / 1001),
    "30fps": Knobs(fps=30.0),
    "50fps": Knobs(fps=50.0),
    "vfr": Knobs(fps=24.0, vfr=True),
    "stereo": Knobs(sample_rate=44_100, stereo=True),
    "rotated": Knobs(rotation=90),
    "occluded": Knobs(occlusion=(0.8, 1.7)),
    "two-faces": Knobs(two_faces=True),
    "cut": Knobs(cut=1.2),
    "silent": Knobs(silent=True),
    "mute": Knobs(mute=True),
    "face-leaves": Knobs(no_face=(1.0, 1.8)),
    "no-face": Knobs(no_face=(0.0, float("inf"))),
    "turned": Knobs(yaw=25.0),
    "slow-mouth": Knobs(sluggishness=0.4),
}
"""One of each, by name: `make_corpus(..., options=ClipOptions(knobs={3: "vfr"}))`."""


def preset(name: str) -> Knobs:
    """Knobs by name; raises UsageError with the nearest names."""
    if name not in PRESETS:
        raise UsageError(f"no knobs are called {name!r}: {suggest(name, list(PRESETS))}")
    return PRESETS[name]


def during(span: tuple[float, float] | None, time: float) -> bool:
    """Whether a time lies in a span."""
    return span is not None and span[0] <= time < span[1]


def microphone(picture: Float32, time: float, span: tuple[float, float]) -> Float32:
    """A copy of the picture (h, w, 3), float32 0-255, in which a hand brings a microphone up before the mouth."""
    size = picture.shape[0]
    unit = size / 256
    rise = float(np.clip(min(time - span[0], span[1] - time) / 0.12, 0, 1))
    x, y = 0.5 * picture.shape[1] + 3 * unit * np.sin(time * 5), (172 + 90 * (1 - rise)) * unit

    def at(dx: float, dy: float) -> tuple[int, int]:
        return round((x + dx * unit) * 16), round((y + dy * unit) * 16)

    def radius(r: float) -> int:
        return round(r * unit * 16)

    out = picture.copy()
    draw = {"lineType": cv2.LINE_AA, "shift": 4}
    wide = max(1, round(15 * unit))
    cv2.line(out, at(0, 10), at(22, 110), (38, 38, 42), wide, **draw)
    for k in range(4):  # fingers around the shaft
        centre = at(9 + k * 2.4, 46 + k * 11)
        cv2.ellipse(
            out,
            centre,
            (radius(15), radius(6.5)),
            12,
            0,
            360,
            (196 - 8 * k, 144 - 7 * k, 118 - 6 * k),
            -1,
            **draw,
        )
    for r in range(19, 0, -1):  # a round head, lit from the upper left
        grey = 62 + 3.4 * (19 - r)
        cv2.circle(out, at(-0.25 * (19 - r), -0.3 * (19 - r)), radius(r), (grey, grey, grey + 4), -1, **draw)
    return out
