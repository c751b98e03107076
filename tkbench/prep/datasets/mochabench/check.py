"""Which videos of MoChaBench are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.ledger import check_found, check_odd
from tkbench.prep.datasets.mochabench import reader as mochabench


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every prompt of each model; published counts are those of one model."""
    odd: list[Path] = []
    check_found(ledger, mochabench.read(root, odd), how, lambda item: item.labels["category"])
    check_odd(ledger, odd)
    models = sorted({model for model, _, _ in mochabench.folders(root)})
    ledger.notes.append(f"models: {', '.join(models)}; the published counts are of one model")
