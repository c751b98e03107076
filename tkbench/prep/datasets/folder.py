"""Any folder of talking-head videos, searched with its subfolders.

key      the path below the root without suffix, made safe: `a dir/Ünï ö.mp4` -> `a_dir/Uni_o`
speaker  the folder that holds the file, if that is not the root itself (VoxCeleb, LRS, GRID lie that way): intervals
         are then computed over folders
text     a `.txt` beside the video, if there is one: the line `Text: ...` of LRS, otherwise all of it
split    test

With a table (`--table`), a row is a clip: see clip_table.py. `find_videos` serves the other readers, too.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from tkbench.dataset import DataSet, Option
from tkbench.prep.datasets import clip_table
from tkbench.prep.datasets.keys import make_keys
from tkbench.runtime import storage
from tkbench.types import Clip, Reason, Skipped

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .m2v .ts .mts .flv .wmv .asf .ogv .3gp .mxf".split()
)


def read(root: Path, table: str | None = None) -> Iterator[Clip | Skipped]:
    """Every video file below `root`, hidden ones left out, sorted by path; or what a table says of them."""
    if table is not None:
        yield from clip_table.read(root, table)
        return
    found = list(_find(root))
    keys = make_keys([path.relative_to(root) for path, _ in found])
    for key, (path, has_text) in zip(keys, found, strict=True):
        try:
            text = _text(path.with_suffix(".txt")) if has_text else None
        except (OSError, UnicodeDecodeError) as error:
            yield Skipped(
                key, str(path), Reason.UNREADABLE, f"{path.with_suffix('.txt').name}: {_why(error)}"
            )
            continue
        parent = path.parent.relative_to(root)
        speaker = None if parent == Path() else parent.as_posix()
        yield Clip(key=key, path=str(path), dataset="folder", speaker=speaker, text=text)


def find_videos(root: Path) -> Iterator[Path]:
    """Video files by suffix, in an order that does not depend on the file system; links to folders are not
    entered.

    Folders of shards (with an index.json, or an unfinished run) are left out, so that an output inside the
    input is never read.
    """
    return (path for path, _ in _find(root))


def _find(root: Path) -> Iterator[tuple[Path, bool]]:
    """Videos, and whether a .txt lies beside each. Listings of folders say so: no file is looked up by name."""
    for here, folders, names in storage.walk(root):
        there = set(names)
        if here != root and ("index.json" in there or "stats" in folders):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            stem, dot, suffix = name.rpartition(".")
            if stem and not name.startswith(".") and f"{dot}{suffix.lower()}" in SUFFIXES:
                yield here / name, f"{stem}.txt" in there


def _why(error: Exception) -> str:
    """What is wrong with a text, without the folder that it lies in."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _text(file: Path) -> str | None:
    if not file.is_file():
        return None
    # Four bytes a letter at most. Remote places open in bytes alone, so letters that the end cuts are dropped here.
    with file.open("rb") as stream:
        data = stream.read(80_000)
    whole = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=len(data) < 80_000)
    lines = whole[:20_000].splitlines()
    marked = [line.partition(":")[2] for line in lines if line.lower().startswith("text:")]
    text = " ".join((marked[0] if marked else " ".join(lines)).split())
    return text or None


DATASET = DataSet(
    name="folder",
    title="any folder of talking-head videos",
    layout="ROOT is searched with its subfolders",
    notes="Every file ends in the manifest as ok or skipped with a reason. With a table, each of its rows is a clip.",
    example="tkbench prep folder --root videos --table clips.csv --out shards",
    read=read,
    options=(
        Option(
            "table",
            "A .csv, .tsv, .jsonl or .parquet with a row for each clip. Columns: file, and if you like key, start, "
            "end, box, crop, measured_height, speaker, source, split, text, label_NAME. Each is explained in "
            "https://github.com/tkbench/tkbench/blob/main/docs/data-sets.md.",
        ),
    ),
    clustered_by="folders (files right in ROOT: over clips)",
)
