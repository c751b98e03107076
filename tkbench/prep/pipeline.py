"""One clip from file to samples: look, decode once while tracking, split into runs, pack.

Memory does not grow with the length of a clip: pictures are looked at one by one, the canvas goes from ffmpeg
to a file, and so do sound and landmarks until the clip's length is known.
"""

from __future__ import annotations

import gc
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import media, shards
from tkbench.crops import align
from tkbench.errors import BadMedia
from tkbench.prep import backends, datasets, gates, official, track, voice
from tkbench.prep.follow import Follower, Tracked
from tkbench.prep.look import DENSE_LOOKS, EVERY_LOOK, Scene, look_at, look_for
from tkbench.prep.plan import Settings
from tkbench.prep.records import Row
from tkbench.runtime import storage
from tkbench.types import FPS, SAMPLES_PER_FRAME, Array, Clip, MediaFacts, Reason, UInt8, Word

Encoding = media.Quality | Literal["copy"]
HALF_LOST = 0.5
"""Share of the frames in which a face must be tracked, or the other ones are tried; the one tracked longest is kept."""
MOST_TRIED = 3
"""Faces that are tried before every frame is looked at."""
HELD_TOLD = 3
"""Frames that show a picture held beyond its time from which on a clip's notes say so."""
_COPIED = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})
"""Codecs whose packets an mp4 can take unchanged."""


@dataclass(slots=True)
class Outcome:
    """What became of one clip: rows for the manifest, samples for the shard."""

    rows: list[Row] = field(default_factory=list)
    samples: list[tuple[str, dict[str, bytes | Path]]] = field(default_factory=list)
    """(key, {suffix: content}), in the order of the rows that are ok."""
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Wall time per stage."""
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Time of the processor per stage, of this process and of ffmpeg; "decode" is all that ffmpeg does."""
    frames: int = 0
    """Frames that were decoded at 25 fps."""


