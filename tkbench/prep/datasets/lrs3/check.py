"""Which files of LRS3 are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.ledger import check_transcript, count_pairs, sizes
from tkbench.prep.datasets.lrs3 import reader as lrs3
from tkbench.prep.datasets.tree import listing


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every folder of each split."""
    base = lrs3.find_base(root)
    for done, split in enumerate(lrs3.SPLITS):
        if not (base / split).is_dir():
            ledger.add("missing-folder", split, "", base / split, None, "the split is not in this copy")
        for source in listing(base / split)[0]:
            folder = base / split / source
            prefix = f"{split}/{source}/"
            for stem in count_pairs(ledger, split, prefix, folder, sizes(folder)):
                if not how.fast:
                    check_transcript(ledger, split, f"{prefix}{stem}", folder / f"{stem}.txt")
        how.progress(done + 1, len(lrs3.SPLITS), split)
