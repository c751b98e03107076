"""What an evaluation has finished, clip by clip, so that a killed one goes on where it was.

    OUT/.work/TABLE.MODEL/.lock                 held while the evaluation runs: a second one is refused
    OUT/.work/TABLE.MODEL/FACTS/facts.json      what the records rest on: signature, model, clips, software
    OUT/.work/TABLE.MODEL/FACTS/CLIP.npz        one clip: rows, curves, states of set metrics, hash of its video, cost

FACTS and CLIP are hashes. A record gets its name when it is complete and on the disk (`storage.write_file`), so
whatever has a name is finished. The folder is removed when the bundle is in its place. Records of other facts
(another checkpoint, protocol, version of tkbench) are removed, and so is the record of a clip whose video is not the
file that was scored. A worker that outlived its evaluation writes into the folder of its own facts, or finds it gone.

A record holds no pickle: JSON, and arrays as numpy writes them. States of set metrics are taken apart into numbers,
texts, arrays, lists, dicts, and the fields of the metric's own dataclass, and are read back one clip at a time.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import cast

import numpy as np

from tkbench.errors import BadInput, UsageError
from tkbench.metrics.base import AnySetMetric
from tkbench.prep.lock import RunLock
from tkbench.results.bundle import Curve, slug
from tkbench.results.cost import Spent
from tkbench.runtime import storage
from tkbench.scoring.players import Player
from tkbench.shards import pack_arrays
from tkbench.types import Array, Reason, Row

WORK = ".work"
FACTS = "facts.json"
FORMAT = 1
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, IndexError,
)  # fmt: skip
"""What reading a file that is no whole record raises."""


@dataclass(slots=True)
class ClipRecord:
    """What scoring one clip gave."""

    key: str
    rows: list[Row]
    curves: list[Curve]
    states: list[object]
    """One per set metric, in the protocol's order; a record that was read has the one that was asked for, or none."""
    has_video: bool
    """Whether there was a usable video: without one, no set metric has got the clip."""
    video: str = ""
    """sha256 of its video's file, where the model's videos are files."""
    made_of: str = ""
    """What told this state of its video's file from another when it was scored."""
    device: str = "cpu"
    """The device that networks ran on, by its model."""
    spent: Spent | None = None
    strata: dict[str, float] = field(default_factory=dict)
    """Measured stratum -> number, of the true clip (`scoring.strata`)."""
    player: Player | None = None
    """For the report, where the clip got one."""


def record_file(folder: Path, key: str) -> Path:
    """Where the record of a clip lies."""
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def write_record(folder: Path, record: ClipRecord) -> None:
    """Write the record of a clip; it is there as a whole or not at all."""
    storage.write_file(record_file(folder, record.key), pack(record))


def pack(record: ClipRecord) -> bytes:
    """A record as the bytes of an npz file."""
    arrays: dict[str, Array] = {}
    told = {
        "format": FORMAT,
        "key": record.key,
        "rows": [
            [r.metric, float(r.value), r.reason.value if r.reason else "", r.detail] for r in record.rows
        ],
        "curves": [[metric, take_apart(curve, arrays)] for _, metric, curve in record.curves],
        "states": [take_apart(state, arrays) for state in record.states],
        "has_video": record.has_video,
        "video": record.video,
        "made_of": record.made_of,
        "device": record.device,
        "strata": record.strata,
        "player": _player_to_json(record.player, arrays),
        "spent": asdict(record.spent) if record.spent is not None else None,
    }
    return pack_arrays({"record": np.frombuffer(json.dumps(told).encode(), np.uint8), **arrays})


def read_record(folder: Path, key: str, states: tuple[int, AnySetMetric] | None = None) -> ClipRecord | None:
    """The record of a clip; None where there is none that can be read.

    states: place and metric of the one state that it is to hold; by default none is read.
    """
    try:
        with np.load(io.BytesIO(record_file(folder, key).read_bytes()), allow_pickle=False) as file:
            told = json.loads(file["record"].tobytes())
            if told["format"] != FORMAT or told["key"] != key:
                return None
            return ClipRecord(
                key=key,
                rows=[
                    Row("", key, metric, value, Reason(reason) if reason else None, detail)
                    for metric, value, reason, detail in told["rows"]
                ],
                curves=[(key, metric, cast(Array, put_together(c, file))) for metric, c in told["curves"]],
                states=[
                    put_together(told["states"][place], file, type(metric.start()))
                    for place, metric in ([states] if states is not None else [])
                ],
                has_video=told["has_video"],
                video=told["video"],
                made_of=told["made_of"],
                device=told["device"],
                strata=told["strata"],
                player=_player_from_json(key, told["player"], file),
                spent=Spent(**told["spent"]) if told["spent"] is not None else None,
            )
    except _DAMAGE:
        return None


