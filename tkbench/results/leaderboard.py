"""Tables from result bundles: ranks, cells, CSV, Markdown. `latex` has those for papers.

All rows of a table have one signature, so they were made by the same protocol, data, networks and decoder. A table is
built from bundles, never from another table, so there is no row without the numbers that it rests on.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tkbench.errors import BadBundle, UnknownName, printable
from tkbench.registry import suggest
from tkbench.results import halves, pleased, stacks
from tkbench.results import rows as kept_rows
from tkbench.results import standing as standings
from tkbench.results.bundle import Bundle, Result, Summary
from tkbench.results.delta import with_deltas
from tkbench.results.standing import Standing
from tkbench.runtime.words import counted, plain
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→0"}
STACKS = stacks.FILE
CELL = ("", "_low", "_high", "_level", "_speakers", "_n", "_status")
"""What a CSV has of each metric: `_level` is that of the interval, `_speakers` the mean of the speakers' means."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a table."""

    rank: int | None
    """1 is best; None for an anchor, and where the row is not ranked: then `note` says why."""
    bundle: Bundle
    anchor: bool
    note: str = ""
    ranks: tuple[int, int] | None = None
    """The interval of the rank: see `standing`. None for one row, one speaker, and where it is not ranked."""
    standing: Standing | None = None
    """The ranked models of the table, compared; None where the ranking metric is one number for the whole set."""
    alone: bool = False
    """Whether no other model is ranked. Its `rank` is 1, which says nothing, so no table for people shows it."""
    other: stacks.Other | None = None
    """How its software differs from that of most rows; None where it does not."""

    @property
    def result(self) -> Result:
        return self.bundle.result


def ranked(bundles: Sequence[Bundle], tables: Mapping[str, pd.DataFrame] | None = None) -> list[Entry]:
    """Bundles of one table by their ranking metric; those that cannot be ranked come last, by name.

    Where the true video is among them, columns of the distance to it are added (`tkbench.results.delta`).
    Models are ranked on the clips that every ranked model could be scored on, so that a model gains nothing by
    failing on hard clips. Equal means have equal ranks. Anchors stand at their place in the order and take no rank.

    tables: `Bundle.clips()` by model, where they are at hand.

    Raises BadBundle where signatures differ, naming the first part that does, or a model comes twice.
    """
    check_comparable(bundles)
    bundles = with_deltas(bundles)
    notes = {bundle.result.model: _unranked(bundle.result) for bundle in bundles}
    by_name = sorted(bundles, key=lambda bundle: bundle.result.model)
    scored = [bundle for bundle in by_name if not notes[bundle.result.model]]
    placed = _placed(scored, tables) if scored else []
    others = stacks.others(by_name)
    return [
        replace(entry, other=others.get(entry.result.model))
        for entry in placed
        + [
            Entry(None, bundle, _is_anchor(bundle), notes[bundle.result.model])
            for bundle in by_name
            if notes[bundle.result.model]
        ]
    ]


def _is_anchor(bundle: Bundle) -> bool:
    return bool(bundle.result.model_card.get("anchor"))


def _placed(bundles: Sequence[Bundle], tables: Mapping[str, pd.DataFrame] | None) -> list[Entry]:
    """Entries in their order, with ranks, for bundles that can be ranked."""
    models = {bundle.result.model for bundle in bundles if not _is_anchor(bundle)}
    results = [bundle.result for bundle in bundles]
    column = next(column for column in results[0].columns if column.name == results[0].rank_by)
    if not column.per_clip:
        worths = {result.model: goodness(result.summary[column.name], column) for result in results}
        return [
            Entry(
                None if anchor else 1 + sum(worths[name] > worths[row.result.model] for name in models),
                row,
                anchor,
                alone=not anchor and len(models) == 1,
            )
            for row in sorted(bundles, key=lambda row: -worths[row.result.model])
            for anchor in (_is_anchor(row),)
        ]
    found = standings.standing(results, _clips_of(bundles, tables), column)
    if not found.n:
        names = ", ".join(found.names)
        raise BadBundle(
            f"{column.name}: no clip has a score for each of {names}; make a table of fewer models"
        )
    entries = []
    for row in sorted(bundles, key=lambda row: found.rank(row.result.model)):
        name, anchor = row.result.model, _is_anchor(row)
        rank = None if anchor else found.rank(name, models)
        ranks = None if anchor else found.ranks(name, models)
        alone = not anchor and len(models) == 1
        entries.append(Entry(rank, row, anchor, ranks=ranks, standing=found, alone=alone))
    return entries


