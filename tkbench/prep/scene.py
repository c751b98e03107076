"""The look at a clip before its main pass: who is in it, whom it is about, and where the canvas lies.

A detector looks at a few pictures. Its boxes may be wrong (a shoulder, a face from behind), so where they do not agree
the landmarks' network is asked about each: only a face that it confirms can win over one that it does not. Where no
picture shows a face, others are taken. The detector reduces a picture to 192 pixels, in which a face of a twelfth of
the height is lost, so one of these looks gives it the picture in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tkbench import media
from tkbench.crops import align
from tkbench.errors import BadMedia
from tkbench.media import Cut
from tkbench.prep import backends, hint, official, track
from tkbench.prep.official import CropRecord
from tkbench.prep.plan import Settings
from tkbench.types import FPS, Array, Clip, MediaFacts, Reason, UInt8

_COPIED = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})
"""Codecs whose packets an mp4 can take unchanged."""
LOOKS = 8
"""Pictures that the first look takes from a clip."""
CONFIRMED_LOOKS = 4
"""Looks at one face that the landmarks' network is asked about."""
LASTING = 0.75
"""Share of the pictures with a face in which the first face must be seen, or others may be meant as well."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a clip is looked at, once its keyframes alone showed no face that could be followed."""

    pictures: int
    """How many are taken, from every part of the clip."""
    side: int = 480
    """Their longer side, pixels."""
    in_parts: bool = False
    """The detector is also given squares of a picture, for faces that are small in it."""


EVERY_PART, SMALL_FACES, EVERY_PICTURE = Look(48), Look(12, 960, True), Look(400)
"""The looks, in this order; the last one takes every picture of a clip of 16 s."""


@dataclass(slots=True)
class Scene:
    """What the first look found, and the canvas that follows from it."""

    kind: str
    cut: Cut
    face: track.ChosenFace | None
    dense: bool
    """Every part of the clip was looked at."""
    interval: tuple[float, float] | None = None
    """The part of the file that the clip is, in seconds; None: all of it."""
    official: CropRecord = field(default_factory=lambda: CropRecord())
    """What became of the data set's own crop: used or not, and why."""
    shared: bool = False
    """The canvas holds people who take turns in shots of their own."""


def look_at(
    path: str, facts: MediaFacts, settings: Settings, *, dense: bool = False, clip: Clip | None = None
) -> Scene:
    """Choose the face and the canvas from a few pictures. Raises BadMedia(NO_FACE) where none shows a face.

    A small picture is its own canvas; whether a face is in it is then for the tracker to say. clip: its
    interval, official crop and target size count, where it has them.
    """
    return look_for(path, facts, settings, look=EVERY_PART if dense else None, clip=clip)[0]


