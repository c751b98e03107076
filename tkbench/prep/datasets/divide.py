"""Splits for data that has none: whole speakers, sources or labels are dealt to splits by their hash.

Groups (all clips of one speaker, say) are taken in the order of sha256(SEED:GROUP), and each goes to the split that
lacks most clips of its share. So no speaker is in two splits, the shares come as close as whole groups allow, every
split has a group, and the same clips and seed give the same splits on any machine. If clips are added later, groups may
move: the lists that are written beside the shards, with their hash, say which clips were meant, and a table with the
column `split` keeps them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.splits import list_hash
from tkbench.prep.datasets.tree import SAFE
from tkbench.registry import suggest
from tkbench.runtime import storage
from tkbench.types import Clip, Skipped

RULE = "groups by sha256(seed:group), each to the split that lacks most clips of its share"


@dataclass(frozen=True, slots=True)
class Division:
    """How clips are divided."""

    by: str
    """speaker, source, clip, or the name of a label: what is never in two splits."""
    shares: Mapping[str, float]
    """Split -> share of the clips; they add up to 1."""
    seed: int = 0


def parse_shares(text: str) -> dict[str, float]:
    """The shares in `train=0.8,val=0.1,test=0.1`. Raises UsageError.

    >>> parse_shares("train=0.8, test=0.2")
    {'train': 0.8, 'test': 0.2}
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            shares[name] = float(number)
        except ValueError:
            shares[name] = -1.0
        if not SAFE.fullmatch(name) or not 0 < shares[name] <= 1:
            raise UsageError(
                f"--split {text!r}: {part.strip()!r} is no share; write train=0.8,val=0.1,test=0.1"
            )
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"--split {text!r}: the shares add up to {sum(shares.values()):g}, expected 1")
    return shares


def divide(items: Iterable[Clip | Skipped], division: Division) -> list[Clip | Skipped]:
    """The clips with their split. Raises UsageError for data with fewer groups than splits, or without the label."""
    found = list(items)
    groups = [_group_of(item, division.by, found) for item in found]
    sizes = Counter(groups)
    shares = division.shares
    if len(sizes) < len(shares):
        raise UsageError(
            f"--split-by {division.by}: {len(sizes)} in all, too few for {len(shares)} splits; divide by clip"
        )
    lacking = {name: share * len(found) for name, share in shares.items()}
    empty = dict.fromkeys(shares)
    split_of: dict[str, str] = {}
    order = sorted(sizes, key=lambda group: hashlib.sha256(f"{division.seed}:{group}".encode()).hexdigest())
    for done, group in enumerate(order):
        open_to = empty if len(order) - done == len(empty) else lacking
        name = max(open_to, key=lambda split: lacking[split])
        split_of[group] = name
        lacking[name] -= sizes[group]
        empty.pop(name, None)
    return [replace(item, split=split_of[group]) for item, group in zip(found, groups, strict=True)]


def _group_of(item: Clip | Skipped, by: str, everything: list[Clip | Skipped]) -> str:
    if by == "clip":
        return item.key
    if by == "speaker":
        return item.speaker or item.key
    if by in item.labels:
        return item.labels[by]
    if by == "source":
        return item.path  # the file is the recording, where nobody says more
    known = sorted({name for one in everything for name in one.labels})
    if by not in known:
        raise UsageError(f"--split-by {by}: {suggest(by, ['speaker', 'source', 'clip', *known])}")
    raise UsageError(
        f"--split-by {by}: {item.key} has no label {by}; divide by something that every clip has"
    )


def write_down(items: Iterable[Clip | Skipped], division: Division, dataset: str, target: Path) -> None:
    """`splits.json` with the rule, counts and hashes, and a list of keys for each split, in the folder of the shards.

    The form is that of `tkbench data splits --out`, and `rule` besides.
    """
    keys: dict[str, list[str]] = {name: [] for name in division.shares}
    groups: dict[str, set[str]] = {name: set() for name in division.shares}
    missing: Counter[str] = Counter()
    for item in items:
        split = item.split or ""
        keys[split].append(item.key)
        groups[split].add(_group_of(item, division.by, []))
        missing[split] += isinstance(item, Skipped)
    record: dict[str, object] = {}
    for name, mine in keys.items():
        file = f"{dataset}-{name}.txt"
        storage.write_file(target / file, "".join(f"{key}\n" for key in sorted(mine)).encode())
        record[name] = {
            "file": file,
            "clips": len(mine),
            "missing": missing[name],
            "groups": len(groups[name]),
            "sha256": list_hash(mine),
        }
    rule = {"by": division.by, "shares": dict(division.shares), "seed": division.seed, "how": RULE}
    text = json.dumps({"dataset": dataset, "rule": rule, "splits": record}, indent=1) + "\n"
    storage.write_file(target / "splits.json", text.encode())
