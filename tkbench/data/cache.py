"""Parts of clips that were made once (crops, mel, shapes of mouths), kept as files: later epochs decode nothing.

One `.npy` file per clip and part, mapped into memory when it is read. A file is written under a temporary name and
renamed, so that many workers and many runs can share a folder. The folder's name holds the hash of the data and of the
crop recipe: another recipe never reads these files.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from tkbench.types import Array

SCAN_EVERY = 64
"""Files that a process writes before it measures the folder again: other processes write, too."""


class CropCache:
    """Clip key -> (T, h, w, 3) uint8 crops, or another part of a clip; when its limit is reached it takes no more."""

    def __init__(self, folder: str | Path, name: str, *, limit: int) -> None:
        self.folder = Path(folder) / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.limit = limit
        self._used = self._count = 0

    def _file(self, key: str, kind: str) -> Path:
        # A key may be "a/b"; its hash is one plain file name, in one of 256 folders.
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:34]}.{kind}.npy"

    def get(self, key: str, kind: str = "crops") -> Array | None:
        """The crops, mapped from their file, or another part; None where it is not there."""
        try:
            return np.load(self._file(key, kind), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def put(self, key: str, array: Array, kind: str = "crops") -> bool:
        """Keep an array of a clip; False where the cache is full (or its disk is)."""
        if self._count % SCAN_EVERY == 0:
            self._used = sum(file.stat().st_size for file in self.folder.glob("*/*.npy"))
        if self._used + array.nbytes > self.limit:
            return False
        self._count += 1
        self._used += array.nbytes
        target = self._file(key, kind)
        temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
            temporary.replace(target)
        except OSError:  # a full disk costs speed, not the run
            temporary.unlink(missing_ok=True)
            self._used = self.limit
            return False
        return True
