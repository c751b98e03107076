"""`tkbench prep folder --table`: what a table says of the clips in a folder. One row is one clip.

file       path of the video below ROOT; the only column that must be there
key        the clip's name, letters, digits, - _ and / only; by default the path, and the interval in milliseconds
start end  the part of the file that the clip is: seconds, or [hh:]mm:ss, from its first picture; both or none
box        where the face is that is meant, if others are in the picture: `x0 y0 x1 y1`; or the name of a file below
           ROOT that holds a box at each time (`tkbench.prep.hint` has its form)
crop       the canvas, instead of one around the head: `x0 y0 x1 y1`
measured_height   height in pixels of the picture that box and crop were measured on, if it is not that of the file
speaker    who speaks; by default the folder that holds the file. Intervals are computed over speakers
source     the recording that the clip was cut from; kept as the label `source`
split      by default test
text       what is said
label_NAME any number of labels

A box is in shares of the picture if its four numbers are 0 to 1, otherwise in pixels; one that ends between 1 and 2 is
refused, as shares of a box that reaches beyond the picture look like this. A column of another name is
refused, because it may be a typing error. A cell that cannot be used is named by its row, and nothing is prepared until
the table is right. A video that is not there is no fault of the table: it is a row of the manifest with the reason
`missing-file`.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tkbench.errors import UsageError
from tkbench.prep.datasets import tables
from tkbench.prep.datasets.keys import make_keys
from tkbench.prep.datasets.tree import SAFE, listing
from tkbench.registry import suggest
from tkbench.types import FILE_HEIGHT, LABEL, Clip, Crop, FaceHint, Reason, Skipped

COLUMNS = (
    "file", "key", "start", "end", "box", "crop", "measured_height", "speaker", "source", "split", "text"
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
"""A URL, or a path of a Windows drive."""
_BETWEEN = re.compile(r"[\s,;()\[\]]+")
MOST_TOLD = 5
"""Faults of a table that one message names."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that could be read."""

    number: int
    file: str
    key: str | None
    interval: tuple[float, float] | None
    face: FaceHint | None
    crop: Crop | None
    speaker: str | None
    split: str
    text: str | None
    labels: dict[str, str]


def read(root: Path, table: str | Path) -> Iterator[Clip | Skipped]:
    """The clips of a table, sorted by key. Raises UsageError for a table that cannot be used."""
    found = _load(table, root)
    files = list(dict.fromkeys(row.file for row in found))
    plain = dict(zip(files, make_keys([PurePosixPath(file) for file in files]), strict=True))
    keyed: dict[str, _Row] = {}
    while found:
        row = found.pop()
        key = row.key or _key_of(plain[row.file], row.interval)
        if key in keyed:
            numbers = sorted((keyed[key].number, row.number))
            raise UsageError(
                f"{table}: rows {numbers[0]} and {numbers[1]} have one key, {key!r}; give them a column key"
            )
        keyed[key] = row
    there: dict[str, set[str]] = {}
    base, name = str(root).rstrip("/"), Path(str(table)).name
    for key in sorted(keyed):
        row = keyed.pop(key)
        folder, _, file = row.file.rpartition("/")
        if folder not in there:
            there[folder] = set(listing(root / folder if folder else root)[1])
        if file not in there[folder]:
            why = f"{name} row {row.number} names it"
            path = f"{base}/{row.file}"
            yield Skipped(key, path, Reason.MISSING_FILE, why, row.split, row.speaker, row.labels)
            continue
        start, stop = row.interval or (None, None)
        yield Clip(
            key=key,
            path=f"{base}/{row.file}",
            dataset="folder",
            split=row.split,
            speaker=row.speaker,
            text=row.text,
            start=start,
            stop=stop,
            crop=row.crop,
            face=row.face,
            labels=row.labels,
        )


def _key_of(plain: str, interval: tuple[float, float] | None) -> str:
    """The key of a row that has none.

    >>> _key_of("a/b", None), _key_of("a/b", (1.5, 4.0))
    ('a/b', 'a/b_0001500-0004000')
    """
    if interval is None:
        return plain
    return f"{plain}_{round(interval[0] * 1000):07d}-{round(interval[1] * 1000):07d}"


def _load(table: str | Path, root: Path) -> list[_Row]:
    """Every row. Raises UsageError with the first faults, by row."""
    found: list[_Row] = []
    faults: list[str] = []
    known: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    checked: set[str] = set()
    for number, row in tables.rows(table):
        for column in row.keys() - checked:
            _check_column(table, column)
            checked.add(column)
        try:
            found.append(_parse(number, row, root, known))
        except ValueError as error:
            faults.append(f"row {number}: {error}")
            if len(faults) == MOST_TOLD:
                break
    if faults:
        more = "" if len(faults) < MOST_TOLD else "; and perhaps more"
        raise UsageError(f"{table}: {'; '.join(faults)}{more}")
    if not found:
        raise UsageError(f"{table}: no row; a table has a row for each clip, and at least the column file")
    return found