def _clips_of(bundles: Sequence[Bundle], tables: Mapping[str, pd.DataFrame] | None) -> list[pd.DataFrame]:
    return [tables[row.result.model] if tables is not None else row.clips() for row in bundles]


def by_column(entries: Sequence[Entry], tables: Mapping[str, pd.DataFrame]) -> dict[str, Standing]:
    """The models of a table compared on each metric that has a value per clip and that some clip has of all."""
    results = [entry.result for entry in entries]
    ranking = {entry.result.rank_by: entry.standing for entry in entries if entry.standing is not None}
    found: dict[str, Standing] = {}
    for column in results[0].columns:
        if not column.per_clip:
            continue
        one = ranking.get(column.name) or standings.standing(
            results, [tables[result.model] for result in results], column
        )
        if one.n:
            found[column.name] = one
    return found


BOLD = (
    "the best mean, and each within its interval that the paired test of the two alone does not part from it; none "
    "where so few speakers can show no order; of numbers of the whole set the best one; anchors do not count"
)
"""What is bold in a table: the models of `best_of`."""


def best_of(entries: Sequence[Entry], column: Column, standing: Standing | None) -> set[str]:
    """The models whose figures are bold; anchors do not count, and a single model has nothing to be best of.

    A test that parts nothing does not show that two are alike: the lag of a silent model can have any mean. So a mean
    must also lie within the best one's interval. A number of the whole set cannot be tested, and only the best one
    counts. standing: the column's, see `by_column`.
    """
    models = {entry.result.model: entry for entry in entries if not entry.anchor}
    if column.per_clip:
        found = standing.best(models) if standing is not None else set()
        cells = {name: models[name].result.summary[column.name] for name in found}
        best = max(cells.values(), key=lambda cell: goodness(cell, column), default=None)
        return {
            name
            for name, cell in cells.items()
            if best is not None and (cell.mean == best.mean or best.low <= cell.mean <= best.high)
        }
    worths = {name: goodness(entry.result.summary[column.name], column) for name, entry in models.items()}
    known = {name: value for name, value in worths.items() if not math.isnan(value)}
    return {name for name, value in known.items() if len(known) > 1 and value == max(known.values())}


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
    return no_less_than_zero(f"{value:.{digits}f}")


def no_less_than_zero(text: str) -> str:
    """The text of a number or share, without the sign of a zero.

    >>> no_less_than_zero("-0.00"), no_less_than_zero("-0%"), no_less_than_zero("-0.01")
    ('0.00', '0%', '-0.01')
    """
    return text if text.strip("-0.%") else text.removeprefix("-")


def to_csv(entries: Sequence[Entry]) -> str:
    """Every mean with its interval, n and status, to six significant digits; empty where there is none.

    `tier` is empty for bundles that no table keeps. `other_software` says what of a row's `stack` most rows have not.

    Where 0 is best, `_size` is the mean distance from it, by which models are compared.
    """
    columns = entries[0].result.columns
    head = ["rank", "rank_low", "rank_high", "model", "anchor", "tier", "n_clips", "coverage"]
    for column in columns:
        head += [f"{column.name}{end}" for end in CELL]
        head += [f"{column.name}_size"] if column.better == "zero" else []
    head += ["note", "stack", "other_software", "dataset", "split", "protocol", "signature", "bundle_sha256"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(safe, head))
    for entry in entries:
        result = entry.result
        span = entry.ranks or ("", "")
        row: list[object] = [
            entry.rank or "",
            *span,
            result.model,
            str(entry.anchor).lower(),
            kept_rows.tier_of(entry.bundle),
            result.n_clips,
        ]
        ranking = result.summary.get(result.rank_by)
        row.append(_plain(ranking.coverage if ranking else math.nan))
        for column in columns:
            cell = result.summary[column.name]
            level = math.nan if math.isnan(cell.low) else level_of(cell, result)
            row += [_plain(x) for x in (cell.mean, cell.low, cell.high, level, cell.cluster_mean)]
            row.append(cell.n)
            row.append("ok" if not cell.n_unscored else status(cell) if not cell.n else partly(cell))
            row += [_plain(cell.mean_size)] if column.better == "zero" else []
        row += [
            entry.note,
            stacks.text_of(entry.bundle),
            "" if entry.other is None else str(entry.other),
            result.dataset,
            result.split,
            result.protocol,
            result.signature,
            entry.bundle.digest,
        ]
        writer.writerow(map(safe, row))
    return text.getvalue()


