"""The loop that people write today to prepare a talking head, to compare the speed of preparation with.

It reads the whole video into memory with OpenCV, detects faces in every frame, writes the crop of the largest face as
JPEG, and the sound by ffmpeg as 16 kHz WAV. Three detectors are timed: MediaPipe's full-range network at 0.5 through
the wheel's own `process`, as auto_avsr@c82185a has it (preparation/detectors/mediapipe/detector.py); MediaPipe's
lighter network; and the Haar cascade of OpenCV itself. The networks scale every picture to 192 and 128 pixels, the
cascade takes it whole. The loop finds no landmarks, checks no time stamps, and stores no track and no crop matrices.
mediapipe from 0.10.22 on has no `process`. Where such a version is installed, tkbench's own detectors run the same two
networks: they take less time, so the loop looks faster than it would be.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.prep.backends.detection import LiteRTDetector
from tkbench.prep.backends.quiet import quiet
from tkbench.prep.backends.wheel import mediapipe
from tkbench.runtime.timing import cpu_seconds
from tkbench.runtime.workers import one_thread_environment
from tkbench.types import UInt8

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


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""
Detector = Callable[[UInt8], list[Box]]
"""Finds every face in a picture."""


class Cascade(Protocol):
    """What is used of OpenCV's `CascadeClassifier`."""

    def detectMultiScale(self, image: UInt8, scaleFactor: float, minNeighbors: int, /) -> object:
        """Every face in a grey picture."""


class Detectors(TypedDict):
    """The three detectors of `DETECTORS`."""

    full: Detector
    near: Detector
    haar: Cascade | None


@dataclass(frozen=True, slots=True)
class Plain:
    """One clip by the loop: seconds of processor time of the best run."""

    frames: int
    decode: float
    full: float
    near: float
    """It costs half, and misses small faces."""
    haar: float
    """nan where OpenCV has no cascade."""
    write: float
    """Crops and sound."""
    runtime: str = ""
    """What ran MediaPipe's two networks."""

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
        boxes = [_largest(detectors["full"](frame)) for frame in frames]
    with _spent(spent, "near"):
        for frame in frames:
            detectors["near"](frame)
    some = frames[:: max(1, len(frames) // HAAR_FRAMES)]
    finder = detectors["haar"]
    if finder is None:
        spent["haar"] = math.nan
    else:
        with _spent(spent, "haar"):
            for frame in some:
                finder.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 1.1, 5)
        spent["haar"] *= len(frames) / len(some)
    with tempfile.TemporaryDirectory(prefix="tkbench-plain-") as folder:
        with _spent(spent, "write"):
            for index, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
                if box is None:
                    continue
                x, y = max(0, int(box[0])), max(0, int(box[1]))
                part = frame[y : y + int(box[3] - box[1]), x : x + int(box[2] - box[0])]
                cv2.imwrite(f"{folder}/{index:06d}.jpg", cv2.cvtColor(part, cv2.COLOR_RGB2BGR))
        with _spent(spent, "sound"):
            media.write_wav(Path(folder) / "sound.wav", media.read_audio(path))
    spent["write"] += spent.pop("sound") * len(frames) / n_frames
    decode, full, near, haar, write = (spent[name] for name in ("decode", "full", "near", "haar", "write"))
    return Plain(len(frames), decode, full, near, haar, write)


def wheel_detectors() -> tuple[Detector, Detector]:
    """MediaPipe's full-range and short-range networks by `process` of its wheel; AttributeError where it has none."""
    make = mediapipe().solutions.face_detection.FaceDetection

    def opened(selection: int) -> Detector:
        network = make(model_selection=selection, min_detection_confidence=0.5)

        def detect(frame: UInt8) -> list[Box]:
            height, width = frame.shape[:2]
            found = []
            for face in network.process(frame).detections or ():
                box = face.location_data.relative_bounding_box
                x, y = box.xmin * width, box.ymin * height
                found.append((x, y, x + box.width * width, y + box.height * height))
            return found

        return detect

    return opened(1), opened(0)


def own_detectors() -> tuple[Detector, Detector]:
    """The same two networks by tkbench's own detectors."""

    def opened(far: bool) -> Detector:
        network = LiteRTDetector(far=far)
        return lambda frame: [face.box for face in network.faces(frame)]

    return opened(True), opened(False)


def cascade() -> Cascade | None:
    """The frontal cascade that OpenCV's wheel carries; None where this OpenCV has no cascades.

    OpenCV 5 keeps them in its contrib modules, and of two wheels that hold `cv2` the one installed last counts.
    """
    import cv2

    if not hasattr(cv2, "CascadeClassifier"):
        return None
    # Not in OpenCV's stubs for every version.
    folder = Path(cv2.__file__).parent / "data"
    made: Cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
    return made


def _largest(boxes: list[Box]) -> Box | None:
    return max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=None)


@contextmanager
def _spent(into: dict[str, float], name: str) -> Iterator[None]:
    start = cpu_seconds()
    yield
    into[name] = cpu_seconds() - start


def main(path: str, n_frames: int, repeat: int) -> None:
    """Write the best of several runs to stdout as JSON."""
    import cv2

    cv2.setNumThreads(1)
    with quiet():
        try:
            (full, near), runtime = wheel_detectors(), f"mediapipe {mediapipe().__version__}"
        except (ImportError, AttributeError):
            (full, near), runtime = own_detectors(), "tkbench's own detectors"
        for detect in (full, near):
            detect(np.zeros((64, 64, 3), np.uint8))  # the networks start with the first picture
    detectors: Detectors = {"full": full, "near": near, "haar": cascade()}
    runs = [plain_loop(path, n_frames, detectors) for _ in range(repeat)]
    best = {name: min(getattr(run, name) for run in runs) for name in asdict(runs[0])}
    sys.stdout.write(json.dumps(best | {"runtime": runtime}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
