"""A corpus of synthetic clips on disk.

OUT/corpus.json             what the corpus is: seed, speakers, the reach of its coarticulation, a row for each clip;
                            written last
OUT/sheet.png               three pictures of each clip
OUT/s000/c0000.mp4          a clip, with the sound that its knobs ask for
OUT/s000/c0000.wav          its sound as it was synthesized: 16 kHz mono
OUT/s000/c0000.json         its truth; see `tkbench.synth.clip.Truth`
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.synth import FORMAT
from tkbench.synth.clip import SynthClip, Truth, make_clip, speaker_of, style_of
from tkbench.synth.knobs import Knobs, preset
from tkbench.synth.people import PEOPLE
from tkbench.synth.reach import Said, reach_of
from tkbench.synth.speech import resample
from tkbench.types import SAMPLE_RATE, Float32, UInt8, Word


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """How the clips of a corpus are made."""

    seconds: tuple[float, float] = (2.5, 4.0)
    """Shortest and longest length that is drawn."""
    size: int = 256
    """Side of the pictures."""
    knobs: Mapping[int, Knobs | str] = field(default_factory=dict)
    """Clip number -> its difficulties, as Knobs or by the name of a preset."""
    others: Knobs = field(default_factory=Knobs)
    """The difficulties of all other clips; none."""


class ClipRow(TypedDict):
    """A clip in corpus.json."""

    key: str
    speaker: str
    split: str
    text: str
    n_frames: int
    knobs: dict[str, object]
    file: str


def splits_of(speakers: int) -> list[str]:
    """One split per speaker: small corpora are all test, larger ones about 70/10/20 train, val, test.

    The twelve people set by hand come first in every corpus and are always test speakers: a network that was trained
    on a large corpus has seen none of the faces of a small one.
    """
    if speakers < 20:
        return ["test"] * speakers
    n_val, n_test = round(0.1 * speakers), max(len(PEOPLE), round(0.2 * speakers))
    # The drawn people are in no order, so any run of them holds every kind of face.
    return ["test"] * n_test + ["val"] * n_val + ["train"] * (speakers - n_val - n_test)


def make_corpus(
    out: Path,
    *,
    clips: int,
    speakers: int,
    seed: int,
    workers: int = 1,
    split: str | None = None,
    options: ClipOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a corpus to `out` and return the path of its corpus.json.

    Clip i is said by speaker i modulo `speakers`. `split` puts every clip in one split; otherwise `splits_of` divides
    the speakers over three. The bytes depend on the arguments alone, not on `workers`. Raises UsageError for a folder
    that already holds a corpus, or for counts below 1.
    """
    out, options = Path(out), options or ClipOptions()
    if clips < 1 or speakers < 1:
        raise UsageError(f"a corpus needs at least one clip and one speaker, not {clips} and {speakers}")
    if (out / "corpus.json").exists():
        raise UsageError(f"{out} already holds a corpus: choose another folder or remove it")
    out.mkdir(parents=True, exist_ok=True)
    speakers = min(speakers, clips)
    chosen = {i: preset(k) if isinstance(k, str) else k for i, k in sorted(options.knobs.items())}
    unknown = [i for i in chosen if not 0 <= i < clips]
    if unknown:
        raise UsageError(f"knobs are given for clip {unknown[0]}, but clips run from 0 to {clips - 1}")
    splits = [split] * speakers if split else splits_of(speakers)
    jobs = [
        _Job(str(out), seed, i, i % speakers, splits[i % speakers], options, chosen.get(i, options.others))
        for i in range(clips)
    ]
    for index in range(speakers):
        (out / f"s{index:03d}").mkdir(exist_ok=True)
    rows: list[tuple[ClipRow, UInt8]] = []
    if workers <= 1:
        for done, job in enumerate(jobs, 1):
            rows.append(_make_one(job))
            if progress:
                progress(done, clips)
    else:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(min(workers, clips), mp_context=context) as pool:
            futures = [pool.submit(_make_one, job) for job in jobs]
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                if progress:
                    progress(done, clips)
            rows = [future.result() for future in futures]
    _sheet(out / "sheet.png", [tiles for _, tiles in rows])
    record = {
        "format": FORMAT,
        "seed": seed,
        "n_clips": clips,
        "speakers": [f"s{i:03d}" for i in range(speakers)],
        "reach_frames": _reach(out, seed, [row for row, _ in rows]),
        "knobs": {row["key"]: row["knobs"] for row, _ in rows if row["knobs"]},
        "clips": [row for row, _ in rows],
        "sheet": "sheet.png",
    }
    # Written last, under a temporary name: a folder with a corpus.json is complete.
    path = out / "corpus.json"
    partial = out / ".corpus.json.partial"
    partial.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


REACH_CLIPS = 6
"""Clips from which the reach of a corpus is computed, evenly spaced: it takes about a second a clip."""


