"""One progress bar for every command, on stderr, so that stdout stays data.

Long work reports through a plain callable, `Progress`; only the command line knows about rich.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int, str], None]
"""(done, total, message): called from the main process only, as often as there is news."""


def silent(done: int, total: int, message: str) -> None:
    """The Progress that shows nothing: the default of the Python API."""


@contextmanager
def bar(label: str, *, console: Console | None = None) -> Iterator[Progress]:
    """A live line with bar, count, elapsed time, time left and the latest message.

    Where stderr is not a terminal (a log file, CI) it prints a plain line at every tenth instead of redrawing.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    console = console or Console(stderr=True)
    if not console.is_terminal:
        tenth = -1

        def plain(done: int, total: int, message: str) -> None:
            nonlocal tenth
            now = 10 * done // max(total, 1)
            if now != tenth:
                tenth = now
                console.print(
                    f"{label}: {done}/{total} {message}".rstrip(),
                    highlight=False,
                    soft_wrap=True,
                    markup=False,
                )

        yield plain
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[message]}", markup=True),
    )
    with RichProgress(*columns, console=console) as live:
        task = live.add_task(label, total=None, message="")

        def update(done: int, total: int, message: str) -> None:
            from rich.markup import escape

            live.update(task, completed=done, total=total, message=escape(message))

        yield update
