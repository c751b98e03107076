"""Frames from parameters: one head, its mouth, eyes, place and light -> RGB pictures.

Each frame is drawn backwards: head motion maps each output pixel to a canvas point, the two layers of the mouth
map that point to the texture, and the texture is sampled once per layer. The fields are computed once per clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.synth import mesh
from tkbench.synth.identity import Head
from tkbench.synth.mouth import MAX_GAP, Fields, Frame, Pose, inside, layer_map, smoothstep
from tkbench.types import Array, Float32

BROW_LIFT = 2.2
"""Canvas units that a full lift of the brows moves them up."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Position and rotation of the head in one frame, in canvas units and radians; lids and brows from 0 to 1."""

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

    def __init__(
        self, head: Head, background: Float32, *, size: int = 256, tone: Float32 | None = None
    ) -> None:
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
        self.seam_floor = cy + (MAX_GAP * 1.15 + 0.4) * w
        self.seam_table = self.frame.line(np.arange(mesh.CANVAS * 4) / 4).astype(np.float32)
        self.eye_floor = float(head.landmarks[mesh.LEFT_EYE_LOWER + mesh.RIGHT_EYE_LOWER, 1].max()) + 2
        margin = (mesh.CANVAS - 256) / 2
        step = 256 / size
        axis = (np.arange(size, dtype=np.float32) + 0.5) * step - 0.5 + margin
        self.points = np.stack(np.meshgrid(axis, axis), -1)
        self.pivot = np.array([head.landmarks[152, 0], chin + 18], np.float32)
        self.weight = smoothstep(chin + 75, chin + 2, self.points[..., 1]).astype(np.float32)[..., None]
        self.weight = 0.12 + 0.88 * self.weight
        xy = self.points.reshape(-1, 2) - self.pivot
        depth = cv2.remap(head.depth, np.ascontiguousarray(self.points), None, cv2.INTER_LINEAR).reshape(
            -1, 1
        )
        weight = self.weight.reshape(-1, 1)
        # Head motion is linear in these: one small product per frame gives every pixel its place.
        lift = np.zeros((size * size, 1))
        for brow in (mesh.LEFT_BROW, mesh.RIGHT_BROW):
            centre = head.landmarks[brow, :2].mean(0)
            away = (self.points.reshape(-1, 2) - centre) / [24.0, 8.0]
            # Glasses stay where they are.
            lift[:, 0] += np.exp(-(away**2).sum(1)) * (0.2 if head.glasses else 1.0)
        moves = np.hstack([xy * weight, weight, depth * weight, lift]).astype(np.float32)
        self.moves = np.ascontiguousarray(moves.reshape(size, size, 5))
        self.texture = np.ascontiguousarray(np.dstack([head.texture, head.alpha]))
        self.lids = [
            self._lid(*eye)
            for eye in (
                (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER),
                (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER),
            )
        ]
        self.lid_colours = [self._lid_colour(lower) for _, lower in self.lids]

    def _lid(self, upper: list[int], lower: list[int]) -> tuple[Float32, Float32]:
        lm = self.head.landmarks
        return lm[upper, :2].astype(np.float32), lm[lower, :2].astype(np.float32)

    def _placed(self, motion: Motion) -> Float32:
        """Canvas point of each output pixel: the inverse of the head's motion, which fades towards the shoulders."""
        cos, sin = np.cos(motion.roll) / motion.scale, np.sin(motion.roll) / motion.scale
        tx, ty = -cos * motion.x - sin * motion.y, sin * motion.x - cos * motion.y
        rows = [
            [cos - 1, -sin],
            [sin, cos - 1],
            [tx, ty],
            [-motion.yaw, -motion.pitch],
            [0.0, BROW_LIFT * motion.brow],
        ]
        # Not a BLAS product: its rounding may depend on the number of threads.
        return self.points + cv2.transform(self.moves, np.array(rows, np.float32).T)

    def _lid_colour(self, lower: Float32) -> Float32:
        """Colour of the skin just below an eye, (3,) RGB: nearly that of the lids, without lashes or glasses."""
        at = (lower[2:-2] + np.array([0.0, 4.5], np.float32)) * np.float32(mesh.TEXTURE_SCALE)
        skin = cv2.remap(self.head.texture, at[None], None, cv2.INTER_LINEAR)[0]
        return np.median(skin, axis=0).astype(np.float32)

    def _blink(self, q: Float32, closed: float) -> tuple[Float32, Float32]:
        """Draw the upper lids down over the eyes, in place.

        Returns what is painted over them afterwards, at each pixel: colour (size, size, 3) and opacity
        (size, size, 1), skin first and lashes in it.
        """
        colour = np.zeros((*q.shape[:2], 3), np.float32)
        opacity = np.zeros((*q.shape[:2], 1), np.float32)
        room = 2.6 if self.head.glasses else 3.8  # skin above the lashes, clear of brows and frames
        for (upper, lower), skin in zip(self.lids, self.lid_colours, strict=True):
            left, right, level = upper[0, 0], upper[-1, 0], upper[4, 1]
            r, c = _span(q, (left, level - 16, right, level + 16))
            x, y = q[r, c, 0], q[r, c, 1]
            # Neither line may cross the other, and both end in the corners of the eye.
            lid = np.interp(x, upper[:, 0], upper[:, 1])
            floor = np.maximum(np.interp(x, lower[:, 0], lower[:, 1]), lid)
            eye = ((x > left) & (x < right)).astype(np.float32)
            edge = lid + closed * (floor - lid)
            top = lid - room
            t = np.clip((y - top) / np.maximum(edge - top, 1e-3), 0, 1)
            stretched = top + t * (room - 0.45 * room * smoothstep(0.0, 0.5, edge - lid))
            q[r, c, 1] = np.where((t > 0) & (t < 1) & (eye > 0), stretched, y)
            open_part = smoothstep(0.0, 2.5, floor - lid)
            cover = (
                smoothstep(lid - 1.5, lid + 0.8, y) * smoothstep(edge + 0.5, edge - 0.5, y) * open_part * eye
            )
            lash = np.exp(-(((y - edge) / 1.1) ** 2)) * smoothstep(0.1, 0.6, closed * np.ones_like(x)) * eye
            # A lid is a ball: lighter in the middle of its height, darker under the brow.
            tone = 0.86 + 0.10 * smoothstep(0.0, 0.6, t) - 0.58 * lash
            paint = np.maximum(0.8 * cover, 0.85 * lash * open_part)
            colour[r, c] = np.where(paint[..., None] > 0.01, skin * tone[..., None], colour[r, c])
            opacity[r, c, 0] = np.maximum(opacity[r, c, 0], paint)
        return colour, opacity

    def __call__(self, pose: Pose, motion: Motion) -> Float32:
        """One frame, (size, size, 3) float32 RGB 0-255, before camera effects."""
        q = self._placed(motion)
        x0, y0, _, _ = self.window
        r, c = _span(q, self.window)
        part = np.ascontiguousarray(q[r, c])
        low = layer_map(part, self.fields.lower, pose.coefficients, (x0, y0))
        # Points above the seam follow the upper lip; below it, the two layers differ and the lower one is used.
        upper_rows = int(np.flatnonzero((part[..., 1] < self.seam_floor).any(1))[-1]) + 1
        up = layer_map(
            np.ascontiguousarray(part[:upper_rows]), self.fields.upper, pose.coefficients, (x0, y0)
        )
        lids = self._blink(q, motion.blink) if motion.blink > 0.02 else None
        rest = low.copy()
        above = part[:upper_rows, :, 1] <= self._seam_at(part[:upper_rows, :, 0])
        rest[:upper_rows][above] = up[above]
        q[r, c] = np.where(self._outside_eyes(part), rest, q[r, c])
        q *= np.float32(mesh.TEXTURE_SCALE)
        picture = cv2.remap(self.texture, q, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture = picture.astype(np.float32)
        rgb, alpha = picture[..., :3], picture[..., 3:] * np.float32(1 / 255)
        if lids is not None:
            rgb += lids[1] * (lids[0] - rgb)
        self._mouth(rgb[r, c], part[:upper_rows], low[:upper_rows], up, pose)
        return self.background + alpha * (rgb - self.background)

    def _seam_at(self, x: Float32) -> Float32:
        """Y of the seam at canvas x, from a table."""
        index = np.clip(x * 4 + 0.5, 0, len(self.seam_table) - 1).astype(np.int32)
        return self.seam_table[index]

    def _outside_eyes(self, part: Float32) -> Array:
        """True where the window of the mouth may overwrite: below the eyes."""
        return part[..., 1:] > self.eye_floor

    def _mouth(self, rgb: Float32, q: Float32, low: Float32, up: Float32, pose: Pose) -> None:
        """Compose inside, lower lip and upper lip around the seam, in place; the maps cover the top rows of
        `rgb`.
        """
        w = self.frame.half
        cx, cy = self.frame.centre, float(self.frame.seam[5, 1])
        box = (cx - 1.35 * w, cy - 0.85 * w, cx + 1.35 * w, cy + (MAX_GAP * 1.15 + 0.35) * w)
        i, j = _span(q, box)
        q, low, up = (np.ascontiguousarray(m[i, j]) for m in (q, low, up))
        shift = np.array(self.window[:2], np.float32)

        def layer(at: Float32, mask: Float32) -> tuple[Float32, Float32]:
            colour = cv2.remap(self.texture, at * np.float32(mesh.TEXTURE_SCALE), None, cv2.INTER_LINEAR)
            owned = cv2.remap(mask, at - shift, None, cv2.INTER_LINEAR)
            return colour[..., :3].astype(np.float32), owned[..., None]

        upper, upper_alpha = layer(up, self.fields.upper_alpha)
        lower, lower_alpha = layer(low, self.fields.lower_alpha)
        if pose.gap > 0.004 or pose.tuck > 0.05:
            out, teeth = inside(q, self.frame, pose, self.tone)
            # f, v: the lower lip lies behind the edge of the upper teeth, by a pixel or so.
            v = (q[..., 1] - self._seam_at(q[..., 0])) / w
            lip = pose.gap - pose.up - 0.09 * pose.tuck
            front = (
                teeth * smoothstep(lip + 0.085, lip + 0.03, v) * smoothstep(0.3, 0.9, np.float64(pose.tuck))
            )
            front = front[..., None].astype(np.float32)
            enamel = out.copy()
            out += lower_alpha * (lower - out)
            out += front * (enamel - out)
        else:
            out = lower
        rgb[i, j] = out + upper_alpha * (upper - out)


def _span(q: Float32, box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of the pixels whose canvas points q (h, w, 2) lie in the box."""
    x0, y0, x1, y1 = box
    near = (q[..., 0] > x0) & (q[..., 0] < x1) & (q[..., 1] > y0) & (q[..., 1] < y1)
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
