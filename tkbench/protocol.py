"""Protocols: everything that can move a score, read from a TOML file and written out in one line.

The bundled ones live in `tkbench/protocols/`. A protocol is frozen once a row cites it: a change is a new version,
and a test holds the hash of every released file. Installed packages add protocols by the entry point group
`tkbench.protocols`. A user may write a file of their own; its name is in every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tkbench.errors import UsageError
from tkbench.registry import Registry, find_file
from tkbench.runtime import toml
from tkbench.types import Column

INTERVAL = "halves-1"
"""The rule that intervals are made by (`results.stats`): a change of any interval is a new version."""


class _Strict(BaseModel):
    """A typo in a settings file is an error, never a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricSpec(_Strict):
    """One `[[metrics]]` entry: a registered metric and its settings."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)

    def signature(self) -> str:
        """`name(key=value,...)` with sorted keys."""
        inside = ",".join(f"{key}={self.settings[key]}" for key in sorted(self.settings))
        return f"{self.name}({inside})"


class StatsSpec(_Strict):
    """How means become intervals, from parts of the speakers (or sources); see `results.stats`.

    n_boot: random halves of the speakers, where they are too many to take every part. Released protocols call it so.
    """

    n_boot: int = Field(default=2000, ge=100, le=20_000)
    seed: int = Field(default=0, ge=0, lt=2**53)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)


class Protocol(_Strict):
    """A scoring protocol.

    `length_slack`: frames by which a generated video may be shorter than the real one and still be scored, on the
    frames that both have. `coverage_min`: share of clips that must have a score for a model to be ranked.
    `rank_without`: the column to rank by where the network of `rank_by` is missing; "" for none. The signatures of the
    columns name missing networks, so such rows have a table of their own.
    """

    name: str
    summary: str
    rank_by: str
    rank_without: str = ""
    metrics: tuple[MetricSpec, ...] = Field(min_length=1)
    stats: StatsSpec = StatsSpec()
    coverage_min: float = Field(default=0.9, ge=0.0, le=1.0)
    length_slack: int = Field(default=5, ge=0)
    seed: int = 0

    def signature(self) -> str:
        """Every setting of the protocol in one line; equal lines mean comparable numbers."""
        stats = f"halves={self.stats.n_boot},seed={self.stats.seed},level={self.stats.level}"
        parts = [
            self.name,
            "fps:25",
            "sr:16000",
            *(metric.signature() for metric in self.metrics),
            f"slack:{self.length_slack}",
            f"seed:{self.seed}",
            f"stats({stats},interval={INTERVAL})",
            f"coverage:{self.coverage_min:g}",
            f"rank:{self.rank_by}",
            *([f"rank-without:{self.rank_without}"] if self.rank_without else []),
        ]
        return "|".join(parts)

    def ranks_by(self, columns: Sequence[Column]) -> str:
        """The column that ranks: `rank_by`, or `rank_without` where the network of `rank_by` is missing.

        >>> rules = load("tkbench-v3")
        >>> [
        ...     rules.ranks_by(
        ...         [Column("lse_c", "LSE-C", "", "higher", 3, signature=f"lse[net:syncnet-v2@{sha}]")]
        ...     )
        ...     for sha in ("missing", "0123456789ab")
        ... ]
        ['voice_score', 'lse_c']
        """
        lacking = any(column.name == self.rank_by and column.lacks_network for column in columns)
        return self.rank_without if self.rank_without and lacking else self.rank_by


installed: Registry[Path] = Registry("protocol", "tkbench.protocols", of=Path)
"""Protocols of other packages: an entry point "module:attribute" whose object is the path of a TOML file."""


def names() -> list[str]:
    """Every name that `load` knows: bundled ones, then those of installed packages."""
    return [*bundled(), *(name for name in installed if name not in bundled())]


def bundled() -> dict[str, Path]:
    """Name -> file of each protocol that comes with the package."""
    folder = Path(str(resources.files("tkbench") / "protocols"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(name: str | Path) -> Protocol:
    """The protocol called `name`, or the one in the TOML file at that path.

    Raises UnknownName for a name that is neither, UsageError for a file that does not hold a protocol and for a name
    that two packages have.
    """
    path = _find(name)
    found = _read(path)
    if str(name) in installed and found.name != str(name):
        raise UsageError(
            f"{path}: its entry point is called {name!r} and its name is {found.name!r}; use one name"
        )
    return found


def _read(path: Path) -> Protocol:
    table = toml.read(path, advice=f"compare with one of {', '.join(bundled())}")
    try:
        return Protocol.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{path}: {where}: {first['msg']}; fix that entry of the protocol") from error


def _find(name: str | Path) -> Path:
    """The file of a bundled protocol, of one of an installed package, or at a path."""
    named, wanted = bundled(), str(name)
    if wanted not in installed:
        return find_file(name, named, "protocol", others=installed)
    if wanted in named:
        raise UsageError(
            f"protocol {wanted!r} is both tkbench's own and one of {installed.origin(wanted)}; rename the entry point "
            "there, or remove that package"
        )
    path = installed.get(wanted)
    if not path.is_file():
        raise UsageError(
            f"protocol {wanted!r} of {installed.origin(wanted)}: {path} is not there; reinstall it"
        )
    return path


def chosen(protocol: str | Path | Protocol | None, default: str) -> Protocol:
    """What a caller asked for, by name, file or itself; `default` (that of the data set) without a wish."""
    if isinstance(protocol, Protocol):
        return protocol
    return load(protocol if protocol is not None else default)
