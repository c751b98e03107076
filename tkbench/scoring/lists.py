"""The clips and pairs of a data set's own protocol: are these shards the split that it is for?

A protocol with `[data]` names a split by the hash of its list of clips. Before anything is scored the shards are held
against it: data set, split, list, canvas and crop recipes. Clips that the preparation had to leave out are in the list
all the same, so the list says what was asked for, and `n` in the signature how many could be scored.

What is found is part of the signature: `list:ed810ec500c3` for the published list, with `(draft)` where nobody had seen
the list before, and for a voice of another clip `pairs:seeded@` with the hash of the pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tkbench.dataset import FAKE_SUFFIX
from tkbench.errors import UsageError
from tkbench.prep.datasets.splits import list_hash
from tkbench.protocol import DataSpec, PairSpec, Protocol
from tkbench.registry import suggest
from tkbench.scoring.clips import choose_partner
from tkbench.shards import Shards

LARGEST_LIST = 64 << 20
Pair = tuple[str, str]
"""A clip for the voice, and one for the picture."""


def split_for(rules: Protocol, source: Shards, split: str | None) -> str | None:
    """The split to score where nobody asked for one: that of the protocol, if these shards have it."""
    data = rules.data
    if split is None and data is not None and data.split in source.splits and len(source.splits) > 1:
        return data.split
    return split


def clips_of(source: Shards) -> list[str]:
    """The clips of the open splits as their reader called them, sorted; those that were left out are among them."""
    return sorted(set(source.manifest(["clip"])["clip"].tolist()))


def check(rules: Protocol, source: Shards) -> tuple[str, ...]:
    """Hold shards against a protocol's `[data]`: the parts of the signature that say what was found; none without it.

    Raises UsageError for another data set, split, list, canvas or preparation.
    """
    data = rules.data
    if data is None:
        return ()
    fake = source.dataset == f"{data.dataset}{FAKE_SUFFIX}"
    if source.dataset != data.dataset and not fake:
        raise UsageError(
            f"{source.folder}: is {source.dataset}, the protocol {rules.name} is for {data.dataset}; "
            "leave out --protocol"
        )
    if source.splits != (data.split,):
        raise UsageError(
            f"{source.folder}: holds the split {source.split}, the protocol {rules.name} is for {data.split}; "
            f"prepare it with --split {data.split}"
        )
    _check_preparation(rules.name, data, source)
    clips = clips_of(source)
    digest = list_hash(clips)
    if fake:
        return (f"list:{digest[:12]}(fake)",)
    if data.draft:
        return (f"list:{digest[:12]}(draft, {len(clips)} of {data.clips})",)
    if digest != data.sha256:
        raise UsageError(
            f"{source.folder}: its list of {len(clips)} clips has the sha256 {digest[:12]}, that of {rules.name} has "
            f"{data.clips} clips and {data.sha256[:12]}; prepare the whole split (`tkbench data splits` lists it), or "
            "score these clips by another protocol"
        )
    return (f"list:{digest[:12]}",)


def _check_preparation(name: str, data: DataSpec, source: Shards) -> None:
    table = source.manifest(["key", "status", "width", "height"])
    table = table[table["status"] == "ok"]
    width, height = data.canvas
    other = table[(table["width"] != width) | (table["height"] != height)]
    if len(other):
        key, w, h = other[["key", "width", "height"]].iloc[0].tolist()
        raise UsageError(
            f"{source.folder}: clip {key} has a canvas of {w:g} x {h:g}, {name} is for {width} x {height}; prepare the "
            f"data set with `tkbench prep {data.dataset}`"
        )
    line = f"|{source.signature}|"
    for crop in data.crops:
        if f"|{crop}(" not in line:
            raise UsageError(
                f"{source.folder}: was prepared without the crop recipe {crop}, which {name} needs; "
                "prepare it again with this version of tkbench"
            )


# -- pairs ---------------------------------------------------------------------------------------------------


def seeded_pairs(source: Shards, seed: int) -> list[Pair]:
    """A voice of another clip for each clip, by the rule of `cross:MODEL`; sorted by the picture's clip."""
    keys, speakers = source.keys(), source.speakers
    found = [(choose_partner(key, keys, speakers, seed), key) for key in sorted(keys)]
    return [(voice, key) for voice, key in found if voice is not None]


def pairs_hash(partners: Mapping[str, str | None]) -> str:
    r"""sha256 of pairs: a line `VOICE PICTURE` each, sorted by the picture's clip.

    >>> pairs_hash({"b": "a", "a": "b"}) == hashlib.sha256(b"b a\na b\n").hexdigest()
    True
    """
    return hashlib.sha256(
        "".join(f"{partners[key] or '-'} {key}\n" for key in sorted(partners)).encode()
    ).hexdigest()


