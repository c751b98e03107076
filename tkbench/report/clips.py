"""What the page knows of single clips: the data of the per-clip table, and the players."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tkbench.errors import BadBundle
from tkbench.report import board
from tkbench.report.finding import number
from tkbench.results.bundle import Bundle, Column, Preview
from tkbench.results.leaderboard import Entry, worth


@dataclass(frozen=True, slots=True)
class Player:
    """A video and its caption."""

    id: str
    key: str
    speaker: str
    source: str
    scores: tuple[tuple[str, str], ...]
    """(what they have in common: a judge or a region, or "", the scores in one line)."""


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


def clip_data(
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


def _dense(places: list[int]) -> list[int] | int:
    """One number where all are the same: most columns have a score everywhere, or nowhere."""
    return places[0] if places and len(set(places)) == 1 else places
