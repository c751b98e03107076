"""Which clips are measured, which are shown, and which should be checked first; the same for the same shards."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypedDict

from tkbench.sheet.measure import Measure


class PreparedRow(TypedDict, total=False):
    """What the sheet reads of a prepared clip's row of the manifest; see `tkbench.shards.COLUMNS`."""

    key: str
    clip: str
    path: str | None
    split: str | None
    speaker: str | None
    text: str | None
    n_frames: int
    width: int
    height: int
    n_faces: int | None
    filled_frames: int | None
    sound_off: int | None
    fixes: str | None
    source_start_offset: float | None


class SkippedRow(TypedDict):
    """The same of a clip that was left out."""

    clip: str
    split: str | None
    reason: str
    detail: str | None


Rows = Mapping[str, PreparedRow]
"""Key -> row."""


def spread(rows: Rows, count: int) -> list[str]:
    """At most `count` keys: every split in turn, in it every speaker in turn, by the hash of the key.

    >>> rows = {
    ...     k: {"split": s, "speaker": k[0]} for k, s in [("a1", "x"), ("a2", "x"), ("b1", "x"), ("c1", "y")]
    ... }
    >>> sorted(spread(rows, 3))[1:]
    ['b1', 'c1']
    """
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key in sorted(rows, key=_shuffled):
        row = rows[key]
        groups[str(row.get("split") or "")][str(row.get("speaker") or key)].append(key)
    lines = [_turns(list(speakers.values())) for _, speakers in sorted(groups.items())]
    return _turns(lines)[:count]


def _turns(lines: list[list[str]]) -> list[str]:
    """The first of each line, then the second of each, and so on."""
    longest = max((len(line) for line in lines), default=0)
    return [line[i] for i in range(longest) for line in lines if i < len(line)]


def _shuffled(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def worst(rows: Rows, measures: Mapping[str, Measure], count: int) -> dict[str, list[str]]:
    """At most `count` keys that should be checked first, and why.

    Those with the smallest faces, the widest turns, the most frames filled, the most faces, and the largest offset
    between sound and picture. Only what is unusual counts: a face below 80 px, a turn of more than 30 degrees, a filled
    frame, a second face, an offset of 40 ms.
    """

    def offset(key: str) -> float:
        return float(rows[key].get("source_start_offset") or 0.0) * 1000

    def share(key: str) -> float:
        return int(rows[key].get("filled_frames") or 0) / max(1, int(rows[key].get("n_frames") or 1))

    lists: list[list[tuple[str, str]]] = [
        [
            (key, f"small face: {measures[key].height:.0f} px")
            for key in sorted(measures, key=lambda k: (measures[k].height, k))
            if measures[key].height < 80
        ],
        [
            (key, f"turned by {measures[key].widest:.0f}°")
            for key in sorted(measures, key=lambda k: (-measures[k].widest, k))
            if measures[key].widest > 30
        ],
        [
            (key, f"{share(key):.0%} of its frames filled")
            for key in sorted(rows, key=lambda k: (-share(k), k))
            if share(key) > 0
        ],
        [
            (key, f"{int(rows[key].get('n_faces') or 0)} faces")
            for key in sorted(rows, key=lambda k: (-int(rows[k].get("n_faces") or 0), k))
            if int(rows[key].get("n_faces") or 0) > 1
        ],
        [
            (
                key,
                f"sound starts {abs(offset(key)):.0f} ms {'after' if offset(key) > 0 else 'before'}",
            )
            for key in sorted(rows, key=lambda k: (-abs(offset(k)), k))
            if abs(offset(key)) >= 40
        ],
    ]
    found: dict[str, list[str]] = {}
    for key, why in _interleave(lists):
        if key in found or len(found) < count:
            found.setdefault(key, []).append(why)
    return found


def _interleave(lists: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    longest = max((len(line) for line in lists), default=0)
    return [line[i] for i in range(longest) for line in lists if i < len(line)]
