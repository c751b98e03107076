"""FID, FID-infinity, KID and FVD: the numbers beside their references, the columns, the odd sets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import Gap
from test_image import sample_of as faced
from test_perceptual import give

from tkbench import metrics
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics import distribution, fid, frechet
from tkbench.metrics.distribution import Distribution
from tkbench.scoring.reproduce import pytorch_fid_distance
from tkbench.types import Reason, Sample


def spread(n: int, d: int, seed: int, move: float = 0.0) -> np.ndarray:
    scale = 1 / np.sqrt(1 + np.arange(d))
    return (np.random.default_rng(seed).normal(size=(n, d)) + move) * scale


def test_frechet_equals_pytorch_fid_in_both_ways_of_taking_the_root(gap: Gap) -> None:
    """With full rank and without; where it lacks, scipy's root is the less exact one."""
    for n, rel in ((400, 1e-8), (40, 1e-6)):
        a, b = frechet.moments(spread(n, 64, 0)), frechet.moments(spread(n, 64, 1, move=0.4))
        expected = pytorch_fid_distance(*a, *b)
        rank = "full rank" if n > 64 else "fewer rows than features"
        gap(f"Frechet distance, {rank}", frechet.frechet(*a, *b), expected, relative=True)
        assert frechet.frechet(*a, *b) == pytest.approx(expected, rel=rel)


def test_a_near_singular_factor_is_not_trusted() -> None:
    a, b = spread(200, 20, 0), spread(200, 20, 1)
    a[:, 7] = a[:, 3] * (1 + 1e-9)
    value = frechet.frechet(*frechet.moments(a), *frechet.moments(b))
    assert value == pytest.approx(frechet.frechet(*frechet.moments(b), *frechet.moments(a)), rel=1e-6)
    assert frechet.frechet(*frechet.moments(a), *frechet.moments(a)) == pytest.approx(0, abs=1e-6)


def test_sets_of_one_point_have_their_distance_alone() -> None:
    one, other = np.ones((5, 3)), np.full((5, 3), 3.0)
    assert frechet.frechet(*frechet.moments(one), *frechet.moments(other)) == pytest.approx(12)
    wide = frechet.moments(spread(9, 3, 0))
    assert frechet.frechet(*frechet.moments(one), *wide) == pytest.approx(
        frechet.frechet(*wide, *frechet.moments(one))
    )


def test_frechet_follows_blur_of_a_distribution() -> None:
    real = spread(500, 16, 0)
    values = [frechet.frechet(*frechet.moments(real), *frechet.moments(real * k)) for k in (1, 0.9, 0.6, 0.2)]
    assert values == sorted(values)


def published_kid(a: np.ndarray, b: np.ndarray) -> float:
    """polynomial_mmd of torch-fidelity's formula, written out pair by pair."""
    kernel = lambda x, y: (float(x @ y) / len(x) + 1) ** 3  # noqa: E731
    n = len(a)
    within = sum(kernel(s[i], s[j]) for s in (a, b) for i in range(n) for j in range(n) if i != j)
    across = sum(kernel(x, y) for x in a for y in b)
    return within / (n * (n - 1)) - 2 * across / n**2


