"""What a check of a data set found: counts per split beside the published ones, and every finding."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tkbench.prep.datasets import lrs
from tkbench.prep.datasets.tree import SAFE, text_of

PUBLISHED: dict[str, dict[str, str]] = {
    "lrw": {"train": "488766 (memory)", "val": "25000 (memory)", "test": "25000 (lists)"},
    "lrs2": {
        "train": "45839 (lists)",
        "val": "1082 (memory)",
        "test": "1243 (lists)",
        "pretrain": "96318 (memory)",
    },
    "lrs3": {"pretrain": "119k (paper)", "trainval": "32k (paper)", "test": "1452 (paper)"},
    "hdtf": {"RD": "66 (annotations)", "WDA": "195 (annotations)", "WRA": "175 (annotations)"},
}
"""Clips per split, and where the number is from: lists that others published, the paper, or memory, which no file
here confirms. What counts for HDTF is the annotation files: 66 + 195 + 175 = 436."""


EXPECTED = frozenset({"available", "no-crop", "no-interval"})
"""Kinds of findings that a whole copy has as well."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    kind: str
    """missing-file, empty-file, missing-text, bad-text, not-listed, bad-line, listed-twice, missing-list,
    missing-folder, odd-name; HDTF: missing-video, available, unreadable, no-sound, too-short, no-crop, no-interval,
    crop-unusable, other-resolution, not-annotated."""
    split: str
    key: str
    file: str
    line: int | None = None
    detail: str = ""


@dataclass(slots=True)
class Ledger:
    """Everything that a check found."""

    dataset: str
    root: str
    listed: Counter[str] = field(default_factory=Counter)
    """Split -> clips that the data set's own lists or annotations name, or whose .txt is there."""
    there: Counter[str] = field(default_factory=Counter)
    """Split -> clips whose video is there and not empty."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self, kind: str, split: str, key: str, file: object, line: int | None = None, detail: str = ""
    ) -> None:
        """Note a finding; files are shown below the root."""
        shown = str(file).removeprefix(self.root.rstrip("/") + "/")
        self.findings.append(Finding(kind, split, key, shown, line, detail))

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Rows (split, published, listed, there, findings)."""
        splits = list(PUBLISHED[self.dataset]) + sorted(set(self.listed) - set(PUBLISHED[self.dataset]))
        rows = []
        for split in splits:
            kinds = Counter(found.kind for found in self.findings if found.split == split)
            rows.append(
                (
                    split,
                    PUBLISHED[self.dataset].get(split, "-"),
                    str(self.listed[split]),
                    str(self.there[split]),
                    ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "-",
                )
            )
        other = Counter(found.kind for found in self.findings if found.split not in splits)
        if other:
            told = ", ".join(f"{count} {kind}" for kind, count in sorted(other.items()))
            rows.append(("-", "-", "-", "-", told))
        return rows

    @property
    def problems(self) -> int:
        """Findings that a whole copy would not have."""
        return sum(found.kind not in EXPECTED for found in self.findings)

    def write_csv(self, file: Path) -> None:
        """Every finding, one line each."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["kind", "split", "key", "file", "line", "detail"])
        for found in self.findings:
            line = "" if found.line is None else found.line
            writer.writerow([found.kind, found.split, found.key, found.file, line, found.detail])
        file.write_text(out.getvalue(), encoding="utf-8", errors="backslashreplace")


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


def _pairs(ledger: Ledger, split: str, prefix: str, folder: Path, files: dict[str, int]) -> list[str]:
    """Count the clips of a folder that no list describes; returns the stems that have both files."""
    clips = {name[:-4] for name in files if name.endswith(".mp4")}
    texts = {name[:-4] for name in files if name.endswith(".txt")}
    for stem in sorted(clips | texts):
        key = f"{prefix}{stem}"
        if not SAFE.fullmatch(stem):
            ledger.add("odd-name", split, key, folder / stem, None, "not a name of this data set; left out")
            continue
        ledger.listed[split] += 1
        _one(ledger, split, key, folder, stem, files)
    return sorted(clips & texts)


def _one(ledger: Ledger, split: str, key: str, folder: Path, stem: str, files: dict[str, int]) -> None:
    video, text = f"{stem}.mp4", f"{stem}.txt"
    if video not in files:
        ledger.add("missing-file", split, key, folder / video)
    elif files[video] == 0:
        ledger.add("empty-file", split, key, folder / video)
    else:
        ledger.there[split] += 1
    if text not in files:
        ledger.add("missing-text", split, key, folder / text)


def _text(ledger: Ledger, split: str, key: str, file: Path) -> str | None:
    try:
        return text_of(file)
    except (OSError, ValueError) as error:
        ledger.add("bad-text", split, key, file, None, f"{type(error).__name__}: {error}")
        return None


def _transcript(ledger: Ledger, split: str, key: str, file: Path) -> None:
    text = _text(ledger, split, key, file)
    for line, what in _problems(text):
        ledger.add("bad-text", split, key, file, line, what)


def _problems(text: str | None) -> Iterator[tuple[int, str]]:
    if text is not None:
        problems: Sequence[tuple[int, str]] = lrs.parse(text).problems
        yield from problems
