"""Shards: a folder of WebDataset tar files that holds a prepared data set.

    index.json              format, data set, splits, settings, and of each shard its clips, bytes and sha256
    manifest.parquet        one row per clip, prepared or skipped: `COLUMNS`, then a text column `label_NAME` for
                            each label that the data set gives (`tkbench.dataset`)
    SPLIT-000000.tar, ...   the samples; of the clip with the key K:
        K.mp4                   the canvas, 25 frames/s
        K.flac                  its sound, 16 kHz mono, 640 samples per frame
        K.npz                   landmarks, boxes and scores of each frame, and the crop matrices of each crop recipe
        K.json                  everything else: text, words, where the canvas lies in the source, facts, fixes
        K.source.mp4 (.mpg ...) the released file, where it was prepared with --keep-source and the clip is all of it
    stats.json, stats/      counts and times of the run that made it; not hashed, because times differ from run to run

index.json is written last: a folder without it is unfinished. Plain `webdataset` and `tar` read the shards. This module
writes them (`ShardWriter`, `write_index`) and reads them (`open_shards`); `tkbench.shards.clip` makes a Sample of a
clip's members.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypedDict, cast

import numpy as np

from tkbench.errors import BadInput, BadSample, BadShards, StorageError, UnknownName
from tkbench.registry import suggest
from tkbench.runtime import storage
from tkbench.runtime.hashes import sha256_once
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import sha256_of, write_file
from tkbench.shards.clip import unpack as unpack
from tkbench.shards.clip import unpack_arrays as unpack_arrays
from tkbench.shards.clip import unpack_sound as unpack_sound
from tkbench.types import LABEL, Array, Float32, Sample

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
LARGEST_INDEX = 64 << 20
"""Bytes of an index.json that is read: 300,000 shards."""
LARGEST_MANIFEST = 1 << 30
"""Bytes of a manifest that is read, as a file and as columns: half a million clips take a fifth of it."""
LONGEST_KEY = 250
INDEX, MANIFEST, STATS = "index.json", "manifest.parquet", "stats.json"
MEMBERS = ("mp4", "flac", "npz", "json")
"""Members that each clip has."""
KEY = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
"""What a key may be: it names files, and never leads out of a folder."""
_SHARD = re.compile(r"[A-Za-z0-9_-]+\.tar")


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A shard that was written."""

    name: str
    split: str
    count: int
    """Clips."""
    bytes: int
    sha256: str


class ShardEntry(TypedDict):
    """A shard in index.json; the fields are those of `ShardRecord`."""

    name: str
    split: str
    count: int
    bytes: int
    sha256: str


class Index(TypedDict):
    """What index.json holds."""

    format_version: int
    dataset: str
    splits: list[str]
    protocol: str
    signature: str
    """The settings of the preparation in one line."""
    settings: dict[str, object]
    n_clips: int
    """Rows of the manifest."""
    n_samples: int
    """Prepared clips."""
    manifest_sha256: str
    shards: list[ShardEntry]


class _Place(TypedDict):
    """The columns of the manifest that find a sample."""

    key: str
    status: str
    split: str
    speaker: str | None
    shard: str
    offset: int


# -- writing -------------------------------------------------------------------------------------------------


class ShardWriter:
    """Writes one tar under a temporary name; `commit` pushes it to the disk (or uploads it) and renames it.

    Tar headers hold no time, owner or mode of this machine, so equal members make equal bytes.
    It is a context manager: leaving it without `commit` removes what was written. folder: where the temporary file
    is, on the same disk as `path` if that is a local one; by default beside it.
    """

    def __init__(self, path: Path, *, folder: Path | None = None) -> None:
        self.path = path
        self._temporary = (folder or path.parent) / f".{path.name}.{os.getpid()}.partial"
        self._file = _Hashed(self._temporary.open("wb"))
        # To write, tarfile needs only the methods write() and tell() of a file.
        raw = cast(IO[bytes], self._file)
        self._tar = tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT)
        self.count = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk says so a second time when the last bytes are flushed
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, key: str, members: Mapping[str, bytes | Path]) -> int:
        """Append the members of one clip, {suffix: content}; returns the offset where they start."""
        if not KEY.fullmatch(key):
            raise BadInput(f"key {key!r} may hold letters, digits, - and _ only, with / between parts")
        offset = int(self._tar.offset)
        for suffix, content in members.items():
            info = tarfile.TarInfo(f"{key}.{suffix}")
            info.mode = 0o644
            if isinstance(content, Path):
                info.size = content.stat().st_size
                with content.open("rb") as stream:
                    self._tar.addfile(info, stream)
            else:
                info.size = len(content)
                self._tar.addfile(info, io.BytesIO(content))
        self.count += 1
        return offset

    def commit(self, split: str) -> ShardRecord:
        """Finish the tar; it has its final name and is on the disk when this returns."""
        self._tar.close()
        self._file.sync()
        storage.publish(self._temporary, self.path)
        return ShardRecord(self.path.name, split, self.count, self._file.tell(), self._file.hexdigest())


