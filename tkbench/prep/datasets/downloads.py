"""Data sets that are published as tables over videos which each user downloads: HDTF, CelebV-HQ, TalkVid and others.

The table names a video (by its YouTube id), a part of it, and often a window. A copy holds whole downloads, files that
a script has cut out, or both, in any folders, and never all of them. Here are: `Part`, one row of such a table; where
its file is; the clip that follows from it; and the availability ledger with the resolutions of what is there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tkbench import media
from tkbench.dataset import Check, Ledger
from tkbench.errors import BadMedia
from tkbench.prep import official
from tkbench.prep.datasets.folder import find_videos
from tkbench.types import Clip, Crop, FaceHint, Reason, Skipped

_IN_BRACKETS = re.compile(r"\[([A-Za-z0-9_-]{11})\]$")
_YOUTUBE = re.compile(r"(?:[?&]v=|youtu\.be/|/embed/|/shorts/)([A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])")
WHOLE = Crop(0.0, 0.0, 1.0, 1.0, of_height=0, shares=True)
"""The crop of a file that was cropped before."""


@dataclass(frozen=True, slots=True)
class Part:
    """One row of a published table."""

    key: str
    video: str
    """How ledgers call the video."""
    names: tuple[str, ...]
    """Names that the file of the whole video may have, without suffix, the best first."""
    start: float
    stop: float
    """Seconds."""
    group: str
    """What the ledger counts by."""
    split: str = "test"
    speaker: str | None = None
    cut: tuple[str, ...] = ()
    """Names of a file that holds this part alone."""
    cropped: bool = False
    """Such a file is cropped to the window as well."""
    crop: Crop | None = None
    face: FaceHint | None = None
    target: int | None = None
    text: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    annotated: int | None = None
    """Height of the video that the table speaks of."""


Files = Mapping[str, str]
"""Name without suffix -> path."""


def youtube_id(url: str) -> str | None:
    """The id in a URL, with or without `&t=`; None where there is none.

    >>> youtube_id("https://www.youtube.com/watch?v=uBWJJvynXpA&t=6s"), youtube_id("https://example.org/")
    ('uBWJJvynXpA', None)
    """
    found = _YOUTUBE.search(url)
    return found[1] if found else None


def index_videos(root: Path, alias: Callable[[str], str | None] | None = None) -> dict[str, str]:
    """Name without suffix, and other names of it (YouTube id in brackets, alias) -> file; the first in order counts."""
    files: dict[str, str] = {}
    for path in find_videos(root):
        stem, where = path.stem, str(path)
        files.setdefault(stem, where)
        if (bracket := _IN_BRACKETS.search(stem)) is not None:
            files.setdefault(bracket[1], where)
        if alias is not None and (other := alias(stem)) is not None:
            files.setdefault(other, where)
    return files


def find(part: Part, files: Files) -> tuple[str | None, bool]:
    """(path of the part's file, whether it holds this part alone); a file of the part comes before one of the video."""
    for name in part.cut:
        if name in files:
            return files[name], True
    for name in part.names:
        if name in files:
            return files[name], False
    return None, False


def clips(root: Path, parts: Iterable[Part], files: Files, dataset: str) -> Iterator[Clip | Skipped]:
    """The clip of each part, in the order of the parts; those whose video is not there are missing."""
    for part in parts:
        path, alone = find(part, files)
        if path is None:
            names = " or ".join(dict.fromkeys((*part.names, *part.cut)))
            why = f"no video named {names} below the root"
            lost = f"{root}/{part.names[0]}.mp4"
            yield Skipped(part.key, lost, Reason.MISSING_FILE, why, part.split, part.speaker, part.labels)
            continue
        cropped = alone and part.cropped
        yield Clip(
            key=part.key,
            path=path,
            dataset=dataset,
            split=part.split,
            speaker=part.speaker,
            text=part.text,
            extra=part.extra,
            start=None if alone else float(part.start),
            stop=None if alone else float(part.stop),
            crop=WHOLE if cropped else part.crop,
            face=None if cropped else part.face,
            target=part.target,
            labels=part.labels,
        )


# -- the availability ledger ---------------------------------------------------------------------------------


def check(
    ledger: Ledger, parts: Iterable[Part], files: Files, how: Check, total: int, unit: str = "clips"
) -> None:
    """Each part: is its video there, how large is it, does it hold the part. Headers are opened, pictures are not.

    total: how many parts there are.
    """
    book = _Book(ledger, how)
    lost: Counter[str] = Counter()
    where: dict[str, Part] = {}
    for done, part in enumerate(parts, 1):
        ledger.listed[part.group] += 1
        if part.target is not None and part.crop is None:
            ledger.add("no-crop", part.group, part.key, "", None, "a canvas around the head instead")
        path, alone = find(part, files)
        if path is None:
            lost[part.video] += 1
            where[part.video] = part
        else:
            book.enter(part, path, alone=alone)
        if done % 100 == 0 or done == total:
            how.progress(done, total, unit)
    for video, part in where.items():
        tube = part.extra.get("youtube")
        also = f", youtube {tube}" if tube and tube != video else ""
        ledger.add("missing-video", part.group, video, "", None, f"{lost[video]} clips{also}")
    for name in sorted(set(files.values()) - book.seen.keys()):
        ledger.add("not-annotated", "-", Path(name).stem, name, None, "no annotation names this video")
    if book.heights:
        counts = ", ".join(f"{count} x {height}" for height, count in sorted(book.heights.items()))
        ledger.notes.append(f"heights of the videos that are there: {counts}")


class _Book:
    """What was found of the files so far; each is opened once."""

    def __init__(self, ledger: Ledger, how: Check) -> None:
        self._ledger, self._how = ledger, how
        self.seen: dict[str, media.Header | None] = {}
        """Path -> its header; None for one that was not opened, or cannot be."""
        self._usable: set[str] = set()
        self.heights: Counter[str] = Counter()

    def enter(self, part: Part, path: str, *, alone: bool) -> None:
        if path not in self.seen:
            self.seen[path] = self._open(part, path)
        if path not in self._usable:
            return
        self._ledger.there[part.group] += 1
        head = self.seen[path]
        if head is None or alone:
            return
        if head.seconds is not None and part.stop > head.seconds + 0.5:
            why = f"interval {part.start:g}-{part.stop:g} s, the file has {head.seconds:.1f} s"
            self._ledger.add("too-short", part.group, part.key, path, None, why)
        problem = crop_problem(part, head)
        if problem is not None:
            why = f"{problem}: a canvas around the head"
            self._ledger.add("crop-unusable", part.group, part.key, path, None, why)

    def _open(self, part: Part, path: str) -> media.Header | None:
        """The header of a file that is met for the first time, and what there is to say of it."""
        ledger, group, video = self._ledger, part.group, part.video
        if Path(path).stat().st_size == 0:
            ledger.add("empty-file", group, video, path)
            return None
        if self._how.fast:
            self._usable.add(path)
            ledger.add("available", group, video, path, None, "not opened")
            return None
        try:
            head = media.peek(path)
        except BadMedia as error:
            ledger.add("unreadable", group, video, path, None, str(error))
            return None
        self._usable.add(path)
        self.heights[str(head.height)] += 1
        seconds = f"{head.seconds:.1f} s" if head.seconds is not None else "length unknown"
        size = f"{head.width}x{head.height}, annotated at {part.annotated or 'unknown'}, {seconds}"
        ledger.add("available", group, video, path, None, size)
        if not head.sound:
            why = "a copy without a sound track cannot be prepared"
            ledger.add("no-sound", group, video, path, None, why)
        if part.annotated and head.height != part.annotated and not part.cropped:
            scale = head.height / part.annotated
            why = f"{head.height} where {part.annotated} is annotated: crops are scaled by {scale:.4g}"
            ledger.add("other-resolution", group, video, path, None, why)
        return head


def crop_problem(part: Part, head: media.Header) -> str | None:
    """Why the crop of a part cannot be used on the file that is there; None where it can, or has none."""
    if part.crop is None:
        return None
    clip = Clip("", "", "", crop=part.crop, target=part.target)
    cut, record = official.crop_of(clip, head.width, head.height)
    return str(record["why"]) if cut is None else None
