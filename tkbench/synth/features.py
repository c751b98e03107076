"""Brows, beards, glasses, freckles, hats and long hair, drawn on the texture.

All functions take and return float32 RGB 0-255 at texture resolution. Points are in canvas units.
"""

from __future__ import annotations

import cv2
import numpy as np

from tkbench.synth import mesh
from tkbench.synth.mouth import smoothstep
from tkbench.types import Float32, Float64

Colour = tuple[float, float, float]
SCALE = mesh.TEXTURE_SCALE


def rgb_of(lab: Colour) -> Float32:
    """L (0-100), a, b -> RGB 0-255."""
    pixel = np.array([[lab]], np.float32)
    return np.clip(cv2.cvtColor(pixel, cv2.COLOR_LAB2RGB)[0, 0] * 255, 0, 255)


def grid(size: int) -> tuple[Float32, Float32]:
    """Canvas x and y of every texture pixel."""
    y, x = (np.mgrid[0:size, 0:size] / SCALE).astype(np.float32)
    return x, y


def strands(seed: int, size: int, along: float, across: float, turn: bool = False) -> Float32:
    """Hair-like noise, standard deviation 1: long in y (or in x with `turn`), thin across."""
    noise = np.random.default_rng(seed).standard_normal((size, size), np.float32)
    sx, sy = (along, across) if turn else (across, along)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigmaX=sx, sigmaY=sy)
    return blurred / blurred.std()


def polygon(size: int, points: Float64, blur: float) -> Float32:
    """A filled polygon of canvas points as a soft mask (size, size) in 0-1."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(points * SCALE * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask, (0, 0), blur).astype(np.float32) / 255


def over(rgb: Float32, colour: Float32, alpha: Float32) -> Float32:
    """Paint `colour` with `alpha` (size, size) on top."""
    return rgb + alpha[..., None] * (colour - rgb)


def stack(rgb: Float32, alpha: Float32, colour: Float32, matte: Float32) -> tuple[Float32, Float32]:
    """Put a layer on a layer: colours are weighted by the visible share of each, so no coloured rim appears."""
    under = alpha * (1 - matte)
    total = under + matte
    share = (matte / np.maximum(total, 1e-4))[..., None]
    return (rgb + share * (colour - rgb)).astype(np.float32), total.astype(np.float32)


def brows(rgb: Float32, landmarks: Float64, hair: Float32, strength: float) -> Float32:
    """Brows of the hair's colour, `strength` 0-1."""
    size = rgb.shape[0]
    hairs = 0.75 + 0.25 * strands(3, size, 2.5, 0.7, turn=True)
    for brow in (mesh.LEFT_BROW, mesh.RIGHT_BROW):
        points = landmarks[brow, :2]
        hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(float)
        centre = hull.mean(0)
        mask = polygon(size, centre + (hull - centre) * [1.0, 0.70 + 0.25 * strength] - [0, 0.3], 1.3)
        rgb = over(rgb, hair * 0.75, np.clip(mask * strength * hairs, 0, 0.92))
    return rgb


def beard(rgb: Float32, landmarks: Float64, hair: Float32, strength: float, moustache_only: bool) -> Float32:
    """Stubble (0.3) to a full beard (0.9) along jaw, chin and upper lip."""
    size = rgb.shape[0]
    x, y = grid(size)
    lm = landmarks[:, :2]
    mouth, nose = lm[[13, 14]].mean(0), float(lm[2, 1])
    half = float(lm[291, 0] - lm[61, 0]) / 2
    side = np.abs(x - mouth[0]) / half
    border = np.interp(
        side,
        [0, 0.75, 1.0, 1.35, 1.9, 2.4],
        [nose + 2.5, nose + 4, mouth[1] - 4, mouth[1] + 7, mouth[1] - 2, mouth[1] - 26],
    )
    area = smoothstep(-2.5, 3.5, y - border)
    face = landmarks[mesh.OVAL, :2]
    area = area * polygon(size, face.mean(0) + (face - face.mean(0)) * [1.0, 1.02], 2.5)
    if moustache_only:
        area = area * smoothstep(mouth[1] + 3, mouth[1] - 1, y) * smoothstep(1.3, 1.0, side)
    else:
        # Bare skin beside the lower lip, where beards are thin.
        area = area * (1 - 0.55 * np.exp(-(((side - 0.75) / 0.3) ** 2) - (((y - mouth[1] - 7) / 5) ** 2)))
    lips = polygon(size, lm[mesh.OUTER_UPPER + mesh.OUTER_LOWER[::-1]], 1.0)
    # A rim of bare skin around the lips: hair next to the red would be taken for the dark inside of the mouth.
    rim = polygon(size, lm[mesh.OUTER_UPPER + mesh.OUTER_LOWER[::-1]], 2.2)
    area = area * (1 - smoothstep(0.15, 0.6, lips)) * (1 - 0.75 * smoothstep(0.04, 0.4, rim))
    texture = 0.88 + (0.20 - 0.12 * strength) * strands(5, size, 2.4, 0.9)
    light = 0.92 + 0.10 * strands(6, size, 2.4, 0.9)
    return over(rgb, hair * light[..., None], np.clip(area * strength * texture, 0, 0.95))


