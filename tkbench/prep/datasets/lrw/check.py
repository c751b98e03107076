"""Which files of LRW are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.ledger import Ledger, _pairs, _text, sizes
from tkbench.prep.datasets.lrw import reader as lrw
from tkbench.prep.datasets.tree import listing
from tkbench.runtime.progress import Progress


def check_lrw(ledger: Ledger, root: Path, fast: bool, progress: Progress) -> None:
    """Every word and split; the clip's number has no list to be held against."""
    base = lrw.find_base(root)
    words = listing(base)[0]
    for index, word in enumerate(words):
        for split in lrw.SPLITS:
            folder = base / word / split
            files = sizes(folder)
            if not files:
                ledger.add("missing-folder", split, word, folder, None, "no folder, or nothing in it")
            stems = _pairs(ledger, split, f"{word}/{split}/", folder, files)
            for stem in () if fast else stems:
                text = _text(ledger, split, f"{word}/{split}/{stem}", folder / f"{stem}.txt")
                if text is not None and lrw.parse_duration(text) is None:
                    why = "no usable line Duration: the word has no interval"
                    ledger.add("bad-text", split, f"{word}/{split}/{stem}", folder / f"{stem}.txt", None, why)
        progress(index + 1, len(words), "words")
    if len(words) != 500:
        ledger.notes.append(f"{len(words)} words; LRW has 500")
