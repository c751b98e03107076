"""Which utterances of VoxCeleb2 are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.ledger import check_found
from tkbench.prep.datasets.voxceleb2 import reader as voxceleb2


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every identity of each split."""
    lists = how.options.get("lists")
    if not voxceleb2.load_meta(root, lists):
        ledger.add("missing-list", "-", "", root / "vox2_meta.csv", None, "clips have no label gender")
    check_found(ledger, voxceleb2.read(root, lists), how, lambda item: item.split or "-")
