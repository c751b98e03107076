"""The splits of a data set as lists of keys with a hash: what a paper cites, and what two people compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep import datasets
from tkbench.prep.datasets.hdtf import split as hdtf_split
from tkbench.registry import suggest
from tkbench.types import Clip

DATASETS = ("lrw", "lrs2", "lrs3", "hdtf")


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
    if dataset not in DATASETS:
        raise UsageError(f"no splits of {dataset!r}: {suggest(dataset, list(DATASETS))}")
    place = Path(root).absolute()
    if not place.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds {dataset}")
    keys: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for item in datasets.registry.get(dataset)(place, **(options or {})):
        split = item.split or "test"
        keys.setdefault(split, []).append(item.key)
        if not isinstance(item, Clip):
            missing.setdefault(split, []).append(item.key)
    return [
        Split(
            name,
            tuple(sorted(keys[name])),
            tuple(sorted(missing.get(name, []))),
            digest := hdtf_split.list_hash(keys[name]),
            _note(dataset, name, digest),
        )
        for name in sorted(keys)
    ]


def _note(dataset: str, split: str, digest: str) -> str:
    """For HDTF: whether it is the published list of `hdtf-identity-1`."""
    if dataset != "hdtf":
        return ""
    same = digest == hdtf_split.protocol()["splits"].get(split, {}).get("sha256")
    return f"{hdtf_split.NAME}{'' if same else ', of other annotation files than the published ones'}"


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