def look_for(
    path: str,
    facts: MediaFacts,
    settings: Settings,
    *,
    look: Look | None = None,
    clip: Clip | None = None,
    confirm: bool = False,
) -> list[Scene]:
    """The faces that may be followed and their canvases, the best first; more than one only with `confirm`.

    clip: its interval, official crop, target and the place of the face that is meant count, where it has them.
    look: None takes a few of the pictures that stand alone. confirm: ask the landmarks' network about every face. It
    is asked anyway where the face that earned most was seen in one picture only, or less often than another one. With
    `confirm`, and among small faces, only those count that it confirms, and there may be none.
    """
    interval = None if clip is None else official.interval_of(clip)
    crop, told = official.crop_of(clip, facts.width, facts.height, settings.max_side)
    duration = facts.duration if interval is None else min(facts.duration, interval[1] - interval[0])
    few = min(LOOKS, max(2, round(duration / 2) + 1))
    dense, parts = look is not None, look is not None and look.in_parts
    taken = Look(few) if look is None else look
    times: list[float] = []
    pictures = media.sample_pictures(
        path, facts=facts, limit=taken.pictures, side=taken.side, dense=dense, interval=interval, times=times
    )
    boxes = _detect_all(pictures, facts, settings, in_parts=parts)
    everyone = boxes
    if clip is not None and clip.face is not None:
        boxes = hint.keep_meant(everyone, hint.boxes_at(clip.face, facts, times))
    if crop is not None:
        face = track.choose_face(official.boxes_inside(boxes, crop), facts.width, facts.height)
        if boxes is not everyone:
            face = hint.among(face, boxes, official.boxes_inside(everyone, crop))
        return [Scene("official", crop, face, dense, interval, told)]
    if look is None and not confirm and len(pictures) < LOOKS:
        groups = track.find_candidates(boxes)
        ranked = track.rank_faces(groups, boxes, facts.width, facts.height)
        if ranked and not _is_plain(groups, ranked[0].place, boxes):
            # Too few pictures to tell who is meant.
            return look_for(path, facts, settings, look=EVERY_PART, clip=clip)
    faces, shared = _rank(pictures, boxes, facts, settings, confirm=confirm, confirmed_only=confirm or parts)
    if boxes is not everyone:
        faces = [face for one in faces if (face := hint.among(one, boxes, everyone)) is not None]
    target = None if clip is None else clip.target
    side = 0 if target else settings.max_side
    scenes = []
    either: list[track.ChosenFace | None] = [*faces] if faces or confirm else [None]
    for face in either:
        canvas = track.canvas_of(facts.width, facts.height, face, side)
        if canvas is not None:
            kind, cut = canvas
            if target:
                cut = replace(cut, out_width=target, out_height=target)
            scenes.append(Scene(kind, cut, face, dense, interval, told, shared and face is either[0]))
    if scenes or confirm:
        return scenes if confirm else scenes[:1]
    if look is EVERY_PICTURE:
        meant = "" if clip is None or clip.face is None else " where the data set says it is,"
        raise BadMedia(Reason.NO_FACE, f"no face{meant} in {len(pictures)} pictures from all over the clip")
    following = {None: EVERY_PART, EVERY_PART: SMALL_FACES, SMALL_FACES: EVERY_PICTURE}
    return look_for(path, facts, settings, look=following[look], clip=clip)


def _rank(
    pictures: Sequence[UInt8],
    boxes: Sequence[Array],
    facts: MediaFacts,
    settings: Settings,
    *,
    confirm: bool,
    confirmed_only: bool = False,
) -> tuple[list[track.ChosenFace], bool]:
    """The faces, the best first, and whether the first of them is two people who take turns."""
    groups = track.find_candidates(boxes)
    ranked = track.rank_faces(groups, boxes, facts.width, facts.height)
    if not ranked:
        return [], False
    if not (confirm or confirmed_only) and _is_plain(groups, ranked[0].place, boxes):
        return ranked, False
    for group in groups:
        group.confirmed = _confirm(group, pictures, facts, settings)
    if confirmed_only:
        groups = [group for group in groups if group.confirmed]
        if not groups:
            return [], False
    ranked = track.rank_faces(groups, boxes, facts.width, facts.height, confirmed=True)
    order = [groups[face.place] for face in ranked]
    together = track.take_turns(order) if order[0].confirmed else order[:1]
    if len(together) > 1:
        ranked.insert(0, track.united(together, groups, ranked[0].n_faces))
    return ranked, len(together) > 1


def _is_plain(groups: Sequence[track.Candidate], first: int, boxes: Sequence[Array]) -> bool:
    """Whether the first face is the only one, or is seen as often as any other, nearly always and more than once."""
    seen, most = len(groups[first].boxes), max(len(group.boxes) for group in groups)
    lasting = seen >= LASTING * sum(1 for rows in boxes if len(rows))
    return len(groups) == 1 or (seen > 1 and seen == most and lasting)


