"""The availability ledger of CelebV-HQ."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.celebvhq import reader as celebvhq


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each clip of the JSON; headers are opened, pictures are not."""
    bad: list[str] = []
    parts = celebvhq.load(root, how.options.get("annotations"), bad)
    for name in bad:
        ledger.add("bad-line", "clips", name, celebvhq.NAME, None, "an entry of another form; left out")
    downloads.check(ledger, parts, downloads.index_videos(root), how, len(parts))
