"""The data sets: for each of them a record, `tkbench.dataset.DataSet`, and one line here.

What a data set brings lies in its own folder: `reader.py` (a folder -> its clips), `check.py`, `fake.py`. What several
share lies beside them. Other packages add theirs by an entry point of the group `tkbench.datasets`.
"""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import DataSet
from tkbench.registry import Registry
from tkbench.types import Clip

registry: Registry[DataSet] = Registry("data set", "tkbench.datasets")
registry.add("folder", "tkbench.prep.datasets.folder:DATASET")
registry.add("synth", "tkbench.prep.datasets.synth:DATASET")
registry.add("lrw", "tkbench.prep.datasets.lrw:DATASET")
registry.add("lrs2", "tkbench.prep.datasets.lrs2:DATASET")
registry.add("lrs3", "tkbench.prep.datasets.lrs3:DATASET")
registry.add("hdtf", "tkbench.prep.datasets.hdtf:DATASET")

FAKE_SUFFIX = "-fake"
"""Of the name of a data set that was read from a tree of `tkbench data fake`."""


def find(name: str) -> DataSet:
    """The record of a data set, also by the name that its fake tree has. Raises UnknownName."""
    return registry.get(name.removesuffix(FAKE_SUFFIX))


def known(name: str) -> DataSet:
    """As `find`, but for a name that is not registered here, as shards from elsewhere may have, that of any folder."""
    plain = name.removesuffix(FAKE_SUFFIX)
    return registry.get(plain if plain in registry else "folder")


def having(what: str) -> list[str]:
    """Names of the data sets whose record has something there: "check", "fake" or "splits"."""
    return [name for name in registry if getattr(registry.get(name), what)]


def detect(root: Path) -> str:
    """The data set that recognises a folder as its own, otherwise `folder`."""
    for name in registry:
        recognises = registry.get(name).recognises
        if recognises is not None and recognises(root):
            return name
    return "folder"


def name_of(root: Path, name: str) -> str:
    """What an index calls the data set: a tree of `tkbench data fake` never passes for the real one."""
    from tkbench.prep.datasets.tree import dataset_of

    return dataset_of(root, name) if registry.get(name).fake is not None else name


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with what its sidecar says, and notes about what was wrong with it; no sidecar, no change.

    A sidecar that is missing or damaged costs its text and words, never the clip.
    """
    if clip.sidecar is None:
        return clip, []
    annotator = known(clip.dataset).annotate
    return annotator(clip) if annotator is not None else (clip, [])


def default_protocol(dataset: str) -> str:
    """The protocol that the scores of a data set are made by where nobody says; also of one that is not installed here.

    >>> default_protocol("synth"), default_protocol("lrs2"), default_protocol("lrs2-fake")
    ('synth-v1', 'tkbench-v1', 'tkbench-v1')
    """
    return known(dataset).protocol
