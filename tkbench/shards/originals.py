"""The files that clips were prepared from, where a clip's key is not the name of its file.

A key holds letters of English, digits, `-`, `_` and `/`. So `Anna Müller/take 1.mp4` is the clip `Anna_Muller/take_1`,
and of `a.mp4` and `A.mp4` both get a mark at their end. The manifest has the file of each clip in its column `path`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from tkbench.shards import Shards

_PLAIN = re.compile(r"[A-Za-z0-9_/-]+")
SHOWN = 3
"""Names that a line gives as examples."""


def originals(source: Shards) -> dict[str, str]:
    """Key -> file below the root of the preparation, of those clips whose file has a name that no key can have."""
    table = source.manifest(["key", "clip", "path", "status"])
    good = table[table["status"] == "ok"].sort_values("key")
    return {
        str(key): str(path)
        for key, clip, path in zip(good["key"], good["clip"], good["path"], strict=True)
        if isinstance(path, str) and renamed(str(clip), path)
    }


def renamed(clip: str, path: str) -> bool:
    """Whether the name of a file was replaced. Data sets whose keys are made by another rule are left alone.

    >>> renamed("a_b", "a b.mp4"), renamed("a-1f", "a.mp4"), renamed("s1/front_3", "s1/video/front/3.mp4")
    (True, True, False)
    """
    name = stem(path)
    return clip != name and (not _PLAIN.fullmatch(name) or clip.startswith(f"{name}-"))


def stem(path: str) -> str:
    """The name of a file without its suffix, with its folders."""
    return str(PurePosixPath(path).with_suffix(""))


def words_of(source: Shards) -> str:
    """`told` of a folder of shards."""
    return told(originals(source), len(source))


def told(files: Mapping[str, str], total: int) -> str:
    """What is said of such names, in a line; "" where there are none.

    >>> told({"take_1": "take 1.mp4"}, 8)
    '1 of 8 clips has another name than its file: take 1.mp4 is take_1'
    """
    if not files:
        return ""
    first = [f"{path} is {key}" for key, path in list(files.items())[:SHOWN]]
    have = "has another name than its file" if len(files) == 1 else "have other names than their files"
    more = ", ..." if len(files) > SHOWN else ""
    return f"{len(files)} of {total} clips {have}: {', '.join(first)}{more}"