class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._raw.write(data)

    def tell(self) -> int:
        return self._size if self._raw.closed else self._raw.tell()

    def sync(self) -> None:
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._size = self._raw.tell()
        self._raw.close()

    def close(self) -> None:
        self._raw.close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of an uncompressed .npz; equal arrays in equal order make equal bytes."""
    out = io.BytesIO()
    # Not np.savez: it asks for ZIP64 headers, whose bytes are not the same in every release of Python.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, member.getvalue())
    return out.getvalue()


def pack_json(record: Mapping[str, object]) -> bytes:
    """Strict JSON with sorted keys, one line, UTF-8."""
    return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def write_index(
    folder: Path,
    records: Sequence[ShardRecord],
    rows: Iterable[Mapping[str, object]],
    *,
    labels: Iterable[str] = (),
    dataset: str,
    protocol: str,
    signature: str,
    settings: Mapping[str, object],
) -> None:
    """Write the manifest, then index.json, which completes the folder.

    rows: sorted by (clip, key). labels: names of the columns `label_NAME` that any row has.
    """
    count, digest = _write_manifest(folder / MANIFEST, rows, labels)
    index: Index = {
        "format_version": FORMAT_VERSION,
        "dataset": dataset,
        "splits": sorted({record.split for record in records if record.count}),
        "protocol": protocol,
        "signature": signature,
        "settings": dict(settings),
        "n_clips": count,
        "n_samples": sum(record.count for record in records),
        "manifest_sha256": digest,
        "shards": [
            {"name": r.name, "split": r.split, "count": r.count, "bytes": r.bytes, "sha256": r.sha256}
            for r in sorted(records, key=lambda record: record.name)
        ],
    }
    text = json.dumps(index, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(folder / INDEX, text.encode())


# name -> parquet type; the order is the order of columns.
COLUMNS: dict[str, str] = {
    "key": "string",
    "clip": "string",
    "path": "string",
    "dataset": "string",
    "split": "string",
    "speaker": "string",
    "text": "string",
    "status": "string",
    "reason": "string",
    "detail": "string",
    "shard": "string",
    "offset": "int64",
    "start_frame": "int64",
    "n_frames": "int64",
    "seconds": "float64",
    "canvas": "string",
    "width": "int64",
    "height": "int64",
    "n_faces": "int64",
    "filled_frames": "int64",
    "kept": "float64",
    "sound_off": "int64",
    "fixes": "string",
    "source_width": "int64",
    "source_height": "int64",
    "source_fps": "float64",
    "source_vfr": "bool",
    "source_frames": "int64",
    "source_seconds": "float64",
    "source_rotation": "int64",
    "source_video_codec": "string",
    "source_pix_fmt": "string",
    "source_audio_codec": "string",
    "source_sample_rate": "int64",
    "source_channels": "int64",
    "source_start_offset": "float64",
    "source_bytes": "int64",
    "source_sha256": "string",
}
"""The manifest's columns. `kept`: share of the clip's frames that are in this sample.
`clip` is the reader's key; `key` differs from it where a clip was split. `sound_off`:
by how many samples the decoded sound was longer than 640 per frame (negative: shorter), before its end was cut or
padded."""


_LABEL = re.compile(r"label_[a-z0-9][a-z0-9_]*")


_ARROW = {
    "string": ("string", "large_string", "null"),
    "int64": ("int64", "null"),
    "float64": ("double", "null"),
    "bool": ("bool", "null"),
}
"""Kind of column -> how Arrow names it; a column without any value may be of none."""
ROWS_AT_ONCE = 50_000
"""Rows of the manifest that are in memory at a time: one row group."""


def _write_manifest(
    path: Path, rows: Iterable[Mapping[str, object]], labels: Iterable[str]
) -> tuple[int, str]:
    """Write the manifest group by group; (number of rows, sha256 of the file)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }
    kinds = COLUMNS | {f"{LABEL}{name}": "string" for name in sorted(set(labels))}
    for name in kinds:
        if name.startswith(LABEL) and not _LABEL.fullmatch(name):
            raise BadInput(f"label {name!r}: a name has lower case letters, digits and _ only")
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    count, last, rest = 0, ("", ""), iter(rows)
    with tempfile.TemporaryDirectory(prefix="tkbench-") as elsewhere:
        beside = path.parent if storage.as_remote(path) is None else Path(elsewhere)
        temporary = beside / f".{path.name}.{os.getpid()}.partial"
        try:
            with temporary.open("wb") as file:
                with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                    while group := list(islice(rest, ROWS_AT_ONCE)):
                        last = _check_rows(group, last, kinds)
                        columns = {name: [row.get(name) for row in group] for name in kinds}
                        writer.write_table(pa.table(columns, schema=schema))
                        count += len(group)
                file.flush()
                os.fsync(file.fileno())
            digest = sha256_of(temporary)
            storage.publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return count, digest


