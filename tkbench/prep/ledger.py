"""What is there of a data set and what is not: counts per split beside the published ones, and every finding.

`tkbench data check` prints it. A tree with holes is still a tree: findings are told, not raised. Only a folder that is
not the data set at all, or holds none of its clips, is refused.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.readers import lrs, lrs2, lrs3, lrw
from tkbench.prep.readers.tree import SAFE, lines_of, listing, text_of
from tkbench.progress import Progress, silent
from tkbench.registry import suggest

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


def check(
    dataset: str,
    root: str | Path,
    *,
    annotations: str | None = None,
    fast: bool = False,
    progress: Progress = silent,
) -> Ledger:
    """The ledger of a tree. fast: names and sizes alone; no .txt and no video is opened.

    Raises UsageError for a folder that is not such a tree or has none of its clips, UnknownName never.
    """
    from tkbench.prep.ledger_hdtf import check_hdtf

    place = Path(root).absolute()
    makers: dict[str, Callable[[Ledger, Path, bool, Progress], None]] = {
        "lrw": check_lrw,
        "lrs2": check_lrs2,
        "lrs3": check_lrs3,
        "hdtf": lambda ledger, path, quick, show: check_hdtf(ledger, path, annotations, quick, show),
    }
    if dataset not in makers:
        raise UsageError(f"no check of {dataset!r}: {suggest(dataset, list(makers))}")
    if not place.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds {dataset}")
    ledger = Ledger(dataset, str(place))
    makers[dataset](ledger, place, fast, progress)
    if not sum(ledger.there.values()):
        total = sum(ledger.listed.values())
        raise UsageError(f"{root}: none of the {total} clips that it should hold is there")
    return ledger


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


# -- LRW -----------------------------------------------------------------------------------------------------


def check_lrw(ledger: Ledger, root: Path, fast: bool, progress: Progress) -> None:
    """Every word and split; the clip's number has no list to be held against."""
    base = lrw.find_base(root)
    words = listing(base)[0]
    for index, word in enumerate(words):
        for split in lrw.SPLITS:
            folder = base / word / split
            files = sizes(folder)
            if not files:
                ledger.add("missing-folder", split, word, folder, None, "no folder, or nothing in it")
            stems = _pairs(ledger, split, f"{word}/{split}/", folder, files)
            for stem in () if fast else stems:
                text = _text(ledger, split, f"{word}/{split}/{stem}", folder / f"{stem}.txt")
                if text is not None and lrw.parse_duration(text) is None:
                    why = "no usable line Duration: the word has no interval"
                    ledger.add("bad-text", split, f"{word}/{split}/{stem}", folder / f"{stem}.txt", None, why)
        progress(index + 1, len(words), "words")
    if len(words) != 500:
        ledger.notes.append(f"{len(words)} words; LRW has 500")


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


# -- LRS2 and LRS3 -------------------------------------------------------------------------------------------


def check_lrs2(ledger: Ledger, root: Path, fast: bool, progress: Progress) -> None:
    """Each list against its folder, then each folder against its lists."""
    base = lrs2.find_base(root)
    seen: dict[str, dict[str, set[str]]] = {"main": {}, "pretrain": {}}
    files: dict[tuple[str, str], dict[str, int]] = {}
    lists = {split: lrs2.list_file(base, split) for split in lrs2.SPLITS}
    if not any(lists.values()):
        raise UsageError(
            f"{base}: no train.txt, val.txt, test.txt or pretrain.txt; they are separate downloads of LRS2"
        )
    for done, (split, file) in enumerate(lists.items()):
        inner = lrs2.folder_of(split)
        if file is None:
            ledger.add(
                "missing-list", split, "", base / f"{split}.txt", None, "the split has no clips without it"
            )
            continue
        if not (base / inner).is_dir():
            ledger.add("missing-folder", split, "", base / inner, None, "the split is not in this copy")
        entries, bad = lrs2.parse_list(lines_of(file))
        for line, what in bad:
            ledger.add("bad-line", split, "", file, line, what)
        for entry in entries:
            key = f"{entry.source}/{entry.number}"
            numbers = seen[inner].setdefault(entry.source, set())
            if entry.number in numbers:
                ledger.add("listed-twice", split, key, file, entry.line, "the first place counts")
                continue
            numbers.add(entry.number)
            ledger.listed[split] += 1
            folder = base / inner / entry.source
            if (inner, entry.source) not in files:
                files[inner, entry.source] = sizes(folder)
            _one(ledger, split, key, folder, entry.number, files[inner, entry.source])
            if not fast and f"{entry.number}.txt" in files[inner, entry.source]:
                _transcript(ledger, split, key, folder / f"{entry.number}.txt")
        progress(done + 1, len(lists), f"{split}.txt")
    for inner, sources in seen.items():
        if not sources and not (base / inner).is_dir():
            continue
        for source in listing(base / inner)[0]:
            there = files.get((inner, source)) or sizes(base / inner / source)
            for name in there:
                if name.endswith(".mp4") and name[:-4] not in sources.get(source, set()):
                    file = base / inner / source / name
                    ledger.add(
                        "not-listed", "-", f"{source}/{name[:-4]}", file, None, f"in {inner}/, in no list"
                    )


def check_lrs3(ledger: Ledger, root: Path, fast: bool, progress: Progress) -> None:
    """Every folder of each split."""
    base = lrs3.find_base(root)
    for done, split in enumerate(lrs3.SPLITS):
        if not (base / split).is_dir():
            ledger.add("missing-folder", split, "", base / split, None, "the split is not in this copy")
        for source in listing(base / split)[0]:
            folder = base / split / source
            prefix = f"{split}/{source}/"
            for stem in _pairs(ledger, split, prefix, folder, sizes(folder)):
                if not fast:
                    _transcript(ledger, split, f"{prefix}{stem}", folder / f"{stem}.txt")
        progress(done + 1, len(lrs3.SPLITS), split)


def _transcript(ledger: Ledger, split: str, key: str, file: Path) -> None:
    text = _text(ledger, split, key, file)
    for line, what in _problems(text):
        ledger.add("bad-text", split, key, file, line, what)


def _problems(text: str | None) -> Iterator[tuple[int, str]]:
    if text is not None:
        problems: Sequence[tuple[int, str]] = lrs.parse(text).problems
        yield from problems
