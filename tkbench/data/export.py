"""Clips out of shards as files that any inference script reads: `<key>.mp4` with the voice in it, and `<key>.wav`.

The pictures are those of the canvas, to the last bit: H.264 packets are copied, other codecs are coded anew without
loss. Every file has the pixel format yuv420p and exactly 25/1 frames per second; scripts that read the rate of a
copied MPEG-1 stream by OpenCV would see another one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tkbench import media
from tkbench.errors import BadShards, UsageError
from tkbench.runtime import storage
from tkbench.runtime.parallel import one_thread, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.words import counted
from tkbench.shards import Shards, open_shards, unpack_sound
from tkbench.shards.originals import originals

MARK = "export.json"
"""Says which shards a folder was exported from."""
NAMES = "names.csv"
"""Clip and file of those clips whose file has another name (`shards.originals`)."""
_EACH = 16
"""Clips of one task."""


@dataclass(frozen=True, slots=True)
class _Task:
    """Some clips to be written."""

    shards: str
    manifest: str
    """Its sha256."""
    keys: tuple[str, ...]
    out: str


def export(
    path: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> int:
    """Write the clips of a folder of shards to `out`; returns how many there are. Run again, it writes what is lacking.

    split: only these clips; limit: only the first ones by key. Raises UsageError for a folder that holds the clips of
    other shards.
    """
    whole = open_shards(path)
    shards = whole if split is None else open_shards(path, split=split)
    folder = Path(out)
    keys = shards.keys()[:limit]
    if not keys:
        raise BadShards(
            f"{path}: {counted(int(whole.index['n_clips']), 'clip')}, and none that can be used; `tkbench data show "
            f"{path}` shows why"
        )
    _check(folder, whole)
    _write_names(folder, whole)
    todo = [key for key in keys if not all(file.is_file() for file in _files(folder, key))]
    for parent in sorted({_files(folder, key)[0].parent for key in todo}):
        parent.mkdir(parents=True, exist_ok=True)
    done = len(keys) - len(todo)
    progress(done, len(keys), "exporting")
    manifest = str(whole.index["manifest_sha256"])
    parts = [tuple(todo[at : at + _EACH]) for at in range(0, len(todo), _EACH)]
    tasks = [_Task(str(path), manifest, part, str(out)) for part in parts]
    with pool(workers, items=len(tasks)) as crew:
        for _, count in crew.run(_write, tasks):
            done += count
            progress(done, len(keys), "exporting")
    progress(len(keys), len(keys), "written")
    return len(keys)


def _write_names(folder: Path, shards: Shards) -> None:
    """Where names of files were replaced: a table with the clip and the file of each of them."""
    files = originals(shards)
    if files:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("key", "file"), *files.items()])
        storage.write_file(folder / NAMES, text.getvalue().encode(errors="surrogateescape"))


def _files(folder: Path, key: str) -> Sequence[Path]:
    return folder / f"{key}.mp4", folder / f"{key}.wav"


def _check(folder: Path, shards: Shards) -> None:
    """Leave a mark in a new folder; refuse one whose mark tells of other shards."""
    mark = {"dataset": shards.dataset, "data_hash": shards.data_hash}
    file = folder / MARK
    if (folder / "index.json").is_file():
        raise UsageError(f"{folder}: holds shards; give another folder for the clips")
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_file(file, json.dumps(mark, indent=1).encode() + b"\n")
        return
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        there = None
    if there != mark:
        raise UsageError(f"{folder}: holds the clips of other shards ({MARK} says so); choose another folder")


@lru_cache(maxsize=1)
def _opened(path: str, manifest: str) -> Shards:
    """manifest: its sha256, so that shards made anew under the same name are opened anew."""
    return open_shards(path)


def _write(task: _Task) -> int:
    shards, folder = _opened(task.shards, task.manifest), Path(task.out)
    with one_thread():
        for key in task.keys:
            members = shards.members(key, ("mp4", "flac"))
            video, sound = _files(folder, key)
            voice = unpack_sound(key, members["flac"])
            # The video last: where it is, the other one is, too.
            beside = sound.with_name(f".{sound.name}.partial.wav")
            media.write_wav(beside, voice)
            beside.replace(sound)
            media.write_playable(video, members["mp4"], voice)
    return len(task.keys)
