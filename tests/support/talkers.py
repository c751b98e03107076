"""One synthetic talker for the tests of metrics on landmarks: rendered and tracked once per process."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tkbench.metrics.base import FaceSource, TrackedFace
from tkbench.types import Array, Float32, Sample


@lru_cache(maxsize=2)
def talker(speaker: int = 0, seconds: tuple[float, float] = (4.0, 5.0)) -> Sample:
    """A clip of 4 to 5 s, 192 x 192, with tracked landmarks and its exact truth; always the same."""
    from tkbench.prep import backends
    from tkbench.synth import make_clip

    clip = make_clip(seed=3, speaker=speaker, index=speaker, seconds=seconds, size=192)
    tracker = backends.shared(backends.DEFAULT)
    tracker.restart()
    found = [tracker.track([np.ascontiguousarray(frame)])[0] for frame in clip.frames]
    landmarks = np.stack([points for points in found if points is not None])
    assert len(landmarks) == len(clip.frames)
    return Sample(
        key=clip.truth["key"],
        video=clip.frames,
        audio=clip.audio,
        landmarks=landmarks,
        track_score=np.ones(len(landmarks), np.float32),
        dataset="synth",
        split="test",
        speaker=clip.truth["speaker"],
        meta={"extra": clip.truth, "start_frame": 0, "track": {"backend": backends.DEFAULT}},
    )


def seeing(landmarks: Float32, found: Array | None = None) -> FaceSource:
    """A source of these landmarks, in the place of a tracker."""
    kept = np.ones(len(landmarks), bool) if found is None else found
    return lambda: TrackedFace(landmarks, kept)


def late(landmarks: Float32, frames: float) -> Float32:
    """The same mouth `frames` later (a fraction is interpolated); the ends stand still."""
    times = np.clip(np.arange(len(landmarks)) - frames, 0, len(landmarks) - 1)
    low = np.floor(times).astype(int)
    high = np.minimum(low + 1, len(landmarks) - 1)
    share = (times - low)[:, None, None]
    return ((1 - share) * landmarks[low] + share * landmarks[high]).astype(np.float32)
