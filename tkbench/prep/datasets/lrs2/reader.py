"""LRS2 (Afouras et al., TPAMI 2018): `mvlrs_v1/{main,pretrain}/<19-digit id>/<5-digit number>.mp4` and .txt.

root     `mvlrs_v1`, or the folder above it
split    train, val, test (all in main/) and pretrain, from train.txt, val.txt, test.txt and pretrain.txt beside
         main/ or one folder above; a line is `<id>/<number>`, and in some copies a tag follows (NF or MV), which
         is kept as extra["tag"]. A clip in no list is in no split and is left out; `tkbench data check lrs2` names it
key      <id>/<number> for main, as published lists name a clip; pretrain/<id>/<number> for pretrain
speaker  the 19-digit id: the broadcast that the clip was cut from. It is a source, not a person: one may hold
         several speakers, and one speaker may be in many
text     of the .txt, with words and their times where it has them (pretrain)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import base_of, lines_of, listing, videos
from tkbench.types import Clip, Reason, Skipped

SPLITS = ("test", "val", "train", "pretrain")
"""In the order in which a clip that is in two lists is given away."""
_LINE = re.compile(r"([A-Za-z0-9_-]+)/([A-Za-z0-9_-]+)(?:\s+([A-Za-z0-9_-]+))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One good line of a list."""

    source: str
    number: str
    tag: str | None
    line: int


def parse_list(lines: list[str]) -> tuple[list[Entry], list[tuple[int, str]]]:
    """The clips of a list file, and its bad lines as (line number from 1, what was found); blank lines are none.

    >>> parse_list(["6330311066473698535/00011 NF", "", "../x"])
    ([Entry(source='6330311066473698535', number='00011', tag='NF', line=1)], [(3, "'../x'")])
    """
    entries, bad = [], []
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found:
            entries.append(Entry(found[1], found[2], found[3], number))
        elif line:
            bad.append((number, repr(line[:80])))
    return entries, bad


def find_base(root: Path) -> Path:
    """The folder that holds main/ or pretrain/. Raises UsageError."""
    return base_of(root, "mvlrs_v1", ("main", "pretrain"), "LRS2")


def list_file(base: Path, split: str) -> Path | None:
    """Where the list of a split lies: beside main/, or one folder above it."""
    for folder in (base, base.parent):
        if (folder / f"{split}.txt").is_file():
            return folder / f"{split}.txt"
    return None


def folder_of(split: str) -> str:
    """The folder of a split: main or pretrain."""
    return "pretrain" if split == "pretrain" else "main"


def read(root: Path) -> Iterator[Clip | Skipped]:
    """The clips of every list whose folder is there; those without their .mp4 are missing.

    A copy without pretrain/ is one without that split. Raises UsageError where no list is found.
    """
    base = find_base(root)
    lists = {split: file for split in SPLITS if (file := list_file(base, split)) is not None}
    if not lists:
        raise UsageError(
            f"{base}: no train.txt, val.txt, test.txt or pretrain.txt in it or beside it; the lists are separate "
            "downloads on the page of LRS2: put them into this folder"
        )
    given: set[tuple[str, str, str]] = set()
    for split, file in lists.items():
        folder = folder_of(split)
        if not (base / folder).is_dir():
            continue
        entries, _ = parse_list(lines_of(file))
        by_source: dict[str, list[Entry]] = {}
        for entry in entries:
            by_source.setdefault(entry.source, []).append(entry)
        for source in sorted(by_source):
            place = base / folder / source
            there, with_text, _ = videos(listing(place)[1])
            clips, texts = set(there), set(with_text)
            for entry in sorted(by_source[source], key=lambda entry: entry.number):
                if (folder, source, entry.number) in given:
                    continue
                given.add((folder, source, entry.number))
                yield _item(split, place, entry, clips, texts)


def _item(split: str, place: Path, entry: Entry, clips: set[str], texts: set[str]) -> Clip | Skipped:
    key = f"{entry.source}/{entry.number}"
    key = f"pretrain/{key}" if split == "pretrain" else key
    path = f"{place}/{entry.number}.mp4"
    if entry.number not in clips:
        why = f"{split}.txt line {entry.line} names it, and {folder_of(split)}/ has no such .mp4"
        return Skipped(key, path, Reason.MISSING_FILE, why, split)
    extra = {} if entry.tag is None else {"tag": entry.tag}
    sidecar = f"{place}/{entry.number}.txt" if entry.number in texts else None
    return Clip(key, path, "lrs2", split, entry.source, extra=extra, sidecar=sidecar)
