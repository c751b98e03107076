"""MediaPipe Face Mesh and face detection, fed as bare graphs.

`FaceMesh.process` of the wheel builds a namedtuple class for every frame, which costs as much as a quarter of
the network, and runs its graph on a pool of threads that hand each frame from core to core. Here a graph runs
on the thread that asks: 6 % less time of the processor, the same landmarks to the last bit, and one worker
stays on one core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tkbench.errors import UsageError
from tkbench.prep.backends.wheel import mediapipe, quiet
from tkbench.types import Float32, UInt8

MESH = """
input_stream: "image"
input_side_packet: "num_faces"
input_side_packet: "use_prev_landmarks"
input_side_packet: "with_attention"
output_stream: "found"
executor { type: "ApplicationThreadExecutor" }
node {
  calculator: "FaceLandmarkFrontCpu"
  input_stream: "IMAGE:image"
  input_side_packet: "NUM_FACES:num_faces"
  input_side_packet: "USE_PREV_LANDMARKS:use_prev_landmarks"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:found"
}
"""
_FACES = """
input_stream: "image"
output_stream: "found"
executor { type: "ApplicationThreadExecutor" }
node {
  calculator: "FaceDetection%sRangeCpu"
  input_stream: "IMAGE:image"
  output_stream: "DETECTIONS:found"
}
"""
_LANDMARK = np.dtype(
    [("tag", "u1"), ("length", "u1")]
    + [(name + part, kind) for name in "xyz" for part, kind in (("_tag", "u1"), ("", "<f4"))]
)
"""One landmark in the wire format: tag, length, and three fixed 32-bit floats with a tag each."""
_TAGS = {"tag": 0x0A, "length": 0x0F, "x_tag": 0x0D, "y_tag": 0x15, "z_tag": 0x1D}
_BLACK = np.zeros((64, 64, 3), np.uint8)


@lru_cache(maxsize=1)
def _parts() -> dict[str, Any]:
    """The functions of the wheel that a graph needs."""
    root = mediapipe()
    if not hasattr(root, "solutions"):
        raise UsageError(
            f"mediapipe {root.__version__} has no Face Mesh inside: install mediapipe<0.10.22, "
            "or use the backend mediapipe-tasks"
        )
    from mediapipe.python import packet_creator
    from mediapipe.python._framework_bindings import (
        _packet_getter,
        calculator_graph,
        image_frame,
        resource_util,
    )

    resource_util.set_resource_dir(str(Path(root.__file__).parents[1]))
    return {
        "graph": calculator_graph.CalculatorGraph,
        "make": packet_creator,
        "srgb": image_frame.ImageFormat.SRGB,
        "raw_list": _packet_getter._get_serialized_proto_list,
    }


class Graph:
    """One MediaPipe graph with one picture in and one list of records out."""

    def __init__(self, text: str, side: Mapping[str, bool | int | bytes]) -> None:
        self._parts = _parts()
        self._text, self._side = text, dict(side)
        self._graph: Any = None
        self._answers: dict[str, Any] = {}
        self._start()

    def _start(self) -> None:
        make = self._parts["make"]
        kinds = {bool: make.create_bool, int: make.create_int, bytes: make.create_string}
        packets = {name: kinds[type(value)](value) for name, value in self._side.items()}
        with quiet():
            self._graph = self._parts["graph"](graph_config=self._text)
            # A method of C, not of Python: Ctrl-C would raise its exception inside the graph, which aborts.
            self._graph.observe_output_stream("found", self._answers.__setitem__, True)
            self._graph.start_run(packets)
        self._clock, self._fresh = 0, True

    def _run(self, picture: UInt8) -> list[bytes]:
        if self._fresh:
            # The networks start, and warn, with the first picture.
            self._fresh = False
            with quiet():
                return self._run(picture)
        self._answers.clear()
        self._clock += 40_000
        packet = self._parts["make"].create_image_frame(data=picture, image_format=self._parts["srgb"])
        self._graph.add_packet_to_input_stream(stream="image", packet=packet.at(self._clock))
        self._graph.wait_until_idle()
        answer = self._answers.get("found")
        return [] if answer is None or answer.is_empty() else self._parts["raw_list"](answer)

    def close(self) -> None:
        """Free the network; safe to call twice."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MeshTracker(Graph):
    """Face Mesh over the frames of one shot, in order: 468 points, or 478 with refined lips, eyes and irises.

    It follows one face from frame to frame and looks for a new one only where it lost it.

    On synthetic clips with known lip opening (16 people, 256 x 256), the gap of the inner lips follows the
    truth with a correlation of 0.93 refined and 0.87 plain, and lips that touch are 0.5 % and 3.5 % of the
    eyes' distance apart.
    """

    def __init__(self, *, refined: bool = True) -> None:
        super().__init__(MESH, {"num_faces": 1, "use_prev_landmarks": True, "with_attention": refined})

    def restart(self) -> None:
        """Forget the face: the next picture starts a new track, as in a tracker that was just made.

        A few black pictures do that at a tenth of the cost of a new graph.
        """
        for _ in range(3):
            if self._fresh or not self._run(_BLACK):
                return
        self.close()
        self._start()

    def track(self, pictures: Sequence[UInt8]) -> list[Float32 | None]:
        """Landmarks of each picture in its pixels, or None; see `Backend.track`."""
        return [self._track(picture) for picture in pictures]

    def _track(self, picture: UInt8) -> Float32 | None:
        found = self._run(picture)
        if not found:
            return None
        height, width = picture.shape[:2]
        # MediaPipe's unit square has its corners on the picture's corners; pixel centres lie half a pixel
        # inside.
        return points(found[0]) * np.array([width, height], np.float32) - np.float32(0.5)

    def detect(self, picture: UInt8, *, far: bool = False) -> Float32:
        """Every face of a single picture, see `Backend.detect`."""
        return shared_detector(far).detect(picture)


def points(record: bytes) -> Float32:
    """(N, 2) x, y in the unit square from a serialized landmark list."""
    if len(record) % _LANDMARK.itemsize == 0:
        rows = np.frombuffer(record, _LANDMARK)
        if all((rows[name] == value).all() for name, value in _TAGS.items()):
            return np.stack([rows["x"], rows["y"]], axis=1)
    from mediapipe.framework.formats import landmark_pb2

    parsed = landmark_pb2.NormalizedLandmarkList.FromString(record)
    return np.array([(point.x, point.y) for point in parsed.landmark], np.float32)


class FaceDetector(Graph):
    """Every face of a single picture. far: the model for faces that are small in the picture."""

    def __init__(self, *, far: bool = False) -> None:
        super().__init__(_FACES % ("Full" if far else "Short"), {})

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


@lru_cache(maxsize=2)
def shared_detector(far: bool) -> FaceDetector:
    """The process's own detector; it keeps nothing from picture to picture."""
    return FaceDetector(far=far)
