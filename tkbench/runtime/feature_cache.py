"""A store of computed features: what a network or tracker answered to the same input is read back, not computed again.

Metrics ask through `recall`. An entry's key is the sha256 of the arrays that go in, of the name of the computation
(the network's sha256 and its settings), and of all else that can move a bit: tkbench's own sources, the versions of
the libraries, the kind of processor. So the true side of a clip is computed once for all models, and a run that was
broken off catches up quickly. A number is the same with and without a store.

    with feature_cache.using(Store(folder)):
        (rows,) = feature_cache.recall("inception|...", frames, make=lambda: (network(frames),))

Outside of `using`, `recall` just computes. Entries are `.npz` files without pickle, written under a temporary name and
renamed, so many workers and many runs can share a folder. Least recently used entries are evicted above the limit. A
damaged entry (every array has a checksum) is computed again and counted.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import secrets
import time
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tkbench.errors import BadInput
from tkbench.runtime.storage import user_folder
from tkbench.runtime.words import counted
from tkbench.types import Array

LIMIT = 4 << 30
"""Bytes that a folder may take: the true side of some ten thousand clips of 3 s."""
SCAN_EVERY = 256
"""Entries that a process writes before it measures the folder again."""
STALE = 3600.0
"""Seconds after which a temporary file is taken to be that of a process that was killed."""
KEEP = 0.9
"""Share of the limit that is left after an eviction."""
LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "opencv-contrib-python", "scikit-image", "ai-edge-litert", "mediapipe",
    "face-alignment", "lpips", "numba", "pytorch-fid",
)  # fmt: skip


def folder() -> Path:
    """Where entries live by default: TKBENCH_CACHE, or `tkbench/features` in the user's cache folder."""
    return user_folder("TKBENCH_CACHE", "features")


@dataclass(slots=True)
class Counts:
    """How often a store had an entry, and how often not."""

    found: int = 0
    made: int = 0
    damaged: int = 0
    """Entries among `made` that were there but could not be read."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.found + other.found, self.made + other.made, self.damaged + other.damaged)


class Store:
    """Arrays by the content that they were computed from.

    Those of the current clip are in memory; all of them are in the folder `place`, unless it is None.
    """

    def __init__(self, place: Path | None = None, *, limit: int = LIMIT) -> None:
        self.place, self.limit = place, limit
        self.counts = Counts()
        self._in_memory: dict[str, tuple[Array, ...]] = {}
        self._digests: dict[int, tuple[weakref.ref[Array], str]] = {}
        self._used = self._written = 0

    def next_clip(self) -> None:
        """Free the memory; another clip has other content."""
        self._in_memory.clear()
        self._digests.clear()

    def take_counts(self) -> Counts:
        """The counts since the last call."""
        taken, self.counts = self.counts, Counts()
        return taken

    def recall(
        self, computation: str, *inputs: Array, make: Callable[[], tuple[Array, ...]]
    ) -> tuple[Array, ...]:
        """What `make` returns, from memory or disk where it is there; the arrays are read-only."""
        facts = [environment(), computation, *map(self._digest, inputs)]
        key = hashlib.sha256("\n".join(facts).encode()).hexdigest()
        if (known := self._in_memory.get(key)) is not None:
            self.counts.found += 1
            return known
        arrays = self._read(key)
        if arrays is None:
            arrays = tuple(make())
            self.counts.made += 1
            self._write(key, arrays)
        else:
            self.counts.found += 1
        for array in arrays:
            array.flags.writeable = False  # several metrics hold the same one
        self._in_memory[key] = arrays
        return arrays

    def _digest(self, array: Array) -> str:
        """sha256 of an array; computed once for a video that several metrics ask for."""
        known = self._digests.get(id(array))
        if known is not None and known[0]() is array:
            return known[1]
        digest = hash_of(array)
        self._digests[id(array)] = (weakref.ref(array), digest)
        return digest

    def _file(self, key: str) -> Path | None:
        return self.place / key[:2] / f"{key[2:42]}.npz" if self.place is not None else None

    def _read(self, key: str) -> tuple[Array, ...] | None:
        path = self._file(key)
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            arrays = unpack(data, key)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError):
            self.counts.damaged += 1
            return None
        try:
            os.utime(path)  # eviction goes by the time of the last use
        except OSError:
            pass  # the folder may be read-only
        return arrays

    def _write(self, key: str, arrays: tuple[Array, ...]) -> None:
        path = self._file(key)
        if path is None:
            return
        data = pack(arrays, key)
        if self._written % SCAN_EVERY == 0:
            self._used = self._make_room()
        if self._used + len(data) > self.limit:
            self._used = self._make_room(len(data))
        if self._used + len(data) > self.limit:
            return
        self._written += 1
        self._used += len(data)
        # Machines may share the folder, and their process numbers repeat.
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError:  # with a full disk the run goes on, more slowly
            _remove(temporary)

    def _make_room(self, for_bytes: int = 0) -> int:
        """Evict the least recently used entries until `for_bytes` more fit below the limit; returns the bytes in
        use.
        """
        assert self.place is not None
        entries = []
        for path in self.place.glob("??/*.npz"):
            try:
                facts = path.stat()
            except OSError:
                continue  # another process evicted it
            entries.append((facts.st_mtime_ns, path, facts.st_size))
        used = sum(size for _, _, size in entries)
        for path in self.place.glob("??/.*.partial"):
            _remove(path, older_than=STALE)
        if used + for_bytes <= self.limit:
            return used
        for _, path, size in sorted(entries):
            if used + for_bytes <= KEEP * self.limit:
                break
            _remove(path)
            used -= size
        return used


def _remove(path: Path, *, older_than: float = -1.0) -> None:
    try:
        if time.time() - path.stat().st_mtime > older_than:
            path.unlink()
    except OSError:
        pass  # another process removed it, or the folder is read-only


def hash_of(array: Array) -> str:
    """sha256 of type, shape and bytes of an array.

    >>> hash_of(np.zeros(2, np.uint8)) == hash_of(np.zeros((2, 1), np.uint8))
    False
    """
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def pack(arrays: tuple[Array, ...], key: str) -> bytes:
    """Arrays and their key as an npz file; raises BadInput for arrays of Python objects."""
    if any(array.dtype.hasobject for array in arrays):
        raise BadInput("an array of Python objects; only numbers are kept")
    out = io.BytesIO()
    named: dict[str, Any] = {f"{place:03d}": array for place, array in enumerate(arrays)}
    np.savez(out, key=np.frombuffer(bytes.fromhex(key), np.uint8), **named)
    return out.getvalue()


def unpack(data: bytes, key: str) -> tuple[Array, ...]:
    """The arrays of `pack`; raises ValueError and what zipfile and numpy raise for a file that is not whole.

    >>> unpack(pack((np.arange(3),), "ab" * 32), "ab" * 32)[0].tolist()
    [0, 1, 2]
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        if archive["key"].tobytes().hex() != key:
            raise ValueError("this entry was made for another key")
        return tuple(archive[name] for name in sorted(set(archive.files) - {"key"}))


