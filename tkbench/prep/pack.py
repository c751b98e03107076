"""What goes into the shard: for each segment of a clip its canvas, voice, landmarks with crop matrices, and facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tkbench import media, shards
from tkbench.crops import align
from tkbench.errors import BadMedia
from tkbench.prep import backends, gates, track
from tkbench.prep.follow import Tracked
from tkbench.prep.job import Encoding, Job, skipped
from tkbench.prep.plan import Settings
from tkbench.prep.scene import Scene
from tkbench.types import FPS, SAMPLES_PER_FRAME, Array, Clip, MediaFacts, Reason, UInt8, Word

HELD_TOLD = 3
"""Frames that show a picture held beyond its time from which on a clip's notes say so."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clip in which one face is followed without a break: it becomes one sample."""

    number: int
    """From 0, in the clip."""
    key: str
    start: int
    """First frame, counted in the clip."""
    stop: int
    """Where it ends, not included."""
    canvas: Path
    encoding: Encoding
    """Of the canvas."""


def pack(
    job: Job,
    scene: Scene,
    tracked: Tracked,
    spans: list[tuple[int, int]],
    samples: Array,
    encoding: Encoding,
) -> None:
    """Add a sample and a row to the outcome for each span [start, stop) of frames.

    samples: (S,) int16, the voice of the whole clip. encoding: of the canvas that was written while decoding.
    """
    canvases, encoding = _canvases(job, scene, encoding, spans, tracked.frames)
    for number, ((start, stop), canvas) in enumerate(zip(spans, canvases, strict=True)):
        key = job.clip.key if len(spans) == 1 else f"{job.clip.key}__s{number}"
        _pack_segment(job, scene, tracked, Segment(number, key, start, stop, canvas, encoding), samples)


def _pack_segment(job: Job, scene: Scene, tracked: Tracked, segment: Segment, samples: Array) -> None:
    start, stop, settings = segment.start, segment.stop, job.settings
    n_points = backends.info(settings.backend).n_points
    landmarks = np.memmap(job.points, np.float32, "r", shape=(tracked.frames, n_points, 2))
    arrays = _arrays(landmarks[start:stop], tracked.found[start:stop], settings)
    filled = int(np.sum(arrays["score"] == 0))
    notes = [*job.notes, f"{filled} frames without a face filled"] if filled else list(job.notes)
    if (start, stop) != (0, tracked.frames):
        notes.append(f"frames {start} to {stop - 1} of {tracked.frames}")
    row = job.row | {"key": segment.key}
    voice = _voice(samples, start, stop)
    # Of a clip in one piece, the whole sound was checked already.
    if segment.key != job.clip.key and gates.loudness(voice) < settings.silence_db:
        silent = f"frames {start} to {stop - 1} are silent"
        job.outcome.rows.append(skipped(row, Reason.SILENT_AUDIO, silent))
        return
    source = _source_member(job, scene, whole=(start, stop) == (0, tracked.frames))
    facts = _facts(job, scene, tracked, segment, notes, kept=next(iter(source), None))
    facts["length"] = _length(samples, start, stop)
    parts = {
        "flac": media.write_flac(voice),
        "npz": shards.pack_arrays(arrays),
        "json": shards.pack_json(facts),
    }
    gates.check_counts(
        stop - start,
        pictures=media.count_pictures(segment.canvas),
        samples=media.count_samples(parts["flac"]),
        rows=len(arrays["landmarks"]),
    )
    # By way of files: an hour of video has a hundred segments, and they wait for the shard together.
    members = {"mp4": segment.canvas, **_to_files(job.scratch, segment.number, parts), **source}
    job.outcome.samples.append((segment.key, members))
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
            "fixes": "; ".join(notes),
        }
    )


def _source_member(job: Job, scene: Scene, *, whole: bool) -> dict[str, bytes | Path]:
    """The released file as a member of the sample, `source.SUFFIX`; none where the sample is a part of it."""
    if not (job.settings.keep_source and whole and scene.interval is None):
        return {}
    suffix = Path(job.clip.path).suffix.lower().lstrip(".")
    return {f"source.{suffix if suffix.isalnum() and suffix.isascii() else 'bin'}": Path(job.clip.path)}


def _canvases(
    job: Job, scene: Scene, encoding: Encoding, spans: list[tuple[int, int]], frames: int
) -> tuple[list[Path], Encoding]:
    """One mp4 for each span, and how they are encoded.

    Where the only span is the whole clip, that is the file which was written while decoding; otherwise the clip is
    decoded again.
    """
    if spans == [(0, frames)] and (encoding != "copy" or _reads_as(job.canvas, frames)):
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
    """Members of a sample as files, by suffix."""
    files: dict[str, bytes | Path] = {}
    for suffix, data in parts.items():
        file = scratch / f"run{number}.{suffix}"
        file.write_bytes(data)
        files[suffix] = file
    return files


def _between(stream: Iterator[tuple[int, UInt8]], start: int, stop: int) -> Iterator[UInt8]:
    """Pictures [start, stop) of a numbered stream, which is left right behind them."""
    for index, planes in stream:
        if index >= start:
            yield planes
        if index + 1 == stop:
            return


