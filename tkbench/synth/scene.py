"""Everything but the face: backgrounds, light, camera, and the movement of heads and eyes. All drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.synth.mouth import smoothstep
from tkbench.synth.render import Motion
from tkbench.types import Float32, Float64, UInt8


def background(rng: np.random.Generator, size: int) -> Float32:
    """(size, size, 3) float32 0-255: a blurred room, wall, window or studio backdrop."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    kind = int(rng.integers(5))
    hue = rng.uniform(0, 180)
    base = _colour(hue, rng.uniform(15, 110), rng.uniform(80, 210))
    other = _colour((hue + rng.uniform(-30, 60)) % 180, rng.uniform(15, 110), rng.uniform(50, 220))
    if kind == 0:  # studio backdrop: a soft spot of light
        cx, cy = rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.6)
        t = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(2, 5))
        picture = other * 0.6 + t[..., None] * (base - other * 0.6)
    elif kind == 1:  # wall with a gradient
        t = np.clip(x * np.cos(a := rng.uniform(0, 6.28)) + y * np.sin(a), -1, 1) * 0.5 + 0.5
        picture = base + t[..., None] * (other - base) * 0.5
    elif kind == 2:  # shelves and boxes out of focus
        picture = np.tile(base * 0.5, (size, size, 1)).astype(np.float32)
        for _ in range(40):
            w, h = rng.uniform(0.03, 0.16), rng.uniform(0.08, 0.3)
            x0, y0 = rng.uniform(-0.1, 1), int(rng.integers(4)) / 4 + 0.22
            colour = _colour(rng.uniform(0, 180), rng.uniform(20, 130), rng.uniform(40, 220))
            picture[(x > x0) & (x < x0 + w) & (y < y0) & (y > y0 - h)] = colour
    elif kind == 3:  # lights at night
        picture = np.tile(base * 0.2, (size, size, 1)).astype(np.float32)
        for _ in range(25):
            r = rng.uniform(0.02, 0.07)
            disc = smoothstep(r, r * 0.85, np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1)))
            picture += disc[..., None] * _colour(
                rng.uniform(0, 180), rng.uniform(30, 160), rng.uniform(60, 200)
            )
    else:  # a window and its curtain
        picture = base * (0.75 + 0.12 * np.sin(x * rng.uniform(30, 70)))[..., None] + 0 * y[..., None]
        x0 = rng.uniform(0, 0.7)
        pane = (x > x0) & (x < x0 + 0.35) & (y < 0.7)
        picture = np.where(pane[..., None], np.array([225, 235, 245], np.float32), picture)
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), size * rng.uniform(0.012, 0.03))
    return np.clip(blurred, 0, 245).astype(np.float32)


def _colour(hue: float, saturation: float, value: float) -> Float32:
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """Light and lens of one clip."""

    gain: Float32
    """(size, size, 3) light that falls on the picture."""
    sway: float
    """How much the light rises and falls over the clip."""
    period: float
    noise: Float32
    """(2 size, 2 size) grey levels."""
    blur: float

    def __call__(self, frame: Float32, time: float, rng: np.random.Generator) -> UInt8:
        """Light, blur and noise on one frame, (size, size, 3) float32 0-255."""
        out = frame * (self.gain * np.float32(1 + self.sway * np.sin(time / self.period)))
        if self.blur > 0.3:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        # One large field of noise, cut at a new place for each frame.
        size = out.shape[0]
        y, x = rng.integers(0, self.noise.shape[0] - size, 2)
        out += self.noise[y : y + size, x : x + size, None]
        return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def camera(rng: np.random.Generator, size: int) -> Camera:
    """A light from a side, warm or cold, with a little noise."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle = rng.uniform(-np.pi, np.pi)
    slope = rng.uniform(0.0, 0.5) * (x * np.cos(angle) + 0.6 * y * np.sin(angle))
    warm = rng.normal() * 0.045
    tint = np.array([1 + warm, 1.0, 1 - warm])
    gain = (rng.uniform(0.86, 1.08) + slope)[..., None] * tint
    return Camera(
        gain.astype(np.float32), float(rng.uniform(0, 0.03)), float(rng.uniform(0.4, 1.5)),
        rng.standard_normal((2 * size, 2 * size), np.float32) * np.float32(rng.uniform(0.5, 2.2)),
        float(rng.uniform(0.0, 0.6)),
    )  # fmt: skip


def _drift(rng: np.random.Generator, times: Float64, scale: float, slowest: float = 3.0) -> Float64:
    """A smooth random movement: the sum of three waves, standard deviation `scale`."""
    total = np.zeros(len(times))
    for k, weight in enumerate((1.0, 0.5, 0.25)):
        period = slowest / (k + 1) * rng.uniform(0.7, 1.3)
        total += weight * np.sin(2 * np.pi * times / period + rng.uniform(0, 2 * np.pi))
    return total * scale / 0.81


def motions(rng: np.random.Generator, times: Float64, stress: Float64 | None = None) -> list[Motion]:
    """Head, lids and brows at each time (n,). `stress` (n,) 0-1 adds small nods and brow lifts."""
    beat = np.zeros(len(times)) if stress is None else stress
    x, y = _drift(rng, times, 2.2), _drift(rng, times, 1.6) + 1.6 * beat
    x0, y0 = rng.uniform(-8, 8), rng.uniform(-5, 5)
    roll, scale = _drift(rng, times, 0.018) + rng.normal() * 0.02, 1 + _drift(rng, times, 0.006, 5.0)
    size = rng.uniform(0.95, 1.05)
    yaw, pitch = _drift(rng, times, 0.055, 4.0) + rng.normal() * 0.04, _drift(rng, times, 0.035) + 0.03 * beat
    lids = _blinks(rng, times)
    return [
        Motion(x0 + x[i], y0 + y[i], roll[i], size * scale[i], yaw[i], pitch[i], lids[i], float(beat[i]))
        for i in range(len(times))
    ]


def _blinks(rng: np.random.Generator, times: Float64) -> Float64:
    """Lids 0-1: a blink every 2-6 s, down in 80 ms, up in 150 ms."""
    lids = np.zeros(len(times))
    at = float(times[0]) + rng.uniform(0.3, 3.0) if len(times) else 0.0
    while len(times) and at < times[-1]:
        t = times - at
        lids = np.maximum(lids, smoothstep(-0.09, -0.01, t) * smoothstep(0.19, 0.04, t))
        at += rng.uniform(2.0, 6.0)
    return lids
