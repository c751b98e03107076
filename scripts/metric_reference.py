"""Writes docs/metric-reference.md and the table of docs/protocols.md from the registries, so that neither goes stale.

    python scripts/metric_reference.py --write docs

Every metric is built with the settings that tests/metrics/test_columns.py asks of it. Heading, unit, direction, range,
other names and text are those of the columns; settings are the arguments of the class; what a metric is and where it
comes from is the docstring of its module; papers are those that `tkbench cite` prints; formulas are in
scripts/metric_formulas.toml. Without --write the pages are compared with what is there, as tests/test_site.py does.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "metrics"))

from test_columns import built, kind_of

from tkbench import metrics, protocol
from tkbench.metrics.base import Metric
from tkbench.results import cite
from tkbench.runtime import toml
from tkbench.types import Column

ROOT = Path(__file__).parents[1]
FORMULAS: dict[str, str] = toml.parse(
    (Path(__file__).parent / "metric_formulas.toml").read_text(encoding="utf-8")
)
"""What a column's name starts with -> how the number is made."""
NAMED = (
    "`p`, `a` and `x` are of the generated video, `P`, `A` and `y` of the true one, `t` is a frame and `k` a lag in "
    "frames."
)
ARROWS = {"higher": "higher is better", "lower": "lower is better", "zero": "nearer to 0 is better"}


def kinds() -> dict[str, dict[str, list[Column]]]:
    """Metric -> kind of column -> its columns, in the order of the registry."""
    found: dict[str, dict[str, list[Column]]] = {
        name: {} for name in metrics.registry if any(spec.name == name for spec, _ in built())
    }
    for spec, metric in built():
        for column in metric.columns:
            found[spec.name].setdefault(kind_of(column), []).append(column)
    return found


def public(name: str) -> str:
    """A column's name without the first digits of a weight file, which a machine may not have."""
    return re.sub(r"_(missing|[0-9a-f]{8})(?=_)", "_HASH", name)


def span(column: Column) -> str:
    """Its range, in words."""
    low, high = (
        "∞" if end == math.inf else "-∞" if end == -math.inf else f"{end:g}" for end in column.bounds
    )
    return f"{low} to {high}"


def as_markdown(docstring: str) -> str:
    """A docstring with the empty line before a list that Markdown asks for."""
    return re.sub(r"(?<=[^\n])\n(?=- )", "\n\n", inspect.cleandoc(docstring), count=1)


def papers(columns: list[Column]) -> list[str]:
    """The works behind columns, a line each."""
    keys = dict.fromkeys(key for column in columns for key in cite.keys_of(column.signature) or ())
    lines = []
    for key in keys:
        entry = cite.references()["entries"][key]
        title, author, year = (
            re.sub(r"[{}]", "", re.findall(rf"{field}\s+= \{{(.+?)\}},?\n", entry)[0])
            for field in ("title", "author", "year")
        )
        names = [name.split(",")[0] for name in author.split(" and ")]
        who = (
            names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
        )
        lines.append(f"{who}: {title} ({year})")
    return lines


def settings(kind: type[Metric]) -> list[str]:
    """`name = default` of each setting, as a protocol writes it."""
    found = []
    for name, item in inspect.signature(kind).parameters.items():
        if name != "context":
            default = item.default
            shown = (
                "[" + ", ".join(f'"{part}"' for part in default) + "]"
                if isinstance(default, tuple)
                else f'"{default}"'
                if isinstance(default, str)
                else str(default).lower()
                if isinstance(default, bool)
                else str(default)
            )
            found.append(f"`{name} = {shown}`")
    return found


def one_kind(name: str, columns: list[Column]) -> Iterator[str]:
    """The part of one kind of column."""
    first = columns[0]
    names = list(dict.fromkeys(public(column.name) for column in columns))
    called = list(dict.fromkeys(other for column in columns for other in column.also_called))
    yield f"### `{name}`\n"
    yield f"{first.text}\n"
    yield "| | |\n|---|---|"
    yield f"| heading in tables | {first.label if len(columns) == 1 else first.label.split(' (')[0]} |"
    yield f"| also called | {', '.join(called) or '-'} |"
    yield f"| formula | {FORMULAS[name].replace('|', chr(92) + '|')} |"
    yield f"| unit, direction, range | {first.unit}; {ARROWS[first.better]}; {span(first)} |"
    yield f"| one number for | {'each clip' if first.per_clip else 'the whole set of clips'} |"
    yield f"| columns | {', '.join(f'`{each}`' for each in names)} |\n"


