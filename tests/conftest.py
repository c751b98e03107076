"""What tests share. They need nothing but this checkout: pictures and sounds are made here."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

Gap = Callable[..., None]


# How long one example takes says how busy the machine is, and nothing about the code.
settings.register_profile("tkbench", deadline=None)
settings.load_profile("tkbench")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow (make test-slow)")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def no_features_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests see of clips is kept in a folder of this run, never in the user's cache; lines are wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TKBENCH_CACHE", str(tmp_path_factory.mktemp("features")))
        patch.setenv("TKBENCH_HASHES", str(tmp_path_factory.mktemp("hashes")))
        # pytest-xdist hands the width of the terminal to its workers; no test depends on it.
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture
def gap(record_property: Callable[[str, object], None]) -> Gap:
    """Write down how far an answer is from the reference's; `scripts/parity.py` puts the largest into the docs."""

    def note(what: str, found: object, expected: object, *, relative: bool = False) -> None:
        """relative: the largest difference as a share of the largest number expected."""
        ours, theirs = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        # Two infinities (PSNR of equal pictures) are equal.
        differ = np.abs(np.subtract(ours, theirs, out=np.zeros_like(theirs), where=ours != theirs)).max(
            initial=0
        )
        scale = float(np.abs(theirs).max(initial=0)) if relative else 1.0
        record_property(
            f"gap: {what}{', relative' if relative else ''}", repr(float(differ) / (scale or 1.0))
        )

    return note


def without_gap(test: Callable[..., None]) -> Callable[..., None]:
    """A test that is called by another one: its `gap`, if it takes one, is written down nowhere."""
    takes = inspect.signature(test).parameters
    return partial(test, gap=lambda *_, **__: None) if "gap" in takes else test


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips: TKBENCH_CLIPS, or `shared/clips` beside the checkout; absent for most people."""
    folder = Path(os.environ.get("TKBENCH_CLIPS", Path(__file__).parents[2] / "shared" / "clips"))
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}: set TKBENCH_CLIPS to a folder that has them")
    return folder


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `tkbench ARGUMENTS` in this process; (exit code, stdout, stderr)."""
    from tkbench import cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tkbench", *map(str, arguments)])
        # Under `python -m pytest` click would name the command after pytest.
        monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        code = stop.value.code
        return (code if isinstance(code, int) else 0), out, err

    return call


TREES = {"lrw": 2, "lrs2": 4, "lrs3": 3, "hdtf": 5}
"""Clips of each tree; a data set that is not here gets as many as it needs."""


def with_fakes() -> list[str]:
    """Data sets that a synthetic tree can be made of."""
    from tkbench.prep import datasets

    return [name for name in datasets.registry.own() if datasets.find(name).fake is not None]


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake of each data set, small."""
    from tkbench.prep import datasets
    from tkbench.prep.datasets.fake import make_fake

    folder = tmp_path_factory.mktemp("fakes")
    for dataset in with_fakes():
        maker = datasets.find(dataset).fake
        assert maker is not None
        make_fake(dataset, folder / dataset, clips=TREES.get(dataset, maker.least), seed=3)
    return folder


@pytest.fixture(scope="session")
def prepared(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of each."""
    from tkbench.prep.run import prepare

    folder = tmp_path_factory.mktemp("prepared")
    for dataset in with_fakes():
        prepare(trees / dataset, folder / dataset, dataset=dataset)
    return folder