def _check_rows(
    rows: Sequence[Mapping[str, object]], last: tuple[str, str], kinds: Mapping[str, str]
) -> tuple[str, str]:
    """Raises BadInput for a column that is not one of `kinds`, or an order that is not the manifest's."""
    for row in rows:
        unknown = sorted(set(row) - set(kinds))
        if unknown:
            raise BadInput(f"manifest rows hold unknown columns: {', '.join(unknown)}")
        mine = (str(row["clip"]), str(row["key"]))
        if mine < last:
            raise BadInput(f"manifest rows are not sorted by clip and key: {mine} comes after {last}")
        last = mine
    return last


# -- reading -------------------------------------------------------------------------------------------------


def open_shards(path: str | Path, *, split: str | None = None) -> Shards:
    """The shards in a folder, or below a URL (`s3://bucket/shards`): all of them or those of one split.

    Raises BadShards with one line where the folder is unfinished, damaged or of another version. File sizes
    are checked here, contents when a shard is first read (`runtime.hashes`).
    """
    folder = storage.place(path) if storage.is_remote(path) else Path(path)
    return Shards(folder, _read_index(folder), split)


def _read_index(folder: Path) -> Index:
    file = folder / INDEX
    if folder.is_file():
        raise BadShards(
            f"{folder}: is a file; expected the folder that `tkbench prep ... --out FOLDER` wrote"
        )
    if not folder.is_dir():
        beside: list[str] = []
        with suppress(OSError):  # a store that is not there
            beside = [path.parent.name for path in sorted(folder.parent.glob(f"*/{INDEX}"))]
        near = get_close_matches(folder.name, beside, n=1)
        makes = f"`tkbench prep folder --root VIDEOS --out {folder}` makes it"
        advice = f"did you mean {folder.with_name(near[0])}?" if near else makes
        raise BadShards(f"{folder}: no such folder; {advice}")
    if not file.is_file():
        raise BadShards(
            f"{folder}: no {INDEX}, so it is no folder of shards, or preparation did not finish; give the --out of "
            f"`tkbench prep`, or run that again to resume"
        )
    if (size := file.stat().st_size) > LARGEST_INDEX:
        raise BadShards(f"{file}: {size} bytes, at most {LARGEST_INDEX} are read; prepare again")
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        version = index["format_version"]
        if version != FORMAT_VERSION:
            raise BadShards(
                f"{file}: format {version!r:.40}, this tkbench reads {FORMAT_VERSION}; prepare again"
            )
        if fault := _index_fault(index):
            raise BadShards(f"{file}: not an index ({fault}); prepare again")
    except BadShards:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        found = f"{type(error).__name__}: {error}"
        raise BadShards(f"{file}: not an index ({found:.200}); prepare again") from error
    for shard in index["shards"]:
        name, size = shard["name"], shard["bytes"]
        if not (folder / name).is_file():
            raise BadShards(f"{folder}: {name} is missing; run the same `tkbench prep` again to remake it")
        found = (folder / name).stat().st_size
        if found != size:
            raise BadShards(
                f"{folder / name}: {found} bytes, the index says {size}; remove it and prepare again"
            )
    return cast(Index, index)


