"""scripts/simulate_intervals.py: a small form of it holds, it goes on where it stopped, and it finds what is wrong."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tkbench.results import halves, paired, stats
from tkbench.results.stats import mean_interval

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import simulate_intervals as simulation  # noqa: E402

RUNS = 300
NOISE = 3.5 * (0.05 * 0.95 / RUNS) ** 0.5
"""Standard errors of a share near 0.95 that a right method stays within, in all cells here."""


@pytest.mark.parametrize(
    ("law", "speakers", "sizes", "rho"),
    [("normal", 6, "equal", 0.5), ("exponential", 12, "dominant", 0.9), ("lognormal", 30, "geometric", 0.1)],
)
def test_intervals_tests_and_ranks_keep_their_word(law: str, speakers: int, sizes: str, rho: float) -> None:
    found = simulation.simulate(law, speakers, sizes, rho, RUNS)
    assert found.covered >= simulation.ASKED[law][0] / 100 - NOISE
    assert found.alarms <= 0.05 + NOISE
    assert found.family <= 0.05 + NOISE
    assert found.ranks >= 0.95
    assert 0.78 - NOISE <= found.power <= 0.995
    assert found == simulation.simulate(law, speakers, sizes, rho, RUNS)


def test_the_simulated_interval_is_that_of_tables() -> None:
    rng = np.random.default_rng(0)
    for speakers in (6, 30):
        counts = simulation.clips_of("geometric", speakers, 3, rng)
        names = [[f"{i:03d}" for i, n in enumerate(row) for _ in range(int(n))] for row in counts]
        values = [rng.exponential(size=len(row)) for row in names]
        both = [stats.cluster_sums(v, np.array(n)) for v, n in zip(values, names, strict=True)]
        low, high = simulation.mean_ends(np.stack([s for s, _ in both]), counts)
        for i in range(3):
            expected = mean_interval(values[i], names[i])
            assert (low[i], high[i]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_power_counts_what_other_studies_would_find() -> None:
    """Studies whose interval reaches down to -1, -2 and -3 find a difference of 2.5 in two of three cases."""
    assert simulation.power(np.array([-1.0, -2.0, -3.0]), np.array([2.5])) == pytest.approx(2 / 3)


def test_a_stopped_run_goes_on_and_a_fault_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "cells.jsonl"
    first = simulation.every_cell(20, kept, ["normal"], [6])
    lines = kept.read_text().splitlines()
    assert len(lines) == len(first) == 9
    edited = {**json.loads(lines[0]), "covered": 0.5, "alarms": 0.2}
    kept.write_text("\n".join([json.dumps(edited), *lines[1:5]]) + "\n")
    again = simulation.every_cell(20, kept, ["normal"], [6])
    assert again[0].covered == 0.5, "a finished cell is not simulated again"
    assert again[1:] == first[1:]
    assert len(kept.read_text().splitlines()) == 9
    fine = [replace(cell, covered=0.96, alarms=0.05, family=0.05, ranks=1.0, power=0.9) for cell in first]
    others = [replace(cell, law=law) for law in simulation.ASKED for cell in fine]
    assert simulation.faults(others) == []
    (wrong,) = simulation.faults([replace(others[0], power=0.7), *others[1:]])
    assert "power 0.7000" in wrong


def test_wrong_methods_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval of half its width, and a detectable difference without its bound, lie below what is asked."""
    right = stats.ends_of_mean

    def narrow(sums, counts, place, **more):  # type: ignore[no-untyped-def]
        mean = sums.sum(axis=1) / counts.sum(axis=1)
        low, high = right(sums, counts, place, **more)
        return (low + mean) / 2, (high + mean) / 2

    monkeypatch.setattr(stats, "ends_of_mean", narrow)
    monkeypatch.setattr(paired, "BOUND_OF_EXTREMES", 0.3)
    found = simulation.simulate("lognormal", 6, "equal", 0.9, RUNS)
    assert found.covered < 0.865 - NOISE
    assert found.power < 0.78 - NOISE


def test_the_document_holds_a_table_in_which_nothing_is_worse_than_asked() -> None:
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    table = text.split("<!-- simulated -->")[1].split("<!-- end of simulated -->")[0]
    assert "4,000 runs in each of 225 cells" in table
    first, _, rest = table.partition("| speakers |")
    rows = dict(
        re.findall(r"^\| (normal|bounded|exponential|lognormal) \| ([\d.]+ \| [\d.]+) \|", first, re.M)
    )
    assert set(rows) == set(simulation.ASKED)
    for law, (worst, mean) in simulation.ASKED.items():
        found = [float(x) for x in rows[law].split(" | ")]
        assert found[0] >= worst
        assert found[1] >= mean
    cells = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", rest, re.M)
    assert len(cells) == len(simulation.SPEAKERS) * len(simulation.SIZES)
    for *_, values in cells:
        *_, alarms, family, ranks, power = values.split(" | ")
        assert float(alarms) <= simulation.MOST_ALARMS
        assert float(family) <= simulation.MOST_FAMILY
        assert float(ranks) >= simulation.LEAST_RANKS
        assert float(power.split(" to ")[0]) >= simulation.LEAST_POWER


def test_splits_of_few_speakers_are_all_of_them() -> None:
    packed = halves._packed(5, 2000, 0)
    sides = np.unpackbits(packed, axis=1, bitorder="little", count=5)
    assert len(sides) == halves.number_of_splits(5, 2000) == 15
    both = {tuple(row) for row in np.concatenate([sides, 1 - sides]).tolist()}
    assert len(both) == 2**5 - 2
    drawn = np.unpackbits(halves._packed(70, 4000, 0), axis=1, bitorder="little", count=70)
    assert abs(drawn.mean() - 0.5) < 0.005
    assert np.abs(np.corrcoef(drawn[:, :8].T.astype(float)) - np.eye(8)).max() < 0.07
