"""AVSpeech: `avspeech_train.csv` and `avspeech_test.csv`, rows `id,start,end,x,y` without a head, over downloads.

root     the videos, in it or in folders below: whole ones, `<youtube id>.mp4`, or parts as download scripts name them,
         `<youtube id>_030.000000-035.000000.mp4` and `<youtube id>_30.000000_35.000000.mp4`. A part comes before the
         whole
key      <youtube id>_<start>-<end> in milliseconds
clip     start and end in seconds; x and y are the middle of the speaker's face at the beginning, in shares of the
         picture from its upper left. That face is followed, if others are in the picture
speaker  the YouTube id
labels   source: the YouTube id
split    the list: train, test

Sources: the five columns and the name of parts in changil/avspeech-downloader, download.sh (`%010.6f-%010.6f`), the
other name in JeongHun0716/vsr-low, French/README.md (`enSzPLXxw8I_142.078267_145.078267.mp4`); x and y as the face's
middle in shares, and about 183,000 rows of the test list, in a user's note. From memory: 2,621,845 and 183,273 rows,
and that x and y are of the first frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.tree import SAFE
from tkbench.runtime import storage
from tkbench.types import Clip, FaceHint, Skipped

SPLITS = ("train", "test")
Row = tuple[str, str, float, float, float, float]
"""key, YouTube id, start, stop, x, y"""
_PART = re.compile(r"(.+)_(\d+\.\d+)[-_](\d+\.\d+)")


def alias(stem: str) -> str | None:
    """The key of a part by the name of its file.

    >>> (
    ...     alias("enSzPLXxw8I_142.078267_145.078267"),
    ...     alias("enSzPLXxw8I_030.000000-035.000000"),
    ...     alias("enSzPLXxw8I"),
    ... )
    ('enSzPLXxw8I_142078-145078', 'enSzPLXxw8I_030000-035000', None)
    """
    found = _PART.fullmatch(stem)
    return None if found is None else key_of(found[1], float(found[2]), float(found[3]))


def key_of(tube: str, start: float, stop: float) -> str:
    """The key of a row."""
    return f"{tube}_{round(start * 1000):06d}-{round(stop * 1000):06d}"


def parse(line: str) -> Row:
    """A row of a list. Raises ValueError."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 5 or not SAFE.fullmatch(cells[0]):
        raise ValueError(f"{line[:60]!r} is not `id,start,end,x,y`")
    start, stop, x, y = (float(cell) for cell in cells[1:])
    if not (0 <= start < stop < math.inf and 0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"{line[:60]!r}: expected 0 <= start < end, and x and y as shares")
    return key_of(cells[0], start, stop), cells[0], start, stop, x, y


def load(folder: Path, split: str, bad: list[tuple[int, str]] | None = None) -> list[Row]:
    """The rows of a list by key, each key once. bad: takes (line, what is wrong)."""
    rows: list[Row] = []
    try:
        with (folder / f"avspeech_{split}.csv").open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    rows.append(parse(line.decode("utf-8-sig", "replace").strip()))
                except ValueError as error:
                    if bad is not None:
                        bad.append((number, str(error)))
    except FileNotFoundError:
        return []
    rows.sort()
    kept = [
        row for row, before in zip(rows, [None, *rows], strict=False) if before is None or row[0] != before[0]
    ]
    if bad is not None and len(kept) < len(rows):
        bad.append((0, f"{len(rows) - len(kept)} rows of a part that another row has; the first one counts"))
    return kept


def find_lists(root: Path, annotations: str | None) -> Path:
    """The folder of the lists. Raises UsageError."""
    folder = storage.place(annotations) if annotations is not None else root
    if not any((folder / f"avspeech_{split}.csv").is_file() for split in SPLITS):
        raise UsageError(
            f"{folder}: no avspeech_train.csv or avspeech_test.csv; give their folder: --annotations DIR"
        )
    return folder


def parts(rows: list[Row], split: str) -> Iterator[Part]:
    """The parts of a list; the rows are used up, so that half a million of them are not held twice."""
    rows.reverse()
    while rows:
        key, tube, start, stop, x, y = rows.pop()
        yield Part(
            key=key,
            video=tube,
            names=(tube,),
            start=start,
            stop=stop,
            group=split,
            split=split,
            speaker=tube,
            cut=(key,),
            face=FaceHint(x, y, x, y),
            labels={"source": tube},
        )


def read(root: Path, annotations: str | None = None) -> Iterator[Clip | Skipped]:
    """Every part of both lists; those whose video is not there are missing."""
    folder, files = find_lists(root, annotations), downloads.index_videos(root, alias)
    for split in SPLITS:
        yield from downloads.clips(root, parts(load(folder, split), split), files, "avspeech")
