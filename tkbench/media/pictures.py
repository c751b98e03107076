"""The pictures of a video as JPEGs in one file on disk, each decoded when it is asked for.

A script that writes `%06d.jpg` into a folder keeps the pictures of a clip of any length. Decoded, 20 s of 1080x1920
would be 3 GB; as JPEGs of quality 2 they are a few hundred MB, on disk.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from tkbench.errors import BadMedia
from tkbench.types import Reason, UInt8

END = b"\xff\xd9"
"""The mark that ends a JPEG. It cannot stand inside one, since 0xff is followed by 0 in the coded data."""


class Folder:
    """A temporary folder that is removed when nobody refers to it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="tkbench-lossy-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class Pictures(Sequence[UInt8]):
    """JPEGs one after the other in a file: (H, W, 3) RGB each, decoded by OpenCV as the field's scripts do.

    `folder` is kept as long as the pictures are. Raises BadMedia where the file holds no picture or a damaged one.
    """

    def __init__(self, file: Path, folder: Folder) -> None:
        self._file, self._folder = file, folder
        self._places = list(_places(file))
        if not self._places:
            raise BadMedia(Reason.DECODE_ERROR, "no JPEG came out of ffmpeg")

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> UInt8: ...
    @overload
    def __getitem__(self, index: slice) -> list[UInt8]: ...
    def __getitem__(self, index: int | slice) -> UInt8 | list[UInt8]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start, stop = self._places[index]
        with self._file.open("rb") as stream:
            stream.seek(start)
            return decoded(stream.read(stop - start))

    def stack(self) -> UInt8:
        """All of them as one array, (T, H, W, 3)."""
        return np.stack(list(self))


def decoded(jpeg: bytes) -> UInt8:
    """One JPEG as (H, W, 3) RGB."""
    import cv2

    frame = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise BadMedia(Reason.DECODE_ERROR, "OpenCV cannot read a JPEG that ffmpeg wrote")
    # Reading the array backwards would take ten times as long.
    rgb: UInt8 = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    return rgb


def split(stream: bytes | mmap.mmap) -> Iterator[tuple[int, int]]:
    """[start, stop) of each JPEG of a stream."""
    start = 0
    while start < len(stream):
        end = stream.find(END, start)
        if end < 0:
            raise BadMedia(Reason.DECODE_ERROR, "the last JPEG is cut off")
        yield start, end + len(END)
        start = end + len(END)


def _places(file: Path) -> Iterator[tuple[int, int]]:
    if not file.is_file() or not file.stat().st_size:
        return
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        yield from split(view)