@lru_cache(maxsize=1)
def environment() -> str:
    """What can move a bit beside the inputs: sources of tkbench, libraries, processor, and settings of its use."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    found = [f"{name}={version_of(name)}" for name in LIBRARIES]
    chosen = [f"{name}={os.environ.get(name, '')}" for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")]
    return "|".join(
        (digest.hexdigest(), *found, platform.system(), platform.machine(), _processor(), *chosen)
    )


def version_of(package: str) -> str:
    """Of an installed package, or ""."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's model and features: libraries choose the order of their sums by them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
    named = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    facts = "|".join(f"{name}={value}" for name, value in sorted(named.items()) if name.strip() in wanted)
    return hashlib.sha256(facts.encode()).hexdigest()


_current: ContextVar[Store | None] = ContextVar("tkbench_feature_store", default=None)


@contextmanager
def using(store: Store) -> Iterator[Store]:
    """Let `recall` use `store` inside of this context."""
    token = _current.set(store)
    try:
        yield store
    finally:
        _current.reset(token)


def recall(computation: str, *inputs: Array, make: Callable[[], tuple[Array, ...]]) -> tuple[Array, ...]:
    """What `make()` returns for these inputs, from the store in use where it was computed before.

    computation: the name of all that decides the answer beside the inputs, networks by their sha256. `make` runs on one
    thread of a processor: sums on several would differ in their last bits.
    """
    store = _current.get()
    return store.recall(computation, *inputs, make=make) if store is not None else tuple(make())


@lru_cache(maxsize=4)
def open_store(place: str | None) -> Store:
    """The store of this process for a folder, or in memory alone."""
    return Store(Path(place) if place is not None else None)


def damage_note(counts: Counts) -> str:
    """A note on damaged entries, or "" where there were none.

    >>> damage_note(Counts(found=10, made=2, damaged=1)), damage_note(Counts(3, 4))
    ('1 damaged cache entry computed again', '')
    """
    if not counts.damaged:
        return ""
    return f"{counted(counts.damaged, 'damaged cache entry', 'damaged cache entries')} computed again"