def freckles(rgb: Float32, landmarks: Float64, amount: float, seed: int) -> Float32:
    """Small brown dots on nose and cheeks."""
    size = rgb.shape[0]
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.float32)
    nose = landmarks[4, :2]
    for _ in range(int(90 * amount)):
        px, py = nose + rng.normal(size=2) * [26, 9] - [0, 4]
        cv2.circle(
            mask,
            (int(px * SCALE * 16), int(py * SCALE * 16)),
            int(rng.uniform(6, 14)),
            float(rng.uniform(0.2, 0.5)),
            -1,
            cv2.LINE_AA,
            4,
        )
    mask = cv2.GaussianBlur(mask, (0, 0), 0.6)
    return rgb * (1 - mask[..., None] * np.array([0.35, 0.5, 0.6], np.float32))


def irises(rgb: Float32, landmarks: Float64, lab: Colour) -> Float32:
    """Colour of the eyes: `lab` is added inside the irises."""
    size = rgb.shape[0]
    space = cv2.cvtColor(rgb / 255, cv2.COLOR_RGB2LAB)
    for iris, eye in (
        (mesh.LEFT_IRIS, (mesh.LEFT_EYE_UPPER, mesh.LEFT_EYE_LOWER)),
        (mesh.RIGHT_IRIS, (mesh.RIGHT_EYE_UPPER, mesh.RIGHT_EYE_LOWER)),
    ):
        centre = landmarks[iris[0], :2]
        radius = float(np.linalg.norm(landmarks[iris[1:], :2] - centre, axis=1).mean())
        x, y = grid(size)
        r = np.hypot(x - centre[0], y - centre[1])
        ring = smoothstep(radius * 1.02, radius * 0.85, r) * smoothstep(radius * 0.3, radius * 0.5, r)
        opening = polygon(size, landmarks[eye[0] + eye[1][::-1], :2], 0.6)
        space += (ring * opening)[..., None] * np.array(lab, np.float32)
    return np.clip(np.nan_to_num(cv2.cvtColor(space, cv2.COLOR_LAB2RGB)) * 255, 0, 255)


def glasses(rgb: Float32, landmarks: Float64, colour: Float32, round_: float, thick: float) -> Float32:
    """Frames around the eyes: `round_` 2 is an ellipse, more is squarer; `thick` in canvas units."""
    size = rgb.shape[0]
    lm = landmarks[:, :2]
    drop = np.array([0, 2.0])
    eyes = [lm[[33, 133, 159, 145]].mean(0) + drop, lm[[362, 263, 386, 374]].mean(0) + drop]
    a = float(np.linalg.norm(eyes[1] - eyes[0])) * 0.40
    b = a * 0.78
    t = np.linspace(0, 2 * np.pi, 80)
    shape = np.stack(
        [
            np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / round_) * a,
            np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / round_) * b,
        ],
        1,
    )
    mask = np.zeros((size, size), np.uint8)

    def line(points: Float64, closed: bool, width: float) -> None:
        cv2.polylines(
            mask,
            [np.round(points * SCALE * 16).astype(np.int32)],
            closed,
            255,
            max(1, round(width * SCALE)),
            cv2.LINE_AA,
            4,
        )

    out = rgb
    for eye in eyes:
        lens = polygon(size, eye + shape, 0.8)
        x, y = grid(size)
        glare = np.exp(-(((x - eye[0]) * 0.6 + (y - eye[1]) + 6) ** 2) / 14)
        out = over(out, np.array([235, 240, 245], np.float32), lens * (0.04 + 0.10 * glare))
        line(eye + shape, True, thick)
    line(np.stack([eyes[0] + [a, -2], (eyes[0] + eyes[1]) / 2 - [0, 4.5], eyes[1] + [-a, -2]]), False, thick)
    for sign, eye, ear in ((-1, eyes[0], lm[127]), (1, eyes[1], lm[356])):
        line(
            np.stack([eye + np.array([sign * a, -4]), np.array([ear[0] + sign * 1.0, eye[1] - 6])]),
            False,
            thick,
        )
    frame = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float32) / 255
    shadow = np.roll(cv2.GaussianBlur(mask, (0, 0), 2.0).astype(np.float32) / 255, 3, axis=0)
    out = out * (1 - 0.25 * shadow[..., None])
    return over(out, colour, frame)


