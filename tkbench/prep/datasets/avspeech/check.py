"""The availability ledger of AVSpeech."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.avspeech import reader as avspeech


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each row of the lists; headers are opened, pictures are not."""
    folder = avspeech.find_lists(root, how.options.get("annotations"))
    rows = {}
    for split in avspeech.SPLITS:
        bad: list[tuple[int, str]] = []
        file = folder / f"avspeech_{split}.csv"
        rows[split] = avspeech.load(folder, split, bad)
        if not file.is_file():
            ledger.add("missing-list", split, "", file, None, "the split has no clips without it")
        for line, what in bad:
            ledger.add("bad-line", split, "", file, line or None, what)
    total = sum(len(mine) for mine in rows.values())
    listed = chain.from_iterable(avspeech.parts(mine, split) for split, mine in rows.items())
    downloads.check(ledger, listed, downloads.index_videos(root, avspeech.alias), how, total)
