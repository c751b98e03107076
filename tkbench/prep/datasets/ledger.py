"""What the checks of several data sets share: counting the clips of a folder, and reading what lies beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets import lrs
from tkbench.prep.datasets.tree import SAFE, text_of
from tkbench.types import Clip, Skipped


def sizes(folder: Path) -> dict[str, int]:
    """Name -> bytes of the files in a folder, hidden ones left out; empty where it is not there."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    found[entry.name] = entry.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict(sorted(found.items()))


def count_pairs(ledger: Ledger, split: str, prefix: str, folder: Path, files: dict[str, int]) -> list[str]:
    """Count the clips of a folder that no list describes; returns the stems that have both files."""
    clips = {name[:-4] for name in files if name.endswith(".mp4")}
    texts = {name[:-4] for name in files if name.endswith(".txt")}
    for stem in sorted(clips | texts):
        key = f"{prefix}{stem}"
        if not SAFE.fullmatch(stem):
            ledger.add("odd-name", split, key, folder / stem, None, "not a name of this data set; left out")
            continue
        ledger.listed[split] += 1
        count_clip(ledger, split, key, folder, stem, files)
    return sorted(clips & texts)


def count_clip(ledger: Ledger, split: str, key: str, folder: Path, stem: str, files: dict[str, int]) -> None:
    """Count one clip, and note what of its .mp4 and .txt is missing; files: `sizes` of its folder."""
    video, text = f"{stem}.mp4", f"{stem}.txt"
    if video not in files:
        ledger.add("missing-file", split, key, folder / video)
    elif files[video] == 0:
        ledger.add("empty-file", split, key, folder / video)
    else:
        ledger.there[split] += 1
    if text not in files:
        ledger.add("missing-text", split, key, folder / text)


def read_text(ledger: Ledger, split: str, key: str, file: Path) -> str | None:
    """The text file of a clip; None, and a finding, where it cannot be read."""
    try:
        return text_of(file)
    except (OSError, ValueError) as error:
        ledger.add("bad-text", split, key, file, None, f"{type(error).__name__}: {error}")
        return None


def check_found(
    ledger: Ledger, found: Iterable[Clip | Skipped], how: Check, counted: Callable[[Clip | Skipped], str]
) -> None:
    """Count what a reader of files finds: size of each video, and the text beside it, unless names are to be enough.

    counted: what a clip is counted by.
    """
    for done, item in enumerate(found, 1):
        group = counted(item)
        ledger.listed[group] += 1
        if isinstance(item, Skipped):
            ledger.add("missing-file", group, item.key, item.path, None, item.detail)
            continue
        try:
            size = Path(item.path).stat().st_size
        except OSError as error:
            ledger.add("missing-file", group, item.key, item.path, None, error.strerror or str(error))
            continue
        if size:
            ledger.there[group] += 1
        else:
            ledger.add("empty-file", group, item.key, item.path)
        if item.sidecar is not None and not how.fast:
            annotator = ledger.dataset.annotate
            for note in annotator(item)[1] if annotator is not None else ():
                ledger.add("bad-text", group, item.key, item.sidecar, None, note)
        if done % 1000 == 0:
            how.progress(done, done, f"{done} clips")


def check_odd(ledger: Ledger, odd: Iterable[Path]) -> None:
    """Videos whose names are none of the data set: they are left out."""
    for path in odd:
        ledger.add("odd-name", "-", path.stem, path, None, "not a name of this data set; left out")


def check_transcript(ledger: Ledger, split: str, key: str, file: Path) -> None:
    """Note every bad line of a transcript in the format of LRS2 and LRS3."""
    text = read_text(ledger, split, key, file)
    for line, what in lrs.parse(text).problems if text is not None else ():
        ledger.add("bad-text", split, key, file, line, what)
