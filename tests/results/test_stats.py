"""Means and intervals."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tkbench.errors import BadInput
from tkbench.results.stats import mean_interval, stretch

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
        assert first.low <= first.high
        # A stretched percentile never leaves the data by more than the stretch.
        room = stretch(first.n_clusters, 0.95) - 1
        assert min(kept) - room * (first.mean - min(kept)) - 1e-9 <= first.low
        assert first.high <= max(kept) + room * (max(kept) - first.mean) + 1e-9


@pytest.mark.parametrize("speakers", [3, 5, 12, 25])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(speakers: int) -> None:
    """400 draws of speakers with 4 clips each; what a plain percentile covers is shown to be too little for few."""
    rng = np.random.default_rng(0)
    clusters = [str(i // 4) for i in range(4 * speakers)]
    covered = plain = 0
    for trial in range(400):
        values = np.repeat(rng.normal(5, 1, speakers), 4) + rng.normal(0, 0.5, 4 * speakers)
        interval = mean_interval(values, clusters, n_boot=400, seed=trial)
        covered += interval.low <= 5 <= interval.high
        low, high = (
            interval.mean + (end - interval.mean) / stretch(speakers, 0.95)
            for end in (interval.low, interval.high)
        )
        plain += low <= 5 <= high
    assert 0.925 <= covered / 400 <= 0.985
    assert plain < covered
    if speakers <= 5:
        assert plain / 400 < 0.88


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
    assert mean_interval(values, clusters) == wide
    assert mean_interval(values, clusters, seed=1).low != wide.low


def test_slices_of_draws_hold_the_memory_and_give_what_one_slice_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, clusters = list(np.random.default_rng(3).normal(size=50)), [str(i) for i in range(50)]
    whole = mean_interval(values, clusters, n_boot=300)
    monkeypatch.setattr("tkbench.results.stats.DRAWS_AT_ONCE", 1000)
    assert mean_interval(values, clusters, n_boot=300) == whole
