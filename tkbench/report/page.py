"""From bundles to one HTML file: what the page shows is gathered here; tkbench/templates say how it looks."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
from markupsafe import Markup

from tkbench import bundle, leaderboard
from tkbench.bundle import Bundle, Column, Preview, Summary
from tkbench.errors import BadBundle
from tkbench.leaderboard import Entry
from tkbench.report import figures, finding, glossary
from tkbench.report.finding import goodness, interval, number, sentence

WIDE, NARROW = (520.0, 640.0), 346.0
"""Widths in px that the two figures are laid out for: beside each other, and on a telephone."""
HINTS = {"higher": "higher is better", "lower": "lower is better", "zero": "closer to 0 is better"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the ranked table."""

    text: str
    interval: str
    n: str
    """Number of scored clips, where it is not all of them."""
    reason: str
    """Set exactly where there is no mean."""
    best: bool
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ranked table."""

    name: str
    summary: str
    rank: int | None
    anchor: bool
    style: str
    coverage: str
    clips: str
    gap: tuple[int, ...]
    """Footnotes of the number of clips."""
    notes: tuple[int, ...]
    """Footnotes of the rank."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Player:
    """A video and its caption."""

    id: str
    key: str
    speaker: str
    source: str
    scores: tuple[tuple[str, str], ...]
    """(what they have in common: a judge or a region, or "", the scores in one line)."""


class Footnotes:
    """Numbered from 1 in the order of first use; one text has one number, and names all that it is about."""

    def __init__(self) -> None:
        self._about: dict[str, list[str]] = {}

    def add(self, text: str, about: str = "") -> int:
        names = self._about.setdefault(text, [])
        if about and about not in names:
            names.append(about)
        return list(self._about).index(text) + 1

    @property
    def texts(self) -> list[str]:
        return [": ".join(filter(None, (", ".join(names), text))) for text, names in self._about.items()]


def write(bundles: Sequence[Path], out: Path) -> Path:
    """Write the report of bundles of one table to the file `out`, in one step, and return it.

    Raises BadBundle for bundles that do not belong together or are damaged.
    """
    text = render([bundle.read(folder) for folder in bundles])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        work = Path(folder) / "report.html"
        with work.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        work.replace(out)
    return out


def render(bundles: Sequence[Bundle]) -> str:
    """The page as text."""
    entries = leaderboard.ranked(bundles)
    result = entries[0].result
    columns = list(result.columns)
    rank = next((column for column in columns if column.name == result.rank_by), columns[0])
    tables = {entry.result.model: entry.bundle.clips() for entry in entries}
    speakers: dict[str, str] = {}
    for table in tables.values():
        rows = table[table["key"] != "*"]
        speakers.update(zip(rows["key"], rows["speaker"], strict=True))
    scored = any(entry.result.summary[rank.name].n for entry in entries)
    notes = Footnotes()
    lines = [_line(entry, place, entries, columns, rank, notes) for place, entry in enumerate(entries)]
    groups = [
        (line, _players(entry.bundle, place, columns, rank, speakers))
        for place, (line, entry) in enumerate(zip(lines, entries, strict=True))
    ]
    script, css = _asset("report.js"), _asset("report.css")
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            result=result,
            level=f"{result.stats.get('level', math.nan):.0%}",
            rank=rank,
            n_speakers=len(set(speakers.values()) - {""}),
            finding=finding.find(entries, rank),
            columns=[_head(column, rank) for column in columns],
            lines=lines,
            notes=notes.texts,
            forests=[_forest(entries, rank, width) for width in (WIDE[0], NARROW)] if scored else [],
            judges=_judges(entries, columns),
            groups=groups,
            terms=glossary.terms(columns),
            clips=_json(_clip_data(entries, tables, columns, rank, speakers, [g for _, g in groups])),
            signature=result.signature.split("|"),
            provenance=[_provenance(entry.bundle) for entry in entries],
            stack=_shared([entry.result.stack for entry in entries]),
            weights=_shared([entry.result.weights for entry in entries]),
            script=Markup(script),
            style=Markup(css),
            script_hash=_csp_hash(script),
        )
    )


def _templates() -> jinja2.Environment:
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
    """What stands between backticks in a message, as code; all of it escaped."""
    parts = text.split("`")
    whole = len(parts) % 2 == 1
    template = Markup("<kbd>{}</kbd>")
    return Markup("").join(
        template.format(part) if whole and i % 2 else part if whole else part + "`" * (i < len(parts) - 1)
        for i, part in enumerate(parts)
    )


