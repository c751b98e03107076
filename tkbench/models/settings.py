"""Tables of settings (TOML, JSON) as dataclasses; a name that nothing knows is an error with a suggestion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from tkbench.errors import UsageError
from tkbench.registry import suggest

Kind = TypeVar("Kind")


def build(kind: type[Kind], table: Mapping[str, Any], where: str) -> Kind:
    """`kind(**table)`, tables within it built likewise; `where` begins the error's line.

    >>> from tkbench.models.wav2lip.generator import Wav2LipSpec
    >>> build(Wav2LipSpec, {"size": 64}, "own.toml").size
    64
    >>> build(Wav2LipSpec, {"sise": 64}, "own.toml")
    Traceback (most recent call last):
    tkbench.errors.UsageError: own.toml: sise is not a setting: did you mean size?
    """
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    made: dict[str, Any] = {}
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


def _plain(value: Any, wanted: Any, where: str) -> Any:
    """A number, word or list of the kind that the field wants; whole numbers pass as floats."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, list) and wanted not in (int, float, bool, str):
        return tuple(value)
    if wanted in (int, float, bool, str) and type(value) is not wanted:
        raise UsageError(f"{where} = {value!r}, expected {wanted.__name__}")
    return value
