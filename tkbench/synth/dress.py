"""Clothes: a body drawn below the photographed head, with folds and shading."""

from __future__ import annotations

import cv2
import numpy as np

from tkbench.synth import mesh
from tkbench.synth.features import grid, polygon, stack
from tkbench.synth.mouth import smoothstep
from tkbench.types import Float32, Float64

NECK = 40.0
"""Half the width of a neck, canvas units."""


def head_only(alpha: Float32, landmarks: Float64) -> Float32:
    """The matte without the photographed body, which must not show beside the neck or above the new shoulders."""
    size = alpha.shape[0]
    x, y = grid(size)
    chin = landmarks[152, :2]
    jaw = polygon(size, landmarks[mesh.OVAL, :2], 1.2)
    beside = smoothstep(NECK - 1, NECK + 2, np.abs(x - chin[0])) * (1 - smoothstep(0.02, 0.3, jaw))
    return (alpha * (1 - smoothstep(chin[1] - 44, chin[1] - 38, y) * beside)).astype(np.float32)


def dress(
    rgb: Float32, alpha: Float32, landmarks: Float64, colour: tuple[int, int, int], collar: str
) -> tuple[Float32, Float32]:
    """Replace what the photograph shows below the neck: shoulders in `colour` with a crew, turtle, shirt or
    jacket collar.

    rgb (size, size, 3) 0-255 and alpha (size, size) 0-1, both float32, at texture resolution.
    """
    size = rgb.shape[0]
    x, y = grid(size)
    centre = float(landmarks[152, 0])
    chin = float(landmarks[152, 1])
    dx = x - centre
    side = np.abs(dx)
    neck = NECK
    # Shoulder line: from the neck, out and down, round at the ends.
    shoulder = chin + 4 + 26 * smoothstep(neck - 6, 78, side) + 22 * smoothstep(70, 150, side)
    shoulder += 60 * smoothstep(130, 165, side)
    opening = chin + 11 - 10 * smoothstep(16, neck + 4, side)
    top = np.where(side < neck + 2, opening, shoulder)
    top = cv2.GaussianBlur(top.astype(np.float32), (0, 0), 2.0)
    cloth = np.clip((y - top) * 1.2 + 0.5, 0, 1)
    rng = np.random.default_rng(int(sum(colour)) + len(collar))
    folds = cv2.resize(rng.standard_normal((14, 12), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    weave = rng.standard_normal((size, size), np.float32)
    shade = 0.92 - 0.25 * smoothstep(40, 160, side) + 0.06 * folds + 0.02 * weave
    shade *= 0.55 + 0.45 * smoothstep(0, 22, y - top)  # the head's shadow
    body = np.array(colour, np.float32) * shade[..., None]
    low = y - top
    if collar == "turtle":
        rim = smoothstep(15, 13, low) * smoothstep(neck + 6, neck + 2, side)
        body *= 1 + 0.10 * (rim * np.sin(dx * 2.2))[..., None]
        body *= (
            1 - 0.25 * (np.exp(-(((low - 15) / 1.6) ** 2)) * smoothstep(neck + 8, neck + 2, side))[..., None]
        )
    elif collar in ("shirt", "jacket"):
        # A white shirt in a V, its two collar flaps, and (jacket) lapels beside it.
        inside_v = smoothstep(0.8, -0.8, side - (30 - 0.42 * low if collar == "jacket" else 6 - 0.05 * low))
        white = np.array([228, 230, 233], np.float32) * np.clip(shade * 1.05, 0.5, 1.0)[..., None]
        if collar == "jacket":
            body += inside_v[..., None] * (white - body)
            edge = np.exp(-(((side - (30 - 0.42 * low)) / 1.0) ** 2))
            body *= 1 - 0.35 * (edge * smoothstep(75, 60, low))[..., None]
            lapel = np.exp(-(((side - (46 - 0.40 * low)) / 0.9) ** 2)) * smoothstep(4, 10, low)
            body *= 1 - 0.25 * lapel[..., None]
        else:
            body *= 1 - 0.22 * np.exp(-((dx / 0.9) ** 2))[..., None]
            for button in (24, 44):
                spot = np.exp(-((dx - 2) ** 2 + (low - button) ** 2) / 2.0)
                body += (spot * 0.5)[..., None] * (230 - body)
            white = np.array(colour, np.float32) * np.clip(shade * 1.18, 0, 1.25)[..., None]
        tip = 7 + 0.36 * low
        flap = (
            smoothstep(0.8, -0.8, low - 17)
            * smoothstep(-0.8, 0.8, side - tip)
            * smoothstep(neck + 9, neck + 7, side)
        )
        body += flap[..., None] * (white - body)
        rim = flap * np.exp(-(((low - 16.4) / 1.0) ** 2)) + flap * np.exp(-(((side - tip) / 1.0) ** 2))
        body *= 1 - 0.30 * np.clip(rim, 0, 1)[..., None]
    else:
        rim = smoothstep(5.5, 4.5, low) * smoothstep(neck + 8, neck + 3, side)
        body *= 1 - 0.18 * rim[..., None]
    return stack(rgb, alpha, np.clip(body, 0, 255), cloth)
