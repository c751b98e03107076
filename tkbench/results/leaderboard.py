"""Tables from result bundles: rank, CSV, Markdown, LaTeX.

All rows of a table have one signature, so they were made by the same protocol, data, networks and decoder. A table is
built from bundles, never from another table, so there is no row without the numbers that it rests on.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import BadBundle, UnknownName, UsageError
from tkbench.registry import suggest
from tkbench.results.bundle import Bundle, Result, Summary, find
from tkbench.results.delta import with_deltas
from tkbench.results.paired import rank_intervals
from tkbench.results.stats import mean_interval
from tkbench.runtime.storage import write_file
from tkbench.types import Column, Float64

if TYPE_CHECKING:
    import pandas as pd

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→0"}
FORMATS = ("csv", "markdown", "latex")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a table."""

    rank: int | None
    """1 is best; None where the row is not ranked, and then `note` says why."""
    bundle: Bundle
    anchor: bool
    note: str = ""
    ranks: tuple[int, int] | None = None
    """The interval of the rank, from resampled speakers; None for one row, and where it is not ranked."""

    @property
    def result(self) -> Result:
        return self.bundle.result


def ranked(bundles: Sequence[Bundle]) -> list[Entry]:
    """Bundles of one table by their ranking metric; those that cannot be ranked come last, by name.

    Where the true video is among them, columns of the distance to it are added (`tkbench.results.delta`).
    Models are ranked on the clips that every ranked model could be scored on, so that a model gains nothing by
    failing on hard clips. Equal means have equal ranks.

    Raises BadBundle where signatures differ, naming the first part that does, or a model comes twice.
    """
    check_comparable(bundles)
    bundles = with_deltas(bundles)
    notes = {bundle.result.model: _unranked(bundle.result) for bundle in bundles}
    by_name = sorted(bundles, key=lambda bundle: bundle.result.model)
    scored = [bundle for bundle in by_name if not notes[bundle.result.model]]
    found = _standings(scored) if scored else []
    order = sorted(range(len(scored)), key=lambda place: found[place][0])
    entries = [
        Entry(
            1 + sum(cost < found[place][0] for cost, _ in found),
            scored[place],
            bool(scored[place].result.model_card.get("anchor")),
            ranks=found[place][1],
        )
        for place in order
    ]
    entries += [
        Entry(None, bundle, bool(bundle.result.model_card.get("anchor")), notes[bundle.result.model])
        for bundle in by_name
        if notes[bundle.result.model]
    ]
    return entries


def _standings(bundles: Sequence[Bundle]) -> list[tuple[float, tuple[int, int] | None]]:
    """For each bundle: a number that is smaller the better it is, and its rank interval where there is one."""
    result = bundles[0].result
    column = next(column for column in result.columns if column.name == result.rank_by)
    if not column.per_clip:
        return [(-goodness(bundle.result.summary[column.name], column), None) for bundle in bundles]
    values, clusters = _shared(bundles, column)
    # Beside finite scores an infinite one counts as in the means (`stats`).
    means = [mean_interval(row, clusters, n_boot=1).mean for row in values]
    costs = [-mean if column.better == "higher" else mean for mean in means]
    if len(bundles) < 2 or len(set(clusters)) < 2:
        return [(cost, None) for cost in costs]
    spans = rank_intervals(
        list(values),
        clusters,
        higher_is_better=column.better == "higher",
        n_boot=int(result.stats["n_boot"]),
        seed=int(result.stats["seed"]),
        level=result.stats["level"],
    )
    return list(zip(costs, spans, strict=True))


def _shared(bundles: Sequence[Bundle], column: Column) -> tuple[Float64, list[str]]:
    """(models, clips) scores of the clips that every model has one for, and the clusters of these clips.

    Where 0 is best, scores are taken without their signs. Raises BadBundle where no clip is left: then nothing tells
    which model is better.
    """
    values, clusters = scores_of([bundle.clips() for bundle in bundles], column)
    shared = ~np.isnan(values).any(axis=0)
    if not shared.any():
        names = ", ".join(bundle.result.model for bundle in bundles)
        raise BadBundle(
            f"{column.name}: no clip has a score for each of {names}; make a table of fewer models"
        )
    return values[:, shared], [clusters[place] for place in np.flatnonzero(shared)]


