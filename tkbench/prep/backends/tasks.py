"""MediaPipe Tasks: the face landmarker of `face_landmarker.task`, for wheels that have no Face Mesh inside.

One bundle holds both networks: the detector and 478 landmarks from 256 x 256 pixels. The task smooths its
landmarks over time: on a still picture with noise they move a sixth as much as those of Face Mesh.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tkbench import weights
from tkbench.errors import WeightsRefused
from tkbench.prep.backends.quiet import quiet
from tkbench.prep.backends.wheel import mediapipe
from tkbench.types import Float32, UInt8

WEIGHT = "face-landmarker"
_STEP = 40
"""Milliseconds between two pictures: the smoothing knows the time."""
_BLACK = np.zeros((64, 64, 3), np.uint8)


class TaskTracker:
    """The face landmarker in its video mode, one face; see `Backend`."""

    def __init__(self) -> None:
        self._bundle = weights.find(WEIGHT).read_bytes()
        self._root = mediapipe()
        self._task: Any = None
        self._faces: Any = None
        self._clock = 0

    def _start(self) -> None:
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=self._bundle),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=1,
        )
        with quiet():
            self._task = vision.FaceLandmarker.create_from_options(options)
            self._clock = 0
            # The networks start, and warn, with the first picture.
            self._run(_BLACK)

    def restart(self) -> None:
        """Forget the face and the smoothing, as in a task that was just made; see `Backend.restart`.

        Black pictures do that, at a tenth of the cost of a new task.
        """
        if self._task is None:
            self._start()
            return
        for _ in range(3):
            if not self._run(_BLACK).face_landmarks:
                return
        self._task.close()
        self._start()

    def _run(self, picture: UInt8) -> Any:
        self._clock += _STEP
        image = self._root.Image(image_format=self._root.ImageFormat.SRGB, data=picture)
        return self._task.detect_for_video(image, self._clock)

    def track(self, pictures: Sequence[UInt8]) -> list[Float32 | None]:
        """Landmarks of each picture in its pixels, or None; see `Backend.track`."""
        if self._task is None:
            self._start()
        return [self._track(picture) for picture in pictures]

    def _track(self, picture: UInt8) -> Float32 | None:
        found = self._run(picture).face_landmarks
        if not found:
            return None
        size = np.array([picture.shape[1], picture.shape[0]], np.float32)
        # The unit square has its corners on the picture's corners; pixel centres lie half a pixel inside.
        unit = np.array([(point.x, point.y) for point in found[0]], np.float32)
        return unit * size - np.float32(0.5)

    def detect(self, picture: UInt8, *, far: bool = False) -> Float32:
        """Every face of a single picture, see `Backend.detect`; there is one network for near and far."""
        if self._faces is None:
            self._faces = _open_detector(self._bundle)
        image = self._root.Image(image_format=self._root.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        with quiet():
            found = self._faces.detect(image).detections
        rows = []
        for face in found:
            box = face.bounding_box
            x, y = box.origin_x, box.origin_y
            rows.append((x, y, x + box.width, y + box.height, face.categories[0].score))
        rows.sort(key=lambda row: (-row[4], row[0]))
        return np.array(rows, np.float32).reshape(-1, 5)

    def close(self) -> None:
        """Free the networks; safe to call twice."""
        for task in (self._task, self._faces):
            if task is not None:
                task.close()
        self._task = self._faces = None


def _open_detector(bundle: bytes) -> Any:
    """The detector inside the bundle, as a task of its own: pictures one by one, every face."""
    from mediapipe.tasks.python import BaseOptions, vision

    model = BaseOptions(model_asset_buffer=_member(bundle, "face_detector.tflite"))
    with quiet():
        return vision.FaceDetector.create_from_options(vision.FaceDetectorOptions(base_options=model))


def _member(bundle: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as box:
            return box.read(name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsRefused(f"{WEIGHT}: not a bundle that holds {name} ({error})") from error
