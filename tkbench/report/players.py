"""The players of a page: short videos of clips that several models have, to be watched side by side.

A bundle's player is one video, the true picture on the left and the generated one on the right. The page's script cuts
it in two, so that any models of a clip stand beside one true picture. The videos are in the page, as text that is not
decoded before it is needed; on a site they are files beside it.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from tkbench.errors import BadBundle
from tkbench.results.bundle import Bundle
from tkbench.results.leaderboard import Entry
from tkbench.runtime.storage import write_file
from tkbench.types import FPS, Float64

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 32 << 20
"""Bytes of videos in one page; clips that most models have come first."""


class WatchClip(TypedDict):
    """A clip that can be watched. Models are named by their place in the table."""

    key: str
    speaker: str
    videos: dict[int, str]
    """Model -> id of the script element that holds the video, or the address of its file."""
    box: list[list[float]] | None
    """Per frame left, top, right, bottom of a square around the mouth, in shares of the true picture."""
    opening: list[float | None]
    """Of the true lips per frame, in percent of the distance of the eyes; empty where it is not known."""
    openings: dict[int, list[float | None]]
    """The same of each model's lips."""
    curves: dict[str, dict[int, list[float]]]
    """Judge -> model -> distance at each shift."""


class WatchData(TypedDict):
    """What the page's script (tkbench/templates/stage.js) reads."""

    fps: float
    files: bool
    """Whether videos are files beside the page."""
    clips: list[WatchClip]


@dataclass(frozen=True, slots=True)
class Players:
    """The players of a page."""

    data: WatchData
    inside: tuple[tuple[str, str], ...]
    """(id, base64) of the videos that the page holds."""
    clips_of: Mapping[str, frozenset[str]]
    """Model -> keys of the clips that it can be watched on."""
    left_out: int
    """Players for which the page has no room."""


@dataclass(frozen=True, slots=True)
class Curves:
    """What a page shows of a model's curves of lip sync: the whole table of 1,000 clips takes 10 MB."""

    means: Mapping[str, Mapping[int, float]]
    """Judge -> shift -> mean distance over the clips; judges by name, shifts from low to high."""
    of_clips: Mapping[str, Mapping[str, list[float]]]
    """Judge -> clip -> distance at each shift, of the clips that somebody has a player of."""


def curves_of(entries: Sequence[Entry]) -> dict[str, Curves]:
    """The curves of each model; one table is in memory at a time."""
    keys = {preview.key for entry in entries for preview in entry.result.previews}
    found = {}
    for entry in entries:
        table = entry.bundle.curves()
        means: dict[str, dict[int, float]] = {}
        averaged = table.groupby(["metric", "shift"], sort=True)["distance"].mean().reset_index()
        columns = (averaged[name].tolist() for name in ("metric", "shift", "distance"))
        for judge, shift, mean in zip(*columns, strict=True):
            means.setdefault(judge, {})[shift] = mean
        found[entry.result.model] = Curves(means, _by_clip(table, keys))
    return found


def collect(
    entries: Sequence[Entry],
    curves: Mapping[str, Curves],
    judges: Mapping[str, str],
    speakers: Mapping[str, str],
    files: Path | None = None,
) -> Players:
    """Every player of the bundles. curves: by model; judges: names of the curves' columns.

    files: a folder beside the page, which gets the videos; without it they are in the page.
    """
    found: dict[str, dict[int, str]] = {}
    for place, entry in enumerate(entries):
        for preview in entry.result.previews:
            found.setdefault(preview.key, {})[place] = preview.file
    mouths = {place: entry.bundle.mouths() for place, entry in enumerate(entries)}
    shifts = {place: curves[entry.result.model].of_clips for place, entry in enumerate(entries)}
    clips: list[WatchClip] = []
    inside: list[tuple[str, str]] = []
    used = left_out = 0
    clips_of: dict[str, set[str]] = {entry.result.model: set() for entry in entries}
    for key in sorted(found, key=lambda key: (-len(found[key]), key)):
        videos: dict[int, str] = {}
        for place, name in found[key].items():
            content = content_of(entries[place].bundle, name)
            if files is not None:
                videos[place] = _write(files, content)
            elif used + len(content) > MOST_BYTES:
                left_out += 1
                continue
            else:
                videos[place] = f"video-{len(inside)}"
                inside.append((videos[place], base64.b64encode(content).decode()))
            used += len(content)
            clips_of[entries[place].result.model].add(key)
        if videos:
            known = {place: mouths[place][key] for place in videos if key in mouths[place]}
            clips.append(_clip(key, speakers.get(key, ""), videos, known))
            clips[-1]["curves"] = _curves_of(key, videos, shifts, judges)
    data = WatchData(fps=FPS, files=files is not None, clips=clips)
    return Players(data, tuple(inside), {name: frozenset(keys) for name, keys in clips_of.items()}, left_out)


def _clip(key: str, speaker: str, videos: dict[int, str], known: Mapping[int, Float64]) -> WatchClip:
    # The true side is the same for all models, apart from the frames that a shorter video lacks.
    longest = max(known.values(), key=len, default=None)
    boxed = longest is not None and bool(np.isfinite(longest[:, 2:6]).all())
    return WatchClip(
        key=key,
        speaker=speaker,
        videos=videos,
        box=np.round(longest[:, 2:6], 4).tolist() if longest is not None and boxed else None,
        opening=[] if longest is None else _plain(longest[:, 0]),
        openings={place: _plain(mouth[:, 1]) for place, mouth in known.items()},
        curves={},
    )


def _plain(values: Float64) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 2) for value in values.tolist()]


def _by_clip(table: pd.DataFrame, keys: set[str]) -> dict[str, dict[str, list[float]]]:
    """Judge -> clip -> distances by shift, of some clips."""
    part = table[table["key"].isin(keys) & np.isfinite(table["distance"])].sort_values("shift", kind="stable")
    found: dict[str, dict[str, list[float]]] = {}
    for (judge, key), curve in part.groupby(["metric", "key"], sort=True):
        found.setdefault(str(judge), {})[str(key)] = np.round(curve["distance"].to_numpy(), 4).tolist()
    return found


def _curves_of(
    key: str,
    videos: Mapping[int, str],
    shifts: Mapping[int, Mapping[str, Mapping[str, list[float]]]],
    judges: Mapping[str, str],
) -> dict[str, dict[int, list[float]]]:
    found: dict[str, dict[int, list[float]]] = {}
    for column, name in judges.items():
        lines = {
            place: shifts[place][column][key] for place in videos if key in shifts[place].get(column, {})
        }
        if lines:
            found[name] = lines
    return found


def content_of(source: Bundle, name: str) -> bytes:
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


def _write(folder: Path, content: bytes) -> str:
    """Keep a video under the hash of its content; its address from the page beside the folder."""
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).exists():
        write_file(folder / name, content)
    return f"{folder.name}/{name}"
