"""From shards to one HTML file: this module gathers what the page shows, tkbench/templates lays it out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from markupsafe import Markup

from tkbench import shards
from tkbench.report.page import asset, templates
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import write_file
from tkbench.runtime.timing import duration
from tkbench.shards import STATS, Shards
from tkbench.sheet import card, choose, drawing, reasons
from tkbench.sheet.choose import PreparedRow, Rows, SkippedRow
from tkbench.sheet.lag import Lag, lags
from tkbench.sheet.measure import Measure, measure
from tkbench.types import FPS, SAMPLE_RATE
from tkbench.version import __version__

DETAILS = 200
"""Skipped clips whose details are on the page; the manifest has all."""
COLUMNS = (
    *(
        "key",
        "clip",
        "path",
        "status",
        "split",
        "speaker",
        "text",
        "reason",
        "detail",
        "n_frames",
        "width",
        "height",
    ),
    *("n_faces", "filled_frames", "sound_off", "fixes", "source_start_offset"),
)
"""What the page needs of the manifest."""
STAGES = {
    "probe": "headers and hashes",
    "look": "the first look at the faces",
    "fetch": "bringing remote files here",
    "decode": "decoding, scaling and writing the canvas",
    "track": "following the face",
    "write": "landmarks, receipts and sound",
    "commit": "pushing the shard to the disk",
}


@dataclass(frozen=True, slots=True)
class Skip:
    """A reason, how many clips it left out, and some of them."""

    reason: str
    about: str
    means: str
    todo: str
    count: int
    share: float
    """Of the most frequent reason."""
    clips: tuple[tuple[str, str], ...]
    """(clip, detail)."""


def write(
    path: str | Path,
    out: Path,
    *,
    split: str | None = None,
    limit: int = 48,
    measured: int = 400,
    judge: str | None = None,
    progress: Progress = silent,
) -> Path:
    """Write the sheet of the shards at `path` to the file `out`, in one step, and return it.

    split: only this one. limit: clips that are shown. measured: clips whose landmarks are read for the
    histograms of face size and yaw; those of length and sound are of all clips. judge: a SyncNet that tells
    the lag of the lips in the clips that are shown; it takes about as long as scoring them. Raises BadShards,
    and WeightsMissing or UnknownName for a judge that is not there.
    """
    source = shards.open_shards(path, split=split)
    text = render(source, limit=limit, measured=measured, judge=judge, progress=progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, text.encode())
    return out


def render(
    source: Shards,
    *,
    limit: int = 48,
    measured: int = 400,
    judge: str | None = None,
    progress: Progress = silent,
) -> str:
    """The page as text."""
    table = source.manifest(COLUMNS).sort_values(["clip", "key"]).astype(object)
    records = table.where(table.notna(), None).to_dict("records")
    rows = {row["key"]: cast(PreparedRow, row) for row in records if row["status"] == "ok"}
    left_out = [cast(SkippedRow, row) for row in records if row["status"] != "ok"]
    keys = choose.spread(rows, max(measured, limit))
    total = len(keys) + min(limit, len(rows))
    measures: dict[str, Measure] = {}
    for done, key in enumerate(keys):
        progress(done, total, key)
        measures[key] = measure(source.get_arrays(key)["landmarks"])
    first = choose.worst(rows, measures, limit // 3)
    rest = [key for key in keys if key not in first][: max(0, limit - len(first))]
    shown = [*first, *sorted(rest, key=lambda k: (str(rows[k]["split"]), k))]
    heard: dict[str, Lag] = lags(source, shown, judge, progress) if judge else {}
    cards = []
    for done, key in enumerate(shown):
        progress(len(keys) + done, total, key)
        if key not in measures:  # many frames filled, say: found in the manifest alone
            measures[key] = measure(source.get_arrays(key)["landmarks"])
        cards.append(card.make(source, key, rows[key], measures[key], first.get(key, ()), heard.get(key)))
    progress(total, total, "drawn")
    stats = _stats(source)
    skipped = skips_of(left_out, {row["clip"] for row in rows.values()})
    page = templates().get_template("sheet.html.j2")
    return page.render(
        version=__version__,
        dataset=source.dataset,
        split=source.split,
        head=head_of({row["clip"] for row in records}, rows, skipped),
        histograms=_histograms(rows, measures, keys, heard, judge),
        skipped=skipped,
        n_details=DETAILS,
        first=cards[: len(first)],
        cards=cards[len(first) :],
        n_samples=len(rows),
        splits=split_rows(list(rows.values()), left_out),
        stats=stats,
        stages=_stages(stats),
        signature=source.signature.split("|"),
        data_hash=source.data_hash,
        pictures=card.PICTURES,
        side=card.SIDE,
        wave=card.WAVE,
        style=Markup(asset("report.css") + asset("sheet.css")),
    )


@dataclass(frozen=True, slots=True)
class Head:
    """The counts at the top of the page."""

    clips: int
    """Clips that the reader found; a prepared one may have become several samples."""
    ok: int
    samples: int
    split_clips: int
    frames: int
    length: str
    speakers: int
    named: int
    """Samples whose speaker is known."""
    lost: int
    fixed: int


def head_of(clips: set[str], rows: Rows, skipped: list[Skip]) -> Head:
    """The counts; clips: all that the reader found."""
    frames = sum(int(row["n_frames"]) for row in rows.values())
    samples_of = Counter(row["clip"] for row in rows.values())
    return Head(
        clips=len(clips),
        ok=len(samples_of),
        samples=len(rows),
        split_clips=sum(count > 1 for count in samples_of.values()),
        frames=frames,
        length=duration(frames / FPS),
        speakers=len({row["speaker"] for row in rows.values() if row["speaker"]}),
        named=sum(bool(row["speaker"]) for row in rows.values()),
        lost=sum(skip.count for skip in skipped),
        fixed=sum(bool(row["fixes"]) for row in rows.values()),
    )


def _histograms(
    rows: Rows,
    measures: Mapping[str, Measure],
    keys: list[str],
    heard: Mapping[str, Lag],
    judge: str | None,
) -> list[drawing.Histogram]:
    part = "" if len(keys) == len(rows) else f" {len(keys):,} of {len(rows):,} clips, drawn evenly."
    offsets = [
        float(row["source_start_offset"]) * 1000
        for row in rows.values()
        if row["source_start_offset"] is not None
    ]
    lengths = {
        row["clip"]: float(samples) / SAMPLE_RATE * 1000
        for row in rows.values()
        if (samples := row.get("sound_off")) is not None
    }
    out = [
        drawing.histogram(
            "Face height",
            [measures[key].height for key in keys],
            "px",
            note=f"Box of the landmarks on the canvas, median of each clip.{part}",
        ),
        drawing.histogram(
            "Yaw of the face",
            [measures[key].yaw for key in keys],
            "°",
            signed=True,
            note="Estimated from the eyes' outer corners and the tip of the nose; positive: towards the right of "
            f"the picture. Median of each clip.{part}",
        ),
        drawing.histogram(
            "Length",
            [int(row["n_frames"]) / FPS for row in rows.values()],
            "s",
            note="Of each sample.",
            digits=1,
        ),
        drawing.histogram(
            "Start of the sound",
            offsets,
            "ms",
            signed=True,
            note="After the first picture, by the file's time stamps; it is kept. A lag that was already in the "
            "recording does not show here.",
        ),
        drawing.histogram(
            "Length of the sound",
            list(lengths.values()),
            "ms",
            signed=True,
            note="Beyond 640 samples per frame, as decoded, of each clip; its end was then cut or padded to fit.",
        ),
    ]
    if judge:
        out.append(
            drawing.histogram(
                "Lag of the lips",
                [lag.frames for lag in heard.values()],
                "frames",
                signed=True,
                note=f"AVOffset by {judge} of the {len(heard):,} clips that are shown; positive: the picture is late. "
                "It is evidence, not truth: where no lag fits, the judge's answer means nothing.",
            )
        )
    return out


def skips_of(rows: list[SkippedRow], prepared: set[str]) -> list[Skip]:
    """The clips of which nothing was prepared, by reason, the most frequent one first."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["clip"] not in prepared:
            found.setdefault(row["reason"], {}).setdefault(row["clip"], row["detail"] or "")
    most = max((len(clips) for clips in found.values()), default=1)
    room = DETAILS
    out = []
    for reason, clips in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        shown = tuple(sorted(clips.items()))[: max(0, room)]
        room -= len(shown)
        out.append(Skip(reason, *reasons.explain(reason), len(clips), len(clips) / most, shown))
    return out


