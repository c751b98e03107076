"""Stages of studies keep what they cost, also where they are stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tkbench.study import times
from tkbench.study.times import Times


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_a_stage_counts_work_and_not_waiting(tmp_path: Path) -> None:
    kept = Times(tmp_path)
    with kept.stage("first"):
        busy(0.3)
        time.sleep(0.5)
    assert kept.seconds["first"] == pytest.approx(0.3, abs=0.15)
    assert Times(tmp_path).seconds == kept.seconds


def test_a_stage_that_was_stopped_goes_on_from_what_it_had(tmp_path: Path) -> None:
    kept = Times(tmp_path)

    def stopped() -> None:
        with kept.stage("one"):
            busy(0.3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    again = Times(tmp_path)
    with again.stage("one") as stage:
        busy(0.3)
        stage.tick()
        assert times.read(tmp_path / times.NAME)["one"] < 0.5
        stage.tick(every=0.1)
        # What a kill would leave.
        assert times.read(tmp_path / times.NAME)["one"] >= 0.5
    with again.stage("two"):
        busy(0.2)
    assert 0.5 <= again.seconds["one"] <= 1.0
    assert again.total() == pytest.approx(sum(again.seconds.values()) / 3600)
    assert again.longest() == pytest.approx(again.seconds["one"] / 60)


def test_a_study_without_stages_took_nothing(tmp_path: Path) -> None:
    assert (Times(tmp_path).total(), Times(tmp_path).longest()) == (0.0, 0.0)
