"""The HTML report of one table: what the page shows is gathered here; tkbench/templates say how it looks."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shlex
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TypedDict

import jinja2
from markupsafe import Markup

from tkbench.report import board, clips, figures, finding, glossary
from tkbench.report.finding import interval, number
from tkbench.results import bundle, leaderboard
from tkbench.results.bundle import Bundle, Result
from tkbench.results.leaderboard import Entry
from tkbench.runtime.storage import write_file
from tkbench.types import Column, UInt8

WIDE, NARROW = (520.0, 640.0), 346.0
"""Widths in px that the two figures are laid out for: beside each other, and on a telephone."""


def write(bundles: Sequence[Path], out: Path) -> Path:
    """Write the report of bundles of one table to the file `out`, in one step, and return it.

    Raises BadBundle for bundles that do not belong together or are damaged.
    """
    text = render([bundle.read(folder) for folder in bundles])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, text.encode())
    return out


def render(bundles: Sequence[Bundle]) -> str:
    """The page as text."""
    tables = {one.result.model: one.clips() for one in bundles}
    entries = leaderboard.ranked(bundles, tables)
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
    lines = [
        board.line(entry, place, entries, columns, rank, standings, notes)
        for place, entry in enumerate(entries)
    ]
    groups = [
        (line, clips.players(entry.bundle, place, columns, rank, speakers))
        for place, (line, entry) in enumerate(zip(lines, entries, strict=True))
    ]
    script, css = asset("report.js"), asset("report.css")
    clusters = leaderboard.clusters_of(result)
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            result=result,
            intervals=leaderboard.intervals_are(result),
            rank=rank,
            # Where speakers are unknown each clip is a cluster of its own: that is no number of speakers.
            n_speakers=len(set(speakers.values()) - {""}) if clusters == "speakers" else 0,
            clusters=clusters,
            finding=finding.find(entries, rank),
            columns=[board.head(column, rank) for column in columns],
            lines=lines,
            notes=notes.texts,
            has_anchors=any(entry.anchor for entry in entries),
            forests=[_forest(entries, rank, width) for width in (WIDE[0], NARROW)] if scored else [],
            judges=_judges(entries, columns),
            groups=groups,
            spans=any(line.span for line in lines),
            ranking=glossary.RANK,
            remarks=leaderboard.remarks(entries, columns),
            rarest=_rarest(result, rank),
            terms=glossary.terms(columns),
            clips=_json(clips.clip_data(entries, tables, columns, rank, speakers, [g for _, g in groups])),
            signature=result.signature.split("|"),
            provenance=[_provenance(entry.bundle) for entry in entries],
            stack=_shared([entry.result.stack for entry in entries]),
            weights=_shared([entry.result.weights for entry in entries]),
            script=Markup(script),
            style=Markup(css),
            script_hash=_csp_hash(script),
        )
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
    return made


def _commands(text: str) -> Markup:
    """The text, escaped, with the parts between backticks marked as code."""
    parts = text.split("`")
    whole = len(parts) % 2 == 1
    template = Markup("<kbd>{}</kbd>")
    return Markup("").join(
        template.format(part) if whole and i % 2 else part if whole else part + "`" * (i < len(parts) - 1)
        for i, part in enumerate(parts)
    )


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


def _forest(entries: Sequence[Entry], rank: Column, width: float) -> figures.Forest:
    real = [
        e.result.summary[rank.name].mean for e in entries if e.anchor and e.result.model == finding.CEILING
    ]
    marks = []
    for place, entry in enumerate(entries):
        summary = entry.result.summary[rank.name]
        marks.append(
            figures.Mark(
                name=entry.result.model,
                style=board.style(entry, place),
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


def _judges(entries: Sequence[Entry], columns: Sequence[Column]) -> list[JudgeCurves]:
    found: dict[str, list[figures.Series]] = {}
    for place, entry in enumerate(entries):
        table = entry.bundle.curves()
        means = table.groupby(["metric", "shift"], sort=True)["distance"].mean()
        for judge in table["metric"].drop_duplicates().sort_values().tolist():
            points = tuple(
                (int(s), float(value)) for s, value in means[judge].items() if math.isfinite(value)
            )
            if not points:
                continue
            series = figures.Series(entry.result.model, board.style(entry, place), points)
            found.setdefault(judge, []).append(series)
    labels = {column.name: column.label for column in columns}
    return [
        {
            "name": "syncnet-v2"
            if judge == "lse_c"
            else board.split_label(labels[judge])[1] or labels[judge],
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
        ],
    }


def _shared(records: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    """Name and value over all bundles; every value where they differ."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, value in record.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return [(name, " / ".join(values)) for name, values in found.items()]