def _index_fault(index: Mapping[str, object]) -> str:
    """What an index of this version lacks or has of another kind, or ""."""
    for name in ("dataset", "signature", "manifest_sha256"):
        if not isinstance(index[name], str):
            return f"{name} is a {type(index[name]).__name__}, expected a text"
    splits, shards = index["splits"], index["shards"]
    if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
        return "splits are no list of names"
    if not isinstance(shards, list):
        return f"shards are a {type(shards).__name__}, expected a list"
    seen: set[str] = set()
    for entry in shards:
        if not isinstance(entry, dict):
            return f"a shard is a {type(entry).__name__}, expected a table"
        name = entry["name"]
        if not isinstance(name, str) or not isinstance(entry["split"], str):
            return "a shard without a name or split"
        if not _SHARD.fullmatch(name):
            return f"shard name {name!r:.80} is not a plain file name"
        if type(entry["bytes"]) is not int or type(entry["count"]) is not int:
            return f"{name:.80}: bytes and count are no whole numbers"
        if not isinstance(entry["sha256"], str) or not re.fullmatch("[0-9a-f]{64}", entry["sha256"]):
            return f"{name:.80}: sha256 is no hash"
        if entry["split"] not in splits:
            return f"{name:.80}: its split {entry['split']!r:.40} is not among the splits"
        if name in seen:
            return f"{name:.80} is listed twice"
        seen.add(name)
    return ""


