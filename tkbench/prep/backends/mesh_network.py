"""The networks of Face Mesh: a picture of 192 x 192 pixels -> the points of the face in it, and its score.

Two networks can do it. The plain one gives 468 points. The one with attention refines the lips, the points around
both eyes, and both irises, each by a branch of its own that looks at the features of that region once more, and
gives 478 points with the irises last. It comes in two files, so that the eyes can be left out; the second one takes
what the first one answers. Each point has a depth too, which is left out. `scripts/make_face_mesh.py` made the files
from those of the mediapipe wheel.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from tkbench.prep.backends.litert import Network
from tkbench.types import Float32, UInt8

Refined = Literal["all", "lips", "none"]
N_MESH = 468
"""Points without the irises."""


class MeshNetwork(Protocol):
    """What finds the points of the face in one picture."""

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """(192, 192, 3) RGB -> points (2, N) float32, x and y in its pixels from its corner, and the score: the
        log of the odds that there is a face.
        """

    def close(self) -> None:
        """Free the networks; safe to call twice."""


def open_mesh_network(refined: Refined) -> MeshNetwork:
    """The network that refines everything, the lips alone, or nothing."""
    return PlainMesh() if refined == "none" else AttentionMesh(lips_only=refined == "lips")


class PlainMesh:
    """Face Mesh without refinement; see `MeshNetwork`."""

    def __init__(self) -> None:
        self._network: Network | None = Network("face-mesh-plain", scale=1 / 255)

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """Points (2, 468) and the score."""
        if self._network is None:
            raise ValueError("this network was closed")
        mesh, score = self._network.run(picture)
        return np.ascontiguousarray(mesh.reshape(N_MESH, 3)[:, :2].T), float(score.flat[0])

    def close(self) -> None:
        """Free the network; safe to call twice."""
        self._network = None


class AttentionMesh:
    """Face Mesh with attention; see `MeshNetwork`. lips_only: refine the lips alone, and give 468 points."""

    def __init__(self, *, lips_only: bool = False) -> None:
        self._lips: Network | None = Network("face-mesh-lips", scale=1 / 255)
        self._eyes = None if lips_only else Network("face-mesh-eyes")

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """Points (2, 468) or (2, 478), and the score."""
        if self._lips is None:
            raise ValueError("this network was closed")
        answer, features = self._lips.run(picture)
        if self._eyes is not None:
            (answer,) = self._eyes.run(features, answer)
        return answer[0, :-1].reshape(2, -1), float(answer[0, -1])

    def close(self) -> None:
        """Free the networks; safe to call twice."""
        self._lips = self._eyes = None
