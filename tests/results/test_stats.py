"""Means and intervals."""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tkbench.errors import BadInput
from tkbench.results import halves
from tkbench.results.stats import ends_of_mean, mean_interval

scores = st.lists(
    st.tuples(st.floats(-100, 100) | st.just(math.nan), st.sampled_from("abcde")), min_size=1, max_size=30
)


@given(scores, st.randoms())
def test_order_does_not_matter_and_nan_is_counted(pairs: list[tuple[float, str]], random) -> None:
    values, clusters = [v for v, _ in pairs], [c for _, c in pairs]
    first = mean_interval(values, clusters, n_boot=200)
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    second = mean_interval([v for v, _ in shuffled], [c for _, c in shuffled], n_boot=200)
    np.testing.assert_equal(astuple(first), astuple(second))
    kept = [v for v in values if not math.isnan(v)]
    assert first.n == len(kept)
    assert first.n + first.n_unscored == len(pairs)
    if kept:
        assert first.mean == pytest.approx(np.mean(kept), abs=1e-9)
    if first.n_clusters >= 2:
        # Five speakers at most: the bounds are means of speakers.
        assert min(kept) - 1e-9 <= first.low <= first.mean <= first.high <= max(kept) + 1e-9
        assert first.reach == 1 - 2 / 2**first.n_clusters


@pytest.mark.parametrize("speakers", [2, 3, 4, 5])
def test_fewer_than_six_speakers_have_their_reach_and_its_level(speakers: int) -> None:
    """K means cut the line into 2^K pieces by their subsets; all but the two outer ones lie between the extremes."""
    values = [float(i * i) for i in range(speakers)]
    found = mean_interval(values, [str(i) for i in range(speakers)])
    assert (found.low, found.high) == (0.0, (speakers - 1.0) ** 2)
    assert found.reach == {2: 0.5, 3: 0.75, 4: 0.875, 5: 0.9375}[speakers]
    assert math.isnan(mean_interval(range(6), list("abcdef")).reach)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 4)), min_size=6, max_size=8), st.randoms())
def test_the_middle_of_all_subset_means_by_hand(speakers: list[tuple[int, int]], random) -> None:
    """Every part of the speakers is taken, as its definition says, and the end of the longer tail moves out."""
    values = [float(v + j * j) for v, n in speakers for j in range(n)]
    names = [str(i) for i, (_, n) in enumerate(speakers) for _ in range(n)]
    parts = [
        [v for v, name in zip(values, names, strict=True) if name in chosen]
        for size in range(1, len(speakers) + 1)
        for chosen in itertools.combinations(map(str, range(len(speakers))), size)
    ]
    means = sorted(sum(part) / len(part) for part in parts)
    place = math.floor(0.025 * 2 ** len(speakers))
    found = mean_interval(values, names)
    low, high, k = means[place - 1], means[-place], len(speakers)
    sums = [sum(v for v, name in zip(values, names, strict=True) if name == str(i)) for i in range(k)]
    rests = [(x - n * found.mean) / len(values) for x, (_, n) in zip(sums, speakers, strict=True)]
    v = sum(r * r for r in rests) * k / (k - 1)
    k3 = sum(r**3 for r in rests) * k * k / ((k - 1) * (k - 2))
    if v > 1e-12:
        for end, side in ((low, -1), (high, 1)):
            d = abs(end - found.mean)
            out = max(0.0, side * k3) * (1 / (6 * v) + d * d / (3 * v * v))
            expected = end + side * min(out, d)
            got = found.low if side < 0 else found.high
            assert got == pytest.approx(expected, abs=1e-7)


def test_random_halves_come_close_to_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values, names = rng.exponential(size=48), [str(i % 12) for i in range(48)]
    every = mean_interval(values, names)
    monkeypatch.setattr(halves, "EXACT", 5)
    halves._packed.cache_clear()
    drawn = mean_interval(values, names, n_boot=40_000)
    halves._packed.cache_clear()
    width = every.high - every.low
    assert drawn != every
    assert drawn.low == pytest.approx(every.low, abs=0.05 * width)
    assert drawn.high == pytest.approx(every.high, abs=0.05 * width)