@dataclass(frozen=True, slots=True)
class SplitRow:
    """A line of the table of splits."""

    name: str
    clips: int
    samples: int
    skipped: int
    speakers: int
    length: str
    canvas: str
    """The most frequent size of the canvas."""


def split_rows(prepared: list[PreparedRow], left_out: list[SkippedRow]) -> list[SplitRow]:
    """A line for each split, sorted by name."""
    out = []
    for name in sorted({str(row["split"] or "") for row in [*prepared, *left_out]}):
        ok = [row for row in prepared if str(row["split"] or "") == name]
        there = {row["clip"] for row in ok}
        every = there | {row["clip"] for row in left_out if str(row["split"] or "") == name}
        sizes = Counter(f"{int(row['width'])}×{int(row['height'])}" for row in ok)
        others = f" and {len(sizes) - 1} more" if len(sizes) > 1 else ""
        out.append(
            SplitRow(
                name=name or "no split",
                clips=len(every),
                samples=len(ok),
                skipped=len(every - there),
                speakers=len({row["speaker"] for row in ok if row["speaker"]}),
                length=duration(sum(int(row["n_frames"]) for row in ok) / FPS),
                canvas=sizes.most_common(1)[0][0] + others if sizes else "–",
            )
        )
    return out


def _stats(source: Shards) -> dict[str, object]:
    """stats.json of the run that made the shards; {} where it is not there, because the shards do not need it."""
    try:
        found = json.loads((source.folder / STATS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    defaults: dict[str, object] = {"seconds": 0.0, "fps": 0.0, "workers": 1, "decoded": 0}
    return defaults | found


@dataclass(frozen=True, slots=True)
class StageRow:
    """A line of the table of stages."""

    name: str
    does: str
    seconds: float
    share: float
    """Of the time of all stages."""
    rate: float | None
    """Frames/s if the stage were alone."""


def _stages(stats: Mapping[str, object]) -> list[StageRow]:
    """The stages that took time, in the order of work."""
    stages, frames = stats.get("stages"), stats.get("decoded")
    spent = {name: float(value) for name, value in stages.items()} if isinstance(stages, Mapping) else {}
    total = sum(spent.values())
    if total <= 0:
        return []
    order = [name for name in STAGES if name in spent] + sorted(set(spent) - set(STAGES))
    decoded = frames if isinstance(frames, int) else 0
    return [
        StageRow(
            name=name,
            does=STAGES.get(name, ""),
            seconds=spent[name],
            share=spent[name] / total,
            rate=decoded / spent[name] if decoded and spent[name] >= 0.001 else None,
        )
        for name in order
    ]
