"""Whose face is meant, where a data set says so: a point, a box, or a box at each time of the file.

Of the faces that the detector sees in a picture, the one is kept that lies where the data set says; the others are not
candidates. A face lies there when its centre is inside the box, or the box's centre inside the face. Of a point
(AVSpeech publishes one) it may be one face away, because heads move. If several lie there, the nearest counts.

A track file is a text with a row `seconds x0 y0 x1 y1` for each time, separated by blanks, commas or semicolons; a
first row of names is left out. Seconds count from the file's first picture. The boxes are shares of the picture if all
of their numbers are 0 to 1, otherwise pixels. Between two rows the box is interpolated; before the first and after the
last one it stands still.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tkbench.errors import BadMedia
from tkbench.prep import track
from tkbench.prep.track import ChosenFace
from tkbench.runtime import storage
from tkbench.types import Array, FaceHint, Float64, MediaFacts, Reason

MOST = 16 << 20
"""Bytes of a track file that is read: a quarter of a million rows."""
_SPACE = re.compile(r"[\s,;]+")


def parse_track(text: str) -> tuple[Float64, Float64]:
    r"""(times (K,) seconds, boxes (K, 4)) of a track file, by time. Raises ValueError naming the first bad line.

    >>> times, boxes = parse_track("time,x0,y0,x1,y1\n0.04,10,20,110,120\n0,8,20,108,120\n")
    >>> times.tolist(), boxes[0].tolist()
    ([0.0, 0.04], [8.0, 20.0, 108.0, 120.0])
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = _SPACE.split(line.strip())
        if parts == [""]:
            continue
        try:
            row = [float(part) for part in parts]
        except ValueError:
            if not rows and number == 1:
                continue  # names of the columns
            raise ValueError(f"line {number}: {line[:60]!r} holds no numbers") from None
        if len(row) != 5 or not np.isfinite(row).all() or row[3] < row[1] or row[4] < row[2]:
            raise ValueError(f"line {number}: {line[:60]!r} is not `seconds x0 y0 x1 y1`")
        rows.append(row)
    if not rows:
        raise ValueError("no row `seconds x0 y0 x1 y1`")
    table = np.array(sorted(rows), np.float64)
    return table[:, 0], table[:, 1:]


def boxes_at(hint: FaceHint, facts: MediaFacts, times: Sequence[float]) -> Float64:
    """Where the face is meant to be at each time (seconds from the file's first picture), (N, 4) pixels as shown.

    Raises BadMedia(UNREADABLE) for a track file that cannot be read.
    """
    sides = np.array([facts.width, facts.height] * 2, np.float64)
    if hint.track is None:
        box = np.array([hint.x0, hint.y0, hint.x1, hint.y1], np.float64)
        box *= sides if hint.shares else facts.height / (hint.of_height or facts.height)
        return np.tile(box, (len(times), 1))
    file = storage.place(hint.track)
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST + 1)
        if len(data) > MOST:
            raise ValueError(f"{len(data)} bytes and more are no track of one clip")
        known, boxes = parse_track(data.decode("utf-8-sig", "replace"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BadMedia(Reason.UNREADABLE, f"track of the face {file.name}: {why}") from error
    if boxes.min() >= 0 and boxes.max() <= 1:
        boxes = boxes * sides
    when = np.nan_to_num(np.asarray(times, np.float64), nan=float(known[0]))
    return np.stack([np.interp(when, known, column) for column in boxes.T], axis=1)


def keep_meant(detections: Sequence[Array], boxes: Float64) -> list[Array]:
    """Of the detections (K, 4+) in each picture, the one that is meant by the box (4,) of that picture, or none."""
    return [_nearest(found, box) for found, box in zip(detections, boxes, strict=True)]


def among(face: ChosenFace | None, kept: Sequence[Array], everyone: Sequence[Array]) -> ChosenFace | None:
    """A face that was chosen of those that were kept, with all others of the pictures as what it is not.

    The tracker then looks no further than half way to a neighbour.
    """
    if face is None:
        return None
    mine = {row[:4].tobytes() for rows in kept for row in np.asarray(rows)}
    others = [row[:4] for rows in everyone for row in np.asarray(rows) if row[:4].tobytes() not in mine]
    boxes = np.array([*face.others, *others], np.float32).reshape(-1, 4)
    n_faces = max(face.n_faces, track.count_faces([len(rows) for rows in everyone]))
    return replace(face, others=boxes, n_faces=n_faces)


def _nearest(found: Array, box: Float64) -> Array:
    """The row of (K, 4+) that lies where the box says, (1, 4+), or (0, 4+)."""
    rows = np.asarray(found)
    if not len(rows):
        return rows
    middles = (rows[:, :2] + rows[:, 2:4]) / 2
    middle = (box[:2] + box[2:]) / 2
    inside = ((middles >= box[:2]) & (middles <= box[2:])).all(axis=1)
    inside |= ((rows[:, :2] <= middle) & (rows[:, 2:4] >= middle)).all(axis=1)
    away = np.abs(middles - middle).max(axis=1)
    if (box[2:] == box[:2]).all():
        inside |= away <= (rows[:, 2:4] - rows[:, :2]).max(axis=1)
    best = int(np.where(inside, away, np.inf).argmin())
    return rows[best : best + 1] if inside[best] else rows[:0]
