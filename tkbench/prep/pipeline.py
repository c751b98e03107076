"""One clip from file to samples: look, decode once while tracking, split into runs, pack.

Memory does not grow with the length of a clip: pictures are looked at one by one, the canvas goes from ffmpeg
to a file, and so do sound and landmarks until the clip's length is known.
"""

from __future__ import annotations

import gc
import hashlib
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tkbench import media, shards
from tkbench.crops import align
from tkbench.errors import BadMedia
from tkbench.media import Cut
from tkbench.prep import backends, datasets, gates, official, track, voice
from tkbench.prep.follow import Follower, Tracked
from tkbench.prep.plan import Settings
from tkbench.types import FPS, SAMPLES_PER_FRAME, Array, Clip, MediaFacts, Reason, UInt8, Word

LOOKS = 8
"""Pictures that the first look takes from a clip."""
DENSE_LOOKS, EVERY_LOOK = 48, 400
"""Pictures of a second look at every part of a clip, and of the last one, which takes all of a clip of 16 s."""
CONFIRMED_LOOKS = 4
"""Looks at one face that the landmarks' network is asked about."""
HALF_LOST = 0.5
"""Share of the frames in which a face must be tracked, or the other ones are tried; the one tracked longest is kept."""
MOST_TRIED = 3
"""Faces that are tried before every frame is looked at."""
_COPIED = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})
"""Codecs whose packets an mp4 can take unchanged."""


@dataclass(slots=True)
class Outcome:
    """What became of one clip: rows for the manifest, samples for the shard."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[str, dict[str, bytes | Path]]] = field(default_factory=list)
    """(key, {suffix: content}), in the order of the rows that are ok."""
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Wall time per stage."""
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Time of the processor per stage, of this process and of ffmpeg; "decode" is all that ffmpeg does."""
    frames: int = 0
    """Frames that were decoded at 25 fps."""


@dataclass(slots=True)
class _Scene:
    """What the first look found, and the canvas that follows from it."""

    kind: str
    cut: Cut
    face: track.Choice | None
    dense: bool
    """Every part of the clip was looked at."""
    interval: tuple[float, float] | None = None
    """The part of the file that the clip is, in seconds; None: all of it."""
    official: Mapping[str, Any] = field(default_factory=dict)
    """What became of the data set's own crop: used or not, and why."""
    shared: bool = False
    """The canvas holds people who take turns in shots of their own."""


def prepare_clip(clip: Clip, settings: Settings, scratch: Path) -> Outcome:
    """Turn one clip into samples, or into one row with the reason why not; media errors never leave here.

    scratch: an empty folder for files that the caller packs and removes.
    """
    outcome = Outcome()
    row: dict[str, Any] = {"key": clip.key, "clip": clip.key, "dataset": clip.dataset, "split": clip.split}
    row |= {"speaker": clip.speaker, "text": clip.text}
    try:
        with _timed(outcome, "probe"):
            clip, notes = datasets.annotate(clip)
            row |= {"speaker": clip.speaker, "text": clip.text}
            facts = media.probe(clip.path, tracks=settings.tracks)
            digest, size = hash_file(Path(clip.path))
        row |= _fact_columns(facts) | {"source_sha256": digest, "source_bytes": size}
        part, short = official.part_of(facts, official.interval_of(clip))
        start = 0.0 if clip.start is None else clip.start
        gates.check_facts(part, min_frames=settings.shortest(clip.dataset), start=start)
        _prepare(clip, facts, part, settings, scratch, outcome, row, [*notes, *short])
    except BadMedia as error:
        outcome.samples.clear()
        outcome.rows = [row | {"status": "skipped", "reason": error.reason.value, "detail": error.detail}]
    return outcome


@contextmanager
def _timed(outcome: Outcome, stage: str) -> Iterator[None]:
    start, worked = time.perf_counter(), cpu_seconds()
    try:
        yield
    finally:
        outcome.seconds[stage] += time.perf_counter() - start
        outcome.cpu[stage] += cpu_seconds() - worked


