"""Rows of other software: what differs, and what was measured of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.bundles import make

from tkbench import doctor
from tkbench.errors import UsageError
from tkbench.results import board, bundle, stacks
from tkbench.results.export import export

OLD = {"numpy": "1.26.4", "opencv": "4.11.0", "cpu": "AVX2"}
NEW = {"numpy": "2.4.6", "opencv": "5.1.0", "cpu": "AVX2"}


def test_most_rows_decide_and_of_equally_many_the_true_video(tmp_path: Path) -> None:
    made = [make(tmp_path, name, 5.0, stack=OLD if name == "real" else NEW) for name in ("a", "b", "real")]
    rows = [bundle.read(folder) for folder in made]
    assert list(stacks.others(rows)) == ["real"]
    assert list(stacks.others(rows[1:])) == ["b"]
    assert stacks.others(rows[:2]) == {}


def test_what_one_side_does_not_say_is_no_difference(tmp_path: Path) -> None:
    """Bundles of older versions do not name the CPU."""
    new = bundle.read(make(tmp_path, "new", 5.0, stack=NEW))
    old = bundle.read(make(tmp_path, "old", 5.0, stack={k: v for k, v in NEW.items() if k != "cpu"}))
    assert stacks.others([new, old]) == {}


def test_what_doctor_found_stands_beneath_the_table(tmp_path: Path) -> None:
    boards = tmp_path / "leaderboards"
    made = [make(tmp_path / "runs", name, 5.0, stack=NEW) for name in ("a", "b")]
    made.append(make(tmp_path / "runs", "c", 5.0, stack=OLD))
    path = board.publish(made, boards).tables[0]
    stacks.record(boards / stacks.FILE, {**NEW, "numpy": "2.5.0"}, OLD, "another pair")
    stacks.record(boards / stacks.FILE, OLD, NEW, "earlier")
    stacks.record(boards / stacks.FILE, NEW, OLD, "ssim 3e-05 (close)")
    assert len(stacks.read(boards / stacks.FILE)) == 2
    text = export(boards / "rows" / path.stem, "markdown")
    assert (
        "c: numpy 1.26.4 (most rows: 2.4.6), opencv 4.11.0 (most rows: 5.1.0); measured effect: ssim 3e-05 (close)"
        in text
    )
    assert board.check(boards)[1] == []  # it is no table


def test_two_examinations_give_the_line(tmp_path: Path) -> None:
    """Wheels of OpenCV count by the version of their module, as bundles name it."""
    one = doctor.golden()
    wheel = next(name for name in one.stack if name.startswith("opencv"))
    two = replace(
        one,
        stack={**one.stack, wheel: "9.8.7.65", "dask": "1"},
        stages=(replace(one.stages[0], values=(1.0, *one.stages[0].values[1:]), sha256="0"), *one.stages[1:]),
    )
    file = tmp_path / stacks.FILE
    found = doctor.compare(one, two)
    stacks.record(file, doctor.stack_of(one), doctor.stack_of(two), doctor.in_short(found))
    ((first, second, effect),) = stacks.read(file)
    assert second == "opencv 9.8.7"
    assert first.startswith("opencv ")
    assert f"the other {len(found) - 1} of {len(found)} stages the same" in effect
    with pytest.raises(UsageError, match="same packages"):
        stacks.record(file, doctor.stack_of(one), doctor.stack_of(one), "")


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / stacks.FILE
    path.write_text("a,b\n")
    with pytest.raises(UsageError, match="columns are first, second, effect"):
        stacks.read(path)
