"""The plan of a run: which clip goes into which shard, decided before anything runs, from names and sizes alone.

Clips are sorted by key and dealt to shards of one split each, so the plan does not depend on the order of a listing
or on the number of workers. `Settings` decide what a shard holds; `ShardPlan.digest` is the sha256 of all that
decides the bytes of one shard (settings, software, clips, size and time of their files). A shard with the same digest
is kept when a run is resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath

from tkbench import media
from tkbench.crops import align
from tkbench.crops.recipes import STORED
from tkbench.errors import UsageError
from tkbench.prep import backends, datasets
from tkbench.runtime import storage
from tkbench.types import Clip, Crop, FaceHint, Skipped, Tracks, Word
from tkbench.version import __version__

PROTOCOL = "prep-1"
"""Raised when the meaning of a prepared clip changes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what a shard holds."""

    max_side: int = 512
    """Longest side of a canvas, pixels."""
    min_frames: int = 25
    """Shortest run of a face that becomes a sample."""
    released_frames: int = 5
    """The same for data sets whose makers cut the clips to a face (LRW, LRS2, LRS3): published tables are over all of
    them, and LRS2 has test clips of less than a second. Five frames are what a judge looks at."""
    max_frames: int = 1000
    """Longest sample: 40 s, of which 512 x 512 pixels are 0.8 GB when decoded."""
    max_gap: int = 5
    """Frames without a face that are filled from their neighbours."""
    silence_db: float = -70.0
    min_face: float = 40.0
    """Height of the landmarks' box on the canvas, pixels."""
    check_every: int = 25
    """Frames between two looks of the face detector."""
    train_crf: int = 14
    """x264 quality of train splits; the others are lossless."""
    recipes: tuple[str, ...] = STORED
    """Crop recipes whose matrices are stored."""
    backend: str = backends.DEFAULT
    """The face tracker, one of `backends.BACKENDS`."""
    video_track: int | None = None
    """Number of the video track to read, from 1 on; None: the one that a player plays."""
    audio_track: int | None = None
    keep_source: bool = False
    """Also keep the file of a clip that is all of it, byte for byte: published LSE scripts start there."""

    @property
    def tracks(self) -> Tracks:
        """Which tracks are read."""
        return Tracks(self.video_track, self.audio_track)

    def quality(self, split: str) -> media.Quality:
        """How the canvas of a split is encoded, where it cannot be copied."""
        return self.train_crf if split in ("train", "trainval", "pretrain") else "lossless"

    def shortest(self, dataset: str) -> int:
        """Frames of the shortest sample of a data set, by its name in an index."""
        released = datasets.known(dataset).released
        return min(self.min_frames, self.released_frames) if released else self.min_frames

    def signature(self) -> str:
        """Every setting, and the programs that read and track, in one line."""
        parts = [
            f"canvas:{self.max_side}",
            f"frames:{self.min_frames}-{self.max_frames}",
            f"released:{self.released_frames}",
            f"gap:{self.max_gap}",
            f"silence:{self.silence_db:g}dB",
            f"face:{self.min_face:g}px",
            f"check:{self.check_every}",
            f"crf:{self.train_crf}",
            backends.info(self.backend).signature(),
            *(align.RECIPES[name].signature() for name in self.recipes),
            *(f"{name}:{version}" for name, version in sorted(media.stack().items())),
        ]
        named = {"video-track": self.video_track, "audio-track": self.audio_track}
        parts += [f"{name}:{number}" for name, number in named.items() if number is not None]
        parts += ["source:kept"] if self.keep_source else []
        return "|".join([PROTOCOL, *parts])


def software(settings: Settings) -> str:
    """Everything that decides the bytes, besides the clips: the signature, and the version of this program."""
    return f"{settings.signature()}|tkbench:{__version__}"


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One unit of work: one shard and the clips that go into it."""

    name: str
    split: str
    clips: tuple[Clip, ...]
    root: str
    out: str
    settings: Settings
    digest: str
    """sha256 of all that decides the shard's content: clips, their files' sizes and times, settings."""
    weight: int
    """Bytes of its source files: the large ones are started first."""
    attempt: int = 0
    """Processes that died while they made this shard. From the third on, clips get a process of their own."""
    given_up: bool = False
    """Make rows of failure for all of its clips, and touch none of them."""
    run: str = ""
    """The run that this belongs to: messages of another one are not for it."""
    signature: str = ""
    """`software` where the plan was made: a worker with another one refuses."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every shard of a run, in name order, and the clips that the reader had to skip."""

    shards: tuple[ShardPlan, ...]
    skipped: tuple[Skipped, ...] = field(default=())


