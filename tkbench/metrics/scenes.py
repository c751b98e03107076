"""Where a video is cut, by the rules of the releases of PySceneDetect that the field's LSE scripts pin.

All of them take the change of hue, saturation and value from one picture to the next (ContentDetector), and start a
scene where it reaches a threshold. They differ in everything else:

    rule       pinned by                      threshold  pictures are brought to       a cut too soon after another
    psd-0.5.1  syncnet_python up to 6efbb1c   30         every n-th pixel, n by width  is left out
    psd-0.6.1  LatentSync                     27         1/n, n = width // 256         is left out, also at the start
    psd-0.6.7  MoChaBench (0.6.6),            27         longest side 256, if above    merges with those that follow
               syncnet_python 1fbfc08 (0.6.7.1)

Scenes are [first, stop) frames. With the releases of 0.6 a video without a cut is one scene. In 0.6.1 the last scene of
a video with cuts lacks its last frame. The tests hold the rules against what those releases answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np

from tkbench.types import Array, UInt8

SceneRule = Literal["psd-0.5.1", "psd-0.6.1", "psd-0.6.7"]
MIN_SCENE = 15
"""Frames that a scene has at least."""
THRESHOLDS: dict[SceneRule, float] = {"psd-0.5.1": 30.0, "psd-0.6.1": 27.0, "psd-0.6.7": 27.0}
SIDE = 256
"""Pixels that releases of 0.6 bring a picture to."""
_EVERY = ((3200, 12), (2100, 8), (1700, 6), (1200, 5), (900, 4), (600, 3), (400, 2))
"""(width of the picture, n): in 0.5.1, from this width on only every n-th pixel is used."""


def scenes(frames: Iterable[UInt8], rule: SceneRule) -> list[tuple[int, int]]:
    """The scenes of a video from its pictures in order, (H, W, 3) RGB each; [] where there is no picture."""
    scores = content_changes(frames, rule)
    if not scores:
        return []
    above = [score >= THRESHOLDS[rule] for score in scores]
    if rule == "psd-0.6.7":
        starts = _merged(above)
    else:
        starts = _spaced(above, last=0 if rule == "psd-0.6.1" else -MIN_SCENE)
    end = len(scores) - 1 if rule == "psd-0.6.1" and starts else len(scores)
    return list(zip([0, *starts], [*starts, end], strict=True))


def content_changes(frames: Iterable[UInt8], rule: SceneRule) -> list[float]:
    """The mean change of hue, saturation and value at each picture; 0 at the first."""
    scores: list[float] = []
    before: Array | None = None
    for frame in frames:
        now = cv2.cvtColor(_shrunk(frame, rule), cv2.COLOR_RGB2HSV)
        if before is None:
            scores.append(0.0)
        else:
            sums = cv2.absdiff(now, before).sum(axis=(0, 1), dtype=np.int64)
            scores.append(float((sums / float(now.shape[0] * now.shape[1])).sum() / 3.0))
        before = now
    return scores


def _shrunk(frame: UInt8, rule: SceneRule) -> UInt8:
    height, width = frame.shape[:2]
    if rule == "psd-0.5.1":
        step = next((n for least, n in _EVERY if width >= least), 1)
        return np.ascontiguousarray(frame[::step, ::step])
    if rule == "psd-0.6.1":
        factor = float(max(1, width // SIDE))
    else:
        factor = max(1.0, max(width, height) / SIDE)
    if factor == 1.0:
        return np.ascontiguousarray(frame)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small: UInt8 = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
    return small


def _spaced(above: list[bool], last: int) -> list[int]:
    """Cuts at least MIN_SCENE frames after the one before; `last` stands for one before the first."""
    starts = []
    for t, cut in enumerate(above):
        if cut and t - last >= MIN_SCENE:
            starts.append(t)
            last = t
    return starts


def _merged(above: list[bool]) -> list[int]:
    """Cuts of 0.6.4 and later: a burst of changes becomes one more cut at its end, once it has gone on long enough.

    A change less than MIN_SCENE frames after the last one opens a burst, but not before the first cut. The burst ends
    when MIN_SCENE frames pass without a change and it has lasted as long itself; until then it takes in all that
    follow.
    """
    starts: list[int] = []
    last = 0
    burst: int | None = None
    for t, cut in enumerate(above):
        apart = t - last >= MIN_SCENE
        if cut:
            last = t
        if burst is not None:
            if apart and not cut and last - burst >= MIN_SCENE:
                starts.append(last)
                burst = None
        elif cut and apart:
            starts.append(t)
        elif cut and starts:
            burst = t
    return starts
