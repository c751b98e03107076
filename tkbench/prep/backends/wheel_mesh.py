"""Face Mesh and face detection by the runtime of the mediapipe wheel, to compare the default tracker with.

The wheels up to mediapipe 0.10.21 hold the networks of Face Mesh as they are, with all steps inside, and a TFLite
that knows these steps. Here bare graphs of the wheel run them on the thread that asks; the window that follows the
face is `facemesh.MeshTracker`'s, without its rounding. With OpenCV 4 these are the landmarks of
`track:mediapipe/2`, the default tracker before the networks came with the package.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tkbench.prep.backends.detection import Face
from tkbench.prep.backends.facemesh import MeshTracker
from tkbench.prep.backends.mesh_network import N_MESH
from tkbench.prep.backends.quiet import quiet
from tkbench.prep.backends.wheel import mediapipe
from tkbench.types import Float32, UInt8

_ATTENTION = "modules/face_landmark/face_landmark_with_attention.tflite"
_MESH = """
input_stream: "image"
input_side_packet: "network"
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
  output_stream: "TENSORS:answers"
  options { [mediapipe.InferenceCalculatorOptions.ext] { delegate { xnnpack { num_threads: 1 } } } }
}
"""
_SPLIT = """
node {
  calculator: "SplitTensorVectorCalculator"
  input_stream: "answers"
%(streams)s
  options { [mediapipe.SplitVectorCalculatorOptions.ext] { %(ranges)s } }
}
"""
_READ = """
node {
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:answer%(index)d"
  output_stream: "FLOATS:floats%(index)d"
}
output_stream: "floats%(index)d"
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


@lru_cache(maxsize=1)
def _parts() -> dict[str, Any]:
    """The functions of the wheel that a graph needs."""
    root = mediapipe()
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
    """A MediaPipe graph with one picture in and one list out of each of its streams.

    text: the graph. streams: names of what it gives. read: how they are read, "floats" or "records".
    """

    def __init__(
        self, text: str, streams: tuple[str, ...], read: str, *, network: bytes | None = None
    ) -> None:
        parts = _parts()
        self._make, self._srgb, self._read = parts["make"].create_image_frame, parts["srgb"], parts[read]
        self._streams = streams
        self._answers: dict[str, dict[str, Any]] = {name: {} for name in streams}
        packets = {} if network is None else {"network": parts["make"].create_string(network)}
        with quiet():
            self._graph: Any = parts["graph"](graph_config=text)
            for name in streams:
                # A method of C, not of Python: Ctrl-C would raise its exception inside the graph, which aborts.
                self._graph.observe_output_stream(name, self._answers[name].__setitem__, True)
            self._graph.start_run(packets)
        self._clock, self._fresh = 0, True

    def run(self, picture: UInt8) -> list[list[Any]]:
        """What each stream gives for a picture (H, W, 3) RGB."""
        if self._fresh:
            # The networks start, and warn, with the first picture.
            self._fresh = False
            with quiet():
                return self.run(picture)
        for found in self._answers.values():
            found.clear()
        self._clock += 40_000
        packet = self._make(data=picture, image_format=self._srgb)
        self._graph.add_packet_to_input_stream(stream="image", packet=packet.at(self._clock))
        self._graph.wait_until_idle()
        answers = (self._answers[name].get(name) for name in self._streams)
        return [[] if answer is None or answer.is_empty() else self._read(answer) for answer in answers]

    def close(self) -> None:
        """Free the network; safe to call twice."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


def network_graph(network: bytes, count: int) -> Graph:
    """A graph that shows a picture to a network of `count` answers, each of which comes as a list of floats."""
    streams = "\n".join(f'  output_stream: "answer{index}"' for index in range(count))
    ranges = " ".join(f"ranges {{ begin: {index} end: {index + 1} }}" for index in range(count))
    text = _MESH + _SPLIT % {"streams": streams, "ranges": ranges}
    text += "".join(_READ % {"index": index} for index in range(count))
    return Graph(text, tuple(f"floats{index}" for index in range(count)), "floats", network=network)


def attention_network() -> bytes:
    """Face Mesh with attention as it lies in the wheel."""
    return (Path(mediapipe().__file__).parent / _ATTENTION).read_bytes()


def refined_points() -> list[list[int]]:
    """Which points each refinement of the wheel's own graph replaces or adds, in the order of the network's answers:
    lips, both eyes, both irises.
    """
    from mediapipe.python._framework_bindings import validated_graph_config

    config = validated_graph_config.ValidatedGraphConfig()
    sides = ('input_side_packet: "with_attention"', 'input_side_packet: "WITH_ATTENTION:with_attention"')
    config.initialize(
        graph_config=f'input_stream: "image"\n{sides[0]}\nnode {{ calculator: "FaceLandmarkFrontCpu"\n'
        f'input_stream: "IMAGE:image"\n{sides[1]}\noutput_stream: "LANDMARKS:found" }}'
    )
    nodes = str(config.text_config).split("\nnode {")
    (refining,) = [node for node in nodes if '"LandmarksRefinementCalculator"' in node]
    _, *parts = re.split(r"\n +refinement \{", refining)[1:]
    return [[int(place) for place in re.findall(r"indexes_mapping: (\d+)", part)] for part in parts]


class WheelMesh:
    """Face Mesh with attention by the wheel; see `MeshNetwork`."""

    def __init__(self) -> None:
        self._places = refined_points()
        self._n_points = 1 + max(place for part in self._places for place in part)
        self._graph = network_graph(attention_network(), 2 + len(self._places))

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """Points (2, 478) and the score."""
        mesh, *refined, score = self._graph.run(picture)
        points = np.empty((2, self._n_points), np.float32)
        points[:, :N_MESH] = np.array(mesh, np.float32).reshape(N_MESH, 3)[:, :2].T
        for places, found in zip(self._places, refined, strict=True):
            points[:, places] = np.array(found, np.float32).reshape(-1, 2).T
        return points, float(score[0])

    def close(self) -> None:
        """Free the network; safe to call twice."""
        self._graph.close()


class WheelDetector:
    """Face detection by the wheel; see `FaceDetector`. far: the model for faces that are small in the picture."""

    def __init__(self, *, far: bool = False) -> None:
        self._graph = Graph(_FACES % ("Full" if far else "Short"), ("found",), "records")

    def faces(self, picture: UInt8) -> list[Face]:
        """Every face, the likeliest first; see `FaceDetector.faces`."""
        from mediapipe.framework.formats import detection_pb2

        height, width = picture.shape[:2]
        out = []
        for record in self._graph.run(picture)[0]:
            face = detection_pb2.Detection.FromString(record)
            box = face.location_data.relative_bounding_box
            x, y = box.xmin * width, box.ymin * height
            left, right = face.location_data.relative_keypoints[:2]
            out.append(
                Face(
                    (x, y, x + box.width * width, y + box.height * height),
                    (left.x * width, left.y * height, right.x * width, right.y * height),
                    face.score[0],
                )
            )
        return out

    def close(self) -> None:
        """Free the network; safe to call twice."""
        self._graph.close()


class WheelTracker(MeshTracker):
    """The default tracker as it was with the wheel; see `Backend`."""

    def __init__(self) -> None:
        near, far = WheelDetector(), WheelDetector(far=True)
        super().__init__(network=WheelMesh(), near=near, far=far, rounded=False)
        self._detectors = (near, far)

    def close(self) -> None:
        """Free the networks; safe to call twice."""
        super().close()
        for detector in self._detectors:
            detector.close()
