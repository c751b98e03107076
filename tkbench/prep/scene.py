"""The first look at a clip: which face it is about, and where its canvas lies, from a few pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tkbench import media
from tkbench.errors import BadMedia
from tkbench.media import Cut
from tkbench.prep import backends, official, track
from tkbench.prep.official import CropRecord
from tkbench.prep.plan import Settings
from tkbench.types import FPS, Array, Clip, MediaFacts, Reason

SAMPLED_PICTURES = 8
"""Pictures of a clip, at most, that the first look takes."""
SAMPLED_PICTURES_DENSE = 48
"""The same where every part of the clip is looked at."""
_COPIED = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})
"""Codecs whose packets an mp4 can take unchanged."""


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


def look_at(
    path: str, facts: MediaFacts, settings: Settings, *, dense: bool = False, clip: Clip | None = None
) -> Scene:
    """Choose the face and the canvas from a few pictures. Raises BadMedia(NO_FACE) where none shows a face.

    A small picture is its own canvas; whether a face is in it is then for the tracker to say. clip: its
    interval, official crop and target size count, where it has them.
    """
    interval = None if clip is None else official.interval_of(clip)
    crop, record = official.crop_of(clip, facts.width, facts.height)
    duration = facts.duration if interval is None else min(facts.duration, interval[1] - interval[0])
    few = min(SAMPLED_PICTURES, max(2, round(duration / 2) + 1))
    limit = SAMPLED_PICTURES_DENSE if dense else few
    detections = _detect_all(path, facts, settings, limit=limit, dense=dense, interval=interval)
    if crop is not None:
        face = track.choose_face(official.boxes_inside(detections, crop), facts.width, facts.height)
        return Scene("official", crop, face, dense, interval, record)
    face = track.choose_face(detections, facts.width, facts.height)
    target = None if clip is None else clip.target
    canvas = track.canvas_of(facts.width, facts.height, face, 0 if target else settings.max_side)
    if canvas is None and not dense:
        return look_at(path, facts, settings, dense=True, clip=clip)
    if canvas is None:
        raise BadMedia(Reason.NO_FACE, f"no face in {len(detections)} pictures from all over the clip")
    kind, cut = canvas
    if target:
        cut = replace(cut, out_width=target, out_height=target)
    return Scene(kind, cut, face, dense, interval, record)


def _detect_all(
    path: str,
    facts: MediaFacts,
    settings: Settings,
    *,
    limit: int,
    dense: bool,
    interval: tuple[float, float] | None,
) -> list[Array]:
    """Boxes (N, 5) of every face in a few pictures, in pixels of the shown size."""
    detections, detect = [], backends.shared(settings.backend).detect
    for picture in media.sample_pictures(path, facts=facts, limit=limit, dense=dense, interval=interval):
        boxes = detect(picture)
        if not len(boxes):
            boxes = detect(picture, far=True)
        scale = np.array([facts.width / picture.shape[1], facts.height / picture.shape[0]] * 2 + [1.0])
        detections.append(boxes * scale)
    return detections


def may_copy(facts: MediaFacts, scene: Scene) -> bool:
    """Whether the source's packets can be the canvas: it is what a canvas is, in every respect."""
    return (
        scene.kind == "whole"
        and scene.interval is None
        and (scene.cut.width, scene.cut.height) == (facts.width, facts.height)
        and abs(facts.fps - FPS) < 1e-3
        and not facts.vfr
        and facts.rotation == 0
        and facts.pix_fmt == "yuv420p"
        and facts.video_codec in _COPIED
    )
