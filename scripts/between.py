"""A part of a document that a script writes: what stands between two marks."""

from __future__ import annotations

from pathlib import Path


def rewrite(document: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- NAME -->` and `<!-- end of NAME -->`; the rest of the document stays."""
    whole = document.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise SystemExit(f"{document}: expected one pair of marks {begin.strip()} and {end.strip()}")
    before, rest = whole.split(begin)
    _, after = rest.split(end)
    document.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
