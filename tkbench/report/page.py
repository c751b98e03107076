"""The HTML report of one table: what the page shows is gathered here; tkbench/templates say how it looks."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TypedDict

import jinja2
from markupsafe import Markup

from tkbench.report import answers, board, clips, figures, finding, gaps, glossary, players, trust
from tkbench.report.finding import interval, number
from tkbench.report.strata import Strata
from tkbench.report.strata import tables as tables_by_stratum
from tkbench.results import bundle, cost, leaderboard
from tkbench.results.bundle import Bundle, Result
from tkbench.results.leaderboard import Entry
from tkbench.runtime.storage import write_file
from tkbench.types import Better, Column, UInt8
from tkbench.version import DOCUMENTS

WIDE, NARROW = (520.0, 640.0), 346.0
"""Widths in px that the two figures are laid out for: beside each other, and on a telephone."""
SCRIPTS = ("report.js", "ranking.js", "clips.js", "plots.js", "stage.js")
"""The page's script in parts, in their order; the first one has what the others share."""


def write(bundles: Sequence[Path], out: Path) -> Path:
    """Write the report of bundles of one table to the file `out`, in one step, and return it.

    Raises BadBundle for bundles that do not belong together or are damaged.
    """
    text = render([bundle.read(folder) for folder in bundles])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, text.encode())
    return out


@dataclass(frozen=True, slots=True)
class Site:
    """Where a page stands in a static site (`tkbench.report.site`)."""

    index: str
    """Address of the list of tables, from the page."""
    models: Mapping[str, str]
    """Model -> address of its page, from this one."""
    videos: Path
    """The folder beside the page that gets the videos."""


def render(bundles: Sequence[Bundle], site: Site | None = None, strata: Sequence[Strata] = ()) -> str:
    """The page as text; for a site its videos are written beside it. strata: by default those of the bundles."""
    tables = {one.result.model: one.clips() for one in bundles}
    entries = leaderboard.ranked(bundles, tables)
    curves = players.curves_of(entries)
    result = entries[0].result
    # Bundles of an older format do not explain their columns.
    columns = list(max(entries, key=lambda entry: entry.result.format_version).result.columns)
    rank = next((column for column in columns if column.name == result.rank_by), columns[0])
    speakers: dict[str, str] = {}
    for table in tables.values():
        rows = table[table["key"] != "*"]
        speakers.update(zip(bundle.column_of(rows, "key"), bundle.column_of(rows, "speaker"), strict=True))
    scored = any(entry.result.summary[rank.name].n for entry in entries)
    notes = board.Footnotes()
    standings = leaderboard.by_column(entries, tables)
    lines = [board.line(entry, entries, columns, rank, standings, notes) for entry in entries]
    found = finding.find(entries, rank)
    checks = trust.checks(entries, tables, columns, rank, found)
    gap_tables = gaps.tables(entries, tables, rank, standings) if scored else []
    names = {column.name: _judge_name(column) for column in columns}
    shown = players.collect(entries, curves, names, speakers, site.videos if site else None)
    first = {column.name for column in board.first_shown(entries, columns, rank)}
    weakest = answers.weakness(entries, tables, rank)
    ranking_gap = next((one for one in gap_tables if one.column == rank.name), None)
    clusters = leaderboard.clusters_of(result)
    script = "\n".join(map(asset, SCRIPTS))
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            result=result,
            site=site,
            intervals=leaderboard.intervals_are(result),
            bold=leaderboard.BOLD.replace("speakers", clusters),
            rank=rank,
            # Where speakers are unknown each clip is a cluster of its own: that is no number of speakers.
            n_speakers=len(set(speakers.values()) - {""}) if clusters == "speakers" else 0,
            n_anchors=sum(entry.anchor for entry in entries),
            clusters=clusters,
            finding=found,
            answers=answers.answers(entries, found, ranking_gap, checks, weakest),
            checks=checks,
            columns=[
                {**board.head(column, rank), "key": column.name, "shown": column.name in first}
                for column in columns
            ],
            lines=lines,
            notes=notes.texts,
            has_anchors=any(entry.anchor for entry in entries),
            gaps=gap_tables,
            strata=strata or tables_by_stratum(entries, rank),
            forests=_forests(entries, rank) if scored else [],
            judges=_judges(entries, columns, curves),
            watch=shown,
            spans=any(line.span for line in lines),
            ranking=glossary.RANK,
            # What a check says already is not said again.
            remarks=[
                text
                for text in leaderboard.remarks(entries, columns)
                if text not in {check.text for check in checks}
            ],
            rarest=_rarest(result, rank),
            terms=glossary.terms(columns),
            data=_json(_page_data(entries, columns, rank, weakest)),
            clips=_json(clips.clip_data(entries, tables, columns, rank, speakers, shown.clips_of)),
            watch_data=_json(shown.data),
            signature=result.signature.split("|"),
            provenance=[_provenance(entry.bundle) for entry in entries],
            stack=_shared([entry.result.stack for entry in entries]),
            weights=_shared([entry.result.weights for entry in entries]),
            script=Markup(script),
            style=Markup(asset("report.css")),
            script_hash=_csp_hash(script),
        )
    )


