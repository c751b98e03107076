"""Where a head turns, from landmarks: pitch, yaw and roll in degrees, and where the face lies in the picture.

Eighteen points that speech does not move (brow ridge, bridge of the nose, corners of the eyes, sides of the face) are
laid on those of MediaPipe's canonical face model by a pinhole camera whose focal length is the width of the picture
(cv2.solvePnP). It is an estimate without a network: yaw and pitch come from the face's perspective alone, and a focal
length that is not that of the camera scales them. Another estimator comes through the entry-point group
`tkbench.head_pose` (see `PoseNetwork`).
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from tkbench.registry import Registry
from tkbench.types import Array, Float64, UInt8

# canonical_face_model.obj of MediaPipe (Apache-2.0), centimetres: x to the right of the picture, y up, z to the viewer.
RIGID: dict[int, tuple[float, float, float]] = {
    6: (0.0, 2.473255, 5.788627),
    8: (0.0, 4.019042, 5.284764),
    9: (0.0, 4.885979, 5.385258),
    10: (0.0, 8.261778, 4.481535),
    151: (0.0, 6.545390, 5.027311),
    168: (0.0, 3.271027, 5.236015),
    195: (0.0, 1.059413, 6.774605),
    197: (0.0, 1.728369, 6.316750),
    4: (0.0, -0.463170, 7.586580),
    5: (0.0, 0.365669, 7.242870),
    33: (-4.445859, 2.663991, 3.173422),
    133: (-1.856432, 2.585245, 3.757904),
    263: (4.445859, 2.663991, 3.173422),
    362: (1.856432, 2.585245, 3.757904),
    127: (-7.743095, 2.364999, -2.005167),
    356: (7.743095, 2.364999, -2.005167),
    234: (-7.664182, 0.673132, -2.435867),
    454: (7.664182, 0.673132, -2.435867),
}
"""Points of Face Mesh."""


class PoseNetwork(Protocol):
    """A head pose estimator of another package: a function with a hash beside it."""

    sha256: str
    """Of its weights; it is part of the signature."""

    def __call__(self, video: UInt8, /) -> Array:
        """(T, H, W, 3) uint8 RGB -> (T, 5): pitch, yaw, roll in degrees, x, y of the face's box centre in pixels.

        A frame without a face is a row of nan.
        """
        ...


pose_networks: Registry[PoseNetwork] = Registry("head pose network", "tkbench.head_pose")


def head_pose(landmarks: Array, width: int, height: int) -> Float64:
    """(T, 478, 2) pixels of a picture -> (T, 5): pitch, yaw, roll in degrees, x, y of the centre of the face's box.

    All angles are 0 for a face that looks into the camera. Pitch grows upwards, yaw to the right of the picture, roll
    clockwise in the picture.
    """
    points = np.asarray(landmarks, np.float64)
    # The model in the camera's axes: y down, z away from the viewer.
    model = np.array(list(RIGID.values())) * (1.0, -1.0, -1.0)
    camera = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float64)
    out = np.empty((len(points), 5))
    rotation, shift = np.zeros((3, 1)), np.array([[0.0], [0.0], [60.0]])
    for row, frame in zip(out, points[:, list(RIGID)], strict=True):
        _, rotation, shift = cv2.solvePnP(
            model,
            np.ascontiguousarray(frame),
            camera,
            None,
            rotation.copy(),
            shift.copy(),
            True,
            cv2.SOLVEPNP_ITERATIVE,
        )
        row[:3] = angles(np.asarray(cv2.Rodrigues(rotation)[0], np.float64))
    out[:, 3:] = (points.min(axis=1) + points.max(axis=1)) / 2
    return out


def angles(matrix: Float64) -> tuple[float, float, float]:
    """(pitch, yaw, roll) in degrees of a rotation (3, 3) in the camera's axes: yaw is turned first, then pitch, roll.

    >>> [abs(x) for x in angles(np.eye(3))]
    [0.0, 0.0, 0.0]
    """
    yaw = np.arctan2(-matrix[2, 0], np.hypot(matrix[0, 0], matrix[1, 0]))
    roll = np.arctan2(matrix[1, 0], matrix[0, 0])
    pitch = np.arctan2(matrix[2, 1], matrix[2, 2])
    # A turn about x lowers the nose, one about y moves it to the left: their signs are changed.
    return float(np.degrees(-pitch)), float(np.degrees(-yaw)), float(np.degrees(roll))