def scores_of(tables: Sequence[pd.DataFrame], column: Column) -> tuple[Float64, list[str]]:
    """(models, clips) scores in the order of the keys, nan for none, and the clusters of the clips.

    Where 0 is best, scores are taken without their signs. tables: `Bundle.clips()` of each model.
    """
    scores: list[dict[str, float]] = []
    speakers: dict[str, str] = {}
    for table in tables:
        part = table[table["metric"] == column.name]
        scores.append(dict(zip(part["key"], part["value"].astype(float), strict=True)))
        speakers |= dict(zip(part["key"], part["speaker"], strict=True))
    keys = sorted(speakers)
    values = np.array([[row.get(key, math.nan) for key in keys] for row in scores], np.float64)
    return np.abs(values) if column.better == "zero" else values, [
        speakers[key] or f"clip {key}" for key in keys
    ]


def goodness(cell: Summary, column: Column) -> float:
    """A number that grows as a cell gets better; nan without a mean.

    Where 0 is best it is the mean size that counts: +5 on one clip and -5 on another are no perfect sync.
    """
    return worth(cell.mean_size if column.better == "zero" else cell.mean, column)


def worth(value: float, column: Column) -> float:
    """The same of one score."""
    return {"higher": value, "lower": -value, "zero": -abs(value)}[column.better]


def _unranked(result: Result) -> str:
    """Why a row has no rank, or ""."""
    summary = result.summary.get(result.rank_by)
    if summary is None:
        return f"{result.rank_by} is not among its metrics"
    if summary.n == 0:
        return f"{result.rank_by} is {status(summary)}"
    if math.isnan(summary.mean):
        return f"{result.rank_by} has infinite scores of both signs"
    if summary.coverage < result.coverage_min:
        return f"coverage {summary.coverage:.0%} is below {result.coverage_min:.0%}"
    return ""


def check_comparable(bundles: Sequence[Bundle]) -> None:
    """Raise BadBundle unless all bundles have one signature, one data set and each model comes once."""
    if not bundles:
        raise BadBundle("no result bundle to make a table of; run `tkbench eval` first")
    seen: dict[str, Bundle] = {}
    for bundle in bundles:
        model = bundle.result.model
        if model in seen:
            raise BadBundle(f"{bundle.folder} and {seen[model].folder}: both hold {model!r}; leave one out")
        seen[model] = bundle
        ours, theirs = bundles[0].result.signature, bundle.result.signature
        if ours != theirs:
            one, other = first_difference(ours, theirs)
            raise BadBundle(
                f"{bundle.folder}: made with {other!r}, {bundles[0].folder} with {one!r}; "
                "rows of different signatures never share a table"
            )
        here, there = _shared_facts(bundles[0].result), _shared_facts(bundle.result)
        for part in here:
            if here[part] != there[part]:
                raise BadBundle(
                    f"{bundle.folder}: {part} is {there[part]}, {bundles[0].folder} has {here[part]}; "
                    "rows of different data never share a table"
                )


def _shared_facts(result: Result) -> dict[str, str]:
    """What all rows of a table have in common beside their signature. How a column is printed is no part of it."""
    return {
        "dataset": result.dataset,
        "split": result.split,
        "data_hash": result.data_hash,
        "protocol": result.protocol,
        "rank_by": result.rank_by,
        "coverage_min": f"{result.coverage_min:g}",
        "columns": ", ".join(column.name for column in result.columns),
        "directions of columns": ", ".join(column.better for column in result.columns),
        "signatures of columns": ", ".join(column.signature for column in result.columns),
        "columns with a value per clip": ", ".join(c.name for c in result.columns if c.per_clip),
    }


def first_difference(a: str, b: str) -> tuple[str, str]:
    """The first part in which two signatures differ.

    >>> first_difference("p|n:3|x", "p|n:4|x")
    ('n:3', 'n:4')
    """
    left, right = a.split("|"), b.split("|")
    width = max(len(left), len(right))
    left += [""] * (width - len(left))
    right += [""] * (width - len(right))
    return next((x, y) for x, y in zip(left, right, strict=True) if x != y)


