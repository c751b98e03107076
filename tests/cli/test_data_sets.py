"""Commands that follow from the registry of data sets, and what is said of a package whose part cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import plug_ins

from tkbench import models, protocol
from tkbench.errors import UnknownName, UsageError
from tkbench.prep import datasets

Run = Callable[..., tuple[int, str, str]]
RECORD = (
    "from tkbench.dataset import *\nDATASET = DataSet({}, title='odd', layout='x', example='x', read=list)\n"
)
ODD = {"tkbench.datasets": {"odd": "oddpack:DATASET"}}
FAULTS = {
    "broken": ("import nothing_like_it", "cannot be loaded (ModuleNotFoundError: No module named"),
    "no record": ("def DATASET(): ...", "is a function, expected a DataSet"),
    "other name": (RECORD.format("'even'"), "its record is called 'even'"),
    "bad name": (RECORD.format("'Odd'"), "a name has lower case letters"),
    "bad option": (
        RECORD.format("'odd', options=(Option('no-sound', 'x'),)"),
        "option 'no-sound' has letters and digits only",
    ),
    "taken option": (
        RECORD.format("'odd', options=(Option('workers', 'x'),)"),
        "its option --workers is one of tkbench's own",
    ),
}


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Install a package `oddpack` with a module of the given text, for the rest of the test."""
    with ExitStack() as stack:

        def install(groups: dict[str, dict[str, str]], module: str, name: str = "oddpack") -> None:
            stack.enter_context(
                plug_ins.installed(plug_ins.write(tmp_path / "site" / name, name, groups, module))
            )
            stack.callback(sys.modules.pop, name, None)

        yield install


def refused(answer: tuple[int, str, str]) -> str:
    """The one line of a command that ended with exit code 2."""
    code, out, err = answer
    assert (code, out) == (2, ""), answer
    (line,) = [line for line in err.splitlines() if line]
    assert line.startswith("tkbench: ")
    return line


@pytest.mark.parametrize("fault", FAULTS)
def test_a_data_set_that_cannot_be_used_says_why_and_breaks_nothing_else(
    package: Callable[..., None], run_cli: Run, tmp_path: Path, fault: str
) -> None:
    module, said = FAULTS[fault]
    package(ODD, module)
    where = ("--root", tmp_path, "--out", tmp_path.with_name("o"))
    line = refused(run_cli("prep", "odd", *where, "--annotations", "x"))
    assert said in line
    assert "'odd'" in line or "'Odd'" in line
    if fault != "taken option":  # that one is of no harm to a check, whose command has no such option
        assert "odd" in refused(run_cli("data", "check", "odd", "--root", tmp_path))
    # Every other command goes on, those that look at all data sets included.
    assert "no video file found" in refused(run_cli("prep", "folder", *where))
    assert "no data set is called 'nothing'" in refused(
        run_cli("data", "check", "nothing", "--root", tmp_path)
    )
    assert "these have" in refused(run_cli("data", "fake", "folder", "--out", tmp_path / "f"))
    for words in (("--help",), ("prep", "--help"), ("data", "check", "--help"), ("prep", "lrs2", "--help")):
        code, out, err = run_cli(*words)
        assert (code, err) == (0, ""), words
    code, out, _ = run_cli("ls")
    assert (code, "odd" in out) == (0, True)


def test_a_name_of_ours_cannot_be_taken(package: Callable[..., None], run_cli: Run, tmp_path: Path) -> None:
    package({"tkbench.datasets": {"lrs2": "oddpack:DATASET"}}, RECORD.format("'lrs2'"))
    where = ("--root", tmp_path, "--out", tmp_path.with_name("o"))
    for words in (("prep", "lrs2", *where), ("data", "check", "lrs2", "--root", tmp_path)):
        line = refused(run_cli(*words))
        assert "tkbench.prep.datasets.lrs2:DATASET of tkbench" in line
        assert "oddpack:DATASET of package oddpack 1.0" in line
    assert "not LRS3" in refused(run_cli("prep", "lrs3", *where))
    code, _, err = run_cli("ls")
    assert code == 0
    assert "package oddpack 1.0" in err


def test_two_packages_with_one_name_are_both_named(package: Callable[..., None]) -> None:
    package(ODD, RECORD.format("'odd'"))
    package({"tkbench.datasets": {"odd": "other:DATASET"}}, RECORD.format("'odd'"), "other")
    with pytest.raises(UsageError, match=r"both \w+:DATASET of package \w+ 1.0 and \w+:DATASET of package"):
        datasets.find("odd")
    assert len(datasets.registry.clashes) == 1


def test_a_record_alone_is_a_data_set(package: Callable[..., None], run_cli: Run, tmp_path: Path) -> None:
    """Without check, fake and splits: these commands say so, and the clips can be divided by `--split-by`."""
    package(ODD, RECORD.format("'odd', options=(Option('lists', 'Folder of lists.'),)"))
    code, out, _ = run_cli("prep", "odd", "--help")
    assert code == 0
    assert "--lists" in out
    assert "--split-by" in out
    assert "--split-by" not in run_cli("prep", "lrs2", "--help")[1]
    assert "odd: Folder of lists." in " ".join(run_cli("data", "splits", "--help")[1].split())
    assert "odd has no check" in refused(run_cli("data", "check", "odd", "--root", tmp_path))
    assert "odd has no splits" in refused(run_cli("data", "splits", "odd", "--root", tmp_path))
    assert "odd has no synthetic tree" in refused(run_cli("data", "fake", "odd", "--out", tmp_path / "f"))
    line = refused(run_cli("data", "check", "lrs2", "--root", tmp_path, "--lists", "x"))
    assert "lrs2 has no option --lists" in line


def test_protocols_of_packages_are_checked(package: Callable[..., None], tmp_path: Path) -> None:
    text = protocol.bundled()["synth-v1"].read_text(encoding="utf-8")
    (tmp_path / "good.toml").write_text(text.replace('"synth-v1"', '"good"', 1))
    names = {"good": "GOOD", "other": "GOOD", "gone": "GONE", "synth-v1": "GOOD", "wrong": "__name__"}
    module = (
        f"from pathlib import Path\nGOOD = Path({str(tmp_path)!r}, 'good.toml')\nGONE = Path('gone.toml')\n"
    )
    package({"tkbench.protocols": {name: f"oddpack:{where}" for name, where in names.items()}}, module)
    assert protocol.load("good").name == "good"
    assert protocol.names() == [*protocol.bundled(), "gone", "good", "other", "wrong"]
    for name, said in (
        ("other", "its entry point is called 'other' and its name is 'good'"),
        ("gone", r"of package oddpack 1.0: gone.toml is not there"),
        ("synth-v1", "both tkbench's own and one of package oddpack 1.0"),
        ("wrong", "is a str, expected a Path"),
    ):
        with pytest.raises(UsageError, match=said):
            protocol.load(name)
    with pytest.raises(UnknownName, match="did you mean"):
        protocol.load("goood")


def test_a_model_that_cannot_be_loaded_is_one_line(package: Callable[..., None]) -> None:
    package({"tkbench.models": {"odd": "oddpack:Model"}}, "raise RuntimeError('half installed')")
    assert "odd" in models.registry
    with pytest.raises(
        UsageError, match=r"model 'odd': oddpack:Model of package oddpack 1.0 .*half installed"
    ):
        models.create("odd")
