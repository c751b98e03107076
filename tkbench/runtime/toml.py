"""TOML files as tables."""

from __future__ import annotations

import sys
from pathlib import Path

from tkbench.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = dict[str, object]
"""What a TOML file holds: strings, numbers, lists, dates, and tables within it."""


def parse(text: str) -> Table:
    """The table that a TOML text holds.

    >>> parse("net = {size = 96}")
    {'net': {'size': 96}}
    """
    table: Table = tomllib.loads(text)
    return table


def read(path: Path, *, advice: str) -> Table:
    """The table in a file; UsageError with what to do for a file that is no TOML."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file ({error}); {advice}") from error
