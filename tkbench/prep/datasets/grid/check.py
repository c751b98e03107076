"""Which sentences of GRID are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.grid import reader as grid
from tkbench.prep.datasets.ledger import check_found, check_odd
from tkbench.prep.datasets.tree import listing


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every speaker's sentences, and their word times."""
    odd: list[Path] = []
    check_found(ledger, grid.read(root, odd), how, lambda item: "video")
    check_odd(ledger, odd)
    people = sum(1 for name in listing(root)[0] if name[:1] == "s" and name[1:].isdecimal())
    if people != 33:
        ledger.notes.append(f"{people} speakers; GRID has videos of 33")
