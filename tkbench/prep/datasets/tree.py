"""What the readers of published data sets share: listing folders, reading lists and small text files.

Local folders are listed by `os.scandir`, which tells files from folders without a look at each; places behind
fsspec by the pathlib calls that they have in common.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.runtime import storage

SAFE = re.compile(r"[A-Za-z0-9_-]+")
"""What a part of a key may be. Names in lists come from strangers: nothing else is put into a path."""
FAKE = "TKBENCH_FAKE.json"
"""Marks a tree of `tkbench data fake`."""
MOST = 4 << 20
"""Bytes of a list or text file that are read."""


def listing(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, both sorted, hidden ones left out; empty without it."""
    folders: list[str] = []
    files: list[str] = []
    try:
        for name, is_folder in _entries(folder):
            if not name.startswith("."):
                (folders if is_folder else files).append(name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    return sorted(folders), sorted(files)


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a folder) of what lies in a folder."""
    if (remote := storage.as_remote(folder)) is not None:
        for path in remote.iterdir():
            yield path.name, path.is_dir()
        return
    with os.scandir(folder) as found:
        for entry in found:
            yield entry.name, entry.is_dir()


def videos(files: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Names of a folder's files, sorted: (stems with an .mp4, those of them with a .txt, stems with a .txt alone).

    >>> videos(["00001.mp4", "00001.txt", "00002.mp4", "00003.txt", "x.wav"])
    (['00001', '00002'], ['00001'], ['00003'])
    """
    clips = [name[:-4] for name in files if name.endswith(".mp4")]
    texts = {name[:-4] for name in files if name.endswith(".txt")}
    return clips, [stem for stem in clips if stem in texts], sorted(texts.difference(clips))


def lines_of(file: Path) -> list[str]:
    """The lines of a text file, without a byte order mark and blanks at the ends; [] where it is not there.

    Bytes that are no UTF-8 become replacement marks, so that the line is found to be bad, not the file.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(64 * MOST)
    except FileNotFoundError:
        return []
    return [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]


def text_of(file: Path) -> str:
    """A small text file as it is. Raises OSError, or ValueError where it is too large to be one."""
    with file.open("rb") as stream:
        data = stream.read(MOST + 1)
    if len(data) > MOST:
        raise ValueError(f"{len(data)} bytes and more are no annotation of one clip")
    return data.decode("utf-8-sig", "replace")


def is_fake(root: Path) -> bool:
    """Whether `tkbench data fake` made this tree, or the one that this folder is the inner folder of."""
    return any((place / FAKE).is_file() for place in (root, root.parent))


def base_of(root: Path, inner: str, needed: tuple[str, ...], what: str) -> Path:
    """`root`, or `root / inner`, whichever has one of the folders `needed`.

    Raises UsageError where neither has.
    """
    for base in (root, root / inner):
        if any((base / name).is_dir() for name in needed):
            return base
    wanted = " or ".join(f"{name}/" for name in needed)
    raise UsageError(f"{root}: not {what}: no folder {wanted} in it or in its {inner}/")
