"""Paired tests, corrections and ranks: exact on small numbers, right as often as they say on many."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bundles as made

from tkbench.cli import main
from tkbench.errors import BadBundle, BadInput, UnknownName, UsageError
from tkbench.results import bundle, leaderboard, paired
from tkbench.results.compare import compare, probability
from tkbench.results.paired import detectable, holm, paired_difference, rank_intervals, sign_test


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=7))
def test_permutation_p_equals_enumeration(sums: list[int]) -> None:
    found = abs(sum(sums))
    every = [abs(sum(s * x for s, x in zip(signs, sums, strict=True))) >= found
             for signs in itertools.product((1, -1), repeat=len(sums))]  # fmt: skip
    p, exact = sign_test(np.array(sums, float))
    assert exact
    assert p == pytest.approx(np.mean(every))


def test_random_permutations_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).normal(0.3, 1, 14)
    expected, _ = sign_test(sums)
    monkeypatch.setattr(paired, "EXACT", 5)
    p, exact = sign_test(sums)
    assert not exact
    assert p == pytest.approx(expected, abs=4 * math.sqrt(expected / paired.DRAWS))
    assert sign_test(sums) == (p, False)
    assert sign_test(sums, seed=1)[0] != p
    assert sign_test(np.full(60, 1.0))[0] == 1 / (1 + paired.DRAWS)


def test_holm_against_a_worked_example() -> None:
    """Holm 1979's procedure by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03 and 0.04, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    again = holm([0.01, math.nan, 0.02])
    assert again[0] == pytest.approx(0.02)
    assert math.isnan(again[1])
    assert holm([]) == []


def test_pairing_sees_what_two_intervals_do_not() -> None:
    """Clips differ by 3, models by 0.2 with little noise: the intervals overlap, the paired test is sure."""
    rng = np.random.default_rng(0)
    base = np.repeat(rng.normal(0, 3, 20), 5)
    speakers = [str(i // 5) for i in range(100)]
    a, b = base + 0.2 + rng.normal(0, 0.1, 100), base + rng.normal(0, 0.1, 100)
    difference = paired_difference(a, b, speakers)
    assert difference.p < 0.001
    assert difference.low > 0.1
    assert difference.detectable < 0.1
    assert (difference.n, difference.n_clusters, difference.n_unpaired) == (100, 20, 0)
    back = paired_difference(b, a, speakers)
    assert back.mean == pytest.approx(-difference.mean, rel=1e-12)
    assert back.p == difference.p


@given(st.randoms())
def test_order_of_clips_does_not_matter(random) -> None:
    rng = np.random.default_rng(3)
    rows = [(*rng.normal(size=2), str(i % 7)) for i in range(40)]
    first = paired_difference(*map(list, zip(*rows, strict=True)), n_boot=50, n_draws=200)
    random.shuffle(rows)
    assert paired_difference(*map(list, zip(*rows, strict=True)), n_boot=50, n_draws=200) == first


def test_missing_and_infinite_scores_are_counted() -> None:
    nan, inf = math.nan, math.inf
    difference = paired_difference([1.0, nan, inf, inf, 2.0], [0.0, 1.0, inf, 3.0, 1.0], list("abcde"))
    assert (difference.n, difference.n_unpaired) == (3, 2)
    assert difference.mean == pytest.approx(2 / 3)
    alone = paired_difference([1.0, 2.0], [0.0, 0.0], ["a", "a"])
    assert alone.note == "one speaker gives no test"
    assert math.isnan(alone.p)
    nothing = paired_difference([nan], [1.0], ["a"])
    assert (nothing.n, nothing.note) == (0, "no clip has a score of both")
    with pytest.raises(BadInput, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0], ["a"])


def test_equal_models_do_not_differ() -> None:
    values = np.random.default_rng(0).normal(size=40)
    same = paired_difference(values, values.copy(), [str(i % 9) for i in range(40)])
    assert (same.mean, same.p, same.detectable) == (0.0, 1.0, 0.0)


def test_few_speakers_can_show_no_difference_and_many_questions_need_a_larger_one() -> None:
    """Of 5 speakers the smallest p is 2 / 32; of 6, 2 / 64 is enough for one question and not for two."""
    rng = np.random.default_rng(0)
    counts = np.full(20, 3.0)
    sums = rng.normal(0, 1, 20)
    assert math.isinf(detectable(sums[:5], counts[:5]))
    assert math.isfinite(detectable(sums[:6], counts[:6]))
    assert math.isinf(detectable(sums[:6], counts[:6], pairs=2))
    assert detectable(sums, counts, pairs=15) > 1.2 * detectable(sums, counts)
    assert math.isinf(detectable(sums, counts, pairs=15, n_draws=200))


def test_ranks_spread_as_far_as_the_evidence_is_thin() -> None:
    rng = np.random.default_rng(0)
    speakers = [str(i) for i in range(60)]
    clear = [rng.normal(level, 0.1, 60) for level in (3, 2, 1)]
    assert rank_intervals(clear, speakers, higher_is_better=True) == [(1, 1), (2, 2), (3, 3)]
    assert rank_intervals(clear, speakers, higher_is_better=False) == [(3, 3), (2, 2), (1, 1)]
    near = [rng.normal(0, 1, 60) for _ in range(3)]
    spans = rank_intervals(near, speakers, higher_is_better=True)
    assert max(high - low for low, high in spans) >= 1
    lost = [clear[0], np.full(60, math.nan)]
    assert rank_intervals(lost, speakers, higher_is_better=True) == [(1, 1), (2, 2)]
    assert rank_intervals([clear[0], clear[0]], speakers, higher_is_better=True) == [(1, 1), (1, 1)]
    with pytest.raises(BadInput, match="one cluster per clip"):
        rank_intervals(clear, speakers[:-1], higher_is_better=True)


@pytest.mark.slow
def test_the_test_and_the_interval_keep_their_word_on_clusters() -> None:
    """500 trials without a true difference, 20 speakers of 2 to 9 clips each.

    Seen here: 6.8 % false alarms, 92.0 % coverage (89.4 % by plain percentiles), 76.4 % found at the detectable effect.
    """
    rng = np.random.default_rng(0)
    alarms = covered = found = 0
    for trial in range(500):
        sizes = rng.integers(2, 10, 20)
        speakers = np.repeat(np.arange(20).astype(str), sizes)
        gap = np.repeat(rng.normal(0, 1, 20), sizes) + rng.normal(0, 0.5, len(speakers))
        zero = np.zeros(len(gap))
        difference = paired_difference(gap, zero, list(speakers), n_boot=400, n_draws=999, seed=trial)
        alarms += difference.p <= 0.05
        covered += difference.low <= 0 <= difference.high
        moved = paired_difference(
            gap + difference.detectable, zero, list(speakers), n_boot=100, n_draws=999, seed=trial
        )
        found += moved.p <= 0.05
    assert 0.02 <= alarms / 500 <= 0.08
    assert 0.90 <= covered / 500 <= 0.98
    assert 0.72 <= found / 500 <= 0.9


# -- bundles -------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        made.make(tmp_path, name, level) for name, level in (("good", 3.0), ("middling", 2.9), ("poor", 1.0))
    ]


