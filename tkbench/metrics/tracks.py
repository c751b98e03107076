"""Face tracks and crops as the field's scripts for real videos make them, from boxes per frame; pure geometry.

The source is run_pipeline.py of joonson/syncnet_python@1fbfc08 (track_shot, crop_video). Its behaviour is kept where it
surprises: after a face was taken out of a frame's list the loop skips the next one, a track must be longer than
`min_track` (not as long), and the crop is cut with truncated corners. `strict` is MoChaBench's version of the same loop
(syncnet_pipeline.py), where the first face that does not fit ends the search in a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.errors import BadInput
from tkbench.types import Array, Float64, UInt8

IOU = 0.5
"""A box continues a track where it overlaps the last one by more."""
MAX_GAP = 25
"""Frames without a detection after which a track ends."""
MIN_FACE = 100
"""Mean width or height in pixels that a track must exceed."""
PAD = 110
"""Grey level outside the picture."""
WINDOW = 13
"""Frames of the median filter over the boxes; it pads with zeros, as scipy.signal.medfilt does."""


@dataclass(frozen=True, slots=True)
class BoxTrack:
    """One face over the frames from `start` on; boxes (T, 4) float64 x0, y0, x1, y1."""

    start: int
    boxes: Float64

    @property
    def end(self) -> int:
        """The frame after the last one."""
        return self.start + len(self.boxes)


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes (4,).

    >>> overlap(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2]))
    0.3333333333333333
    """
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return float(both / union) if union > 0 else 0.0


def link(
    detections: Sequence[Array], scenes: Sequence[tuple[int, int]], *, min_track: int, strict: bool = False
) -> tuple[list[BoxTrack], list[int]]:
    """(tracks that count, lengths of those that do not) from (n, 4) boxes per frame.

    `scenes`: [first, stop) of each, in which a track must lie. Gaps are filled by straight lines. The lengths are
    those of tracks that were too short; a track whose face is too small is in neither list but counts with length 0.
    """
    tracks: list[BoxTrack] = []
    rejected: list[int] = []
    for first, stop in scenes:
        if stop - first < min_track:
            rejected.append(stop - first)
            continue
        frames = range(first, min(stop, len(detections)))
        faces = [[(t, np.asarray(box, np.float64)) for box in detections[t]] for t in frames]
        while found := _follow(faces, strict):
            if len(found) <= min_track:
                rejected.append(len(found))
                continue
            times = np.array([t for t, _ in found])
            every = np.arange(times[0], times[-1] + 1)
            sides = np.stack([box for _, box in found]).T
            boxes = np.stack([np.interp(every, times, side) for side in sides], axis=1)
            if max((boxes[:, 2] - boxes[:, 0]).mean(), (boxes[:, 3] - boxes[:, 1]).mean()) > MIN_FACE:
                tracks.append(BoxTrack(int(times[0]), boxes))
            else:
                rejected.append(0)
    return tracks, rejected


def _follow(faces: list[list[tuple[int, Float64]]], strict: bool) -> list[tuple[int, Float64]]:
    """Take one track out of the lists; [] where nothing is left."""
    track: list[tuple[int, Float64]] = []
    for frame in faces:
        at = 0
        while at < len(frame):
            t, box = frame[at]
            near = not track or t - track[-1][0] <= MAX_GAP
            if not track or (near and overlap(box, track[-1][1]) > IOU):
                track.append(frame.pop(at))
            elif strict or not near:
                break
            # Also after a removal, when the next face has moved to this index: the script does the same.
            at += 1
    return track


def smooth_boxes(boxes: Float64) -> tuple[Float64, Float64, Float64]:
    """(half side, centre x, centre y) of each box, each a running median over 13 frames."""
    half = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]) / 2
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return _median(half), _median(x), _median(y)


def _median(values: Float64) -> Float64:
    padded = np.pad(values, WINDOW // 2)
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1), np.float64)


def crop_track(
    frames: Sequence[UInt8] | UInt8, track: BoxTrack, *, size: int = 224, scale: float = 0.4
) -> UInt8:
    """The square crops of a track: (T, H, W, 3) -> (len(track.boxes), size, size, 3), bilinear as cv2.resize does."""
    if track.end > len(frames):
        raise BadInput(f"the track ends at frame {track.end} of {len(frames)}")
    out = np.empty((len(track.boxes), size, size, 3), np.uint8)
    values = zip(range(track.start, track.end), *smooth_boxes(track.boxes), out, strict=True)
    for t, half, x, y, place in values:
        frame: UInt8 = frames[t]
        pad = int(half * (1 + 2 * scale))
        x, y = x + pad, y + pad
        rows = int(y - half), int(y + half * (1 + 2 * scale))
        columns = int(x - half * (1 + scale)), int(x + half * (1 + scale))
        part = _padded_part(frame, pad, rows, columns)
        if part.size == 0:
            raise BadInput(f"a box of the track lies outside the {frame.shape[1]}x{frame.shape[0]} picture")
        cv2.resize(part, (size, size), dst=place)
    return out


def _padded_part(frame: UInt8, pad: int, rows: tuple[int, int], columns: tuple[int, int]) -> UInt8:
    """A part of the picture with `pad` grey pixels around it, without making all of that picture."""
    height, width = frame.shape[:2]
    top, bottom = max(0, rows[0]), min(height + 2 * pad, rows[1])
    left, right = max(0, columns[0]), min(width + 2 * pad, columns[1])
    part = np.full((max(0, bottom - top), max(0, right - left), 3), PAD, np.uint8)
    y0, y1 = max(top, pad), min(bottom, height + pad)
    x0, x1 = max(left, pad), min(right, width + pad)
    if y0 < y1 and x0 < x1:
        part[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0 - pad : y1 - pad, x0 - pad : x1 - pad]
    return part
