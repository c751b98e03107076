"""A data set's own interval and crop, brought to the file that is there.

Data sets of downloaded videos (HDTF, CelebV-HQ) publish a start, a stop and a window, in pixels of the video as its
makers had it or in shares of its sides. The file may be shorter or have another resolution. Intervals are taken to the
nearest frames of the 25 fps grid, windows in pixels are scaled by the ratio of heights. What cannot be used is recorded
with the reason. All are functions of records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np

from tkbench.errors import BadInput, BadMedia
from tkbench.media import Cut, frames_of
from tkbench.types import FILE_HEIGHT, FPS, Array, Clip, MediaFacts, Reason


class CropRecord(TypedDict, total=False):
    """What became of a data set's own crop, as the receipt has it; empty where the data set has none."""

    used: bool
    why: str
    x: float
    y: float
    width: float
    height: float
    """The four as published, in pixels of a picture that is `of_height` high, or in shares of the picture."""
    of_height: int
    shares: bool
    """Only where they are shares."""
    scale: float
    """From there to the file."""


def interval_of(clip: Clip) -> tuple[float, float] | None:
    """(start, stop) in seconds, or None where the clip is the whole file."""
    return None if clip.start is None or clip.stop is None else (clip.start, clip.stop)


def part_of(facts: MediaFacts, interval: tuple[float, float] | None) -> tuple[MediaFacts, list[str]]:
    """The facts of an interval of a file, and what is to be noted about it.

    Raises BadMedia(TOO_SHORT) for an interval that begins after the file's end, or has no frame in it.
    """
    if interval is None:
        return facts, []
    try:
        first, last = frames_of(interval)
    except BadInput as error:
        raise BadMedia(Reason.TOO_SHORT, str(error)) from error
    there = min(last, int(facts.duration * FPS + 0.5))
    which = f"the interval {interval[0]:g}-{interval[1]:g} s"
    if there <= first:
        raise BadMedia(Reason.TOO_SHORT, f"{which} lies after the end of the file, {facts.duration:.2f} s")
    seconds = (there - first) / FPS
    part = replace(facts, duration=seconds, n_frames=max(1, round(seconds * facts.fps)))
    lacking = last - there
    return part, [f"{which} ends {lacking / FPS:.2f} s after the file"] if lacking else []


def crop_of(clip: Clip | None, width: int, height: int, max_side: int = 512) -> tuple[Cut | None, CropRecord]:
    """The official crop in pixels of a picture of this size, and the record of it for the receipt.

    (None, {}) for a clip of a set without crops, (None, {"used": False, "why": ...}) where one is expected and
    there is none that can be used. Sides and corner are brought to even numbers, which video in 4:2:0 needs. The
    canvas has the clip's `target` as its longer side, up or down; without one at most `max_side`, never up.

    >>> from tkbench.types import Crop
    >>> clip = Clip("k", "v.mp4", "hdtf", crop=Crop(412, 0, 599, 599, of_height=720), target=512)
    >>> crop_of(clip, 1920, 1080)[0]
    Cut(x=618, y=0, width=898, height=898, out_width=512, out_height=512)
    >>> clip = Clip("k", "v.mp4", "folder", crop=Crop(0.25, 0.0, 0.5, 1.0, of_height=0, shares=True))
    >>> crop_of(clip, 1280, 720)[0]
    Cut(x=320, y=0, width=640, height=720, out_width=456, out_height=512)
    """
    if clip is None or (clip.target is None and clip.crop is None):
        return None, {}
    if clip.crop is None:
        return None, {"used": False, "why": "none is published for this clip"}
    crop = clip.crop
    record: CropRecord = {
        "used": False,
        "why": "",
        "x": crop.x,
        "y": crop.y,
        "width": crop.width,
        "height": crop.height,
        "of_height": crop.of_height,
    }
    if crop.shares:
        record["shares"] = True
        scale, why = 1.0, f"given in shares of the picture, the file has {width}x{height}"
        box = [crop.x * width, crop.y * height, crop.width * width, crop.height * height]
    elif crop.of_height == FILE_HEIGHT:
        scale, why = 1.0, "measured on the file"
        box = [crop.x, crop.y, crop.width, crop.height]
    elif crop.of_height <= 0:
        return None, record | {"why": "the resolution that it was measured on is not published"}
    else:
        scale, why = height / crop.of_height, f"annotated at height {crop.of_height}, the file has {height}"
        box = [length * scale for length in (crop.x, crop.y, crop.width, crop.height)]
    if crop.square:
        side = min(box[2], box[3])
        box = [box[0] + (box[2] - side) / 2, box[1] + (box[3] - side) / 2, side, side]
    # One pixel beyond the rim is a matter of counting; more is another picture than the one annotated.
    over = max(box[0] + box[2] - width, box[1] + box[3] - height, -box[0], -box[1])
    if over > max(1.0, scale) + 1e-6:
        why = f"it reaches {over:.0f} pixels beyond the picture of {width}x{height}"
        return None, record | {"why": why}
    side_x, side_y = (_even(length, limit) for length, limit in ((box[2], width), (box[3], height)))
    if crop.square or (crop.width == crop.height and not crop.shares):
        side_x = side_y = min(side_x, side_y)
    x = min(int(box[0] / 2 + 0.5) * 2, (width - side_x) // 2 * 2)
    y = min(int(box[1] / 2 + 0.5) * 2, (height - side_y) // 2 * 2)
    longer = max(side_x, side_y)
    ratio = (clip.target or min(max_side, longer)) / longer
    out = [max(16, int(side * ratio / 2 + 0.5) * 2) for side in (side_x, side_y)]
    cut = Cut(max(0, x), max(0, y), side_x, side_y, *out)
    return cut, record | {"used": True, "why": why, "scale": round(scale, 6)}


def _even(length: float, limit: int) -> int:
    return max(16, min(int(length / 2 + 0.5) * 2, limit // 2 * 2))


def boxes_inside(detections: Sequence[Array], cut: Cut) -> list[Array]:
    """Of boxes (N, 4+) per picture, those whose centre lies in the window."""
    low = np.array([cut.x, cut.y])
    high = low + np.array([cut.width, cut.height])
    kept = []
    for boxes in detections:
        centres = (np.asarray(boxes)[:, :2] + np.asarray(boxes)[:, 2:4]) / 2
        kept.append(np.asarray(boxes)[((centres >= low) & (centres < high)).all(axis=1)])
    return kept
