"""The availability ledger of HDTF: which annotated videos are there, how large each is, and what that means."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.hdtf import lists as hdtf_lists
from tkbench.prep.datasets.hdtf import reader as hdtf
from tkbench.prep.datasets.hdtf import split as hdtf_split


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each annotated video; headers are opened, pictures are not."""
    found = hdtf_lists.load(hdtf_lists.find_folder(root, how.options.get("annotations")))
    for name in found.missing:
        ledger.add("missing-list", name.partition("_")[0], "", name)
    for bad in found.bad:
        ledger.add(bad.kind, bad.file.partition("_")[0], "", bad.file, bad.line, bad.detail)
    files, listed = downloads.index_videos(root), list(hdtf.parts(found))
    downloads.check(ledger, listed, files, how, len(listed))
    if len(found.videos) == 369:
        there = {part.key for part in listed if downloads.find(part, files)[0] is not None}
        for split, part in hdtf_split.published()["splits"].items():
            whole = sum(key in there for key in part["keys"])
            ledger.notes.append(f"{hdtf_split.NAME} {split}: {whole} of {part['clips']} clips")
