"""Any folder of talking-head videos, searched with its subfolders.

key      the path below the root without suffix, made safe: `a dir/Ünï ö.mp4` -> `a_dir/Uni_o`
speaker  the folder that holds the file, if that is not the root itself (VoxCeleb, LRS, GRID lie that way): intervals
         are then computed over folders
text     a `.txt` beside the video, if there is one: the line `Text: ...` of LRS, otherwise all of it
split    test
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tkbench.dataset import DataSet
from tkbench.runtime import storage
from tkbench.types import Clip, Reason, Skipped

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .m2v .ts .mts .flv .wmv .asf .ogv .3gp .mxf".split()
)
_LONGEST = 80


def read(root: Path) -> Iterator[Clip | Skipped]:
    """Every video file below `root`, hidden ones left out, sorted by path; other files are not clips."""
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


def make_keys(paths: list[Path]) -> list[str]:
    """Safe unique keys for relative paths, in the same order.

    >>> make_keys([Path("a b.mp4"), Path("-x/y's.avi"), Path("c.mp4")])
    ['a_b', 'x/y_s', 'c']
    """
    plain = ["/".join(_slug(part) for part in path.with_suffix("").parts) for path in paths]
    # Two names that differ only in what was replaced, or in case, would share a file somewhere: both get a
    # mark.
    often = Counter(key.lower() for key in plain)
    return [
        key if often[key.lower()] == 1 else f"{key}-{_mark(path)}"
        for key, path in zip(plain, paths, strict=True)
    ]


def _slug(part: str) -> str:
    folded = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", folded).strip("_").lstrip("-")
    lost = not safe or len(safe) > _LONGEST
    return f"{safe[:_LONGEST] or 'clip'}-{_mark(Path(part))}" if lost else safe


def _mark(path: Path) -> str:
    # surrogateescape: a name that is no valid UTF-8 still has bytes.
    return hashlib.sha256(os.fsencode(path.as_posix())).hexdigest()[:8]


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
    notes="Every file ends in the manifest as ok or skipped with a reason.",
    example="tkbench prep folder --root videos --out shards",
    read=read,
    clustered_by="folders (files right in ROOT: over clips)",
)
