"""Where data lies: folders of this machine, and `s3://bucket/...` and the like through fsspec.

`place` gives a `Path` for a local folder and a `RemotePath` for a remote one. A `RemotePath` has the parts of pathlib
that readers and shards use (`/`, iterdir, glob, is_file, stat, open, read_text, ...), so the same code reads both.
`walk` replaces os.walk. `fetch` copies a remote file to this machine for programs that need a real file (ffmpeg).
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from tkbench.errors import MissingExtra, StorageError, UsageError
from tkbench.runtime.extras import install_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Scheme of an address -> the extra that brings its package."""
_PER_PROCESS = frozenset({"memory"})
_BLOCK = 1 << 20
_FOLDED = re.compile(r"^([A-Za-z][A-Za-z0-9]+):/(?!/)")


def is_remote(where: str | Path) -> bool:
    """Whether a place is not in this machine's file system.

    >>> is_remote("s3://bucket/lrs2"), is_remote("data/lrs2"), is_remote("file:///data/lrs2")
    (True, False, False)
    """
    scheme, mark, _ = _url(where).partition("://")
    return bool(mark) and scheme.isalnum() and scheme not in ("file", "local")


def _url(where: str | Path) -> str:
    """A place as text; pathlib makes `s3:/bucket` of a URL, which is turned back into a URL."""
    text = str(where)
    return _FOLDED.sub(r"\1://", text) if text.startswith(("s3:", "s3a:", "gs:", "gcs:", "memory:")) else text


def place(where: str | Path) -> Path:
    """A folder or file by name or URL. A remote one is a RemotePath, typed as the Path whose methods it has."""
    if (there := as_remote(where)) is not None:
        return cast(Path, there)
    if is_remote(where):
        return cast(Path, RemotePath(_url(where)))
    text = str(where)
    for prefix in ("file://", "local://"):
        if text.startswith(prefix):
            return Path(text[len(prefix) :])
    return Path(where).absolute()


def as_remote(path: object) -> RemotePath | None:
    """The RemotePath that a path of `place` really is, or None for a local one."""
    return path if isinstance(path, RemotePath) else None


def everywhere(where: str | Path) -> Path:
    """A place as processes with another working folder find it."""
    return place(where) if is_remote(where) else Path(where).absolute()


def in_other_processes(where: str | Path) -> bool:
    """Whether workers see the same content there: `memory://` belongs to one process."""
    return not is_remote(where) or _url(where).partition("://")[0] not in _PER_PROCESS


@dataclass(frozen=True, slots=True)
class FileStat:
    """The part of os.stat that a store can answer."""

    st_size: int
    st_mtime_ns: int
    """The time of the last change, or a number made of the content's tag where the store has one."""