class Shards:
    """An open shard folder, or one split of it. Reads one clip at a time; keeps no pixels."""

    def __init__(self, folder: Path, index: Index, split: str | None = None) -> None:
        if split is not None and split not in index["splits"]:
            raise UnknownName(f"{folder} has no split {split!r}: {suggest(split, list(index['splits']))}")
        self.folder = folder
        self.index = index
        self.splits: tuple[str, ...] = (split,) if split is not None else tuple(index["splits"])
        self._frame: pd.DataFrame | None = None
        self._places: dict[str, _Place] | None = None
        self._believed: set[str] = set()

    @property
    def dataset(self) -> str:
        return str(self.index["dataset"])

    @property
    def split(self) -> str:
        """The split's name; several are joined by "+"."""
        return "+".join(self.splits)

    @property
    def signature(self) -> str:
        """The settings of the preparation, in one line."""
        return str(self.index["signature"])

    @property
    def data_hash(self) -> str:
        """sha256 over the hashes of the shards that are open: two equal ones mean equal data."""
        lines = [f"{s['name']} {s['sha256']}\n" for s in self.index["shards"] if s["split"] in self.splits]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    def manifest(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per clip of the open splits, ok or skipped; the columns are `COLUMNS`, or those asked for."""
        if columns is not None and self._frame is None:
            # Of half a million clips, all columns are half a gigabyte. A column that came later is empty.
            table = self._read_manifest(dict.fromkeys([*columns, "split"]))
            return table[self._open(table)].reindex(columns=list(columns))
        if self._frame is None:
            table = self._read_manifest(None)
            self._frame = table[self._open(table)]
        return self._frame.copy() if columns is None else self._frame.reindex(columns=list(columns))

    def _open(self, table: pd.DataFrame) -> pd.Series[bool]:
        """Which rows belong to the open splits; rows without a split do if all splits are open."""
        return table["split"].isin(self.splits) | (len(self.splits) == len(self.index["splits"]))

    def _read_manifest(self, columns: Iterable[str] | None) -> pd.DataFrame:
        """The manifest's rows of all splits; BadShards for a file that is none, or would not fit into memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / MANIFEST
        data = self._manifest_file()
        try:
            with pq.ParquetFile(io.BytesIO(data)) as file:
                facts, there = file.metadata, file.schema_arrow
                size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
                if size > LARGEST_MANIFEST:
                    raise BadShards(
                        f"{path}: {size / 1e9:.1f} GB of columns, at most {LARGEST_MANIFEST / 1e9:.1f} GB"
                    )
                if facts.num_rows != self.index.get("n_clips", facts.num_rows):
                    raise BadShards(f"{path}: {facts.num_rows} rows, the index says {self.index['n_clips']}")
                kinds = {name: str(there.field(name).type) for name in there.names}
                for name, kind in kinds.items():
                    wanted_kind = "string" if name.startswith(LABEL) else COLUMNS.get(name)
                    if wanted_kind is not None and kind not in _ARROW[wanted_kind]:
                        raise BadShards(f"{path}: column {name} holds {kind}, expected {wanted_kind}")
                if lacking := sorted({"key", "status", "split", "shard", "offset"} - set(kinds)):
                    raise BadShards(f"{path}: lacks the column {lacking[0]}; prepare again")
                wanted = None if columns is None else [name for name in columns if name in kinds]
                # The table's own notes for pandas are not needed, and could be anything.
                return file.read(columns=wanted).replace_schema_metadata(None).to_pandas()
        except (BadShards, StorageError):
            raise
        except (
            pa.ArrowException,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            MemoryError,
            OverflowError,
        ) as error:
            raise BadShards(f"{path}: cannot be read ({type(error).__name__}); prepare again") from error

    def _manifest_file(self) -> bytes:
        path = self.folder / MANIFEST
        if not path.is_file():
            raise BadShards(f"{self.folder}: {MANIFEST} is missing; prepare again")
        if (size := path.stat().st_size) > LARGEST_MANIFEST:
            raise BadShards(f"{path}: {size / 1e9:.1f} GB, at most {LARGEST_MANIFEST / 1e9:.1f} GB are read")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.index["manifest_sha256"]:
            raise BadShards(f"{path}: not the file that the index was written for; prepare again")
        return data

    def _samples(self) -> dict[str, _Place]:
        """Where the prepared clips are, by key."""
        if self._places is None:
            table = self._read_manifest(["key", "status", "split", "speaker", "shard", "offset"])
            rows = table[(table["status"] == "ok") & table["split"].isin(self.splits)]
            known = {shard["name"]: shard["bytes"] for shard in self.index["shards"]}
            places: dict[str, _Place] = {}
            for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
                key, shard, offset = row["key"], row["shard"], row["offset"]
                if not isinstance(key, str) or not KEY.fullmatch(key) or len(key) > LONGEST_KEY:
                    found = f"{key!r:.80}"
                    raise BadShards(
                        f"{self.folder}: key {found} is not allowed; these shards are not from tkbench"
                    )
                if key in places:
                    raise BadShards(f"{self.folder}: {key} comes twice in {MANIFEST}; prepare again")
                if shard not in known:
                    raise BadShards(
                        f"{self.folder}: {key} is said to be in {shard!r}, which the index does not list"
                    )
                if offset is None or not 0 <= offset < max(known[shard], 1) or offset % tarfile.BLOCKSIZE:
                    raise BadShards(f"{self.folder}: {key} is said to start at byte {offset}; prepare again")
                places[key] = cast(_Place, row)
            self._places = places
        return self._places

    def keys(self) -> tuple[str, ...]:
        """Keys of the prepared clips, sorted."""
        return tuple(sorted(self._samples()))

    @property
    def speakers(self) -> dict[str, str]:
        """Key -> the identity that intervals are clustered by; a clip without one is its own."""
        return {key: row["speaker"] or key for key, row in sorted(self._samples().items())}

    def labels(self) -> dict[str, dict[str, str]]:
        """Label -> prepared clip -> what the data set says of it: the columns `label_NAME` of the manifest."""
        import pyarrow.parquet as pq

        data = self._manifest_file()
        try:
            names = [name for name in pq.read_schema(io.BytesIO(data)).names if name.startswith("label_")]
        except (OSError, ValueError) as error:
            raise BadShards(f"{self.folder / MANIFEST}: cannot be read; prepare again") from error
        if not names:
            return {}
        table = self._read_manifest(["key", *names])
        table = table[table["key"].isin(self._samples())]
        return {
            name.removeprefix("label_"): {
                str(key): value
                for key, value in zip(table["key"], table[name], strict=True)
                if isinstance(value, str) and value
            }
            for name in names
        }

    def __len__(self) -> int:
        return len(self._samples())

    def __contains__(self, key: object) -> bool:
        return key in self._samples()

    def __iter__(self) -> Iterator[Sample]:
        """The clips in the order of their keys; one in memory at a time."""
        return self.iter()

    def members(self, key: str, wanted: Sequence[str] | None = None) -> dict[str, bytes]:
        """The raw members of a clip, {suffix: bytes}: those that each clip has, or those that are `wanted`."""
        wanted = MEMBERS if wanted is None else wanted
        rows = self._samples()
        if key not in rows:
            raise UnknownName(f"{self.folder} has no clip {key!r}: {suggest(key, list(rows))}")
        row = rows[key]
        found: dict[str, bytes] = {}
        self._check_content(row["shard"])
        size = next(shard["bytes"] for shard in self.index["shards"] if shard["name"] == row["shard"])
        try:
            with (self.folder / row["shard"]).open("rb") as stream:
                stream.seek(int(row["offset"]))
                with tarfile.open(fileobj=stream, mode="r:") as tar:
                    for info in tar:
                        stem, _, suffix = info.name.partition(".")
                        if stem != key:
                            break
                        if suffix in wanted:
                            # Nothing but plain files: a link leads elsewhere, a sparse file is as large as it says.
                            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
                                raise tarfile.ReadError(f"{info.name:.80} is no plain file")
                            if info.size > size:
                                raise tarfile.ReadError(f"{info.name:.80} is larger than the shard")
                            content = tar.extractfile(info)
                            found[suffix] = content.read() if content is not None else b""
                        if len(found) == len(wanted):
                            break
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, IndexError) as error:
            raise BadSample(
                f"{self.folder / row['shard']}: damaged at {key} ({error}); prepare again"
            ) from error
        lacking = sorted(set(wanted) - set(found))
        if lacking:
            raise BadSample(
                f"{self.folder / row['shard']}: {key} lacks its {', '.join(lacking)}; prepare again"
            )
        return found

    def get(self, key: str) -> Sample:
        """One clip with its decoded pixels and sound."""
        return unpack(key, self.members(key))

    def get_audio(self, key: str) -> Float32:
        """The sound of one clip alone: (T * 640,) float32."""
        return unpack_sound(key, self.members(key, ("flac",))["flac"])

    def get_arrays(self, key: str) -> dict[str, Array]:
        """Track and receipts alone: landmarks, boxes, score and one matrix stack per crop recipe."""
        return unpack_arrays(key, self.members(key, ("npz",))["npz"])

    def iter(self, keys: Sequence[str] | None = None) -> Iterator[Sample]:
        """Samples in the order of `keys`, by default sorted; one in memory at a time."""
        for key in self.keys() if keys is None else keys:
            yield self.get(key)

    def _check_content(self, name: str) -> None:
        """Compare a shard with its hash when it is first read; BadShards where its content is another."""
        if name in self._believed:
            return
        expected = next(shard["sha256"] for shard in self.index["shards"] if shard["name"] == name)
        if (found := sha256_once(self.folder / name)) != expected:
            raise BadShards(
                f"{self.folder / name}: its content is not what the index says (sha256 {found[:12]}, expected "
                f"{expected[:12]}); remove it and prepare again"
            )
        self._believed.add(name)

    def verify(self, progress: Progress = silent) -> None:
        """Read every shard again, whatever is kept of it, and compare it with its hash and count of clips.

        BadShards names the first that differs.
        """
        counts = Counter(place["shard"] for place in self._samples().values())
        shards = [shard for shard in self.index["shards"] if shard["split"] in self.splits]
        for done, shard in enumerate(shards):
            progress(done, len(shards), shard["name"])
            if sha256_of(self.folder / shard["name"]) != shard["sha256"]:
                raise BadShards(
                    f"{self.folder / shard['name']}: its content is not what the index says; prepare again"
                )
            if (count := counts[shard["name"]]) != shard["count"]:
                raise BadShards(
                    f"{self.folder / shard['name']}: the index counts {shard['count']} clips, {MANIFEST} has {count}"
                )
        progress(len(shards), len(shards), "verified")