def test_the_longer_tail_gets_the_farther_end() -> None:
    values = np.random.default_rng(5).lognormal(size=60)
    names = [str(i) for i in range(60)]
    right, left = mean_interval(values, names), mean_interval(-values, names)
    assert right.high - right.mean > 1.15 * (right.mean - right.low)
    assert left.low == pytest.approx(-right.high)
    assert left.high == pytest.approx(-right.low)


def test_an_end_moves_out_by_its_own_distance_at_most() -> None:
    """One of six speakers far outside: its mean is the end, and as far again is the most that is added."""
    sums = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 6.0]])
    low, high = ends_of_mean(sums, np.ones((1, 6)), 1, draws=1000, seed=0)
    assert (low[0], high[0]) == (0.0, 1 + 2 * (6 - 1))
    same = mean_interval([0.1] * 8, list("abcdefgh"))
    assert (same.low, same.high) == (pytest.approx(0.1), pytest.approx(0.1))


def test_the_mean_of_speakers_and_the_largest_share_stand_beside_the_mean_of_clips() -> None:
    found = mean_interval([1.0, 1.0, 1.0, 5.0], list("aaab"))
    assert (found.mean, found.cluster_mean, found.largest_share) == (2.0, 3.0, 0.75)


def test_clustering_widens_the_interval_of_clips_that_resemble_each_other() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(0, 1, 10), 20)
    by_speaker = mean_interval(values, [str(i // 20) for i in range(200)])
    by_clip = mean_interval(values, [str(i) for i in range(200)])
    assert by_speaker.high - by_speaker.low > 2 * (by_clip.high - by_clip.low)


def test_one_speaker_infinity_and_nothing_have_no_interval_and_say_why() -> None:
    one = mean_interval([1.0, 2.0], ["a", "a"])
    assert (one.mean, one.n_clusters) == (1.5, 1)
    assert math.isnan(one.low)
    assert "one speaker" in one.note
    infinite = mean_interval([math.inf, math.inf], ["a", "b"])
    assert infinite.mean == math.inf
    assert math.isnan(infinite.low)
    assert "infinite" in infinite.note
    nothing = mean_interval([math.nan], ["a"])
    assert nothing.n == 0
    assert nothing.coverage == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(mean_interval([], []).coverage)


def test_one_copied_clip_does_not_beat_every_model() -> None:
    """Among finite scores an infinite one counts as the best of them, and the interval's note says so."""
    copied = mean_interval([math.inf, 20.0, 22.0, 24.0], list("abcd"))
    assert copied == replace(mean_interval([24.0, 20.0, 22.0, 24.0], list("abcd")), note=copied.note)
    assert copied.note == "1 infinite score counts as the best finite one"
    assert mean_interval([math.inf, math.inf, 20.0], list("abc")).mean == 20
    assert mean_interval([-math.inf, 1.0, 3.0], list("abc")).mean == pytest.approx(5 / 3)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(BadInput, match="one cluster per value"):
        mean_interval([1.0], ["a", "b"])
    with pytest.raises(BadInput, match="level"):
        mean_interval([1.0], ["a"], level=95)
    with pytest.raises(BadInput, match="n_boot"):
        mean_interval([1.0], ["a"], n_boot=0)


def test_a_narrower_level_lies_inside_a_wider_one_and_a_seed_decides() -> None:
    values, clusters = list(np.random.default_rng(2).normal(size=60)), [str(i % 12) for i in range(60)]
    wide, narrow = (mean_interval(values, clusters, level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high
    # By their text: a reach that is nan equals no other from Python 3.13 on.
    assert repr(mean_interval(values, clusters)) == repr(wide)
    many = [str(i % 30) for i in range(60)]
    assert mean_interval(values, many, seed=1).low != mean_interval(values, many).low
    assert repr(mean_interval(values, many)) == repr(mean_interval(values, many))


def test_slices_of_draws_hold_the_memory_and_give_what_one_slice_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, clusters = list(np.random.default_rng(3).normal(size=50)), [str(i) for i in range(50)]
    whole = mean_interval(values, clusters, n_boot=300)
    monkeypatch.setattr(halves, "AT_ONCE", 1000)
    assert repr(mean_interval(values, clusters, n_boot=300)) == repr(whole)
