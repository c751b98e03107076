"""Single clips on the page: the data of the per-clip table, and the players."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypedDict

from tkbench.errors import BadBundle
from tkbench.report import board
from tkbench.report.finding import number
from tkbench.results.bundle import Bundle, Preview, column_of
from tkbench.results.leaderboard import Entry, worth
from tkbench.types import Better, Column

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Player:
    """A video and its caption."""

    id: str
    key: str
    speaker: str
    source: str
    scores: tuple[tuple[str, str], ...]
    """(the judge or region that they share, or ""; the scores in one line)."""


def players(
    source: Bundle, place: int, columns: Sequence[Column], rank: Column, speakers: dict[str, str]
) -> list[Player]:
    """The bundle's previews, worst first."""

    def badness(preview: Preview) -> tuple[float, str]:
        value = worth(preview.scores.get(rank.name, math.nan), rank)
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
            name, rest = board.split_label(column.label)
            found.setdefault(rest, []).append(f"{name}\u00a0{number(value, column)}")
    return tuple((rest, " · ".join(scores)) for rest, scores in found.items())


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


class ClipHead(board.Head):
    """The heading of a column of the per-clip table."""

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
    players: dict[int, str]
    """Place of a key -> id of its player."""


class ClipData(TypedDict):
    """The per-clip table as the page's script reads it (tkbench/templates/report.js)."""

    columns: list[ClipHead]
    rank: int
    """Place of the ranking column."""
    chosen: int
    """Place of the model that is shown first."""
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
    players: Sequence[Sequence[Player]],
) -> ClipData:
    """The data of the per-clip table, kept small."""
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
    for entry, mine in zip(entries, players, strict=True):
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
                "players": {place[player.key]: player.id for player in mine if player.key in place},
            }
        )
    chosen = next((i for i, entry in enumerate(entries) if not entry.anchor), 0)
    return {
        "columns": [{**board.head(c, rank), "better": c.better, "digits": c.digits} for c in shown],
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


def _dense(places: list[int]) -> Dense:
    """One number where all are the same: most columns have a score everywhere, or nowhere."""
    return places[0] if places and len(set(places)) == 1 else places
