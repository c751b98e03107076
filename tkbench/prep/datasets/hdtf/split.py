"""The identity-disjoint split of HDTF, `hdtf-identity-1`: HDTF has no official one, so this project states one.

The rule: the identity of a video is its name without the digits at its end (EdMarkey0 and EdMarkey1 are one
person), and names whose videos are the same YouTube video are one identity. sha256 of `hdtf-identity-1:IDENTITY`,
its first 8 hex digits read as a fraction of 2^32: below 0.15 is test, below 0.20 val, the rest train. The
RD videos are called Radio1, Radio2, ...: their names say nothing of who speaks, so all of them are train.

`hdtf-identity-1.toml` holds what the rule gives for the published files, clip by clip, with a hash for each split.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TypedDict, cast

from tkbench.runtime import toml

NAME = "hdtf-identity-1"
SPLITS = ("train", "val", "test")
TEST, VAL = 0.15, 0.20


class PublishedSplit(TypedDict):
    """One split as hdtf-identity-1.toml has it."""

    clips: int
    videos: int
    speakers: int
    seconds: int
    sha256: str
    """`splits.list_hash` of the keys."""
    keys: list[str]


class Published(TypedDict):
    """The content of hdtf-identity-1.toml."""

    name: str
    rule: str
    same: dict[str, str]
    """Another name of a person -> the name that counts."""
    splits: dict[str, PublishedSplit]


@lru_cache(maxsize=1)
def published() -> Published:
    """The lists of the split, and what its rule needs."""
    text = files(__package__).joinpath(f"{NAME}.toml").read_text(encoding="utf-8")
    return cast(Published, toml.parse(text))


def identity_of(subset: str, name: str) -> tuple[str, bool]:
    """Who speaks in a video, and whether that is a person's name.

    Where it is not (RD), it is the video itself.

    >>> identity_of("WDA", "EdMarkey0"), identity_of("RD", "Radio11")
    (('EdMarkey', True), ('RD_Radio11', False))
    """
    if subset == "RD":
        return f"RD_{name}", False
    person = name.rstrip("0123456789") or name
    return published()["same"].get(person, person), True


def split_of(subset: str, name: str) -> str:
    """train, val or test of a video.

    >>> split_of("RD", "Radio11")
    'train'
    """
    identity, known = identity_of(subset, name)
    if not known:
        return "train"
    share = int(hashlib.sha256(f"{NAME}:{identity}".encode()).hexdigest()[:8], 16) / 2**32
    return "test" if share < TEST else "val" if share < VAL else "train"


def note(split: str, digest: str) -> str:
    """Whether a list of clips with this hash is the published one of `hdtf-identity-1`."""
    known = published()["splits"].get(split)
    same = known is not None and digest == known["sha256"]
    return f"{NAME}{'' if same else ', of other annotation files than the published ones'}"