def _asset(name: str) -> str:
    return (resources.files("tkbench") / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """With it in the content policy, this script runs and no other, whatever a file name may hold."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Any) -> Markup:
    """JSON that can stand in a script element: no character in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _head(column: Column, rank: Column) -> dict[str, Any]:
    name, rest = _split(column.label)
    return {
        "name": name,
        "rest": rest,
        "arrow": leaderboard.ARROWS[column.better],
        "hint": HINTS[column.better],
        "unit": column.unit,
        "rank": column is rank,
    }


def _line(
    entry: Entry,
    place: int,
    entries: Sequence[Entry],
    columns: Sequence[Column],
    rank: Column,
    notes: Footnotes,
) -> Line:
    result = entry.result
    main = _base(result, rank)
    # A ranking metric without any score says in its own cell why nothing is ranked.
    why = entry.note if result.summary[rank.name].n else ""
    unranked = (notes.add(f"{result.model} is not ranked: {why}."),) if why else ()
    gap = (notes.add(_gap_note(entry, main)),) if main.n and main.n_unscored else ()
    return Line(
        name=result.model,
        summary=str(result.model_card.get("summary", "")),
        rank=entry.rank,
        anchor=entry.anchor,
        style=_style(entry, place),
        coverage="" if math.isnan(main.coverage) else _percent(main.coverage),
        clips=f"{main.n:,} / {main.n + main.n_unscored:,}",
        gap=gap,
        notes=unranked,
        cells=tuple(_cell(entry, entries, column, main, notes) for column in columns),
    )


def _base(result: bundle.Result, rank: Column) -> Summary:
    """The cell that says how many clips have a score: the ranking metric's, or the first that has any."""
    cells = [result.summary[rank.name], *(result.summary[c.name] for c in result.columns if c.per_clip)]
    return next((cell for cell in cells if cell.n), cells[0])


def _style(entry: Entry, place: int) -> str:
    return "ink" if entry.anchor and entry.result.model == finding.CEILING else figures.style(place)


def _percent(share: float) -> str:
    """Whole percent, but never 100% for less than all."""
    return "99%" if 0.99 < share < 1 else f"{share:.0%}"


def _cell(entry: Entry, entries: Sequence[Entry], column: Column, main: Summary, notes: Footnotes) -> Cell:
    summary = entry.result.summary[column.name]
    # Clips that are missing from most columns are named once, beside the number of clips.
    own_gap = bool(summary.n and summary.n_unscored) and summary.reasons != main.reasons
    marks = []
    reasons = ""
    if not summary.n:
        # Clips that no metric could score explain nothing about this one.
        own = Counter({name: n for name, n in summary.reasons.items() if main.reasons.get(name) != n})
        reasons = ", ".join(name for name, _ in (own or Counter(summary.reasons)).most_common())
        reasons = reasons or summary.note or "no clip"
        todo = sentence(summary.detail)
        marks.append(notes.add(f"unscored ({reasons}). {todo}".strip(), about=column.label))
    elif own_gap:
        marks.append(notes.add(_gap_note(entry, summary, column)))
    if summary.n and math.isnan(summary.low) and summary.note:
        marks.append(notes.add(sentence(summary.note)))
    return Cell(
        text="" if reasons else number(summary.mean, column),
        interval=interval(summary, column),
        n=f"n = {summary.n:,}" if own_gap else "",
        reason=reasons,
        best=_is_best(entry, entries, column),
        notes=tuple(marks),
    )


def _gap_note(entry: Entry, summary: Summary, column: Column | None = None) -> str:
    """What is missing from a mean, how often and why; `column` where it is not so of all columns."""
    reasons = Counter(summary.reasons).most_common()
    counts = ", ".join(f"{count:,} {name}" for name, count in reasons)
    who = entry.result.model + (f", {column.label}" if column else "")
    clips = f"{summary.n_unscored:,} of {summary.n + summary.n_unscored:,} clips"
    first = "The most frequent: " if len(reasons) > 1 and summary.detail else "For example: "
    what = f" {first}{summary.detail.rstrip('.')}." if summary.detail else ""
    return f"{who}: {clips} have no score and are not in the mean ({counts}).{what}"


def _is_best(entry: Entry, entries: Sequence[Entry], column: Column) -> bool:
    """Whether no model but the anchors, with enough clips scored, is better in this column."""

    def value(one: Entry) -> float:
        summary = one.result.summary[column.name]
        enough = not one.anchor and summary.coverage >= one.result.coverage_min
        return goodness(summary.mean, column) if enough else math.nan

    own = value(entry)
    return not math.isnan(own) and not any(value(other) > own for other in entries)


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
                style=_style(entry, place),
                anchor=entry.anchor,
                value=summary.mean,
                low=summary.low,
                high=summary.high,
                text=number(summary.mean, rank) if summary.n else "unscored",
                bounds=interval(summary, rank),
            )
        )
    return figures.forest(marks, width, reference=real[0] if real else math.nan)


