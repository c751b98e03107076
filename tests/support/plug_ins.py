"""Packages that look installed: a folder on the import path with modules and the entry points that pip would write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from tkbench import metrics, models, protocol
from tkbench.cli import common
from tkbench.models import kinds
from tkbench.prep import datasets
from tkbench.registry import Registry
from tkbench.runtime import toml

REGISTRIES: tuple[Registry[object], ...] = (
    models.registry,
    kinds.registry,
    metrics.registry,
    datasets.registry,
    protocol.installed,
)
EXAMPLE = Path(__file__).parents[2] / "examples" / "plug-in"


def write(folder: Path, package: str, groups: Mapping[str, Mapping[str, str]], module: str = "") -> Path:
    """The metadata of `package` 1.0 and a module of that name with this text; groups: entry points."""
    facts = folder / f"{package}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if module:
        (folder / f"{package}.py").write_text(module)
    return folder


@contextmanager
def installed(*folders: Path) -> Iterator[None]:
    """Registries and commands as a new process would have them with these folders on its path."""
    groups = (common.prep, common.data)
    commands = [list(group.registered_commands) for group in groups]
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(str(folder))
        for registry in REGISTRIES:
            patch.setattr(registry, "_plug_ins", None)
            patch.setattr(registry, "_clashes", {})
        yield
    for group, before in zip(groups, commands, strict=True):
        group.registered_commands = before


def example(folder: Path) -> Path:
    """The example package as if it were installed: its source, and what its pyproject.toml registers."""
    table = toml.read(EXAMPLE / "pyproject.toml", advice="")
    groups = cast("dict[str, dict[str, dict[str, str]]]", table["project"])["entry-points"]
    return write(folder, "tkbench_example", cast("dict[str, dict[str, str]]", groups))
