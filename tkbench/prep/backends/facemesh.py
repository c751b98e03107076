"""MediaPipe's Face Mesh and face detection: its networks, run by bare graphs, and the window that follows a face.

`FaceMesh.process` of the wheel takes 49 calculators for a frame, copies the landmarks ten times and hands the
frame from thread to thread. Here a graph runs on the thread that asks and holds no more than the network. Where
to look next, from the landmarks before, is a few lines: the rule is Face Mesh's own, and its landmarks are met
to a fiftieth of a pixel (the window's pixels are looked up with other rounding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tkbench.errors import UsageError
from tkbench.prep.backends.network import SIDE, Refined, mesh_network
from tkbench.prep.backends.wheel import mediapipe, quiet
from tkbench.types import Float32, UInt8

_MESH = """
input_stream: "image"
input_side_packet: "network"
output_stream: "found"
executor { type: "ApplicationThreadExecutor" }
node {
  calculator: "TfLiteModelCalculator"
  input_side_packet: "MODEL_BLOB:network"
  output_side_packet: "MODEL:model"
}
node {
  calculator: "TfLiteCustomOpResolverCalculator"
  output_side_packet: "OP_RESOLVER:steps"
}
node {
  calculator: "TensorConverterCalculator"
  input_stream: "IMAGE:image"
  output_stream: "TENSORS:picture"
  options { [mediapipe.TensorConverterCalculatorOptions.ext] { output_tensor_float_range { min: 0 max: 1 } } }
}
node {
  calculator: "InferenceCalculatorCpu"
  input_stream: "TENSORS:picture"
  input_side_packet: "MODEL:model"
  input_side_packet: "OP_RESOLVER:steps"
  output_stream: "TENSORS:answer"
  options { [mediapipe.InferenceCalculatorOptions.ext] { delegate { xnnpack { num_threads: 1 } } } }
}
node {
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:answer"
  output_stream: "FLOATS:found"
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
_EYES = (33, 263)
"""Outer corners of the eyes in the mesh: the window turns with them."""
_ROOM = 1.5
"""Side of the window over the longer side of the face's box."""


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
        "records": _packet_getter._get_serialized_proto_list,
        "floats": _packet_getter.get_float_list,
    }


class Graph:
    """One MediaPipe graph with one picture in and one list out."""

    def __init__(self, text: str, *, answer: str, network: bytes | None = None) -> None:
        parts = _parts()
        self._make, self._srgb, self._read = parts["make"].create_image_frame, parts["srgb"], parts[answer]
        self._answers: dict[str, Any] = {}
        packets = {} if network is None else {"network": parts["make"].create_string(network)}
        with quiet():
            self._graph: Any = parts["graph"](graph_config=text)
            # A method of C, not of Python: Ctrl-C would raise its exception inside the graph, which aborts.
            self._graph.observe_output_stream("found", self._answers.__setitem__, True)
            self._graph.start_run(packets)
        self._clock, self._fresh = 0, True

    def _run(self, picture: UInt8) -> list[Any]:
        if self._fresh:
            # The networks start, and warn, with the first picture.
            self._fresh = False
            with quiet():
                return self._run(picture)
        self._answers.clear()
        self._clock += 40_000
        packet = self._make(data=picture, image_format=self._srgb)
        self._graph.add_packet_to_input_stream(stream="image", packet=packet.at(self._clock))
        self._graph.wait_until_idle()
        answer = self._answers.get("found")
        return [] if answer is None or answer.is_empty() else self._read(answer)

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


