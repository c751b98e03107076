"""Which clips of CREMA-D are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.cremad import reader as cremad
from tkbench.prep.datasets.ledger import check_found, check_odd


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """The list against the folder."""
    odd: list[Path] = []
    check_found(ledger, cremad.read(root, odd), how, lambda item: "VideoFlash")
    check_odd(ledger, odd)
    for name in ("SentenceFilenames.csv", "VideoDemographics.csv"):
        if not cremad.table(root / name):
            ledger.add("missing-list", "-", "", root / name, None, "not there, or nothing in it")