def cpu_seconds() -> float:
    """User and system time of this process and of every child that has ended."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def hash_file(path: Path) -> tuple[str, int]:
    """sha256 and size of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _prepare(
    clip: Clip,
    facts: MediaFacts,
    part: MediaFacts,
    settings: Settings,
    scratch: Path,
    outcome: Outcome,
    row: dict[str, Any],
    notes: list[str],
) -> None:
    """facts: of the file; part: of the interval that the clip is; notes: what is known to be odd already."""
    canvas, sound, points = scratch / "canvas.mp4", scratch / "sound.s16", scratch / "points.f32"
    with _timed(outcome, "look"):
        scene = look_at(clip.path, facts, settings, clip=clip)
    quality: media.Quality | str = settings.quality(clip.split)
    how = "copy" if may_copy(facts, scene) else quality
    tracked = _pass(clip.path, facts, scene, settings, canvas, how, sound, points, outcome)
    if tracked.left:
        # The head moved further than the few first pictures told: look again, at every part of the clip.
        with _timed(outcome, "look"):
            scene = look_at(clip.path, facts, settings, dense=True, clip=clip)
        tracked = _pass(clip.path, facts, scene, settings, canvas, how, sound, points, outcome)
    best = tracked.found.sum()
    followed = scene
    for other in _others(clip, facts, settings, scene, tracked, outcome):
        tracked = _pass(clip.path, facts, other, settings, canvas, how, sound, points, outcome)
        followed = other
        if tracked.found.sum() > best:
            best, scene = tracked.found.sum(), other
        if not _is_lost(tracked):
            break
    if followed is not scene:
        tracked = _pass(clip.path, facts, scene, settings, canvas, how, sound, points, outcome)
    row["n_faces"] = tracked.n_faces
    gates.check_decoded(part, tracked.frames, tracked.said)
    facts, samples = voice.read(clip.path, facts, sound, scene.interval)
    row["sound_off"] = len(samples) - tracked.frames * SAMPLES_PER_FRAME
    sound_fix = gates.check_sound(samples, tracked.frames, silence_db=settings.silence_db)
    spans = track.runs(
        tracked.found,
        tracked.starts,
        max_gap=settings.max_gap,
        min_frames=settings.shortest(clip.dataset),
        max_frames=settings.max_frames,
    )
    gates.check_runs(
        spans,
        tracked.found,
        tracked.starts,
        tracked.heights,
        min_frames=settings.shortest(clip.dataset),
        min_height=settings.min_face,
    )
    fixes = [*notes, *_fixes(facts, scene, sound_fix, tracked)]
    with _timed(outcome, "write"):
        files, how = _canvases(clip, facts, scene, settings, canvas, how, spans, tracked.frames, scratch)
        n_points = backends.info(settings.backend).n_points
        landmarks = np.memmap(points, np.float32, "r", shape=(tracked.frames, n_points, 2))
        for index, ((start, stop), file) in enumerate(zip(spans, files, strict=True)):
            key = clip.key if len(spans) == 1 else f"{clip.key}__s{index}"
            track_arrays = _track(landmarks[start:stop], tracked.found[start:stop], settings)
            filled = int(np.sum(track_arrays["score"] == 0))
            notes = [*fixes, f"{filled} frames without a face filled"] if filled else list(fixes)
            if (start, stop) != (0, tracked.frames):
                notes.append(f"frames {start} to {stop - 1} of {tracked.frames}")
            spoken = _voice(samples, start, stop)
            if len(spans) > 1 and gates.loudness(spoken) < settings.silence_db:
                found = f"frames {start} to {stop - 1} are silent"
                outcome.rows.append(
                    row
                    | {"key": key, "status": "skipped", "reason": Reason.SILENT_AUDIO.value, "detail": found}
                )
                continue
            meta = _meta(clip, facts, scene, settings, row, key, start, stop, tracked, notes, how)
            meta["length"] = _length(samples, start, stop)
            parts = {
                "flac": media.write_flac(spoken),
                "npz": shards.pack_arrays(track_arrays),
                "json": shards.pack_json(meta),
            }
            # By way of files: an hour of video has a hundred runs, and they wait for the shard together.
            outcome.samples.append((key, {"mp4": file, **_to_files(scratch, index, parts)}))
            outcome.rows.append(
                row
                | {
                    "key": key,
                    "status": "ok",
                    "start_frame": start,
                    "n_frames": stop - start,
                    "seconds": (stop - start) / FPS,
                    "canvas": scene.kind,
                    "width": scene.cut.out_width,
                    "height": scene.cut.out_height,
                    "filled_frames": filled,
                    "fixes": "; ".join(notes),
                }
            )


