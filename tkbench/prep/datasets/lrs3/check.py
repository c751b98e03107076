"""Which files of LRS3 are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.ledger import Ledger, _pairs, _transcript, sizes
from tkbench.prep.datasets.lrs3 import reader as lrs3
from tkbench.prep.datasets.tree import listing
from tkbench.runtime.progress import Progress


def check_lrs3(ledger: Ledger, root: Path, fast: bool, progress: Progress) -> None:
    """Every folder of each split."""
    base = lrs3.find_base(root)
    for done, split in enumerate(lrs3.SPLITS):
        if not (base / split).is_dir():
            ledger.add("missing-folder", split, "", base / split, None, "the split is not in this copy")
        for source in listing(base / split)[0]:
            folder = base / split / source
            prefix = f"{split}/{source}/"
            for stem in _pairs(ledger, split, prefix, folder, sizes(folder)):
                if not fast:
                    _transcript(ledger, split, f"{prefix}{stem}", folder / f"{stem}.txt")
        progress(done + 1, len(lrs3.SPLITS), split)
