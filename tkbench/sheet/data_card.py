"""The data card of a folder of shards: what a paper has to say of its data, from what the shards hold.

Counts, hours and speakers, splits with the hashes that others can compare, distributions, what was left out and why,
what splits share, how it was prepared, and the licence as the owners of the data set state it. A card is a folder:

    card.html      one file, nothing from elsewhere
    card.md        the same as Markdown, with its plots beside it
    plots/*.svg

Distributions are those of `results.strata.SCALES`, measured on clips that are drawn evenly over splits and speakers;
duration is that of all clips. The same shards give the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from markupsafe import Markup

from tkbench import shards
from tkbench.data.leaks import KINDS, Found, find_leaks
from tkbench.dataset import FAKE_SUFFIX, DataSet
from tkbench.errors import BadSample
from tkbench.prep import datasets
from tkbench.prep.datasets.splits import list_hash
from tkbench.report.page import asset, templates
from tkbench.results.strata import SCALES
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import write_file
from tkbench.runtime.timing import duration
from tkbench.scoring.strata import labels_of, measure
from tkbench.shards import Shards
from tkbench.sheet import choose, drawing
from tkbench.sheet.choose import PreparedRow, Rows, SkippedRow
from tkbench.sheet.page import Head, Skip, SplitRow, head_of, skips_of, split_rows
from tkbench.types import FPS
from tkbench.version import __version__

COLUMNS = (
    *("key", "clip", "status", "split", "speaker", "text", "reason", "detail", "n_frames", "width", "height"),
    *("n_faces", "filled_frames", "fixes"),
)
"""What a card needs of the manifest."""
MOST_VALUES = 20
"""Values of a label that a card lists."""
PLOT_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#555}rect{fill:#0b6e99}line{stroke:#ccc}path{stroke:#222;"
    "stroke-width:1.5;fill:none}"
)
_BARE = re.compile(r"[^A-Za-z0-9 .,;:()/'+%-]")


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """A split, and what another copy of it can be compared by."""

    row: SplitRow
    keys: str
    """sha256 of the sorted keys of its prepared clips, as `tkbench data splits` makes it."""
    data: str
    """sha256 over its shards, "" for a split of which nothing was prepared."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the data set: how many clips have each value."""

    name: str
    values: tuple[tuple[str, int, float], ...]
    """(value, clips, share of all clips), most frequent first."""
    rest: int
    """Values that are not listed."""
    without: int
    """Clips that have none."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """How clips are shared out among speakers."""

    known: int
    fewest: int
    median: float
    most: int
    share: float
    """Of the clips, that the speaker with most of them has."""
    unknown: int
    """Clips without a speaker."""

    @property
    def spread(self) -> str:
        """How many samples they have, in words."""
        if self.fewest == self.most:
            return f"{self.most} sample{'' if self.most == 1 else 's'} each"
        return f"{self.fewest} to {self.most} samples each, median {self.median:g}"


@dataclass(frozen=True, slots=True)
class Shared:
    """What splits share."""

    rows: tuple[tuple[str, str, str, int, str], ...]
    """(kind, split, and split, how often, what that is)."""
    compared: str
    """What was looked at."""


@dataclass(frozen=True, slots=True)
class DataCard:
    """Everything on a card."""

    dataset: str
    title: str
    fake: bool
    record: DataSet
    head: Head
    splits: tuple[SplitFacts, ...]
    speakers: Speakers
    histograms: tuple[drawing.Histogram, ...]
    measured: int
    labels: tuple[Label, ...]
    skipped: tuple[Skip, ...]
    shared: Shared
    signature: tuple[str, ...]
    data_hash: str
    version: str = __version__


def write(
    path: str | Path,
    out: Path,
    *,
    measured: int = 400,
    copies: bool = False,
    workers: int = 1,
    progress: Progress = silent,
) -> list[Path]:
    """Write the card of the shards at `path` into the folder `out`; returns its files, card.html first.

    measured: clips that are read for the distributions. copies: also compare sounds and faces across splits, which
    reads every clip; otherwise speakers and sources alone. Raises BadShards.
    """
    card = gather(path, measured=measured, copies=copies, workers=workers, progress=progress)
    (out / "plots").mkdir(parents=True, exist_ok=True)
    files = {"card.html": to_html(card), "card.md": to_markdown(card)}
    files |= {f"plots/{plot_name(h)}": plot(h) for h in card.histograms}
    for name, text in files.items():
        write_file(out / name, text.encode())
    return [out / name for name in files]


def gather(
    path: str | Path,
    *,
    measured: int = 400,
    copies: bool = False,
    workers: int = 1,
    progress: Progress = silent,
) -> DataCard:
    """Everything on the card."""
    source = shards.open_shards(path)
    table = source.manifest(COLUMNS).sort_values(["clip", "key"]).astype(object)
    records = table.where(table.notna(), None).to_dict("records")
    rows = {row["key"]: cast(PreparedRow, row) for row in records if row["status"] == "ok"}
    left_out = [cast(SkippedRow, row) for row in records if row["status"] != "ok"]
    skipped = skips_of(left_out, {row["clip"] for row in rows.values()})
    numbers = _measured(source, rows, measured, progress)
    record = datasets.known(source.dataset)
    fake = source.dataset.endswith(FAKE_SUFFIX)
    return DataCard(
        dataset=source.dataset,
        title=f"a synthetic tree in the layout of {record.title}" if fake else record.title,
        fake=fake,
        record=replace(record, terms=None) if fake else record,
        head=head_of({row["clip"] for row in records}, rows, skipped),
        splits=tuple(_splits(source, rows, left_out)),
        speakers=_speakers(rows),
        histograms=tuple(_histograms(rows, numbers)),
        measured=len(numbers),
        labels=tuple(_labels(source, len(rows))),
        skipped=tuple(skipped),
        shared=_shared(source, copies=copies, workers=workers, progress=progress),
        signature=tuple(source.signature.split("|")),
        data_hash=source.data_hash,
    )


def _measured(source: Shards, rows: Rows, count: int, progress: Progress) -> list[dict[str, float]]:
    keys = choose.spread(rows, count)
    found = []
    for done, key in enumerate(keys):
        progress(done, len(keys), key)
        try:
            found.append(measure(source.get(key)))
        except BadSample:
            continue  # `tkbench data verify` names it; a card is of what can be read
    progress(len(keys), len(keys), "measured")
    return found


def _histograms(rows: Rows, numbers: Sequence[Mapping[str, float]]) -> list[drawing.Histogram]:
    made = []
    for scale in SCALES.values():
        values = [float(found[scale.name]) for found in numbers]
        part = f" {len(values):,} of {len(rows):,} clips, drawn evenly." if len(values) < len(rows) else ""
        if scale.name == "duration":
            values, part = [int(row["n_frames"]) / FPS for row in rows.values()], ""
        made.append(
            drawing.histogram(
                scale.title.capitalize(),
                values,
                scale.unit,
                note=f"{scale.text[0].upper()}{scale.text[1:]}.{part}",
                digits=scale.digits,
                signed=scale.name == "loudness",
            )
        )
    return made


def _splits(source: Shards, rows: Rows, left_out: list[SkippedRow]) -> list[SplitFacts]:
    found = []
    for row in split_rows(list(rows.values()), left_out):
        keys = [key for key, item in rows.items() if str(item["split"] or "") == row.name]
        there = row.name in source.splits
        data = shards.open_shards(source.folder, split=row.name).data_hash if there else ""
        found.append(SplitFacts(row, list_hash(keys), data))
    return found


def _speakers(rows: Rows) -> Speakers:
    counts = Counter(row["speaker"] for row in rows.values() if row["speaker"])
    sizes = sorted(counts.values())
    if not sizes:
        return Speakers(0, 0, 0.0, 0, 0.0, len(rows))
    middle = (sizes[(len(sizes) - 1) // 2] + sizes[len(sizes) // 2]) / 2
    return Speakers(len(sizes), sizes[0], middle, sizes[-1], sizes[-1] / len(rows), len(rows) - sum(sizes))


def _labels(source: Shards, clips: int) -> list[Label]:
    """Labels that group clips; one that (nearly) each clip has a value of its own of is a name, and left out."""
    found = []
    for name, texts in sorted(labels_of(source).items()):
        counts = Counter(texts.values())
        if not counts or (len(counts) > MOST_VALUES and len(counts) > len(texts) / 2):
            continue
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        values = tuple((value, count, count / clips) for value, count in ordered[:MOST_VALUES])
        found.append(Label(name.replace("_", " "), values, len(ordered) - len(values), clips - len(texts)))
    return found


def _shared(source: Shards, *, copies: bool, workers: int, progress: Progress) -> Shared:
    if len(source.splits) < 2:
        return Shared((), "There is one split.")
    found: Found = find_leaks([source.folder], names_only=not copies, workers=workers, progress=progress)
    rows = tuple((*row, KINDS[row[0]]) for row in found.table())
    what = "Speakers, recordings, sounds and movements of faces" if copies else "Speakers and recordings"
    unnamed = f" {found.unnamed:,} clips have no speaker." if found.unnamed else ""
    more = "" if copies else " Copies under other names were not looked for: --copies does."
    return Shared(rows, f"{what} were compared across splits.{more}{unnamed}")


# -- as files ------------------------------------------------------------------------------------------------


def to_html(card: DataCard) -> str:
    """The card as one page."""
    style = Markup(asset("report.css") + asset("sheet.css"))
    return templates().get_template("data_card.html.j2").render(card=card, style=style, length=duration)


def to_markdown(card: DataCard) -> str:
    """The card as Markdown; its plots are files beside it."""
    environment = templates().overlay(autoescape=False)
    environment.filters["cell"] = markdown_cell
    plots = [(histogram, f"plots/{plot_name(histogram)}") for histogram in card.histograms]
    return environment.get_template("data_card.md.j2").render(card=card, plots=plots)


def plot(histogram: drawing.Histogram) -> str:
    """A histogram as an SVG file of its own."""
    module = templates().get_template("histogram.html.j2").module
    drawn = cast(Markup, module.histogram(histogram, Markup(PLOT_STYLE)))  # type: ignore[attr-defined]
    return str(drawn).strip() + "\n"


def plot_name(histogram: drawing.Histogram) -> str:
    """The file of a histogram."""
    return histogram.title.lower().replace(" ", "-") + ".svg"


def markdown_cell(value: object) -> str:
    r"""A text from a data set in a cell of a Markdown table: no border, tag, link or line of its own.

    >>> markdown_cell("a|b <img> [x](y)")
    'a\\|b \\<img\\> \\[x\\](y)'
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return _BARE.sub(lambda found: found[0] if ord(found[0]) > 127 else "\\" + found[0], text)
