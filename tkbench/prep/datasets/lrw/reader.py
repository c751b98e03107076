"""LRW (Chung & Zisserman, ACCV 2016): `WORD/{train,val,test}/WORD_00001.mp4`, with a .txt beside each.

root     the folder of words, or the one above it that holds `lipread_mp4`
key      WORD/test/WORD_00001, as published lists name a clip
text     the word; its interval comes from the .txt: the clip is 29 frames with the word at its centre, and the
         line `Duration: 0.34 seconds` says how long it takes
speaker  None: LRW does not say who speaks. Intervals of results then treat each clip as its own cluster, and
         are narrower than they should be where one person says many words
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import SAFE, listing, text_of, videos
from tkbench.types import FPS, Clip, Reason, Skipped, Word

SPLITS = ("train", "val", "test")
SECONDS = 29 / FPS
"""Length of every clip; half of it is where the word's middle lies."""
_DURATION = re.compile(r"^\s*Duration:\s*([0-9.]+)\s*(?:s|sec|seconds?)?\s*$", re.MULTILINE | re.IGNORECASE)


def find_base(root: Path) -> Path:
    """The folder that holds the words. Raises UsageError where there is none."""
    for base in (root, root / "lipread_mp4"):
        for word in listing(base)[0]:
            if any((base / word / split).is_dir() for split in SPLITS):
                return base
    raise UsageError(
        f"{root}: not LRW: no folder WORD/train, WORD/val or WORD/test in it or in its lipread_mp4/"
    )


def read(root: Path) -> Iterator[Clip | Skipped]:
    """Every .mp4 of the tree; a .txt without its .mp4 is a clip that is missing."""
    base = find_base(root)
    for word in listing(base)[0]:
        if not SAFE.fullmatch(word):
            continue
        for split in SPLITS:
            folder = base / word / split
            there, with_text, text_only = videos(listing(folder)[1])
            texts, place, prefix = set(with_text), str(folder), f"{word}/{split}/"
            for stem in there:
                if SAFE.fullmatch(stem):
                    sidecar = f"{place}/{stem}.txt" if stem in texts else None
                    yield Clip(
                        f"{prefix}{stem}", f"{place}/{stem}.mp4", "lrw", split, None, word, sidecar=sidecar
                    )
            for stem in text_only:
                if SAFE.fullmatch(stem):
                    path, why = f"{place}/{stem}.mp4", f"{stem}.txt is there without {stem}.mp4"
                    yield Skipped(f"{prefix}{stem}", path, Reason.MISSING_FILE, why, split)


def parse_duration(text: str) -> float | None:
    r"""Seconds that the word takes, from the text of a .txt; None where no usable line says so.

    >>> parse_duration("Disk reference: 5\nDuration: 0.34 seconds\n"), parse_duration("Duration: long")
    (0.34, None)
    """
    found = _DURATION.search(text)
    try:
        seconds = float(found[1]) if found else 0.0
    except ValueError:
        return None
    return seconds if 0 < seconds <= SECONDS else None


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with the interval of its word."""
    assert clip.sidecar is not None
    assert clip.text is not None
    file = Path(clip.sidecar)
    try:
        seconds = parse_duration(text_of(file))
    except (OSError, ValueError) as error:
        return clip, [f"{file.name}: {type(error).__name__}, the word has no interval"]
    if seconds is None:
        return clip, [f"{file.name}: no usable Duration, the word has no interval"]
    start, end = (SECONDS - seconds) / 2, (SECONDS + seconds) / 2
    return replace(clip, words=(Word(clip.text, round(start, 6), round(end, 6)),)), []
