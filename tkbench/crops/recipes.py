"""Crop recipes: named and versioned, each with its source.

A crop recipe says which part of a picture becomes the crop, from the landmarks of the frame. The field cut its
faces by the boxes of a detector (S3FD, dlib); tkbench stores landmarks, so the box is estimated from them:

    points     478 Face Mesh points          68 iBUG points (dlib, FAN)
    box        all points, as they are       all points, grown to the box of the mesh (it ends at the brows)
    template   18 points nearest to iBUG's   points 27 to 44: nose, left eye, half of the right eye
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tkbench.errors import BadInput, UnknownName
from tkbench.registry import suggest
from tkbench.types import Array, Float64

# The box of the 478 mesh points against the box of the face detector (S3FD) that the field's crops were
# defined with. Measured on the published demo crop of syncnet_python (317 frames, its geometry inverted):
# S3FD's box is 1.04 times the landmark box's longer side, and its centre lies 0.035 box heights higher. The
# shorter side could not be measured there (that crop is square) and is taken to be 1.04 times, too.
_DETECTOR_SIZE = 1.04
_DETECTOR_RISE = 0.035
# The box of the mesh against that of its 68 points nearest to iBUG's. Medians over 240 frames of 15 real
# clips; standard deviations 0.010, 0.030 and 0.015.
_MESH_WIDTH, _MESH_HEIGHT, _MESH_RISE = 1.006, 1.193, 0.0965

# fmt: off
IBUG_OF_MESH: tuple[int, ...] = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)
"""The mesh point nearest to each of the 68 iBUG points. The jaw's differ most: the mesh has its outline on the
visible rim of the face, iBUG on the bone."""

# basics/base_68.npy of ATVGnet, points 27 to 44, pixels of the 163 x 163 picture. (base_68_close.npy, which the
# scripts choose for closed eyes, is the same file byte for byte, so the choice changes nothing.)
_ATVG_TEMPLATE = (
    (65, 37), (65, 47), (65, 57), (66, 68), (54, 75), (60, 77), (66, 78), (71, 76), (77, 75),
    (28, 39), (35, 35), (43, 35), (50, 40), (43, 42), (34, 42), (79, 40), (86, 34), (94, 34),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class CropRecipe:
    """How a crop is placed by the face. A change of any number is a new version."""

    name: str
    version: int
    size: tuple[int, int]
    """(height, width) of the crop, pixels."""
    kind: Literal["square", "box", "similarity"]
    """"square": with s the half side of the detector-like box (its longer side) and (x, y) its centre, the crop
    spans [x - s * (1 + scale), x + s * (1 + scale)] and [y - s * up, y + s * down]. "box": the detector-like
    box with `pads`, stretched to `size`. "similarity": points brought onto `template` by rotation, scale and shift."""
    smooth: Literal["none", "median", "ahead"]
    """Over time: a centred median of `window` frames (ends repeated), or the mean of a frame and those ahead."""
    window: int
    border: int
    """Grey level outside the picture."""
    source: str
    """Paper, repository and file that the numbers are from, and what differs here."""
    scale: float = 0.0
    up: float = 1.0
    down: float = 1.0
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, bottom, left, right: pixels of the canvas, whatever the size of the face."""
    template: tuple[tuple[int, int], ...] = ()
    """Crop pixels of the points that `eyes_and_nose` gives."""

    def signature(self) -> str:
        """Every number of the recipe in one line; those of a template as their hash."""
        h, w = self.size
        parts = [f"{h}x{w}", self.kind]
        if self.kind == "square":
            parts += [f"scale={self.scale}", f"up={self.up}", f"down={self.down}"]
        if self.kind == "box":
            parts.append(f"pads={'/'.join(map(str, self.pads))}")
        if self.kind == "similarity":
            digest = hashlib.sha256(repr(self.template).encode()).hexdigest()[:8]
            parts.append(f"template={len(self.template)}:{digest}")
        else:
            parts.append(f"box={_DETECTOR_SIZE}/{_DETECTOR_RISE}")
        parts.append(self.smooth if self.smooth == "none" else f"{self.smooth}{self.window}")
        return f"{self.name}/{self.version}({','.join(parts)},border={self.border})"


