"""The loop that people write today to prepare a talking head, to compare the speed of preparation with.

It reads the whole video into memory with OpenCV, detects faces in every frame, writes the crop of the largest face as
JPEG, and the sound by ffmpeg as 16 kHz WAV. Three detectors are timed: MediaPipe's full-range network at 0.5 through
the wheel's own `process`, as auto_avsr@c82185a has it (preparation/detectors/mediapipe/detector.py); MediaPipe's
lighter network; and the Haar cascade of OpenCV itself. The networks scale every picture to 192 and 128 pixels, the
cascade takes it whole. The loop finds no landmarks, checks no time stamps, and stores no track and no crop matrices.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.prep.backends.wheel import mediapipe, quiet
from tkbench.runtime.timing import cpu_seconds
from tkbench.runtime.workers import one_thread_environment
from tkbench.types import UInt8

if TYPE_CHECKING:
    import cv2

HELD = 1_000_000_000
"""Bytes of pictures that the loop may hold; of a longer video only the beginning is used."""
DETECTORS = {
    "full": "MediaPipe full-range",
    "near": "MediaPipe short-range",
    "haar": "OpenCV Haar cascade",
}
"""Detectors by name, with their names for people."""
HAAR_FRAMES = 12
"""Frames, evenly spaced, that the cascade is run on, because one takes up to half a second; its time is scaled."""


class FaceBox(Protocol):
    """A face as MediaPipe gives it, in shares of the picture's sides."""

    xmin: float
    ymin: float
    width: float
    height: float


class Location(Protocol):
    """Where a detection lies."""

    relative_bounding_box: FaceBox


class Detection(Protocol):
    """One face that was found."""

    location_data: Location


class Detections(Protocol):
    """The answer for one picture; None where there is no face."""

    detections: list[Detection] | None


class Detector(Protocol):
    """A face detector of MediaPipe."""

    def process(self, frame: UInt8) -> Detections: ...


class Detectors(TypedDict):
    """The three detectors of `DETECTORS`."""

    full: Detector
    near: Detector
    haar: cv2.CascadeClassifier


@dataclass(frozen=True, slots=True)
class Plain:
    """One clip by the loop: seconds of processor time of the best run."""

    frames: int
    decode: float
    full: float
    near: float
    """It costs half, and misses small faces."""
    haar: float
    write: float
    """Crops and sound."""

    def seconds(self, detector: str = "full") -> float:
        """All together, with one of `DETECTORS`."""
        return self.decode + float(getattr(self, detector)) + self.write


def measure_plain(path: str, n_frames: int, repeat: int) -> Plain:
    """Run the loop over a clip in a process of its own, whose memory is not counted as ours."""
    command = [sys.executable, "-m", "tkbench.bench.plain", path, str(n_frames), str(repeat)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=one_thread_environment(),
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UsageError(f"{Path(path).name}: the plain loop ended with code {done.returncode}: {last}")
    return Plain(**json.loads(done.stdout))


def plain_loop(path: str, n_frames: int, detectors: Detectors) -> Plain:
    """Prepare a clip as the loop does; n_frames: of the whole file, to share out the cost of its sound."""
    import cv2

    spent: dict[str, float] = {}
    with _spent(spent, "decode"):
        # One thread, as for everything else here.
        video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        frames: list[UInt8] = []
        while not frames or len(frames) < HELD // frames[0].nbytes:
            there, frame = video.read()
            if not there:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        video.release()
    with _spent(spent, "full"):
        boxes = [_largest(detectors["full"].process(frame)) for frame in frames]
    with _spent(spent, "near"):
        for frame in frames:
            detectors["near"].process(frame)
    some = frames[:: max(1, len(frames) // HAAR_FRAMES)]
    with _spent(spent, "haar"):
        for frame in some:
            detectors["haar"].detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 1.1, 5)
    spent["haar"] *= len(frames) / len(some)
    with tempfile.TemporaryDirectory(prefix="tkbench-plain-") as folder:
        with _spent(spent, "write"):
            for index, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
                if box is None:
                    continue
                height, width = frame.shape[:2]
                x, y = max(0, int(box.xmin * width)), max(0, int(box.ymin * height))
                part = frame[y : y + int(box.height * height), x : x + int(box.width * width)]
                cv2.imwrite(f"{folder}/{index:06d}.jpg", cv2.cvtColor(part, cv2.COLOR_RGB2BGR))
        with _spent(spent, "sound"):
            media.write_wav(Path(folder) / "sound.wav", media.read_audio(path))
    spent["write"] += spent.pop("sound") * len(frames) / n_frames
    return Plain(len(frames), **spent)


def cascade() -> cv2.CascadeClassifier:
    """The frontal cascade that OpenCV's wheel carries."""
    import cv2

    # Not in OpenCV's stubs for every version.
    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))


def _largest(found: Detections) -> FaceBox | None:
    boxes = [face.location_data.relative_bounding_box for face in found.detections or ()]
    return max(boxes, key=lambda box: box.width * box.height, default=None)


@contextmanager
def _spent(into: dict[str, float], name: str) -> Iterator[None]:
    start = cpu_seconds()
    yield
    into[name] = cpu_seconds() - start


def main(path: str, n_frames: int, repeat: int) -> None:
    """Write the best of several runs to stdout as JSON."""
    import cv2

    cv2.setNumThreads(1)
    make = mediapipe().solutions.face_detection.FaceDetection
    with quiet():
        detectors: Detectors = {
            "full": make(model_selection=1, min_detection_confidence=0.5),
            "near": make(model_selection=0, min_detection_confidence=0.5),
            "haar": cascade(),
        }
        for detector in (detectors["full"], detectors["near"]):
            detector.process(np.zeros((64, 64, 3), np.uint8))  # the networks start with the first picture
    runs = [asdict(plain_loop(path, n_frames, detectors)) for _ in range(repeat)]
    sys.stdout.write(json.dumps({name: min(run[name] for run in runs) for name in runs[0]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
