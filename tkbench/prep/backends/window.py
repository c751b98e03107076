"""The window through which Face Mesh looks at a picture, and the pixels that it sees there.

Two things are rounded here, so that a track does not depend on the machine and on versions of libraries.

The window itself. It hangs on the points of the frame before, and those differ between two processors, or two
versions of a library, by some 1e-5 pixel. A window that moves by so little shows a few pixels that are rounded the
other way, which moves the points by a hundredth of a pixel, and so the next window: after some frames two exact
windows are as far apart as any two (0.02 pixel in the median, 0.5 at the 99.9th percentile, of 192 pixels). Rounded
to an eighth of a pixel the windows of both are the same, and their points differ by those 1e-5 pixel, frame after
frame. The price is a window up to a sixteenth of a pixel beside MediaPipe's, which moves the points by 0.04 pixel in
the median and 0.65 at the 99.9th percentile: hardly more than one exact window differs from another.

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

from tkbench.types import Array, Float32, Float64, UInt8

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
        from_middle = points - np.float32(SIDE / 2)
        out = from_middle * np.float32(self.right)
        out += from_middle[::-1] * np.array([[-self.down], [self.down]], np.float32)
        out += np.array([[self.x], [self.y]], np.float32)
        return out


class WindowView:
    """What is seen through windows, in memory that is used again and again."""

    def __init__(self) -> None:
        self._count = np.arange(SIDE, dtype=np.float64)
        self._at = np.empty((2, SIDE, SIDE), np.float32)
        self._whole = np.empty((SIDE, SIDE, 2), np.int16)
        self._part = np.empty((SIDE, SIDE), np.uint16)
        self._seen = np.empty((SIDE, SIDE, 3), np.uint8)

    def look(self, picture: UInt8, window: Window) -> UInt8:
        """The pixels (192, 192, 3) that the window shows of a picture (H, W, 3); the edge goes on beyond it.

        Each call overwrites what the last one returned.
        """
        right, down, half = window.right * _FINE, window.down * _FINE, SIDE / 2
        start = [[window.x * _FINE - half * (right - down)], [window.y * _FINE - half * (right + down)]]
        # x and y, in fine steps, of the first row's pixels, and of the first column's; all others are their sums.
        columns = np.rint(np.multiply([[right], [down]], self._count))
        rows = np.rint(np.multiply([[-down], [right]], self._count) + start)
        # OpenCV adds half a step of its grid and cuts off; `convertMaps` rounds. So half a fine step is added here.
        rows += 0.5
        rows /= _FINE
        columns /= _FINE
        np.add(rows.astype(np.float32)[:, :, None], columns.astype(np.float32)[:, None], out=self._at)
        return _look_up(picture, self._at, (self._whole, self._part), self._seen, cv2.BORDER_REPLICATE)


def letterbox(picture: UInt8, side: int) -> UInt8:
    """A whole picture (H, W, 3) in a black square of this side, its longer side as long as the square's."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    steps: Float64 = np.arange(side) * (longer / side)
    at = np.empty((2, side, side), np.float32)
    at[0] = steps + (width - longer) / 2
    at[1] = (steps + (height - longer) / 2)[:, None]
    whole, part = np.empty((side, side, 2), np.int16), np.empty((side, side), np.uint16)
    seen = np.empty((side, side, 3), np.uint8)
    return _look_up(picture, at, (whole, part), seen, cv2.BORDER_CONSTANT)


def _look_up(picture: UInt8, at: Float32, grid: tuple[Array, Array], out: UInt8, border: int) -> UInt8:
    """Bilinear, on OpenCV's grid of 1/32 pixel. at: x and y of each pixel (2, H, W); grid and out: memory to use."""
    cv2.convertMaps(at[0], at[1], cv2.CV_16SC2, *grid)
    cv2.remap(picture, *grid, cv2.INTER_LINEAR, dst=out, borderMode=border)
    return out
