"""Write the networks of `tkbench/assets/face_mesh` from the wheel of mediapipe 0.10.21.

    pip download --no-deps --python-version 3.11 --only-binary=:all: mediapipe==0.10.21
    python scripts/make_face_mesh.py mediapipe-0.10.21-*.whl

Three of the wheel's four networks are copied as they are. The fourth, Face Mesh with attention (Grishchenko et al.,
"Attention Mesh: High-fidelity Face Mesh Prediction in Real-time", 2020), has a trunk, which makes a mesh of 468
points and a map of features, and a branch for the lips and for each eye, which looks at the features around the
mesh's points once more and answers with finer points. Between trunk and branches lie 11 steps of 3 kinds that only
MediaPipe's own runtime knows. Here they are put in terms of the steps that every TFLite knows; what each does was
read in google-ai-edge/mediapipe@85c0cdc, mediapipe/util/tflite/operations:

- `landmarks_to_transform_matrix.cc`, version 2: a rectangle around the points of a region (`find_regions`),
- `transform_tensor_bilinear.cc`, version 2: the features in it, between cells and 0 outside (`look_up`),
- `transform_landmarks.cc`, version 2: a branch's points, placed in the picture (`place`).

In the wheel a dozen further calculators bring the answers together, point by point. Here the networks do that
too: the first one, trunk and lips, gives 468 points, x before y, and the score; the second one, both eyes, takes
the features and that answer, and gives 478 points and the score. No weight is changed.

Raises ValueError for a wheel with other networks. Needs ai-edge-litert, whose schema of the file format it uses.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

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
CHOOSE, TAKE, PLACE = b"Landmarks2TransformMatrix", b"TransformTensorBilinear", b"TransformLandmarks"
"""MediaPipe's own steps: points -> matrix of a region, matrix and features -> the region's features, and matrix and
points of the region -> points of the picture."""
N_MESH, N_IRIS = 468, 5
MAP_SIDE, REGION_SIDE, MARGIN = 48, 16, 1.5
"""Cells of the feature map and of a region, each way, and the region's side over that of the box of its points."""
PER_CELL = 4
"""Pixels of the picture to a cell of the map, and of what a branch answers to a cell of its region."""
FLOAT, INT, BOOL = schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.BOOL


@dataclass(frozen=True)
class Branch:
    """One branch as it lies in the original network."""

    corners: tuple[int, int]
    """Points of the mesh that lie level in the region, the left one in the picture first."""
    points: tuple[int, ...]
    """Points of the mesh that the region goes around, and that the branch refines."""
    start: int
    """Tensor of the region's features."""
    ends: tuple[int, ...]
    """Tensors of the refined points, and of the iris where the branch adds one: x, y, x, y, ... in the region."""


# -- building a network --------------------------------------------------------------------------------------