@dataclass(frozen=True, slots=True)
class Pairs:
    """What `tkbench protocol pairs` found."""

    lines: tuple[Pair, ...]
    sha256: str
    missing: int
    """Lines that name a clip which is not in the shards."""


def pairs_of(rules: Protocol, name: str, source: Shards, file: Path | None) -> Pairs:
    """The pairs of a protocol by their name; those that others published are read from `file`.

    Raises UsageError for a name that it has not, and for a file that is not the published one.
    """
    data = rules.data
    known = {spec.name: spec for spec in data.pairs} if data is not None else {}
    if name not in known:
        raise UsageError(f"the protocol {rules.name} has no pairs {name!r}: {suggest(name, list(known))}")
    spec = known[name]
    if spec.how == "list":
        return _published(spec, source, file)
    if file is not None:
        raise UsageError(f"--list {file}: the pairs {name!r} of {rules.name} are made here, no file is read")
    keys = sorted(source.keys())
    lines = [(key, key) for key in keys] if spec.how == "self" else seeded_pairs(source, rules.seed)
    return Pairs(tuple(lines), pairs_hash({picture: voice for voice, picture in lines}), 0)


def _published(spec: PairSpec, source: Shards, file: Path | None) -> Pairs:
    where = f"{spec.path} of {spec.repository}@{spec.commit[:7]}"
    if file is None:
        raise UsageError(f"the pairs {spec.name!r} are a published file: give --list with {where}")
    content = read_list(file, "--list", f"; give {where}")
    if (digest := hashlib.sha256(content).hexdigest()) != spec.sha256:
        raise UsageError(f"--list {file}: sha256 {digest[:12]}, {where} has {spec.sha256[:12]}")
    lines, missing = named_pairs(content, source, file)
    return Pairs(lines, digest, missing)


def read_list(file: Path, option: str, advice: str = "") -> bytes:
    """The bytes of a list of pairs; UsageError where it is no file, or too large for one."""
    if not file.is_file() or file.stat().st_size > LARGEST_LIST:
        raise UsageError(f"{option} {file}: no file of at most {LARGEST_LIST >> 20} MB{advice}")
    return file.read_bytes()


def named_pairs(content: bytes, source: Shards, file: Path) -> tuple[tuple[Pair, ...], int]:
    """The lines `VOICE PICTURE` of a list as clips of these shards, and how many name a clip that is not there.

    Published lists leave out folders (BRING_00018 of LRW, <id>/<number> of LRS2 and LRS3), so a clip may be named by
    its end, if that is the end of one clip only. Raises UsageError for a line that is not two names, and for a name
    that is the end of several clips.
    """
    by_end: dict[str, str | None] = {}
    for key in source.keys():
        parts = key.split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            by_end[end] = key if start == 0 or end not in by_end else None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is no text in UTF-8 ({error.reason} at byte {error.start})") from None
    lines: list[Pair] = []
    missing = 0
    for number, line in enumerate(text.split("\n"), start=1):
        named = line.split()
        if not named:
            continue
        if len(named) != 2:
            raise UsageError(f"{file}: line {number} has {len(named)} words, expected VOICE PICTURE")
        found = [by_end.get(part, "") for part in named]
        if None in found:
            several = named[found.index(None)]
            raise UsageError(
                f"{file}: line {number}: {several!r:.80} is the end of several clips; name it whole"
            )
        if found[0] and found[1]:
            lines.append((found[0], found[1]))
        else:
            missing += 1
    return tuple(lines), missing


def frozen_text(text: str, rules: Protocol, source: Shards) -> str:
    """A draft's file with the list of these shards in it. Raises UsageError where it cannot be that of the split."""
    data = rules.data
    if data is None or not data.draft:
        raise UsageError(
            f"the protocol {rules.name} is no draft: it lacks no list of clips; leave out --data"
        )
    if source.dataset != data.dataset:
        raise UsageError(
            f"{source.folder}: is {source.dataset}; only the real list of {data.dataset} makes a protocol of a draft"
        )
    check(rules, source)
    clips = clips_of(source)
    if len(clips) != data.clips:
        raise UsageError(
            f"{source.folder}: its split {data.split} has {len(clips)} clips, {data.counted_by} counts {data.clips}; "
            "give the whole split, with the clips that were left out"
        )
    if text.count('\nsha256 = ""\n') != 1:
        raise UsageError(f"the file of {rules.name} needs the line 'sha256 = \"\"' once, where its list goes")
    filled = f'\nsha256 = "{list_hash(clips)}"\nlist_from = "a preparation of the whole split"\n'
    return text.replace('\nsha256 = ""\n', filled)
