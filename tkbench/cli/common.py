"""What every command shares: the app and its groups, options, and how it talks.

Data goes to stdout, talk to stderr.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

app = typer.Typer(
    name="tkbench",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Prepare talking-face data, score models on it, publish tables that can be recomputed.\n\n"
    "Try it with no data: `tkbench demo --out demo`",
)


def group(name: str, text: str) -> typer.Typer:
    """A group of commands, `tkbench NAME ...`."""
    made = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=text)
    app.add_typer(made, name=name)
    return made


prep = group("prep", "Turn videos into standardized shards.")
weights = group("weights", "Networks that metrics need: list, fetch, add, verify.")
board = group("leaderboard", "Tables built from result bundles.")
bench = group("bench", "Measure speed.")
data = group("data", "Look into shards and take clips out of them.")

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", "-w", min=1, help="Processes; by default one per core, at most 8.", show_default=False
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split", "-s", help="Only the clips of one split, as in --split test.", show_default=False
    ),
]
Shards = Annotated[Path, typer.Option("--data", "-d", help="Folder of shards, as `tkbench prep` made it.")]


def writable(path: Path, what: str, *, folder: bool = False) -> Path:
    """`path`, whose folder (itself with `folder`) is made if need be; UsageError where that cannot be."""
    from tkbench.errors import UsageError

    place = path if folder else path.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{what} {path}: cannot be written ({error.strerror}); give another place"
        ) from error
    if not folder and path.is_dir():
        raise UsageError(f"{what} {path}: is a folder, expected the name of a file")
    if not os.access(place, os.W_OK):
        raise UsageError(f"{what} {path}: cannot be written (permission denied); give another place")
    return path


def talk() -> Console:
    """The console for people: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line for people, on stderr, never wrapped: paths in it are copied by hand."""
    talk().print(text, markup=False, soft_wrap=True)


def show(table: RenderableType) -> None:
    """A table on stdout; wide enough for its columns where stdout is not a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(table)


def count_workers(workers: int | None) -> int:
    """What --workers says, or one per core."""
    from tkbench.runtime.parallel import default_workers

    return default_workers() if workers is None else workers
