"""The networks of Face Mesh: a picture of 192 x 192 pixels -> the points of the face in it, and its score.

Two networks can do it. The plain one gives 468 points. The one with attention refines the lips, the points around
both eyes, and both irises, each by a branch of its own, and gives 478 points with the irises last. Each point has
a depth too, which is left out. They are the networks of the mediapipe wheel (see `tkbench/assets/face_mesh`).
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from tkbench.prep.backends.attention import (
    PIXELS_PER_CELL,
    REGIONS,
    RegionFinder,
    place_points,
    region_features,
)
from tkbench.prep.backends.litert import Network
from tkbench.types import Float32, UInt8

Refined = Literal["all", "lips", "none"]
N_MESH = 468
"""Points without the irises."""
_TO_UNIT = np.float32(1 / 255)


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
        self._network: Network | None = Network("face-mesh-plain")

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """Points (2, 468) and the score."""
        if self._network is None:
            raise ValueError("this network was closed")
        np.multiply(picture, _TO_UNIT, out=self._network.input()[0])
        mesh, score = self._network.run()
        return mesh.reshape(N_MESH, 3)[:, :2].T.copy(), float(score.flat[0])

    def close(self) -> None:
        """Free the network; safe to call twice."""
        self._network = None


class AttentionMesh:
    """Face Mesh with attention; see `MeshNetwork`. lips_only: refine the lips alone, and give 468 points."""

    def __init__(self, *, lips_only: bool = False) -> None:
        self._regions = REGIONS[:1] if lips_only else REGIONS
        self._n_points = N_MESH + sum(len(region.iris) for region in self._regions)
        self._finder = RegionFinder(self._regions)
        self._trunk: Network | None = Network("face-mesh-trunk")
        self._branches = [Network(f"face-mesh-{region.name.replace('_', '-')}") for region in self._regions]

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """Points (2, 468) or (2, 478), and the score."""
        if self._trunk is None:
            raise ValueError("this network was closed")
        np.multiply(picture, _TO_UNIT, out=self._trunk.input()[0])
        mesh, score, features = self._trunk.run()
        points = np.empty((2, self._n_points), np.float32)
        points[:, :N_MESH] = mesh.reshape(N_MESH, 3)[:, :2].T
        matrices = self._finder.region_matrices(points[:, :N_MESH].T * np.float32(1 / PIXELS_PER_CELL))
        found = region_features(features[0], matrices)
        for region, branch, matrix, part in zip(self._regions, self._branches, matrices, found, strict=True):
            branch.input()[0] = part
            for places, refined in zip((region.points, region.iris), branch.run(), strict=False):
                points[:, places] = place_points(refined.reshape(-1, 2), matrix)
        return points, float(score.flat[0])

    def close(self) -> None:
        """Free the networks; safe to call twice."""
        self._trunk, self._branches = None, []
