"""Hashes of large files that are kept from run to run, so that a file is read once to be hashed.

A hash is kept by what tells one state of a file from another without reading it: path, size, time of the last change
and inode; in an object store, address, size and tag (ETag). An edit that restores all of these is not seen here;
`sha256_of` reads the file again. One
small file per hash, in `TKBENCH_HASHES` or `tkbench/hashes` in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from tkbench.runtime import storage

FOLDER = "TKBENCH_HASHES"


def sha256_once(path: Path) -> str:
    """The sha256 of a file: the one that is kept, or a new one, which is then kept where that is possible."""
    kept = storage.user_folder(FOLDER, "hashes") / f"{state_of(path)}.sha256"
    with suppress(OSError, ValueError):
        found = kept.read_bytes()[:80].decode("ascii").strip()
        if re.fullmatch("[0-9a-f]{64}", found):
            return found
    before = state_of(path)
    digest = storage.sha256_of(path)
    # A file that changes while it is read has no hash to keep; a cache that cannot be written is no reason to stop.
    if state_of(path) == before:
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            storage.write_file(kept, f"{digest}\n".encode())
    return digest


def state_of(path: Path) -> str:
    """What tells this state of the file from another, as a name."""
    if storage.as_remote(path) is not None:
        facts = path.stat()  # the time of a remote file is made of its tag
        parts: tuple[object, ...] = (path, facts.st_size, facts.st_mtime_ns)
    else:
        local = path.stat()
        parts = (path.absolute(), local.st_size, local.st_mtime_ns, local.st_ino)
    return hashlib.sha256("\0".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()[:40]
