"""The pass over all pictures of a clip: the chosen face is tracked, cuts are found, faces are counted.

Pictures come as YUV 4:2:0 planes of the canvas, one by one, and landmarks leave in canvas pixels, so memory does not
grow with the clip. A large face is tracked on the canvas at half its size. Every `Settings.check_every` frames the
detector looks again: a track that lies on no detected face is dropped and found anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tkbench.crops import align
from tkbench.media import Cut
from tkbench.prep import backends, track
from tkbench.prep.plan import Settings
from tkbench.types import Array, UInt8


@dataclass(slots=True)
class Tracked:
    """What the main pass over a clip found."""

    found: Array
    """(T,) bool: the face was tracked."""
    starts: Array
    """(T,) bool: a new shot begins."""
    frames: int
    face_height: float
    """Median height of the landmarks' box, canvas pixels; 0 without a face."""
    n_faces: int
    left_canvas: bool
    """The face touched the rim of a canvas that could lie elsewhere."""
    messages: list[str]
    """What the decoder said about damage."""


class Follower:
    """Follows the chosen face through the pictures of a canvas, in order."""

    def __init__(self, face: track.ChosenFace | None, cut: Cut, settings: Settings) -> None:
        import cv2

        self._cv2 = cv2
        self._settings = settings
        self._info = backends.info(settings.backend)
        self._backend = backends.shared(settings.backend)
        self._backend.restart()
        self._n_faces_seen = face.n_faces if face is not None else 0
        self._window = track.window_of(face, cut)
        self._scale = 2 if track.tracked_at_half_size(face, cut, enough=self._info.enough) else 1
        self._cuts, self._jumps = track.CutDetector(), track.JumpDetector()
        self._counts: list[int] = []
        self._heights: list[float] = []
        self._n_outside = 0
        width, height = cut.out_width // self._scale, cut.out_height // self._scale
        self._stride = max(1, min(width, height) // 64)
        self._small = np.empty((height * 3 // 2, width), np.uint8)
        self._pictures = np.empty((self._info.batch, height, width, 3), np.uint8)
        self._waiting = 0
        self._rim = np.array([cut.out_width, cut.out_height], np.float32) - np.float32(0.5)
        self.found: list[bool] = []
        self.starts: list[bool] = []

    def step(self, planes: UInt8) -> Iterator[Array | None]:
        """The next picture, (H * 3 // 2, W) YUV 4:2:0 -> landmarks (N, 2) float32 in canvas pixels, or None,
        of every picture that is done by now: backends that take several at once lag behind.
        """
        if self._scale == 2:
            planes = self._halve(planes)
        # Every fourth pixel or so is enough to detect a cut, at a tenth of the cost.
        thin = np.ascontiguousarray(planes[: len(planes) * 2 // 3 : self._stride, :: self._stride])
        start = self._cuts.is_cut(self._cv2.resize(thin, (32, 32), interpolation=self._cv2.INTER_AREA))
        if start:
            yield from self.drain()
            self._backend.restart()
            self._jumps.forget()
        self.starts.append(start)
        # Tracking only: the colours that scores see are made by `media.read_video`.
        self._cv2.cvtColor(planes, self._cv2.COLOR_YUV2RGB_I420, dst=self._pictures[self._waiting])
        self._waiting += 1
        if self._waiting == self._info.batch:
            yield from self.drain()

    def drain(self) -> Iterator[Array | None]:
        """Landmarks of the pictures that wait for the backend."""
        pictures, self._waiting = self._pictures[: self._waiting], 0
        if not len(pictures):
            return
        for picture, landmarks in zip(pictures, self._track(pictures), strict=True):
            yield self._judge(picture, landmarks)

    def _judge(self, picture: UInt8, landmarks: Array | None) -> Array | None:
        """Accept the landmarks of a picture or not, and collect what they say of the clip."""
        index = len(self.found)
        if index % self._settings.check_every == 0:
            landmarks = self._check(picture, landmarks)
        if landmarks is not None:
            box = align.boxes_of(landmarks[None])[0]
            if self._is_outside(landmarks, box):
                landmarks = None
            else:
                self.starts[index] |= self._jumps.is_jump(box)
                self._heights.append(float(box[3] - box[1]))
        self.found.append(landmarks is not None)
        return landmarks

    def _halve(self, planes: UInt8) -> UInt8:
        """Brightness and both colour planes by 2 x 2 means."""
        cv2 = self._cv2
        h, w = self._pictures.shape[1:3]
        cv2.resize(planes[: 2 * h], (w, h), dst=self._small[:h], interpolation=cv2.INTER_AREA)
        colour = planes[2 * h :].reshape(2, h, w)
        for source, target in zip(colour, self._small[h:].reshape(2, h // 2, w // 2), strict=True):
            cv2.resize(source, (w // 2, h // 2), dst=target, interpolation=cv2.INTER_AREA)
        return self._small

    def _track(self, pictures: UInt8) -> list[Array | None]:
        """Landmarks on the canvas; the pictures may be half of it."""
        scale = self._scale
        if self._window is None:
            origin = (0, 0)
            found = self._backend.track(list(pictures))
        else:
            x0, y0, x1, y1 = (side // scale for side in self._window)
            found = self._backend.track([np.ascontiguousarray(part) for part in pictures[:, y0:y1, x0:x1]])
            origin = (x0, y0)
        if scale == 1 and origin == (0, 0):
            return list(found)
        # Pixel x of the half picture has its centre at 2 x + 0.5.
        shift = np.array(origin, np.float32) * np.float32(scale) + np.float32((scale - 1) / 2)
        return [None if points is None else points * np.float32(scale) + shift for points in found]

    def _is_outside(self, landmarks: Array, box: Array) -> bool:
        """True for a face of which a quarter lies outside the canvas, or that has no size."""
        if min(box[2] - box[0], box[3] - box[1]) < 4:
            return True
        if box[0] >= -0.5 and box[1] >= -0.5 and box[2] <= self._rim[0] and box[3] <= self._rim[1]:
            return False
        share = float(((landmarks < -0.5) | (landmarks > self._rim)).any(axis=1).mean())
        if share > 0.02:
            self._n_outside += 1
        return share > 0.25

    def _check(self, picture: UInt8, landmarks: Array | None) -> Array | None:
        """Count the faces, and let go of a track that lies on none of them."""
        boxes = self._backend.detect(picture)[:, :4] * np.float32(self._scale)
        self._counts.append(len(boxes))
        if landmarks is None or not len(boxes):
            return landmarks
        centre = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2
        sides = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1)
        off = np.linalg.norm((boxes[:, :2] + boxes[:, 2:4]) / 2 - centre, axis=1)
        if (off < 0.75 * sides).any():
            return landmarks
        self._backend.restart()
        return None

    def finish(self, *, movable: bool, messages: list[str]) -> Tracked:
        """The clip as a whole. movable: the canvas could have been laid elsewhere."""
        return Tracked(
            found=np.array(self.found, bool),
            starts=np.array(self.starts, bool),
            frames=len(self.found),
            face_height=float(np.median(self._heights)) if self._heights else 0.0,
            n_faces=max(self._n_faces_seen, track.count_faces(self._counts)),
            left_canvas=movable and self._n_outside > 0,
            messages=messages,
        )
