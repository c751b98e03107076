"""TOML files as tables."""

from __future__ import annotations

import re
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


LARGEST = 1 << 20
"""Bytes of a TOML file that is read; the largest of ours has 6 kB."""
DEEPEST = 64
"""Dots in a line: each level of a key takes a table, and a key of 100,000 levels takes gigabytes."""


def read(path: Path, *, advice: str) -> Table:
    """The table in a file; UsageError with what to do for a file that is no TOML, too large or too deep."""
    if (size := path.stat().st_size) > LARGEST:
        raise UsageError(f"{path}: {size} bytes, at most {LARGEST} are read; {advice}")
    try:
        text = path.read_text(encoding="utf-8")
        deep = next((n for n, line in enumerate(text.splitlines(), 1) if _levels(line) > DEEPEST), 0)
        if deep:
            raise UsageError(f"{path}: line {deep} is nested over {DEEPEST} levels deep; {advice}")
        return parse(text)
    except UsageError:
        raise
    except RecursionError as error:
        raise UsageError(f"{path}: not a TOML file (nested too deeply); {advice}") from error
    except ValueError as error:  # of TOML, of UTF-8, and of numbers with too many digits for Python
        raise UsageError(f"{path}: not a TOML file ({error}); {advice}") from error


def _levels(line: str) -> int:
    """The most words in a row that dots join: the levels of a key.

    >>> _levels("a.b.c = 1.5")
    3
    """
    most = run = 1
    for part in line.split(".")[1:-1]:
        run = run + 1 if re.fullmatch(r"\s*[\w\"'-]+\s*", part) else 1
        most = max(most, run + 1)
    return most