def default_shard_clips(n_clips: int) -> int:
    """Clips per shard: many small shards spread the work evenly, but a huge corpus must not become
    too many files.

    >>> [default_shard_clips(n) for n in (3, 24, 1243, 45839)]
    [2, 2, 20, 256]
    """
    return max(2, min(256, -(-n_clips // 64)))


def make_plan(
    found: Iterable[Clip | Skipped],
    root: Path,
    out: Path,
    settings: Settings,
    *,
    shard_clips: int | None = None,
) -> Plan:
    """Deal clips, sorted by key, to shards of one split each. Raises UsageError for keys that are not
    unique.
    """
    items = list(found)
    clips = sorted((item for item in items if isinstance(item, Clip)), key=lambda clip: clip.key)
    skipped = tuple(sorted((item for item in items if isinstance(item, Skipped)), key=lambda item: item.key))
    keys = [clip.key for clip in clips] + [item.key for item in skipped]
    often = {key: count for key, count in Counter(keys).items() if count > 1}
    if often:
        double = min(often)
        raise UsageError(f"{root}: key {double!r} is there {often[double]} times; a key names one clip")
    size = shard_clips or default_shard_clips(len(clips))
    signature = settings.signature()
    shards = []
    by_split: dict[str, list[Clip]] = {}
    for clip in clips:
        by_split.setdefault(clip.split, []).append(clip)
    states = _states(clips)
    for split, mine in sorted(by_split.items()):
        for number, start in enumerate(range(0, len(mine), size)):
            part = tuple(mine[start : start + size])
            seen = [states[clip.path] for clip in part]
            weight = sum(bytes_ for bytes_, _ in seen)
            digest = _digest(part, seen, root, signature)
            name = f"{split}-{number:06d}.tar"
            shards.append(
                ShardPlan(
                    name,
                    split,
                    part,
                    str(root),
                    str(out),
                    settings,
                    digest,
                    weight,
                    signature=software(settings),
                )
            )
    return Plan(tuple(shards), skipped)


def labels_of(plan: Plan) -> set[str]:
    """Names of the labels that any clip of a plan has."""
    found = {name for shard in plan.shards for clip in shard.clips for name in clip.labels}
    return found | {name for item in plan.skipped for name in item.labels}


def _states(clips: Sequence[Clip]) -> dict[str, tuple[int, int]]:
    """Path -> `_state`. On a slow disk or over a network many at once; on a fast one threads only cost."""
    paths = list(dict.fromkeys(clip.path for clip in clips))
    few, rest = paths[:200], paths[200:]
    began = time.perf_counter()
    found = {path: _state(path) for path in few}
    each = (time.perf_counter() - began) / max(len(few), 1)
    if not rest:
        return found
    if each < 50e-6:
        return found | {path: _state(path) for path in rest}
    # By the thousand: a future for each path would take more memory than the plan.
    parts = [rest[start : start + 1000] for start in range(0, len(rest), 1000)]
    with ThreadPoolExecutor(32) as threads:
        for part, seen in zip(
            parts, threads.map(lambda part: [_state(path) for path in part], parts), strict=True
        ):
            found.update(zip(part, seen, strict=True))
    return found


def sizes_of(clips: Sequence[Clip]) -> list[float]:
    """What the cost of a clip goes with: seconds of an interval, otherwise bytes of its file."""
    states = _states(clips)
    return [
        clip.stop - clip.start
        if clip.start is not None and clip.stop is not None
        else float(states[clip.path][0])
        for clip in clips
    ]


def _state(path: str) -> tuple[int, int]:
    """(bytes, modification time) of a clip's file; zeros if it went away since it was listed."""
    try:
        stat = storage.place(path).stat() if storage.is_remote(path) else os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _digest(clips: Sequence[Clip], states: Sequence[tuple[int, int]], root: Path, signature: str) -> str:
    record: list[object] = [signature]
    names = [item.name for item in fields(Clip)]
    for clip, state in zip(clips, states, strict=True):
        facts = {name: value for name in names if (value := getattr(clip, name)) or name not in _LATER}
        facts["path"] = relative(clip.path, root)
        if clip.sidecar is not None:
            facts["sidecar"] = relative(clip.sidecar, root)
        if clip.face is not None and clip.face.track is not None:
            facts["face"] = replace(clip.face, track=relative(clip.face.track, root))
        record.append([facts, *state])
    return hashlib.sha256(json.dumps(record, sort_keys=True, default=_plain).encode()).hexdigest()


_LATER = frozenset({"face", "labels", "shares", "square"})
"""Fields that came after shards were made without them: where they say nothing, they change no digest."""


def _plain(value: object) -> object:
    """A mapping or record as JSON can hold it."""
    if isinstance(value, Mapping):
        return dict(value)
    assert isinstance(value, (Word, Crop, FaceHint))
    return {name: item for name, item in asdict(value).items() if item or name not in _LATER}


def relative(path: str, root: str | Path) -> str:
    """A path as the manifest keeps it: below the root, so that no shard tells where a disk was mounted."""
    base = str(root).rstrip("/") + "/"
    shown = path[len(base) :] if path.startswith(base) else PurePosixPath(path).name
    # A name that is no valid UTF-8 could not be written to JSON or parquet.
    return shown.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
