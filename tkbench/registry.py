"""Names for things that come from modules: name -> "module:attribute", imported on first use.

Other packages add to a registry by an entry point of its group, such as `tkbench.models` or `tkbench.datasets`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from tkbench.errors import UnknownName, UsageError

T = TypeVar("T")


def suggest(name: str, known: list[str]) -> str:
    """The sentence that helps after a typo: near misses if there are any, otherwise every name."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"


def resolve(target: str) -> Any:
    """The object that "module:attribute" names, imported now; its type is the caller's to know.

    >>> resolve("pathlib:PurePosixPath").__name__
    'PurePosixPath'
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def find_file(name: str | Path, named: Mapping[str, Path], what: str) -> Path:
    """The file that `named` has for a name, or the file at that path; UnknownName where neither is there."""
    path = named.get(str(name), Path(name))
    if not path.is_file():
        raise UnknownName(f"no {what} is called {str(name)!r}: {suggest(str(name), list(named))}")
    return path


def lazy(target: str) -> Callable[..., Any]:
    """The function behind "module:attribute", imported when it is first called.

    >>> lazy("posixpath:basename")("a/b")
    'b'
    """

    def call(*args: object, **kwargs: object) -> Any:
        return resolve(target)(*args, **kwargs)

    return call


class Registry(Generic[T]):
    """An ordered set of named, lazily imported objects of one type `T`, which nothing checks before it is used.

    >>> shapes: Registry[type] = Registry("shape")
    >>> shapes.add("path", "pathlib:PurePosixPath")
    >>> shapes.get("path").__name__
    'PurePosixPath'
    >>> shapes.get("pth")
    Traceback (most recent call last):
    tkbench.errors.UnknownName: no shape is called 'pth': did you mean path?
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._targets: dict[str, str] = {}
        self._own: list[str] = []
        self._scanned = group is None

    def add(self, name: str, target: str) -> None:
        """Register `name` for "module:attribute"; a name that is taken by another target is refused."""
        self._add(name, target)
        if name not in self._own:
            self._own.append(name)

    def _add(self, name: str, target: str) -> None:
        taken = self._targets.setdefault(name, target)
        if taken != target:
            raise UsageError(f"{self.kind} {name!r} is already {taken}; {target} needs another name")

    def get(self, name: str) -> T:
        """The object behind `name`, imported now if it was not before."""
        if name not in self.names():
            raise UnknownName(f"no {self.kind} is called {name!r}: {suggest(name, list(self.names()))}")
        return cast(T, resolve(self._targets[name]))

    def own(self) -> tuple[str, ...]:
        """The names of this package, without a look at what others bring."""
        return tuple(self._own)

    def names(self) -> tuple[str, ...]:
        """Every name, built-in ones first, then those of installed plug-ins in sorted order."""
        if not self._scanned and self.group is not None:
            self._scanned = True
            for point in sorted(entry_points(group=self.group), key=lambda p: p.name):
                self._add(point.name, point.value)
        return tuple(self._targets)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()
