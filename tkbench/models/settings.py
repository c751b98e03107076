"""Tables of settings (TOML, JSON) as dataclasses; an unknown name is an error with a suggestion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import TypeVar, get_args, get_origin, get_type_hints

from tkbench.errors import UsageError
from tkbench.registry import suggest

Record = TypeVar("Record")
WORDS: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: 'a text in ""',
}
"""What each type is called in an error."""


def build(kind: type[Record], table: Mapping[str, object], where: str) -> Record:
    """`kind(**table)`, tables within it built likewise; `where` begins the error's line.

    >>> from tkbench.models.wav2lip.spec import Wav2LipSpec
    >>> build(Wav2LipSpec, {"size": 64}, "own.toml").size
    64
    >>> build(Wav2LipSpec, {"sise": 64}, "own.toml")
    Traceback (most recent call last):
    tkbench.errors.UsageError: own.toml: sise is not a setting: did you mean size?
    """
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    made: dict[str, object] = {}
    for name, value in table.items():
        if name not in known:
            raise UsageError(f"{where}: {name} is not a setting: {suggest(name, sorted(known))}")
        inner = hints[name]
        if isinstance(inner, type) and is_dataclass(inner):
            if not isinstance(value, Mapping):
                raise UsageError(f"{where}: {name} = {value!r}, expected a table [{name}]")
            made[name] = build(inner, value, f"{where}: {name}")
        else:
            made[name] = _plain(value, inner, f"{where}: {name}")
    return kind(**made)


def _plain(value: object, wanted: object, where: str) -> object:
    """A number, word or list of the type that the field has; whole numbers are accepted as floats."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if get_origin(wanted) is tuple:
        return _several(value, get_args(wanted), where)
    plain = wanted if wanted in (int, float, bool, str) else None
    if isinstance(value, list) and plain is None:
        return tuple(value)
    if isinstance(plain, type) and type(value) is not plain:
        raise UsageError(f"{where} = {value!r}, expected {WORDS[plain]}")
    if isinstance(value, float) and not isfinite(value):
        raise UsageError(f"{where} = {value}, expected a finite number")
    return value


def _several(value: object, kinds: tuple[object, ...], where: str) -> tuple[object, ...]:
    """A list of as many values as the field has, each of its type; a tuple of one type and `...` takes any number."""
    if not isinstance(value, (list, tuple)):
        raise UsageError(f"{where} = {value!r}, expected a list in []")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise UsageError(f"{where} = {list(value)!r}, expected {len(kinds)} values")
    return tuple(_plain(inner, kind, where) for inner, kind in zip(value, kinds, strict=True))