def heading(column: Column) -> str:
    """What tables print above a column: its label, and the other name that papers print as often.

    >>> heading(Column("lse_c", "LSE-C (mocha)", "", "higher", 3, also_called=("Sync-C", "AVConf")))
    'LSE-C / Sync-C (mocha)'
    """
    twin = next((name for name in column.also_called if name.startswith(("Sync-C", "Sync-D", "ΔSync-"))), "")
    name, bracket, rest = column.label.partition(" (")
    return f"{name} / {twin}{bracket}{rest}" if twin else column.label


def status(summary: Summary) -> str:
    """What stands in a cell without a mean: "unscored: weights-missing"."""
    reasons = ", ".join(summary.reasons) or summary.note or "no clip"
    return f"unscored: {reasons}"


def number(value: float, digits: int) -> str:
    """A mean as people read it.

    >>> number(1.23456, 3), number(float("inf"), 2)
    ('1.235', '∞')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text  # no "-0.00"


def write_csv(bundles: Sequence[Bundle], folder: Path) -> Path:
    """Write `<folder>/<table>.csv`, replacing what was there, and return it."""
    entries = ranked(bundles)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{bundles[0].result.table}.csv"
    write_file(path, to_csv(entries).encode())
    return path


def to_csv(entries: Sequence[Entry]) -> str:
    """Every mean with its interval, n and status, to six significant digits; empty where there is none.

    Where 0 is best, `_size` is the mean distance from it, by which models are compared.
    """
    columns = entries[0].result.columns
    head = ["rank", "rank_low", "rank_high", "model", "anchor", "n_clips", "coverage"]
    for column in columns:
        head += [f"{column.name}{end}" for end in ("", "_low", "_high", "_n", "_status")]
        head += [f"{column.name}_size"] if column.better == "zero" else []
    head += ["note", "dataset", "split", "protocol", "signature", "bundle_sha256"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for entry in entries:
        result = entry.result
        span = entry.ranks or ("", "")
        row: list[object] = [
            entry.rank or "",
            *span,
            _safe(result.model),
            str(entry.anchor).lower(),
            result.n_clips,
        ]
        ranking = result.summary.get(result.rank_by)
        row.append(_plain(ranking.coverage if ranking else math.nan))
        for column in columns:
            cell = result.summary[column.name]
            row += [*(_plain(x) for x in (cell.mean, cell.low, cell.high)), cell.n]
            row.append("ok" if not cell.n_unscored else status(cell) if not cell.n else partly(cell))
            row += [_plain(cell.mean_size)] if column.better == "zero" else []
        row += [
            entry.note,
            result.dataset,
            result.split,
            result.protocol,
            result.signature,
            entry.bundle.digest,
        ]
        writer.writerow(row)
    return text.getvalue()


def partly(cell: Summary) -> str:
    """The status of a mean that lacks some clips."""
    return f"{cell.n_unscored} unscored: " + ", ".join(
        f"{count} {name}" for name, count in cell.reasons.items()
    )


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _safe(text: str) -> str:
    """A model's name that a spreadsheet will not run as a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text