def test_bundles_are_compared_pair_by_pair(folders: list[Path]) -> None:
    found = compare([bundle.read(folder) for folder in folders])
    assert {item.column.name for item in found} == {"lse_c_synth", "psnr"}
    lse = [item for item in found if item.column.name == "lse_c_synth"]
    assert [(item.first, item.second) for item in lse] == [
        ("good", "middling"), ("good", "poor"), ("middling", "poor"),
    ]  # fmt: skip
    # Three speakers: no two-sided p can be below 2 / 8, and the table says so instead of a winner.
    assert lse[1].difference.p == 0.25
    assert lse[1].holm == 0.75
    assert lse[1].verdict == "no difference shown"
    assert lse[1].difference.mean == pytest.approx(2, abs=0.2)
    assert all(item.difference.p == 1 for item in found if item.column.name == "psnr")
    assert compare([bundle.read(folder) for folder in folders]) == found


def test_what_cannot_be_compared_is_said(folders: list[Path], tmp_path: Path) -> None:
    rows = [bundle.read(folder) for folder in folders]
    with pytest.raises(UsageError, match="two folders"):
        compare(rows[:1])
    with pytest.raises(UsageError, match="whole set"):
        compare(rows, metrics=["fid"])
    with pytest.raises(UnknownName, match="psnr"):
        compare(rows, metrics=["psrn"])
    other = made.make(tmp_path / "other", "stranger", 2.0, signature="test-v2|n:9")
    with pytest.raises(BadBundle, match="never share a table"):
        compare([rows[0], bundle.read(other)])


def test_command_prints_every_pair(
    folders: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tkbench", "compare", *map(str, folders), "--metric", "lse_c_synth"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    out = capsys.readouterr().out
    assert out.count("no difference shown") == 3
    assert "0.750" in out
    assert "3 pairs" in out
    assert probability(math.nan) == "-"


def test_leaderboard_shows_rank_intervals(folders: list[Path]) -> None:
    entries = leaderboard.ranked([bundle.read(folder) for folder in folders])
    assert [entry.rank for entry in entries] == [1, 2, 3]
    assert entries[2].ranks == (3, 3)
    assert leaderboard.standing(entries[2]) == "3"
    text = leaderboard.to_csv(entries)
    assert text.splitlines()[0].startswith("rank,rank_low,rank_high,model,")
    assert text.splitlines()[3].startswith("3,3,3,poor")
    alone = leaderboard.ranked([bundle.read(folders[0])])
    assert alone[0].ranks is None
    assert leaderboard.to_csv(alone).splitlines()[1].startswith("1,,,good")
