"""Strata: the groups of clips that a table can be split by, as `--by pose,language` names them.

    measured    pose, face_size, resolution, duration, loudness, speech, brightness: a number per clip, taken from what
                a shard holds (`tkbench.scoring.strata`), cut at the edges of its `Scale`
    labels      what the data set says of a clip: emotion, language, view and others; a text per clip
    speaker     the identity that intervals are clustered by
    split       where several splits were scored together

An evaluation stores numbers and texts in the bundle's `strata.parquet`, so that a table can be split afterwards, at
other edges, too: `--by pose:20:40`. A clip that has no value for a stratum is in the group `NOT_KNOWN`: groups always
add up to the whole.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tkbench.errors import BadBundle, UnknownName, UsageError
from tkbench.registry import suggest
from tkbench.results.bundle import FILE_OF_STRATA, Bundle, Value, column_of


@dataclass(frozen=True, slots=True)
class Scale:
    """A measured stratum: what is measured, and where its groups begin."""

    name: str
    title: str
    unit: str
    edges: tuple[float, ...]
    """Rising; a clip on an edge belongs to the group above it."""
    text: str
    """What is measured, for tables and data cards."""
    digits: int = 0

    def __post_init__(self) -> None:
        if not self.edges or list(self.edges) != sorted(set(self.edges)):
            found = ":".join(f"{edge:g}" for edge in self.edges)
            raise UsageError(
                f"--by {self.name}: edges {found or '(none)'}; expected rising numbers, as in --by pose:20:40"
            )

    def group(self, value: float) -> str:
        """The group of a value.

        >>> SCALES["pose"].group(15.0), SCALES["pose"].group(-3.0)
        ('15 to 30°', 'below 15°')
        """
        return self.groups[bisect_right(self.edges, value)]

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of all groups, lowest first."""
        end = self.unit if self.unit in ("°", "") else f" {self.unit}"
        inner = [f"{a:g} to {b:g}{end}" for a, b in zip(self.edges[:-1], self.edges[1:], strict=True)]
        return (f"below {self.edges[0]:g}{end}", *inner, f"{self.edges[-1]:g}{end} or more")


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            "pose",
            "head pose",
            "°",
            (15, 30, 60),
            "how far the head is turned to a side (yaw without its sign), by eyes and nose; median over the frames",
        ),
        Scale(
            "face_size",
            "face size",
            "px",
            (64, 128, 256),
            "longer side of the face on the canvas, by its landmarks; median over the frames",
        ),
        Scale(
            "resolution",
            "resolution",
            "px",
            (240, 480, 720, 1080),
            "shorter side of the part of the source that the canvas shows, in pixels of the source",
        ),
        Scale("duration", "duration", "s", (2, 5, 10), "length of the clip", 2),
        Scale(
            "loudness",
            "loudness",
            "dB",
            (-40, -30, -20),
            "level of the whole sound (root mean square), relative to full scale",
            1,
        ),
        Scale(
            "speech",
            "speech share",
            "",
            (0.5, 0.7, 0.9),
            "share of the time in which the sound lies within 25 dB of the clip's loud level and above -60 dB",
            2,
        ),
        Scale(
            "brightness",
            "brightness of the face",
            "",
            (80, 120, 160),
            "mean luma (BT.601, 0 to 255) of the pixels inside the face's points; lamp, exposure and make-up move it "
            "as much as skin does: it is no skin tone",
        ),
    )
}
"""Every measured stratum by name."""
NOT_KNOWN = "not known"
"""The group of the clips that have no value."""
MOST_GROUPS = 40
"""Groups that a table shows."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class By:
    """One stratum of `--by`."""

    name: str
    scale: Scale | None = None
    """None for labels."""

    @property
    def title(self) -> str:
        return self.scale.title if self.scale is not None else self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of one stratum: each clip is in exactly one."""

    by: By
    names: tuple[str, ...]
    """In the order of tables: from low to high, labels in the order of the alphabet, `NOT_KNOWN` last."""
    of: Mapping[str, int]
    """Clip -> the place of its group in `names`."""

    def keys(self, place: int) -> list[str]:
        """The clips of a group, sorted."""
        return sorted(key for key, group in self.of.items() if group == place)


