"""The `tkbench` command: parse, call one function, print. Data goes to stdout, talk to stderr.

Exit codes: 0 done, 2 input that cannot be used (one line says what to do), 130 stopped by Ctrl-C; a bug is a traceback.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

# Each module adds its commands to the app; help shows them in this order.
from tkbench.cli import (  # noqa: F401
    bench,
    board,
    cite,
    data,
    demo,
    doctor,
    generate,
    names,
    prep,
    protocol,
    reproduce,
    score,
    study,
    talking,
    train,
    weights,
)
from tkbench.cli.common import MADE, app, forget_folders, say, talk
from tkbench.cli.data_sets import add_data_sets
from tkbench.errors import TkbenchError
from tkbench.runtime import stops
from tkbench.types import FPS
from tkbench.version import __version__

add_data_sets(installed=False)
USAGE: Any = typer.BadParameter.__bases__[0]
"""Click's UsageError: of the click that typer brings with it, or of click itself, by typer's version."""
GUESSES = {
    "metric": "metrics and their settings are those of a protocol: --protocol, listed by `tkbench ls`",
    "fps": f"everything is scored at {FPS} frames per second; `tkbench prep` brings videos there",
    "checkpoint": "name the file in --model, as in --model cals:FILE",
    "video": "videos that exist already are scored with --videos DIR by `tkbench eval`",
    "gpu": "the device is chosen with --device, as in --device cuda:0",
    "config": "settings are in a protocol (--protocol) or, for training, in --config",
}
"""A word that people guess as an option -> where tkbench has it."""


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tkbench {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _misspelt(error: Any) -> str:
    """What to write instead of an option that is not there; "" for another error.

    Click compares the dashes, too, and so takes any two short options for alike.
    """
    if type(error).__name__ != "NoSuchOption" or error.ctx is None:
        return ""
    word = error.option_name.lstrip("-")
    known = [name[2:] for one in error.ctx.command.params for name in one.opts if name.startswith("--")]
    guess = GUESSES.get(word.removesuffix("s"), GUESSES.get(word, ""))
    near = get_close_matches(word, known, n=2, cutoff=0.85 if guess else 0.65)
    if near:
        guess = f"did you mean {' or '.join(f'--{name}' for name in near)}?"
    return f"No such option: {error.option_name}" + (f": {guess}" if guess else "")


def in_words(message: str) -> str:
    """A message of the command line's parser about a number that is too small or too large, by what it takes.

    >>> in_words("Invalid value for '--limit': Input should be greater than or equal to 1")
    "Invalid value for '--limit': expected at least 1"
    >>> in_words("Invalid value for '--limit': 0 is not in the range x>=1")
    "Invalid value for '--limit': expected at least 1"
    """
    number = r"(-?[\d.]+)"
    for pattern, words in (
        (rf"Input should be greater than or equal to {number}", "at least"),
        (rf"\S+ is not in the range x>={number}", "at least"),
        (rf"Input should be less than or equal to {number}", "at most"),
        (rf"\S+ is not in the range x<={number}", "at most"),
    ):
        message = re.sub(pattern, rf"expected {words} \1", message)
    return message


def _refuse(text: str, code: int) -> NoReturn:
    """The one line, and the end."""
    if talking.now().verbose:
        talk().print_exception()
    talking.forget()
    forget_folders()
    if text:
        talk().print(f"tkbench: {text}", markup=False, soft_wrap=True, style="red")
    sys.exit(code)


def at_home(word: str) -> str:
    """A word of the command line with `~/` at the beginning of a path, as a shell writes it where it is not quoted.

    >>> home = os.path.expanduser("~")
    >>> at_home("~/a") == at_home("--data=~/a")[7:] == at_home("files:~/a")[6:] == home + "/a"
    True
    >>> at_home("a~/b"), at_home("cmd:run ~/x")
    ('a~/b', 'cmd:run ~/x')
    """
    found = re.fullmatch(r"((?:--[\w-]+=)?(?:\w[\w-]*:)?)(~(?:/.*)?)", word, re.S)
    return found[1] + str(Path(found[2]).expanduser()) if found else word


TWICE = 0.3
"""Seconds within which two signals are one stop."""


def _must_not_break(frame: FrameType | None, lost: Callable[..., None]) -> bool:
    """Whether an exception must not be raised at this place.

    Within `lost` it would be dropped for good. Within an import it may hit a library that registers itself (torch),
    which then aborts the process.
    """
    while frame is not None:
        if frame.f_code is lost.__code__ or frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def main() -> None:
    """Entry point: one clear line for what a user can fix, a traceback for a bug.

    Ctrl-C and SIGTERM end a command in order; a second one ends it at once.
    """
    stopped = 0.0
    talking.forget()
    MADE.clear()

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        now = time.monotonic()
        if stopped:
            if now - stopped < TWICE:  # one Ctrl-C, sent to this process and once more to its group
                return
            os.write(2, b"tkbench: stopped at once\n")
            os._exit(130)
        stopped = now
        ask(frame)

    def ask(frame: FrameType | None) -> None:
        """Stop, or come back where an exception would be lost or break what it hits."""
        if stops.wait():
            return
        if hasattr(signal, "setitimer") and _must_not_break(frame, lost):
            later()
        else:
            raise KeyboardInterrupt

    def later() -> None:
        signal.signal(signal.SIGALRM, lambda number, frame: ask(frame))
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    def lost(args: sys.UnraisableHookArgs) -> None:
        """A KeyboardInterrupt that fell into a destructor or a callback is dropped there: ask again outside of it."""
        if stopped and isinstance(args.exc_value, KeyboardInterrupt):
            later()
        else:
            hook(args)

    hook = sys.unraisablehook
    if hasattr(signal, "setitimer"):  # Windows has none
        sys.unraisablehook = lost
    # A shell starts background jobs with Ctrl-C ignored: that stays so.
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in old.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        if sys.argv[1:2] in (["prep"], ["data"]):
            add_data_sets(installed=True)
        sys.exit(app(args=[at_home(word) for word in sys.argv[1:]], standalone_mode=False))
    except TkbenchError as error:
        _refuse(" ".join(str(error).split()), error.exit_code)
    except USAGE as error:
        # Words on the command line. A command without any has shown its help already, and has no message.
        message = _misspelt(error) or in_words(error.format_message().rstrip(".?"))
        place = error.ctx.command_path if error.ctx else "tkbench"
        _refuse(f"{message}; `{place} --help` shows what there is" if message else "", 2)
    except OSError as error:
        # A place that cannot be written or read; an error without a file is ours, and stays a traceback.
        if stopped or error.filename is None:
            raise
        found = error.strerror or type(error).__name__
        _refuse(f"{error.filename}: {found}; give another place or fix this one", 2)
    except BaseException:
        if not stopped:
            raise
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)  # a stop that still waits has nothing left to stop
        sys.unraisablehook = hook
        for number, handler in old.items():
            signal.signal(number, handler)
    say("tkbench: stopped; what is finished is kept, run the same command again to go on")
    # At once: the threads of Dask would wait for workers that are gone, and log it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(130)
