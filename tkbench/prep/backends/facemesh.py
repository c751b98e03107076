"""MediaPipe's Face Mesh as a tracker: its networks, and the window that follows a face from frame to frame.

Face Mesh does not look for the face in every frame. It looks at a window, a turned square 1.5 times as large as
the face's box, and the window of the next frame is where the points of this one are. Only in the first frame, and
where the face was lost, face detection says where to begin. The networks run in LiteRT on the thread that asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import numpy as np

from tkbench.prep.backends.detection import FaceDetector, rows_of, shared_detector
from tkbench.prep.backends.mesh_network import MeshNetwork, Refined, open_mesh_network
from tkbench.prep.backends.window import Window, WindowView
from tkbench.types import Float32, UInt8

_EYES = (33, 263)
"""Outer corners of the eyes in the mesh: the window turns with them."""


class MeshTracker:
    """Face Mesh over the frames of one shot, in order: 468 points, or 478 with refined lips, eyes and irises.

    refined: "all", "lips" (468 points, less work) or "none". It follows one face from frame to frame and looks
    for a new one only where it lost it. network: what finds the points instead of the networks of the package;
    near and far: what finds faces instead of the package's detectors; rounded: round the windows, see `window`.

    On synthetic clips with known lip opening (16 people, 256 x 256), the gap of the inner lips follows the
    truth with a correlation of 0.93 refined and 0.87 plain, and lips that touch are 0.5 % and 3.5 % of the
    eyes' distance apart.
    """

    def __init__(
        self,
        *,
        refined: Refined = "all",
        network: MeshNetwork | None = None,
        near: FaceDetector | None = None,
        far: FaceDetector | None = None,
        rounded: bool = True,
    ) -> None:
        self._network = network or open_mesh_network(refined)
        self._near, self._far = near, far
        self._rounded = rounded
        self._view = WindowView()
        self._window: Window | None = None

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
            faces = self._detector(far=far).faces(picture)
            if faces:
                found = self._follow(picture, Window.around(faces[0].box, *faces[0].eyes))
                if found is not None:
                    return found
        return None

    def _follow(self, picture: UInt8, window: Window) -> Float32 | None:
        """The landmarks in a window, which then moves along with them; None, and no window, where there is no face."""
        if self._rounded:
            window = window.rounded()
        points, score = self._network(self._view.look(picture, window))
        if score <= 0:  # less likely a face than not
            self._window = None
            return None
        points = window.to_picture(points)
        x, y = points[:, _EYES].tolist()
        box = (*points.min(axis=1).tolist(), *points.max(axis=1).tolist())
        self._window = Window.around(box, x[0], y[0], x[1], y[1])
        # MediaPipe's unit square has its corners on the picture's corners; pixel centres lie half a pixel
        # inside.
        points -= np.float32(0.5)
        return np.ascontiguousarray(points.T)

    def detect(self, picture: UInt8, *, far: bool = False) -> Float32:
        """Every face of a single picture, see `Backend.detect`."""
        return rows_of(self._detector(far=far).faces(picture))

    def _detector(self, *, far: bool) -> FaceDetector:
        return (self._far if far else self._near) or shared_detector(far)

    def close(self) -> None:
        """Free the network; safe to call twice."""
        self._network.close()

    def __enter__(self) -> MeshTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
