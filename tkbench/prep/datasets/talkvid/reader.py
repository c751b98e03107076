"""TalkVid: a JSON of clips over downloads, and TalkVid-Bench, whose videos are published themselves.

root     the downloads, in it or in folders below: parts as its script names them,
         `VIDEO_ID/VIDEO_ID_001_10.500_25.300.mp4`, files called by the clip's `id`, or whole videos, `VIDEO_ID.mp4`.
         TalkVid-bench lies in it as published: `TalkVid-bench/age/test_age.json` and `age/videos_w_audios/`
key      the clip's `id`; bench/<id> for TalkVid-Bench
clip     `start-time` to `end-time` in seconds; a canvas around the head, because no window is published
speaker  `Person ID`, or the YouTube id where that is empty, as in TalkVid-Bench
labels   language, gender, age, ethnicity, category of `info`; source: the YouTube id; subset: the parts of
         TalkVid-Bench that a clip is in, `age+language`
split    train: the JSON; test: TalkVid-Bench. Videos of the one may be in the other, too

Sources: the JSON, 7,729 speakers, 500 clips of TalkVid-Bench in FreedomIntelligence/TalkVid, README.md; names of parts
and the JSON's name in data_pipeline/0_video_download/README.md and download_clips.py there. The folders of
TalkVid-Bench (test_age.json with `video-path`, videos_w_audios/ with the sound) and the empty Person ID are as a public
download script has them. Not confirmed by any: how many clips the JSON has (one user counts 181,752 in the file with
captions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets import downloads, tables
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.tree import SAFE
from tkbench.runtime import storage
from tkbench.types import Clip, Skipped

NAMES = ("filtered_video_clips.json", "filtered_video_clips_with_captions.json")
BENCH, SUBSETS = "TalkVid-bench", ("age", "ethnicity", "gender", "language")
_LABELS = {"Language": "language", "Gender": "gender", "Age Group": "age", "Ethnicity": "ethnicity",
           "Video Category": "category"}  # fmt: skip
_PART = re.compile(r"([A-Za-z0-9_-]{11})__?(?:(?:\d{3}|NA)_)?(\d+\.\d+)_(\d+\.\d+)")


def alias(stem: str) -> str | None:
    """The name of a part of a video, whatever its number.

    >>> alias("Tr6MMsoWAog_001_0.100_5.142"), alias("Tr6MMsoWAog")
    ('Tr6MMsoWAog_100-5142', None)
    """
    found = _PART.fullmatch(stem)
    return None if found is None else _cut(found[1], float(found[2]), float(found[3]))


def _cut(tube: str, start: float, stop: float) -> str:
    return f"{tube}_{round(start * 1000)}-{round(stop * 1000)}"


def find_json(root: Path, annotations: str | None) -> Path | None:
    """Where the JSON of the clips lies. Raises UsageError for one that was given and is not there."""
    if annotations is not None:
        file = storage.place(annotations)
        if not file.is_file():
            raise UsageError(f"{annotations}: no such file; give {NAMES[0]} of TalkVid")
        return file
    return next(
        (file for place in (root, root / "data") for name in NAMES if (file := place / name).is_file()), None
    )


def load(file: Path, split: str, bad: list[str] | None = None) -> list[Part]:
    """The clips of a JSON by key, each once. bad: takes what is said of entries that cannot be read."""
    found: dict[str, Part] = {}
    known: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for number, entry in enumerate(tables.json_array(file), 1):
        try:
            part = _part(entry, split, known)
        except (KeyError, TypeError, ValueError, AttributeError):
            if bad is not None:
                bad.append(f"entry {number}: no usable id, start-time, end-time and Video Link")
            continue
        found.setdefault(part.key, part)
    return [found[key] for key in sorted(found)]


def _part(
    entry: dict[str, object], split: str, known: dict[tuple[tuple[str, str], ...], dict[str, str]]
) -> Part:
    """One clip. Raises KeyError, TypeError or ValueError for one of another form."""
    info = entry["info"]
    if not isinstance(info, dict):
        raise TypeError
    tube = downloads.youtube_id(str(info["Video Link"]))
    start, stop = float(str(entry["start-time"])), float(str(entry["end-time"]))
    if tube is None or not 0 <= start < stop:
        raise ValueError
    cut, name = _cut(tube, start, stop), str(entry.get("id", ""))
    named = [(label, text) for field, label in _LABELS.items() if (text := tables.text_of(info.get(field)))]
    pairs = (*named, ("source", tube))
    height = entry.get("height")
    return Part(
        key=name if SAFE.fullmatch(name) else cut,
        video=tube,
        names=(tube,),
        start=start,
        stop=stop,
        group=split,
        split=split,
        speaker=tables.text_of(info.get("Person ID")) or tube,
        cut=(cut, name) if name else (cut,),
        labels=known.setdefault(pairs, dict(pairs)),
        annotated=height if isinstance(height, int) and height > 0 else None,
    )


def bench(root: Path, bad: list[str] | None = None) -> tuple[list[Part], dict[str, str]]:
    """(clips, files) of TalkVid-Bench below the root; empty where it is not there."""
    clips: dict[str, Part] = {}
    subsets: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for subset in SUBSETS:
        place = root / BENCH / subset
        file = place / f"test_{subset}.json"
        if not file.is_file():
            continue
        files |= {
            f"bench:{stem}": path for stem, path in downloads.index_videos(place / "videos_w_audios").items()
        }
        for entry in tables.json_array(file):
            try:
                part = _part(entry, "test", {})
                stem = Path(str(entry["video-path"])).stem
            except (KeyError, TypeError, ValueError, AttributeError):
                if bad is not None:
                    bad.append(f"{file.name}: an entry without a usable id, time, link or video-path")
                continue
            key = f"bench/{part.key}"
            subsets.setdefault(key, []).append(subset)
            clips[key] = replace(
                part, key=key, names=(f"bench:{stem}",), cut=(f"bench:{stem}",), annotated=None
            )
    parts = [
        replace(part, labels={**part.labels, "subset": "+".join(subsets[key])})
        for key, part in sorted(clips.items())
    ]
    return parts, files


def everything(
    root: Path, annotations: str | None, bad: list[str] | None = None
) -> tuple[list[Part], dict[str, str]]:
    """(clips by split and key, files) of a copy. Raises UsageError where neither part is there."""
    file = find_json(root, annotations)
    test, files = bench(root, bad)
    if file is None and not test:
        raise UsageError(
            f"{root}: neither {NAMES[0]} nor {BENCH}/ in it; give the JSON of TalkVid: --annotations FILE"
        )
    train = [] if file is None else load(file, "train", bad)
    inside = f"{root}/{BENCH}/"
    mine = {
        name: path
        for name, path in downloads.index_videos(root, alias).items()
        if not path.startswith(inside)
    }
    return [*train, *test], mine | files


def read(root: Path, annotations: str | None = None) -> Iterator[Clip | Skipped]:
    """Every clip of the JSON, then of TalkVid-Bench; those whose video is not there are missing."""
    parts, files = everything(root, annotations)
    parts.reverse()
    yield from downloads.clips(root, (parts.pop() for _ in range(len(parts))), files, "talkvid")
