"""Write face_mesh.npz: what the runtime of the mediapipe wheel makes of the pictures of `tests/support/faces.py`.

    pip install "mediapipe<0.10.22" ai-edge-litert
    PYTHONPATH=tests python tests/prep/golden/make_face_mesh.py

- points (6, 2, 478) and scores (6,): Face Mesh with attention on `mesh_crops`, by the wheel's own TFLite.
- plain_points (6, 2, 468) and plain_scores (6,): the network without refinement.
- matrices (6, 3, 2, 3) and features (6, 3, 16, 16, 4): what the wheel's steps between trunk and branches give;
  every 8th of the 32 channels.
- track (20, 478, 2), nan without a face: the tracker mediapipe-wheel on `moving_face`, which is the default tracker
  as it was with the wheel.
- near and far (5,): the detection in the first picture of `moving_face`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from support.faces import mesh_crops, moving_face

from tkbench.prep import backends
from tkbench.prep.backends.wheel import mediapipe
from tkbench.prep.backends.wheel_mesh import WheelMesh, attention_network, network_graph

TARGET = Path(__file__).with_name("face_mesh.npz")
CHANNELS = slice(None, None, 8)


def steps_in_between(network: bytes) -> bytes:
    """The network with other outputs: the matrices of the three regions, then their features."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(network, 0))
    graph = model.subgraphs[0]
    names = {index: code.customCode for index, code in enumerate(model.operatorCodes)}
    graph.outputs = [
        int(step.outputs[0])
        for kind in (b"Landmarks2TransformMatrix", b"TransformTensorBilinear")
        for step in graph.operators
        if names[step.opcodeIndex] == kind
    ]
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(network))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def main() -> None:
    """Ask the wheel, and write its answers."""
    crops = mesh_crops()
    mesh = WheelMesh()
    answers = [mesh(crop) for crop in crops]
    plain = network_graph(
        (Path(mediapipe().__file__).parent / "modules/face_landmark/face_landmark.tflite").read_bytes(), 2
    )
    plain_answers = [plain.run(crop) for crop in crops]
    between = network_graph(steps_in_between(attention_network()), 6)
    steps = [between.run(crop) for crop in crops]
    tracker = backends.open_backend("mediapipe-wheel")
    pictures = moving_face()
    nothing = np.full((478, 2), np.nan, np.float32)
    track = [nothing if points is None else points for points in tracker.track(pictures)]
    np.savez_compressed(
        TARGET,
        points=np.array([points for points, _ in answers]),
        scores=np.array([score for _, score in answers], np.float32),
        plain_points=np.array([found[0] for found in plain_answers], np.float32)
        .reshape(-1, 468, 3)[..., :2]
        .swapaxes(1, 2),
        plain_scores=np.array([found[1][0] for found in plain_answers], np.float32),
        matrices=np.array([found[:3] for found in steps], np.float32).reshape(-1, 3, 4, 4)[
            :, :, :2, [0, 1, 3]
        ],
        features=np.array([found[3:] for found in steps], np.float32).reshape(-1, 3, 16, 16, 32)[
            ..., CHANNELS
        ],
        track=np.array(track),
        near=tracker.detect(pictures[0])[0],
        far=tracker.detect(pictures[0], far=True)[0],
    )
    for graph in (mesh, plain, between, tracker):
        graph.close()
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
