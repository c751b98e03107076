"""The exception tree. Each error is also the builtin it resembles, so plain Python code can catch it.

    TkbenchError
    ├── UsageError        (ValueError)         an option, name or argument that cannot be used
    ├── UnknownName       (KeyError)           a model, metric, protocol or data set that is not registered
    ├── BadMedia          (ValueError)         a media file that cannot become a clip; carries a `Reason`
    ├── BadShards         (ValueError)         a shard folder that is incomplete, damaged or of another version
    │   └── BadSample                          one sample in it whose parts do not fit each other
    ├── BadBundle         (ValueError)         a result bundle that is incomplete, changed or of another version
    ├── BadInput          (ValueError)         an array with the wrong shape, dtype or range
    ├── Unscored          (ValueError)         arrays that a metric has no number for; the message has the reason
    ├── WeightsMissing    (FileNotFoundError)  a pinned weight that is not on this machine
    ├── WeightsRefused    (ValueError)         a weight file whose content is not the pinned one
    ├── Stopped           (ChildProcessError)  a program that another process ended: nobody's fault, worth another try
    ├── StorageError      (OSError)            a disk or store that is full, closed, gone, or in use by another run
    └── MissingExtra      (ImportError)        an optional part that is not installed

Every message is one line: which file or value, what was found, what was expected, what to do.
The command line prints it and exits with code 2; a bug prints its traceback instead.
"""

from __future__ import annotations

from tkbench.types import Reason


class TkbenchError(Exception):
    """Base of every error that a user can cause and fix."""

    exit_code = 2

    def __str__(self) -> str:
        # KeyError would print the repr of its message: quotes and escapes that no reader wants.
        return printable(str(self.args[0])) if self.args else self.__class__.__name__


def printable(text: str) -> str:
    r"""A text in which nothing steers a terminal: names come from strangers' files.

    Line ends and tabs stay; control characters, marks of the writing direction and lone surrogates are written out.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


class UsageError(TkbenchError, ValueError):
    """An option, name or argument that cannot be used."""


class UnknownName(TkbenchError, KeyError):
    """A name that no registry knows; the message suggests the nearest ones."""


class BadMedia(TkbenchError, ValueError):
    """A media file that cannot become a clip.

    `reason` is the status that the manifest shows; `detail` is what was found, in words.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadMedia], tuple[Reason, str]]:
        # Errors cross process borders; the default would rebuild from the one message.
        return (type(self), (self.reason, self.detail))


class Unscored(TkbenchError, ValueError):
    """Arrays of a right form that a metric has no number for; tables say it as nan with a reason."""


class BadShards(TkbenchError, ValueError):
    """A shard folder that is incomplete, damaged or of another version."""


class BadSample(BadShards):
    """One sample of a shard folder whose picture, sound and track do not fit each other; the others may be right."""


class BadBundle(TkbenchError, ValueError):
    """A result bundle that is incomplete, changed or of another version."""


class BadInput(TkbenchError, ValueError):
    """An array with the wrong shape, dtype or range."""


class WeightsMissing(TkbenchError, FileNotFoundError):
    """A pinned weight that is not on this machine; the message says how to get it."""


class WeightsRefused(TkbenchError, ValueError):
    """A weight file whose content is not the pinned one; the message holds both hashes."""


class Stopped(TkbenchError, ChildProcessError):
    """A program (ffmpeg) that a signal from outside ended; says nothing about the file that it read."""


class StorageError(TkbenchError, OSError):
    """A disk or store that is full, cannot be written, went away, or is in use by another run."""


class MissingExtra(TkbenchError, ImportError):
    """An optional part that is not installed; the message holds the exact install line."""
