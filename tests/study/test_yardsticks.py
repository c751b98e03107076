"""Yardsticks of a codebook, on codebooks whose worth is known."""

from __future__ import annotations

import numpy as np
import pytest

from tkbench.study.yardsticks import clusters, explained, held_out_gain, perplexity, readable, slots_used


def test_a_collapsed_memory_and_a_healthy_one() -> None:
    even = np.arange(9600) % 96
    assert slots_used(even, 96) == 96
    assert perplexity(even, 96) == pytest.approx(96)
    collapsed = np.zeros(9600, int)
    collapsed[:30] = 1 + np.arange(30)  # each below half a per cent
    assert slots_used(collapsed, 96) == 1
    assert 1 < perplexity(collapsed, 96) < 1.05


def test_explained_is_a_share_of_the_variance() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=(4000, 8)) + 3
    assert explained(wanted, wanted) == 1
    assert explained(np.broadcast_to(wanted.mean(axis=0), wanted.shape), wanted) == pytest.approx(0)
    assert explained(wanted + rng.normal(size=wanted.shape) * 0.5, wanted) == pytest.approx(0.75, abs=0.02)
    assert explained(np.zeros_like(wanted), wanted) < -5


def test_the_gain_of_slots_that_know_all_some_and_nothing() -> None:
    rng = np.random.default_rng(0)
    counted, held = rng.integers(0, 8, 20000), rng.integers(0, 8, 5000)
    assert held_out_gain((counted, counted), (held, held), 8, 8) == pytest.approx(1, abs=0.01)
    # Slots that know the class up to one of two: one bit of three is left.
    assert held_out_gain((counted // 2, counted), (held // 2, held), 8, 8) == pytest.approx(2 / 3, abs=0.01)
    chance = held_out_gain((rng.integers(0, 96, 20000), counted), (rng.integers(0, 96, 5000), held), 96, 8)
    assert -0.02 < chance <= 0
    # What holds for the counted people alone is no gain.
    shifted = (held + 1) % 8
    assert held_out_gain((counted, counted), (shifted, held), 8, 8) < -1


def test_a_class_that_was_never_counted_is_no_infinite_loss() -> None:
    gain = held_out_gain((np.zeros(100, int), np.zeros(100, int)), (np.zeros(10, int), np.full(10, 2)), 4, 3)
    assert np.isfinite(gain)


def test_a_linear_layer_reads_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    features, other = rng.normal(size=(3000, 20)), rng.normal(size=(1000, 20))
    weights = rng.normal(size=(20, 3))
    noise = rng.normal(size=(4000, 3)) * np.sqrt(20 / 3)
    wanted, held = features @ weights + noise[:3000], other @ weights + noise[3000:]
    r2, read = readable((features, wanted), (other, held))
    assert r2 == pytest.approx(0.75, abs=0.05)
    assert read.shape == (1000, 3)
    assert readable((features, rng.normal(size=(3000, 3))), (other, rng.normal(size=(1000, 3))))[0] < 0.02


def test_clusters_are_found_and_the_same_again() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(5, 4)) * 20
    labels, others = rng.integers(0, 5, 1000), rng.integers(0, 5, 300)
    counted, held = middles[labels] + rng.normal(size=(1000, 4)), middles[others] + rng.normal(size=(300, 4))
    one, two = clusters(counted, held, 5)
    assert len(set(zip(one, labels, strict=True))) == 5
    assert len(set(zip(two, others, strict=True)) | set(zip(one, labels, strict=True))) == 5
    again = clusters(counted, held, 5)
    assert np.array_equal(again[0], one)
    assert np.array_equal(again[1], two)
