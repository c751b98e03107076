"""The movement of the mouth: displacement fields for lips, jaw and cheeks, and the inside of the mouth.

The face is cut along the seam of the closed lips into two layers, one with the upper lip and one
with the lower. Each layer has its own smooth displacement, a sum of fixed fields times the mouth
parameters; beyond the corners of the mouth the two agree, so the picture does not tear. Between the layers the
inside of the mouth is drawn: dark, teeth, tongue. Lengths are in `w`, half the width of the mouth at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.types import Array, Float32, Float64

MAX_GAP = 0.90
"""Distance of the lips at aperture 1, in w."""


def smoothstep(low: Array | float, high: Array | float, x: Array | np.float64 | float) -> Array:
    """0 below `low`, 1 above `high`, smooth between (also with low > high); for numbers and arrays."""
    t: Array = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Frame:
    """Mouth coordinates: u along the lips (corners at -1 and 1), v down from the seam, both in w."""

    centre: float
    half: float
    seam: Float64
    """(11, 2) canvas points from corner to corner."""
    chin: float
    """v of the chin."""

    @classmethod
    def of(cls, seam: Float64, chin_y: float) -> Frame:
        half = float(seam[-1, 0] - seam[0, 0]) / 2
        centre = float(seam[-1, 0] + seam[0, 0]) / 2
        return cls(centre, half, seam, (chin_y - float(seam[5, 1])) / half)

    def line(self, x: Array) -> Array:
        """Y of the seam at canvas x; level beyond the corners."""
        return np.interp(x, self.seam[:, 0], self.seam[:, 1])


class Fields:
    """Basis fields on a canvas window, (K, h, w, 2) float32 in canvas units, for each of the two layers."""

    NAMES = ("up", "down", "round_up", "round_down", "width", "protrusion", "jaw", "tuck", "corner")

    def __init__(self, frame: Frame, window: tuple[int, int, int, int]) -> None:
        x0, y0, x1, y1 = window
        self.window = window
        x, y = np.meshgrid(np.arange(x0, x1, dtype=float), np.arange(y0, y1, dtype=float))
        w = frame.half
        u = (x - frame.centre) / w
        v = (y - frame.line(x)) / w
        a = np.abs(u)
        above, below = np.maximum(-v, 0), np.maximum(v, 0)
        zero = np.zeros_like(u)

        def profile(reach: Array) -> Array:
            # Height of the opening along the lips; `reach` grows with the distance from the seam.
            return np.clip(1 - (a / reach) ** 2, 0, None) ** 0.85

        def pucker(reach: Array) -> Array:
            # The same for rounded lips: open in the middle, together at the sides.
            return np.exp(-((a / (0.56 * reach)) ** 2) * 1.2) * smoothstep(1.0, 0.75, a / reach)

        corner = np.exp(-(((a - 1.05) / 0.5) ** 2)) * np.exp(-((v / 0.7) ** 2))
        up = -profile(1 + 0.5 * above) * np.exp(-((above / 0.75) ** 2)) * w
        down = profile(1 + 0.55 * below) * np.exp(-((below / 1.25) ** 2)) * w
        round_up = -pucker(1 + 0.5 * above) * np.exp(-((above / 0.75) ** 2)) * w
        round_down = pucker(1 + 0.55 * below) * np.exp(-((below / 1.25) ** 2)) * w
        wide = u * np.exp(-((a / 1.75) ** 3)) * np.exp(-((v / 1.15) ** 2)) * w
        puff_up = -(above / 0.4) * np.exp(0.5 - 0.5 * (above / 0.4) ** 2) * np.exp(-((u / 0.85) ** 2)) * w
        puff_low = (below / 0.45) * np.exp(0.5 - 0.5 * (below / 0.45) ** 2) * np.exp(-((u / 0.85) ** 2)) * w
        chin = frame.chin
        jaw_y = (
            smoothstep(0.15, 0.8 * chin, v)
            * smoothstep(chin + 1.15, chin * 0.98, v)
            * np.exp(-((a / 2.3) ** 4))
            * w
        )
        cheek = corner * 0.25 * w
        upper = {
            "up": (zero, up),
            "round_up": (zero, round_up),
            "width": (wide, zero),
            "protrusion": (zero, puff_up),
            "jaw": (-0.06 * np.sign(u) * corner * w, cheek),
            "tuck": (zero, up),
            "corner": (zero, -corner * w),
        }
        lower = {
            "down": (zero, down),
            "round_down": (zero, round_down),
            "width": (wide, zero),
            "protrusion": (zero, puff_low),
            "jaw": (-0.06 * np.sign(u) * corner * w, jaw_y + cheek),
            "tuck": (zero, -profile(1 + 0.55 * below) * np.exp(-((below / 0.8) ** 2)) * w),
            "corner": (zero, -corner * w),
        }
        nothing = (zero, zero)
        self.upper = np.stack([np.stack(upper.get(n, nothing), -1) for n in self.NAMES]).astype(np.float32)
        self.lower = np.stack([np.stack(lower.get(n, nothing), -1) for n in self.NAMES]).astype(np.float32)
        # Ownership at rest. The lower layer reaches a little under the upper one, so closed lips show no gap.
        outside = np.maximum(a - 1.0, 0) * w * 4
        self.upper_alpha = np.clip(-v * w + 0.5, 0, 1).astype(np.float32)
        self.lower_alpha = np.clip(v * w + 1.6 + outside, 0, 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Pose:
    """Coefficients of the fields and the inside of the mouth for one frame, in w."""

    coefficients: Float32
    gap: float
    up: float
    drop: float
    """How far the lower teeth have gone down with the jaw."""
    width: float
    tuck: float
    teeth: float
    tongue: float
    protrusion: float


def pose(values: Float64, *, max_gap: float = MAX_GAP, smile: float = 0.0, width_gain: float = 1.0) -> Pose:
    """Mouth parameters (8,) -> a pose. The gap of the lips is aperture * max_gap exactly."""
    aperture, width, protrusion, jaw, lift, tuck, teeth, tongue = (float(x) for x in values)
    gap = aperture * max_gap
    share = 0.16 + 0.26 * lift
    up = gap * share + 0.03 * lift * min(1.0, aperture * 6)
    down = gap - up
    broad = (0.17 if width > 0 else 0.40) * width * width_gain
    both = 0.09 * tuck
    rounded = float(np.clip(-width, 0.0, 1.0)) ** 0.8 * 0.9
    lifted = 0.07 * max(width, 0.0) - 0.13 * max(-width, 0.0) - 0.05 * jaw + smile
    coefficients = np.array(
        [
            up * (1 - rounded), down * (1 - rounded), up * rounded, down * rounded,
            broad, 0.13 * protrusion, 0.46 * jaw * max_gap / 0.9, both, lifted,
        ],
        np.float32,
    )  # fmt: skip
    drop = 0.55 * jaw * max_gap
    return Pose(coefficients, gap, up, drop, width * width_gain, tuck, teeth, tongue, protrusion)


# Widths of the upper teeth from the middle outwards, as shares of w (a mouth is about 50 mm wide).
_TEETH = np.cumsum([0.33, 0.26, 0.27, 0.22, 0.2, 0.2])
_LOWER_TEETH = np.cumsum([0.20, 0.22, 0.25, 0.22, 0.2, 0.2])


def _row(u: Array, edges: Array, half_arch: float) -> tuple[Array, Array, Array]:
    """Teeth along u: brightness (0 in the gaps), roundness of the biting edge, and shading towards the sides."""
    # Teeth stand on an arch: unroll it.
    phi = np.arcsin(np.clip(np.abs(u) / half_arch, 0, 0.999))
    along = half_arch * phi
    k = np.minimum(np.searchsorted(edges, along), len(edges) - 1)
    right = edges[k]
    left = np.where(k > 0, edges[k - 1], 0.0)
    t = (along - left) / (right - left)
    from_gap = np.minimum(t, 1 - t) * (right - left)
    crack = smoothstep(-0.02, 0.05, from_gap)
    return crack, (2 * t - 1) ** 4, np.cos(phi) ** 0.8


def inside(q: Float32, frame: Frame, p: Pose, tone: Float32) -> tuple[Float32, Float32]:
    """The inside of the mouth at canvas points q (h, w, 2): RGB float32 0-255, and the mask of the upper teeth.

    `tone` (3,) multiplies the colour of the teeth.
    """
    w = frame.half
    u = (q[..., 0] - frame.centre) / w
    base = frame.line(q[..., 0])
    # The teeth follow the middle of the lips and only half of their curve: they are straight, lips are not.
    level = 0.65 * frame.seam[5, 1] + 0.35 * base
    v = (q[..., 1] - level) / w
    soft = 0.55 / w  # half a pixel
    depth = smoothstep(0.0, 0.5, np.full_like(v, p.gap))
    cavity = np.array([70.0, 30.0, 27.0]) * (
        1 - 0.62 * depth[..., None] * np.exp(-((u[..., None] / 0.9) ** 2))
    )
    out = cavity.astype(np.float32)
    # Tongue: a rounded body behind the lower teeth; its tip rises for l, th, t, d, n.
    lower_edge = 0.13 + p.drop
    top = lower_edge - 0.17 - 0.20 * p.tongue * min(1.0, p.gap / 0.25) + 0.60 * u**2
    body = smoothstep(-soft, soft * 3, v - top) * smoothstep(0.72, 0.6, np.abs(u))
    light = 0.62 + 0.28 * smoothstep(0.25, 0.0, v - top) + 0.15 * p.tongue - 0.10 * np.exp(-((u / 0.06) ** 2))
    flesh = np.array([176.0, 92.0, 88.0]) * light[..., None]
    out += body[..., None] * (flesh - out)
    # Lower teeth.
    crack, edge, shade = _row(u, _LOWER_TEETH, 0.92)
    cut = lower_edge + 0.025 * edge + 0.10 * u**2
    low = smoothstep(-soft, soft, v - cut) * smoothstep(0.80, 0.70, np.abs(u))
    bright = (0.56 + 0.28 * p.teeth) * shade * (0.72 + 0.28 * crack)
    enamel = np.array([238.0, 220.0, 190.0]) * tone * bright[..., None]
    out += low[..., None] * (enamel - out)
    # Upper teeth.
    crack, edge, shade = _row(u, _TEETH, 1.0)
    cut = 0.13 - 0.035 * edge - 0.15 * u**2
    high = smoothstep(soft, -soft, v - cut) * smoothstep(0.93, 0.82, np.abs(u))
    arch = np.clip(1 - u**2, 0, 1) ** 0.85
    lip = (-p.up - 0.09 * p.tuck) * arch  # v of the upper lip's edge
    shadow = smoothstep(-0.03, 0.10, v - lip)
    bright = (0.48 + 0.52 * p.teeth) * shade * (0.82 + 0.18 * crack) * (0.58 + 0.42 * shadow)
    enamel = np.array([250.0, 236.0, 208.0]) * tone * bright[..., None]
    out += high[..., None] * (enamel - out)
    # The tip of the tongue at or between the teeth: th, l.
    tip = np.float64(smoothstep(0.55, 0.9, np.float64(p.tongue)))
    if tip > 0:
        edge_v = 0.03 + 0.5 * u**2
        front = tip * smoothstep(-soft, soft * 2, v - edge_v) * smoothstep(0.55, 0.4, np.abs(u))
        light = 0.80 + 0.25 * smoothstep(0.14, 0.0, v - edge_v)
        flesh = np.array([188.0, 100.0, 96.0]) * light[..., None]
        out += front[..., None] * (flesh - out)
    # Lips shade what lies behind them.
    floor = (p.gap - p.up - 0.09 * p.tuck) * arch
    out *= (0.55 + 0.45 * smoothstep(-0.02, 0.07, floor - v))[..., None]
    out *= 1 - 0.30 * p.protrusion
    # Through a slit no detail is visible: a dark line.
    slit = np.array([92.0, 44.0, 42.0])
    out = slit + (out - slit) * smoothstep(0.0, 0.10, np.float64(p.gap + 0.5 * p.tuck))
    return out.astype(np.float32), high.astype(np.float32)


def layer_map(
    q: Float32, basis: Float32, coefficients: Float32, origin: tuple[int, int], rounds: int = 3
) -> Float32:
    """Where each canvas point q (h, w, 2) comes from at rest: solves s + D(s) = q by fixed-point steps.

    `basis` (K, H, W, 2) covers the window whose corner is `origin`; outside of it nothing moves.
    """
    field = np.zeros(basis.shape[1:], np.float32)
    for coefficient, shape in zip(coefficients, basis, strict=True):
        # One by one and not as a BLAS product, whose rounding may depend on the number of threads.
        if coefficient:
            field += coefficient * shape
    rest = q
    shift = np.array(origin, np.float32)
    for _ in range(rounds):
        rest = q - cv2.remap(field, rest - shift, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return rest
