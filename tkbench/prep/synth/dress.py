"""Clothes: a body drawn below the photographed head, with folds and shading."""

from __future__ import annotations

import cv2
import numpy as np

from tkbench.prep.synth import mesh
from tkbench.prep.synth.mouth import smoothstep
from tkbench.types import Float64, UInt8


def dress(
    rgb: UInt8, alpha: UInt8, landmarks: Float64, colour: tuple[int, int, int], collar: str, template: str
) -> tuple[UInt8, UInt8]:
    """Replace what the photograph shows below the neck: shoulders in `colour` with a crew, turtle or shirt collar."""
    size = rgb.shape[0]
    y, x = (np.mgrid[0:size, 0:size] / mesh.TEXTURE_SCALE).astype(np.float32)
    centre = float(landmarks[152, 0])
    chin = float(landmarks[152, 1])
    dx = x - centre
    side = np.abs(dx)
    neck = 40.0
    # Shoulder line: from the neck, out and down, round at the ends.
    shoulder = chin + 4 + 26 * smoothstep(neck - 6, 78, side) + 22 * smoothstep(70, 150, side) + 60 * smoothstep(130, 165, side)
    opening = chin + 9 + 2.0 - 10 * smoothstep(16, neck + 4, side)
    top = np.where(side < neck + 2, np.maximum(opening, 0), shoulder)
    top = cv2.GaussianBlur(top.astype(np.float32), (0, 0), 2.0)
    cloth = np.clip((y - top) * 1.2 + 0.5, 0, 1)
    rng = np.random.default_rng(int(sum(colour)) + len(collar))
    folds = cv2.resize(rng.normal(size=(14, 12)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    weave = rng.normal(size=(size, size)).astype(np.float32)
    shade = 0.92 - 0.25 * smoothstep(40, 160, side) + 0.07 * folds + 0.02 * weave
    shade *= 0.55 + 0.45 * smoothstep(0, 22, y - top)  # the head's shadow
    base = np.array(colour, np.float32)
    body = base * shade[..., None]
    if collar == "turtle":
        rim = smoothstep(16, 14, y - top) * smoothstep(neck + 6, neck + 2, side)
        body *= 1 + 0.12 * (rim * np.sin(x * 2.4))[..., None]
    elif collar == "shirt":
        inner = smoothstep(1.5, 0, np.abs(dx) - 0.62 * np.maximum(y - top - 1, 0) * smoothstep(40, 0, y - chin - 12))
        flap = smoothstep(0, 1.5, 22 - (y - top) - 0.25 * side) * smoothstep(neck + 10, neck + 6, side)
        body += (flap * 0.35)[..., None] * (235 * np.maximum(shade, 0.6)[..., None] - body)
        body *= 1 - 0.25 * (inner * smoothstep(60, 30, y - chin))[..., None]
    else:
        rim = smoothstep(5.5, 4.5, y - top) * smoothstep(neck + 8, neck + 3, side)
        body *= 1 - 0.18 * rim[..., None]
    # The photographed body goes: nothing of it may show beside the neck or above the new shoulders.
    reach = neck - 1 if template == "astronaut" else neck + 2
    below = smoothstep(chin - 28, chin - 24, y) * smoothstep(reach, reach + 3, side)
    person = alpha.astype(np.float32) / 255 * (1 - below)
    out = rgb * (1 - cloth[..., None]) + body * cloth[..., None]
    matte = np.maximum(person, cloth)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8), (np.clip(matte, 0, 1) * 255).astype(np.uint8)
