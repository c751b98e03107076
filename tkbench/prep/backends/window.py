"""The window through which Face Mesh looks at a picture, and the pixels that it sees there.

Two things are rounded here, so that a track is the same on every machine.

The window itself. It hangs on the points of the frame before, and those differ between two processors, or two
versions of a library, by some 1e-5 pixel. A window that moves by so little shows a few pixels that are rounded the
other way, which moves the points by a hundredth of a pixel, and so the next window: after some frames two exact
windows are as far apart as any two (0.02 pixel in the median, 0.5 at the 99.9th percentile, of 192 pixels). Rounded
to an eighth of a pixel the windows of both are the same, and their points differ by those 1e-5 pixel, frame after
frame. The price is a window up to a sixteenth of a pixel beside MediaPipe's.

The pixels. OpenCV looks them up on a grid of 1/32 pixel. Where the window's pixels lie on it is worked out here, as
`cv2.warpAffine` and `cv2.warpPerspective` of OpenCV 4 do it (and so MediaPipe), and handed to `cv2.remap`: OpenCV 5
rounds a warp in another way, but looks a given grid up with the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from tkbench.types import Float32, Float64, UInt8

SIDE: Final = 192
"""Pixels of the picture that Face Mesh sees through a window, each way."""
_ROOM: Final = 1.5
"""Side of the window over the longer side of the face's box."""
_GRID: Final = 1 / 8
"""Pixels of what is seen, to which a window is rounded."""
_FINE: Final = 1024
"""Parts of a pixel in which OpenCV 4 adds up the two terms of an affine warp."""


@dataclass(frozen=True, slots=True)
class Window:
    """A turned square of a picture, of which the network sees `SIDE` x `SIDE` pixels."""

    x: float
    """Middle, in pixels of the picture."""
    y: float
    right: float
    """One pixel to the right in what is seen is this far to the right in the picture..."""
    down: float
    """... and this far down."""

    @classmethod
    def around(
        cls, box: tuple[float, float, float, float], x0: float, y0: float, x1: float, y1: float
    ) -> Window:
        """The window of a face with this box and these eyes, left and right as we see them."""
        side = _ROOM * max(box[2] - box[0], box[3] - box[1])
        apart = math.hypot(x1 - x0, y1 - y0) or 1.0
        scale = side / SIDE / apart
        return cls((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (x1 - x0) * scale, (y1 - y0) * scale)

    def rounded(self) -> Window:
        """The nearest window whose middle, size and turn are whole steps.

        A step moves what is seen by `_GRID` pixels: all of it, or, where the window grows or turns, its edges.
        """
        step = _GRID / (SIDE / 2)
        scale = math.exp(round(math.log(math.hypot(self.right, self.down)) / step) * step)
        turn = round(math.atan2(self.down, self.right) / step) * step
        grid = scale * _GRID
        return Window(
            round(self.x / grid) * grid,
            round(self.y / grid) * grid,
            scale * math.cos(turn),
            scale * math.sin(turn),
        )

    def to_picture(self, points: Float32) -> Float32:
        """Points (2, N), in pixels of what is seen from its corner, -> in pixels of the picture from its corner."""
        across, along = points - np.float32(SIDE / 2)
        out = np.empty_like(points)
        right, down = np.float32(self.right), np.float32(self.down)
        out[0] = across * right - along * down + np.float32(self.x)
        out[1] = across * down + along * right + np.float32(self.y)
        return out


class WindowView:
    """What is seen through windows, in memory that is used again and again."""

    def __init__(self) -> None:
        self._count = np.arange(SIDE, dtype=np.float64)
        self._x = np.empty((SIDE, SIDE), np.float32)
        self._y = np.empty((SIDE, SIDE), np.float32)
        self._whole = np.empty((SIDE, SIDE, 2), np.int16)
        self._part = np.empty((SIDE, SIDE), np.uint16)
        self._seen = np.empty((SIDE, SIDE, 3), np.uint8)

    def look(self, picture: UInt8, window: Window) -> UInt8:
        """The pixels (192, 192, 3) that the window shows of a picture (H, W, 3); the edge goes on beyond it.

        Each call overwrites what the last one returned.
        """
        right, down, half = window.right, window.down, SIDE / 2
        corner = (window.x - half * (right - down), window.y - half * (right + down))
        for grid, per_column, per_row, start in (
            (self._x, right, -down, corner[0]),
            (self._y, down, right, corner[1]),
        ):
            columns = np.rint(self._count * (per_column * _FINE)) / _FINE
            # OpenCV adds half a step of its grid and cuts off; `convertMaps` rounds. So half a fine step is added here.
            rows = (np.rint(self._count * (per_row * _FINE) + start * _FINE) + 0.5) / _FINE
            np.add(rows.astype(np.float32)[:, None], columns.astype(np.float32), out=grid)
        return _look_up(
            picture, (self._x, self._y), (self._whole, self._part), self._seen, cv2.BORDER_REPLICATE
        )


def letterbox(picture: UInt8, side: int) -> UInt8:
    """A whole picture (H, W, 3) in a black square of this side, its longer side as long as the square's."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    steps: Float64 = np.arange(side) * (longer / side)
    x = np.broadcast_to((steps + (width - longer) / 2).astype(np.float32), (side, side))
    y = np.broadcast_to((steps + (height - longer) / 2).astype(np.float32)[:, None], (side, side))
    whole, part = np.empty((side, side, 2), np.int16), np.empty((side, side), np.uint16)
    seen = np.empty((side, side, 3), np.uint8)
    return _look_up(picture, (x.copy(), y.copy()), (whole, part), seen, cv2.BORDER_CONSTANT)


def _look_up(
    picture: UInt8,
    at: tuple[Float32, Float32],
    grid: tuple[
        np.ndarray[tuple[int, ...], np.dtype[np.int16]], np.ndarray[tuple[int, ...], np.dtype[np.uint16]]
    ],
    out: UInt8,
    border: int,
) -> UInt8:
    """Bilinear, on OpenCV's grid of 1/32 pixel. at: x and y of each pixel; grid and out: memory to use."""
    cv2.convertMaps(*at, cv2.CV_16SC2, *grid)
    cv2.remap(picture, *grid, cv2.INTER_LINEAR, dst=out, borderMode=border)
    return out