@dataclass(frozen=True, slots=True)
class _Window:
    """The turned square of a picture that the network sees."""

    x: float
    """Middle, in pixels of the picture."""
    y: float
    right: float
    """One pixel to the right in the network's picture is this far to the right in the shown one..."""
    down: float
    """... and this far down."""

    @classmethod
    def around(
        cls, box: tuple[float, float, float, float], x0: float, y0: float, x1: float, y1: float
    ) -> _Window:
        """The window of a face with this box and these eyes, left and right as we see them."""
        side = _ROOM * max(box[2] - box[0], box[3] - box[1])
        apart = math.hypot(x1 - x0, y1 - y0) or 1.0
        scale = side / SIDE / apart
        return cls((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (x1 - x0) * scale, (y1 - y0) * scale)


class MeshTracker(Graph):
    """Face Mesh over the frames of one shot, in order: 468 points, or 478 with refined lips, eyes and irises.

    refined: "all", "lips" (468 points, an eighth less work) or "none". It follows one face from frame to frame
    and looks for a new one only where it lost it.

    On synthetic clips with known lip opening (16 people, 256 x 256), the gap of the inner lips follows the
    truth with a correlation of 0.93 refined and 0.87 plain, and lips that touch are 0.5 % and 3.5 % of the
    eyes' distance apart.
    """

    def __init__(self, *, refined: Refined = "all") -> None:
        import cv2

        self._cv2 = cv2
        self._window: _Window | None = None
        self._crop = np.empty((SIDE, SIDE, 3), np.uint8)
        self._warp = np.empty((2, 3))
        super().__init__(_MESH, answer="floats", network=mesh_network(refined))

    def restart(self) -> None:
        """Forget the face: the next picture starts a new track, as in a tracker that was just made."""
        self._window = None

    def track(self, pictures: Sequence[UInt8]) -> list[Float32 | None]:
        """Landmarks of each picture in its pixels, or None; see `Backend.track`."""
        return [self._track(picture) for picture in pictures]

    def _track(self, picture: UInt8) -> Float32 | None:
        if self._window is not None:
            found = self._follow(picture, self._window)
            if found is not None:
                return found
        # Lost, or not found yet: looked for in this same picture, and also by the model for small faces.
        for far in (False, True):
            window = shared_detector(far).window(picture)
            if window is not None and (found := self._follow(picture, window)) is not None:
                return found
        return None

    def _follow(self, picture: UInt8, window: _Window) -> Float32 | None:
        """The landmarks in a window, which then moves along with them; None, and no window, where there is no face."""
        x, y, right, down = window.x, window.y, window.right, window.down
        half = SIDE / 2
        self._warp[:] = (
            (right, -down, x - half * (right - down)),
            (down, right, y - half * (right + down)),
        )
        self._cv2.warpAffine(
            picture,
            self._warp,
            (SIDE, SIDE),
            dst=self._crop,
            flags=self._cv2.INTER_LINEAR | self._cv2.WARP_INVERSE_MAP,
            borderMode=self._cv2.BORDER_REPLICATE,
        )
        answer = np.array(self._run(self._crop), np.float32)
        if answer[-1] <= 0:  # less likely a face than not
            self._window = None
            return None
        count = len(answer) // 2
        across, along = answer[:-1].reshape(2, count) - np.float32(half)
        rows = np.empty((2, count), np.float32)
        rows[0] = across * np.float32(right) - along * np.float32(down) + np.float32(x)
        rows[1] = across * np.float32(down) + along * np.float32(right) + np.float32(y)
        eyes = rows[:, _EYES].T.ravel().tolist()
        self._window = _Window.around((*rows.min(axis=1).tolist(), *rows.max(axis=1).tolist()), *eyes)
        # MediaPipe's unit square has its corners on the picture's corners; pixel centres lie half a pixel
        # inside.
        rows -= np.float32(0.5)
        return np.ascontiguousarray(rows.T)

    def detect(self, picture: UInt8, *, far: bool = False) -> Float32:
        """Every face of a single picture, see `Backend.detect`."""
        return shared_detector(far).detect(picture)


class FaceDetector(Graph):
    """Every face of a single picture. far: the model for faces that are small in the picture."""

    def __init__(self, *, far: bool = False) -> None:
        super().__init__(_FACES % ("Full" if far else "Short"), answer="records")

    def detect(self, picture: UInt8) -> Float32:
        """(H, W, 3) RGB -> (N, 5) float32: x0, y0, x1, y1 in pixels, and the score; best score first."""
        rows = [(*_box(face, picture), face.score[0]) for face in self._faces(picture)]
        rows.sort(key=lambda row: (-row[4], row[0]))
        return np.array(rows, np.float32).reshape(-1, 5)

    def window(self, picture: UInt8) -> _Window | None:
        """Where Face Mesh begins to follow a face: the likeliest one."""
        faces = self._faces(picture)
        if not faces:
            return None
        height, width = picture.shape[:2]
        eyes = faces[0].location_data.relative_keypoints[:2]
        return _Window.around(
            _box(faces[0], picture), *(side for eye in eyes for side in (eye.x * width, eye.y * height))
        )

    def _faces(self, picture: UInt8) -> list[Any]:
        from mediapipe.framework.formats import detection_pb2

        return [detection_pb2.Detection.FromString(record) for record in self._run(picture)]


def _box(face: Any, picture: UInt8) -> tuple[float, float, float, float]:
    height, width = picture.shape[:2]
    box = face.location_data.relative_bounding_box
    x, y = box.xmin * width, box.ymin * height
    return x, y, x + box.width * width, y + box.height * height


@lru_cache(maxsize=2)
def shared_detector(far: bool) -> FaceDetector:
    """The process's own detector; it keeps nothing from picture to picture."""
    return FaceDetector(far=far)