def metric_page() -> str:
    """docs/metric-reference.md."""
    found = kinds()
    lines = [
        "# Metric reference\n",
        "Every metric, with formula, unit, range, other names, settings and source. This page is written from the "
        "registry of metrics:\n`python scripts/metric_reference.py --write docs`; a test holds the two together. "
        "[What each metric sees](metrics.md) says what it is\nblind to, and how far it is from its reference. "
        "A plug-in adds metrics of its own: `tkbench ls` lists all names.\n",
        f"{NAMED}\n",
        "| metric | columns | in papers |\n|---|---|---|",
    ]
    for name, parts in found.items():
        called = [text for text, names in metrics.FIELD_NAMES.items() if name in names]
        lines.append(
            f"| [`{name}`](#{name}) | {', '.join(f'`{part}`' for part in parts)} | {', '.join(called)} |"
        )
    lines.append("")
    told: set[str] = set()
    homes: dict[str, str] = {}
    for name, parts in found.items():
        kind = metrics.registry.get(name)
        columns = [column for group in parts.values() for column in group]
        lines.append(f"## {name}\n")
        if kind.__module__ not in told:
            told.add(kind.__module__)
            lines.append(as_markdown(import_module(kind.__module__).__doc__ or "") + "\n")
        own = inspect.getdoc(kind)
        if own:
            lines.append(as_markdown(own) + "\n")
        given = settings(kind)
        lines.append(f"Settings: {', '.join(given)}.\n" if given else "Settings: none.\n")
        nets = sorted({net for c in columns for net in re.findall(r"net:([\w-]+)@", c.signature)})
        if nets:
            lines.append(f"Networks: {', '.join(f'`{net}`' for net in nets)} (`tkbench weights list`).\n")
        works = papers(columns)
        if works:
            lines.append("\n".join(f"- {work}" for work in works) + "\n")
        lines.append(f"Code: `{kind.__module__.replace('.', '/')}.py`.\n")
        for part, group in parts.items():
            if (home := homes.setdefault(part, name)) == name:
                lines += one_kind(part, group)
            else:
                names = ", ".join(f"`{public(column.name)}`" for column in group)
                lines.append(f"As [`{part}`](#{part}) of `{home}`: {names}.\n")
    return "\n".join(lines)


def protocol_table() -> str:
    """The table of bundled protocols."""
    lines = ["| protocol | state | data | ranked by | metrics |", "|---|---|---|---|---|"]
    for name in protocol.bundled():
        one = protocol.load(name)
        data = f"{one.data.dataset}, {one.data.split}" if one.data is not None else "any"
        ranked = f"`{one.rank_by}`" + (f", else `{one.rank_without}`" if one.rank_without else "")
        asked = ", ".join(dict.fromkeys(spec.name for spec in one.metrics))
        state = "draft" if one.data is not None and not one.data.sha256 else "frozen"
        lines.append(f"| `{name}` | {state} | {data} | {ranked} | {asked} |")
    return "\n".join(lines)


def pages(docs: Path) -> dict[Path, str]:
    """Path -> what it should hold."""
    overview = docs / "protocols.md"
    begin, end = "<!-- protocols -->", "<!-- end of protocols -->"
    before, rest = overview.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    return {
        docs / "metric-reference.md": metric_page(),
        overview: f"{before}{begin}\n\n{protocol_table()}\n\n{end}{after}",
    }


def main() -> None:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="DOCS", help="write the pages into this folder")
    given = parser.parse_args()
    stale = []
    for path, text in pages(given.write or ROOT / "docs").items():
        if given.write is not None:
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {len(text)} characters")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    if stale:
        raise SystemExit(f"stale: {', '.join(stale)}; run python scripts/metric_reference.py --write docs")


if __name__ == "__main__":
    main()