class RemotePath(PurePosixPath):
    """A file or folder behind fsspec. Its file system caches listings, so that a tree is listed once.

    Credentials and endpoints are those of the file system (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
    ~/.aws, ...). Errors of the network are not wrapped: OSError, mostly.
    """

    __slots__ = ()

    def __str__(self) -> str:
        # pathlib folds the two slashes of a URL into one; a path relative to a root has none.
        return _FOLDED.sub(r"\1://", super().__str__())

    def __fspath__(self) -> str:
        raise UsageError(f"{self}: a local path was needed here; this step cannot read remote files")

    @property
    def fs(self) -> AbstractFileSystem:
        """Its fsspec file system; the same instance for every path of a scheme."""
        import fsspec

        scheme = self.parts[0].rstrip(":")
        try:
            return fsspec.filesystem(scheme)
        except ImportError as error:
            extra = _EXTRAS.get(scheme)
            how = install_line(extra) if extra else f"install the package that fsspec needs for {scheme}://"
            raise MissingExtra(f"{self}: {error}; {how}") from error
        except ValueError as error:
            raise UsageError(f"{self}: {error}") from error

    @property
    def _inner(self) -> str:
        return str(self.fs._strip_protocol(str(self)))

    def _info(self) -> dict[str, object] | None:
        try:
            return dict(self.fs.info(self._inner))
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        return self._info() is not None

    def is_file(self) -> bool:
        info = self._info()
        return info is not None and info["type"] == "file"

    def is_dir(self) -> bool:
        info = self._info()
        return info is not None and info["type"] == "directory"

    def resolve(self, strict: bool = False) -> RemotePath:
        """The same place without `..`, by its name alone: there are no links."""
        kept: list[str] = []
        for part in self.parts:
            if part == "..":
                kept[1:] = kept[1:-1]
            else:
                kept.append(part)
        return RemotePath(*kept)

    def absolute(self) -> RemotePath:
        return self

    def stat(self) -> FileStat:
        info = self._info()
        if info is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self))
        size = info.get("size")
        return FileStat(size if isinstance(size, int) else 0, _stamp(info))

    def iterdir(self) -> Iterator[RemotePath]:
        """What is in it; nothing where it is not there, because an object store has no empty folders."""
        try:
            found = self.fs.ls(self._inner, detail=True)
        except FileNotFoundError:
            return
        for info in found:
            child = _name(info)
            if child != PurePosixPath(self._inner).name or info["name"].rstrip("/") != self._inner.rstrip(
                "/"
            ):
                yield self / child

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Matches of a pattern without `**`, part by part, sorted."""
        head, _, rest = pattern.partition("/")
        if not any(mark in head for mark in "*?["):
            found = [self / head] if (self / head).exists() else []
        elif self.is_dir():
            found = [child for child in self.iterdir() if fnmatch.fnmatchcase(child.name, head)]
        else:
            found = []
        for child in sorted(found):
            if not rest:
                yield child
            elif child.is_dir():
                yield from child.glob(rest)

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Every file below whose name matches."""
        for folder, _, names in walk(cast(Path, self)):
            for name in names:
                if fnmatch.fnmatchcase(name, pattern):
                    yield cast(RemotePath, folder / name)

    def open(self, mode: str = "rb", *, encoding: str = "utf-8") -> IO[bytes] | io.TextIOWrapper:
        """A file object; it reads by ranges and buffers little ahead."""
        binary = mode if "b" in mode else mode + "b"
        reads = {"block_size": _BLOCK, "cache_type": "readahead"} if binary == "rb" else {}
        raw: IO[bytes] = self.fs.open(self._inner, binary, **reads)
        return raw if binary == mode else io.TextIOWrapper(raw, encoding=encoding)

    def read_bytes(self) -> bytes:
        return bytes(self.fs.cat_file(self._inner))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> int:
        """One upload: readers see the old object or the new one."""
        self.fs.pipe_file(self._inner, data)
        self.forget()
        return len(data)

    def upload(self, file: Path) -> None:
        """Put a local file here; it appears when it is complete."""
        self.fs.put_file(str(file), self._inner)
        self.forget()

    def download(self, file: Path) -> None:
        self.fs.get_file(self._inner, str(file))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self.fs.rm_file(self._inner)
        except FileNotFoundError:
            if not missing_ok:
                raise
        self.forget()

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing in an object store, whose folders are prefixes of names; memory:// has real folders."""
        if self.parts[0] not in ("s3:", "s3a:", "gs:", "gcs:", "abfs:", "az:"):
            self.fs.makedirs(self._inner, exist_ok=True)

    def forget(self) -> None:
        """Drop cached listings: another process may have changed what is there."""
        self.fs.invalidate_cache(self._inner)
        self.fs.invalidate_cache(str(PurePosixPath(self._inner).parent))


def _name(info: Mapping[str, object]) -> str:
    return PurePosixPath(str(info["name"]).rstrip("/")).name


def _stamp(info: Mapping[str, object]) -> int:
    """A number that changes with the content: from its tag, or from the time of its last change."""
    for tag in ("ETag", "etag", "md5", "md5Hash"):
        if info.get(tag):
            return int(hashlib.sha256(str(info[tag]).encode()).hexdigest()[:15], 16)
    when = info.get("LastModified") or info.get("mtime") or info.get("created")
    if isinstance(when, datetime):
        return int(when.timestamp() * 1e9)
    return int(float(when) * 1e9) if isinstance(when, (int, float)) else 0


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """os.walk for both kinds of places: (folder, names of folders, names of files), top down.

    The list of folders may be changed to steer. Links to folders are not entered.
    """
    there = as_remote(root)
    if there is None:
        for path, folders, names in os.walk(root, followlinks=False):
            yield Path(path), folders, names
        return
    inner = PurePosixPath(there._inner)
    tree: dict[PurePosixPath, tuple[set[str], list[str]]] = {inner: (set(), [])}
    # One listing for the whole tree: by folders, half a million clips would be thousands of calls.
    for name in there.fs.find(str(inner)):
        file = PurePosixPath(name)
        folder, child = file.parent, file.name
        tree.setdefault(folder, (set(), []))[1].append(child)
        while folder != inner and folder.name not in tree.setdefault(folder.parent, (set(), []))[0]:
            tree[folder.parent][0].add(folder.name)
            folder = folder.parent
    waiting = [inner]
    while waiting:
        here = waiting.pop()
        inside, names = tree[here]
        folders = sorted(inside)
        yield root / here.relative_to(inner), folders, sorted(names)
        waiting += [here / name for name in reversed(folders)]