class ModelData(TypedDict):
    """A model as the page's script knows it."""

    cost: dict[str, float] | None
    """Seconds per second of video and gigabytes, see `results.cost`; None where they were not measured."""

    name: str
    anchor: bool
    style: str
    means: list[list[float | None] | None]
    """By column: mean, low, high; None without a mean."""


class ColumnData(TypedDict):
    """A column as the page's script knows it."""

    key: str
    label: str
    better: Better
    digits: int
    unit: str


class PageData(TypedDict):
    """What the page's script reads at once; the per-clip table is apart, for it is large."""

    title: str
    about: str
    """One line beneath a table that is copied: data, protocol, intervals."""
    signature: str
    columns: list[ColumnData]
    models: list[ModelData]
    rank: int
    watch: str
    """The clip that is shown first."""


def _page_data(
    entries: Sequence[Entry], columns: Sequence[Column], rank: Column, weakest: answers.Weakness | None
) -> PageData:
    result = entries[0].result
    styles = board.styles(entries)

    def means(entry: Entry, column: Column) -> list[float | None] | None:
        cell = entry.result.summary[column.name]
        numbers = [x if math.isfinite(x) else None for x in (cell.mean, cell.low, cell.high)]
        return numbers if numbers[0] is not None else None

    return PageData(
        title=f"{result.data_title}, {result.split}",
        about=f"{result.data_title}, split {result.split}, {result.n_clips} clips, protocol {result.protocol}; "
        f"{leaderboard.intervals_are(result)}.",
        signature=result.signature,
        columns=[
            ColumnData(
                key=c.name, label=leaderboard.heading(c), better=c.better, digits=c.digits, unit=c.unit
            )
            for c in columns
        ],
        models=[
            ModelData(
                name=entry.result.model,
                anchor=entry.anchor,
                style=styles[entry.result.model],
                means=[means(entry, column) for column in columns],
                cost=cost.numbers(cost.read(entry.bundle.folder)),
            )
            for entry in entries
        ],
        rank=next((i for i, column in enumerate(columns) if column is rank), 0),
        watch=weakest.key if weakest is not None else "",
    )


def _rarest(result: Result, rank: Column) -> str:
    """How rare a kind of speaker can be and be missing from the data, by the rule of three; "" without a number."""
    clusters = result.summary[rank.name].n_clusters
    return f"{min(1.0, 3 / clusters):.0%}" if clusters > 1 else ""


def templates() -> jinja2.Environment:
    """The environment of every page; values are escaped, and a missing one is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tkbench", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["commands"] = _commands
    made.filters["breakable"] = _breakable
    return made


def _breakable(name: str) -> Markup:
    """A model's name, escaped, that may break after its colon: `mute:` and `cals`, not `mute:ca` and `ls`."""
    return Markup(":<wbr>").join(Markup.escape(part) for part in name.split(":"))


INTERVAL = re.compile(r"\[[−+]?[\d∞][^\[\]]{0,40}\]")
DOCUMENT = re.compile(rf"({re.escape(DOCUMENTS)}/)([\w-]+\.md)")