class Part:
    """A network that is put together from parts of another one and from new steps, in the order of their making."""

    def __init__(self, description: str) -> None:
        self.model: Any = schema.ModelT()
        self.graph: Any = schema.SubGraphT()
        self.model.version, self.model.description = 3, description
        # The first buffer stands for "no values".
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.model.subgraphs = [self.graph]
        self.graph.tensors, self.graph.operators = [], []
        self._codes: dict[tuple[int, int], int] = {}

    def tensor(self, shape: Sequence[int], kind: int = FLOAT, name: str = "", buffer: int = 0) -> int:
        """A new tensor."""
        fresh = schema.TensorT()
        fresh.shape, fresh.type, fresh.buffer = np.array(shape, np.int32), kind, buffer
        fresh.name = name or f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(fresh)
        return len(self.graph.tensors) - 1

    def constant(self, values: npt.ArrayLike, kind: int = FLOAT) -> int:
        """A new tensor with values."""
        array = np.asarray(values, {FLOAT: "<f4", INT: "<i4"}[kind])
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self.tensor(array.shape, kind, buffer=len(self.model.buffers) - 1)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(int(length) for length in self.graph.tensors[tensor].shape)

    def step(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        """A new step, by the name of the operator."""
        step = schema.OperatorT()
        step.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind), 1)
        step.inputs, step.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options is not None:
            step.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            step.builtinOptions = options
        self.graph.operators.append(step)

    def _code(self, builtin: int, version: int) -> int:
        if (builtin, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = builtin
            code.version = version
            self._codes[builtin, version] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        return self._codes[builtin, version]

    def pack(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def graft(self, source: Any, starts: Mapping[int, int], ends: Sequence[int]) -> list[int]:
        """Take over the steps of another network that make `ends`. starts: its tensors -> those to use here."""
        graph = source.subgraphs[0]
        here = dict(starts)
        kept_buffers: dict[int, int] = {}

        def tensor_of(old: int) -> int:
            if old not in here:
                fresh = copy.copy(graph.tensors[old])
                values = source.buffers[fresh.buffer]
                if values.data is None or not len(values.data):
                    fresh.buffer = 0
                else:
                    if fresh.buffer not in kept_buffers:
                        kept_buffers[fresh.buffer] = len(self.model.buffers)
                        self.model.buffers.append(values)
                    fresh.buffer = kept_buffers[fresh.buffer]
                here[old] = len(self.graph.tensors)
                self.graph.tensors.append(fresh)
            return here[old]

        for step in steps_between(graph, starts, ends):
            code = source.operatorCodes[step.opcodeIndex]
            if code.customCode is not None:
                raise ValueError(f"a step of MediaPipe's own, {code.customCode!r}, is left")
            fresh = copy.copy(step)
            builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
            fresh.opcodeIndex = self._code(builtin, code.version)
            fresh.inputs = np.array([tensor_of(int(old)) for old in step.inputs], np.int32)
            fresh.outputs = np.array([tensor_of(int(old)) for old in step.outputs], np.int32)
            self.graph.operators.append(fresh)
        return [here[old] for old in ends]

    # One method per operator that the new steps need; each returns the tensor that it makes.

    def add(self, a: int, b: int) -> int:
        """A + b, the smaller one repeated."""
        return self._two("ADD", a, b, schema.AddOptionsT())

    def subtract(self, a: int, b: int) -> int:
        """A - b."""
        return self._two("SUB", a, b, schema.SubOptionsT())

    def multiply(self, a: int, b: int, name: str = "") -> int:
        """A * b."""
        return self._two("MUL", a, b, schema.MulOptionsT(), name=name)

    def larger(self, a: int, b: int) -> int:
        """The larger of each two."""
        return self._two("MAXIMUM", a, b, schema.MaximumMinimumOptionsT())

    def smaller(self, a: int, b: int) -> int:
        """The smaller of each two."""
        return self._two("MINIMUM", a, b, schema.MaximumMinimumOptionsT())

    def equal(self, a: int, b: int) -> int:
        """Whether each two are the same."""
        return self._two("EQUAL", a, b, schema.EqualOptionsT(), BOOL)

    def _two(self, kind: str, a: int, b: int, options: Any, out: int = FLOAT, name: str = "") -> int:
        found = self.tensor(np.broadcast_shapes(self.shape(a), self.shape(b)), out, name)
        self.step(kind, [a, b], [found], options)
        return found

    def floor(self, a: int) -> int:
        """The next whole number below."""
        found = self.tensor(self.shape(a))
        self.step("FLOOR", [a], [found])
        return found

    def inverse_root(self, a: int) -> int:
        """1 / sqrt(a)."""
        found = self.tensor(self.shape(a))
        self.step("RSQRT", [a], [found])
        return found

    def cast(self, a: int, kind: int) -> int:
        """The same values as another type."""
        found = self.tensor(self.shape(a), kind)
        options = schema.CastOptionsT()
        options.inDataType, options.outDataType = self.graph.tensors[a].type, kind
        self.step("CAST", [a], [found], options)
        return found

    def reduce(self, kind: str, a: int, axis: int) -> int:
        """SUM, REDUCE_MAX or REDUCE_MIN along an axis, which stays with length 1."""
        shape = list(self.shape(a))
        shape[axis] = 1
        found = self.tensor(shape)
        options = schema.ReducerOptionsT()
        options.keepDims = True
        self.step(kind, [a, self.constant([axis % len(shape)], INT)], [found], options)
        return found

    def gather(self, a: int, indices: int, axis: int = 0, name: str = "") -> int:
        """a[indices] along an axis."""
        shape = self.shape(a)
        found = self.tensor((*shape[:axis], *self.shape(indices), *shape[axis + 1 :]), FLOAT, name)
        options = schema.GatherOptionsT()
        options.axis = axis
        self.step("GATHER", [a, indices], [found], options)
        return found

    def join(self, parts: Sequence[int], axis: int) -> int:
        """Parts side by side."""
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        found = self.tensor(shape)
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        self.step("CONCATENATION", parts, [found], options)
        return found

    def split(self, a: int, axis: int, count: int) -> list[int]:
        """As many equal parts."""
        shape = list(self.shape(a))
        shape[axis] //= count
        found = [self.tensor(shape) for _ in range(count)]
        options = schema.SplitOptionsT()
        options.numSplits = count
        self.step("SPLIT", [self.constant(axis, INT), a], found, options)
        return found

    def reshape(self, a: int, shape: Sequence[int], name: str = "") -> int:
        """The same values in another shape."""
        found = self.tensor(shape, name=name)
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        self.step("RESHAPE", [a, self.constant(shape, INT)], [found], options)
        return found

    def product(self, a: int, b: int, *, turned: bool = False, name: str = "") -> int:
        """Matrix products of two stacks; turned: b's rows are its columns."""
        columns = self.shape(b)[-2 if turned else -1]
        found = self.tensor((*self.shape(a)[:-1], columns), FLOAT, name)
        options = schema.BatchMatMulOptionsT()
        options.adjX, options.adjY = False, turned
        self.step("BATCH_MATMUL", [a, b], [found], options)
        return found


def steps_between(graph: Any, starts: Mapping[int, int], ends: Sequence[int]) -> list[Any]:
    """The steps that make `ends` out of `starts` and constants, in the network's order."""
    maker = {int(out): index for index, step in enumerate(graph.operators) for out in step.outputs}
    needed: set[int] = set()
    open_ends = [int(end) for end in ends]
    while open_ends:
        tensor = open_ends.pop()
        index = maker.get(tensor)
        if tensor not in starts and index is not None and index not in needed:
            needed.add(index)
            open_ends += [int(source) for source in graph.operators[index].inputs]
    return [graph.operators[index] for index in sorted(needed)]


# -- MediaPipe's steps ---------------------------------------------------------------------------------------


def find_regions(part: Part, points: int, branches: Sequence[Branch], name: str) -> tuple[int, int]:
    """Where the regions lie in the feature map. points: tensor (N, 2), in cells of the map.

    Gives two tensors: (R, 2, 2), of which the columns say where one cell to the right and one down in a region go in
    the map, and (R, 1, 2), the middles. A region is level with its corners; it is the box of its points, enlarged.
    """
    most = max(len(branch.points) for branch in branches)
    # Filled up with a point that is in the region anyway, so that all rows are of one length.
    around = [branch.points + branch.points[:1] * (most - len(branch.points)) for branch in branches]
    left, right = (part.constant([branch.corners[k] for branch in branches], INT) for k in (0, 1))
    level = part.subtract(part.gather(points, right), part.gather(points, left))
    # Two corners in one place have no direction: then the region is upright. No other number is changed by so little.
    level = part.add(level, part.constant([1e-12, 0]))
    unit = part.multiply(level, part.inverse_root(part.reduce("SUM", part.multiply(level, level), 1)))
    # (c, s) -> ((c, -s), (s, c))
    turned = part.gather(unit, part.constant([0, 1, 1, 0], INT), axis=1)
    axes = part.reshape(part.multiply(turned, part.constant([1, -1, 1, 1])), (len(branches), 2, 2))
    along = part.product(part.gather(points, part.constant(around, INT)), axes)
    high, low = part.reduce("REDUCE_MAX", along, 1), part.reduce("REDUCE_MIN", along, 1)
    scale = part.multiply(part.subtract(high, low), part.constant(MARGIN / REGION_SIDE))
    middle = part.multiply(part.add(high, low), part.constant(0.5))
    return (
        part.multiply(axes, scale, name=f"{name}/axes"),
        part.product(middle, axes, turned=True, name=f"{name}/middles"),
    )


def look_up(part: Part, features: int, axes: int, middles: int, name: str) -> list[int]:
    """The features (1, 48, 48, C) in each region, (1, 16, 16, C) each: bilinear, and 0 outside of the map."""
    count, channels = part.shape(axes)[0], part.shape(features)[3]
    # A cell's middle lies half a cell inside of the region, and of the map.
    row, column = np.divmod(np.arange(REGION_SIDE**2), REGION_SIDE)
    cells = np.stack([column, row], axis=1) + 0.5 - REGION_SIDE / 2
    at = part.product(part.constant(np.tile(cells, (count, 1, 1))), axes, turned=True)
    at = part.add(at, part.subtract(middles, part.constant(0.5)))
    zero, one = part.constant(0.0), part.constant(1.0)
    held = part.smaller(part.larger(at, zero), part.constant(MAP_SIDE - 1.0))
    inside = part.reduce("REDUCE_MIN", part.cast(part.equal(held, at), FLOAT), 2)
    # The last cell is looked up as the right (lower) neighbour of the last but one.
    first = part.smaller(part.floor(held), part.constant(MAP_SIDE - 2.0))
    share = part.subtract(at, first)
    right, down = part.split(share, 2, 2)
    left, up = part.split(part.subtract(one, share), 2, 2)
    up, down = part.multiply(up, inside), part.multiply(down, inside)
    index = part.reduce("SUM", part.multiply(first, part.constant([1.0, MAP_SIDE])), 2)
    rows = part.reshape(features, (MAP_SIDE**2, channels))
    total = -1
    for step, across, along in (
        (0, left, up),
        (1, right, up),
        (MAP_SIDE, left, down),
        (MAP_SIDE + 1, right, down),
    ):
        cell = part.reshape(part.add(index, part.constant(float(step))), (count, REGION_SIDE**2))
        cell = part.cast(cell, INT)
        found = part.multiply(part.gather(rows, cell), part.multiply(across, along))
        total = found if total < 0 else part.add(total, found)
    regions = part.reshape(total, (count, REGION_SIDE, REGION_SIDE, channels), name=f"{name}/features")
    return part.split(regions, 0, count) if count > 1 else [regions]


def place(part: Part, points: int, axes: int, middle: int) -> int:
    """Points (1, N, 2) that a branch gives, in its pixels, -> in pixels of the picture."""
    from_middle = part.subtract(points, part.constant(PER_CELL * REGION_SIDE / 2))
    return part.add(
        part.product(from_middle, axes, turned=True), part.multiply(middle, part.constant(float(PER_CELL)))
    )


# -- the two networks ----------------------------------------------------------------------------------------


def read_branches(model: Any) -> tuple[int, list[Branch]]:
    """The tensor of the feature map, and the branches for the lips and both eyes."""
    graph = model.subgraphs[0]
    custom: dict[bytes, list[Any]] = {CHOOSE: [], TAKE: [], PLACE: []}
    for step in graph.operators:
        code = model.operatorCodes[step.opcodeIndex].customCode
        if code is not None:
            custom[code].append(step)
    (features,) = {int(step.inputs[0]) for step in custom[TAKE]}
    choosers = {int(step.outputs[0]): step for step in custom[CHOOSE]}
    branches = []
    for taken in custom[TAKE]:
        asked = flexbuffers.Loads(bytes(choosers[int(taken.inputs[1])].customOptions))
        known = {
            "output_height": REGION_SIDE,
            "output_width": REGION_SIDE,
            "scale_x": MARGIN,
            "scale_y": MARGIN,
        }
        known |= {"target_rotation_radians": 0.0}
        if {name: asked[name] for name in known} != known:
            raise ValueError(f"the network asks for a region by {asked}, known is {known}")
        start = int(taken.outputs[0])
        ends = [_unshaped(model, int(step.inputs[0])) for step in custom[PLACE]]
        branches.append(
            Branch(
                (asked["left_rotation_idx"], asked["right_rotation_idx"]),
                tuple(asked["subset_idxs"]),
                start,
                tuple(end for end in ends if start in _sources(graph, end)),
            )
        )
    return features, branches


def _unshaped(model: Any, tensor: int) -> int:
    """What was reshaped into this tensor."""
    (step,) = [step for step in model.subgraphs[0].operators if tensor in step.outputs]
    code = model.operatorCodes[step.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.RESHAPE:
        raise ValueError(f"tensor {tensor} is not made by a reshape")
    return int(step.inputs[0])


def _sources(graph: Any, tensor: int) -> set[int]:
    """Every tensor that this one is made from."""
    return {int(source) for step in steps_between(graph, {}, [tensor]) for source in step.inputs}


def mesh_and_lips(model: Any) -> bytes:
    """Picture (1, 192, 192, 3) in [0, 1] -> answer (1, 937): 468 x, 468 y, the score; and the features."""
    graph = model.subgraphs[0]
    features, (lips, *_) = read_branches(model)
    named = {graph.tensors[index].name: int(index) for index in graph.outputs}
    (sliced,) = [step for step in graph.operators if named[b"output_mesh_identity"] in step.outputs]
    part = Part("MediaPipe Face Mesh with attention: mesh and lips")
    picture = part.tensor((1, 192, 192, 3), name="picture")
    mesh, score, features = part.graft(
        model, {int(graph.inputs[0]): picture}, [int(sliced.inputs[0]), named[b"conv_faceflag"], features]
    )
    part.graph.tensors[features].name = "features"
    depths = part.reshape(mesh, (N_MESH, 3))
    flat = part.gather(depths, part.constant([0, 1], INT), axis=1)
    axes, middles = find_regions(part, part.multiply(flat, part.constant(1 / PER_CELL)), [lips], "lips")
    (start,) = look_up(part, features, axes, middles, "lips")
    (end,) = part.graft(model, {lips.start: start}, lips.ends)
    count = len(lips.points)
    refined = place(part, part.reshape(end, (1, count, 2)), axes, middles)
    everything = part.join(
        [
            part.reshape(flat, (1, 2 * N_MESH)),
            part.reshape(refined, (1, 2 * count)),
            part.reshape(score, (1, 1)),
        ],
        1,
    )
    x = 2 * np.arange(N_MESH)
    x[list(lips.points)] = 2 * (N_MESH + np.arange(count))
    order = [*x, *(x + 1), 2 * (N_MESH + count)]
    return part.pack([picture], [part.gather(everything, part.constant(order, INT), 1, "answer"), features])


def eyes_and_irises(model: Any) -> bytes:
    """Features and answer of `mesh_and_lips` -> answer (1, 957): 478 x, 478 y, the score."""
    source, (_, *eyes) = read_branches(model)
    part = Part("MediaPipe Face Mesh with attention: eyes and irises")
    features = part.tensor(model.subgraphs[0].tensors[source].shape, name="features")
    mesh = part.tensor((1, 2 * N_MESH + 1), name="mesh")
    # (x, y) of each point, of the answer that has all x before all y.
    pairs = np.stack([np.arange(N_MESH), N_MESH + np.arange(N_MESH)], axis=1)
    points = part.reshape(part.gather(mesh, part.constant(pairs, INT), axis=1), (N_MESH, 2))
    points = part.multiply(points, part.constant(1 / PER_CELL))
    axes, middles = find_regions(part, points, eyes, "eyes")
    starts = look_up(part, features, axes, middles, "eyes")
    refined = []
    for eye, start, own_axes, middle in zip(
        eyes, starts, part.split(axes, 0, len(eyes)), part.split(middles, 0, len(eyes)), strict=True
    ):
        ends = part.graft(model, {eye.start: start}, eye.ends)
        found = part.join([part.reshape(end, (1, part.shape(end)[-1] // 2, 2)) for end in ends], 1)
        placed = place(part, found, own_axes, middle)
        refined.append(part.reshape(placed, (1, 2 * part.shape(found)[1])))
    x, y = np.arange(N_MESH + N_IRIS * len(eyes)), N_MESH + np.arange(N_MESH + N_IRIS * len(eyes))
    start = 2 * N_MESH + 1
    for number, eye in enumerate(eyes):
        iris = N_MESH + N_IRIS * number + np.arange(N_IRIS)
        places = [*eye.points, *iris]
        x[places] = start + 2 * np.arange(len(places))
        y[places] = x[places] + 1
        start += 2 * len(places)
    order = part.constant([*x, *y, 2 * N_MESH], INT)
    answer = part.gather(part.join([mesh, *refined], 1), order, 1, "answer")
    return part.pack([features, mesh], [answer])


def _checked(wheel: zipfile.ZipFile, name: str, digest: str) -> bytes:
    data = wheel.read(name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{name} has another sha256 than that of mediapipe 0.10.21")
    return data


def main() -> None:
    """Read the wheel, write the networks and print their hashes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="mediapipe-0.10.21-*.whl")
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:
        found = {Path(name).name: _checked(wheel, name, digest) for name, digest in WHOLE.items()}
        data = _checked(wheel, ATTENTION, ATTENTION_SHA256)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    found["face_landmark_attention_lips.tflite"] = mesh_and_lips(model)
    found["face_landmark_attention_eyes.tflite"] = eyes_and_irises(model)
    OUT.mkdir(exist_ok=True)
    for name, content in found.items():
        (OUT / name).write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {len(content):>9}  {name}")


if __name__ == "__main__":
    main()
