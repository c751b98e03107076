"""Names for things that come from modules: name -> "module:attribute", imported on first use.

Other packages add to a registry by an entry point of its group, such as `tkbench.models` or `tkbench.datasets`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from tkbench.errors import UnknownName, UsageError

T = TypeVar("T")


def suggest(name: str, known: list[str]) -> str:
    """The sentence that helps after a typo: near misses if there are any, otherwise every name.

    >>> suggest("pnsr", ["psnr", "ssim"]), suggest("LSE", ["lse_c", "lse_d", "psnr"]), suggest("x", ["psnr"])
    ('did you mean psnr?', 'did you mean lse_c or lse_d?', 'known: psnr')
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if not near and len(name) > 1:  # the beginning of a name, in whatever case
        near = [item for item in known if item.lower().startswith(name.lower())][:3]
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"


def resolve(target: str) -> Any:
    """The object that "module:attribute" names, imported now; its type is the caller's to know.

    >>> resolve("pathlib:PurePosixPath").__name__
    'PurePosixPath'
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def find_file(name: str | Path, named: Mapping[str, Path], what: str, *, others: Iterable[str] = ()) -> Path:
    """The file that `named` has for a name, or the file at that path; UnknownName where neither is there.

    others: names that the message may suggest besides.
    """
    path = named.get(str(name), Path(name))
    if not path.is_file():
        raise UnknownName(f"no {what} is called {str(name)!r}: {suggest(str(name), [*named, *others])}")
    return path


class lazy:
    """The function behind "module:attribute", imported when it is first called.

    >>> lazy("posixpath:basename")("a/b")
    'b'
    """

    def __init__(self, target: str) -> None:
        self.target = target

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return resolve(self.target)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"lazy({self.target!r})"


class Registry(Generic[T]):
    """An ordered set of named, lazily imported objects of one type `T`: those of this package, then those of plug-ins.

    A plug-in is an installed package with an entry point in the registry's group. One that cannot be loaded, or that
    takes a name of another package, breaks nothing but its own name: `get` says in one line what is wrong with it.

    >>> shapes: Registry[type] = Registry("shape")
    >>> shapes.add("path", "pathlib:PurePosixPath")
    >>> shapes.get("path").__name__
    'PurePosixPath'
    >>> shapes.get("pth")
    Traceback (most recent call last):
    tkbench.errors.UnknownName: no shape is called 'pth': did you mean path?
    """

    def __init__(self, kind: str, group: str | None = None, *, of: type[T] | None = None) -> None:
        """kind: what messages call an object; group: of the entry points; of: the class that plug-ins must give."""
        self.kind = kind
        self.group = group
        self._of = of
        self._own: dict[str, str] = {}
        """Name -> target, of this package."""
        self._plug_ins: dict[str, tuple[str, str]] | None = None
        """Name -> target and package, of entry points; None: nobody has looked yet."""
        self._clashes: dict[str, str] = {}
        """Name -> what is wrong with it: two packages claim it."""

    def add(self, name: str, target: str) -> None:
        """Register `name` for "module:attribute"; a name that is taken by another target is refused."""
        taken = self._own.setdefault(name, target)
        if taken != target:
            raise UsageError(f"{self.kind} {name!r} is already {taken}; {target} needs another name")

    def get(self, name: str) -> T:
        """The object behind `name`, imported now if it was not before.

        Raises UnknownName for a name that nobody has, UsageError for a plug-in that cannot be loaded.
        """
        plug_ins = self._scan()
        if name in self._clashes:
            raise UsageError(self._clashes[name])
        if name in self._own:
            return cast(T, resolve(self._own[name]))
        if name not in plug_ins:
            raise self._unknown(name)
        target, package = plug_ins[name]
        try:
            found = resolve(target)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"{self.kind} {name!r}: {target} of {package} cannot be loaded ({why}); fix or remove that package"
            ) from error
        if self._of is not None and not isinstance(found, self._of):
            raise UsageError(
                f"{self.kind} {name!r}: {target} of {package} is a {type(found).__name__}, expected a "
                f"{self._of.__name__}; fix its entry point in the group {self.group}, or remove that package"
            )
        return cast(T, found)

    def check(self, name: str) -> None:
        """Raises UnknownName for a name that nobody has, without importing anything."""
        if name not in self.names():
            raise self._unknown(name)

    def _unknown(self, name: str) -> UnknownName:
        return UnknownName(f"no {self.kind} is called {name!r}: {suggest(name, list(self.names()))}")

    def own(self) -> tuple[str, ...]:
        """The names of this package, without a look at what others bring."""
        return tuple(self._own)

    def names(self) -> tuple[str, ...]:
        """Every name, built-in ones first, then those of installed plug-ins in sorted order."""
        return tuple(self._own | self._scan())

    def loadable(self) -> dict[str, T]:
        """Every object that can be loaded, by name; what is wrong with the others, `get` says."""
        found = {}
        for name in self.names():
            with suppress(UsageError):
                found[name] = self.get(name)
        return found

    def origin(self, name: str) -> str:
        """Who brings a name: "tkbench", or a package with its version."""
        return "tkbench" if name in self._own else self._scan()[name][1]

    @property
    def clashes(self) -> tuple[str, ...]:
        """What is wrong with names that two packages claim, a line for each."""
        self._scan()
        return tuple(self._clashes.values())

    def _scan(self) -> dict[str, tuple[str, str]]:
        if self._plug_ins is None:
            self._plug_ins = {}
            points = entry_points(group=self.group) if self.group is not None else ()
            for point in sorted(points, key=lambda point: point.name):
                self._take(point, self._plug_ins)
        return self._plug_ins

    def _take(self, point: EntryPoint, plug_ins: dict[str, tuple[str, str]]) -> None:
        name = point.name
        package = f"package {point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
        before = (self._own[name], "tkbench") if name in self._own else plug_ins.get(name)
        if before is None:
            plug_ins[name] = (point.value, package)
        elif before[0] != point.value:
            self._clashes[name] = (
                f"{self.kind} {name!r} is both {before[0]} of {before[1]} and {point.value} of {package}; "
                "rename the entry point of one, or remove its package"
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()
