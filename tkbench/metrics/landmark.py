"""Landmark distances (LMD) in the variants that papers call by one name, and how lips open and close.

Both compare the 68 iBUG points of the generated video with those of the true one; the tracker that prepared the true
video finds them. Points of Face Mesh are converted to iBUG's (`tkbench.crops.recipes.IBUG_OF_MESH`), so a column says
which points it was made from: `_mesh` never compares with `_fan`, nor either with published numbers on dlib's points.

    lmd_atvg   mouth, about its centre, SUM over 20 points       Chen et al. 2019; lelechen63/ATVGnet
    lmd_mouth  mouth, about its centre, mean over 20 points      "M-LMD" of yuangan/evaluation_eat@0fd6e2e test_lmd.py
    lmd_face   face, about its centre, mean over 68 points       "F-LMD" of the same
    lvd_mouth  first differences of the mouth as it lies, mean   "LVD" of the same (frames: T, not T - 1, as there)
    lvd_face   first differences of the face as it lies, mean    the same; the script adds the mouth's value by mistake
    lmd_nerf   mouth, about its centre, mean over 20 points      ER-NeRF's utils.py (Li et al. 2023)
    lmd_vico   mouth as it lies, mean |dx| and |dy|              ViCo challenge (IP_LAP)

The first five are measured in pixels of the 128 x 128 ATVGnet crop of each video (crop recipe atvg-128), the last two
in pixels of the canvas. The published formula of `lmd_atvg` divides by the number of points; its code does not.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tkbench.crops import align
from tkbench.crops.recipes import ibug68
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    FaceMetric,
    FaceSource,
    Score,
    TrackedFace,
    no_face_source,
    unscored,
)
from tkbench.metrics.faults import landmark_fault, video_fault
from tkbench.metrics.mouth import aperture
from tkbench.registry import suggest
from tkbench.types import Array, Bool, Column, Float32, Float64, Reason, Sample, UInt8

MOUTH, FACE = slice(48, 68), slice(0, 68)
Points = Literal["mesh", "fan"]
KINDS = {"mesh": "mesh", "fan": "ibug68"}
"""What a column's name ends in -> the set of landmarks that it needs."""
STILL = 0.01
"""Spread of the opening, in eye distances, below which lips count as still. Talkers have 0.03 to 0.08; tracking of one
picture held for 100 frames gives 0.003 on most clips and up to 0.008 on all but 2 of 33."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to turn two tracks into a number."""

    label: str
    what: str
    """What is compared, in the words of the report."""
    part: slice
    crop: str | None
    """Recipe whose pixels are the unit; None: pixels of the canvas."""
    centred: bool
    """Each frame about its own mean point."""
    moving: bool
    """First differences instead of places."""
    norm: Literal["sum", "mean", "l1"]
    """Over points: sum of L2 norms, mean of L2 norms, mean of absolute coordinates."""

    def signature(self) -> str:
        """Every choice in one line."""
        points = f"{self.part.start}:{self.part.stop}"
        what = "velocity" if self.moving else "place"
        centre = "centred" if self.centred else "as-it-lies"
        return f"{points},{what},{centre},{self.norm},px:{self.crop or 'canvas'}"


