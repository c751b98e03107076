"""CSIM: does the generated face stay the same person? The cosine of ArcFace embeddings, frame by frame.

    csim          the whole frame resized to 112 x 112, no alignment: as the ViCo challenge's compute_csim.py does
    csim_aligned  both faces laid on insightface's five-point template first, by the TRUE video's landmarks

The network was trained on faces laid on that template; a whole frame resembles them only where the face fills it. Both
are named by their weights, glint360k r100 (`arcface-r100`). Deng et al., "ArcFace", CVPR 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from tkbench import weights
from tkbench.crops import align
from tkbench.crops.recipes import ibug68
from tkbench.errors import UnknownName, UsageError
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    PerClipMetric,
    Score,
    hashes,
    network_file,
    unscored,
)
from tkbench.metrics.faults import landmark_fault, video_fault
from tkbench.registry import suggest
from tkbench.runtime.devices import device_facts
from tkbench.runtime.feature_cache import recall
from tkbench.types import Array, Column, Float32, Float64, Reason, Sample, UInt8

WEIGHT = "arcface-r100"
SIDE = 112
Crop = Literal["whole", "aligned"]
TEMPLATE = (
    (38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041),
)  # fmt: skip
"""insightface's arcface_dst: eyes, tip of the nose, corners of the mouth, pixels of 112 x 112."""


def five_points(landmarks: Array) -> Float64:
    """(T, N, 2) of either set -> (T, 5, 2): centres of the eyes, tip of the nose, corners of the mouth."""
    p = np.asarray(ibug68(landmarks), np.float64)
    eyes = [p[:, 36:42].mean(axis=1), p[:, 42:48].mean(axis=1)]
    return np.stack([*eyes, p[:, 30], p[:, 48], p[:, 54]], axis=1)


def onto_template(points: Float64) -> Float64:
    """(T, 5, 2) -> (T, 2, 3): the turn, scale and shift that lays each frame's points best on TEMPLATE."""
    z = points[..., 0] + 1j * points[..., 1]
    target = np.array([complex(x, y) for x, y in TEMPLATE])
    middle = z.mean(axis=1, keepdims=True)
    centred = z - middle
    goal = target - target.mean()
    turn = (np.conj(centred) * goal).sum(axis=1) / (np.abs(centred) ** 2).sum(axis=1)
    shift = target.mean() - turn * middle[:, 0]
    out = np.empty((len(z), 2, 3))
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = turn.real, -turn.imag, shift.real
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = turn.imag, turn.real, shift.imag
    return out


def whole(frames: UInt8) -> UInt8:
    """(T, H, W, 3) -> (T, 112, 112, 3), bilinear, whatever the shape of the frame."""
    return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for frame in frames])


class Csim(PerClipMetric):
    """Mean cosine over every `stride`-th frame; 1 for identical videos."""

    name = "csim"

    def __init__(self, *, crop: Crop = "whole", stride: int = 1, context: BuildContext = ON_CPU) -> None:
        if crop not in ("whole", "aligned"):
            raise UnknownName(f"CSIM has no crop {crop!r}: {suggest(crop, ['whole', 'aligned'])}")
        if stride < 1:
            raise UsageError(f"CSIM stride {stride}: expected 1 or more frames")
        self.crop, self.stride = crop, stride
        self._file = network_file(WEIGHT)
        super().__init__(context=context)
        self.weights = hashes(self._file)
        aligned = crop == "aligned"
        column = Column(
            "csim_aligned" if aligned else "csim",
            "CSIM (aligned)" if aligned else "CSIM",
            "cosine",
            "higher",
            4,
            signature=f"csim[{WEIGHT}@{self._file.short_hash},crop:{crop},side:{SIDE},stride:{stride}]",
            bounds=(-1.0, 1.0),
            also_called=("cosine similarity of identity embeddings",),
            text="Likeness of the person, by the cosine of face-recognition embeddings of the same frame in both "
            "videos; 1 for identical videos. A different mouth barely lowers it.",
            variant="On faces laid on the network's own template." if aligned else "",
        )
        self.columns = (column,)

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """The mean over frames, in float64."""
        fault = video_fault(sample, video)
        if fault is None and self.crop == "aligned":
            fault = landmark_fault(sample.landmarks, len(sample))
        if fault is not None:
            return unscored(self.columns, *fault)
        path = self._file.path
        if path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._file.hint)
        real, made = (self._embeddings(path, self.faces(sample, side)) for side in (sample.video, video))
        if not (np.isfinite(real).all() and np.isfinite(made).all()):
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf")
        cosine = (real.astype(np.float64) * made).sum(axis=1)
        return ClipScores({self.columns[0].name: Score(float(cosine.mean()))})

    def _embeddings(self, path: Path, faces: UInt8) -> Float32:
        """(n, 512) by the network in `path`, read back where the same faces were given before."""
        from tkbench.metrics.arcface import embeddings, load_arcface

        computation = f"{WEIGHT}|{weights.sha256(path)}|{device_facts(self.device)}"
        (rows,) = recall(
            computation, faces, make=lambda: (embeddings(load_arcface(path, self.device), faces),)
        )
        return rows

    def faces(self, sample: Sample, frames: UInt8) -> UInt8:
        """What the network sees of every `stride`-th frame: (n, 112, 112, 3)."""
        picked = frames[:: self.stride]
        if self.crop == "whole":
            return whole(picked)
        matrices = onto_template(five_points(sample.landmarks[:: self.stride]))
        return align.warp(picked, matrices, (SIDE, SIDE))
