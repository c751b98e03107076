"""How commands talk: answers on stdout, talk on stderr; as JSON, quietly, or with every step.

    show(table)             a table for people, or its rows for `--json`
    answer(pairs=[...])     what `--json` prints in the place of tables: numbers, not texts
    say("...")              a line for people; `--quiet` leaves it out, `--json` prints it with the answer, too
    detail("...")           a line for `--verbose` alone
    with waiting("report"): a sign of life in work that has no bar

With `--json` a command prints one object: `command`, what was answered, or `tables` with their cells as texts, `said`,
and `error` where it ended with one.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE = 200
"""Characters of a line where stdout is no terminal and COLUMNS does not say otherwise."""
EVERY = 20.0
"""Seconds between signs of life where stderr is no terminal."""


@dataclass(slots=True)
class Mode:
    """How the command that runs talks, and what it has said for `--json`."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    answers: dict[str, object] = field(default_factory=dict)
    tables: list[object] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


_modes: list[Mode] = [Mode()]
"""The last one is that of the command that runs."""


def now() -> Mode:
    """The mode of the command that runs."""
    return _modes[-1]


@contextmanager
def mode(name: str, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Run a command in a mode; prints the one JSON object at its end, whatever that is."""
    from tkbench.runtime import progress

    mine = Mode(as_json, quiet, verbose)
    _modes.append(mine)
    before = progress.level(silent=quiet, every_step=verbose)
    fault = ""
    try:
        yield
    except Exception as error:
        fault = " ".join(str(error).split())
        raise
    finally:
        progress.level(*before)
        if as_json:
            _print(name, mine, fault)
        if not (verbose and fault):
            _modes.pop()  # otherwise the refusal shows the traceback, and takes it away


def forget() -> None:
    """Back to the mode outside of commands."""
    del _modes[1:]


def _print(name: str, mine: Mode, fault: str) -> None:
    told: dict[str, object] = {"command": name, **mine.answers}
    if not mine.answers and mine.tables:
        told["tables"] = mine.tables
    if mine.said:
        told["said"] = mine.said
    if fault:
        told["error"] = fault
    sys.stdout.write(json.dumps(plain(told), indent=1, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def plain(value: object) -> object:
    """A value as strict JSON: nan is null, infinity a text, a path its text.

    >>> plain({"a": [float("nan"), float("-inf"), 1.5], "b": (True, "x")})
    {'a': [None, '-inf', 1.5], 'b': [True, 'x']}
    """
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy
        return plain(value.item())
    if isinstance(value, float):
        return None if math.isnan(value) else str(value) if math.isinf(value) else value
    return str(value)


def talk() -> Console:
    """The console for people: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line for people, on stderr, never wrapped: paths in it are copied by hand."""
    if now().as_json:
        now().said.extend(text.splitlines())
    if not now().quiet:
        talk().print(text, markup=False, soft_wrap=True)


def detail(text: str) -> None:
    """A line for those who asked for every step."""
    if now().verbose:
        talk().print(text, markup=False, soft_wrap=True, style="dim")


def stdout_width() -> int:
    """Characters that a line on stdout can hold: those of the terminal, or COLUMNS, or `WIDE`."""
    from rich.console import Console

    console = Console()
    if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal():
        return console.width
    return WIDE


def show(table: RenderableType) -> None:
    """A table on stdout, as wide as `stdout_width` says. Notes beneath it (dim text) are a line each without -v."""
    if now().as_json:
        now().tables.append(records(table))
        return
    from rich.console import Console
    from rich.text import Text

    if isinstance(table, Text) and table.style == "dim" and not now().verbose:
        lines = table.plain.splitlines()
        short = [brief(line, stdout_width()) for line in lines]
        more = [] if short == lines else ["-v shows these notes whole."]
        table = Text("\n".join([*short, *more]), style="dim")
    Console(highlight=False, width=stdout_width()).print(table)


def brief(line: str, width: int) -> str:
    """A note in one line of so many characters, where it has a clause that ends there; a command in it is never cut.

    >>> brief(
    ...     "FID unscored: weights-missing; run `tkbench weights fetch a` (or `tkbench weights add a FILE`)",
    ...     70,
    ... )
    'FID unscored: weights-missing; run `tkbench weights fetch a` ...'
    >>> brief("Rank [a-b]: how many are clearly better; clearly: a paired test over all speakers", 60)
    'Rank [a-b]: how many are clearly better ...'
    >>> brief("short", 60)
    'short'
    """
    if len(line) <= width:
        return line
    command = re.match(r"[^`]*`[^`]*`", line)
    least = command.end() if command is not None else 0
    ends = [at.start() for at in re.finditer(r"[;,:.]? ", line) if at.start() <= width - 4]
    clauses = [at.start() for at in re.finditer(r"; | \(|\. ", line) if width / 2 <= at.start() <= width - 4]
    best = (clauses or ends or [width - 4])[-1]
    return f"{line[: max(best, least)]} ..." if max(best, least) < len(line) else line


def print_text(text: str, /, **answers: object) -> None:
    """A text that is the answer itself, on stdout as it is; `answers`: the same for `--json`."""
    if now().as_json:
        answer(**(answers or {"text": text}))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


def answer(**facts: object) -> None:
    """What `--json` prints. Nothing otherwise: `show` and `say` are for people."""
    now().answers.update(facts)


def answers_json() -> bool:
    """Whether the answer goes out as JSON, so that tables for people need not be made."""
    return now().as_json


def records(table: RenderableType) -> object:
    """A table of rich as title and rows: columns of numbers as numbers, every other cell as the text in it."""
    from rich.table import Table
    from rich.text import Text

    if not isinstance(table, Table):
        return str(table)

    def text(cell: object) -> str:
        return Text.from_markup(cell).plain if isinstance(cell, str) else str(cell)

    heads = [text(column.header) or str(place) for place, column in enumerate(table.columns)]
    columns = [numbers([text(cell) for cell in column.cells]) for column in table.columns]
    rows = [dict(zip(heads, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return {"title": text(table.title), "rows": rows} if table.title else {"rows": rows}


NUMBER = re.compile(r"[+−-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?(e[+-]?\d+)?( ?%)?")
EMPTY = ("", "-", "–")
"""What stands in a cell that has no number."""


def numbers(cells: list[str]) -> list[object]:
    """A column of which every cell is a number, as numbers; a cell without one is None. Other columns stay texts: a
    hash, or a version, may look like a number now and then. A percentage becomes a share.

    >>> numbers(["1,234", "-", "0.5"]), numbers(["12", "a3"]), numbers(["", "-"]), numbers(["50 %", "1e-3"])
    ([1234, None, 0.5], ['12', 'a3'], ['', '-'], [0.5, 0.001])
    """
    whole = [cell.strip() for cell in cells]
    full = [cell for cell in whole if cell not in EMPTY]
    if not full or not all(NUMBER.fullmatch(cell) and not re.match(r"0\d", cell) for cell in full):
        return list(cells)

    def number(cell: str) -> int | float:
        plain = cell.replace(",", "").replace("−", "-").rstrip("% ")
        if "%" in cell:
            return round(float(plain) / 100, 9)
        return int(plain) if plain.lstrip("+-").isdecimal() else float(plain)

    return [None if cell in EMPTY else number(cell) for cell in whole]


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A sign of life while work runs that has no bar: a spinner, or a line every 20 seconds in a log."""
    console = talk()
    if now().quiet:
        yield
        return
    if console.is_terminal:
        with console.status(f"{what} ..."):
            yield
        return
    import threading

    done = threading.Event()

    def tell() -> None:
        seconds = 0.0
        while not done.wait(EVERY):
            seconds += EVERY
            console.print(f"{what}: still at work after {seconds:.0f} s", markup=False, soft_wrap=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
