"""Crops that were cut once, kept as files and mapped into memory: the second epoch decodes nothing.

One `.npy` file per clip, written under a temporary name and renamed, so that many workers and many runs share a
folder. The folder's name holds the hash of the data and of the recipe; another recipe never meets these files.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from tkbench.types import UInt8

SCAN_EVERY = 64
"""Files that a process writes before it looks again how much all of them take."""


class CropCache:
    """Clip key -> (T, h, w, 3) uint8 crops, up to a number of bytes; what came first stays."""

    def __init__(self, folder: str | Path, name: str, *, limit: int) -> None:
        self.folder = Path(folder) / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.limit = limit
        self._used = self._count = 0

    def _file(self, key: str) -> Path:
        # A key may be "a/b"; its hash is one plain file name, in one of 256 folders.
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:34]}.npy"

    def get(self, key: str) -> UInt8 | None:
        """The crops, mapped from their file; None where the clip is not there."""
        try:
            return np.load(self._file(key), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def put(self, key: str, crops: UInt8) -> bool:
        """Keep the crops of a clip; False where the cache is full (or its disk is)."""
        if self._count % SCAN_EVERY == 0:
            self._used = sum(file.stat().st_size for file in self.folder.glob("*/*.npy"))
        if self._used + crops.nbytes > self.limit:
            return False
        self._count += 1
        self._used += crops.nbytes
        target = self._file(key)
        temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.save(stream, crops, allow_pickle=False)
            temporary.replace(target)
        except OSError:  # a full disk costs speed, not the run
            temporary.unlink(missing_ok=True)
            self._used = self.limit
            return False
        return True
