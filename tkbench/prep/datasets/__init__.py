"""The data sets: for each of them a record, `tkbench.dataset.DataSet`, and one line here.

What a data set brings lies in its own folder: `reader.py` (a folder -> its clips), `check.py`, `fake.py`. What several
share lies beside them. Other packages add theirs by an entry point of the group `tkbench.datasets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tkbench.dataset import FAKE_SUFFIX, DataSet
from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import is_fake
from tkbench.registry import Registry
from tkbench.types import Clip, Skipped

registry: Registry[DataSet] = Registry("data set", "tkbench.datasets", of=DataSet)
registry.add("folder", "tkbench.prep.datasets.folder:DATASET")
registry.add("synth", "tkbench.prep.datasets.synth:DATASET")
registry.add("lrw", "tkbench.prep.datasets.lrw:DATASET")
registry.add("lrs2", "tkbench.prep.datasets.lrs2:DATASET")
registry.add("lrs3", "tkbench.prep.datasets.lrs3:DATASET")
registry.add("hdtf", "tkbench.prep.datasets.hdtf:DATASET")


def find(name: str) -> DataSet:
    """The record of a data set, also by the name that its fake tree has.

    Raises UnknownName, and UsageError for one of another package that cannot be loaded.
    """
    plain = name.removesuffix(FAKE_SUFFIX)
    record = registry.get(plain)
    if record.name != plain:
        raise UsageError(
            f"data set {plain!r}: its record is called {record.name!r}; its package must use one name in both places"
        )
    return record


def known(name: str) -> DataSet:
    """As `find`, but for a name that is not registered here, as shards from elsewhere may have, that of any folder."""
    return find(name if name.removesuffix(FAKE_SUFFIX) in registry else "folder")


def having(what: str) -> list[str]:
    """Names of the data sets whose record has something there: "check", "fake" or "splits"."""
    return [name for name, record in registry.loadable().items() if getattr(record, what)]


def detect(root: Path) -> str:
    """The data set that recognises a folder as its own, otherwise `folder`."""
    for name, record in registry.loadable().items():
        if record.recognises is not None and record.recognises(root):
            return name
    return "folder"


def read(name: str, root: Path, options: Mapping[str, str] | None = None) -> Iterator[Clip | Skipped]:
    """What the reader of a data set finds below `root`; clips carry the name that `name_of` gives.

    Raises UnknownName, and UsageError for an option that the data set does not have, or a folder that is not one of it.
    """
    record = find(name)
    record.refuse_unknown(options or {})
    shown = name_of(root, name)
    for item in record.read(root, **(options or {})):
        if isinstance(item, Clip) and item.dataset != shown:
            yield replace(item, dataset=shown)
        else:
            yield item


def name_of(root: Path, name: str) -> str:
    """What clips and indexes call the data set: a tree of `tkbench data fake` never passes for the real one."""
    return f"{name}{FAKE_SUFFIX}" if find(name).fake is not None and is_fake(root) else name


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
    ('synth-v1', 'tkbench-v3', 'tkbench-v3')
    """
    return known(dataset).protocol
