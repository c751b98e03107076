"""What every command shares: the app and its groups, options, and how it talks.

Data goes to stdout, talk to stderr.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
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
board = group("leaderboard", "Tables built from result bundles: build, check, submit, remove, export, show.")
bench = group("bench", "Measure speed.")
protocols = group("protocol", "What decides a score: list, show, compare and freeze protocols.")
data = group("data", "Look into shards and take clips out of them.")

Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Address of a Dask scheduler, like tcp://10.0.0.1:8786: use its workers.", show_default=False
    ),
]
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


WIDE = 200
"""Characters of a line where stdout is no terminal and COLUMNS does not say otherwise."""


def stdout_width() -> int:
    """Characters that a line on stdout can hold: those of the terminal, or COLUMNS, or `WIDE`."""
    from rich.console import Console

    console = Console()
    if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal():
        return console.width
    return WIDE


def show(table: RenderableType) -> None:
    """A table on stdout, as wide as `stdout_width` says."""
    from rich.console import Console

    Console(highlight=False, width=stdout_width()).print(table)


def refuse_all(faults: Sequence[str]) -> None:
    """Say what was wrong with some of the input, a line each, after the rest was done; then exit code 2."""
    from tkbench.errors import BadBundle

    for line in faults[:-1]:
        say(f"tkbench: {line}")
    if faults:
        raise BadBundle(faults[-1])


def names_of(text: str | None) -> list[str]:
    """The names in an option that lists them with commas.

    >>> names_of("psnr, ssim,"), names_of(None)
    (['psnr', 'ssim'], [])
    """
    return [name for part in (text or "").split(",") if (name := part.strip())]


def count_workers(workers: int | None) -> int:
    """What --workers says, or one per core."""
    from tkbench.runtime.parallel import default_workers

    return default_workers() if workers is None else workers


def option_type(help: str) -> object:
    """The type of an option that holds a text and may be left out, for a command that is made from a record."""
    return Annotated[str | None, typer.Option(help=help, show_default=False)]


def parameter(name: str, kind: object, default: object = inspect.Parameter.empty) -> inspect.Parameter:
    """A parameter of a command that is made from a record; without a default it must be given."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def set_parameters(command: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> None:
    """Give a command other parameters than it is written with; typer reads signature and annotations."""
    named = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]
    command.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in named}


def with_parameters(
    command: Callable[..., None], typed: Mapping[str, object], more: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """A command whose parameters `typed` get another type, and whose `**` is `more`: for names from a registry."""

    @functools.wraps(command)
    def run(**given: object) -> None:
        command(**given)

    own = inspect.signature(command, eval_str=True).parameters.values()
    written = [item for item in own if item.kind is not inspect.Parameter.VAR_KEYWORD]
    set_parameters(
        run, [*(item.replace(annotation=typed.get(item.name, item.annotation)) for item in written), *more]
    )
    return run


def add_command(
    where: typer.Typer, name: str, command: Callable[..., None], *, any_options: bool = False
) -> None:
    """Put a command into a group, in the place of one of that name. any_options: what it is given is not checked."""
    where.registered_commands = [item for item in where.registered_commands if item.name != name]
    settings = {"allow_extra_args": True, "ignore_unknown_options": True} if any_options else None
    where.command(name, context_settings=settings)(command)
