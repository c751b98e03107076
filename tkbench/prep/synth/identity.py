"""People: a photographed template, reshaped, recoloured and dressed; drawn from a seed.

`Identity` is a small record that says everything about a look. `head_of` turns it into pixels once per clip: a texture
with its matte, the mouth's seam, the eyes, and a depth for small turns of the head.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from tkbench.prep.synth import mesh
from tkbench.prep.synth.dress import dress
from tkbench.prep.synth.mouth import smoothstep
from tkbench.types import Float32, Float64, UInt8

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Identity:
    """The look of one speaker. Lengths are shares: 0.1 = a tenth wider than the template."""

    template: str = "astronaut"
    mix: float = 0.0
    """How much of the other template's skin and features is blended in."""
    face_width: float = 0.0
    jaw_width: float = 0.0
    chin: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    eye_size: float = 0.0
    eye_distance: float = 0.0
    brow: float = 0.0
    mouth_width: float = 0.0
    lips: float = 0.0
    hair_volume: float = 0.0
    skin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added to L, a, b (L in 0-100)."""
    skin_contrast: float = 1.0
    hair: tuple[float, float, float] | None = None
    """L, a, b of the hair's mean; None keeps the photograph's."""
    lip: tuple[float, float, float] = (-4.0, 8.0, 2.0)
    garment: tuple[int, int, int] = (40, 60, 90)
    collar: str = "crew"
    beard: float = 0.0
    mirror: bool = False
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """One identity in pixels: texture (480, 480, 3) RGB and alpha, geometry in canvas units."""

    texture: UInt8
    alpha: UInt8
    landmarks: Float64
    seam: Float64
    depth: Float32
    """(320, 320) canvas units towards the camera."""


@functools.lru_cache(maxsize=4)
def _template(name: str) -> tuple[UInt8, Float64, Float64]:
    """RGBA texture, landmarks (478, 3) and seam (11, 2)."""
    bgra = cv2.imread(str(DATA / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    if bgra is None:
        raise FileNotFoundError(DATA / f"{name}.png")
    record = json.loads((DATA / f"{name}.json").read_text())
    return cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), np.array(record["landmarks"]), np.array(record["seam"])


def _bump(p: Float64, centre: Float64, sx: float, sy: float) -> Float64:
    return np.exp(-(((p[..., 0] - centre[0]) / sx) ** 2) - ((p[..., 1] - centre[1]) / sy) ** 2)


def _reshape(identity: Identity, landmarks: Float64, p: Float64) -> Float64:
    """Displacement (…, 2) at canvas points p: a sum of smooth local stretches around features."""
    lm = landmarks[:, :2]
    d = np.zeros_like(p)
    middle = lm[[10, 152]].mean(0)
    chin, mouth, nose = lm[152], lm[[13, 14]].mean(0), lm[4]
    eyes = [lm[[33, 133, 159, 145]].mean(0), lm[[362, 263, 386, 374]].mean(0)]

    def stretch(centre: Float64, ax: float, ay: float, sx: float, sy: float) -> None:
        g = _bump(p, centre, sx, sy)
        d[..., 0] += ax * (p[..., 0] - centre[0]) * g
        d[..., 1] += ay * (p[..., 1] - centre[1]) * g

    stretch(middle, identity.face_width, 0, 75, 85)
    stretch(np.array([chin[0], chin[1] - 15]), identity.jaw_width, 0, 62, 26)
    d[..., 1] += identity.chin * 40 * _bump(p, chin + [0, 2], 48, 24)
    stretch(nose + [0, 3], identity.nose_width, 0, 22, 14)
    d[..., 1] += identity.nose_length * 30 * _bump(p, nose + [0, 4], 24, 16)
    for sign, eye in zip((-1, 1), eyes, strict=True):
        stretch(eye, identity.eye_size, identity.eye_size * 1.3, 20, 12)
        d[..., 0] += sign * identity.eye_distance * 30 * _bump(p, eye, 24, 18)
        d[..., 1] -= identity.brow * 20 * _bump(p, eye - [0, 14], 26, 8)
    stretch(mouth, identity.mouth_width, 0, 34, 16)
    stretch(mouth, 0, identity.lips, 26, 9)
    top = np.array([middle[0], lm[10, 1] - 10])
    g = smoothstep(lm[10, 1] + 45, lm[10, 1] - 15, p[..., 1]) * smoothstep(150, 95, np.hypot(p[..., 0] - top[0], p[..., 1] - top[1]))
    d[..., 0] += identity.hair_volume * (p[..., 0] - top[0]) * g
    d[..., 1] += identity.hair_volume * (p[..., 1] - lm[10, 1]) * g
    return d


def _baked(identity: Identity) -> tuple[UInt8, Float64, Float64]:
    """The template with the identity's shape: RGBA texture, landmarks, seam."""
    rgba, landmarks, seam = _template(identity.template)
    size, scale = rgba.shape[0], mesh.TEXTURE_SCALE
    step = 3
    coarse = np.stack(np.meshgrid(np.arange(0, size, step), np.arange(0, size, step)), -1) / scale
    # Backward: look up where each output point came from, two fixed-point rounds.
    source = coarse - _reshape(identity, landmarks, coarse)
    source = coarse - _reshape(identity, landmarks, source)
    xs, ys = np.meshgrid(np.arange(size, dtype=np.float32) / step, np.arange(size, dtype=np.float32) / step)
    full = cv2.remap((source * scale).astype(np.float32), xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shaped = cv2.remap(rgba, full[..., 0], full[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moved = landmarks.copy()
    moved[:, :2] += _reshape(identity, landmarks, landmarks[:, :2])
    return shaped, moved, seam + _reshape(identity, landmarks, seam)


def _masks(rgb: UInt8, alpha: UInt8, landmarks: Float64) -> tuple[Float32, Float32, Float32]:
    """Skin, hair and lips, each (480, 480) in 0-1."""
    scale = mesh.TEXTURE_SCALE
    shape = alpha.shape

    def polygon(indices: list[int], blur: float) -> Float32:
        mask = np.zeros(shape, np.uint8)
        points = np.round(landmarks[indices, :2] * scale * 16).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=4)
        return cv2.GaussianBlur(mask, (0, 0), blur).astype(np.float32) / 255

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    inner = polygon(mesh.OVAL, 1.0) > 0.99
    mean, deviation = lab[inner].mean(0), lab[inner].std(0) + [6, 3, 3]
    away = (((lab - mean) / deviation) ** 2 * [0.25, 1, 1]).sum(-1)
    person = alpha.astype(np.float32) / 255
    face = polygon(mesh.OVAL, 4.0)
    ys = np.arange(shape[0], dtype=np.float32)[:, None] / scale
    low = smoothstep(landmarks[152, 1] - 60, landmarks[152, 1] - 30, ys)
    like = cv2.GaussianBlur(np.exp(-away / 6).astype(np.float32), (0, 0), 1.5)
    skin = np.clip(np.maximum(face * np.maximum(like, 0.8 * polygon(mesh.OVAL, 9)), like * low), 0, 1)
    hair = person * (1 - skin) * smoothstep(landmarks[152, 1] + 2, landmarks[152, 1] - 12, ys) * (1 - polygon(mesh.OVAL, 3.0) * (1 - smoothstep(landmarks[10, 1] + 22, landmarks[10, 1] + 8, ys)))
    lips = polygon(mesh.OUTER_UPPER + mesh.OUTER_LOWER[::-1], 1.3)
    return skin.astype(np.float32), hair.astype(np.float32), lips


def _coloured(identity: Identity, rgb: UInt8, alpha: UInt8, landmarks: Float64) -> UInt8:
    skin, hair, lips = _masks(rgb, alpha, landmarks)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    mean = (lab * skin[..., None]).sum((0, 1)) / skin.sum()
    moved = mean + np.array(identity.skin) + (lab - mean) * [identity.skin_contrast, 1.0, 1.0]
    # Darker skin keeps its highlights: shift by less where the picture is bright.
    lab += skin[..., None] * (moved - lab)
    if identity.hair is not None:
        own = (lab * hair[..., None]).sum((0, 1)) / max(float(hair.sum()), 1.0)
        target = np.array(identity.hair)
        gain = np.clip(target[0] / own[0], 0.25, 1.6)
        new = np.empty_like(lab)
        new[..., 0] = target[0] + (lab[..., 0] - own[0]) * gain
        new[..., 1:] = target[1:] + (lab[..., 1:] - own[1:]) * 0.5
        lab += hair[..., None] * (new - lab)
    lab += (lips * 0.9)[..., None] * np.array(identity.lip)
    lab[..., 0] = np.clip(lab[..., 0], 0, 100)
    out = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(np.nan_to_num(out) * 255 + 0.5, 0, 255).astype(np.uint8)


def _depth(landmarks: Float64) -> Float32:
    """A head as an ellipsoid with a nose, (320, 320) canvas units; zero from the ears on."""
    y, x = np.mgrid[0 : mesh.CANVAS, 0 : mesh.CANVAS].astype(float)
    middle = landmarks[[10, 152], :2].mean(0) - [0, 14]
    half = float(landmarks[454, 0] - landmarks[234, 0]) / 2
    r = ((x - middle[0]) / (half * 1.35)) ** 2 + ((y - middle[1]) / 112) ** 2
    nose = landmarks[4, :2]
    bump = np.exp(-(((x - nose[0]) / 13) ** 2) - (((y - nose[1] + 4) / 18) ** 2))
    return cv2.GaussianBlur((52 * np.sqrt(np.clip(1 - r, 0, None)) + 13 * bump).astype(np.float32), (0, 0), 4)


def head_of(identity: Identity) -> Head:
    """All pixels of one identity; about 0.2 s."""
    rgba, landmarks, seam = _baked(identity)
    rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    rgb = _coloured(identity, rgb, alpha, landmarks)
    rgb, alpha = dress(rgb, alpha, landmarks, identity.garment, identity.collar, identity.template)
    return Head(rgb, alpha, landmarks, seam, _depth(landmarks))


def draw(rng: np.random.Generator, index: int) -> Identity:
    """A person from a seed; `index` turns through templates and colours so that neighbours differ."""

    def n(scale: float) -> float:
        return float(np.clip(rng.normal(), -1.8, 1.8) * scale)

    skins = ((0, 0, 0), (-8, 2, 4), (-18, 4, 6), (-30, 5, 5), (4, 2, -4), (-12, 5, 9), (-40, 3, 2), (-4, 6, 2))
    hairs = ((16, 1, 2), (30, 6, 14), (10, 0, 0), (9, 0, 1), (62, 3, 28), (12, 2, 3), (8, 0, 0), (34, 18, 24), (74, 0, 4), (45, 5, 20))
    skin = skins[index % len(skins)]
    return Identity(
        template="hopper" if index % 4 == 1 else "astronaut",
        face_width=n(0.07), jaw_width=n(0.12), chin=n(0.08), nose_width=n(0.12), nose_length=n(0.09),
        eye_size=n(0.10), eye_distance=n(0.04), brow=n(0.10), mouth_width=n(0.10), lips=abs(n(0.22)),
        hair_volume=n(0.08),
        skin=(float(skin[0]) + n(2), float(skin[1]) + n(1), float(skin[2]) + n(1)),
        hair=tuple(float(c) for c in hairs[int(rng.integers(len(hairs)))]),  # type: ignore[arg-type]
        lip=(-5 + n(3), 9 + n(4), 2 + n(2)),
        garment=tuple(int(c) for c in rng.integers(20, 200, 3)),  # type: ignore[arg-type]
        collar=("crew", "turtle", "shirt")[int(rng.integers(3))],
        mirror=bool(rng.integers(2)),
    )  # fmt: skip
