"""Numbers that papers print: `leaderboards/claimed.csv`. They are shown beside measured ones and never ranked.

A printed number says little of how it was made: which SyncNet code, which crops, which clips. The true videos of one
data set show it, for their LSE-C is 7.73 in one paper and 8.66 in the next. So each number stands with its place (table
and paper, or the text that quotes it) and with what the paper says of its protocol. Beside it stands what tkbench
measures of the true videos.

Columns: paper, arxiv, year, model, dataset, split, setting, metric, value, better, protocol_stated, place, seen, mark,
note. `mark` is `read` where the number was read in the paper or file itself, `quoted` where another text quotes it.
Numbers of papers whose arXiv id nobody has checked are not in the file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.registry import suggest
from tkbench.results.bundle import Bundle, Summary
from tkbench.results.delta import TRUE
from tkbench.types import Column

FILE = "claimed.csv"
TIER = "claimed"
LARGEST = 16 << 20
MARKS = ("read", "quoted")
NAMES = {
    "lse_c": ("LSE-C", "Sync-C", "Sync_conf", "Sync-Conf."),
    "lse_d": ("LSE-D", "Sync-D", "Sync-Dist."),
    "fid": ("FID",),
    "fvd": ("FVD",),
    "efid": ("E-FID",),
    "ssim": ("SSIM",),
    "psnr": ("PSNR",),
    "lpips": ("LPIPS",),
    "csim": ("CSIM", "ID"),
    "lmd": ("LMD",),
    "lmd_mouth": ("M-LMD",),
    "lmd_face": ("F-LMD",),
}
"""Beginning of a column's name -> what papers call the number. That does not make two of them one quantity."""
TRUTH = "ground truth"


@dataclass(frozen=True, slots=True)
class Claim:
    """One printed number."""

    paper: str
    arxiv: str
    year: str
    model: str
    dataset: str
    split: str
    setting: str
    metric: str
    value: float
    better: str
    protocol_stated: str
    place: str
    seen: str
    mark: str
    note: str

    @property
    def of_truth(self) -> bool:
        """Whether it is a score of the true videos."""
        return self.model.casefold().startswith(TRUTH)

    @property
    def source(self) -> str:
        """Paper, arXiv id where there is one, and place."""
        number = f", arXiv {self.arxiv}" if self.arxiv else ""
        return f"{self.paper}{number}, {self.place or self.seen}"


HEAD = tuple(item.name for item in fields(Claim))


def read(path: Path) -> list[Claim]:
    """The numbers of a file, in its order. Raises BadInput naming the first line that is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path}: {path.stat().st_size} bytes, at most {LARGEST} are read")
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: no CSV file that can be read ({error})") from error
    if not lines or tuple(lines[0]) != HEAD:
        raise BadInput(f"{path}: its columns are not {', '.join(HEAD)}")
    return [_claim(path, number, line) for number, line in enumerate(lines[1:], 2)]


def _claim(path: Path, number: int, line: Sequence[str]) -> Claim:
    if len(line) != len(HEAD):
        raise BadInput(f"{path} line {number}: {len(line)} cells, expected {len(HEAD)}")
    record = dict(zip(HEAD, line, strict=True))
    try:
        value = float(record["value"])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{path} line {number}: the value {record['value']!r:.40} is no number")
    for name in ("paper", "model", "dataset", "metric", "seen", "protocol_stated"):
        if not record[name].strip():
            raise BadInput(f"{path} line {number}: {name} is empty; a number without it cannot be checked")
    if record["mark"] not in MARKS or record["better"] not in ("higher", "lower"):
        raise BadInput(f"{path} line {number}: mark is read or quoted, better is higher or lower")
    return Claim(**{**record, "value": value})  # type: ignore[arg-type]


def chosen(claims: Sequence[Claim], dataset: str, metric: str | None) -> list[Claim]:
    """The numbers of one data set, and of one metric by any of its names: true videos first, then paper by paper.

    Raises UnknownName for a data set or metric that no number is of.
    """
    mine = [claim for claim in claims if _plain(claim.dataset) == _plain(dataset)]
    if not mine:
        known = sorted({claim.dataset for claim in claims})
        raise UnknownName(f"no printed number is of the data set {dataset!r}: {suggest(dataset, known)}")
    if metric is not None:
        names = names_of(metric)
        known = sorted({claim.metric for claim in mine})
        mine = [claim for claim in mine if claim.metric in names]
        if not mine:
            raise UnknownName(f"no printed number of {dataset} is a {metric!r}: {suggest(metric, known)}")
    return sorted(
        mine,
        key=lambda claim: (
            _quantity(claim.metric),
            not claim.of_truth,
            claim.source,
            claim.model,
        ),
    )


def names_of(metric: str) -> tuple[str, ...]:
    """What papers call a metric: by one of these names, or by that of a column.

    >>> names_of("Sync-C")[:2], names_of("lse_c_synth")[:1], names_of("CMMD")
    (('LSE-C', 'Sync-C'), ('LSE-C',), ('CMMD',))
    """
    for names in NAMES.values():
        if metric.casefold() in {name.casefold() for name in names}:
            return names
    return NAMES.get(_quantity(metric), (metric,))


def _quantity(metric: str) -> str:
    """The beginning of our column's name for what a paper calls a metric, or that itself."""
    for begin, names in NAMES.items():
        if metric in names:
            return begin
    fitting = [begin for begin in NAMES if metric == begin or metric.startswith(f"{begin}_")]
    return max(fitting, key=len, default=metric)


def _plain(name: str) -> str:
    return name.casefold().removesuffix("-fake")


def measured(bundles: Sequence[Bundle], metric: str, dataset: str) -> list[tuple[Bundle, Column, Summary]]:
    """The cells of the true video that have a score of what a paper calls `metric`, on one data set."""
    begin = _quantity(metric)
    return [
        (bundle, column, cell)
        for bundle in bundles
        if bundle.result.model == TRUE and _plain(bundle.result.dataset) == _plain(dataset)
        for column in bundle.result.columns
        if _quantity(column.name) == begin and (cell := bundle.result.summary[column.name]).n
    ]


def find(boards: Path) -> Path:
    """The file of printed numbers in a folder of tables. Raises UsageError where there is none."""
    path = boards / FILE
    if not path.is_file():
        raise UsageError(
            f"{path}: not there; give --leaderboards with the folder leaderboards/ of tkbench's repository, or a file "
            f"of your own with the columns {', '.join(HEAD)}"
        )
    return path
