"""Keys of clips from names of files: safe, unique, and readable."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

_LONGEST = 80


def make_keys(paths: Sequence[PurePath]) -> list[str]:
    """Safe unique keys for relative paths, in the same order.

    >>> make_keys([PurePath("a b.mp4"), PurePath("-x/y's.avi"), PurePath("c.mp4")])
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
    return f"{safe[:_LONGEST] or 'clip'}-{_mark(PurePath(part))}" if lost else safe


def _mark(path: PurePath) -> str:
    # surrogateescape: a name that is no valid UTF-8 still has bytes.
    return hashlib.sha256(os.fsencode(path.as_posix())).hexdigest()[:8]