def parse(text: str) -> list[By]:
    """What `--by` asks for: names with commas, a measured one with edges of its own after colons.

    >>> [by.name for by in parse("pose:20:40, language")], parse("pose:20:40")[0].scale.groups
    (['pose', 'language'], ('below 20°', '20 to 40°', '40° or more'))
    """
    found: list[By] = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        name, *edges = part.split(":")
        name = name.replace("-", "_")
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"--by {part!r}: a stratum has lower case letters, digits and _; as in --by pose"
            )
        if name in [by.name for by in found]:
            raise UsageError(f"--by {name}: given twice")
        scale = SCALES.get(name)
        if edges and scale is None:
            raise UsageError(f"--by {part}: only measured strata take edges: {', '.join(SCALES)}")
        if edges and scale is not None:
            try:
                scale = replace(scale, edges=tuple(float(edge) for edge in edges))
            except ValueError as error:
                raise UsageError(
                    f"--by {part}: {error}; expected numbers, as in --by {name}:20:40"
                ) from error
        found.append(By(name, scale))
    if not found:
        raise UsageError("--by: names no stratum; as in --by pose,language")
    return found


def values_of(bundle: Bundle) -> dict[str, dict[str, Value]]:
    """Stratum -> clip -> number or text, as the bundle has them; with `speaker`, where clips have one.

    A bundle from before strata were stored has `speaker` alone.
    """
    found: dict[str, dict[str, Value]] = {}
    if FILE_OF_STRATA in bundle.result.files:
        table = bundle.strata()
        numbers = table["number"].to_numpy(float).tolist()
        rows = zip(*(column_of(table, name) for name in ("stratum", "key", "label")), numbers, strict=True)
        for name, key, label, number in rows:
            found.setdefault(name, {})[key] = number if math.isfinite(number) else label
    table = bundle.clips()
    pairs = zip(column_of(table, "key"), column_of(table, "speaker"), strict=True)
    speakers: dict[str, Value] = {key: speaker for key, speaker in pairs if key != "*" and speaker}
    return {**found, **({"speaker": speakers} if speakers else {})}


def grouped(
    by: By, keys: Sequence[str], values: Mapping[str, Mapping[str, Value]], where: object
) -> Grouping:
    """Put each clip into its group. values: stratum -> clip -> number or text; where: for messages.

    Raises UnknownName for a stratum that no clip has a value of, UsageError for one of too many groups.
    """
    if by.name not in values:
        more = "; `tkbench eval` stores them, or give --data SHARDS" if by.name in SCALES and where else ""
        raise UnknownName(f"{where}: no stratum {by.name!r}: {suggest(by.name, sorted(values))}{more}")
    mine = values[by.name]
    names: dict[str, str] = {}
    for key in keys:
        value = mine.get(key)
        if isinstance(value, str):
            names[key] = value if by.scale is None and value else NOT_KNOWN
        elif value is None or math.isnan(value):
            names[key] = NOT_KNOWN
        else:
            names[key] = by.scale.group(value) if by.scale is not None else f"{value:g}"
    there = set(names.values())
    order = by.scale.groups if by.scale is not None else sorted(there - {NOT_KNOWN})
    shown = [name for name in order if name in there] + [NOT_KNOWN] * (NOT_KNOWN in there)
    if len(shown) > MOST_GROUPS:
        raise UsageError(f"--by {by.name}: {len(shown)} groups, at most {MOST_GROUPS} make a table")
    place = {name: i for i, name in enumerate(shown)}
    return Grouping(by, tuple(shown), {key: place[name] for key, name in names.items()})


def check_values(where: object, values: Mapping[str, Mapping[str, Value]], keys: set[str]) -> None:
    """BadBundle for strata that are not of these clips, or whose names could not be printed."""
    for name, mine in values.items():
        if not _NAME.fullmatch(name) or len(name) > 80:
            raise BadBundle(f"{where}: the stratum {name!r:.60} has no name that a table can print")
        if unknown := sorted(set(mine) - keys):
            raise BadBundle(f"{where}: {unknown[0]!r:.80} has a stratum and no scores")
        if odd := [value for value in mine.values() if isinstance(value, str) and not value.isprintable()]:
            raise BadBundle(f"{where}: {odd[0]!r:.60} holds characters that cannot be printed")
