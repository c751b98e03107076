"""Tables that people write or publish, row by row as texts: .csv, .tsv, .jsonl (.ndjson) and .parquet.

A row is {column: text}; what is empty, null or nan is left out. Lists of numbers (a box in JSON) become "0.1 0.2 0.6
0.9". Rows come one at a time, so half a million of them are never in memory together. Numbers of rows are what an
editor shows: lines of a text file, the first line being 1; rows of a parquet file from 1.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.runtime import storage

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_AT_ONCE = 10_000
"""Rows of a parquet file that are in memory together."""
_CHUNK = 4 << 20
"""Bytes of a JSON array that are read together."""
_INDEX = re.compile(r"__index_level_\d+__")
"""Columns in which pandas keeps the index of a table that was filtered: nobody wrote them."""
Row = dict[str, str]


def rows(table: str | Path) -> Iterator[tuple[int, Row]]:
    """(number, row) of every row. Raises UsageError for a file that is no table of these kinds, or a damaged row."""
    file = storage.place(table) if isinstance(table, str) else table
    kind = file.suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"{table}: a table ends in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if not file.is_file():
        raise UsageError(f"{table}: no such file; give a table of clips")
    try:
        if kind == ".parquet":
            yield from _parquet(file)
        elif kind in (".csv", ".tsv"):
            yield from _csv(file, "\t" if kind == ".tsv" else ",")
        else:
            yield from _json_lines(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{table}: cannot be read ({type(error).__name__}: {error})") from error


@contextmanager
def _text(file: Path) -> Iterator[Iterator[str]]:
    """Lines of a UTF-8 text, with their ends, without a byte order mark."""
    with file.open("rb") as stream:
        first = True

        def lines() -> Iterator[str]:
            nonlocal first
            for line in stream:
                yield line.decode("utf-8-sig" if first else "utf-8")
                first = False

        yield lines()


def _csv(file: Path, separator: str) -> Iterator[tuple[int, Row]]:
    with _text(file) as lines:
        reader = csv.reader(lines, delimiter=separator)
        names = [name.strip() for name in next(reader, [])]
        if not names or len(set(names)) < len(names) or "" in names:
            raise UsageError(f"{file.name}: its first line must name each column once, found {names!r:.120}")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise UsageError(
                    f"{file.name} line {reader.line_num}: {len(cells)} cells, the first line names {len(names)} columns"
                )
            pairs = zip(names, cells, strict=True)
            yield reader.line_num, {name: text for name, cell in pairs if (text := cell.strip())}


def _json_lines(file: Path) -> Iterator[tuple[int, Row]]:
    with _text(file) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{file.name} line {number}"
            try:
                found = json.loads(line, object_pairs_hook=_each_once)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{where}: not JSON ({error})") from error
            if not isinstance(found, dict):
                raise UsageError(f"{where}: a {type(found).__name__}, expected an object")
            yield number, _texts(found, where)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object. Raises ValueError for a name that stands twice, of which Python would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{Counter(name for name, _ in pairs).most_common(1)[0][0]!r} stands twice")
    return found


def _parquet(file: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.open("rb") as stream, pq.ParquetFile(stream) as table:
            number = 0
            names: Sequence[str] = table.schema_arrow.names
            if len(set(names)) < len(names):
                raise UsageError(f"{file.name}: it must name each column once, found {names!r:.120}")
            kept = [name for name in names if not _INDEX.fullmatch(name)]
            for batch in table.iter_batches(batch_size=_AT_ONCE, columns=kept):
                for found in batch.to_pylist():
                    number += 1
                    yield number, _texts(found, f"{file.name} row {number}")
    except pa.ArrowException as error:
        raise UsageError(f"{file.name}: no parquet file ({error})") from error


def json_array(table: str | Path) -> Iterator[dict[str, object]]:
    """The objects of a .json that is one array of them, one at a time: such files have gigabytes.

    Raises UsageError for a file that is none.
    """
    file = storage.place(table) if isinstance(table, str) else table
    decode = json.JSONDecoder().raw_decode
    try:
        with file.open("rb") as stream:
            texts = codecs.getincrementaldecoder("utf-8-sig")("replace")
            text, at, begun, ended = "", 0, False, False
            while True:
                at = _past(text, at, " \t\r\n," if begun else " \t\r\n")
                if not begun and at < len(text):
                    if text[at] != "[":
                        raise ValueError("it does not begin with [")
                    begun, at = True, at + 1
                    continue
                if at < len(text) and text[at] == "]":
                    return
                try:
                    if at == len(text):
                        raise ValueError("it ends before its ]")
                    found, at = decode(text, at)
                except ValueError:
                    if ended:
                        raise
                    data = stream.read(_CHUNK)
                    ended = not data
                    text, at = text[at:] + texts.decode(data, final=ended), 0
                    continue
                if not isinstance(found, dict):
                    raise ValueError(f"an entry is a {type(found).__name__}, expected an object")
                yield found
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not a JSON array of objects ({type(error).__name__}: {error})") from error


def _past(text: str, at: int, what: str) -> int:
    while at < len(text) and text[at] in what:
        at += 1
    return at


def _texts(found: dict[str, object], where: str) -> Row:
    """A row of JSON or parquet as texts.

    Raises UsageError for a cell that is no text, number, time or list of these.
    """
    row = {}
    for name, value in found.items():
        try:
            if isinstance(value, dict):
                raise ValueError("an object, expected a text, a number or a list of numbers")
            text = text_of(value)
            text.encode()  # half of a pair of surrogates can stand in JSON and in no file
        except ValueError as error:
            raise UsageError(f"{where}: {name}: {error}") from None
        if text:
            row[name] = text
    return row


def text_of(value: object) -> str:
    """A value as a table's cell has it; "" where it says nothing. Raises ValueError for bytes that are no UTF-8.

    >>> text_of(b"a.mp4"), text_of(timedelta(seconds=1.5))
    ('a.mp4', '1.5')
    >>> text_of(0.5), text_of([1, 2]), text_of(True), text_of(None), text_of(float("nan")), text_of(3.0)
    ('0.5', '1 2', 'true', '', '', '3')
    """
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return " ".join(text_of(item) for item in value)
    return str(value).strip()
