"""Make the face templates of the package from public-domain photographs; run once, by hand, offline.

    python -m tkbench.synth.template_build

Sources: `skimage.data.astronaut()` (NASA, portrait of Eileen Collins, public domain) and `grace_hopper.jpg`
of matplotlib's sample data (U.S. Navy, James S. Davis, portrait of Grace Hopper, public domain). Both ship
inside those wheels. The landmarks, depth included, are found here with the Face Mesh of `mediapipe<0.10.22`, so
rendering needs no tracker.

A template is `data/NAME.png` (RGB, and the matte of the person as alpha; 1.5 pixels per canvas unit) and
`data/NAME.json` (478 landmarks x, y, z in canvas units and the seam where the closed lips meet).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from tkbench.synth.mesh import (
    CANVAS,
    INNER_LOWER,
    INNER_UPPER,
    LEFT_BROW,
    OUTER_LOWER,
    OUTER_UPPER,
    OVAL,
    RIGHT_BROW,
    TEXTURE_SCALE,
)
from tkbench.types import Float64, UInt8

DATA = Path(__file__).parent / "data"
FACE_HEIGHT = 120.0  # canvas units from landmark 10 (top) to 152 (chin)
CENTRE = (160.0, 166.0)  # canvas point half way between the two
EYES = ((33, 133, 159, 145), (362, 263, 386, 374))


Polygon = list[list[int]]
"""Corners (x, y) in photo pixels."""


class Hints(TypedDict):
    """Hand-drawn regions of a photograph from which its matte is computed."""

    person: list[Polygon]
    """Probably the person."""
    sure: list[Polygon]
    """Certainly the person."""
    background: list[Polygon]
    """Certainly not."""


def photographs() -> dict[str, UInt8]:
    """The two sources, RGB."""
    import matplotlib.cbook
    import skimage.data

    hopper = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    bgr = cv2.imread(str(hopper))
    assert bgr is not None, hopper
    return {"astronaut": skimage.data.astronaut(), "hopper": cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)}


def landmarks_of(photo: UInt8, zoom: float) -> Float64:
    """(478, 3) Face Mesh landmarks in photo pixels; `zoom` because the mesh is finer on an enlarged
    picture.
    """
    import mediapipe as mp

    large = cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        found = mesh.process(large).multi_face_landmarks
    height, width = photo.shape[:2]
    # A normalised landmark counts from the picture's edge; our pixel centres sit on whole numbers.
    return np.array([[p.x * width - 0.5, p.y * height - 0.5, p.z * width] for p in found[0].landmark])


def to_canvas(points: Float64) -> Float64:
    """(2, 3) similarity photo -> canvas: upright eyes, mesh `FACE_HEIGHT` high, centred."""
    left, right = (points[list(eye), :2].mean(0) for eye in EYES)
    angle = np.arctan2(*(right - left)[::-1])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    ends = points[[10, 152], :2] @ turn.T
    scale = FACE_HEIGHT / (ends[1, 1] - ends[0, 1])
    centre = ends.mean(0) * scale
    return np.hstack([turn * scale, (np.array(CENTRE) - centre)[:, None]])


def matte_of(photo: UInt8, points: Float64, hints: Hints) -> UInt8:
    """Alpha of the person by GrabCut from the face polygon and hand-drawn hints (boxes in photo pixels)."""
    mask = np.full(photo.shape[:2], cv2.GC_PR_BGD, np.uint8)
    for box in hints["person"]:
        cv2.fillPoly(mask, [np.array(box, np.int32)], cv2.GC_PR_FGD)
    cv2.fillPoly(mask, [points[OVAL, :2].astype(np.int32)], cv2.GC_FGD)
    for polygon in hints["sure"]:
        cv2.fillPoly(mask, [np.array(polygon, np.int32)], cv2.GC_FGD)
    for polygon in hints["background"]:
        cv2.fillPoly(mask, [np.array(polygon, np.int32)], cv2.GC_BGD)
    cv2.setRNGSeed(0)
    cv2.grabCut(photo, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 8, cv2.GC_INIT_WITH_MASK)
    hard = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(hard)
    hard = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    hard = cv2.morphologyEx(hard, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    hard = cv2.morphologyEx(hard, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    soft = cv2.GaussianBlur(hard.astype(np.float32), (0, 0), 1.2)
    # Move the edge inwards by about a pixel: what is left of the old background would shine as a rim.
    return (np.clip((soft - 0.45) / 0.5, 0, 1) * 255).astype(np.uint8)


HINTS: dict[str, Hints] = {
    "astronaut": {
        "person": [
            [
                [150, 30],
                [290, 15],
                [310, 100],
                [300, 170],
                [420, 300],
                [420, 512],
                [60, 512],
                [90, 260],
                [140, 120],
            ]
        ],
        "sure": [
            [[190, 30], [260, 30], [285, 80], [240, 90], [170, 80]],
            [[190, 180], [250, 180], [300, 300], [150, 300]],
            [[120, 220], [160, 270], [200, 300], [290, 300], [310, 240], [320, 400], [100, 400]],
        ],
        "background": [
            [[0, 0], [140, 0], [140, 120], [150, 145], [100, 140], [0, 240]],
            [[310, 0], [512, 0], [512, 200], [330, 190], [300, 160], [312, 90]],
            [[0, 0], [512, 0], [512, 12], [0, 12]],
        ],
    },
    "hopper": {
        "person": [
            [[140, 20], [380, 20], [390, 260], [512, 400], [512, 600], [0, 600], [20, 400], [150, 280]]
        ],
        "sure": [
            [[180, 60], [345, 60], [365, 120], [155, 120]],
            [[200, 350], [330, 340], [480, 420], [480, 600], [50, 600], [60, 420]],
        ],
        "background": [
            [
                [0, 0],
                [222, 0],
                [228, 22],
                [205, 34],
                [188, 48],
                [176, 68],
                [168, 86],
                [149, 96],
                [145, 110],
                [145, 176],
                [0, 200],
            ],
            [
                [285, 0],
                [300, 30],
                [330, 44],
                [350, 66],
                [357, 86],
                [371, 98],
                [373, 170],
                [390, 190],
                [512, 200],
                [512, 0],
            ],
            [
                [0, 170],
                [140, 176],
                [150, 200],
                [160, 250],
                [168, 272],
                [186, 300],
                [196, 318],
                [170, 400],
                [0, 400],
            ],
            [[400, 190], [512, 190], [512, 340], [400, 300]],
        ],
    },
}


def close_mouth(photo: UInt8, points: Float64, name: str) -> tuple[UInt8, Float64, Float64]:
    """Bring the lips of a smiling mouth together.

    photo at texture resolution with `points` in its pixels -> the same with closed lips, the moved points,
    and the seam (11, 2). Two thin-plate warps, one that carries the upper lip and one that carries the
    lower, meet there.
    """
    upper, lower = points[INNER_UPPER, :2], points[INNER_LOWER, :2]
    gap = lower - upper
    middle = (upper[0] + upper[-1]) / 2
    moved = points.copy()
    narrow, flat, thick = (0.86, 0.30, 1.22) if name == "astronaut" else (1.0, 1.0, 1.0)
    seam = upper + 0.56 * gap

    def relax(p: Float64) -> Float64:
        return np.stack([middle[0] + narrow * (p[:, 0] - middle[0]), p[:, 1]], 1)

    # A smile lifts the corners: take part of that curve away.
    chord = np.interp(seam[:, 0], [seam[0, 0], seam[-1, 0]], [seam[0, 1], seam[-1, 1]])
    level = chord + (seam[:, 1] - chord) * flat
    level += np.mean(seam[3:8, 1] - level[3:8])
    seam = relax(np.stack([seam[:, 0], level], 1))
    moved[INNER_UPPER, :2] = moved[INNER_LOWER, :2] = seam
    ends = (61, 291)
    for outer, edge in ((OUTER_UPPER, upper), (OUTER_LOWER, lower)):
        offset = points[outer, :2] - edge
        offset[:, 1] *= thick
        moved[outer, :2] = seam + offset
    for end, k in zip(ends, (0, -1), strict=True):
        moved[end, :2] = seam[k] + (points[end, :2] - upper[k])
    lift = float(0.44 * gap[5, 1])
    chin = [152, 148, 377, 176, 400, 175, 199, 200, 18, 83, 313, 171, 396, 201, 421, 208, 428]
    moved[chin, 1] -= lift * 0.6
    fixed = [1, 2, 4, 5, 6, 9, 33, 133, 263, 362, 98, 327, 168, 10, 151, 145, 374]
    still = [i for i in OVAL if i not in chin] + fixed
    still += [50, 280, 117, 346, 205, 425] if name != "astronaut" else [117, 346]
    height, width = photo.shape[:2]
    rim = np.array([[x, y] for x in (0, width / 2, width) for y in (0, height / 2, height)], float)
    step = 4
    grid = np.stack(np.meshgrid(np.arange(0, width, step), np.arange(0, height, step)), -1).astype(float)
    layers = []
    for inner, outer, bite in ((INNER_UPPER, OUTER_UPPER, -1.1), (INNER_LOWER, OUTER_LOWER, 1.1)):
        use = list(dict.fromkeys(inner + outer[1:-1] + list(ends) + chin + still))
        src = points[use, :2].copy()
        # Take the edge a little inside the lip, away from the teeth.
        src[1 : len(inner) - 1, 1] += bite * np.minimum(1, gap[1:-1, 1] / 4)
        back = RBFInterpolator(
            np.vstack([moved[use, :2], rim]),
            np.vstack([src - moved[use, :2], rim * 0]),
            kernel="thin_plate_spline",
        )
        field = back(grid.reshape(-1, 2)).reshape(*grid.shape).astype(np.float32)
        full = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        # resize aligns pixel areas, not nodes: sample the coarse grid at the right places instead.
        full = cv2.remap(field, xs / step, ys / step, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        layers.append(
            cv2.remap(
                photo, xs + full[..., 0], ys + full[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
        )
    line = np.interp(np.arange(width), seam[:, 0], seam[:, 1])
    below = np.clip(np.arange(height)[:, None] - line[None] + 0.5, 0, 1)[..., None]
    closed = layers[0] * (1 - below) + layers[1] * below
    return np.clip(closed, 0, 255).astype(np.uint8), moved, seam


def build(name: str, photo: UInt8) -> tuple[UInt8, UInt8, Float64, Float64]:
    """RGB texture, matte, landmarks and seam of one template, the last two in texture pixels."""
    points = landmarks_of(photo, 1.5)
    matte = matte_of(photo, points, HINTS[name])
    affine = to_canvas(points)
    size = int(CANVAS * TEXTURE_SCALE)
    # Canvas unit c is texture pixel c * TEXTURE_SCALE.
    texture_affine = affine * TEXTURE_SCALE
    rgb = cv2.warpAffine(
        photo, texture_affine, (size, size), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = cv2.warpAffine(
        matte, texture_affine, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    scale = np.sqrt(abs(np.linalg.det(affine[:, :2])))
    canvas = np.hstack([points[:, :2] @ affine[:, :2].T + affine[:, 2], points[:, 2:] * scale])
    closed, moved, seam = close_mouth(rgb, canvas * TEXTURE_SCALE, name)
    if name == "hopper":
        closed = calm(closed, 0.72, 0.88)
    return closed, alpha, moved, seam


def calm(rgb: UInt8, chroma: float, contrast: float) -> UInt8:
    """Less colour and contrast: the portrait of 1984 is a saturated print."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab[..., 1:] *= chroma
    lab[..., 0] = 50 + (lab[..., 0] - 50) * contrast
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255 + 0.5, 0, 255).astype(np.uint8)


