"""Which files of LRW are there."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets.ledger import count_pairs, read_text, sizes
from tkbench.prep.datasets.lrw import reader as lrw
from tkbench.prep.datasets.tree import listing


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Every word and split; the clip's number has no list to be held against."""
    base = lrw.find_base(root)
    words = listing(base)[0]
    for index, word in enumerate(words):
        for split in lrw.SPLITS:
            folder = base / word / split
            files = sizes(folder)
            if not files:
                ledger.add("missing-folder", split, word, folder, None, "no folder, or nothing in it")
            stems = count_pairs(ledger, split, f"{word}/{split}/", folder, files)
            for stem in () if how.fast else stems:
                text = read_text(ledger, split, f"{word}/{split}/{stem}", folder / f"{stem}.txt")
                if text is not None and lrw.parse_duration(text) is None:
                    why = "no usable line Duration: the word has no interval"
                    ledger.add("bad-text", split, f"{word}/{split}/{stem}", folder / f"{stem}.txt", None, why)
        how.progress(index + 1, len(words), "words")
    if len(words) != 500:
        ledger.notes.append(f"{len(words)} words; LRW has 500")
