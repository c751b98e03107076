"""LRS3-TED (Afouras et al., 2018): `{pretrain,trainval,test}/<youtube id>/<5-digit number>.mp4` and .txt.

root     the folder of the three, or the one above it that holds `lrs3` (any of the three may be missing)
split    the folder: test, trainval, pretrain
key      test/<youtube id>/<number>
speaker  the YouTube id of the talk. One talk is one speaker as a rule; a speaker may have given several talks
text     of the .txt, with words and their times where it has them
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tkbench.prep.datasets.tree import SAFE, base_of, listing, videos
from tkbench.types import Clip, Reason, Skipped

SPLITS = ("pretrain", "test", "trainval")


def find_base(root: Path) -> Path:
    """The folder that holds the splits. Raises UsageError."""
    return base_of(root, "lrs3", SPLITS, "LRS3")


def read(root: Path) -> Iterator[Clip | Skipped]:
    """Every .mp4 of the tree; a .txt without its .mp4 is a clip that is missing."""
    base = find_base(root)
    for split in SPLITS:
        for source in listing(base / split)[0]:
            if not SAFE.fullmatch(source):
                continue
            place = base / split / source
            there, with_text, text_only = videos(listing(place)[1])
            texts = set(with_text)
            for stem in there:
                if SAFE.fullmatch(stem):
                    sidecar = f"{place}/{stem}.txt" if stem in texts else None
                    yield Clip(
                        f"{split}/{source}/{stem}",
                        f"{place}/{stem}.mp4",
                        "lrs3",
                        split,
                        source,
                        sidecar=sidecar,
                    )
            for stem in text_only:
                if SAFE.fullmatch(stem):
                    path, why = f"{place}/{stem}.mp4", f"{stem}.txt is there without {stem}.mp4"
                    yield Skipped(f"{split}/{source}/{stem}", path, Reason.MISSING_FILE, why, split)