VARIANTS: dict[str, Variant] = {
    "lmd_atvg": Variant(
        "LMD (ATVGnet)",
        "20 points of the mouth about their centre, summed over the points as ATVGnet's code does",
        MOUTH, "atvg-128", True, False, "sum",
    ),
    "lmd_mouth": Variant(
        "M-LMD",
        "20 points of the mouth about their centre, averaged over the points",
        MOUTH, "atvg-128", True, False, "mean",
    ),
    "lmd_face": Variant(
        "F-LMD",
        "68 points of the face about their centre, averaged over the points",
        FACE, "atvg-128", True, False, "mean",
    ),
    "lvd_mouth": Variant(
        "M-LVD",
        "how 20 points of the mouth move from frame to frame, averaged over the points",
        MOUTH, "atvg-128", False, True, "mean",
    ),
    "lvd_face": Variant(
        "F-LVD",
        "how 68 points of the face move from frame to frame, averaged over the points",
        FACE, "atvg-128", False, True, "mean",
    ),
    "lmd_nerf": Variant(
        "LMD (ER-NeRF)",
        "20 points of the mouth about their centre, averaged over the points as ER-NeRF's code does",
        MOUTH, None, True, False, "mean",
    ),
    "lmd_vico": Variant(
        "LipLMD (ViCo)",
        "20 points of the mouth as they lie, averaged over coordinates",
        MOUTH, None, False, False, "l1",
    ),
}  # fmt: skip
"""By the name that its column starts with."""
OTHER_NAMES = {
    "lmd_atvg": ("LMD", "landmark distance"),
    "lmd_mouth": ("LMD", "mouth landmark distance"),
    "lmd_face": ("LMD", "face landmark distance"),
    "lvd_mouth": ("LVD", "landmark velocity difference"),
    "lvd_face": ("LVD", "landmark velocity difference"),
    "lmd_nerf": ("LMD",),
    "lmd_vico": ("LipLMD",),
}
"""What papers call the same number; "LMD" alone is seven things."""
POINT_TEXTS = {
    "mesh": "On Face Mesh points; never compares with other landmarks.",
    "fan": "On FAN points; never compares with other landmarks.",
}


def distance(real: Array, made: Array, variant: Variant, both: Bool | None = None) -> float:
    """The number of one clip: (T, 68, 2) points of the true and the generated video, in the variant's pixels.

    both: (T,) which frames count, by default all; a velocity needs two that stand side by side.

    >>> real = np.zeros((2, 68, 2))
    >>> made = real.copy()
    >>> made[:, 50] = 3.0, 4.0
    >>> distance(real, made, VARIANTS["lmd_vico"])
    0.175
    """
    if real.shape != made.shape or real.ndim != 3 or real.shape[1:] != (68, 2) or len(real) == 0:
        raise BadInput(f"points are {real.shape} and {made.shape}; expected two equal (T, 68, 2), T >= 1")
    both = np.ones(len(real), bool) if both is None else both
    total = int(both.sum())
    a, b = (np.asarray(points[:, variant.part], np.float64) for points in (real, made))
    if variant.centred:
        a, b = (points - points.mean(axis=1, keepdims=True) for points in (a, b))
    if variant.moving:
        a, b, both = np.diff(a, axis=0), np.diff(b, axis=0), both[1:] & both[:-1]
    gap = (a - b)[both]
    if variant.norm == "l1":
        return float(np.abs(gap).mean())
    each = np.linalg.norm(gap, axis=2).sum(axis=1)
    if variant.norm == "mean":
        each = each / a.shape[1]
    return float(each.sum() / total)


def in_crop(landmarks: Array, recipe: str | None) -> Float64:
    """(T, N, 2) canvas pixels -> (T, 68, 2) pixels of each frame's own crop, or of the canvas."""
    points = np.asarray(ibug68(landmarks), np.float64)
    if recipe is None:
        return points
    matrices = align.matrices(landmarks, recipe)
    return np.einsum("tij,tnj->tni", matrices[:, :, :2], points) + matrices[:, None, :, 2]


