"""Synthetic trees of all data sets and what is prepared of them, made once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tkbench.prep import datasets
from tkbench.prep.datasets.fake import make_fake
from tkbench.prep.run import prepare

CLIPS = {"lrw": 2, "lrs2": 4, "lrs3": 3, "hdtf": 5}
"""Clips of each tree; a data set that is not here gets as many as it needs."""
FAKES = [name for name in datasets.registry.own() if datasets.find(name).fake is not None]


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake of each data set, small."""
    folder = tmp_path_factory.mktemp("fakes")
    for dataset in FAKES:
        maker = datasets.find(dataset).fake
        assert maker is not None
        make_fake(dataset, folder / dataset, clips=CLIPS.get(dataset, maker.least), seed=3)
    return folder


@pytest.fixture(scope="session")
def prepared(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of each."""
    folder = tmp_path_factory.mktemp("prepared")
    for dataset in FAKES:
        prepare(trees / dataset, folder / dataset, dataset=dataset)
    return folder
