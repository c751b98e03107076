"""What the pages of all studies share: the template's style, and a folder of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from tkbench.report.page import asset, templates
from tkbench.runtime.storage import write_file
from tkbench.runtime.words import counted


def render(template: str, **parts: object) -> str:
    """A page of `tkbench/templates` with the style of reports."""
    return (
        templates().get_template(template).render(style=Markup(asset("report.css")), counted=counted, **parts)
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1, last: int = 0) -> str:
    """A table in Markdown; its first `words` and `last` columns hold words, those between them numbers.

    >>> print(markdown_table(["metric", "real"], [["PSNR", "21.0"]]))
    | metric | real |
    |---|---:|
    | PSNR | 21.0 |
    """
    rule = "|" + "---|" * words + "---:|" * (len(head) - words - last) + "---|" * last
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])


def write_all(out: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts by their names into a folder, which is made if need be; their paths, in the same order."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_file(out / name, text.encode())
    return [out / name for name in files]