def export(runs: Path, form: str, columns: Sequence[str] = ()) -> str:
    """The table of a folder of bundles as csv, markdown or latex, with its signature beneath.

    columns: names of metrics, in the order wanted; none means all of them. A CSV is always whole.
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form!r}: expected one of {', '.join(FORMATS)}")
    entries = ranked(find(runs))
    if form == "csv":
        if columns:
            raise UsageError(
                "--columns is for tables that people read (markdown, latex); a CSV is always whole"
            )
        return to_csv(entries)
    chosen = _chosen(entries[0].result.columns, columns)
    return to_markdown(entries, chosen) if form == "markdown" else to_latex(entries, chosen)


def _chosen(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    known = {column.name: column for column in columns}
    for name in names:
        if name not in known:
            raise UnknownName(f"the table has no column {name!r}: {suggest(name, list(known))}")
    return [known[name] for name in names] or list(columns)


def standing(entry: Entry) -> str:
    """A rank with its interval as printed tables have it: "2 [1-3]"."""
    if entry.rank is None:
        return ""
    low, high = entry.ranks or (entry.rank, entry.rank)
    return f"{entry.rank}" if low == high == entry.rank else f"{entry.rank} [{low}-{high}]"


def cells(entry: Entry, columns: Sequence[Column]) -> list[str]:
    """What a printed table shows per metric: "mean [low, high]" and who lacks a score, or why all do."""
    shown = []
    for column in columns:
        cell = entry.result.summary[column.name]
        if cell.n == 0:
            shown.append(status(cell))
            continue
        text = number(cell.mean, column.digits)
        if not math.isnan(cell.low):
            text += f" [{number(cell.low, column.digits)}, {number(cell.high, column.digits)}]"
        if cell.n_unscored:
            text += f" (n={cell.n}/{cell.n + cell.n_unscored})"
        shown.append(text)
    return shown


def to_markdown(entries: Sequence[Entry], columns: Sequence[Column]) -> str:
    """A Markdown table; the signature makes it citable."""
    head = ["", "Model", *(f"{heading(column)} {ARROWS[column.better]}" for column in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for entry in entries:
        # Model names may come from strangers' bundles: no cell borders, no tags.
        name = entry.result.model.replace("|", "\\|").replace("<", "&lt;")
        name += " (anchor)" if entry.anchor else ""
        lines.append("| " + " | ".join([standing(entry), name, *cells(entry, columns)]) + " |")
    return "\n".join([*lines, "", _caption(entries), ""])


LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"}
LATEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
LATEX |= {"Δ": r"$\Delta$", "∞": r"$\infty$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\to$"}


def tex(text: str) -> str:
    r"""Text for LaTeX.

    >>> tex("lse_c 5%")
    'lse\\_c 5\\%'
    """
    return "".join(LATEX.get(letter, letter) for letter in text)


def to_latex(entries: Sequence[Entry], columns: Sequence[Column]) -> str:
    """A booktabs table; means with intervals in small type, who is not ranked and why beneath the rule."""
    width = 2 + len(columns)
    lines = [r"\begin{tabular}{ll" + "r" * len(columns) + "}", r"\toprule"]
    lines.append(
        " & ".join(["", "Model", *(tex(f"{heading(c)} {ARROWS[c.better]}") for c in columns)]) + r" \\"
    )
    lines.append(r"\midrule")
    for entry in entries:
        row = [tex(standing(entry)) or "--"]
        row.append(tex(entry.result.model) + (" (anchor)" if entry.anchor else ""))
        for text in cells(entry, columns):
            mean, bracket, rest = text.partition(" [")
            row.append(tex(mean) + (rf" {{\scriptsize {tex('[' + rest)}}}" if bracket else ""))
        lines.append(" & ".join(row) + r" \\")
    if any(entry.note for entry in entries):
        lines.append(r"\midrule")
        lines += [
            rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {tex(_not_ranked(entry))}}} \\"
            for entry in entries
            if entry.note
        ]
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in _caption(entries).splitlines())]
    return "\n".join(lines) + "\n"


def clusters_of(result: Result) -> str:
    """What intervals are drawn over: "speakers", or "clips" where (nearly) each clip is its own."""
    cells = [result.summary[column.name] for column in result.columns if column.per_clip]
    cell = next((cell for cell in cells if cell.n), None)
    return "clips" if cell is not None and cell.n_clusters > 0.9 * cell.n else "speakers"


def _not_ranked(entry: Entry) -> str:
    return f"{entry.result.model} is not ranked: {entry.note}."


def _caption(entries: Sequence[Entry]) -> str:
    result = entries[0].result
    notes = [_not_ranked(entry) for entry in entries if entry.note]
    level = result.stats.get("level", math.nan)
    return "\n".join(
        [
            f"{result.dataset}, split {result.split}, {result.n_clips} clips, protocol {result.protocol}; "
            f"brackets: {level:.0%} intervals over {clusters_of(result)}.",
            *notes,
            f"Signature: {result.signature}",
        ]
    )