def _reads_as(canvas: Path, frames: int) -> bool:
    """Whether a copied stream is, on its own, what was tracked: as many pictures, evenly spaced, from 0 on."""
    try:
        facts = media.probe(canvas)
    except BadMedia:
        return False
    return facts.n_frames == frames and not facts.vfr and abs(facts.fps - FPS) < 1e-3


def _arrays(landmarks: Array, found: Array, settings: Settings) -> dict[str, Array]:
    """The .npz member: landmarks without gaps, their boxes, the tracker's confidence, a matrix per frame and recipe."""
    filled = track.fill(landmarks, found)
    arrays: dict[str, Array] = {
        "landmarks": filled,
        "boxes": align.boxes_of(filled),
        "score": found.astype(np.float32),
    }
    return arrays | {name: align.matrices(filled, name) for name in settings.recipes}


def _voice(samples: Array, start: int, stop: int) -> Array:
    """640 samples for each frame; zeros where the sound ended."""
    part = np.asarray(samples[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME])
    return np.pad(part, (0, (stop - start) * SAMPLES_PER_FRAME - len(part)))


def _length(samples: Array, start: int, stop: int) -> dict[str, int]:
    """The length law of one segment: frames, the samples that were there for them, and how many too few that is.

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


def fixes_of(facts: MediaFacts, scene: Scene, sound: str | None, tracked: Tracked) -> list[str]:
    """What is odd in a clip and what had to be changed, in words. sound: as `gates.check_sound` gives it."""
    out = []
    if facts.vfr:
        out.append(f"variable frame rate, {facts.fps:.2f} fps on average, resampled to {FPS} by time stamps")
    elif abs(facts.fps - FPS) >= 1e-3:
        out.append(f"{facts.fps:.2f} fps resampled to {FPS} by time stamps")
    if facts.rotation:
        out.append(f"turned by {facts.rotation} degrees, as the file says")
    out += _of_the_reading(facts, whole=scene.interval is None)
    if facts.sample_rate != 16_000 or facts.channels != 1:
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
    changes = [line for line in tracked.messages if line.startswith(media.CHANGES)]
    damage = [line for line in tracked.messages if line not in changes]
    return out + changes + ([f"decoder: {damage[-1]}"] if damage else [])


def _of_the_reading(facts: MediaFacts, *, whole: bool) -> list[str]:
    """What is to be told of how the file is read. whole: the clip is all of it."""
    reading, out = facts.reading, []
    held = media.held_frames(reading.holds) if whole else 0
    if held >= HELD_TOLD:
        out.append(f"{held} frames show a picture held, the source has none there")
    if reading.transfer is not None:
        out.append(f"high dynamic range ({reading.transfer.upper()}) mapped to BT.709")
    if reading.mirrored:
        out.append("mirrored left to right, as the file says")
    if reading.interlaced:
        out.append("interlaced, made progressive (yadif)")
    if facts.pix_fmt.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya")):
        out.append("alpha channel left out")
    out += reading.notes
    if reading.channel is not None:
        out.append(f"one channel taken: they cancel (number {reading.channel + 1} of {facts.channels})")
    return out


def _facts(
    job: Job, scene: Scene, tracked: Tracked, segment: Segment, notes: list[str], *, kept: str | None
) -> dict[str, object]:
    """The JSON member of a sample. kept: the member that is its source file."""
    clip, facts, row = job.clip, job.facts, job.row
    start, stop, encoding = segment.start, segment.stop, segment.encoding
    words = _words(clip, start, stop)
    whole = (start, stop) == (0, tracked.frames)
    text = clip.text if whole else (" ".join(word.text for word in words) or None)
    return {
        "key": segment.key,
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
            "encoding": encoding if isinstance(encoding, str) else f"crf {encoding}",
            **({"official": dict(scene.official)} if scene.official else {}),
        },
        "source": {
            "file": Path(clip.path).name,
            "sha256": row["source_sha256"],
            "bytes": row["source_bytes"],
            "facts": facts.told(),
            **_source_part(scene.interval),
            **({"kept": kept} if kept is not None else {}),
        },
        "track": {"backend": job.settings.backend, "points": backends.info(job.settings.backend).points},
        "n_faces": tracked.n_faces,
        "fixes": notes,
        "extra": dict(clip.extra),
        **({"labels": dict(clip.labels)} if clip.labels else {}),
    }


def _words(clip: Clip, start: int, stop: int) -> tuple[Word, ...]:
    """The words that lie wholly inside a segment, timed from its first frame."""
    begin, end = start / FPS, stop / FPS
    if start == 0:
        return tuple(word for word in clip.words if word.start < end)
    return tuple(
        Word(word.text, word.start - begin, word.end - begin)
        for word in clip.words
        if word.start >= begin and word.end <= end
    )


def fact_columns(facts: MediaFacts) -> dict[str, object]:
    """The columns of the manifest that describe the source file."""
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