def _confirm(group: track.Candidate, pictures: Sequence[UInt8], facts: MediaFacts, settings: Settings) -> int:
    """In how many of its looks (four at most, from all over) the landmarks' network finds the face where its box is."""
    tracker = backends.shared(settings.backend)
    places = np.unique(
        np.linspace(0, len(group.looks) - 1, min(CONFIRMED_LOOKS, len(group.looks))).round().astype(int)
    )
    count = 0
    for place in places.tolist():
        picture = pictures[group.looks[place]]
        scale = picture.shape[1] / facts.width
        x0, y0, x1, y1 = (float(side) * scale for side in group.boxes[place])
        grow = 0.5 * max(x1 - x0, y1 - y0)
        left, top = max(0, int(x0 - grow)), max(0, int(y0 - grow))
        part = np.ascontiguousarray(picture[top : int(y1 + grow) + 1, left : int(x1 + grow) + 1])
        if min(part.shape[:2]) < 8:
            continue
        tracker.restart()
        points = tracker.track([part])[0]
        if points is not None:
            box = align.boxes_of(points[None])[0] + np.array([left, top, left, top], np.float32)
            middle = np.array([box[0] + box[2] - x0 - x1, box[1] + box[3] - y0 - y1]) / 2
            side, mine = max(x1 - x0, y1 - y0), float((box[2:] - box[:2]).max())
            count += bool(np.abs(middle).max() < 0.5 * side and mine > track.SMALLER * side)
    tracker.restart()
    return count


def _detect_all(
    pictures: Sequence[UInt8], facts: MediaFacts, settings: Settings, *, in_parts: bool = False
) -> list[Array]:
    """Boxes (N, 5) of every face in a few pictures, in pixels of the shown size."""
    looks, detect = [], backends.shared(settings.backend).detect
    for picture in pictures:
        boxes = detect(picture)
        if not len(boxes) or in_parts:
            boxes = detect(picture, far=True)
        if in_parts:
            boxes = _detect_in_parts(picture, boxes, settings)
        scale = np.array([facts.width / picture.shape[1], facts.height / picture.shape[0]] * 2 + [1.0])
        looks.append(boxes * scale)
    return looks


def _detect_in_parts(picture: UInt8, whole: Array, settings: Settings) -> Array:
    """Boxes (N, 5) from overlapping squares of a picture, and those that were seen in all of it, each face once.

    The squares are as wide as the picture's shorter side, and half as wide; each overlaps the next one by half.
    """
    detect = backends.shared(settings.backend).detect
    height, width = picture.shape[:2]
    found = [row for row in whole]
    for side in (min(height, width), min(height, width) // 2):
        for y, x in ((y, x) for y in _places(height, side) for x in _places(width, side)):
            part = np.ascontiguousarray(picture[y : y + side, x : x + side])
            found += [row + np.array([x, y, x, y, 0], np.float32) for row in detect(part, far=True)]
    kept: list[Array] = []
    for row in sorted(found, key=lambda row: (-row[4], row[0], row[1])):
        middle, reach = (row[:2] + row[2:4]) / 2, float((row[2:4] - row[:2]).max()) / 2
        if all(np.abs((one[:2] + one[2:4]) / 2 - middle).max() > reach for one in kept):
            kept.append(row)
    return np.array(kept, np.float32).reshape(-1, 5)


def _places(length: int, side: int) -> list[int]:
    """Where squares begin that cover a length and overlap by half or more.

    >>> _places(540, 540), _places(960, 540)
    ([0], [0, 210, 420])
    """
    count = -(-2 * (length - side) // side) + 1
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def may_copy(facts: MediaFacts, scene: Scene) -> bool:
    """Whether the source's packets can be the canvas: it is what a canvas is, in every respect."""
    return (
        scene.kind == "whole"
        and scene.interval is None
        and (scene.cut.width, scene.cut.height) == (facts.width, facts.height)
        and abs(facts.fps - FPS) < 1e-3
        and not facts.vfr
        and facts.rotation == 0
        and not facts.reading.mirrored
        and not facts.reading.interlaced
        and not facts.reading.guessed
        and not facts.reading.edited
        and facts.reading.transfer is None
        and facts.pix_fmt == "yuv420p"
        and facts.video_codec in _COPIED
    )
