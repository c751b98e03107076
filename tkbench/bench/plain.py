"""The loop that people write today to prepare a talking head, to compare with.

The whole video by OpenCV into memory, one MediaPipe face detection per frame through the wheel's own
`process`, the crop of the largest face written as JPEG, the sound by ffmpeg as 16 kHz WAV. auto_avsr@c82185a
(preparation/detectors/mediapipe/detector.py) does it so, with the full-range detector at 0.5. There are no
landmarks, no checks of time stamps, no track and no receipts in it.
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
from typing import Any

import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.prep.backends.wheel import mediapipe, quiet
from tkbench.prep.pipeline import cpu_seconds
from tkbench.workers import one_thread_environment

HELD = 1_000_000_000
"""Bytes of pictures that the loop may hold: of a longer video only the first part is taken."""


@dataclass(frozen=True, slots=True)
class Plain:
    """One clip by the loop: seconds of processor time of the best run."""

    frames: int
    decode: float
    detect: float
    detect_near: float
    """The same with the lighter detector, for faces that are near: it costs half, and misses small faces."""
    write: float
    """Crops and sound."""

    def seconds(self, *, near: bool = False) -> float:
        """All together."""
        return self.decode + (self.detect_near if near else self.detect) + self.write


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


def plain_loop(path: str, n_frames: int, detectors: dict[str, Any]) -> Plain:
    """Prepare a clip as the loop does; n_frames: of the whole file, to share out the cost of its sound."""
    import cv2

    spent: dict[str, float] = {}
    with _spent(spent, "decode"):
        # One thread, as for everything else here.
        video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        frames: list[Any] = []
        while not frames or len(frames) < HELD // frames[0].nbytes:
            there, frame = video.read()
            if not there:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        video.release()
    boxes: list[Any] = []
    for name, detector in detectors.items():
        with _spent(spent, name):
            answers = [detector.process(frame).detections or () for frame in frames]
            boxes = boxes or [_largest(found) for found in answers]
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


def _largest(found: Any) -> Any:
    boxes = [face.location_data.relative_bounding_box for face in found]
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
        detectors = {
            "detect": make(model_selection=1, min_detection_confidence=0.5),
            "detect_near": make(model_selection=0, min_detection_confidence=0.5),
        }
        for detector in detectors.values():
            detector.process(np.zeros((64, 64, 3), np.uint8))  # the networks start with the first picture
    runs = [asdict(plain_loop(path, n_frames, detectors)) for _ in range(repeat)]
    sys.stdout.write(json.dumps({name: min(run[name] for run in runs) for name in runs[0]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
