"""Another camera for a window of training: its framing, light, lens, noise and codec.

Clips of one origin (a corpus that is drawn, a studio) look alike, and a network that learns from them alone is lost
before a face in another light. `film` shows the frames of a window as another camera might have taken them: the same
camera for a window and its reference, fresh noise for each frame. Ours; the papers train on broadcasts, which
bring all of this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tkbench.types import Array, Float32, Float64, UInt8

GAMMA = 2.2
"""Between stored and linear light."""


@dataclass(frozen=True, slots=True)
class Camera:
    """How one camera sees a face. Lengths are shares of the side of the crop, so they hold for any size."""

    turn: float = 0.0
    """Degrees, clockwise, about the middle."""
    scale: float = 1.0
    stretch: float = 1.0
    """Height over width."""
    shift: tuple[float, float] = (0.0, 0.0)
    """To the right and down."""
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of red, green and blue, in linear light: exposure and white balance."""
    contrast: float = 1.0
    """Exponent of stored values: above 1 shadows are deeper."""
    side: float = 0.0
    """A lamp beside the face: light rises by this share towards it, and falls by as much away from it."""
    towards: float = 0.0
    """Where that lamp is, in radians: 0 is right, a quarter turn is below."""
    detail: float = 1.0
    """Pixels that were really filmed, per pixel of the crop's side; below 1 the picture was small, and is enlarged."""
    sharpened: float = 0.0
    """How much of an unsharp mask is added, as phones do."""
    noise: float = 0.0
    """Standard deviation, in grey levels of 255."""
    quality: int = 100
    """Of JPEG, whose blocks and lost colours stand for a video codec's; 100 leaves it out."""

    def matrix(self, size: tuple[int, int]) -> Float64:
        """(2, 3): where a pixel of the crop (height, width) is in the new picture."""
        height, width = size
        angle = np.deg2rad(self.turn)
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = self.scale * turned @ np.diag([self.stretch**-0.5, self.stretch**0.5])
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        moved = middle + np.array(self.shift) * (width, height) - linear @ middle
        return np.concatenate([linear, moved[:, None]], axis=1)


def drawn(rng: np.random.Generator) -> Camera:
    """A camera by chance."""
    exposure, warmth, tint = 2 ** rng.uniform(-0.7, 0.5), rng.uniform(-0.25, 0.25), rng.uniform(-0.08, 0.08)
    return Camera(
        turn=float(rng.uniform(-5, 5)),
        scale=float(rng.uniform(0.92, 1.1)),
        stretch=float(rng.uniform(0.94, 1.07)),
        shift=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.04, 0.04))),
        gains=(float(exposure * (1 + warmth)), float(exposure * (1 + tint)), float(exposure * (1 - warmth))),
        contrast=float(2 ** rng.uniform(-0.4, 0.4)),
        side=float(rng.uniform(0, 0.6)),
        towards=float(rng.uniform(0, 2 * np.pi)),
        detail=_half_of_them(rng, 1.0, float(rng.uniform(0.45, 1.0))),
        sharpened=_half_of_them(rng, 0.0, float(rng.uniform(0, 0.8))),
        noise=_half_of_them(rng, 0.0, float(rng.uniform(0, 8))),
        quality=round(_half_of_them(rng, 100, int(rng.integers(25, 95)))),
    )


def _half_of_them(rng: np.random.Generator, plain: float, other: float) -> float:
    """One of both, by chance."""
    return (plain, other)[int(rng.integers(2))]


def film(faces: UInt8, camera: Camera, rng: np.random.Generator) -> UInt8:
    """(T, h, w, 3) RGB as `camera` would have taken them; rng gives the noise of each frame."""
    import cv2

    size = (faces.shape[1], faces.shape[2])
    stored = (np.arange(256, dtype=np.float32) / 255) ** GAMMA
    lit, matrix = _light(camera, size), camera.matrix(size)
    out = np.empty_like(faces)
    for n, face in enumerate(faces):
        picture = cv2.warpAffine(
            face, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        light = np.clip(stored[picture] * lit, 0, 1)
        out[n] = _recorded(255 * light ** np.float32(camera.contrast / GAMMA), camera, rng)
    return out


def place(mask: UInt8, camera: Camera) -> UInt8:
    """(T, h, w) of the crop, as where the mouth is open, where `film` shows it."""
    import cv2

    size = (mask.shape[1], mask.shape[2])
    matrix = camera.matrix(size)
    return np.stack(
        [cv2.warpAffine(one, matrix, size[::-1], flags=cv2.INTER_NEAREST) for one in mask]
    ).astype(np.uint8)


def _light(camera: Camera, size: tuple[int, int]) -> Float32:
    """(h, w, 3): what the light and the white balance do to each pixel, in linear light."""
    down, right = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    along = np.cos(camera.towards) * right[None, :] + np.sin(camera.towards) * down[:, None]
    shade = 1 + camera.side * np.clip(along, -1, 1)
    return np.asarray(shade[..., None] * np.array(camera.gains, np.float32), np.float32)


def _recorded(picture: Array, camera: Camera, rng: np.random.Generator) -> UInt8:
    """Lens, noise and codec: (h, w, 3) float32 in [0, 255] -> uint8."""
    import cv2

    height, width = picture.shape[:2]
    if camera.detail < 1:
        small = (max(8, round(width * camera.detail)), max(8, round(height * camera.detail)))
        picture = cv2.resize(
            cv2.resize(picture, small, interpolation=cv2.INTER_AREA),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
    if camera.sharpened > 0:
        soft = cv2.GaussianBlur(picture, (0, 0), max(height, width) / 100)
        picture = picture + camera.sharpened * (picture - soft)
    if camera.noise > 0:
        # Of brightness mostly: the noise of colours is what cameras remove first.
        grain = rng.standard_normal((height, width, 1), np.float32)
        colour = 0.4 * rng.standard_normal((height, width, 3), np.float32)
        picture = picture + camera.noise * (grain + colour)
    taken = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if camera.quality >= 100:
        return taken
    coded = cv2.imencode(".jpg", taken[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1], np.uint8)