def _check_column(table: str | Path, column: str) -> None:
    name = column.removeprefix(LABEL)
    if column in COLUMNS or (name != column and _NAME.fullmatch(name)):
        return
    if name != column:
        raise UsageError(f"{table}: column {column!r}: a label has lower case letters, digits and _ only")
    raise UsageError(
        f"{table}: column {column!r}: {suggest(column, list(COLUMNS))}; a label of your own is {LABEL}NAME"
    )


def _parse(
    number: int, row: tables.Row, root: Path, known: dict[tuple[tuple[str, str], ...], dict[str, str]]
) -> _Row:
    """A row as it is meant. Raises ValueError that says which cell is wrong. known: labels that rows share."""
    file = row.get("file", "").replace("\\", "/")
    parts = file.split("/")
    if not file:
        raise ValueError("no file")
    if not parts[0] or ".." in parts or _ADDRESS.match(file):
        raise ValueError(f"file {file!r}: give a path below ROOT")
    if "" in parts or "." in parts:
        file = PurePosixPath(file).as_posix()
    key, split = row.get("key"), row.get("split", "test")
    from tkbench.shards import KEY  # numpy comes with it, and help needs none

    if key is not None and not KEY.fullmatch(key):
        raise ValueError(f"key {key!r}: letters, digits, - and _ only, with / between parts")
    if not SAFE.fullmatch(split):
        raise ValueError(f"split {split!r}: letters, digits, - and _ only")
    height = _number(row, "measured_height", 0.0)
    labels = tuple(sorted((name[len(LABEL) :], text) for name, text in row.items() if name.startswith(LABEL)))
    if "source" in row:
        labels = (*labels, ("source", row["source"]))
    shared = known.setdefault(labels, {name: sys.intern(text) for name, text in labels})
    speaker = row.get("speaker", file.rpartition("/")[0] or None)
    return _Row(
        number=number,
        file=file,
        key=key,
        interval=_interval(row),
        face=_face(row["box"], height, root) if "box" in row else None,
        crop=_crop(row["crop"], height) if "crop" in row else None,
        speaker=None if speaker is None else sys.intern(speaker),
        split=sys.intern(split),
        text=row.get("text"),
        labels=shared,
    )


def _number(row: tables.Row, name: str, default: float) -> float:
    text = row.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} {text!r}: expected a number above 0")
    return value


def seconds_of(text: str) -> float:
    """Seconds of a time, from 0 on. Raises ValueError.

    >>> seconds_of("12.5"), seconds_of("01:02"), seconds_of("1:00:05.25")
    (12.5, 62.0, 3605.25)
    """
    clock = _CLOCK.fullmatch(text)
    if clock:
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError
    return value


def _interval(row: tables.Row) -> tuple[float, float] | None:
    if "start" not in row and "end" not in row:
        return None
    if "start" not in row or "end" not in row:
        raise ValueError("start and end: give both, or none for the whole file")
    times = []
    for name in ("start", "end"):
        try:
            times.append(seconds_of(row[name]))
        except ValueError:
            raise ValueError(f"{name} {row[name]!r}: expected seconds, or [hh:]mm:ss") from None
    if times[1] <= times[0]:
        raise ValueError(f"end {row['end']!r} is not after start {row['start']!r}")
    return times[0], times[1]


def _box(text: str) -> tuple[list[float], bool] | None:
    """(x0, y0, x1, y1) and whether they are shares; None for what is not all numbers.

    Raises ValueError for numbers that are no box.
    """
    parts = [part for part in _BETWEEN.split(text) if part]
    try:
        box = [float(part) for part in parts]
    except ValueError:
        return None
    if len(box) != 4 or not all(math.isfinite(number) and number >= 0 for number in box):
        raise ValueError("expected four numbers x0 y0 x1 y1, from 0 on")
    if 1 < max(box) < 2:
        raise ValueError("shares of the picture are at most 1, and a picture has more than 2 pixels")
    return box, max(box) <= 1


def _face(text: str, height: float, root: Path) -> FaceHint:
    try:
        found = _box(text)
    except ValueError as error:
        raise ValueError(f"box {text!r}: {error}") from None
    if found is not None:
        box, shares = found
        if box[2] < box[0] or box[3] < box[1]:
            raise ValueError(f"box {text!r}: expected x0 y0 x1 y1, with x1 and y1 the larger ones")
        return FaceHint(box[0], box[1], box[2], box[3], shares=shares, of_height=round(height))
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.suffix or _ADDRESS.match(str(path)):
        raise ValueError(f"box {text!r}: expected x0 y0 x1 y1, or a file below ROOT with a box at each time")
    return FaceHint(track=str(root / path))


def _crop(text: str, height: float) -> Crop:
    try:
        found = _box(text)
    except ValueError as error:
        raise ValueError(f"crop {text!r}: {error}") from None
    if found is None or found[0][2] <= found[0][0] or found[0][3] <= found[0][1]:
        raise ValueError(f"crop {text!r}: expected x0 y0 x1 y1, with x1 and y1 the larger ones")
    (x0, y0, x1, y1), shares = found
    return Crop(x0, y0, x1 - x0, y1 - y0, of_height=round(height) or FILE_HEIGHT, shares=shares)