def fetch(where: str, folder: Path) -> Path:
    """A local file with the content of `where`: itself if it is local, otherwise a copy in `folder`, same name."""
    if not is_remote(where):
        return place(where)
    file = folder / PurePosixPath(where).name
    RemotePath(where).download(file)
    return file


class Scratch:
    """A temporary folder for the files of one clip: a new one takes the place of the last, which goes with its
    owner.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._end: Callable[[], object] = lambda: None

    def new(self) -> Path:
        """An empty folder; the one before is removed."""
        self._end()
        folder = tempfile.mkdtemp(prefix=self._prefix)
        self._end = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def publish(file: Path, target: Path) -> None:
    """Give a finished local file its final name; it is renamed and on the disk, or uploaded, when this returns."""
    if (there := as_remote(target)) is not None:
        there.upload(file)
        file.unlink()
        return
    file.replace(target)
    sync_folder(target.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write under a temporary name, push to the disk, rename: a reader sees all of it or nothing."""
    if (there := as_remote(path)) is not None:
        there.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Push the names in a folder to the disk: without it a rename may be lost with the power."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
"""Words by which ffmpeg reports a full disk."""


def explain(
    error: OSError, folder: Path, need: int | None = None, *, kept: str = "finished shards are kept"
) -> StorageError:
    """An error of the disk as one line with what to do; need: about how many bytes the next step takes."""
    if error.errno in _FULL:
        what = f"{folder}: no room to write ({error.strerror}); {_room(folder, need)}; make room"
    elif error.errno in _CLOSED:
        where = error.filename or folder
        what = f"{where}: cannot be written ({error.strerror}); make it writable, or choose another folder"
    else:
        what = f"{error.filename or folder}: {type(error).__name__}: {error.strerror or error}; fix it"
    return StorageError(f"{what}, then run the same command again: {kept}")


def _room(folder: Path, need: int | None) -> str:
    """What is free and what is needed. The file that did not fit is removed by now, so its room is free again."""
    free = free_bytes(folder)
    left = "free space unknown" if free is None else f"{in_words(free)} are free"
    if not need:
        return left
    if free is not None and free >= need:
        return (
            f"{left} again without the unfinished file, but one shard of about {in_words(need)} for each worker and "
            "what else is written there did not fit"
        )
    return f"{left}, a shard of this run needs about {in_words(need)}"


def swap(new: Path, old: Path) -> None:
    """Put the folder `new` where the folder `old` is, and `old` where `new` was; readers see one or the other.

    Where the system cannot exchange two names (`renameat2`, `renamex_np`), `old` is put aside first: then a reader can
    find neither for an instant, and a kill in it leaves the old one under the other name.
    """
    if _exchanged(new, old):
        return
    aside = new.with_name(new.name + "-old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    aside.rename(new)


_AT_FDCWD, _EXCHANGE = -100, 2
"""Of Linux's renameat2; RENAME_SWAP of macOS's renamex_np has the same number."""


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system exchanged two names in one step; False where it has no such call for this file system."""
    import ctypes

    a, b = os.fsencode(one), os.fsencode(other)
    try:
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(system.renamex_np(a, b, _EXCHANGE) == 0)
        return bool(system.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE) == 0)
    except (OSError, AttributeError, TypeError):
        return False


def in_words(count: float) -> str:
    """Bytes for people.

    >>> in_words(380_000), in_words(41_230_000_000)
    ('0.4 MB', '41.2 GB')
    """
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def free_bytes(folder: Path) -> int | None:
    """Bytes that can still be written below a folder; None where that is unknown (an object store)."""
    if as_remote(folder) is not None:
        return None
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, local or remote: 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def user_folder(variable: str, name: str) -> Path:
    """The folder that an environment variable names, or tkbench/`name` in the user's cache folder."""
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tkbench" / name
