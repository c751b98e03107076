"""Why a clip cannot be scored: the checks that metrics run before they compute anything.

Each function returns None where nothing is wrong, and otherwise a (reason, detail) pair for `base.unscored`. The
detail says what was found and what was expected.
"""

from __future__ import annotations

import numpy as np

from tkbench.crops.recipes import ibug68, point_set
from tkbench.errors import BadInput
from tkbench.types import SAMPLES_PER_FRAME, Array, Float32, Reason, Sample, UInt8

Fault = tuple[Reason, str]
LOUDEST = 4.0
"""A decoder may overshoot 1 a little; samples on the 16-bit scale lie far above this."""


def picture_fault(sample: Sample, video: UInt8) -> Fault | None:
    """Whether the pictures of `video` have another type or size than the sample's; their number does not matter."""
    want = sample.video.shape
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[1:] != want[1:]:
        found = f"{video.dtype} {video.shape}, expected uint8 (n, {want[1]}, {want[2]}, 3)"
        return Reason.WRONG_SHAPE, found
    return None


def video_fault(sample: Sample, video: UInt8) -> Fault | None:
    """Whether `video` has another type, size or length than the sample's, in this order."""
    fault = picture_fault(sample, video)
    if fault is not None:
        return fault
    if len(video) != len(sample):
        return Reason.WRONG_LENGTH, f"{len(video)} frames, expected {len(sample)}"
    if len(video) == 0:
        return Reason.TOO_SHORT, "no frames"
    return None


def audio_fault(sample: Sample, audio: Float32) -> Fault | None:
    """Whether `audio` cannot be a voice of the sample's length in [-1, 1)."""
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        return Reason.WRONG_SHAPE, f"audio is {audio.dtype} {audio.shape}, expected float32 (S,)"
    if len(audio) != len(sample) * SAMPLES_PER_FRAME:
        expected = len(sample) * SAMPLES_PER_FRAME
        return Reason.WRONG_LENGTH, f"{len(audio)} samples, expected {expected} ({len(sample)} frames x 640)"
    if not np.isfinite(audio).all():
        return Reason.NOT_FINITE, "audio holds nan or inf"
    if len(audio) and (peak := float(np.abs(audio).max())) > LOUDEST:
        return Reason.WRONG_RANGE, f"audio reaches {peak:.0f}, expected samples in [-1, 1)"
    return None


def landmark_fault(landmarks: Array, frames: int, kind: str | None = None) -> Fault | None:
    """Whether `landmarks` cannot be those of a face in `frames` pictures. kind: the only set of points that will do."""
    if landmarks.ndim != 3 or landmarks.shape[2] != 2 or not np.issubdtype(landmarks.dtype, np.floating):
        found = f"landmarks are {landmarks.dtype} {landmarks.shape}, expected float (T, 478, 2) or (T, 68, 2)"
        return Reason.WRONG_SHAPE, found
    try:
        points = point_set(landmarks)
    except BadInput as error:
        return Reason.WRONG_SHAPE, str(error)
    if kind is not None and points != kind:
        return Reason.WRONG_SHAPE, f"landmarks are {points}, expected {kind}"
    if len(landmarks) != frames:
        return Reason.WRONG_LENGTH, f"landmarks of {len(landmarks)} frames, expected {frames}"
    if not np.isfinite(landmarks).all():
        return Reason.NOT_FINITE, "landmarks hold nan or inf"
    eyes = ibug68(landmarks)[:, [36, 45]]
    if (np.abs(eyes[:, 0] - eyes[:, 1]).max(axis=1) < 1.0).any():
        return Reason.NO_FACE, "the corners of the eyes are less than a pixel apart"
    return None