def test_kid_equals_the_sum_over_pairs_and_is_unbiased(gap: Gap) -> None:
    a, b = spread(12, 8, 0), spread(12, 8, 1, move=0.3)
    gap("KID", frechet.kid(a, b), published_kid(a, b), relative=True)
    assert frechet.kid(a, b) == pytest.approx(published_kid(a, b), rel=1e-12)
    same = [frechet.kid(spread(40, 8, 2 * s), spread(40, 8, 2 * s + 1)) for s in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(200)
    assert frechet.kid(spread(300, 8, 0), spread(300, 8, 1, move=0.5), size=50, seed=3) > 0.01


def test_kid_is_the_same_with_and_without_the_whole_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = spread(60, 8, 0), spread(50, 8, 1)
    whole = frechet.kid(a, b, subsets=5, size=20)
    monkeypatch.setattr(frechet, "FULL_KERNEL", 10)
    assert frechet.kid(a, b, subsets=5, size=20) == pytest.approx(whole, rel=1e-12)
    assert frechet.kid(a, b, subsets=5, size=20, seed=1) != whole


def test_frechet_at_infinity_takes_the_bias_away() -> None:
    """Identical distributions: the plain distance is the bias of n, its continuation a small part of it."""
    plain, carried = [], []
    for seed in range(6):
        a, b = spread(400, 24, 2 * seed), spread(400, 24, 2 * seed + 1)
        plain.append(frechet.frechet(*frechet.moments(a), *frechet.moments(b)))
        carried.append(frechet.frechet_infinity(a, b, seed=seed))
    assert np.mean(plain) > 0.1
    assert abs(np.mean(carried)) < 0.25 * np.mean(plain)
    with pytest.raises(BadInput, match="equal shapes"):
        frechet.frechet_infinity(spread(20, 4, 0), spread(21, 4, 0))


class Pixels:
    """In the place of Inception: four numbers per frame."""


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def numbers(net: object, frames: np.ndarray) -> np.ndarray:
        means = frames.mean(axis=(1, 2))
        return np.concatenate([means, frames.std(axis=(1, 2, 3))[:, None]], axis=1).astype(np.float32)

    give(monkeypatch, tmp_path, "inception-fid", {"x": torch.zeros(1)})
    monkeypatch.setattr(fid, "load_inception", lambda path, device: Pixels())
    monkeypatch.setattr(fid, "features", numbers)
    monkeypatch.setattr(fid, "FEATURES", 4)
    monkeypatch.setattr(distribution, "MIN_FID", 20)
    monkeypatch.setattr(distribution, "MIN_KID", 8)


def clip(key: str, seed: int, frames: int = 30) -> Sample:
    from dataclasses import replace

    video = np.random.default_rng(seed).integers(0, 256, (frames, 40, 40, 3), dtype=np.uint8)
    return replace(faced(video), key=key)


@pytest.mark.parametrize("region", ["full", "mouth"])
def test_columns_name_all_that_moves_them_and_n_is_exact(quick: None, region: str) -> None:
    metric = Distribution(region=region, stride=2, n=24)
    assert [column.name for column in metric.columns] == [
        f"fid_legacy_{region}_s2_n24", f"fid_inf_legacy_{region}_s2_n24", f"kid_legacy_{region}_s2_n24",
    ]  # fmt: skip
    assert all(f"region:{region},stride:2,n:24" in column.signature for column in metric.columns)
    state = metric.start()
    first = clip("a", 0)
    metric.update(state, first, 255 - first.video)
    assert {value.reason for value in metric.compute(state).values()} == {Reason.TOO_FEW_CLIPS}
    second = clip("b", 1)
    other = metric.start()
    metric.update(other, second, 255 - second.video)
    merged = metric.compute(metric.merge(other, state))
    assert {value.detail for value in merged.values()} == {"24 of 30 frames of 2 clips"}
    assert metric.compute(metric.merge(state, other)) == merged
    assert all(value.reason is None for value in merged.values())
    with pytest.raises(BadInput, match="both states"):
        metric.merge(state, state)
    with pytest.raises(BadInput, match="before"):
        metric.update(state, first, first.video)
    assert len(Distribution(n=10).columns) == 1


def test_equal_sets_score_zero_and_odd_ones_say_why(quick: None) -> None:
    metric = Distribution(stride=1, n=30)
    state = metric.start()
    sample = clip("a", 0)
    metric.update(state, sample, sample.video[:-1])
    metric.update(state, sample, sample.video.astype(float))
    assert state.real == {}
    metric.update(state, sample, sample.video)
    values = [value.value for value in metric.compute(state).values()]
    assert values[0] == pytest.approx(0, abs=1e-8)
    # 1000 frames short of a subset, KID of equal sets is its own small negative bias.
    assert values[2] <= 0
    state.made["a"][0, 0] = np.nan
    assert {value.reason for value in metric.compute(state).values()} == {Reason.NOT_FINITE}
    for wrong in ({"stride": 0}, {"n": 3}):
        with pytest.raises(UsageError):
            Distribution(**wrong)  # type: ignore[arg-type]
    for wrong in ({"mode": "clean"}, {"region": "moth"}):
        with pytest.raises(UnknownName):
            Distribution(**wrong)  # type: ignore[arg-type]


def test_missing_weights_and_networks_are_reasons_with_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    for name, what in (
        ("distribution", "weights fetch inception-fid"),
        ("fvd", "weights fetch i3d-styleganv"),
        ("efid", "tkbench.video_features"),
    ):
        metric = metrics.registry.get(name)()
        state = metric.start()
        sample = clip("a", 0)
        metric.update(state, sample, sample.video)
        for value in metric.compute(state).values():
            assert value.reason is Reason.WEIGHTS_MISSING
            assert what in value.detail


@pytest.mark.slow
def test_frechet_is_five_times_as_fast_as_sqrtm() -> None:
    """Processor time at 2048 features; 12 times was seen (1.0 s against 12.7 s of one core, scipy 1.17)."""
    import time

    from scipy import linalg

    a, b = frechet.moments(spread(3000, 2048, 0)), frechet.moments(spread(3000, 2048, 1))
    start = time.process_time()
    ours = frechet.frechet(*a, *b)
    middle = time.process_time()
    root = linalg.sqrtm(a[1] @ b[1])
    end = time.process_time()
    gap = a[0] - b[0]
    theirs = float(gap @ gap + np.trace(a[1]) + np.trace(b[1]) - 2 * np.trace(root).real)
    assert ours == pytest.approx(theirs, rel=1e-9)
    assert end - middle > 5 * (middle - start)


def test_moments_of_many_rows_are_added_up_in_blocks(monkeypatch: pytest.MonkeyPatch, gap: Gap) -> None:
    """The same numbers to rounding: 8.2e-16 of the largest entry was the largest gap seen, over five seeds."""
    from tkbench.metrics import frechet

    rng = np.random.default_rng(0)
    parts = [rng.normal(3, 2, (n, 24)).astype(np.float32) for n in (1, 400, 3, 700, 96)]
    whole = frechet.moments(np.concatenate(parts))
    for got, wanted in zip(frechet.moments_of(lambda: iter(parts), 1200), whole, strict=True):
        np.testing.assert_array_equal(got, wanted)
    monkeypatch.setattr(frechet, "AT_ONCE", 100)
    monkeypatch.setattr(frechet, "BLOCK", 300)
    blocks = frechet.moments_of(lambda: iter(parts), 1200)
    assert not np.array_equal(blocks[1], whole[1])  # the other way is taken at all
    for name, got, wanted in zip(("mean", "covariance"), blocks, whole, strict=True):
        gap(f"{name} in blocks", got, wanted, relative=True)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-14 * np.abs(wanted).max())