def _reach(out: Path, seed: int, rows: list[ClipRow]) -> int | None:
    """Frames of context on either side that the mouths of a corpus need; None where nobody speaks."""
    places = np.linspace(0, len(rows) - 1, min(REACH_CLIPS, len(rows))).round().astype(int)
    said = []
    for row in (rows[int(place)] for place in places):
        truth: Truth = json.loads((out / row["key"]).with_suffix(".json").read_text(encoding="utf-8"))
        who = speaker_of(seed, int(row["speaker"][1:]))
        slow = float(str(row["knobs"].get("sluggishness", 1.0)))
        phonemes = tuple(Word(p["phone"], p["start"], p["end"]) for p in truth["phonemes"])
        if phonemes:
            said.append(Said(phonemes, truth["n_frames"], style_of(who, Knobs(sluggishness=slow))))
    return reach_of(said) if said else None


@dataclass(frozen=True, slots=True)
class _Job:
    """One clip to make."""

    folder: str
    seed: int
    index: int
    speaker: int
    split: str
    options: ClipOptions
    knobs: Knobs


def _make_one(job: _Job) -> tuple[ClipRow, UInt8]:
    """Write one clip; its row of corpus.json and three small pictures (3, 128, 128, 3) for the sheet."""
    clip = make_clip(
        seed=job.seed,
        speaker=job.speaker,
        index=job.index,
        seconds=job.options.seconds,
        size=job.options.size,
        knobs=job.knobs,
        split=job.split,
    )
    truth = clip.truth
    write_clip(clip, Path(job.folder) / truth["key"])
    aperture = np.array(truth["aperture"])
    share = [0.0, float(aperture.argmax()) / len(aperture), 0.67]
    tiles = [_tile(clip.frames[min(int(s * len(clip.frames)), len(clip.frames) - 1)]) for s in share]
    row: ClipRow = {
        "key": truth["key"],
        "speaker": truth["speaker"],
        "split": truth["split"],
        "text": truth["text"],
        "n_frames": truth["n_frames"],
        "knobs": truth["knobs"],
        "file": f"{truth['key']}.mp4",
    }
    return row, np.stack(tiles)


def write_clip(clip: SynthClip, base: Path) -> Path:
    """Write `base`.mp4, .wav and .json; returns the path of the mp4.

    The sound in the mp4 is what the knobs ask for (rate, channels, offset, none); the wav is the 16 kHz
    master.
    """
    knobs = clip.knobs
    audio, rate = clip.audio, SAMPLE_RATE
    if knobs.sample_rate != SAMPLE_RATE:
        rate = knobs.sample_rate
        audio = resample(audio, SAMPLE_RATE, rate)
    if knobs.stereo:
        audio = np.stack([audio, audio * np.float32(0.6)], 1)
    shift = round(knobs.audio_offset * rate)
    if shift > 0:
        # The container starts the sound later, so the sound before that instant is left out.
        audio = audio[shift:]
    path = base.with_suffix(".mp4")
    frames: Iterable[UInt8] = clip.frames
    if knobs.rotation:
        # Stored turned back, so that the flag makes a player show it upright.
        frames = [np.ascontiguousarray(np.rot90(frame, knobs.rotation // 90)) for frame in clip.frames]
    media.write_video(
        path,
        frames,
        fps=knobs.fps,
        audio=None if knobs.mute else media.Sound(audio, rate, offset=max(knobs.audio_offset, 0.0)),
        quality=16,
        frame_times=clip.times.tolist() if knobs.vfr else None,
        rotation=knobs.rotation,
    )
    _write_wav(base.with_suffix(".wav"), clip.audio)
    text = json.dumps(clip.truth, indent=1, ensure_ascii=False) + "\n"
    base.with_suffix(".json").write_text(text, encoding="utf-8")
    return path


def _tile(frame: UInt8) -> UInt8:
    """A square thumbnail of 128 pixels; a wide picture keeps its proportions on dark ground."""
    height, width = frame.shape[:2]
    scale = 128 / max(height, width)
    small = cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    tile = np.full((128, 128, 3), 24, np.uint8)
    y, x = (128 - small.shape[0]) // 2, (128 - small.shape[1]) // 2
    tile[y : y + small.shape[0], x : x + small.shape[1]] = small
    return tile


def _write_wav(path: Path, audio: Float32) -> None:
    import soundfile

    soundfile.write(
        path, np.clip(np.round(audio * 32767), -32768, 32767).astype(np.int16), SAMPLE_RATE, "PCM_16"
    )


def _sheet(path: Path, tiles: list[UInt8]) -> None:
    """A contact sheet: three pictures of each clip, six clips a row, at most 48 clips."""
    strips = [np.hstack(list(t)) for t in tiles[:48]]
    per_row = 3
    while len(strips) % per_row:
        strips.append(np.full_like(strips[0], 24))
    rows = [np.hstack(strips[i : i + per_row]) for i in range(0, len(strips), per_row)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
