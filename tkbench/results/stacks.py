"""The software that the rows of a table were scored by, where it differs between them.

ffmpeg and tkbench are in the signature. Other packages between a video and its scores (OpenCV, the tracker, numpy,
torch) are not: most of their releases change no printed digit, and a table that split at each would compare nothing.
So rows of different stacks share a table, and those that differ from most are marked. What a difference moves is
measured on a small clip, stage by stage:

    tkbench doctor --out here.json                                      on each machine
    tkbench doctor --compare here.json there.json --record leaderboards/stacks.csv

A table looks for `stacks.csv` beside itself and in the two folders above its rows.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.results.bundle import Bundle
from tkbench.runtime.storage import write_file

FILE = "stacks.csv"
HEAD = ("first", "second", "effect")
ELSEWHERE = ("tkbench", "ffmpeg", "python")
"""Parts of a stack that are in the signature, or move no number by themselves."""
MARK = "†"
LARGEST = 1 << 20

Change = tuple[str, str, str]
"""A package, and its versions on the one side and on the other."""


@dataclass(frozen=True, slots=True)
class Other:
    """A row that was scored by other software than most of its table."""

    model: str
    changes: tuple[Change, ...]
    """(package, version of most rows, version of this row), by name."""
    effect: str
    """What `tkbench doctor --compare` found between the two, or ""."""

    def __str__(self) -> str:
        return ", ".join(f"{name} {here} (most rows: {most})" for name, most, here in self.changes)


def parts_of(bundle: Bundle) -> dict[str, str]:
    """What of a bundle's stack is not in its signature."""
    return comparable(bundle.result.stack)


def comparable(stack: Mapping[str, str]) -> dict[str, str]:
    """The parts of a stack that rows of one table may differ in, by name.

    OpenCV counts once: its module has one version, whichever of its four wheels brought it.

    >>> comparable({"tkbench": "1", "numpy": "2.4.6", "opencv": "5.1.0", "opencv-python": "5.1.0.95"})
    {'numpy': '2.4.6', 'opencv': '5.1.0'}
    >>> comparable({"opencv-python": "5.1.0.95"})
    {'opencv': '5.1.0'}
    """
    found: dict[str, str] = {}
    for name, version in stack.items():
        if name.startswith("opencv-"):
            found.setdefault("opencv", ".".join(version.split(".")[:3]))
        elif name not in ELSEWHERE:
            found[name] = version
    if "opencv" in stack:
        found["opencv"] = stack["opencv"]
    return dict(sorted(found.items()))


def text_of(bundle: Bundle) -> str:
    """The same in one cell: "numpy 2.4.6; opencv 5.1.0"."""
    return "; ".join(f"{name} {version}" for name, version in parts_of(bundle).items())


def changes(most: Mapping[str, str], here: Mapping[str, str]) -> tuple[Change, ...]:
    """Packages whose versions are known on both sides and differ."""
    return tuple(
        (name, most[name], here[name]) for name in sorted(most) if here.get(name, most[name]) != most[name]
    )


def others(bundles: Sequence[Bundle]) -> dict[str, Other]:
    """Model -> how its software differs from that of most rows; of equally many, that of the first name counts."""
    stacks = {bundle.result.model: parts_of(bundle) for bundle in bundles}
    count = Counter(tuple(stack.items()) for stack in stacks.values())
    usual = min(stacks, key=lambda name: (-count[tuple(stacks[name].items())], name != "real", name))
    effects = measured(bundles[0].folder)
    found = {}
    for model, stack in stacks.items():
        if differing := changes(stacks[usual], stack):
            found[model] = Other(model, differing, _effect(differing, effects))
    return found


def _effect(found: Sequence[Change], effects: Mapping[frozenset[frozenset[tuple[str, str]]], str]) -> str:
    return effects.get(_sides([(n, a) for n, a, _ in found], [(n, b) for n, _, b in found]), "")


def _sides(
    one: Sequence[tuple[str, str]], two: Sequence[tuple[str, str]]
) -> frozenset[frozenset[tuple[str, str]]]:
    return frozenset((frozenset(one), frozenset(two)))


def measured(folder: Path) -> dict[frozenset[frozenset[tuple[str, str]]], str]:
    """What was recorded of pairs of stacks, in the nearest `stacks.csv`."""
    for place in [folder, *list(folder.absolute().parents)[:3]]:
        if (place / FILE).is_file():
            return {
                _sides(_versions(first), _versions(second)): effect
                for first, second, effect in read(place / FILE)
            }
    return {}


def read(path: Path) -> list[tuple[str, str, str]]:
    """The rows of a stacks.csv. Raises UsageError for another file."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: {path.stat().st_size} bytes, at most {LARGEST} are read")
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    if not rows or tuple(rows[0]) != HEAD or any(len(row) != len(HEAD) for row in rows):
        raise UsageError(
            f"{path}: no file that `tkbench doctor --record` wrote; its columns are {', '.join(HEAD)}"
        )
    return [(a, b, c) for a, b, c in rows[1:]]


def record(path: Path, one: Mapping[str, str], two: Mapping[str, str], effect: str) -> None:
    """Add what was measured between two stacks to a stacks.csv, in the place of an earlier line about them."""
    differing = changes(comparable(one), comparable(two))
    if not differing:
        raise UsageError(
            "--record: both machines have the same packages, so there is no difference to record"
        )
    sides = [
        "; ".join(f"{name} {version}" for name, version in side)
        for side in ([(n, a) for n, a, _ in differing], [(n, b) for n, _, b in differing])
    ]
    rows = read(path) if path.exists() else []
    about = _sides(_versions(sides[0]), _versions(sides[1]))
    rows = [row for row in rows if _sides(_versions(row[0]), _versions(row[1])) != about]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEAD, *sorted([*rows, (sides[0], sides[1], effect)])])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text.getvalue().encode())


def _versions(text: str) -> list[tuple[str, str]]:
    """Of "numpy 2.4.6; opencv 5.1.0".

    >>> _versions("numpy 2.4.6; opencv 5.1.0")
    [('numpy', '2.4.6'), ('opencv', '5.1.0')]
    """
    return [(name, version) for part in text.split("; ") for name, _, version in [part.partition(" ")]]


def remark(found: Sequence[Other]) -> str:
    """What a printed table says beneath it, "" where all rows have one stack."""
    if not found:
        return ""
    texts = []
    for other in found:
        effect = f"; measured effect: {other.effect}" if other.effect else "; its effect was not measured"
        texts.append(f"{other.model}: {other}{effect}")
    return f"{MARK} scored by other software than most rows: {'. '.join(texts)}."