def long_hair(
    size: int, landmarks: Float64, hair: Float32, length: float, width: float
) -> tuple[Float32, Float32]:
    """Hair that falls beside the neck: colour and alpha; `length` below the chin, `width` beyond the face,
    canvas units.
    """
    x, y = grid(size)
    chin = landmarks[152, :2]
    side = np.abs(x - chin[0])
    fall = chin[1] - 70
    t = np.clip((y - fall) / (70 + length), 0, 1)
    wave = 2.5 * np.sin(y / 9.0 + np.sign(x - chin[0])) * t
    outer = 56 + width + 9 * np.sin(t * np.pi * 0.8) - 6 * t**3 + wave
    inner = 36 - 5 * smoothstep(0.5, 1.0, t)
    end = fall + 70 + length - 0.0035 * (side - 48) ** 2 + 2.5 * strands(8, size, 3, 2.0)
    alpha = (
        smoothstep(1.2, -1.2, side - outer)
        * smoothstep(-1.5, 2.5, side - inner)
        * smoothstep(3, -3, y - end)
        * smoothstep(-3, 8, y - fall)
    )
    shade = 0.88 + 0.10 * strands(9, size, 18, 0.9) + 0.09 * strands(10, size, 30, 3.0)
    # The light falls from above: a sheen on the upper third.
    shade += 0.14 * np.exp(-(((t - 0.3) / 0.2) ** 2))
    shade *= 0.50 + 0.50 * smoothstep(0, 20, side - inner)
    shade *= 1 - 0.25 * smoothstep(-10, 2, side - outer)
    return hair * np.clip(shade, 0.25, 1.5)[..., None], alpha.astype(np.float32)


def beanie(rgb: Float32, alpha: Float32, landmarks: Float64, colour: Float32) -> tuple[Float32, Float32]:
    """A knitted hat over the hair: picture and matte."""
    size = rgb.shape[0]
    x, y = grid(size)
    top = landmarks[10, :2]
    centre = float(landmarks[[234, 454], 0].mean())
    row = int((top[1] - 6) * SCALE)
    wide = np.flatnonzero(alpha[row] > 0.5)
    half = float(wide[-1] - wide[0]) / 2 / SCALE + 3 if len(wide) else 70.0
    side = (x - centre) / half
    brim = top[1] + 11 + 9 * side**2
    crown = top[1] - 52
    height = brim - crown
    dome = np.clip(1 - np.abs(side) ** 2.6, 0, None) ** 0.42
    edge = brim - height * dome
    hat = smoothstep(-1, 1, y - edge) * smoothstep(1, -1, y - brim) * (np.abs(side) < 1)
    angle = np.arcsin(np.clip(side, -0.999, 0.999))
    ribs = np.sin(angle * 42) + 0.35 * np.sin(y * 2.2 + angle * 20)
    shade = (
        (1.02 - 0.5 * np.abs(side) ** 3) * (0.93 + 0.07 * ribs) * (0.85 + 0.15 * smoothstep(0, 30, y - edge))
    )
    fold = smoothstep(-1, 1, y - (brim - 17))
    shade *= (1 + 0.12 * fold) * (1 - 0.35 * np.exp(-(((y - brim + 17) / 1.8) ** 2)))
    shadow = smoothstep(9, 0, y - brim) * smoothstep(-1, 0, y - brim) * (np.abs(side) < 0.95)
    rgb = rgb * (1 - 0.45 * shadow[..., None])
    rgb = over(rgb, np.clip(colour * shade[..., None], 0, 255), hat.astype(np.float32))
    # No hair above the hat.
    alpha = np.where((y < brim - 2), np.minimum(alpha, 0) + hat, np.maximum(alpha, hat))
    return rgb, alpha.astype(np.float32)
