"""People: a photographed template, reshaped, recoloured and dressed; drawn from a seed.

`Identity` is a small record of everything about a person's appearance. `head_of` turns it into pixels once per
clip: a texture with its matte, the mouth's seam, the eyes, and a depth map for small turns of the head.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tkbench.synth import features, mesh
from tkbench.synth.dress import dress, head_only
from tkbench.synth.features import Colour
from tkbench.synth.mouth import smoothstep
from tkbench.types import Float32, Float64, UInt8

DATA = Path(__file__).parent / "data"
_HAIR = ("astronaut", "older")
"""Templates with visible hair; the other two wear the hat of the photograph."""


@dataclass(frozen=True)
class Identity:
    """The appearance of one speaker. Lengths are shares: 0.1 = a tenth wider than the template."""

    template: str = "astronaut"
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
    hair_top: float = 0.0
    """Hair above the forehead, taller or flatter."""
    hair_side: float = 0.0
    """Hair beside the face: -0.6 is cropped, 0.2 is full."""
    skin: Colour = (0.0, 0.0, 0.0)
    """L (0-100), a, b: added to the mean of the skin."""
    hair: Colour | None = None
    """L, a, b of the hair's mean; None keeps the photograph's."""
    eyes: Colour = (0.0, 0.0, 0.0)
    """Added to L, a, b of the irises."""
    lip: Colour = (-4.0, 8.0, 2.0)
    """Added to L, a, b of the lips."""
    brows: float = 0.0
    """0-1: how heavy."""
    beard: float = 0.0
    """0.3 stubble to 0.9 full."""
    moustache: bool = False
    """The beard is on the upper lip alone."""
    freckles: float = 0.0
    glasses: tuple[int, int, int] | None = None
    glasses_shape: float = 2.6
    hat: tuple[int, int, int] | None = None
    long_hair: float | None = None
    """How far below the chin; None is short."""
    garment: tuple[int, int, int] = (40, 60, 90)
    collar: str = "crew"
    mirror: bool = False
    male: bool = False
    """Picks the voice."""


@dataclass(frozen=True)
class Head:
    """One identity in pixels: texture (480, 480, 3) RGB and alpha, geometry in canvas units."""

    texture: UInt8
    alpha: UInt8
    landmarks: Float64
    seam: Float64
    depth: Float32
    """(320, 320) canvas units towards the camera."""
    glasses: bool


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
    d[..., 1] += identity.chin * 40 * _bump(p, chin + np.array([0, 2]), 48, 24)
    stretch(nose + np.array([0, 3]), identity.nose_width, 0, 22, 14)
    d[..., 1] += identity.nose_length * 30 * _bump(p, nose + np.array([0, 4]), 24, 16)
    for sign, eye in zip((-1, 1), eyes, strict=True):
        stretch(eye, identity.eye_size, identity.eye_size * 1.3, 20, 12)
        d[..., 0] += sign * identity.eye_distance * 30 * _bump(p, eye, 24, 18)
        d[..., 1] -= identity.brow * 20 * _bump(p, eye - [0, 14], 26, 8)
    stretch(mouth, identity.mouth_width, 0, 34, 16)
    stretch(mouth, 0, identity.lips, 26, 9)
    side = p[..., 0] - middle[0]
    edge = float(lm[454, 0] - lm[234, 0]) / 2 - 4
    high = smoothstep(lm[10, 1] + 30, lm[10, 1] - 25, p[..., 1])
    d[..., 1] += identity.hair_top * (p[..., 1] - lm[10, 1] - 5) * high
    over = np.maximum(np.abs(side) - edge, 0) * smoothstep(145, 95, np.abs(side))
    d[..., 0] += identity.hair_side * np.sign(side) * over * smoothstep(chin[1] - 5, chin[1] - 40, p[..., 1])
    return d


def _baked(identity: Identity) -> tuple[UInt8, Float64, Float64]:
    """The template with the identity's shape: RGBA texture, landmarks, seam."""
    rgba, landmarks, seam = _template(identity.template)
    size, scale = rgba.shape[0], mesh.TEXTURE_SCALE
    step = 3
    coarse = np.stack(np.meshgrid(np.arange(0, size, step), np.arange(0, size, step)), -1) / scale
    # Backward: find where each output point came from, by fixed-point iteration.
    source = coarse
    for _ in range(8):
        source = coarse - _reshape(identity, landmarks, source)
    xs, ys = np.meshgrid(np.arange(size, dtype=np.float32) / step, np.arange(size, dtype=np.float32) / step)
    full = cv2.remap(
        (source * scale).astype(np.float32), xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
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
    mean, deviation = lab[inner].mean(0), lab[inner].std(0) + np.array([6, 3, 3])
    away = (((lab - mean) / deviation) ** 2 * [0.25, 1, 1]).sum(-1)
    person = alpha.astype(np.float32) / 255
    ys = np.arange(shape[0], dtype=np.float32)[:, None] / scale
    chin, brow = float(landmarks[152, 1]), float(landmarks[mesh.LEFT_BROW + mesh.RIGHT_BROW, 1].min())
    like = cv2.GaussianBlur(np.exp(-away / 6).astype(np.float32), (0, 0), 1.2)
    # Above the brows hair may cover the face: there only pixels with the colour of skin are skin.
    fringe = smoothstep(brow - 2, brow - 9, ys)
    inside = np.maximum(like, 0.8 * polygon(mesh.OVAL, 9)) * (1 - fringe) + like * fringe
    low = smoothstep(chin - 82, chin - 62, ys)
    skin = np.clip(np.maximum(polygon(mesh.OVAL, 4.0) * inside, like * low), 0, 1)
    crown = np.maximum(1 - polygon(mesh.OVAL, 3.0), fringe)
    hair = person * (1 - skin) * crown * smoothstep(chin + 2, chin - 12, ys)
    lips = polygon(mesh.OUTER_UPPER + mesh.OUTER_LOWER[::-1], 1.3)
    return skin.astype(np.float32), hair.astype(np.float32), lips


def _shifted(lab: Float32, mask: Float32, target: Float64, chroma: float) -> Float32:
    """Move the mean of the masked part to `target`: L by a power law, which keeps black and white."""
    mean = (lab * mask[..., None]).sum((0, 1)) / max(float(mask.sum()), 1.0)
    new = np.empty_like(lab)
    power = np.log(np.clip(target[0], 4, 96) / 100) / np.log(mean[0] / 100)
    new[..., 0] = 100 * (np.clip(lab[..., 0], 0, 100) / 100) ** power
    new[..., 1:] = target[1:] + (lab[..., 1:] - mean[1:]) * chroma
    return lab + mask[..., None] * (new - lab)


def _coloured(identity: Identity, rgb: UInt8, alpha: UInt8, landmarks: Float64) -> tuple[Float32, Float32]:
    """The texture in the identity's colours, float32 RGB 0-255, and the colour (3,) of its hair."""
    skin, hair, lips = _masks(rgb, alpha, landmarks)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    mean = (lab * skin[..., None]).sum((0, 1)) / skin.sum()
    lab = _shifted(lab, skin, mean + np.array(identity.skin), 1.0)
    tone: Colour = (30.0, 4.0, 10.0)
    if identity.hair is not None:
        tone = identity.hair
        if identity.template in _HAIR:
            lab = _shifted(lab, hair, np.array(tone), 0.45)
    lab += (lips * 0.9)[..., None] * np.array(identity.lip, np.float32)
    lab[..., 0] = np.clip(lab[..., 0], 0, 100)
    out = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(np.nan_to_num(out) * 255, 0, 255), features.rgb_of(tone)


def _depth(landmarks: Float64) -> Float32:
    """A head as a smooth hill with a nose, (320, 320) canvas units; zero from the ears on."""
    y, x = np.mgrid[0 : mesh.CANVAS, 0 : mesh.CANVAS].astype(float)
    middle = landmarks[[10, 152], :2].mean(0) - [0, 14]
    half = float(landmarks[454, 0] - landmarks[234, 0]) / 2
    # A raised cosine: its slope is small at the rim, where a large one would smear the hair when the head turns.
    r = np.hypot((x - middle[0]) / (half * 1.8), (y - middle[1]) / 125)
    skull = 26 * (1 + np.cos(np.pi * np.clip(r, 0, 1)))
    nose = landmarks[4, :2]
    bump = np.exp(-(((x - nose[0]) / 13) ** 2) - (((y - nose[1] + 4) / 18) ** 2))
    return cv2.GaussianBlur((skull + 12 * bump).astype(np.float32), (0, 0), 4)


def head_of(identity: Identity) -> Head:
    """All pixels of one identity; about 0.4 s."""
    rgba, landmarks, seam = _baked(identity)
    alpha = rgba[..., 3].astype(np.float32) / np.float32(255)
    rgb, hair = _coloured(identity, np.ascontiguousarray(rgba[..., :3]), rgba[..., 3], landmarks)
    if identity.eyes != (0.0, 0.0, 0.0):
        rgb = features.irises(rgb, landmarks, identity.eyes)
    if identity.freckles:
        rgb = features.freckles(rgb, landmarks, identity.freckles, seed=7)
    if identity.brows:
        rgb = features.brows(rgb, landmarks, hair, identity.brows)
    if identity.beard:
        rgb = features.beard(rgb, landmarks, hair, identity.beard, identity.moustache)
    if identity.glasses is not None:
        rgb = features.glasses(
            rgb, landmarks, np.array(identity.glasses, np.float32), identity.glasses_shape, 1.4
        )
    alpha = face = head_only(alpha, landmarks)
    rgb, alpha = dress(rgb, alpha, landmarks, identity.garment, identity.collar)
    if identity.long_hair is not None:
        strands, matte = features.long_hair(
            alpha.shape[0], landmarks, hair, identity.long_hair, 16 + 30 * identity.hair_side
        )
        _, y = features.grid(alpha.shape[0])
        neck = smoothstep(landmarks[152, 1] - 6, landmarks[152, 1] - 22, y)
        matte = matte * (1 - face * neck)
        rgb, alpha = features.stack(rgb, alpha, strands, matte)
    if identity.hat is not None:
        rgb, alpha = features.beanie(rgb, alpha, landmarks, np.array(identity.hat, np.float32))
    glasses = identity.glasses is not None or identity.template in ("hopper", "older")
    texture = np.clip(rgb + 0.5, 0, 255).astype(np.uint8)
    return Head(
        texture,
        np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8),
        landmarks,
        seam,
        _depth(landmarks),
        glasses,
    )
