"""The availability ledger of VFHQ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.tree import text_of
from tkbench.prep.datasets.vfhq import reader as vfhq


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each clip; headers are opened, pictures are not. fast: the text files are not read, windows not looked at."""
    place, names = vfhq.find_lists(root, how.options.get("annotations"))

    def told() -> Iterator[Part]:
        for name, part in zip(names, vfhq.parts(names), strict=True):
            if how.fast:
                yield replace(part, target=None)
                continue
            try:
                start, stop, crop = vfhq.parse(name, text_of(place / f"{name}.txt"))
                yield replace(part, start=start, stop=stop, crop=crop, annotated=crop.of_height)
            except (OSError, ValueError) as error:
                ledger.add("bad-text", "clips", part.key, place / f"{name}.txt", None, str(error))
                yield replace(part, target=None)

    downloads.check(ledger, told(), downloads.index_videos(root), how, len(names))
