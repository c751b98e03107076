"""The small faults that can be put into a Python source: every one that `mutate.py` may draw.

A mutation is one small change of one expression or statement, of the kind that people make by mistake: `<` for `<=`,
an index off by one, the wrong axis, a guard that is missing. Tests that still pass with it do not hold that line.
Changes are made to the text, at the place that `ast` gives, so that the rest of the file stays as it is.

Left alone, because nothing that is measured depends on it: docstrings, annotations, decorators, f-strings (their
places are not exact before Python 3.12), the messages of `raise` and `assert`, logging and progress, and keywords such
as `strict=`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
OPERATORS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
PAIRS = (
    "min max", "minimum maximum", "fmin fmax", "amin amax", "nanmin nanmax", "argmin argmax", "floor ceil", "mean sum",
    "nanmean nansum", "any all", "logical_and logical_or", "zeros ones", "zeros_like ones_like", "std var",
    "median mean", "l1_loss mse_loss", "vstack hstack", "sin cos", "rstrip lstrip", "startswith endswith",
)  # fmt: skip
NAMES = {one: other for pair in PAIRS for one, other in (pair.split(), pair.split()[::-1])} | {"mean": "sum"}
"""Functions that are taken for one another."""
WORDS = {one: other for a, b in (("higher", "lower"), ("valid", "zeros"), ("constant", "edge")) for one, other in
         ((a, b), (b, a))}  # fmt: skip
"""Strings that are settings, not text."""
UNWRAPPED = frozenset(
    ("abs", "absolute", "fabs", "sqrt", "square", "clip", "clamp", "log", "exp", "round", "detach", "sorted",
     "reversed", "flip", "normalize")
)  # fmt: skip
"""Functions whose first argument could stand alone."""
QUIET = frozenset(
    ("print", "log", "logger", "logging", "warn", "warnings", "info", "debug", "progress", "bar", "echo", "console",
     "tick", "advance", "update_progress", "track_progress")
)  # fmt: skip
"""Calls, or receivers of calls, that only tell somebody something."""
KEYWORDS_LEFT_ALONE = frozenset(
    ("strict", "exist_ok", "parents", "slots", "frozen", "kw_only", "repr", "compare", "leave", "encoding", "errors",
     "missing_ok", "ignore_errors", "daemon", "non_blocking", "copy", "inplace", "stacklevel", "maxsize", "check",
     "return_inverse", "return_index", "return_counts", "weights_only", "keepdims")
)  # fmt: skip
COMMUTATIVE = frozenset(
    ("min", "max", "minimum", "maximum", "isinstance", "zip", "getattr", "allclose", "cast")
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of a source."""

    module: str
    """The file, below the root, with slashes."""
    line: int
    function: str
    """Class and function that hold it, "" for the module itself."""
    kind: str
    before: str
    """The statement, or the head of a compound one, on one line; with `after`, it tells mutations apart whatever the
    line number is."""
    after: str
    start: int
    """Bytes from here ..."""
    end: int
    """... to here become `text`."""
    text: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when code above it is edited."""
        return self.module, self.function, self.before, self.after

    def apply(self, source: bytes) -> bytes:
        """The source with this fault in it."""
        return source[: self.start] + self.text.encode() + source[self.end :]


@dataclass(frozen=True, slots=True)
class _Edit:
    kind: str
    start: int
    end: int
    text: str


@cache
def mutations(module: str, source: bytes) -> tuple[Mutation, ...]:
    """Every mutation of a file, in the order of the text.

    >>> [m.after for m in mutations("a.py", b"def f(x): return x < 3")]
    ['return x <= 3', 'return x < 2', 'return x < 4']
    """
    return tuple(sorted(_Finder(module, source).found, key=lambda m: (m.start, m.end, m.text)))


class _Finder:
    """Walks a tree and keeps what can be changed."""

    def __init__(self, module: str, source: bytes) -> None:
        self.module, self.source = module, source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.found: list[Mutation] = []
        self.keys: set[tuple[str, str, str, str]] = set()
        self.statement: ast.stmt | None = None
        self.names: list[str] = []
        self.returns: list[str] = []
        tree = ast.parse(source)
        self.imported = {
            (alias.asname or alias.name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        self.body(tree.body)

    # Places in the text

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self.lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.lines[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        return self.source[self.start(node) : self.end(node)].decode()

    # The walk

    def body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.visit_statement(statement)

    def visit_statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.Assert | ast.Global | ast.Nonlocal):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.visit_definition(node)
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or _is_quiet(node.value)):
            return
        self.statement = node
        for edit in self.edits_of_statement(node):
            self.keep(edit, node.lineno)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "body", "orelse", "finalbody", "handlers"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)
        for part in ("body", "orelse", "finalbody"):
            self.body(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            self.body(handler.body)

    def visit_definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names.append(node.name)
        if isinstance(node, ast.ClassDef):
            self.body(node.body)
        else:
            self.statement = node
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
            self.returns.append(ast.unparse(node.returns) if node.returns else "")
            self.body(node.body)
            self.returns.pop()
        self.names.pop()

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Subscript) and self.text(node.value) == "Literal"
        ):
            return
        if isinstance(node, ast.keyword) and node.arg in KEYWORDS_LEFT_ALONE:
            return
        if isinstance(node, ast.Call) and _is_quiet(node):
            return
        if isinstance(node, ast.expr):
            for edit in self.edits(node):
                self.keep(edit, node.lineno)
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                for edit in self.negated(test):
                    self.keep(edit, test.lineno)
        if isinstance(node, ast.keyword) and node.arg in ("axis", "dim"):
            for edit in self.other_axis(node.value):
                self.keep(edit, node.value.lineno)
            return
        for child in ast.iter_child_nodes(node):
            self.visit(child)

    def keep(self, edit: _Edit, line: int) -> None:
        """Note the mutation, unless one like it is noted already."""
        assert self.statement is not None
        first, last = self.extent(self.statement)
        if isinstance(self.statement, ast.FunctionDef | ast.AsyncFunctionDef):
            # The default of an argument: the argument, and not the whole head.
            first = self.source.rfind(b"\n", 0, edit.start) + 1
            last = self.source.find(b"\n", edit.end) % (len(self.source) + 1)
        before = self.source[first:last]
        after = (
            self.source[first : edit.start] + edit.text.encode() + self.source[edit.end : max(last, edit.end)]
        )
        found = Mutation(
            self.module, line, ".".join(self.names), edit.kind, _one_line(before), _one_line(after),
            edit.start, edit.end, edit.text,
        )  # fmt: skip
        if found.before != found.after and found.key not in self.keys:
            self.keys.add(found.key)
            self.found.append(found)

    def extent(self, node: ast.stmt) -> tuple[int, int]:
        """The statement, or, of a compound one, what stands before its body."""
        match node:
            case ast.If(test=last) | ast.While(test=last) | ast.For(iter=last) | ast.Match(subject=last):
                return self.start(node), self.source.index(b":", self.end(last)) + 1
            case ast.With(items=[*_, item]):
                return self.start(node), self.source.index(
                    b":", self.end(item.optional_vars or item.context_expr)
                ) + 1
            case _:
                return self.start(node), self.end(node)

    # Changes of statements

    def edits_of_statement(self, node: ast.stmt) -> Iterator[_Edit]:
        whole = self.start(node), self.end(node)
        if isinstance(node, ast.If | ast.While):
            yield from self.negated(node.test)
        if isinstance(node, ast.If) and not node.orelse and _only_leaves(node.body):
            yield _Edit("guard removed", self.start(node.test), self.end(node.test), "False")
        if isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
            old, new = OPERATORS[type(node.op)]
            yield from self.between(node.target, node.value, f"{old}=", f"{new}=", "operator")
        if isinstance(node, ast.Expr | ast.AugAssign):
            yield _Edit("statement removed", *whole, "pass")
        if isinstance(node, ast.Assign) and all(
            isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets
        ):
            yield _Edit("statement removed", *whole, "pass")
        if isinstance(node, ast.Continue | ast.Break):
            yield _Edit("statement removed", *whole, "pass")
        if isinstance(node, ast.Return) and node.value is not None:
            yield from self.other_answer(node.value)

    def other_answer(self, value: ast.expr) -> Iterator[_Edit]:
        """Another returned value, of the type that the function promises."""
        if self.is_fixed(value):
            return
        promised = self.returns[-1] if self.returns else ""
        span, text = (self.start(value), self.end(value)), self.text(value)
        if promised == "bool":
            yield _Edit("answer", *span, f"not ({text})")
        elif promised in ("int", "float") or promised.endswith("Tensor") or promised in ARRAYS:
            yield _Edit("answer", *span, f"2 * ({text})")
        elif promised.startswith("list["):
            yield _Edit("answer", *span, f"({text})[::-1]")
        elif isinstance(value, ast.Tuple) and len(value.elts) > 1:
            first, second = value.elts[:2]
            swapped = self.text(second) + ", " + self.text(first)
            yield _Edit("answer", self.start(first), self.end(second), swapped)

    # Changes of expressions

    def edits(self, node: ast.expr) -> Iterator[_Edit]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for (left, right), operator in zip(pairwise(operands), node.ops, strict=True):
                    yield from self.between(left, right, *COMPARISONS[type(operator)], "comparison")
            case ast.BinOp() if type(node.op) in OPERATORS and not _is_text(node.left):
                yield from self.between(node.left, node.right, *OPERATORS[type(node.op)], "operator")
            case ast.BoolOp():
                old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in pairwise(node.values):
                    yield from self.between(left, right, old, new, "and, or")
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
                kind = "not dropped" if not isinstance(node.op, ast.USub) else "sign dropped"
                yield _Edit(kind, self.start(node), self.end(node), self.text(node.operand))
            case ast.IfExp():
                yield from self.negated(node.test)
            case ast.Constant():
                yield from self.other_constant(node)
            case ast.Call():
                yield from self.other_call(node)
            case _:
                return

    def between(self, left: ast.expr, right: ast.expr, old: str, new: str, kind: str) -> Iterator[_Edit]:
        """Another operator: `old` stands somewhere between the two operands."""
        first, last = self.end(left), self.start(right)
        place = self.source[first:last].find(old.encode())
        if place >= 0:
            yield _Edit(kind, first + place, first + place + len(old), new)

    def negated(self, test: ast.expr) -> Iterator[_Edit]:
        """The opposite condition, unless another change says the same."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return
        if isinstance(test, ast.Compare) and isinstance(
            test.ops[0], ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn
        ):
            return
        yield _Edit("condition negated", self.start(test), self.end(test), f"not ({self.text(test)})")

    def other_constant(self, node: ast.Constant) -> Iterator[_Edit]:
        span, value = (self.start(node), self.end(node)), node.value
        if isinstance(value, bool):
            yield _Edit("constant", *span, str(not value))
        elif isinstance(value, int):
            yield _Edit("constant", *span, str(value + 1))
            yield _Edit("constant", *span, str(value - 1) if value else "(-1)")
        elif isinstance(value, float):
            yield _Edit("constant", *span, repr(value * 2 if value else 1.0))
        elif isinstance(value, str) and value in WORDS:
            yield _Edit("constant", *span, f'"{WORDS[value]}"')

    def other_axis(self, value: ast.expr) -> Iterator[_Edit]:
        text = self.text(value)
        if text.lstrip("-").isdigit():
            yield _Edit("axis", self.start(value), self.end(value), "-1" if text == "0" else "0")

    def other_call(self, node: ast.Call) -> Iterator[_Edit]:
        called, span = node.func, (self.start(node), self.end(node))
        name = called.attr if isinstance(called, ast.Attribute) else self.text(called)
        plain = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
        method = isinstance(called, ast.Attribute) and not self.is_module(called.value)
        # There is no builtin `mean`.
        if name in NAMES and (name != "sum" or isinstance(called, ast.Attribute)):
            yield _Edit("function", self.end(called) - len(name.encode()), self.end(called), NAMES[name])
        if name in UNWRAPPED:
            inner = (
                called.value if isinstance(called, ast.Attribute) and method else plain[0] if plain else None
            )
            if inner is not None:
                new = (
                    f"list({self.text(inner)})" if name in ("sorted", "reversed") else f"({self.text(inner)})"
                )
                yield _Edit("call removed", *span, new)
        if name == "where" and len(plain) == 3:
            yield self.swapped(plain[1], plain[2])
        elif name == "zip" and len(plain) > 1:
            last = plain[-1]
            yield _Edit("zip reversed", self.start(last), self.end(last), f"list({self.text(last)})[::-1]")
        elif len(plain) > 1 and name not in COMMUTATIVE and not any(map(self.is_fixed, plain[:2])):
            yield self.swapped(plain[0], plain[1])

    def swapped(self, first: ast.expr, second: ast.expr) -> _Edit:
        gap = self.source[self.end(first) : self.start(second)].decode()
        text = self.text(second) + gap + self.text(first)
        return _Edit("arguments swapped", self.start(first), self.end(second), text)

    def is_fixed(self, node: ast.expr) -> bool:
        """Whether an expression is a constant, a text or an imported name, such as a type of numpy's."""
        return isinstance(node, ast.Constant | ast.JoinedStr) or self.is_module(node)

    def is_module(self, node: ast.expr) -> bool:
        """Whether an expression is an imported name, or one below it: `np`, `torch.nn`."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.imported


ARRAYS = frozenset(("Array", "Float64", "Float32", "UInt8", "Int16", "np.ndarray"))
"""Annotations of arrays, in tkbench.types and elsewhere."""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_quiet(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    names = {part.id for part in ast.walk(node.func) if isinstance(part, ast.Name)}
    names |= {part.attr for part in ast.walk(node.func) if isinstance(part, ast.Attribute)}
    return bool(names & QUIET)


def _only_leaves(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break)


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())
