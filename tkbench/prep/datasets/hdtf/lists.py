"""The annotation files of HDTF (MRzzm/HDTF@bbde889, CC BY 4.0), exactly as they are published.

For each of the subsets RD, WDA and WRA, separated by blanks; WDA's URLs begin with a byte order mark, some lines
end in a blank:

    RD_video_url.txt       Radio2 https://www.youtube.com/watch?v=uBWJJvynXpA&t=6s
    RD_resolution.txt      Radio1.mp4 720                        height in pixels; one is 0, which nobody can scale
    RD_annotion_time.txt   Radio11.mp4 00:30-01:00 01:30-02:30   clip 0, clip 1, ...
    RD_crop_wh.txt         Radio11_0.mp4 412 599 0 599           x, width, y, height; 15 clips have none
    RD_crop_ratio.txt      Radio11_0.mp4 1.2                     for a method with landmarks; not used here
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tkbench.errors import UsageError
from tkbench.prep.datasets.downloads import youtube_id
from tkbench.prep.datasets.tree import lines_of
from tkbench.runtime import storage

T = TypeVar("T")

SUBSETS = ("RD", "WDA", "WRA")
KINDS = ("video_url", "resolution", "annotion_time", "crop_wh")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CLOCK = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2})-(?:(\d{1,2}):)?(\d{1,3}):(\d{2})")


@dataclass(slots=True)
class Video:
    """What the files say of one video."""

    subset: str
    name: str
    intervals: list[tuple[int, int]] = field(default_factory=list)
    """(start, stop) in whole seconds."""
    resolution: int | None = None
    """Height that the crops were measured on; 0 and None: not known."""
    youtube: str | None = None
    crops: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    """Number of the clip -> x, y, width, height."""

    @property
    def file(self) -> str:
        """`RD_Radio1`: the name that is unique over the subsets."""
        return f"{self.subset}_{self.name}"

    def key(self, index: int) -> str:
        """`RD_Radio1_000`: how the field names a clip."""
        return f"{self.file}_{index:03d}"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, or that fits nothing."""

    file: str
    line: int
    detail: str
    kind: str = "bad-line"
    """no-interval for a URL without an annotated interval, which the published files have as well (Radio24)."""


@dataclass(slots=True)
class Annotations:
    """Every annotated video by subset and name, and what was wrong with the files."""

    videos: dict[tuple[str, str], Video] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Names of annotation files that are not there."""


def seconds_of(text: str) -> tuple[int, int]:
    """`00:30-01:00` in seconds. Raises ValueError.

    >>> seconds_of("00:30-01:00"), seconds_of("1:00:05-1:00:35")
    ((30, 60), (3605, 3635))
    """
    found = _CLOCK.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:40]!r} is no interval like 00:30-01:00")
    numbers = [int(part or 0) for part in found.groups()]
    start, stop = (h * 3600 + m * 60 + s for h, m, s in (numbers[:3], numbers[3:]))
    if not start < stop or numbers[2] > 59 or numbers[5] > 59:
        raise ValueError(f"{text!r} does not end after it begins")
    return start, stop


def find_folder(root: Path, given: str | None) -> Path:
    """Where the annotation files lie: in `given`, otherwise in `root` or a folder that is called as published.

    Raises UsageError where no *_annotion_time.txt is there.
    """
    places = [storage.place(given)] if given is not None else [root]
    for place in (*places, *(place / "HDTF_dataset" for place in places)):
        if any((place / f"{subset}_annotion_time.txt").is_file() for subset in SUBSETS):
            return place
    raise UsageError(
        f"{given or root}: no RD_annotion_time.txt, WDA_annotion_time.txt or WRA_annotion_time.txt; give the folder "
        "HDTF_dataset of github.com/MRzzm/HDTF: --annotations DIR"
    )


def load(folder: Path) -> Annotations:
    """Read the files of all subsets; bad lines and missing files are named, and the rest counts."""
    found = Annotations()
    for subset in SUBSETS:
        _load_subset(folder, subset, found)
    return found


def _load_subset(folder: Path, subset: str, found: Annotations) -> None:
    tables = {kind: folder / f"{subset}_{kind}.txt" for kind in KINDS}
    for file in tables.values():
        if not file.is_file():
            found.missing.append(file.name)
    videos: dict[str, Video] = {}
    times = _rows(tables["annotion_time"], found, lambda parts: [seconds_of(part) for part in parts])
    for name, (line, intervals) in times.items():
        if intervals:
            videos[name] = Video(subset, name, intervals)
        else:
            found.bad.append(BadLine(tables["annotion_time"].name, line, f"{name}: no interval"))
    for name, (_, height) in _rows(tables["resolution"], found, lambda parts: int(_one(parts))).items():
        if name in videos:
            videos[name].resolution = height
    for name, (line, url) in _rows(tables["video_url"], found, lambda parts: _one(parts)).items():
        if name in videos:
            videos[name].youtube = youtube_id(url)
        else:
            why = f"{name}: has a URL and no annotated interval"
            found.bad.append(BadLine(tables["video_url"].name, line, why, "no-interval"))
    for clip, (line, box) in _rows(tables["crop_wh"], found, _box).items():
        name, _, index = clip.rpartition("_")
        video = videos.get(name)
        if video is None or not index.isdecimal() or int(index) >= len(video.intervals):
            why = f"{clip}: a crop of a clip that no interval names"
            found.bad.append(BadLine(tables["crop_wh"].name, line, why))
        else:
            video.crops[int(index)] = box
    found.videos |= {(subset, name): video for name, video in videos.items()}


def _rows(file: Path, found: Annotations, parse: Callable[[list[str]], T]) -> dict[str, tuple[int, T]]:
    """First word of each line without `.mp4` -> (line number, the rest as parsed); bad lines are noted."""
    rows: dict[str, tuple[int, T]] = {}
    for number, line in enumerate(lines_of(file), 1):
        if not line:
            continue
        head, *rest = line.split()
        name = head.removesuffix(".mp4")
        try:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{head[:40]!r} is no name of a video")
            if name in rows:
                raise ValueError(f"{name}: also in line {rows[name][0]}, which counts")
            rows[name] = (number, parse(rest))
        except ValueError as error:
            found.bad.append(BadLine(file.name, number, str(error)))
    return rows


def _one(parts: list[str]) -> str:
    if len(parts) != 1:
        raise ValueError(f"{len(parts)} values, one is expected")
    return parts[0]


def _box(parts: list[str]) -> tuple[int, int, int, int]:
    if len(parts) != 4:
        raise ValueError(f"{len(parts)} numbers, four are expected: x, width, y, height")
    x, width, y, height = (int(part) for part in parts)
    if min(x, y) < 0 or min(width, height) < 2:
        raise ValueError(f"x {x}, width {width}, y {y}, height {height} is no window")
    return x, y, width, height
