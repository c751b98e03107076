"""Readers: a folder of one data set -> its clips, sorted, from names and lists alone.

A reader is a function `read(root: Path) -> Iterator[Clip | Skipped]`. `Clip.path` is the file; the manifest
keeps it relative to the root. It opens no video, and no file per clip: half a million of them are planned in
seconds. What lies in a text file beside each clip is read later, by the worker that prepares it: the reader
names it as `Clip.sidecar`, and `annotators` holds a function `annotate(clip) -> (clip, notes)` for the data
set. Other packages add both through the entry point groups `tkbench.readers` and `tkbench.annotators`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tkbench.registry import Registry
from tkbench.types import Clip

registry: Registry[Any] = Registry("data set", "tkbench.readers")
registry.add("folder", "tkbench.prep.datasets.folder:read")
registry.add("synth", "tkbench.prep.datasets.synth:read")
registry.add("lrw", "tkbench.prep.datasets.lrw.reader:read")
registry.add("lrs2", "tkbench.prep.datasets.lrs2.reader:read")
registry.add("lrs3", "tkbench.prep.datasets.lrs3.reader:read")
registry.add("hdtf", "tkbench.prep.datasets.hdtf.reader:read")

annotators: Registry[Any] = Registry("annotator", "tkbench.annotators")
annotators.add("lrw", "tkbench.prep.datasets.lrw.reader:annotate")
annotators.add("lrs2", "tkbench.prep.datasets.lrs:annotate")
annotators.add("lrs3", "tkbench.prep.datasets.lrs:annotate")


def detect(root: Path) -> str:
    """The reader that fits a folder: `synth` where a corpus.json lies in it, otherwise `folder`."""
    return "synth" if (root / "corpus.json").is_file() else "folder"


def name_of(root: Path, name: str) -> str:
    """What an index calls the data set: a tree of `tkbench data fake` never passes for the real one."""
    from tkbench.prep.datasets.tree import dataset_of

    return dataset_of(root, name) if name in annotators or name == "hdtf" else name


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with what its sidecar says, and notes about what was wrong with it; no sidecar, no change.

    A sidecar that is missing or damaged costs its text and words, never the clip.
    """
    name = clip.dataset.removesuffix("-fake")
    if clip.sidecar is None or name not in annotators:
        return clip, []
    annotated: tuple[Clip, list[str]] = annotators.get(name)(clip)
    return annotated