def _is_lost(tracked: Tracked) -> bool:
    return bool(np.mean(tracked.found) < HALF_LOST) if len(tracked.found) else False


def _others(
    clip: Clip, facts: MediaFacts, settings: Settings, scene: _Scene, tracked: Tracked, outcome: Outcome
) -> Iterator[_Scene]:
    """Where a face was tracked in less than half of the frames: canvases around the other faces, each confirmed; then
    every frame is looked at.
    """
    tried = [scene.cut]
    narrow = scene.kind == "head" or track.window_of(scene.face, scene.cut) is not None
    if scene.kind == "official" or not narrow or not _is_lost(tracked):
        return
    for looks in (DENSE_LOOKS, EVERY_LOOK):
        with _timed(outcome, "look"):
            found = look_for(clip.path, facts, settings, looks=looks, clip=clip, confirm=True)
        for other in found[:MOST_TRIED]:
            if other.cut not in tried or other.kind == "whole":
                tried.append(other.cut)
                yield other


# -- who is in the picture -----------------------------------------------------------------------------------


def look_at(
    path: str, facts: MediaFacts, settings: Settings, *, dense: bool = False, clip: Clip | None = None
) -> _Scene:
    """Choose the face and the canvas from a few pictures. Raises BadMedia(NO_FACE) where none shows a face.

    A small picture is its own canvas; whether a face is in it is then for the tracker to say. clip: its
    interval, official crop and target size count, where it has them.
    """
    return look_for(path, facts, settings, looks=DENSE_LOOKS if dense else None, clip=clip)[0]


