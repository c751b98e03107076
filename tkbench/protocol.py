"""Protocols: everything that can move a score, read from a TOML file and written out in one line.

The bundled ones live in `tkbench/protocols/`. A protocol is frozen once a row cites it: a change is a new version. The
file SHA256SUMS beside it has its hash, and a file that was changed since is refused. A protocol with `[data]` is for
one split of one data set, and has the hash of its list of clips. Installed packages add protocols by the entry
point group `tkbench.protocols`. A user may write a file of their own; its name is in every row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tkbench.errors import UsageError
from tkbench.registry import Registry, find_file
from tkbench.runtime import toml
from tkbench.runtime.storage import write_file
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


class PairSpec(_Strict):
    """One `[[data.pairs]]` entry: which voice goes with which clip.

    `seeded`: the rule of `scoring.clips.choose_partner` with the protocol's seed, a voice of another speaker for each
    clip. `list`: a file that others published, by repository, commit and path; each line names a clip for the voice and
    one for the picture.
    """

    name: str = Field(pattern="^[a-z0-9-]+$")
    how: Literal["self", "seeded", "list"]
    repository: str = ""
    commit: str = Field(default="", pattern="^([0-9a-f]{40})?$")
    path: str = ""
    lines: int = Field(default=0, ge=0)
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """Of the published file. A seeded list has the hash that its clips give it: `tkbench protocol pairs` prints it."""
    short: bool = False
    """Whether its lines name a clip by its file alone, BRING_00018, and not by <id>/<number>. For people: a clip is
    found by any end of its name."""
    note: str = ""


class DataSpec(_Strict):
    """`[data]`: the split of a data set that a protocol is for, and how its clips must have been prepared.

    A protocol whose list of clips nobody has seen yet has no `sha256` and is a draft: it says the rule and the
    published count, and the hash of the list that is scored is in the signature all the same.
    """

    dataset: str
    split: str
    clips: int = Field(ge=1)
    """How many the split has; those that a preparation had to leave out count as well."""
    counted_by: str
    """Who says so."""
    rule: str
    """Which clips these are, in words."""
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """Of the list: the sorted keys, each followed by a line feed (`tkbench data splits`). Empty: a draft."""
    list_from: str = ""
    """Where the list that has this hash was seen."""
    canvas: tuple[int, int]
    """Width and height of every prepared clip, pixels."""
    crops: tuple[str, ...]
    """Crop recipes, with their versions, that the metrics need in the preparation."""
    aggregation: str
    """What means and intervals are over, in words; the numbers are in `[stats]`."""
    pairs: tuple[PairSpec, ...] = ()

    @property
    def draft(self) -> bool:
        """Whether nobody has seen the list yet."""
        return not self.sha256

    def signature(self) -> str:
        """`split:lrs2/test@ed810ec500c3`, or `@draft`."""
        return f"split:{self.dataset}/{self.split}@{self.sha256[:12] or 'draft'}"


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
    data: DataSpec | None = None
    """None: for any data set."""

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
            *([self.data.signature()] if self.data is not None else []),
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


SUMS = "SHA256SUMS"
"""Lists the frozen files of a folder, as `sha256sum -c` reads it."""


def sums(folder: Path) -> dict[str, str]:
    """Name of a frozen file -> its sha256, of a folder; nothing where none is frozen."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise UsageError(
                f"{path} line {number}: {line!r:.80}; expected a sha256, two spaces and a file's name"
            )
        found[name] = digest
    return found


def status_of(path: Path) -> Literal["frozen", "draft", "open"]:
    """Whether a file is frozen, is a draft whose list of clips nobody has seen, or may still change."""
    if path.name in sums(path.parent):
        return "frozen"
    data = _read(path).data
    return "draft" if data is not None and data.draft else "open"


def path_of(name: str | Path) -> Path:
    """The file of a protocol, by name or path. Raises UnknownName."""
    return _find(name)


def freeze(path: Path) -> str:
    """Put a file's sha256 into SHA256SUMS beside it, so that a changed file is refused from now on; returns the hash.

    Raises UsageError for a draft, and for a file that was changed after it was frozen.
    """
    found = _read(path)
    if found.data is not None and found.data.draft:
        raise UsageError(
            f"{path}: a draft: nobody has seen its list of clips. Give --data SHARDS of the whole split, whose list is "
            "then written into a new file"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = sums(path.parent) | {path.name: digest}
    text = "".join(f"{lines[name]}  {name}\n" for name in sorted(lines))
    write_file(path.parent / SUMS, text.encode())
    return digest


def settings(protocol: Protocol) -> dict[str, str]:
    """Every setting by its place in the file, as texts: what `tkbench protocol show` and `diff` print.

    >>> settings(load("synth-v1"))["metrics.sync(judge=syncnet-synth)"]
    'yes'
    """
    found: dict[str, str] = {}

    def add(where: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{where}.{key}" if where else str(key), inner)
        elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
            for inner in value:
                add(f"{where}.{inner['name']}", {key: item for key, item in inner.items() if key != "name"})
        elif value not in ("", None):
            found[where] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

    record = protocol.model_dump()
    record["metrics"] = {spec.signature(): "yes" for spec in protocol.metrics}
    add("", record)
    return found


def _read(path: Path) -> Protocol:
    frozen = sums(path.parent).get(path.name)
    if frozen is not None and hashlib.sha256(path.read_bytes()).hexdigest() != frozen:
        raise UsageError(
            f"{path}: was changed after it was frozen (sha256 {frozen[:12]} in {SUMS}); a change is a new file with a "
            "new version, as in NAME-v2"
        )
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