class TrackPair(FaceMetric):
    """What metrics on two tracks share: checks, and the frames in which both videos show the face."""

    def __init__(self, points: Points, context: BuildContext) -> None:
        if points not in KINDS:
            raise UnknownName(f"no points are called {points!r}: {suggest(points, list(KINDS))}")
        super().__init__(context=context)
        self.points = points

    def score(
        self, sample: Sample, video: UInt8, audio: Float32, face: FaceSource = no_face_source
    ) -> ClipScores:
        """Every column of one clip."""
        fault = video_fault(sample, video) or landmark_fault(
            sample.landmarks, len(sample), KINDS[self.points]
        )
        if fault is not None:
            return unscored(self.columns, *fault)
        tracked = face()
        if tracked.reason is not None:
            return unscored(self.columns, tracked.reason, tracked.detail)
        fault = landmark_fault(tracked.landmarks, len(sample), KINDS[self.points])
        if fault is not None:
            return unscored(self.columns, *fault)
        both = np.asarray((sample.track_score > 0) & tracked.found, bool)
        if not both.any():
            return unscored(self.columns, Reason.NO_FACE, "no frame shows the face in both videos")
        return ClipScores(self.values(sample, tracked, both))

    @abstractmethod
    def values(self, sample: Sample, tracked: TrackedFace, both: Bool) -> dict[str, Score]:
        """By column; `both`: (T,) the frames to compare, at least one."""


class Lmd(TrackPair):
    """Landmark distances by name, 0 for identical videos; the columns are called VARIANT_POINTS."""

    name = "lmd"
    compares_with_true_video = True

    def __init__(
        self,
        *,
        variants: Sequence[str] = ("lmd_mouth", "lmd_face"),
        points: Points = "mesh",
        context: BuildContext = ON_CPU,
    ) -> None:
        super().__init__(points, context)
        for name in variants:
            if name not in VARIANTS:
                raise UnknownName(f"no landmark distance is called {name!r}: {suggest(name, list(VARIANTS))}")
        if not variants:
            raise UsageError(f"lmd: no variants are asked for; known: {', '.join(VARIANTS)}")
        self.variants = tuple(variants)
        self.columns = tuple(self._column(name) for name in self.variants)

    def _column(self, name: str) -> Column:
        rule = VARIANTS[name]
        unit = "the canvas" if rule.crop is None else "each video's own 128 × 128 crop (ATVGnet's)"
        return Column(
            f"{name}_{self.points}",
            f"{rule.label}, {self.points}",
            "px",
            "lower",
            3,
            signature=f"{name}[{self.points},{rule.signature()}]",
            bounds=(0.0, math.inf),
            also_called=OTHER_NAMES[name],
            text=f"Landmark distance to the true video: {rule.what}, in pixels of {unit}. It sees wrong "
            "shapes and wrong timing alike. Two trackings of one face never agree fully, so equal lips in "
            "another picture do not score exactly 0.",
            variant=POINT_TEXTS[self.points],
        )

    def values(self, sample: Sample, tracked: TrackedFace, both: Bool) -> dict[str, Score]:
        out = {}
        for name, column in zip(self.variants, self.columns, strict=True):
            rule = VARIANTS[name]
            real, made = (in_crop(track, rule.crop) for track in (sample.landmarks, tracked.landmarks))
            if rule.moving and not (both[1:] & both[:-1]).any():
                detail = "no two frames side by side; a velocity needs them"
                out[column.name] = Score(math.nan, Reason.TOO_SHORT, detail)
            else:
                out[column.name] = Score(distance(real, made, rule, both))
        return out