def partly(cell: Summary) -> str:
    """The status of a mean that lacks some clips."""
    return f"{cell.n_unscored} unscored: " + ", ".join(
        f"{count} {name}" for name, count in cell.reasons.items()
    )


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def safe(cell: object) -> str:
    r"""A cell of a CSV: numbers as they are; a text that a spreadsheet would run as a formula gets a quote.

    Bundles come from strangers, so every text is one: names, labels, data set, split, signature, reasons.

    >>> safe("=cmd"), safe("\t=cmd"), safe("a\x1b[2Jb"), safe(-1.5), safe("-1.5")
    ("'=cmd", "'=cmd", 'a\\x1b[2Jb', '-1.5', '-1.5')
    """
    text = " ".join(printable(str(cell)).split())
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not _NUMBER.fullmatch(text) else text


_NUMBER = re.compile(r"[+-]?([0-9.]+(e[+-]?[0-9]+)?|inf)")


def chosen(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """The columns of these names, all of them for none; raises UnknownName with the nearest ones.

    A name is that of a CSV (`lse_c`) or what a table prints above the column (LSE-C, Sync-C), in whatever case.
    """
    known = {column.name: column for column in columns}
    printed: dict[str, Column] = {}
    for column in columns:
        printed.setdefault(plain(column.label), column)
    for column in columns:  # without the judge in brackets: the first of them
        for shown in heading(column).partition(" (")[0].split(" / "):
            printed.setdefault(plain(shown), column)
    found = []
    for name in names:
        if (meant := known.get(name) or printed.get(plain(name))) is None:
            raise UnknownName(f"the table has no column {name!r}: {suggest(name, list(known))}")
        found.append(meant)
    return found or list(columns)


def named(entry: Entry) -> str:
    """A model as printed tables call it: anchors are said to be ones, a row of other software has a mark."""
    return entry.result.model + (" (anchor)" if entry.anchor else "") + (stacks.MARK if entry.other else "")


def standing(entry: Entry) -> str:
    """A rank with its interval as printed tables have it: "2 [1-3]"."""
    if entry.rank is None or entry.alone:
        return ""
    low, high = entry.ranks or (entry.rank, entry.rank)
    return f"{entry.rank}" if low == high == entry.rank else f"{entry.rank} [{low}-{high}]"


def level_of(cell: Summary, result: Result) -> float:
    """The level of a cell's interval: the table's, or what so few speakers have."""
    return result.stats.get("level", math.nan) if math.isnan(cell.reach) else cell.reach


def bracket(cell: Summary, digits: int) -> str:
    """An interval as printed tables have it, "" for none; with its level where that is not the table's.

    >>> bracket(
    ...     Summary(
    ...         mean=2, low=1, high=3, n=9, n_unscored=0, n_clusters=4, coverage=1, mean_size=2, reach=0.875
    ...     ),
    ...     1,
    ... )
    '[1.0, 3.0; 87 %]'
    """
    if math.isnan(cell.low):
        return ""
    level = "" if math.isnan(cell.reach) else f"; {percent(cell.reach)}"
    return f"[{number(cell.low, digits)}, {number(cell.high, digits)}{level}]"


def percent(share: float) -> str:
    """A level in whole percent, rounded down: 93.75 % are no 94.

    >>> percent(0.9375), percent(0.95)
    ('93 %', '95 %')
    """
    return "-" if math.isnan(share) else f"{math.floor(round(share * 100, 6))} %"


def size(cell: Summary, column: Column) -> str:
    """Where 0 is best, the mean without signs, as printed tables have it: early and late clips cancel in a mean.

    >>> lag = Column("x", "X", "frames", "zero", 1)
    >>> size(Summary(mean=0, low=-1, high=1, n=9, n_unscored=0, n_clusters=9, coverage=1, mean_size=4), lag)
    ' (size 4.0)'
    """
    return (
        f" (size {number(cell.mean_size, column.digits)})" if column.better == "zero" and cell.n > 1 else ""
    )


def cells(entry: Entry, columns: Sequence[Column]) -> list[str]:
    """What a printed table shows per metric: "mean [low, high]" and who lacks a score, or why all do."""
    shown = []
    for column in columns:
        cell = entry.result.summary[column.name]
        if cell.n == 0:
            shown.append(status(cell))
            continue
        mean = f"{number(cell.mean, column.digits)}{size(cell, column)}"
        text = " ".join(filter(None, (mean, bracket(cell, column.digits))))
        if cell.n_unscored:
            text += f" (n={cell.n}/{cell.n + cell.n_unscored})"
        shown.append(text)
    return shown


def to_markdown(entries: Sequence[Entry], columns: Sequence[Column]) -> str:
    """A Markdown table; the signature makes it citable."""
    head = ["", "Model", *(_markdown(f"{heading(column)} {ARROWS[column.better]}") for column in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for entry in entries:
        name = named(entry)
        lines.append(
            "| " + " | ".join(map(_markdown, [standing(entry), name, *cells(entry, columns)])) + " |"
        )
    below = [_markdown(line, borders=False) for line in caption(entries, columns).splitlines()]
    return "\n".join([*lines, "", *below, ""])


def _markdown(text: str, *, borders: bool = True) -> str:
    r"""A text in a Markdown table or beneath it: from strangers' bundles come no borders, tags, links or escapes.

    >>> _markdown("a|b <img> [x](y)"), _markdown("5 [4, 6]")
    ('a\\|b &lt;img> \\[x](y)', '5 [4, 6]')
    """
    text = " ".join(printable(text).split()).replace("<", "&lt;").replace("`", "\\`")
    text = re.sub(r"\[(?=[^\]]*\]\s*[(\[:])", r"\\[", text)
    return text.replace("|", "\\|") if borders else text


def clusters_of(result: Result) -> str:
    """What intervals are drawn over: "speakers", or "clips" where (nearly) each clip is its own."""
    cells = [result.summary[column.name] for column in result.columns if column.per_clip]
    cell = next((cell for cell in cells if cell.n), None)
    return "speakers" if cell is None else f"{standings.unit_of(cell.n_clusters, cell.n)}s"


def not_ranked(entry: Entry) -> str:
    """Why a row has no rank, as a sentence."""
    return f"{entry.result.model} is not ranked: {entry.note}."


def caption(entries: Sequence[Entry], columns: Sequence[Column]) -> str:
    """What stands beneath a printed table, line by line, the signature last."""
    result = entries[0].result
    notes = [not_ranked(entry) for entry in entries if entry.note]
    return "\n".join(
        [
            f"{result.data_title}, split {result.split}, {counted(result.n_clips, 'clip')}, protocol "
            f"{result.protocol}; {intervals_are(result)}.",
            *remarks(entries, columns),
            *notes,
            f"Signature: {result.signature}",
        ]
    )


def intervals_are(result: Result) -> str:
    """What the numbers of a table are, in one clause."""
    if not (levels := levels_of(result)):
        return "means of clips, without intervals"
    old = "" if result.format_version >= 5 else ", made by an older version"
    return f"means of clips; brackets: {levels}{old}"


def levels_of(result: Result) -> str:
    """Which intervals a table has, and over what: so few speakers may have none of its level. "" for none at all."""
    cells = [result.summary[column.name] for column in result.columns if column.per_clip]
    cells = [cell for cell in cells if cell.n and not math.isnan(cell.low)]
    if not cells:
        return ""
    asked, unit = percent(result.stats.get("level", math.nan)), clusters_of(result)
    reached = [cell.reach for cell in cells if not math.isnan(cell.reach)]
    if not reached:
        return f"{asked} intervals over {unit}"
    low, high = percent(min(reached)), percent(max(reached))
    few = high if low == high else f"{low} to {high}"
    if len(reached) == len(cells):
        return f"{few} intervals over {unit}, all that so few allow"
    return f"{asked} intervals over {unit}, {few} where too few have a score"


def remarks(entries: Sequence[Entry], columns: Sequence[Column]) -> list[str]:
    """What has to be known to read the intervals and ranks of a table, a sentence each; every format prints these."""
    return [*second_choice(entries[0].result), *ranks_are(entries), *warnings_of(entries, columns)]


def second_choice(result: Result) -> list[str]:
    """A sentence where the protocol's first choice of a ranking column lacks its network, and the second ranks."""
    said = dict(part.partition(":")[::2] for part in result.signature.split("|"))
    columns = {column.name: column for column in result.columns}
    first = columns.get(said.get("rank", ""))
    if first is None or first.name == result.rank_by or result.rank_by not in columns:
        return []
    return [
        f"Ranked by {columns[result.rank_by].label}: {result.protocol} ranks by {first.label}, whose network is "
        f"missing here."
    ]


def _ranked_together(entries: Sequence[Entry]) -> Standing | None:
    found = next((entry.standing for entry in entries if entry.standing is not None), None)
    return found if found is not None and len(found.names) > 1 else None


def only_one(entries: Sequence[Entry]) -> str:
    """What the one ranked model of a table is called: others may be there that have no rank."""
    alone = sum(not entry.anchor for entry in entries) == 1
    return "only model" if alone else "only model that can be ranked"


def ranks_are(entries: Sequence[Entry]) -> list[str]:
    """What the interval of a rank is, where a table has some; that a single model has no rank."""
    found = _ranked_together(entries)
    if lone := next((entry.result.model for entry in entries if entry.alone), ""):
        return [f"{lone} is the {only_one(entries)} of this table, so it has no rank."]
    models = sum(entry.rank is not None for entry in entries)
    if found is None or models < 2:
        return []
    alpha = 1 - found.level
    return [
        f"Rank [a-b]: the places that paired tests leave a model; a is 1 + the models clearly better, b {models} - "
        f"those clearly worse, anchors aside; clearly: "
        f"paired sign-flip test over {found.unit}s, Holm's correction for {_all_pairs(len(found.p))}, p at most "
        f"{alpha:.2g}."
    ]


def warnings_of(entries: Sequence[Entry], columns: Sequence[Column]) -> list[str]:
    """What a reader must not overlook in a table, a sentence each."""
    found = _ranked_together(entries)
    texts = list(filter(None, [stacks.remark([entry.other for entry in entries if entry.other is not None])]))
    if found is not None and found.too_few:
        texts.append(f"{found.too_few}.")
    if found is not None and found.n < found.n_clips:
        texts.append(
            f"Ranked models are compared on the {found.n} of {found.n_clips} clips that each has a score for."
        )
    if found is not None:
        result = entries[0].result
        ranking = next(column for column in result.columns if column.name == result.rank_by)
        texts += filter(None, [pleased.warning(ranking.name, ranking.label)])
        late = [entry.result.model for entry in entries if entry.result.model.startswith("shift:")]
        if late and pleased.forgives_lag(ranking.name):
            texts.append(
                f"{ranking.label} forgives a constant lag, so {', '.join(late)} can stand level with the true video; "
                "the columns of lag show it."
            )
    return [*texts, *_of_means(entries, columns)]


def _all_pairs(count: int) -> str:
    return "the one pair" if count == 1 else f"all {count} pairs"


MOST_OF_ONE = 0.2
"""Share of the clips above which a speaker is remarked on, where an equal share is not nearly as large."""
MOST_NAMED = 6
"""Cells that a remark lists; a CSV has them all."""


def _of_means(entries: Sequence[Entry], columns: Sequence[Column]) -> list[str]:
    result = entries[0].result
    filled = [
        (entry, column, cell)
        for entry in entries
        for column in columns
        if column.per_clip and (cell := entry.result.summary[column.name]).n
    ]
    texts = []
    if any(not math.isnan(cell.reach) for _, _, cell in filled):
        level = result.stats.get("level", math.nan)
        texts.append(
            f"Fewer than {halves.speakers_needed(1, level)} {clusters_of(result)} have no {percent(level)} interval: "
            "brackets with a level are their lowest and highest mean, and hold the true mean at most that often."
        )
    loud = [
        (cell.largest_share, entry.result.model, column.label)
        for entry, column, cell in filled
        if cell.largest_share > max(MOST_OF_ONE, 1.5 / cell.n_clusters)
    ]
    if loud:
        share, model, label = max(loud)
        texts.append(
            f"One speaker brings {percent(share)} of the clips that {label} of {model} is the mean of, and counts for "
            "as much of it."
        )
    uneven = [
        f"{entry.result.model} {column.label} {number(cell.cluster_mean, column.digits)} "
        f"(of clips {number(cell.mean, column.digits)})"
        for entry, column, cell in filled
        if cell.lopsided
    ]
    if uneven:
        more = f" and {len(uneven) - MOST_NAMED} more" if len(uneven) > MOST_NAMED else ""
        texts.append(
            "The mean of speakers, each counted once, differs by over a quarter of the interval: "
            f"{', '.join(uneven[:MOST_NAMED])}{more}."
        )
    return texts