def _commands(text: str) -> Markup:
    """The text, escaped, with the parts between backticks marked as code and documents as links. An interval, and a
    number with its unit, never break over lines.
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _prose(text)
    template = Markup("<kbd>{}</kbd>")
    return Markup("").join(template.format(part) if i % 2 else _prose(part) for i, part in enumerate(parts))


def _prose(text: str) -> Markup:
    text = INTERVAL.sub(lambda found: found[0].replace(" ", "\u00a0"), text).replace(" %", "\u00a0%")
    link = Markup('<a href="{}" rel="noreferrer">{}</a>')
    made, end = Markup(""), 0
    for found in DOCUMENT.finditer(text):
        made += text[end : found.start()] + link.format(found[0], f"docs/{found[2]}")
        end = found.end()
    return made + text[end:]


def asset(name: str) -> str:
    """The text of a file in tkbench/templates."""
    return (resources.files("tkbench") / "templates" / name).read_text(encoding="utf-8")


def jpeg_address(picture: UInt8) -> str:
    """A picture (H, W, 3) RGB as a data address: pages hold what they show."""
    import cv2

    done, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _csp_hash(text: str) -> str:
    """For the content policy: only a script with this hash runs, whatever a file name may hold."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: object) -> Markup:
    """JSON that can stand in a script element: no character in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


@dataclass(frozen=True, slots=True)
class ForestFigure:
    """The intervals of all rows, or of the models alone: readers can hide the anchors."""

    kind: str
    """CSS classes."""
    drawn: figures.Forest


def _forests(entries: Sequence[Entry], rank: Column) -> list[ForestFigure]:
    models = [entry for entry in entries if not entry.anchor]
    sizes = [("wide", WIDE[0]), ("narrow", NARROW)]
    if not models or len(models) == len(entries):
        return [ForestFigure(name, _forest(entries, entries, rank, width)) for name, width in sizes]
    return [
        ForestFigure(f"{name} {who}", _forest(entries, some, rank, width))
        for name, width in sizes
        for who, some in (("all-rows", entries), ("models-only", models))
    ]


def _forest(entries: Sequence[Entry], some: Sequence[Entry], rank: Column, width: float) -> figures.Forest:
    real = [
        e.result.summary[rank.name].mean for e in entries if e.anchor and e.result.model == finding.CEILING
    ]
    marks = []
    styles = board.styles(entries)
    for entry in some:
        summary = entry.result.summary[rank.name]
        marks.append(
            figures.Mark(
                name=entry.result.model,
                style=styles[entry.result.model],
                anchor=entry.anchor,
                value=summary.mean,
                low=summary.low,
                high=summary.high,
                text=number(summary.mean, rank) if summary.n else "unscored",
                bounds=interval(summary, rank),
            )
        )
    return figures.forest(marks, width, reference=real[0] if real else math.nan)


class JudgeCurves(TypedDict):
    """The curves of one judge."""

    name: str
    figures: list[figures.Curves]
    missing: list[str]
    """Models without a curve."""


def _judge_name(column: Column) -> str:
    """The network behind a column of lip sync, as a figure calls it."""
    if column.name == "lse_c":
        return "syncnet-v2"
    return board.split_label(column.label)[1] or column.label


def _judges(
    entries: Sequence[Entry], columns: Sequence[Column], curves: Mapping[str, players.Curves]
) -> list[JudgeCurves]:
    found: dict[str, list[figures.Series]] = {}
    styles = board.styles(entries)
    for entry in entries:
        for judge, means in curves[entry.result.model].means.items():
            points = tuple((shift, value) for shift, value in means.items() if math.isfinite(value))
            if not points:
                continue
            style = styles[entry.result.model] + (" anchor" if entry.anchor else "")
            series = figures.Series(entry.result.model, style, points)
            found.setdefault(judge, []).append(series)
    names = {column.name: _judge_name(column) for column in columns}
    return [
        {
            "name": names[judge],
            "figures": [figures.curves(found[judge], width) for width in (WIDE[1], NARROW)],
            "missing": [
                e.result.model for e in entries if e.result.model not in {s.name for s in found[judge]}
            ],
        }
        for judge in [column.name for column in columns if column.name in found]
    ]


class Provenance(TypedDict):
    """Where one row comes from."""

    model: str
    digest: str
    command: str
    summary: str
    facts: list[tuple[str, str]]


def _provenance(source: Bundle) -> Provenance:
    result = source.result
    folder = PurePosixPath(result.table, source.folder.resolve().name)
    card = result.model_card
    return {
        "model": result.model,
        "digest": source.digest,
        "command": f"tkbench verify RUNS/{shlex.quote(str(folder))}",
        "summary": str(card.get("summary") or ""),
        "facts": [
            (
                name.replace("_", " "),
                ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value),
            )
            for name in ("licence", "paper", "weights", "trained_on")
            if (value := card.get(name))
        ]
        + [("cost", text) for text in [cost.in_words(cost.read(source.folder))] if text],
    }


def _shared(records: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    """Name and value over all bundles; every value where they differ."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, value in record.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return [(name, " / ".join(values)) for name, values in found.items()]
