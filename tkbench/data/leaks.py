"""Clips that a split, or another data set, should not share: the same people, the same recordings, copies under other
names.

    same-speaker    a speaker of the data set has clips in both splits (by the data set's own names)
    same-source     clips of both were cut from one recording: the same file (sha256), or the same `label_source`
    same-recording  sound and movement of two clips are the same: an overlapping interval, or a copy that was encoded
                    again, scaled or cut
    same-sound      only the sound is: another picture under the same voice
    same-face       only the movement is: a dubbed or muted copy

Splits of one folder are held against each other, and all splits of one folder against all of another. Speakers are
compared within one data set only: names of different data sets have nothing to do with each other. Clips of one split
are never compared: what repeats inside of it leaks nothing.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from tkbench.data.fingerprints import Print, fingerprint
from tkbench.data.matching import Match, find
from tkbench.errors import BadSample, UsageError
from tkbench.results.leaderboard import safe
from tkbench.runtime.parallel import one_thread, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.shards import Shards, open_shards, unpack_arrays, unpack_sound

KINDS = {
    "same-speaker": "a speaker with clips in both",
    "same-source": "a recording with clips in both",
    "same-recording": "the same sound and the same movement of the face",
    "same-sound": "the same sound under another face",
    "same-face": "the same movement of the face under another sound",
}
_EACH = 32
"""Clips of one task."""


@dataclass(frozen=True, slots=True)
class Place:
    """A split of a folder of shards."""

    folder: str
    dataset: str
    split: str

    def name(self, *, with_folder: bool) -> str:
        return f"{self.folder}: {self.split}" if with_folder else self.split


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that two splits share."""

    kind: str
    first: Place
    second: Place
    a: str
    """A clip, or the first of those that are meant."""
    b: str
    clips_a: int = 1
    clips_b: int = 1
    seconds: float = 0.0
    """How long two clips are the same; 0 for speakers and sources."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and what it looked at."""

    places: tuple[Place, ...]
    clips: tuple[int, ...]
    """Of each place."""
    leaks: tuple[Leak, ...]
    unread: tuple[str, ...]
    """Damaged clips, which were compared by name alone."""
    unnamed: int
    """Clips without a speaker."""

    @property
    def several_folders(self) -> bool:
        return len({place.folder for place in self.places}) > 1

    def table(self) -> list[tuple[str, str, str, int]]:
        """Rows (kind, first, second, how many), most serious kinds first."""
        many = self.several_folders
        counts = Counter(
            (leak.kind, leak.first.name(with_folder=many), leak.second.name(with_folder=many))
            for leak in self.leaks
        )
        order = list(KINDS)
        return [(*key, counts[key]) for key in sorted(counts, key=lambda key: (order.index(key[0]), key[1:]))]

    def write_csv(self, file: Path) -> None:
        """Every leak, one line each."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        head = "kind folder_a split_a clip_a clips_a folder_b split_b clip_b clips_b seconds detail"
        writer.writerow(head.split())
        for leak in self.leaks:
            one = [leak.first.folder, leak.first.split, leak.a, leak.clips_a]
            two = [leak.second.folder, leak.second.split, leak.b, leak.clips_b]
            row = [leak.kind, *one, *two, f"{leak.seconds:.2f}", leak.detail]
            writer.writerow([safe(cell) for cell in row])
        file.write_text(out.getvalue(), encoding="utf-8", errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class _Clip:
    place: int
    folder: str
    key: str
    speaker: str
    sources: tuple[str, ...]


def find_leaks(
    folders: Sequence[str | Path], *, names_only: bool = False, workers: int = 1, progress: Progress = silent
) -> Found:
    """Search folders of shards for what their splits share. names_only: speakers and sources; no clip is read.

    Raises BadShards for a folder that holds none, and UsageError where there are no two splits to compare.
    """
    opened = [open_shards(folder) for folder in folders]
    if len({str(source.folder) for source in opened}) < len(opened):
        raise UsageError("a folder of shards is given twice; give each once")
    places: list[Place] = []
    clips: list[_Clip] = []
    for source in opened:
        first = len(places)
        places += [Place(str(source.folder), source.dataset, split) for split in source.splits]
        clips += _clips_of(source, {split: first + i for i, split in enumerate(source.splits)})
    if len(places) < 2:
        raise UsageError(
            f"{opened[0].folder}: has the one split {places[0].split}; give another folder to compare"
        )
    leaks = [*_same_speakers(clips, places), *_same_sources(clips, places)]
    unread: list[str] = []
    if not names_only:
        manifests = {str(source.folder): str(source.index["manifest_sha256"]) for source in opened}
        prints = _prints_of(clips, manifests, workers, progress, unread)
        known = [i for i in range(len(clips)) if prints[i] is not None]
        found = find([p for p in prints if p is not None], [clips[i].place for i in known], progress)
        leaks += [_leak(match, clips[known[match.a]], clips[known[match.b]], places) for match in found]
    order = list(KINDS)
    leaks.sort(
        key=lambda leak: (
            order.index(leak.kind),
            places.index(leak.first),
            places.index(leak.second),
            leak.a,
            leak.b,
        )
    )
    counts = Counter(clip.place for clip in clips)
    unnamed = sum(not clip.speaker for clip in clips)
    return Found(
        tuple(places), tuple(counts[i] for i in range(len(places))), tuple(leaks), tuple(unread), unnamed
    )


def _leak(match: Match, one: _Clip, two: _Clip, places: Sequence[Place]) -> Leak:
    """Two clips that are one recording, those of the earlier place first."""
    sign = 1
    if one.place > two.place:
        one, two, sign = two, one, -1
    parts = []
    if match.sound is not None:
        parts.append(f"{match.sound:.1%} of the sound's bits differ, at {sign * match.sound_offset:+.2f} s")
    if match.face is not None:
        parts.append(f"movements correlate by {match.face:.2f}, at {sign * match.face_offset:+.2f} s")
    kind = "same-face" if match.sound is None else "same-sound" if match.face is None else "same-recording"
    seconds = max(match.sound_seconds, match.face_seconds)
    pair = places[one.place], places[two.place]
    return Leak(kind, *pair, one.key, two.key, seconds=seconds, detail="; ".join(parts))


def _clips_of(source: Shards, places: dict[str, int]) -> list[_Clip]:
    """The prepared clips with what the manifest says of their speaker and their recording."""
    table = source.manifest(["key", "status", "split", "speaker", "source_sha256", "label_source"])
    table = table[table["status"] == "ok"].sort_values("key").astype(object)
    rows = table.where(table.notna(), "").to_dict("records")
    return [
        _Clip(
            places[row["split"]],
            str(source.folder),
            row["key"],
            row["speaker"],
            tuple(
                f"{kind} {row[name]}"
                for kind, name in (("file", "source_sha256"), ("recording", "label_source"))
                if row[name]
            ),
        )
        for row in rows
    ]


def _same_speakers(clips: Sequence[_Clip], places: Sequence[Place]) -> list[Leak]:
    """A leak for each speaker and pair of splits of one data set."""
    named = [((places[clip.place].dataset, clip.speaker), clip) for clip in clips if clip.speaker]
    return _leaks("same-speaker", named, places)


def _same_sources(clips: Sequence[_Clip], places: Sequence[Place]) -> list[Leak]:
    """A leak for each recording and pair of splits."""
    named = [(("", source), clip) for clip in clips for source in clip.sources]
    return _leaks("same-source", named, places)


def _leaks(kind: str, named: Sequence[tuple[tuple[str, str], _Clip]], places: Sequence[Place]) -> list[Leak]:
    """A leak for each name that clips of two places have."""
    return [
        Leak(
            kind,
            places[one[0].place],
            places[two[0].place],
            one[0].key,
            two[0].key,
            len(one),
            len(two),
            detail=name,
        )
        for name, one, two in _shared(named)
    ]


def _shared(named: Sequence[tuple[tuple[str, str], _Clip]]) -> list[tuple[str, list[_Clip], list[_Clip]]]:
    """(name, clips of one place, clips of another) for each name that clips of both have."""
    found: dict[tuple[str, str], dict[int, list[_Clip]]] = {}
    for name, clip in named:
        found.setdefault(name, {}).setdefault(clip.place, []).append(clip)
    return [
        (name, mine[a], mine[b])
        for (_, name), mine in sorted(found.items())
        for a, b in combinations(sorted(mine), 2)
    ]


# -- fingerprints --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Task:
    folder: str
    manifest: str
    keys: tuple[str, ...]


def _prints_of(
    clips: Sequence[_Clip], opened: Mapping[str, str], workers: int, progress: Progress, unread: list[str]
) -> list[Print | None]:
    """The fingerprints of all clips, None for damaged ones, whose faults are added to `unread`.

    opened: folder -> sha256 of its manifest, in the order of the clips.
    """
    tasks: list[_Task] = []
    for folder, manifest in opened.items():
        keys = [clip.key for clip in clips if clip.folder == folder]
        tasks += [_Task(folder, manifest, tuple(keys[at : at + _EACH])) for at in range(0, len(keys), _EACH)]
    answers: dict[int, list[Print | str]] = {}
    done = 0
    progress(0, len(clips), "fingerprints")
    with pool(workers, items=len(tasks)) as crew:
        for index, found in crew.run(_read, tasks):
            answers[index] = found
            done += len(found)
            progress(done, len(clips), "fingerprints")
    prints: list[Print | None] = []
    for index in range(len(tasks)):
        for one in answers[index]:
            if isinstance(one, str):
                unread.append(one)
            prints.append(None if isinstance(one, str) else one)
    return prints


@lru_cache(maxsize=2)
def _opened(folder: str, manifest: str) -> Shards:
    """manifest: its sha256, so that shards made anew are opened anew."""
    return open_shards(folder)


def _read(task: _Task) -> list[Print | str]:
    """Fingerprints of some clips, in the place of a damaged one what is wrong with it."""
    source = _opened(task.folder, task.manifest)
    found: list[Print | str] = []
    with one_thread():
        for key in task.keys:
            try:
                members = source.members(key, ("flac", "npz"))
                landmarks = unpack_arrays(key, members["npz"])["landmarks"]
                found.append(fingerprint(unpack_sound(key, members["flac"]), landmarks))
            except BadSample as error:
                found.append(str(error))
    return found
