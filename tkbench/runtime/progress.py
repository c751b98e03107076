"""One progress bar for every command, on stderr, so that stdout stays data.

Long work reports through a plain callable, `Progress`; only the command line knows about rich.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int, str], None]
"""(done, total, message): called from the main process only, as often as there is news."""


_level = {"silent": False, "every_step": False}


def level(silent: bool, every_step: bool) -> tuple[bool, bool]:
    """Show no bar at all, or in a log a line at every step; returns the setting before, to be restored."""
    before = _level["silent"], _level["every_step"]
    _level.update(silent=silent, every_step=every_step)
    return before


def silent(done: int, total: int, message: str) -> None:
    """The Progress that shows nothing: the default of the Python API."""


@contextmanager
def bar(label: str, *, console: Console | None = None) -> Iterator[Progress]:
    """A live line with a bar, the count, the elapsed time, the time left and the latest message.

    Where stderr is not a terminal (a log file, CI) it prints plain lines instead, with the time left: at every tenth of
    the work, and at least once a minute.
    """
    if _level["silent"]:
        yield silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    console = console or Console(stderr=True, emoji=False)
    if not console.is_terminal:
        pace = Pace()

        def plain(done: int, total: int, message: str) -> None:
            left = pace.step(done, total)
            if left is not None or _level["every_step"]:
                console.print(
                    f"{label}: {done}/{total} {message}".rstrip() + (left or ""),
                    highlight=False,
                    soft_wrap=True,
                    markup=False,
                )

        yield plain
        return
    from rich.table import Column

    # In a narrow terminal the message is cut, and nothing else.
    fixed, rest = Column(no_wrap=True, min_width=7), Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        # Names are no markup: "files:ok:" is no picture of a hand.
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(table_column=fixed),
        TextColumn("left"),
        TimeRemainingColumn(table_column=fixed),
        TextColumn("{task.fields[message]}", style="dim", markup=False, table_column=rest),
    )
    with RichProgress(*columns, console=console, expand=True) as live:
        task = live.add_task(label, total=None, message="")
        known = False

        def update(done: int, total: int, message: str) -> None:
            nonlocal known
            if not known and total:
                # Work that an earlier run did says nothing about the speed of this one.
                known = True
                live.reset(task, total=total, completed=done)
            live.update(task, completed=done, total=total, message=message)

        yield update


class Pace:
    """Decides when a plain line is due, and estimates the time left from the speed since the first call.

    >>> now = iter([0.0, 30.0, 61.0, 62.0, 90.0])
    >>> pace = Pace(clock=lambda: next(now))
    >>> [pace.step(done, 100) for done in (10, 12, 13, 14, 20)]
    ['', None, ', 29 min left', None, ', 12 min left']

    Where the count falls, a new piece of work has begun, which has a speed of its own.

    >>> now = iter([0.0, 600.0, 601.0, 602.0])
    >>> pace = Pace(clock=lambda: next(now))
    >>> [pace.step(done, 10) for done in (0, 9, 0, 1)]
    ['', ', 67 s left', '', ', 9 s left']
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._shown = (-1, 0.0)
        self._done = 0

    def step(self, done: int, total: int) -> str | None:
        """The end of the line that is due now, or None where none is."""
        now, tenth = self._clock(), 10 * done // max(total, 1)
        before, self._done = self._done, done
        if self._first is None or done < before:
            self._first = (now, done)
        elif tenth == self._shown[0] and now - self._shown[1] < 60:
            return None
        self._shown = (tenth, now)
        since, at = self._first
        if done <= at or done >= total:
            return ""
        seconds = (now - since) * (total - done) / (done - at)
        if seconds < 90:
            return f", {seconds:.0f} s left"
        return f", {seconds / 60:.0f} min left" if seconds < 5400 else f", {seconds / 3600:.1f} h left"