@dataclass(slots=True)
class _Job:
    """One clip on its way: what it is, and where what is made of it goes."""

    clip: Clip
    facts: MediaFacts
    """Of the file."""
    part: MediaFacts
    """Of the interval that the clip is."""
    settings: Settings
    scratch: Path
    outcome: Outcome
    row: Row
    """What every row of this clip says."""
    notes: list[str]
    """What is known to be odd already."""

    @property
    def canvas(self) -> Path:
        return self.scratch / "canvas.mp4"

    @property
    def sound(self) -> Path:
        return self.scratch / "sound.s16"

    @property
    def points(self) -> Path:
        return self.scratch / "points.f32"

    @property
    def shortest(self) -> int:
        """Frames of the shortest sample."""
        return self.settings.shortest(self.clip.dataset)


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch of a clip that becomes one sample."""

    key: str
    start: int
    stop: int
    notes: list[str]
    """What had to be changed, in words."""


def prepare_clip(clip: Clip, settings: Settings, scratch: Path) -> Outcome:
    """Turn one clip into samples, or into one row with the reason why not; media errors never leave here.

    scratch: an empty folder for files that the caller packs and removes.
    """
    outcome = Outcome()
    row = first_row(clip)
    try:
        with _timed(outcome, "probe"):
            clip, notes = datasets.annotate(clip)
            row |= {"speaker": clip.speaker, "text": clip.text}
            facts = media.probe(clip.path, tracks=settings.tracks)
            file = Path(clip.path)
            digest = storage.sha256_of(file)
        row |= _fact_columns(facts) | {"source_sha256": digest, "source_bytes": file.stat().st_size}
        part, short = official.part_of(facts, official.interval_of(clip))
        start = 0.0 if clip.start is None else clip.start
        gates.check_facts(part, min_frames=settings.shortest(clip.dataset), start=start)
        _prepare(_Job(clip, facts, part, settings, scratch, outcome, row, [*notes, *short]))
    except BadMedia as error:
        outcome.samples.clear()
        outcome.rows = [skipped(row, error.reason, error.detail)]
    return outcome


def first_row(clip: Clip) -> Row:
    """What every row of a clip says, whatever becomes of it."""
    names = {"key": clip.key, "clip": clip.key, "dataset": clip.dataset, "split": clip.split}
    return {**names, "speaker": clip.speaker, "text": clip.text}


def skipped(row: Row, reason: Reason, detail: str) -> Row:
    """The row of a clip (or a run of one) that became no sample."""
    return row | {"status": "skipped", "reason": reason.value, "detail": detail}


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


def _prepare(job: _Job) -> None:
    clip, facts, settings, outcome = job.clip, job.facts, job.settings, job.outcome
    with _timed(outcome, "look"):
        scene = look_at(clip.path, facts, settings, clip=clip)
    encoding: Encoding = "copy" if may_copy(facts, scene) else settings.quality(clip.split)
    tracked = _pass(job, scene, encoding)
    if tracked.left:
        # The head moved further than the few first pictures told: look again, at every part of the clip.
        with _timed(outcome, "look"):
            scene = look_at(clip.path, facts, settings, dense=True, clip=clip)
        tracked = _pass(job, scene, encoding)
    scene, tracked = _better(job, scene, tracked, encoding)
    job.row["n_faces"] = tracked.n_faces
    gates.check_decoded(job.part, tracked.frames, tracked.said)
    job.facts, samples = voice.read(clip.path, facts, job.sound, scene.interval)
    facts = job.facts
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
        tracked.heights,
        min_frames=job.shortest,
        min_height=settings.min_face,
    )
    fixes = [*job.notes, *_fixes(facts, scene, sound_fix, tracked)]
    with _timed(outcome, "write"):
        files, encoding = _canvases(job, scene, encoding, spans, tracked.frames)
        for number, (span, file) in enumerate(zip(spans, files, strict=True)):
            key = clip.key if len(spans) == 1 else f"{clip.key}__s{number}"
            _pack(job, scene, tracked, _Run(key, *span, list(fixes)), samples, (number, file, encoding))


def _pack(
    job: _Job, scene: Scene, tracked: Tracked, run: _Run, samples: Array, made: tuple[int, Path, Encoding]
) -> None:
    """Add one run of the clip to the outcome; made: its number, its canvas and how that is encoded."""
    number, file, encoding = made
    start, stop, settings = run.start, run.stop, job.settings
    n_points = backends.info(settings.backend).n_points
    landmarks = np.memmap(job.points, np.float32, "r", shape=(tracked.frames, n_points, 2))
    track_arrays = _track(landmarks[start:stop], tracked.found[start:stop], settings)
    filled = int(np.sum(track_arrays["score"] == 0))
    if filled:
        run.notes.append(f"{filled} frames without a face filled")
    if (start, stop) != (0, tracked.frames):
        run.notes.append(f"frames {start} to {stop - 1} of {tracked.frames}")
    row = job.row | {"key": run.key}
    spoken = _voice(samples, start, stop)
    # Of a clip in one piece, the whole sound was checked already.
    if run.key != job.clip.key and gates.loudness(spoken) < settings.silence_db:
        silent = f"frames {start} to {stop - 1} are silent"
        job.outcome.rows.append(skipped(row, Reason.SILENT_AUDIO, silent))
        return
    meta = _meta(job, scene, tracked, run, encoding)
    meta["length"] = _length(samples, start, stop)
    parts = {
        "flac": media.write_flac(spoken),
        "npz": shards.pack_arrays(track_arrays),
        "json": shards.pack_json(meta),
    }
    gates.check_counts(
        stop - start,
        pictures=media.count_pictures(file),
        samples=media.count_samples(parts["flac"]),
        rows=len(track_arrays["landmarks"]),
    )
    # By way of files: an hour of video has a hundred runs, and they wait for the shard together.
    job.outcome.samples.append((run.key, {"mp4": file, **_to_files(job.scratch, number, parts)}))
    job.outcome.rows.append(
        row
        | {
            "status": "ok",
            "start_frame": start,
            "n_frames": stop - start,
            "seconds": (stop - start) / FPS,
            "canvas": scene.kind,
            "width": scene.cut.out_width,
            "height": scene.cut.out_height,
            "filled_frames": filled,
            "kept": round((stop - start) / tracked.frames, 6),
            "fixes": "; ".join(run.notes),
        }
    )


def _better(job: _Job, scene: Scene, tracked: Tracked, encoding: Encoding) -> tuple[Scene, Tracked]:
    """Where a face was tracked in less than half of the frames: the face that is tracked longest, of those that the
    landmarks' network confirms; its canvas and sound are what is left in the scratch folder.
    """
    narrow = scene.kind == "head" or track.window_of(scene.face, scene.cut) is not None
    if scene.kind == "official" or not narrow or not _is_lost(tracked):
        return scene, tracked
    best, most, last = scene, int(tracked.found.sum()), scene
    for other in _others(job, scene):
        tracked, last = _pass(job, other, encoding), other
        if int(tracked.found.sum()) > most:
            best, most = other, int(tracked.found.sum())
        if not _is_lost(tracked):
            break
    return best, tracked if last is best else _pass(job, best, encoding)


def _is_lost(tracked: Tracked) -> bool:
    return bool(np.mean(tracked.found) < HALF_LOST) if len(tracked.found) else False


def _others(job: _Job, scene: Scene) -> Iterator[Scene]:
    """The other faces, first from looks at every part of the clip, then from a look at every frame."""
    tried = [scene.cut]
    for looks in (DENSE_LOOKS, EVERY_LOOK):
        with _timed(job.outcome, "look"):
            found = look_for(job.clip.path, job.facts, job.settings, looks=looks, clip=job.clip, confirm=True)
        for other in found[:MOST_TRIED]:
            if other.cut not in tried or other.kind == "whole":
                tried.append(other.cut)
                yield other


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
        and facts.reading.transfer is None
        and facts.pix_fmt == "yuv420p"
        and facts.video_codec in _COPIED
    )


# -- the main pass -------------------------------------------------------------------------------------------


def _pass(job: _Job, scene: Scene, encoding: Encoding) -> Tracked:
    """Decode once: canvas and sound to their files, every picture to the tracker, landmarks to theirs."""
    facts, settings, outcome = job.facts, job.settings, job.outcome
    said: list[str] = []
    stream = media.stream_frames(
        job.clip.path,
        facts,
        media.FrameSelection(interval=scene.interval),
        media.PictureFormat(cut=scene.cut, pixels="yuv420p"),
        media.SideOutputs(canvas=job.canvas, canvas_quality=encoding, sound=job.sound, messages=said),
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
    job: _Job, scene: Scene, encoding: Encoding, spans: list[tuple[int, int]], frames: int
) -> tuple[list[Path], Encoding]:
    """One mp4 for each run, and how they are encoded: the file of the main pass where the run is the whole clip."""
    if spans == [(0, frames)] and (encoding != "copy" or reads_as(job.canvas, frames)):
        return [job.canvas], encoding
    clip, facts = job.clip, job.facts
    quality = job.settings.quality(clip.split)
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
        file = job.scratch / f"run{number}.mp4"
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


def _source_part(interval: tuple[float, float] | None) -> dict[str, object]:
    """Where in its source a clip lies, if it is a part of it."""
    if interval is None:
        return {}
    first, last = media.frames_of(interval)
    return {"interval": list(interval), "first_frame": first, "last_frame": last}


def _fixes(facts: MediaFacts, scene: Scene, sound: str | None, tracked: Tracked) -> list[str]:
    """What had to be changed, in words."""
    out = []
    if facts.vfr:
        out.append(f"variable frame rate, {facts.fps:.2f} fps on average, resampled to {FPS} by time stamps")
    elif abs(facts.fps - FPS) >= 1e-3:
        out.append(f"{facts.fps:.2f} fps resampled to {FPS} by time stamps")
    if facts.rotation:
        out.append(f"turned by {facts.rotation} degrees, as the file says")
    held = media.held_frames(facts.reading.holds) if scene.interval is None else 0
    if held >= HELD_TOLD:
        out.append(f"{held} frames show a picture held, the source has none there")
    if facts.reading.transfer is not None:
        out.append(f"high dynamic range ({facts.reading.transfer.upper()}) mapped to BT.709")
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


def _meta(job: _Job, scene: Scene, tracked: Tracked, run: _Run, encoding: Encoding) -> dict[str, object]:
    """The JSON member of a sample."""
    clip, facts, row = job.clip, job.facts, job.row
    words = _words(clip, run.start, run.stop)
    whole = (run.start, run.stop) == (0, tracked.frames)
    text = clip.text if whole else (" ".join(word.text for word in words) or None)
    return {
        "key": run.key,
        "clip": clip.key,
        "dataset": clip.dataset,
        "split": clip.split,
        "speaker": clip.speaker,
        "text": text,
        "words": [asdict(word) for word in words],
        "n_frames": run.stop - run.start,
        "fps": FPS,
        "sample_rate": 16_000,
        "sound_off": row["sound_off"],
        "start_frame": run.start,
        "canvas": {
            "kind": scene.kind,
            **asdict(scene.cut),
            "source_width": facts.width,
            "source_height": facts.height,
            "encoding": encoding if isinstance(encoding, str) else f"crf {encoding}",
            **({"official": dict(scene.official)} if scene.official else {}),
        },
        "source": {
            "file": row["path"] if "path" in row else Path(clip.path).name,
            "sha256": row["source_sha256"],
            "bytes": row["source_bytes"],
            "facts": facts.told(),
            **_source_part(scene.interval),
        },
        "track": {"backend": job.settings.backend, "points": backends.info(job.settings.backend).points},
        "n_faces": tracked.n_faces,
        "fixes": run.notes,
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


def _fact_columns(facts: MediaFacts) -> dict[str, object]:
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
