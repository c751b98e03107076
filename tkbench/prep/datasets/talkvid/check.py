"""The availability ledger of TalkVid and TalkVid-Bench."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.talkvid import reader as talkvid


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each clip; headers are opened, pictures are not."""
    bad: list[str] = []
    parts, files = talkvid.everything(root, how.options.get("annotations"), bad)
    for what in bad:
        ledger.add("bad-line", "-", "", "", None, what)
    if not (root / talkvid.BENCH).is_dir():
        ledger.add(
            "missing-folder", "test", "", root / talkvid.BENCH, None, "TalkVid-Bench is not in this copy"
        )
    downloads.check(ledger, parts, files, how, len(parts))