def swap(
    base: UInt8, base_points: Float64, donor: UInt8, donor_points: Float64, forehead: float, spread: float
) -> tuple[UInt8, Float64]:
    """The donor's face in the base's head: RGB at texture resolution, and the landmarks (478, 3) in its
    pixels.

    The donor is warped so that the outlines of the two faces agree, and cloned in by Poisson blending, from
    `forehead` (canvas units above the brows) to the chin; `spread` of the width.
    """
    height, width = base.shape[:2]
    rim = np.array([[x, y] for x in (0, width / 2, width) for y in (0, height / 2, height)], float)
    a, b = base_points[OVAL, :2], donor_points[OVAL, :2]
    step = 4
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(0, width, step), np.arange(0, height, step)), -1).astype(float)
    back = RBFInterpolator(np.vstack([a, rim]), np.vstack([b - a, rim * 0]), kernel="thin_plate_spline")
    field = back(grid.reshape(-1, 2)).reshape(*grid.shape).astype(np.float32)
    full = cv2.remap(field, xs / step, ys / step, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    warped = cv2.remap(
        donor, xs + full[..., 0], ys + full[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    forth = RBFInterpolator(np.vstack([b, rim]), np.vstack([a - b, rim * 0]), kernel="thin_plate_spline")
    points = donor_points.copy()
    points[:, :2] += forth(points[:, :2])
    points[OVAL] = base_points[OVAL]
    brow = points[LEFT_BROW + RIGHT_BROW, 1].min() - forehead * TEXTURE_SCALE
    outline = a.copy()
    middle = a.mean(0)
    outline = middle + (outline - middle) * [spread, 0.95]
    outline[:, 1] = np.maximum(outline[:, 1], brow)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [outline.astype(np.int32)], 255)
    x, y, w, h = cv2.boundingRect(mask)
    cloned = cv2.seamlessClone(warped, base, mask, (x + w // 2, y + h // 2), cv2.NORMAL_CLONE)
    return cloned, points


def without_rim(rgb: UInt8, alpha: UInt8) -> UInt8:
    """Give the rim of the person, and what lies outside, the colour of the nearest pixel well inside.

    Otherwise the photograph's own background would shine through the half-transparent rim.
    """
    inside = cv2.erode((alpha > 250).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    _, labels = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    ys, xs = np.nonzero(inside)
    nearest = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    nearest[labels[ys, xs]] = rgb[ys, xs]
    spread = cv2.GaussianBlur(nearest[labels], (0, 0), 1.0)
    return np.where(inside[..., None] > 0, rgb, spread)


def save(name: str, rgb: UInt8, alpha: UInt8, points: Float64, seam: Float64) -> None:
    """Write one template; points and seam in texture pixels."""
    record = {
        "landmarks": np.round(points / TEXTURE_SCALE, 3).tolist(),
        "seam": np.round(seam / TEXTURE_SCALE, 3).tolist(),
    }
    rgb = without_rim(rgb, alpha)
    cv2.imwrite(str(DATA / f"{name}.png"), cv2.cvtColor(np.dstack([rgb, alpha]), cv2.COLOR_RGBA2BGRA))
    (DATA / f"{name}.json").write_text(json.dumps(record) + "\n")


def main() -> None:
    """Write the templates beside this file."""
    DATA.mkdir(exist_ok=True)
    made = {name: build(name, photo) for name, photo in photographs().items()}
    for name, parts in made.items():
        save(name, *parts)
    a, h = made["astronaut"], made["hopper"]
    rgb, points = swap(a[0], a[2], h[0], h[2], forehead=5, spread=0.93)
    save("older", rgb, a[1], points, points[INNER_UPPER, :2])
    rgb, points = swap(h[0], h[2], a[0], a[2], forehead=2, spread=1.0)
    save("sailor", rgb, h[1], points, points[INNER_UPPER, :2])


if __name__ == "__main__":
    main()
