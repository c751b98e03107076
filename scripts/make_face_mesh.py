"""Write the networks of `tkbench/assets/face_mesh` from the wheel of mediapipe 0.10.21.

Three of its four networks are copied as they are. The fourth, Face Mesh with attention, holds 11 steps that only
MediaPipe's own runtime knows: three places where a region of a feature map is chosen, cut out of it and refined.
It is cut there into the trunk (from the picture to the mesh, the feature map and the face's score) and three
branches (from a region's features to its refined points). No weight changes. The steps between are in
`tkbench/prep/backends/attention.py`; this script checks that the network asks for what is written there.

    pip download --no-deps --python-version 3.11 --only-binary=:all: mediapipe==0.10.21
    python scripts/make_face_mesh.py mediapipe-0.10.21-*.whl

Raises ValueError for a wheel with other networks. Needs ai-edge-litert, whose schema of the file format it uses.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from tkbench.prep.backends import attention

OUT = Path(__file__).parents[1] / "tkbench" / "assets" / "face_mesh"
WHOLE = {
    "mediapipe/modules/face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite": (
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1"
    ),
    "mediapipe/modules/face_landmark/face_landmark.tflite": (
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
    ),
}
"""Networks that are copied, with their sha256."""
ATTENTION = "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite"
ATTENTION_SHA256 = "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4"
CHOOSE, TAKE, PLACE = "Landmarks2TransformMatrix", "TransformTensorBilinear", "TransformLandmarks"
"""MediaPipe's own steps: landmarks -> matrix of a region, matrix and features -> features of the region, and
points of the region -> points of the picture."""


def main() -> None:
    """Read the wheel, write the networks and print their hashes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="mediapipe-0.10.21-*.whl")
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:
        found = {Path(name).name: _checked(wheel, name, digest) for name, digest in WHOLE.items()}
        found |= cut_attention(_checked(wheel, ATTENTION, ATTENTION_SHA256))
    OUT.mkdir(exist_ok=True)
    for name, data in found.items():
        (OUT / name).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {len(data):>9}  {name}")


def _checked(wheel: zipfile.ZipFile, name: str, digest: str) -> bytes:
    data = wheel.read(name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{name} has another sha256 than that of mediapipe 0.10.21")
    return data


def cut_attention(data: bytes) -> dict[str, bytes]:
    """File name -> the trunk or a branch of Face Mesh with attention."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    graph = model.subgraphs[0]
    steps: dict[str, list[Any]] = {CHOOSE: [], TAKE: [], PLACE: []}
    for step in graph.operators:
        custom = model.operatorCodes[step.opcodeIndex].customCode
        if custom is not None:
            steps[custom.decode()].append(step)
    # Branches by the matrix that their features are taken with.
    regions = {int(step.outputs[0]): step for step in steps[CHOOSE]}
    (features,) = {int(step.inputs[0]) for step in steps[TAKE]}
    out = {"trunk": cut(model, [graph.inputs[0]], [*_trunk_outputs(model), features])}
    for region, taken in zip(attention.REGIONS, steps[TAKE], strict=True):
        _check_region(region, regions[int(taken.inputs[1])])
        start = int(taken.outputs[0])
        ends = [int(step.inputs[0]) for step in steps[PLACE] if start in _sources(graph, int(step.inputs[0]))]
        out[region.name] = cut(model, [start], [_before_reshape(model, end) for end in ends])
    return {f"face_landmark_attention_{name}.tflite": data for name, data in out.items()}


def _trunk_outputs(model: Any) -> list[int]:
    """The mesh and the score; the mesh's slice of everything is left out."""
    graph = model.subgraphs[0]
    named = {graph.tensors[index].name: int(index) for index in graph.outputs}
    maker = {int(out): step for step in graph.operators for out in step.outputs}
    return [int(maker[named[b"output_mesh_identity"]].inputs[0]), named[b"conv_faceflag"]]


def _before_reshape(model: Any, tensor: int) -> int:
    graph = model.subgraphs[0]
    (step,) = [step for step in graph.operators if tensor in step.outputs]
    code = model.operatorCodes[step.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.RESHAPE:
        raise ValueError(f"tensor {tensor} is not made by a reshape")
    return int(step.inputs[0])


def _check_region(region: attention.Region, step: Any) -> None:
    """Raise ValueError where the network chooses a region in another way than `attention` does."""
    asked = flexbuffers.Loads(bytes(step.customOptions))
    written = {
        "left_rotation_idx": region.corners[0],
        "right_rotation_idx": region.corners[1],
        "output_height": attention.REGION_SIDE,
        "output_width": attention.REGION_SIDE,
        "scale_x": attention.MARGIN,
        "scale_y": attention.MARGIN,
        "subset_idxs": list(region.points),
        "target_rotation_radians": 0.0,
    }
    if asked != written:
        raise ValueError(f"region {region.name}: the network asks for {asked}, the code does {written}")


def _sources(graph: Any, tensor: int) -> set[int]:
    """Every tensor that this one is made from."""
    maker = {int(out): step for step in graph.operators for out in step.outputs}
    found: set[int] = set()
    open_ends = [tensor]
    while open_ends:
        step = maker.get(open_ends.pop())
        fresh = set() if step is None else {int(index) for index in step.inputs} - found
        found |= fresh
        open_ends += fresh
    return found


def cut(model: Any, inputs: list[int], outputs: list[int]) -> bytes:
    """The part of a network between these tensors, as a network of its own."""
    graph = model.subgraphs[0]
    maker = {int(out): index for index, step in enumerate(graph.operators) for out in step.outputs}
    needed: set[int] = set()
    open_ends = [*outputs]
    while open_ends:
        tensor = int(open_ends.pop())
        index = maker.get(tensor)
        if tensor not in inputs and index is not None and index not in needed:
            needed.add(index)
            open_ends += list(graph.operators[index].inputs)
    steps = [copy.copy(graph.operators[index]) for index in sorted(needed)]
    kept = sorted({int(t) for step in steps for t in (*step.inputs, *step.outputs) if t >= 0} | {*inputs})
    place = {tensor: index for index, tensor in enumerate(kept)} | {-1: -1}
    codes = sorted({step.opcodeIndex for step in steps})
    for step in steps:
        step.opcodeIndex = codes.index(step.opcodeIndex)
        step.inputs = np.array([place[int(t)] for t in step.inputs], np.int32)
        step.outputs = np.array([place[int(t)] for t in step.outputs], np.int32)

    part, sub = schema.ModelT(), schema.SubGraphT()
    part.version, part.description = model.version, model.description
    part.operatorCodes = [model.operatorCodes[index] for index in codes]
    # The first buffer stands for "no values".
    part.buffers, sub.tensors, sub.operators = [schema.BufferT()], [], steps
    for tensor in kept:
        fresh = copy.copy(graph.tensors[tensor])
        values = model.buffers[fresh.buffer]
        fresh.buffer = 0
        if values.data is not None and len(values.data):
            fresh.buffer = len(part.buffers)
            part.buffers.append(values)
        sub.tensors.append(fresh)
    sub.inputs = np.array([place[int(t)] for t in inputs], np.int32)
    sub.outputs = np.array([place[int(t)] for t in outputs], np.int32)
    part.subgraphs = [sub]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(part.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    main()
