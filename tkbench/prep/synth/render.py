"""Frames from parameters: one head, its mouth, eyes, place and light -> RGB pictures.

The work per frame is a few dense look-ups: head motion gives each output pixel a canvas point, the mouth's two layers give
that point a place in the texture, and the texture is sampled once per layer. Fields are computed once per clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.prep.synth import mesh
from tkbench.prep.synth.identity import Head
from tkbench.prep.synth.mouth import MAX_GAP, Fields, Frame, Pose, inside, layer_map, smoothstep
from tkbench.types import Float32, UInt8


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the head is in one frame: canvas units, radians, and 0-1 for the lids."""

    x: float = 0.0
    y: float = 0.0
    roll: float = 0.0
    scale: float = 1.0
    yaw: float = 0.0
    pitch: float = 0.0
    blink: float = 0.0
    brow: float = 0.0


class Renderer:
    """Draws one head at `size` x `size`."""

    def __init__(self, head: Head, background: UInt8, *, size: int = 256, tone: Float32 | None = None) -> None:
        self.head = head
        self.background = background
        self.size = size
        self.tone = np.ones(3, np.float32) if tone is None else tone
        chin = float(head.landmarks[152, 1])
        self.frame = Frame.of(head.seam, chin)
        cx, cy = self.frame.centre, float(head.seam[5, 1])
        w = self.frame.half
        self.window = (
            max(0, int(cx - 3.4 * w)), max(0, int(cy - 2.0 * w)),
            min(mesh.CANVAS, int(cx + 3.4 * w)), min(mesh.CANVAS, int(chin + 2.4 * w)),
        )  # fmt: skip
        self.fields = Fields(self.frame, self.window)
        margin = (mesh.CANVAS - 256) / 2
        step = 256 / size
        axis = (np.arange(size, dtype=np.float32) + 0.5) * step - 0.5 + margin
        self.points = np.stack(np.meshgrid(axis, axis), -1)
        self.pivot = np.array([head.landmarks[152, 0], chin + 18], np.float32)
        self.weight = smoothstep(chin + 75, chin + 2, self.points[..., 1]).astype(np.float32)[..., None]
        self.weight = 0.12 + 0.88 * self.weight
        ys = np.ascontiguousarray(self.points[..., 1])
        xs = np.ascontiguousarray(self.points[..., 0])
        self.depth = cv2.remap(head.depth, xs, ys, cv2.INTER_LINEAR)
        self.lids = [self._lid(*eye) for eye in ((mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER), (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER))]

    def _lid(self, upper: list[int], lower: list[int]) -> tuple[Float32, Float32]:
        lm = self.head.landmarks
        return lm[upper, :2].astype(np.float32), lm[lower, :2].astype(np.float32)

    def _placed(self, motion: Motion) -> Float32:
        """Canvas point of each output pixel: the inverse of the head's motion, fading out towards the shoulders."""
        cos, sin = np.cos(motion.roll) / motion.scale, np.sin(motion.roll) / motion.scale
        x = self.points[..., 0] - self.pivot[0] - motion.x
        y = self.points[..., 1] - self.pivot[1] - motion.y
        q = np.empty_like(self.points)
        q[..., 0] = cos * x + sin * y + self.pivot[0] - motion.yaw * self.depth
        q[..., 1] = -sin * x + cos * y + self.pivot[1] - motion.pitch * self.depth
        return self.points + self.weight * (q - self.points)

    def _blink(self, q: Float32, closed: float) -> None:
        """Draw the upper lids down over the eyes, in place."""
        for upper, lower in self.lids:
            left, right = upper[0, 0], upper[-1, 0]
            inside_x = (q[..., 0] > left) & (q[..., 0] < right)
            near = inside_x & (np.abs(q[..., 1] - upper[4, 1]) < 24)
            rows, columns = np.nonzero(near)
            x, y = q[rows, columns, 0], q[rows, columns, 1]
            lid = np.interp(x, upper[:, 0], upper[:, 1])
            floor = np.interp(x, lower[:, 0], lower[:, 1])
            edge = lid + closed * (floor - lid)
            top = lid - 7.0
            t = (y - top) / np.maximum(edge - top, 1e-3)
            source = np.where((t > 0) & (t < 1), top + t * (lid - 0.5 - top), y)
            q[rows, columns, 1] = source

    def __call__(self, pose: Pose, motion: Motion) -> UInt8:
        """One frame, (size, size, 3) uint8 RGB, before camera effects."""
        scale = np.float32(mesh.TEXTURE_SCALE)
        q = self._placed(motion)
        x0, y0, x1, y1 = self.window
        near = (q[..., 0] > x0) & (q[..., 0] < x1) & (q[..., 1] > y0) & (q[..., 1] < y1)
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        r = slice(int(rows[0]), int(rows[-1]) + 1)
        c = slice(int(columns[0]), int(columns[-1]) + 1)
        part = np.ascontiguousarray(q[r, c])
        low = layer_map(part, self.fields.lower, self.pose_coefficients(pose), (x0, y0))
        up = layer_map(part, self.fields.upper, self.pose_coefficients(pose), (x0, y0))
        if motion.blink > 0.02:
            self._blink(q, motion.blink)
        # The whole picture through the lower layer, then the mouth on top.
        q[r, c] = np.where((part[..., 1] > self.frame.line(part[..., 0]))[..., None], low, up)
        at = q * scale + np.float32((scale - 1) / 2 * 0)
        rgb = cv2.remap(self.head.texture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.remap(self.head.alpha, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._mouth(rgb, part, r, c, low, up, pose)
        a = alpha[..., None].astype(np.float32) / 255
        out = self.background + a * (rgb.astype(np.float32) - self.background)
        return (out + 0.5).astype(np.uint8)

    @staticmethod
    def pose_coefficients(pose: Pose) -> Float32:
        return pose.coefficients

    def _mouth(self, rgb: UInt8, q: Float32, r: slice, c: slice, low: Float32, up: Float32, pose: Pose) -> None:
        """Compose inside, lower lip and upper lip around the seam, in place."""
        w = self.frame.half
        u = (q[..., 0] - self.frame.centre) / w
        v = (q[..., 1] - self.frame.line(q[..., 0])) / w
        near = (np.abs(u) < 1.3) & (v > -0.75) & (v < MAX_GAP + 0.4)
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        i = slice(int(rows[0]), int(rows[-1]) + 1)
        j = slice(int(columns[0]), int(columns[-1]) + 1)
        q, low, up = q[i, j], np.ascontiguousarray(low[i, j]), np.ascontiguousarray(up[i, j])
        shift = np.array(self.window[:2], np.float32)

        def layer(at: Float32, mask: Float32) -> tuple[Float32, Float32]:
            t = at * np.float32(mesh.TEXTURE_SCALE)
            colour = cv2.remap(self.head.texture, t[..., 0], t[..., 1], cv2.INTER_LINEAR).astype(np.float32)
            local = at - shift
            return colour, cv2.remap(mask, local[..., 0], local[..., 1], cv2.INTER_LINEAR)[..., None]

        upper, upper_alpha = layer(up, self.fields.upper_alpha)
        lower, lower_alpha = layer(low, self.fields.lower_alpha)
        if pose.gap > 0.004 or pose.tuck > 0.05:
            out, teeth = inside(q, self.frame, pose, self.tone)
            front = teeth[..., None] * np.float32(smoothstep(0.3, 0.9, np.float64(pose.tuck)))
            enamel = out.copy()
            out += lower_alpha * (lower - out)
            out += front * (enamel - out)
        else:
            out = lower
        out = out + upper_alpha * (upper - out)
        target = rgb[r, c]
        target[i, j] = np.clip(out + 0.5, 0, 255).astype(np.uint8)