_WAV2LIP = "Prajwal et al., ACM MM 2020; Rudrabha/Wav2Lip"
RECIPES: dict[str, CropRecipe] = {
    recipe.name: recipe
    for recipe in (
        CropRecipe(
            "syncnet-224", 1, (224, 224), "square", "median", 13, 110, scale=0.4, up=1.0, down=1.8,
            source="Chung & Zisserman, ACCVW 2016; joonson/syncnet_python@6efbb1c run_pipeline.py: crop_scale 0.40, "
            "median filter 13, pad value 110. Here: a box from landmarks, no JPEG or AVI in between.",
        ),
        CropRecipe(
            "face-128", 2, (128, 128), "box", "none", 1, 0,
            source="Park et al. (SyncTalkFace), AAAI 2022; its crops are those of Wav2Lip's preprocess.py at 128 x "
            "128: the detector's box, frame by frame, no pads, no smoothing, stretched. CALS: the same setting.",
        ),
        CropRecipe(
            "wav2lip-96", 1, (96, 96), "box", "ahead", 5, 0, pads=(0, 10, 0, 0),
            source=f"{_WAV2LIP}@0600d0f inference.py: pads 0 10 0 0, get_smoothened_boxes T=5, stretched. Here: "
            "boxes keep their fractions, and black is outside of the picture (there, boxes end at its rim).",
        ),
        CropRecipe(
            "wav2lip-96-lists", 1, (96, 96), "box", "ahead", 5, 0,
            source=f"{_WAV2LIP}@5c90fa9 evaluation/gen_videos_from_filelist.py: as wav2lip-96 with pads 0 0 0 0.",
        ),
        CropRecipe(
            "atvg-128", 1, (128, 128), "similarity", "none", 1, 0,
            # [1:129, 1:129] of the 163 x 163 picture that the template is drawn in.
            template=tuple((x - 1, y - 1) for x, y in _ATVG_TEMPLATE),
            source="Chen et al. (ATVGnet), CVPR 2019; lelechen63/ATVGnet@02d8f8f code/demo.py, the same in "
            "yuangan/evaluation_eat@e39b004 code/utils_crop_psnr.py. Here: one resampling from the canvas, not two.",
        ),
        CropRecipe(
            "steady-172", 1, (172, 172), "similarity", "none", 1, 0,
            # The template's picture, 22 pixels wider to the left and 16 taller above: the chin fits, and the tip of
            # the nose lies just above the middle.
            template=tuple((x + 22, y + 16) for x, y in _ATVG_TEMPLATE),
            source="tkbench. A face for generators to be trained on: the template of atvg-128 in a larger picture. "
            "It is placed by eyes and nose, so it tells nothing of the jaw; a box of all landmarks would.",
        ),
    )
}  # fmt: skip
"""Every recipe by name."""

STORED = ("syncnet-224", "face-128", "wav2lip-96", "atvg-128")
"""The recipes whose matrices preparation stores unless told otherwise."""


def recipe_of(name: str) -> CropRecipe:
    """The recipe called `name`; UnknownName with a suggestion otherwise."""
    if name not in RECIPES:
        raise UnknownName(f"no crop recipe is called {name!r}: {suggest(name, list(RECIPES))}")
    return RECIPES[name]


def point_set(points: Array) -> Literal["mesh", "ibug68"]:
    """Which set landmarks (T, N, 2) belong to, by their number; BadInput for another number."""
    count = points.shape[1]
    if count in (468, 478):
        return "mesh"
    if count == 68:
        return "ibug68"
    raise BadInput(f"{count} landmarks per frame; known are 478 (Face Mesh, 468 without iris) and 68 (iBUG)")


def ibug68(points: Array) -> Array:
    """(T, N, 2) of either set as 68 points in iBUG order."""
    return points if point_set(points) == "ibug68" else points[:, list(IBUG_OF_MESH)]


def eyes_and_nose(points: Array) -> Float64:
    """The points that a template has, iBUG's 27 to 44: (T, N, 2) -> (T, 18, 2) float64."""
    return np.asarray(ibug68(points)[:, 27:45], np.float64)


def extent(points: Array) -> tuple[Array, Array]:
    """The lowest and the highest x and y in each frame: (T, N, 2) -> two (T, 2)."""
    # One coordinate after the other in memory: numpy searches such rows 40 times faster.
    rows = np.ascontiguousarray(np.swapaxes(points, 1, 2))
    return rows.min(axis=2), rows.max(axis=2)


def face_box(points: Array) -> tuple[Float64, Float64, Float64, Float64]:
    """The box that the field's detector would give: centre x, centre y, width, height, each (T,) pixels."""
    low, high = extent(points)
    x, y = 0.5 * (low + high).T
    wide, tall = (high - low).T
    if point_set(points) == "ibug68":
        y = y - _MESH_RISE * tall
        wide, tall = _MESH_WIDTH * wide, _MESH_HEIGHT * tall
    y = y - _DETECTOR_RISE * tall
    return x, y, _DETECTOR_SIZE * np.maximum(wide, 1.0), _DETECTOR_SIZE * np.maximum(tall, 1.0)
