"""Which clips of MEAD are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.ledger import check_found, check_odd
from tkbench.prep.datasets.mead import reader as mead


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every view of each actor."""
    odd: list[Path] = []
    check_found(ledger, mead.read(root, odd), how, lambda item: item.labels["view"])
    check_odd(ledger, odd)
