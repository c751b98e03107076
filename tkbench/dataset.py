"""What tkbench knows of a data set, in one record: commands, lists, help texts and defaults follow from it.

A data set is a folder in `tkbench/prep/datasets/` (or a module of an installed package) that holds a `DataSet`, and one
line that registers it: there in `prep/datasets/__init__.py`, elsewhere an entry point of the group `tkbench.datasets`.
Its functions are given as `registry.lazy("module:function")`, so that help texts load nothing.

    read      root -> Clip | Skipped, sorted, from names and lists alone: half a million clips are planned in seconds
    annotate  a clip -> the clip with what the text file beside it says, and notes on what was wrong there
    check     fills a `Ledger`: what is there, missing or damaged; opens headers at most
    fake      writes a synthetic tree in the data set's exact layout
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tkbench.errors import UsageError
from tkbench.registry import suggest
from tkbench.runtime.progress import Progress, silent
from tkbench.types import Clip, Skipped

PROTOCOL = "tkbench-v3"
"""What scores are made by, unless a data set names another protocol."""
FAKE_SUFFIX = "-fake"
"""Ends the name of a data set that was read from a tree of `tkbench data fake`."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Reader = Callable[..., Iterable[Clip | Skipped]]
"""`read(root, **options)`: `root` is a folder; options are those of the record, and only those that were given."""
Annotator = Callable[[Clip], tuple[Clip, list[str]]]


@dataclass(frozen=True, slots=True)
class Option:
    """What reader and check take besides the root: `--NAME VALUE` on the command line."""

    name: str
    help: str


@dataclass(frozen=True, slots=True)
class Check:
    """How a tree is checked."""

    fast: bool = False
    """Names and sizes alone: no text file and no video is opened."""
    progress: Progress = silent
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fake:
    """How a synthetic tree is made: `make(root, clips, seed, progress)` fills the empty folder `root`."""

    make: Callable[[Path, int, int, Progress], None]
    usual: int
    """Clips where nobody says how many."""
    least: int = 1
    """Clips that everything odd in the data set takes."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Everything tkbench knows of one data set."""

    name: str
    """On the command line, in indexes and tables: lower case."""
    title: str
    """With its paper: "LRS2 (Afouras et al., TPAMI 2018)"."""
    layout: str
    """What lies where below ROOT, in one sentence."""
    example: str
    """A command line that runs."""
    read: Reader
    annotate: Annotator | None = None
    check: Callable[[Ledger, Path, Check], None] | None = None
    fake: Fake | None = None
    notes: str = ""
    """What a user of `tkbench prep NAME` should know besides: the canvas, the splits."""
    options: tuple[Option, ...] = ()
    splits: tuple[str, ...] = ()
    """Names of its splits; none for data without splits, which `--split` and `tkbench data splits` then refuse."""
    split_note: Callable[[str, str], str] | None = None
    """(split, sha256 of its list) -> a remark, for a split that somebody published as a list."""
    published: Mapping[str, str] = field(default_factory=dict)
    """Clips per split (or what `counted_by` says), each with its source in brackets: lists that others published, the
    paper, or memory, which no file here confirms."""
    counted_by: str = "split"
    """What its makers count clips by, if not by split: the check's table has a row for each."""
    usual_findings: frozenset[str] = frozenset()
    """Kinds of findings that a whole copy has as well."""
    released: bool = False
    """The clips were cut to a face by the data set's makers: the canvas is the whole released picture, and short clips
    count, because published tables are over all of them."""
    protocol: str = PROTOCOL
    """What its scores are made by where nobody says."""
    clustered_by: str = "speakers"
    """What intervals are computed over: clips of one speaker (or source) resemble each other, so intervals and
    tests take all of them together."""
    prep_command: Literal["own", "folder"] = "own"
    """"own": `tkbench prep NAME` prepares it. "folder": `tkbench prep folder` does, where `recognises` says that the
    folder is one."""
    recognises: Callable[[Path], bool] | None = None

    def __post_init__(self) -> None:
        """Names become commands, options and names of files."""
        if not _NAME.fullmatch(self.name) or self.name.endswith(FAKE_SUFFIX):
            raise UsageError(
                f"data set {self.name!r}: a name has lower case letters, digits and - only, and does not end in "
                f"{FAKE_SUFFIX}, which marks synthetic trees"
            )
        for option in self.options:
            if not option.name.isidentifier():
                raise UsageError(
                    f"data set {self.name!r}: option {option.name!r} has letters and digits only"
                )

    def refuse_unknown(self, options: Mapping[str, str]) -> None:
        """Raises UsageError for an option that this data set has not."""
        known = [option.name for option in self.options]
        for name in options:
            if name not in known:
                raise UsageError(f"{self.name} has no option --{name}: {suggest(name, known)}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found."""

    kind: str
    """missing-file, empty-file, missing-text, bad-text, not-listed, bad-line, listed-twice, missing-list,
    missing-folder, odd-name, and what a data set adds; HDTF: missing-video, available, unreadable, no-sound, too-short,
    no-crop, no-interval, crop-unusable, other-resolution, not-annotated."""
    split: str
    key: str
    file: str
    line: int | None = None
    detail: str = ""


@dataclass(slots=True)
class Ledger:
    """Everything that a check found."""

    dataset: DataSet
    root: str
    listed: Counter[str] = field(default_factory=Counter)
    """Split -> clips that the data set's own lists or annotations name, or whose text file is there."""
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
        published = self.dataset.published
        splits = list(published) + sorted(set(self.listed) - set(published))
        rows = []
        for split in splits:
            kinds = Counter(found.kind for found in self.findings if found.split == split)
            counts = (published.get(split, "-"), str(self.listed[split]), str(self.there[split]))
            rows.append((split, *counts, _counted(kinds) or "-"))
        other = Counter(found.kind for found in self.findings if found.split not in splits)
        if other:
            rows.append(("-", "-", "-", "-", _counted(other)))
        return rows

    @property
    def problems(self) -> int:
        """Findings that a whole copy would not have."""
        return sum(found.kind not in self.dataset.usual_findings for found in self.findings)

    def write_csv(self, file: Path) -> None:
        """Every finding, one line each."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["kind", "split", "key", "file", "line", "detail"])
        for found in self.findings:
            line = "" if found.line is None else found.line
            writer.writerow([found.kind, found.split, found.key, found.file, line, found.detail])
        file.write_text(out.getvalue(), encoding="utf-8", errors="backslashreplace")


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
