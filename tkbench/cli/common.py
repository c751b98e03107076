"""What every command shares: the app and its groups, and options.

Data goes to stdout, talk to stderr (`tkbench.cli.talking`).
"""

from __future__ import annotations

import functools
import inspect
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from typer.core import TyperGroup

from tkbench.cli import talking
from tkbench.cli.talking import say, show, stdout_width, talk

__all__ = ["say", "show", "stdout_width", "talk"]
Command = TypeVar("Command", bound=Callable[..., None])

PANELS = {
    "Start here": ("demo", "doctor", "ls"),
    "Prepare data": ("prep", "data"),
    "Score models": ("weights", "eval", "compare", "leaderboard", "report"),
    "Publish and check": ("verify", "cite", "reproduce"),
    "Train": ("train", "generate"),
    "Look closer": ("protocol", "sensitivity", "study", "bench"),
}
"""Commands and groups in the order of work, as `tkbench --help` shows them."""
_PANEL_OF = {name: panel for panel, names in PANELS.items() for name in names}


class OrderOfWork(TyperGroup):
    """The commands in the order of `PANELS`; a command that is in none comes last."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        order = list(_PANEL_OF)
        return sorted(self.commands, key=lambda name: order.index(name) if name in order else len(order))


class Commands(typer.Typer):
    """A Typer whose commands all take `--json`, `--quiet` and `--verbose`."""

    def command(self, name: str | None = None, **settings: object) -> Callable[[Command], Command]:
        if self is app and name in _PANEL_OF:
            settings.setdefault("rich_help_panel", _PANEL_OF[name])
        register = super().command(name, **settings)  # type: ignore[arg-type]

        def add(command: Command) -> Command:
            register(talkative(name or "", command))
            return command

        return add


def talkative(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of how it talks besides its own."""

    @functools.wraps(command)
    def run(**given: object) -> None:
        how = {option.name: bool(given.pop(option.name, False)) for option in talking_options}
        if how.get("quiet") and how.get("verbose"):
            from tkbench.errors import UsageError

            raise UsageError("--quiet and --verbose exclude each other: give one of them")
        with talking.mode(name, **how):
            command(**given)

    own = inspect.signature(command, eval_str=True).parameters
    talking_options = [option for option in TALKING if option.name not in own]
    set_parameters(run, [*own.values(), *talking_options])
    return run


TALKING = tuple(
    inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option(*words, help=text, rich_help_panel="How it talks")],
    )
    for name, words, text in (
        ("as_json", ("--json",), "Print the answer as JSON on stdout."),
        ("quiet", ("--quiet", "-q"), "Print answers and errors only."),
        ("verbose", ("--verbose", "-v"), "Print every step, and the traceback of an error."),
    )
)

app = Commands(
    name="tkbench",
    cls=OrderOfWork,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Prepare talking-face data, score models on it, publish tables that can be recomputed.\n\n"
    "Try it with no data: `tkbench demo --out demo`",
)


def group(name: str, text: str) -> typer.Typer:
    """A group of commands, `tkbench NAME ...`."""
    made = Commands(no_args_is_help=True, rich_markup_mode="markdown", help=text)
    app.add_typer(made, name=name, rich_help_panel=_PANEL_OF.get(name))
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
ShardsHere = Annotated[Path | None, typer.Argument(help="Folder of shards.", show_default=False)]
"""Of commands that take shards as an argument: `--data` says the same."""
ShardsToo = Annotated[
    Path | None, typer.Option("--data", "-d", help="The same as SHARDS.", show_default=False)
]


Device = Annotated[
    str,
    typer.Option(help="Where networks run: cpu, cuda, cuda:1 or mps. Scores differ in their last digits."),
]
Accelerator = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
"""Of commands that train, on `--devices` of that kind."""
AcceleratorBefore = Annotated[str | None, typer.Option("--accelerator", hidden=True)]
"""The name of `--device` in commands that train, before all commands had one."""
Crops = Annotated[
    Path | None,
    typer.Option(
        "--crops", help="Folder where crops of faces are kept for the next run.", show_default=False
    ),
]
CropsBefore = Annotated[Path | None, typer.Option("--cache", hidden=True)]
"""The name of `--crops` before `--cache` meant the features of an evaluation alone."""


def either(new: Path | None, old: Path | None) -> Path | None:
    """The folder of crops by its name of today or by the one before; UsageError for both."""
    from tkbench.errors import UsageError

    if new is not None and old is not None:
        raise UsageError(
            "--crops and --cache are the same option, --cache its older name: give --crops alone"
        )
    return old if new is None else new


def writable(path: Path, what: str, *, folder: bool = False, resumed: bool = False) -> Path:
    """`path`, whose folder (itself with `folder`) is made if need be; UsageError where that cannot be.

    A file that is there is written over, which is said; with `resumed` the command itself knows what to do with it.
    Where the command is refused later, `forget_folders` takes away what was made here and is still empty.
    """
    from tkbench.errors import UsageError

    place = path if folder else path.parent
    new = [part for part in (place, *place.parents) if not part.exists()]
    try:
        place.mkdir(parents=True, exist_ok=True)
        MADE.update(new)
    except OSError as error:
        raise UsageError(
            f"{what} {path}: cannot be written ({error.strerror}); give another place"
        ) from error
    if not folder and path.is_dir():
        raise UsageError(f"{what} {path}: is a folder, expected the name of a file")
    if not os.access(place, os.W_OK):
        raise UsageError(f"{what} {path}: cannot be written (permission denied); give another place")
    if not folder and not resumed and path.exists():
        say(f"{what} {path}: is there, and is written over")
    return path


MADE: set[Path] = set()
"""The folders that `writable` has made for this command."""


def forget_folders() -> None:
    """Remove the folders that `writable` has made and nothing was written to: a refused command leaves nothing."""
    for folder in sorted(MADE, key=lambda made: len(made.parts), reverse=True):
        with suppress(OSError):  # not empty, or gone
            folder.rmdir()


def pasted(*words: object) -> str:
    """A command as a shell takes it: words with spaces are quoted.

    >>> pasted("tkbench", "prep", "folder", "--root", "my videos")
    "tkbench prep folder --root 'my videos'"
    """
    return shlex.join(map(str, words))


def one_of(argument: Path | None, option: Path | None) -> Path:
    """The shards that were given as an argument or by --data; UsageError for none or both."""
    from tkbench.errors import UsageError

    given = [folder for folder in (argument, option) if folder is not None]
    if len(given) != 1:
        found = " and ".join(map(str, given)) or "none"
        raise UsageError(f"expected one folder of shards, as an argument or by --data; found {found}")
    return given[0]


def refuse_all(faults: Sequence[str]) -> None:
    """Say what was wrong with some of the input, a line each, after the rest was done; then exit code 2."""
    from tkbench.errors import BadBundle

    for line in faults[:-1]:
        talk().print(f"tkbench: {line}", markup=False, soft_wrap=True)
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
