"""Habits of the code base that a reader relies on, counted: short parameter lists, and types that say something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "tkbench"
FILES = sorted(ROOT.rglob("*.py"))
MOST_PARAMETERS = 8
MOST_ANY = 150


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller can give: `self` and `cls` are none, `*args` and `**kwargs` are one each."""
    rules = node.args
    names = [item.arg for item in (*rules.posonlyargs, *rules.args)]
    own = int(names[:1] in (["self"], ["cls"]))
    return len(names) - own + len(rules.kwonlyargs) + bool(rules.vararg) + bool(rules.kwarg)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_takes_a_train_of_arguments(path: Path) -> None:
    """Commands may: each of their options is a parameter. Everywhere else a record says what belongs together."""
    if path.parent.name == "cli":
        return
    long = {node.name: n for node in functions(path) if (n := parameters(node)) > MOST_PARAMETERS}
    assert not long


def test_few_types_say_nothing() -> None:
    counts = {path: len(re.findall(r"\bAny\b", path.read_text(encoding="utf-8"))) for path in FILES}
    most = sorted(counts, key=lambda path: -counts[path])[:10]
    told = ", ".join(f"{path.relative_to(ROOT)} {counts[path]}" for path in most)
    assert sum(counts.values()) < MOST_ANY, told
