"""The networks of Face Mesh as they lie in the wheel, cut to what is asked of them.

The one with attention refines lips, both eyes and both irises, each in a branch of its own: without the branches
of eyes and irises it takes an eighth less time. In the wheel's graph a dozen calculators bring the answers
together, point by point. Here the network does it itself: two steps at its end lay all answers side by side and
pick the points from them. No weight and no other step changes, and the numbers are the same to the last bit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tkbench.errors import UsageError
from tkbench.prep.backends.wheel import mediapipe
from tkbench.types import Array

Refined = Literal["all", "lips", "none"]
SIDE = 192
"""Side of the picture that the networks take."""
_FOLDER = "modules/face_landmark"
_WITH = {"all": (0, 1, 2, 3, 4, 5, 6), "lips": (0, 1, 6), "none": (0, 1)}
"""Of a network's answers: the mesh, then refined points, then whether it is a face."""
_OUTPUTS = {"all": 7, "lips": 7, "none": 2}
_MESH = 468


@lru_cache(maxsize=3)
def mesh_network(refined: Refined) -> bytes:
    """A TFLite network: (1, 192, 192, 3) RGB in [0, 1] -> (1, 1, 1, 2 N + 1), all x, all y in pixels of 192, and the
    logit of there being a face.
    """
    name = "face_landmark.tflite" if refined == "none" else "face_landmark_with_attention.tflite"
    data = (Path(mediapipe().__file__).parent / _FOLDER / name).read_bytes()
    places = [] if refined == "none" else refined_points(_expanded())
    return cut_network(data, refined, places)


def _expanded() -> str:
    """Face Mesh as the wheel has it, every graph inside it spelled out."""
    from mediapipe.python._framework_bindings import validated_graph_config

    config = validated_graph_config.ValidatedGraphConfig()
    sides = ('input_side_packet: "with_attention"', 'input_side_packet: "WITH_ATTENTION:with_attention"')
    config.initialize(
        graph_config=f'input_stream: "image"\n{sides[0]}\nnode {{ calculator: "FaceLandmarkFrontCpu"\n'
        f'input_stream: "IMAGE:image"\n{sides[1]}\noutput_stream: "LANDMARKS:found" }}'
    )
    return str(config.text_config)


def refined_points(graph: str) -> list[list[int]]:
    """Which points of the mesh each refinement replaces, in the order of the network's answers.

    graph: the expanded one, a text proto. Raises UsageError where it is not the known one.
    """
    nodes = [node for node in graph.split("\nnode {") if '"LandmarksRefinementCalculator"' in node]
    parts = re.split(r"\n +refinement \{", nodes[0])[1:] if len(nodes) == 1 else []
    places = [[int(place) for place in re.findall(r"indexes_mapping: (\d+)", part)] for part in parts]
    if [len(part) for part in places] != [_MESH, 80, 71, 71, 5, 5] or places[0] != list(range(_MESH)):
        raise _unknown(f"a graph with refinements of {[len(part) for part in places]} points")
    return places[1:]


def cut_network(data: bytes, refined: Refined, places: list[list[int]]) -> bytes:
    """The network without the steps that only left-out answers need, and with one answer for all.

    Raises UsageError for a network with other answers.
    """
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    part = model.subgraphs[0]
    if len(part.outputs) != _OUTPUTS[refined]:
        raise _unknown(f"a network of {len(part.outputs)} outputs")
    kept = [part.outputs[index] for index in _WITH[refined]]
    sizes = [int(np.prod(part.tensors[tensor].shape)) for tensor in kept]
    places = places[: len(kept) - 2]
    if sizes != [3 * _MESH, *(2 * len(found) for found in places), 1]:
        raise _unknown(f"a network with answers of {sizes} numbers")
    part.operators = _needed(part.operators, kept)
    side_by_side = _tensor(schema, part, (1, 1, 1, sum(sizes)))
    joined = schema.ConcatenationOptionsT()
    joined.axis = 3
    _step(schema, model, "CONCATENATION", kept, side_by_side, joined)
    order = _order(places)
    wanted = _tensor(schema, part, order.shape, values=_buffer(schema, model, order))
    answer = _tensor(schema, part, (1, 1, 1, len(order)))
    picked = schema.GatherOptionsT()
    picked.axis = 3
    _step(schema, model, "GATHER", [side_by_side, wanted], answer, picked)
    part.outputs = [answer]
    model.signatureDefs = None  # it names the outputs that are gone
    builder = schema.flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _order(places: list[list[int]]) -> Array:
    """Where the answer's numbers stand among all: a refined point instead of the mesh's, the last one counts."""
    count = max([_MESH, *(place + 1 for part in places for place in part)])
    x = np.full(count, -1, np.int32)
    y = np.full(count, -1, np.int32)
    x[:_MESH] = 3 * np.arange(_MESH)
    y[:_MESH] = 3 * np.arange(_MESH) + 1
    start = 3 * _MESH
    for part in places:
        x[part] = start + 2 * np.arange(len(part))
        y[part] = start + 2 * np.arange(len(part)) + 1
        start += 2 * len(part)
    return np.concatenate([x, y, [start]]).astype(np.int32)


def _needed(steps: list[Any], wanted: list[int]) -> list[Any]:
    """The steps that these tensors come from."""
    maker = {tensor: index for index, step in enumerate(steps) for tensor in step.outputs}
    needed: set[int] = set()
    open_ends = list(wanted)
    while open_ends:
        index = maker.get(open_ends.pop())
        if index is not None and index not in needed:
            needed.add(index)
            open_ends.extend(steps[index].inputs)
    return [step for index, step in enumerate(steps) if index in needed]


def _tensor(schema: Any, part: Any, shape: tuple[int, ...], values: int | None = None) -> int:
    tensor = schema.TensorT()
    tensor.shape = np.array(shape, np.int32)
    tensor.type = schema.TensorType.FLOAT32 if values is None else schema.TensorType.INT32
    tensor.buffer = 0 if values is None else values
    part.tensors.append(tensor)
    return len(part.tensors) - 1


def _buffer(schema: Any, model: Any, values: Array) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.astype("<i4").tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _step(schema: Any, model: Any, name: str, inputs: list[int], output: int, options: Any) -> None:
    """Add a step at the end of the network."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 1
    model.operatorCodes.append(code)
    step = schema.OperatorT()
    step.opcodeIndex = len(model.operatorCodes) - 1
    step.inputs, step.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    step.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    step.builtinOptions = options
    model.subgraphs[0].operators.append(step)


def _unknown(found: str) -> UsageError:
    version = mediapipe().__version__
    return UsageError(
        f"mediapipe {version} holds {found}: the trackers of Face Mesh were made for 0.10.14 to 0.10.21; "
        "use one of these, or mediapipe-tasks"
    )
