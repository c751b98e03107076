"""Which trials of RAVDESS are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.ledger import check_found, check_odd
from tkbench.prep.datasets.ravdess import reader as ravdess


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every trial of the actors and channels that are there."""
    odd: list[Path] = []
    check_found(ledger, ravdess.read(root, odd), how, lambda item: item.labels["channel"])
    check_odd(ledger, odd)
