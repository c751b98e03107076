"""One clip from file to samples: look, decode once while tracking, split into segments, pack.

Memory does not grow with the length of a clip. Pictures are tracked one by one. The canvas goes from ffmpeg to a file,
and so do sound and landmarks, until the clip's length is known.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.errors import BadMedia
from tkbench.prep import backends, datasets, gates, official, track, voice
from tkbench.prep.follow import Follower, Tracked
from tkbench.prep.job import Encoding, Job, Outcome, first_row, skipped, timed
from tkbench.prep.pack import fact_columns, fixes_of, pack
from tkbench.prep.plan import Settings
from tkbench.prep.scene import EVERY_PART, EVERY_PICTURE, SMALL_FACES, Scene, look_at, look_for, may_copy
from tkbench.runtime import storage
from tkbench.runtime.timing import cpu_seconds
from tkbench.types import SAMPLES_PER_FRAME, Clip

HALF_LOST = 0.5
"""Share of the frames in which a face must be tracked, or the other ones are tried; the one tracked longest is kept."""
MOST_TRIED = 3
"""Faces that are tried before every frame is looked at."""


def prepare_clip(clip: Clip, settings: Settings, scratch: Path) -> Outcome:
    """Turn one clip into samples, or into one row with the reason why not; media errors never leave here.

    scratch: an empty folder for files that the caller packs and removes.
    """
    outcome = Outcome()
    row = first_row(clip)
    try:
        with timed(outcome, "probe"):
            clip, notes = datasets.annotate(clip)
            row |= {"speaker": clip.speaker, "text": clip.text}
            facts = media.probe(clip.path, tracks=settings.tracks)
            file = Path(clip.path)
            digest = storage.sha256_of(file)
        row |= fact_columns(facts) | {"source_sha256": digest, "source_bytes": file.stat().st_size}
        part, short = official.part_of(facts, official.interval_of(clip))
        start = 0.0 if clip.start is None else clip.start
        gates.check_facts(part, min_frames=settings.shortest(clip.dataset), start=start)
        _prepare(Job(clip, facts, part, settings, scratch, outcome, row, [*notes, *short]))
    except BadMedia as error:
        outcome.samples.clear()
        outcome.rows = [skipped(row, error.reason, error.detail)]
    return outcome


def _prepare(job: Job) -> None:
    """From the first look to the last segment. Raises BadMedia for a clip that no gate lets through."""
    clip, settings, outcome = job.clip, job.settings, job.outcome
    with timed(outcome, "look"):
        scene = look_at(clip.path, job.facts, settings, clip=clip)
    encoding: Encoding = "copy" if may_copy(job.facts, scene) else settings.quality(clip.split)
    tracked = _decode_and_track(job, scene, encoding)
    if tracked.left_canvas:
        # The head moved further than the few first pictures showed: look again, at every part of the clip.
        with timed(outcome, "look"):
            scene = look_at(clip.path, job.facts, settings, dense=True, clip=clip)
        tracked = _decode_and_track(job, scene, encoding)
    scene, tracked = _better(job, scene, tracked, encoding)
    job.row["n_faces"] = tracked.n_faces
    gates.check_decoded(job.part, tracked.frames, tracked.messages)
    job.facts, samples = voice.read(clip.path, job.facts, job.sound, scene.interval)
    job.row["sound_off"] = len(samples) - tracked.frames * SAMPLES_PER_FRAME
    sound_fix = gates.check_sound(samples, tracked.frames, silence_db=settings.silence_db)
    spans = track.runs(
        tracked.found,
        tracked.starts,
        max_gap=settings.max_gap,
        min_frames=job.shortest,
        max_frames=settings.max_frames,
    )
    gates.check_runs(
        spans,
        tracked.found,
        tracked.starts,
        tracked.face_height,
        min_frames=job.shortest,
        min_height=settings.min_face,
    )
    job.notes += fixes_of(job.facts, scene, sound_fix, tracked)
    with timed(outcome, "write"):
        pack(job, scene, tracked, spans, samples, encoding)


def _better(job: Job, scene: Scene, tracked: Tracked, encoding: Encoding) -> tuple[Scene, Tracked]:
    """Where a face was tracked in less than half of the frames, or one far smaller than the chosen one: the face that
    is tracked longest, of those that the landmarks' network confirms; its canvas and sound are what is left in the
    scratch folder.
    """
    narrow = scene.kind == "head" or track.window_of(scene.face, scene.cut) is not None
    if scene.kind == "official" or not narrow or _is_right(scene, tracked):
        return scene, tracked
    best, most, last = scene, _standing(scene, tracked), scene
    for other in _others(job, scene):
        tracked, last = _decode_and_track(job, other, encoding), other
        if _standing(other, tracked) > most:
            best, most = other, _standing(other, tracked)
        if _is_right(other, tracked):
            break
    return best, tracked if last is best else _decode_and_track(job, best, encoding)


def _is_right(scene: Scene, tracked: Tracked) -> bool:
    """Whether the face that was chosen was followed through half of the clip or more."""
    if not len(tracked.found):
        return True
    return not _is_another(scene, tracked) and bool(np.mean(tracked.found) >= HALF_LOST)


def _is_another(scene: Scene, tracked: Tracked) -> bool:
    """Whether the face that was followed is far smaller than the one that was chosen."""
    if scene.face is None or not tracked.face_height:
        return False
    height = tracked.face_height * scene.cut.width / scene.cut.out_width
    return height < track.SMALLER * scene.face.side


def _standing(scene: Scene, tracked: Tracked) -> tuple[bool, int]:
    """What is compared of two faces: whether it is the one that was chosen, then the frames in which it is seen."""
    return not _is_another(scene, tracked), int(tracked.found.sum())


def _others(job: Job, scene: Scene) -> Iterator[Scene]:
    """The other faces: from a look at every part of the clip, from one for small faces, then at every frame."""
    tried = [scene.cut]
    for look in (EVERY_PART, SMALL_FACES, EVERY_PICTURE):
        with timed(job.outcome, "look"):
            found = look_for(job.clip.path, job.facts, job.settings, look=look, clip=job.clip, confirm=True)
        for other in found[:MOST_TRIED]:
            if other.cut not in tried or other.kind == "whole":
                tried.append(other.cut)
                yield other


def _decode_and_track(job: Job, scene: Scene, encoding: Encoding) -> Tracked:
    """Decode once: canvas and sound to their files, every picture to the tracker, landmarks to theirs."""
    facts, settings, outcome = job.facts, job.settings, job.outcome
    messages: list[str] = []
    stream = media.stream_frames(
        job.clip.path,
        facts,
        media.FrameSelection(interval=scene.interval),
        media.PictureFormat(cut=scene.cut, pixels="yuv420p"),
        media.SideOutputs(canvas=job.canvas, canvas_quality=encoding, sound=job.sound, messages=messages),
    )
    follower = Follower(scene.face, scene.cut, settings)
    blank = np.zeros((backends.info(settings.backend).n_points, 2), np.float32)
    clock, worked = time.perf_counter, time.process_time
    before, tracking = cpu_seconds(), 0.0
    with job.points.open("wb") as file, _rare_collections():
        begin = clock()
        for planes in stream:
            decoded, start = clock(), worked()
            outcome.seconds["decode"] += decoded - begin
            for landmarks in follower.step(planes):
                file.write((blank if landmarks is None else landmarks).data)
            begin = clock()
            outcome.seconds["track"] += begin - decoded
            tracking += worked() - start
        decoded, start = clock(), worked()
        outcome.seconds["decode"] += decoded - begin
        for landmarks in follower.drain():
            file.write((blank if landmarks is None else landmarks).data)
        outcome.seconds["track"] += clock() - decoded
        tracking += worked() - start
    outcome.cpu["track"] += tracking
    outcome.cpu["decode"] += cpu_seconds() - before - tracking
    outcome.frames += len(follower.found)
    cut = scene.cut
    smaller = cut.width < facts.width or cut.height < facts.height
    return follower.finish(movable=scene.kind == "head" and smaller and not scene.dense, messages=messages)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector come rarely: every packet counts as a new object, and none of them is a cycle."""
    kept = gc.get_threshold()
    gc.set_threshold(100_000, *kept[1:])
    try:
        yield
    finally:
        gc.set_threshold(*kept)
