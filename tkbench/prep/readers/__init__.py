"""Readers: a folder of one data set -> its clips, sorted, from names and headers alone.

A reader is a function `read(root: Path) -> Iterator[Clip | Skipped]`. `Clip.path` is the file; the manifest
keeps it relative to the root. Other packages add readers through the entry point group `tkbench.readers`.
"""

from __future__ import annotations

from pathlib import Path

from tkbench.registry import Registry

registry = Registry("data set", "tkbench.readers")
registry.add("folder", "tkbench.prep.readers.folder:read")
registry.add("synth", "tkbench.prep.readers.synth:read")


def detect(root: Path) -> str:
    """The reader that fits a folder: `synth` where a corpus.json lies in it, otherwise `folder`."""
    return "synth" if (root / "corpus.json").is_file() else "folder"