def _player_to_json(player: Player | None, arrays: dict[str, Array]) -> object:
    if player is None:
        return None
    parts = [player.place[0], np.frombuffer(player.video, np.uint8), player.mouth]
    return [take_apart(part, arrays) for part in parts]


def _player_from_json(key: str, told: list[object] | None, arrays: Mapping[str, Array]) -> Player | None:
    if told is None:
        return None
    place, video, mouth = (put_together(part, arrays) for part in told)
    return Player(key, (cast(float, place), key), cast(Array, video).tobytes(), cast("Array | None", mouth))


def take_apart(value: object, arrays: dict[str, Array]) -> object:
    """A value as JSON; arrays in it go to `arrays` and leave their names.

    Raises BadInput for what is no number, text, array, list, dict with texts as keys, or dataclass of these.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return take_apart(np.asarray(value), arrays)
    if isinstance(value, float):
        return value
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [take_apart(item, arrays) for item in value]}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: take_apart(item, arrays) for name, item in value.items()}}
    if is_dataclass(value) and not isinstance(value, type):
        named = {part.name: take_apart(getattr(value, part.name), arrays) for part in fields(value)}
        return {"fields": named}
    raise BadInput(
        f"a {type(value).__name__} in the state of a set metric; a state holds numbers, texts, arrays, lists, dicts "
        "and a dataclass of these, so that it can be kept on the disk"
    )


def put_together(told: object, arrays: Mapping[str, Array], kind: type | None = None) -> object:
    """What `take_apart` took apart. kind: the dataclass of the outermost value, if it is one."""
    if not isinstance(told, dict):
        return told
    ((what, parts),) = told.items()
    if what == "array":
        array = arrays[parts]
        return array[()] if array.ndim == 0 else array
    if what == "dict":
        return {name: put_together(part, arrays) for name, part in parts.items()}
    if what == "fields" and kind is not None:
        return kind(**{name: put_together(part, arrays) for name, part in parts.items()})
    if what in ("list", "tuple"):
        items = [put_together(part, arrays) for part in parts]
        return items if what == "list" else tuple(items)
    raise ValueError(f"{what!r} is no part of a state")


class WorkFolder:
    """The records of one evaluation, while it runs."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def kept(self, keys: Sequence[str], state_of: Callable[[str], str]) -> set[str]:
        """The clips that are finished. state_of: what tells the present state of a clip's video from another."""
        there = {file.name for file in self.place.glob("*.npz")}
        found: set[str] = set()
        for key in keys:
            file = record_file(self.place, key)
            if file.name not in there:
                continue
            record = read_record(self.place, key)
            if record is not None and record.made_of == state_of(key):
                found.add(key)
            else:
                file.unlink()
        return found

    def forget(self) -> None:
        """Remove all records: of a model that made no video at all, none is worth keeping."""
        for file in self.place.glob("*.npz"):
            file.unlink(missing_ok=True)

    def rows(self, keys: Sequence[str]) -> list[Row]:
        """The rows of those clips that are finished."""
        found = (read_record(self.place, key) for key in keys)
        return [row for record in found if record is not None for row in record.rows]

    def read(self, key: str, states: tuple[int, AnySetMetric] | None = None) -> ClipRecord:
        """The record of a finished clip; states: see `read_record`."""
        record = read_record(self.place, key, states)
        if record is None:
            raise UsageError(
                f"{record_file(self.place, key)}: the record of clip {key} went away or is damaged; run the same "
                "command again"
            )
        return record


@contextmanager
def work_folder(
    out: Path, name: tuple[str, str], facts: Mapping[str, object], *, fresh: bool
) -> Iterator[WorkFolder]:
    """The work folder of (table, model), which holds records of these facts only; gone after a good end.

    fresh: records of an earlier run go, too. Raises StorageError where another evaluation is at work in it.
    """
    place = out / WORK / f"{name[0]}.{slug(name[1])}"
    for last in (False, False, True):
        try:
            place.mkdir(parents=True, exist_ok=True)
            break
        except FileNotFoundError:  # another evaluation ended, and removed the empty folder above
            if last:
                raise
    told = json.dumps({"format": FORMAT, **facts}, indent=1, sort_keys=True).encode() + b"\n"
    mine = place / hashlib.sha256(told).hexdigest()[:16]
    with RunLock(place):
        for old in place.iterdir():
            if old.is_dir() and (fresh or old != mine):
                _remove(old)
        mine.mkdir(exist_ok=True)
        storage.write_file(mine / FACTS, told)
        for left in mine.glob(".*.partial"):
            left.unlink(missing_ok=True)
        yield WorkFolder(mine)
        _remove(mine)
    with suppress(OSError):  # not empty: another evaluation is at work there
        place.rmdir()
        place.parent.rmdir()


def _remove(folder: Path) -> None:
    """Take a folder away, at once for whoever still works in it."""
    gone = folder.with_name(f".gone-{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