def look_for(
    path: str,
    facts: MediaFacts,
    settings: Settings,
    *,
    looks: int | None = None,
    clip: Clip | None = None,
    confirm: bool = False,
) -> list[_Scene]:
    """The faces that may be followed and their canvases, the best first; more than one only with `confirm`.

    looks: how many pictures, from every part of the clip; None: a few of those that stand alone. confirm: ask the
    landmarks' network about every face. It is asked anyway where the face that earned most was seen in one picture
    only, or less often than another one.
    """
    interval = None if clip is None else official.interval_of(clip)
    crop, told = official.crop_of(clip, facts.width, facts.height)
    duration = facts.duration if interval is None else min(facts.duration, interval[1] - interval[0])
    few = min(LOOKS, max(2, round(duration / 2) + 1))
    dense = looks is not None
    pictures = media.sample_pictures(path, facts=facts, limit=looks or few, dense=dense, interval=interval)
    boxes = _detect_all(pictures, facts, settings)
    if crop is not None:
        face = track.choose_face(official.inside(boxes, crop), facts.width, facts.height)
        return [_Scene("official", crop, face, dense, interval, told)]
    faces, shared = _rank(pictures, boxes, facts, settings, confirm=confirm)
    target = None if clip is None else clip.target
    side = 0 if target else settings.max_side
    scenes = []
    either: list[track.Choice | None] = [*faces] if faces else [None]
    for face in either:
        canvas = track.canvas_of(facts.width, facts.height, face, side)
        if canvas is not None:
            kind, cut = canvas
            if target:
                cut = replace(cut, out_width=target, out_height=target)
            scenes.append(_Scene(kind, cut, face, dense, interval, told, shared and face is either[0]))
    if scenes:
        return scenes if confirm else scenes[:1]
    more = next((count for count in (DENSE_LOOKS, EVERY_LOOK) if count > (looks or 0)), None)
    if more is None or (dense and len(pictures) < (looks or 0) // 2):
        raise BadMedia(Reason.NO_FACE, f"no face in {len(pictures)} pictures from all over the clip")
    return look_for(path, facts, settings, looks=more, clip=clip, confirm=confirm)


def _rank(
    pictures: Sequence[UInt8], boxes: Sequence[Array], facts: MediaFacts, settings: Settings, *, confirm: bool
) -> tuple[list[track.Choice], bool]:
    """The faces, the best first, and whether the first of them is two people who take turns."""
    groups = track.find_candidates(boxes)
    ranked = track.rank_faces(groups, boxes, facts.width, facts.height)
    if not ranked:
        return [], False
    seen, most = len(ranked[0].boxes), max(len(group.boxes) for group in groups)
    if not confirm and (len(groups) == 1 or (seen > 1 and seen == most)):
        return ranked, False
    for group in groups:
        group.confirmed = _confirm(group, pictures, facts, settings)
    ranked = track.rank_faces(groups, boxes, facts.width, facts.height, confirmed=True)
    order = [groups[face.place] for face in ranked]
    together = track.take_turns(order) if order[0].confirmed else order[:1]
    if len(together) > 1:
        ranked.insert(0, track.united(together, groups, ranked[0].n_faces))
    return ranked, len(together) > 1


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
            count += bool(np.abs(middle).max() < 0.5 * max(x1 - x0, y1 - y0))
    tracker.restart()
    return count


def _detect_all(pictures: Sequence[UInt8], facts: MediaFacts, settings: Settings) -> list[Array]:
    """Boxes (N, 5) of every face in a few pictures, in pixels of the shown size."""
    looks, detect = [], backends.shared(settings.backend).detect
    for picture in pictures:
        boxes = detect(picture)
        if not len(boxes):
            boxes = detect(picture, far=True)
        scale = np.array([facts.width / picture.shape[1], facts.height / picture.shape[0]] * 2 + [1.0])
        looks.append(boxes * scale)
    return looks


def may_copy(facts: MediaFacts, scene: _Scene) -> bool:
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
        and facts.pix_fmt == "yuv420p"
        and facts.video_codec in _COPIED
    )


# -- the main pass -------------------------------------------------------------------------------------------


