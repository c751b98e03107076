"""MediaPipe adapters: pictures -> face boxes, pictures in order -> landmarks of one face.

The graphs are fed directly: `FaceMesh.process` of the wheel builds a namedtuple class for every frame, which
costs as much as a quarter of the network.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from tkbench.types import Float32, UInt8

N_LANDMARKS = 478
_LANDMARK_BYTES = 17
"""Of one landmark in the wire format: tag, length, and three fixed 32-bit floats with a tag each."""


@lru_cache(maxsize=1)
def _mediapipe() -> Any:
    """The wheel's modules, imported once, quietly, and without the plotting library that its drawing helpers
    load.
    """
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without("matplotlib", "matplotlib.pyplot"), quiet():
        import mediapipe
        from mediapipe.python import packet_creator
        from mediapipe.python._framework_bindings import _packet_getter, image_frame
        from mediapipe.python.solutions import face_detection, face_mesh
    parts = {
        "root": mediapipe,
        "make_image": packet_creator.create_image_frame,
        "srgb": image_frame.ImageFormat.SRGB,
        "raw_list": _packet_getter._get_serialized_proto_list,
        "mesh": face_mesh.FaceMesh,
        "detection": face_detection.FaceDetection,
    }
    return parts


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Let an import believe that these modules are there; a module that is loaded already stays.

    Importing matplotlib.pyplot takes longer than all the rest, and nothing here draws.
    """
    stubs = {} if names[0] in sys.modules else {name: ModuleType(name) for name in names}
    for name, stub in stubs.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(stubs[parent], child, stub)
        sys.modules[name] = stub
    try:
        yield
    finally:
        for name, stub in stubs.items():
            if sys.modules.get(name) is stub:
                del sys.modules[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Send what C++ writes to stderr into a temporary file; if the block fails, it is shown after all.

    The graphs print warnings before any log level is read. Python's own stderr is flushed around the block.
    """
    try:
        stderr = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
        kept = os.dup(stderr)
    except (OSError, ValueError):  # no stderr at all: nothing to keep quiet
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), stderr)
        try:
            yield
        except BaseException:
            os.dup2(kept, stderr)
            sink.seek(0)
            os.write(stderr, sink.read(1 << 16))
            raise
        finally:
            os.dup2(kept, stderr)
            os.close(kept)


class _Graph:
    """One MediaPipe graph with one picture in and one list of records out."""

    def __init__(self, solution: Any, output: str) -> None:
        self._parts = _mediapipe()
        self._solution = solution
        self._output = output
        self._clock = 0
        self._fresh = True

    def _run(self, picture: UInt8) -> list[bytes]:
        if self._fresh:
            # The networks start, and warn, with the first picture.
            self._fresh = False
            with quiet():
                return self._run(picture)
        graph, outputs = self._solution._graph, self._solution._graph_outputs
        outputs.clear()
        self._clock += 40_000
        packet = self._parts["make_image"](data=picture, image_format=self._parts["srgb"])
        graph.add_packet_to_input_stream(stream="image", packet=packet.at(self._clock))
        graph.wait_until_idle()
        answer = outputs.get(self._output)
        return [] if answer is None or answer.is_empty() else self._parts["raw_list"](answer)

    def close(self) -> None:
        """Free the network; safe to call twice."""
        if self._solution is not None:
            self._solution.close()
            self._solution = None

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_BLACK = np.zeros((64, 64, 3), np.uint8)


class MeshTracker(_Graph):
    """Face Mesh with irises over the frames of one shot, in order.

    It follows one face from frame to frame and looks for a new one only where it lost it. `restart` forgets
    the past, at a cut and before a clip, so that results never depend on what was tracked before.
    """

    def __init__(self, *, min_detection: float = 0.5, min_tracking: float = 0.5) -> None:
        self._settings = {
            "static_image_mode": False,
            "max_num_faces": 1,
            "refine_landmarks": True,
            "min_detection_confidence": min_detection,
            "min_tracking_confidence": min_tracking,
        }
        super().__init__(self._make(), "multi_face_landmarks")

    def _make(self) -> Any:
        with quiet():
            solution = _mediapipe()["mesh"](**self._settings)
            solution._graph.wait_until_idle()  # its threads warn while they start
        return solution

    def restart(self) -> None:
        """Forget the face: the next picture starts a new track, as in a tracker that was just made.

        A few black pictures do that at a tenth of the cost of a new graph.
        """
        for _ in range(3):
            if self._fresh or not self._run(_BLACK):
                return
        self.close()
        self._solution, self._clock, self._fresh = self._make(), 0, True

    def track(self, picture: UInt8) -> Float32 | None:
        """(H, W, 3) RGB, C-contiguous -> (478, 2) float32 in pixels of that picture, or None without a
        face.
        """
        found = self._run(picture)
        if not found:
            return None
        height, width = picture.shape[:2]
        # MediaPipe's unit square has its corners on the picture's corners; pixel centres lie half a pixel
        # inside.
        return (_points(found[0]) * np.array([width, height], np.float32) - np.float32(0.5)).astype(
            np.float32
        )


def _points(record: bytes) -> Float32:
    """(478, 2) x, y in the unit square from a serialized landmark list."""
    if len(record) == N_LANDMARKS * _LANDMARK_BYTES:
        rows = np.frombuffer(record, np.uint8).reshape(N_LANDMARKS, _LANDMARK_BYTES)
        # 0a 0f: landmark of 15 bytes; 0d, 15, 1d: x, y, z as fixed32.
        if (rows[:, [0, 1, 2, 7, 12]] == (0x0A, 0x0F, 0x0D, 0x15, 0x1D)).all():
            return np.ascontiguousarray(rows[:, [3, 4, 5, 6, 8, 9, 10, 11]]).view("<f4")
    from mediapipe.framework.formats import landmark_pb2

    parsed = landmark_pb2.NormalizedLandmarkList.FromString(record)
    return np.array([(point.x, point.y) for point in parsed.landmark], np.float32)


class FaceDetector(_Graph):
    """Every face of a single picture. far: the model for faces that are small in the picture."""

    def __init__(self, *, far: bool = False, min_score: float = 0.5) -> None:
        with quiet():
            solution = _mediapipe()["detection"](model_selection=int(far), min_detection_confidence=min_score)
            solution._graph.wait_until_idle()  # its threads warn while they start
        super().__init__(solution, "detections")

    def detect(self, picture: UInt8) -> Float32:
        """(H, W, 3) RGB -> (N, 5) float32: x0, y0, x1, y1 in pixels, and the score; best score first."""
        from mediapipe.framework.formats import detection_pb2

        height, width = picture.shape[:2]
        rows = []
        for record in self._run(picture):
            found = detection_pb2.Detection.FromString(record)
            box = found.location_data.relative_bounding_box
            x, y = box.xmin * width, box.ymin * height
            rows.append((x, y, x + box.width * width, y + box.height * height, found.score[0]))
        rows.sort(key=lambda row: (-row[4], row[0]))
        return np.array(rows, np.float32).reshape(-1, 5)


@lru_cache(maxsize=1)
def shared_mesh() -> MeshTracker:
    """The process's own tracker: a graph takes 50 ms to start, a short clip takes 300. Restart it before
    use.
    """
    return MeshTracker()


@lru_cache(maxsize=2)
def shared_detector(far: bool) -> FaceDetector:
    """The process's own detector; it keeps nothing from picture to picture."""
    return FaceDetector(far=far)
