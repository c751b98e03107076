"""Single clips on the page: the data of the per-clip table.

It is JSON that the page parses when a reader comes to the table, and not before: it grows with clips times models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from tkbench.report import board, finding
from tkbench.results.bundle import column_of
from tkbench.results.leaderboard import Entry
from tkbench.types import Better, Column

if TYPE_CHECKING:
    import pandas as pd


class ClipHead(board.Head):
    """The heading of a column of the per-clip table."""

    key: str
    better: Better
    digits: int


Dense = list[int] | int
"""A number per clip, or one number where all are the same."""


class ModelClips(TypedDict):
    """The clips of one model: lists by column, each in the order of the keys."""

    name: str
    anchor: bool
    values: list[list[float | str | None]]
    reasons: list[Dense]
    """Places in `ClipData.texts`."""
    details: list[Dense]
    players: list[int]
    """Places of the keys that have a player."""


class ClipData(TypedDict):
    """The per-clip table as the page's script reads it (tkbench/templates/report.js)."""

    columns: list[ClipHead]
    rank: int
    """Place of the ranking column."""
    chosen: int
    """Place of the model that is shown first."""
    real: int | None
    """Place of the true video among the models."""
    keys: list[str]
    speakers: list[str]
    models: list[ModelClips]
    texts: list[str]
    """Every reason and detail once."""


def clip_data(
    entries: Sequence[Entry],
    tables: dict[str, pd.DataFrame],
    columns: Sequence[Column],
    rank: Column,
    speakers: dict[str, str],
    players: Mapping[str, frozenset[str]],
) -> ClipData:
    """The data of the per-clip table, kept small. players: model -> keys of the clips that have one."""
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

    models: list[ModelClips] = []
    for entry in entries:
        values: dict[str, list[float | str | None]] = {column.name: [None] * len(keys) for column in shown}
        reasons = {column.name: [0] * len(keys) for column in shown}
        details = {column.name: [0] * len(keys) for column in shown}
        digits = {column.name: column.digits + 2 for column in shown}
        table = tables[entry.result.model]
        rows = zip(
            *(column_of(table, name) for name in ("key", "metric", "reason", "detail")),
            table["value"].tolist(),
            strict=True,
        )
        for key, metric, reason, detail, value in rows:
            if metric not in values or key == "*":
                continue
            i = place[key]
            values[metric][i] = _plain(float(value), digits[metric])
            reasons[metric][i] = text(reason)
            details[metric][i] = text(detail)
        models.append(
            {
                "name": entry.result.model,
                "anchor": entry.anchor,
                "values": [values[column.name] for column in shown],
                "reasons": [_dense(reasons[column.name]) for column in shown],
                "details": [_dense(details[column.name]) for column in shown],
                "players": sorted(place[key] for key in players[entry.result.model] if key in place),
            }
        )
    chosen = next((i for i, entry in enumerate(entries) if not entry.anchor), 0)
    return {
        "columns": [
            {**board.head(c, rank), "key": c.name, "better": c.better, "digits": c.digits} for c in shown
        ],
        "rank": next((i for i, column in enumerate(shown) if column is rank), 0),
        "chosen": chosen,
        "real": next(
            (i for i, e in enumerate(entries) if e.anchor and e.result.model == finding.CEILING), None
        ),
        "keys": keys,
        "speakers": [speakers[key] for key in keys],
        "models": models,
        "texts": texts,
    }


def _plain(value: float, digits: int) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, digits) if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _dense(places: list[int]) -> Dense:
    """One number where all are the same: most columns have a score everywhere, or nowhere."""
    return places[0] if places and len(set(places)) == 1 else places