def _pass(
    path: str,
    facts: MediaFacts,
    scene: _Scene,
    settings: Settings,
    canvas: Path,
    how: Any,
    sound: Path,
    points: Path,
    outcome: Outcome,
) -> Tracked:
    """Decode once: canvas and sound to their files, every picture to the tracker, landmarks to theirs."""
    said: list[str] = []
    stream = media.stream_frames(
        path,
        facts,
        media.FrameSelection(interval=scene.interval),
        media.PictureFormat(cut=scene.cut, pixels="yuv420p"),
        media.SideOutputs(canvas=canvas, canvas_quality=how, sound=sound, messages=said),
    )
    follower = Follower(scene.face, scene.cut, settings)
    blank = np.zeros((backends.info(settings.backend).n_points, 2), np.float32)
    clock, worked = time.perf_counter, time.process_time
    before, tracking = cpu_seconds(), 0.0
    with points.open("wb") as file, _rare_collections():
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
    return follower.finish(movable=scene.kind == "head" and smaller and not scene.dense, said=said)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector come rarely: every packet counts as a new object, and none of them is a
    cycle.
    """
    kept = gc.get_threshold()
    gc.set_threshold(100_000, *kept[1:])
    try:
        yield
    finally:
        gc.set_threshold(*kept)


# -- what goes into the shard --------------------------------------------------------------------------------


def _canvases(
    clip: Clip,
    facts: MediaFacts,
    scene: _Scene,
    settings: Settings,
    canvas: Path,
    how: Any,
    spans: list[tuple[int, int]],
    frames: int,
    scratch: Path,
) -> tuple[list[Path], Any]:
    """One mp4 for each run: the file of the main pass if the run is the whole clip, otherwise encoded
    anew.
    """
    if spans == [(0, frames)] and (how != "copy" or reads_as(canvas, frames)):
        return [canvas], how
    quality = settings.quality(clip.split)
    tags = media.color_tags(clip.path, index=facts.reading.video)
    size = (scene.cut.out_width, scene.cut.out_height)
    stream = enumerate(
        media.stream_frames(
            clip.path,
            facts,
            media.FrameSelection(interval=scene.interval),
            media.PictureFormat(cut=scene.cut, pixels="yuv420p"),
        )
    )
    files = []
    for number, (start, stop) in enumerate(spans):
        file = scratch / f"run{number}.mp4"
        media.encode_planes(file, _between(stream, start, stop), size=size, quality=quality, tags=tags)
        files.append(file)
    return files, quality


def _to_files(scratch: Path, number: int, parts: Mapping[str, bytes]) -> dict[str, bytes | Path]:
    files: dict[str, bytes | Path] = {}
    for suffix, data in parts.items():
        file = scratch / f"run{number}.{suffix}"
        file.write_bytes(data)
        files[suffix] = file
    return files


def _between(stream: Iterator[tuple[int, UInt8]], start: int, stop: int) -> Iterator[UInt8]:
    for index, planes in stream:
        if index >= start:
            yield planes
        if index + 1 == stop:
            return


def reads_as(canvas: Path, frames: int) -> bool:
    """Whether a copied stream is, on its own, what the main pass saw: as many pictures, evenly spaced, from 0
    on.
    """
    try:
        facts = media.probe(canvas)
    except BadMedia:
        return False
    return facts.n_frames == frames and not facts.vfr and abs(facts.fps - FPS) < 1e-3


def _track(landmarks: Array, found: Array, settings: Settings) -> dict[str, Array]:
    filled = track.fill(landmarks, found)
    arrays: dict[str, Array] = {
        "landmarks": filled,
        "boxes": align.boxes_of(filled),
        "score": found.astype(np.float32),
    }
    return arrays | {name: align.matrices(filled, name) for name in settings.recipes}


def _voice(samples: Array, start: int, stop: int) -> Array:
    part = np.asarray(samples[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME])
    return np.pad(part, (0, (stop - start) * SAMPLES_PER_FRAME - len(part)))


def _length(samples: Array, start: int, stop: int) -> dict[str, int]:
    """The length law of one run: frames, the samples that were there for them, and how many too few that is.

    Sound that goes on after the last picture is not counted: it belongs to no frame.
    """
    wanted = (stop - start) * SAMPLES_PER_FRAME
    there = max(0, min(len(samples), stop * SAMPLES_PER_FRAME) - start * SAMPLES_PER_FRAME)
    beyond = max(0, len(samples) - stop * SAMPLES_PER_FRAME)
    return {"frames": stop - start, "samples": there, "lacking": wanted - there, "beyond": beyond}


def _source_part(interval: tuple[float, float] | None) -> dict[str, Any]:
    """Where in its source a clip lies, if it is a part of it."""
    if interval is None:
        return {}
    first, last = media.frames_of(interval)
    return {"interval": list(interval), "first_frame": first, "last_frame": last}


def _fixes(facts: MediaFacts, scene: _Scene, sound: str | None, tracked: Tracked) -> list[str]:
    """What had to be changed, in words."""
    out = []
    if facts.vfr:
        out.append(f"variable frame rate, {facts.fps:.2f} fps on average, resampled to {FPS} by time stamps")
    elif abs(facts.fps - FPS) >= 1e-3:
        out.append(f"{facts.fps:.2f} fps resampled to {FPS} by time stamps")
    if facts.rotation:
        out.append(f"turned by {facts.rotation} degrees, as the file says")
    if facts.reading.mirrored:
        out.append("mirrored left to right, as the file says")
    if facts.reading.interlaced:
        out.append("interlaced, made progressive (yadif)")
    if facts.pix_fmt.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya")):
        out.append("alpha channel left out")
    out += facts.reading.notes
    if facts.sample_rate != 16_000 or facts.channels != 1:
        if facts.reading.channel is not None:
            out.append(
                f"one channel taken: they cancel (number {facts.reading.channel + 1} of {facts.channels})"
            )
        out.append(f"sound of {facts.sample_rate} Hz and {facts.channels} channels brought to 16000 Hz mono")
    if abs(facts.start_offset) >= 0.001:
        when = "after" if facts.start_offset > 0 else "before"
        out.append(f"sound starts {abs(facts.start_offset):.3f} s {when} the picture: kept")
    if sound is not None:
        out.append(sound)
    if facts.pix_fmt != "yuv420p":
        out.append(f"{facts.pix_fmt} brought to 8-bit 4:2:0")
    cut = scene.cut
    if scene.official and not scene.official["used"]:
        out.append(f"canvas around the head, no official crop: {scene.official['why']}")
    elif scene.official.get("scale", 1.0) != 1.0:
        out.append(f"official crop scaled by {scene.official['scale']:g}: {scene.official['why']}")
    if scene.kind == "whole" and (cut.width, cut.height) != (facts.width, facts.height):
        out.append("odd last row or column cut off")
    if scene.shared:
        out.append("people who take turns share the canvas, each run follows one")
    if tracked.n_faces > 1:
        out.append(f"{tracked.n_faces} faces, one followed")
    cuts = int(tracked.starts.sum())
    if cuts:
        out.append(f"{cuts} cut{'s' if cuts > 1 else ''}")
    changes = [line for line in tracked.said if line.startswith(media.CHANGES)]
    damage = [line for line in tracked.said if line not in changes]
    out += changes
    if damage:
        out.append(f"decoder: {damage[-1]}")
    return out


def _meta(
    clip: Clip,
    facts: MediaFacts,
    scene: _Scene,
    settings: Settings,
    row: Mapping[str, Any],
    key: str,
    start: int,
    stop: int,
    tracked: Tracked,
    notes: list[str],
    how: Any,
) -> dict[str, Any]:
    whole = (start, stop) == (0, tracked.frames)
    words = _words(clip, start, stop)
    text = clip.text if whole else (" ".join(word.text for word in words) or None)
    return {
        "key": key,
        "clip": clip.key,
        "dataset": clip.dataset,
        "split": clip.split,
        "speaker": clip.speaker,
        "text": text,
        "words": [asdict(word) for word in words],
        "n_frames": stop - start,
        "fps": FPS,
        "sample_rate": 16_000,
        "sound_off": row["sound_off"],
        "start_frame": start,
        "canvas": {
            "kind": scene.kind,
            **asdict(scene.cut),
            "source_width": facts.width,
            "source_height": facts.height,
            "encoding": how if isinstance(how, str) else f"crf {how}",
            **({"official": dict(scene.official)} if scene.official else {}),
        },
        "source": {
            "file": row["path"] if "path" in row else Path(clip.path).name,
            "sha256": row["source_sha256"],
            "bytes": row["source_bytes"],
            "facts": facts.told(),
            **_source_part(scene.interval),
        },
        "track": {"backend": settings.backend, "points": backends.info(settings.backend).points},
        "n_faces": tracked.n_faces,
        "fixes": notes,
        "extra": dict(clip.extra),
    }


def _words(clip: Clip, start: int, stop: int) -> tuple[Word, ...]:
    """The words that lie wholly inside a run, timed from its first frame."""
    begin, end = start / FPS, stop / FPS
    if start == 0:
        return tuple(word for word in clip.words if word.start < end)
    return tuple(
        Word(word.text, word.start - begin, word.end - begin)
        for word in clip.words
        if word.start >= begin and word.end <= end
    )


def _fact_columns(facts: MediaFacts) -> dict[str, Any]:
    return {
        "source_width": facts.width,
        "source_height": facts.height,
        "source_fps": facts.fps,
        "source_vfr": facts.vfr,
        "source_frames": facts.n_frames,
        "source_seconds": facts.duration,
        "source_rotation": facts.rotation,
        "source_video_codec": facts.video_codec,
        "source_pix_fmt": facts.pix_fmt,
        "source_audio_codec": facts.audio_codec,
        "source_sample_rate": facts.sample_rate,
        "source_channels": facts.channels,
        "source_start_offset": facts.start_offset,
    }