def _judges(entries: Sequence[Entry], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Per judge: its name, its figures, and the models that it gave no curve for."""
    found: dict[str, list[figures.Series]] = {}
    for place, entry in enumerate(entries):
        table = entry.bundle.curves()
        means = table.groupby(["metric", "shift"], sort=True)["distance"].mean()
        for judge in sorted(set(table["metric"])):
            points = tuple(
                (int(s), float(value)) for s, value in means[judge].items() if math.isfinite(value)
            )
            if not points:
                continue
            series = figures.Series(entry.result.model, _style(entry, place), points)
            found.setdefault(judge, []).append(series)
    labels = {column.name: column.label for column in columns}
    return [
        {
            "name": _split(labels[judge])[1] or ("syncnet-v2" if judge == "lse_c" else labels[judge]),
            "figures": [figures.curves(found[judge], width) for width in (WIDE[1], NARROW)],
            "missing": [
                e.result.model for e in entries if e.result.model not in {s.name for s in found[judge]}
            ],
        }
        for judge in [column.name for column in columns if column.name in found]
    ]


def _players(
    source: Bundle, place: int, columns: Sequence[Column], rank: Column, speakers: dict[str, str]
) -> list[Player]:
    """The bundle's previews, worst first."""

    def badness(preview: Preview) -> tuple[float, str]:
        value = goodness(preview.scores.get(rank.name, math.nan), rank)
        return (-math.inf if math.isnan(value) else value, preview.key)

    return [
        Player(
            id=f"player-{place}-{i}",
            key=preview.key,
            speaker=speakers.get(preview.key, ""),
            source="data:video/mp4;base64," + base64.b64encode(_file(source, preview.file)).decode(),
            scores=_scores(preview, columns),
        )
        for i, preview in enumerate(sorted(source.result.previews, key=badness))
    ]


def _scores(preview: Preview, columns: Sequence[Column]) -> tuple[tuple[str, str], ...]:
    found: dict[str, list[str]] = {}
    for column in columns:
        value = preview.scores.get(column.name, math.nan)
        if not math.isnan(value):
            name, rest = _split(column.label)
            found.setdefault(rest, []).append(f"{name}\u00a0{number(value, column)}")
    return tuple((rest, " · ".join(scores)) for rest, scores in found.items())


def _split(label: str) -> tuple[str, str]:
    """A label and what it has in brackets: the judge or the region."""
    name, _, rest = label.partition(" (")
    return name, rest.removesuffix(")")


def _file(source: Bundle, name: str) -> bytes:
    """A file of a bundle, only from inside it and only with the content that the bundle lists."""
    path = source.folder / name
    if PurePosixPath(name).is_absolute() or not path.resolve().is_relative_to(source.folder.resolve()):
        raise BadBundle(f"{source.folder}: lists the player {name!r}, which lies outside of it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{path}: cannot be read ({error.strerror}); run `tkbench eval` again") from error
    if hashlib.sha256(content).hexdigest() != source.result.files.get(name):
        raise BadBundle(f"{path}: not the file that result.json lists; run `tkbench eval` again")
    return content


def _clip_data(
    entries: Sequence[Entry],
    tables: dict[str, Any],
    columns: Sequence[Column],
    rank: Column,
    speakers: dict[str, str],
    players: Sequence[Sequence[Player]],
) -> dict[str, Any]:
    """What the per-clip table needs, small: numbers by model and metric in key order, texts once."""
    shown = [column for column in columns if column.per_clip]
    keys = sorted(speakers)
    place = {key: i for i, key in enumerate(keys)}
    texts = [""]
    known = {"": 0}

    def text(value: str) -> int:
        if value not in known:
            known[value] = len(texts)
            texts.append(value)
        return known[value]

    models = []
    for entry, mine in zip(entries, players, strict=True):
        values: dict[str, list[float | str | None]] = {column.name: [None] * len(keys) for column in shown}
        reasons = {column.name: [0] * len(keys) for column in shown}
        details = {column.name: [0] * len(keys) for column in shown}
        digits = {column.name: column.digits + 2 for column in shown}
        for row in tables[entry.result.model].itertuples(index=False):
            if row.metric not in values or row.key == "*":
                continue
            i = place[row.key]
            values[row.metric][i] = _plain(float(row.value), digits[row.metric])
            reasons[row.metric][i] = text(row.reason)
            details[row.metric][i] = text(row.detail)
        models.append(
            {
                "name": entry.result.model,
                "anchor": entry.anchor,
                "values": [values[column.name] for column in shown],
                "reasons": [_dense(reasons[column.name]) for column in shown],
                "details": [_dense(details[column.name]) for column in shown],
                "players": {place[player.key]: player.id for player in mine if player.key in place},
            }
        )
    chosen = next((i for i, entry in enumerate(entries) if not entry.anchor), 0)
    return {
        "columns": [{**_head(c, rank), "better": c.better, "digits": c.digits} for c in shown],
        "rank": next((i for i, column in enumerate(shown) if column is rank), 0),
        "chosen": chosen,
        "keys": keys,
        "speakers": [speakers[key] for key in keys],
        "models": models,
        "texts": texts,
    }


def _plain(value: float, digits: int) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, digits) if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _dense(places: list[int]) -> list[int] | int:
    """One number where all are the same: most columns have a score everywhere, or nowhere."""
    return places[0] if places and len(set(places)) == 1 else places


def _provenance(source: Bundle) -> dict[str, Any]:
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
    """Name and value over all bundles; where they differ, every value, because that is worth seeing."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, value in record.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return [(name, " / ".join(values)) for name, values in found.items()]
