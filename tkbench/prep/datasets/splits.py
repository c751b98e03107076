"""The splits of a data set as lists of keys with a hash: what a paper cites, and what two people compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets import find, having, read
from tkbench.types import Clip


@dataclass(frozen=True, slots=True)
class Split:
    """One split of a copy of a data set."""

    name: str
    keys: tuple[str, ...]
    """Sorted; those that the lists name but whose file is missing are in it too."""
    missing: tuple[str, ...]
    sha256: str
    """Of the keys, each followed by a line feed: the sha256 of the file that `write` makes."""
    note: str = ""


def splits_of(dataset: str, root: str | Path, options: Mapping[str, str] | None = None) -> list[Split]:
    """The splits of a tree, sorted by name. Raises UsageError for one that is not of the data set."""
    record = find(dataset)
    if not record.splits:
        raise UsageError(f"{dataset} has no splits; these have: {', '.join(having('splits'))}")
    place = Path(root).absolute()
    if not place.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds {dataset}")
    keys: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for item in read(dataset, place, options):
        split = item.split or "test"
        keys.setdefault(split, []).append(item.key)
        if not isinstance(item, Clip):
            missing.setdefault(split, []).append(item.key)
    return [
        Split(
            name,
            tuple(sorted(keys[name])),
            tuple(sorted(missing.get(name, []))),
            digest := list_hash(keys[name]),
            record.split_note(name, digest) if record.split_note is not None else "",
        )
        for name in sorted(keys)
    ]


def list_hash(keys: Iterable[str]) -> str:
    r"""sha256 of a split: its sorted keys, one to a line, each line ended.

    >>> list_hash(["b", "a"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    True
    """
    return hashlib.sha256("".join(f"{key}\n" for key in sorted(keys)).encode()).hexdigest()


def write(splits: list[Split], dataset: str, out: str | Path) -> Path:
    """`DATASET-SPLIT.txt` with one key a line, and splits.json with counts and hashes, in the folder `out`."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    record = {}
    for split in splits:
        file = folder / f"{dataset}-{split.name}.txt"
        file.write_bytes("".join(f"{key}\n" for key in split.keys).encode())
        record[split.name] = {
            "file": file.name,
            "clips": len(split.keys),
            "missing": len(split.missing),
            "sha256": split.sha256,
            **({"note": split.note} if split.note else {}),
        }
    path = folder / "splits.json"
    path.write_text(json.dumps({"dataset": dataset, "splits": record}, indent=1) + "\n", encoding="utf-8")
    return path
