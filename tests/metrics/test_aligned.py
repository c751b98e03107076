"""Soft-DTW against its definition over all alignments, and lips whose timing or movement is another."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from conftest import Gap
from support.talkers import late, seeing, talker

from tkbench.errors import BadInput
from tkbench.metrics.aligned import Aligned, band_costs, divergence, soft_dtw
from tkbench.metrics.landmark import Lip, Lmd
from tkbench.types import Float32, Float64, Reason

LMD, LIP = "lmd_mouth_dtw_mesh", "lip_error_dtw_mesh"


def alignments(n: int, at: tuple[int, int] = (0, 0)) -> Iterator[list[tuple[int, int]]]:
    """Every way from the first pair to the last."""
    if at == (n - 1, n - 1):
        yield [at]
        return
    for di, dj in ((1, 1), (1, 0), (0, 1)):
        there = (at[0] + di, at[1] + dj)
        if max(there) < n:
            yield from ([at, *rest] for rest in alignments(n, there))


def by_definition(a: Float64, b: Float64, gamma: float, window: int) -> float:
    """-gamma log sum over alignments of exp(-cost / gamma)."""
    costs = [
        sum(float(np.linalg.norm(a[i] - b[j], axis=1).mean()) for i, j in path)
        for path in alignments(len(a))
        if all(abs(i - j) <= window for i, j in path)
    ]
    best = min(costs)
    return best - gamma * math.log(sum(math.exp((best - cost) / gamma) for cost in costs))


@pytest.mark.parametrize("gamma", [0.05, 0.5, 2.0])
@pytest.mark.parametrize(("n", "window"), [(1, 2), (4, 1), (5, 2), (6, 9)])
def test_soft_dtw_equals_the_sum_over_all_alignments(n: int, window: int, gamma: float, gap: Gap) -> None:
    """Cuturi and Blondel's definition, path by path."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n, 3, 2))
    expected = by_definition(a, b, gamma, window)
    found = soft_dtw(band_costs(a, b, window), gamma)
    gap("soft-DTW", found, expected)
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_window_of_nothing_is_the_rigid_distance() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 30, 20, 2))
    rigid = np.linalg.norm(a - b, axis=2).mean(axis=1).sum()
    assert soft_dtw(band_costs(a, b, 0), 0.1) == pytest.approx(rigid)


def test_a_hard_minimum_is_dtw() -> None:
    """Plain dynamic time warping, cell by cell."""
    a, b = np.random.default_rng(1).normal(size=(2, 12, 2, 2))
    table = np.full((13, 13), np.inf)
    table[0, 0] = 0
    for i in range(12):
        for j in range(12):
            cost = np.linalg.norm(a[i] - b[j], axis=1).mean()
            table[i + 1, j + 1] = cost + min(table[i, j], table[i, j + 1], table[i + 1, j])
    assert soft_dtw(band_costs(a, b, 12), 1e-6) == pytest.approx(table[-1, -1], abs=1e-3)


def test_the_divergence_is_symmetric_and_zero_for_equal_series() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 40, 20, 2)) * 5
    assert divergence(a, a) == 0.0
    assert divergence(a, b) == pytest.approx(divergence(b, a), rel=1e-12)
    assert divergence(a, b) > 0.1
    with pytest.raises(BadInput, match="two equal"):
        band_costs(a, b[:3])


def both(landmarks: Float32) -> dict[str, float]:
    sample = talker()
    scores: dict[str, float] = {}
    for metric in (Aligned(), Lmd(variants=["lmd_mouth"]), Lip()):
        found = metric.score(sample, sample.video, sample.audio, seeing(landmarks)).values
        scores |= {name: score.value for name, score in found.items()}
    return scores


def test_other_timing_is_forgiven_and_other_movement_is_not() -> None:
    """Lips that are two frames late are nearly right; those that stand still are not."""
    sample = talker()
    still = np.repeat(sample.landmarks[:1], len(sample), axis=0)
    lagging, frozen = both(late(sample.landmarks, 2)), both(still)
    for aligned, rigid in ((LMD, "lmd_mouth_mesh"), (LIP, "lip_error_mesh")):
        assert lagging[aligned] < 0.35 * lagging[rigid]
        assert frozen[aligned] > 0.5 * frozen[rigid]
        assert lagging[aligned] < 0.35 * frozen[aligned]


def test_a_lag_beyond_the_window_is_not_forgiven() -> None:
    sample = talker()
    values = [both(late(sample.landmarks, n)) for n in (0, 3, 9)]
    for name in (LMD, LIP):
        assert values[0][name] == 0.0 <= values[1][name] < values[2][name]


def test_frames_without_a_face_are_left_out_of_both() -> None:
    sample = talker()
    found = np.ones(len(sample), bool)
    found[5:12] = False
    broken = np.array(sample.landmarks)
    broken[5:12] += 30 * np.random.default_rng(0).normal(size=broken[5:12].shape).astype(np.float32)
    scores = Aligned().score(sample, sample.video, sample.audio, seeing(broken, found)).values
    assert {name: score.value for name, score in scores.items()} == {LMD: 0.0, LIP: 0.0}
    nowhere = (
        Aligned().score(sample, sample.video, sample.audio, seeing(broken, np.zeros(len(found), bool))).values
    )
    assert {score.reason for score in nowhere.values()} == {Reason.NO_FACE}