class Lip(TrackPair):
    """How the opening of the lips follows the true one: correlation, and mean error in hundredths of the eye distance.

    Lips that stand still (`STILL`) follow nothing: they score 0, not the correlation of the tracker's noise.

    truth: compare with the exact opening that the synthetic corpus keeps beside each clip. The line that best maps the
    true video's landmarks to that truth is applied first; the error is then a share of the widest opening.
    """

    name = "lip"
    compares_with_true_video = True

    def __init__(
        self, *, points: Points = "mesh", truth: bool = False, context: BuildContext = ON_CPU
    ) -> None:
        super().__init__(points, context)
        self.truth = truth
        signature = f"lip[{points},opening,against:{'truth' if truth else 'real'},still:{STILL:g}]"
        middle, word = ("_truth", " to truth") if truth else ("", "")
        self.columns = (
            Column(
                f"lip_corr{middle}_{points}",
                f"Lip corr.{word}, {points}",
                "correlation",
                "higher",
                3,
                signature=signature,
                bounds=(-1.0, 1.0),
                text=CORR_TO_TRUTH if truth else CORR_TO_REAL,
                variant=POINT_TEXTS[points],
            ),
            Column(
                f"lip_error{middle}_{points}",
                f"Lip error{word}, {points}",
                "% of widest" if truth else "% of eye distance",
                "lower",
                2,
                signature=signature,
                bounds=(0.0, math.inf),
                text=ERROR_TO_TRUTH if truth else ERROR_TO_REAL,
                variant=POINT_TEXTS[points],
            ),
        )

    def values(self, sample: Sample, tracked: TrackedFace, both: Bool) -> dict[str, Score]:
        real, made = aperture(sample.landmarks)[both], aperture(tracked.landmarks)[both]
        wanted = real
        if self.truth:
            exact = true_aperture(sample.meta, len(sample))
            if exact is None:
                why = "this data set has no exact opening of the lips; only the synthetic corpus does"
                return unscored(self.columns, Reason.NO_TRUTH, why).values
            both = both & (np.arange(len(both)) < len(exact))
            real, made = (aperture(track)[both] for track in (sample.landmarks, tracked.landmarks))
            wanted = exact[both[: len(exact)]]
            if real.std() > 0:
                slope, shift = np.polyfit(real, wanted, 1)
                made = slope * made + shift
        follows, off = self.columns
        error = Score(float(100 * np.abs(made - wanted).mean()))
        if real.std() < STILL or len(real) < 3:
            detail = f"the true lips move by {real.std():.4f} eye distances; {STILL:g} are needed"
            return {follows.name: Score(math.nan, Reason.UNCLEAR, detail), off.name: error}
        moves = aperture(tracked.landmarks)[both].std() >= STILL
        return {follows.name: Score(correlation(made, wanted) if moves else 0.0), off.name: error}


CORR_TO_REAL = (
    "How closely the opening of the lips follows the true one over time: 1 for a perfect copy, 0 for lips "
    "that stand still."
)
ERROR_TO_REAL = (
    "Mean difference of the opening of the lips from the true one, in hundredths of the distance between "
    "the outer corners of the eyes."
)
CORR_TO_TRUTH = (
    "How closely the opening of the lips follows the exact one that the synthetic face was drawn with: 1 "
    "for a perfect copy, 0 for lips that stand still. The true video shows what tracking allows."
)
ERROR_TO_TRUTH = (
    "Mean error of the opening of the lips against the exact one that the synthetic face was drawn with, in "
    "hundredths of the widest opening."
)


def correlation(a: Array, b: Array) -> float:
    """Pearson's, in [-1, 1]; 0 where one of them does not change: lips that stand still follow nothing.

    >>> correlation(np.array([0.0, 1, 2]), np.array([0.0, 2, 4])), correlation(np.zeros(3), np.arange(3.0))
    (1.0, 0.0)
    """
    x, y = (np.asarray(v, np.float64) - np.mean(v, dtype=np.float64) for v in (a, b))
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(np.clip(x @ y / spread, -1.0, 1.0)) if spread > 1e-12 else 0.0


def true_aperture(meta: Mapping[str, object], frames: int) -> Float64 | None:
    """(n,) exact opening in [0, 1] from a sample's meta, or None where it keeps none.

    n is `frames`, or one less: a picture that a decoder repeats at the very end has no truth of its own.
    """
    extra, first = meta.get("extra"), meta.get("start_frame", 0)
    kept = extra.get("aperture") if isinstance(extra, Mapping) else None
    if not isinstance(kept, Sequence) or isinstance(kept, str) or not isinstance(first, int):
        return None
    part = np.asarray(kept[first : first + frames], np.float64)
    return part if 0 <= frames - len(part) <= 1 and len(part) and np.isfinite(part).all() else None
