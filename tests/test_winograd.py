"""Fast convolutions beside plain ones in float64, and the bench that times the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_sync import frames_of, seeded
from torch import nn

from tkbench import bench_lse
from tkbench.errors import UsageError
from tkbench.metrics.nets import Judge, SyncNetSpec
from tkbench.metrics.winograd import GROUP, Conv, FirstLayer, runs, transforms


@pytest.mark.parametrize("r", [3, 4])
def test_transforms_are_a_correlation(r: int) -> None:
    rng = np.random.default_rng(r)
    d, g = rng.normal(size=6), rng.normal(size=r)
    at, forth, bt = transforms(r)
    np.testing.assert_allclose(at @ ((forth @ g) * (bt @ d)), np.correlate(d, g, "valid"), atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 1, 1), (5, 2, 1), (7, 2, 0)])
@pytest.mark.parametrize("sides", [(13, 13), (11, 20), (30, 29)])
def test_a_convolution_equals_the_plain_one(
    kernel: int, stride: int, pad: int, sides: tuple[int, int]
) -> None:
    """Largest relative gap seen: 1.6e-6."""
    torch.manual_seed(kernel)
    conv = nn.Conv2d(8, 12, kernel, stride, pad)
    x = torch.rand(3, *sides, 8) * 255
    fast = Conv(conv)
    with torch.no_grad():
        height, width = fast.outputs(sides)
        found = fast(x)[:, :height, :width] + fast.bias
        expected = conv.double()(x.permute(0, 3, 1, 2).double()).permute(0, 2, 3, 1)
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_first_layer_sees_five_frames_in_their_order() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(15, 4, 7, 2)
    fast = FirstLayer(conv, frames=5)
    frames = torch.rand(8, 41, 41, 3)
    with torch.no_grad():
        windows = torch.stack([frames[v : v + 5].permute(0, 3, 1, 2).flatten(0, 1) for v in range(4)])
        expected = conv(windows).permute(0, 2, 3, 1)
        found = fast(frames)[:, :18, :18] + fast.bias
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        again = fast(frames[:6])[:, :18, :18] + fast.bias
        torch.testing.assert_close(again, expected[:2], rtol=1e-4, atol=1e-5)


def test_clips_share_steps_of_the_published_network() -> None:
    """Clips together equal clips alone: what lies in one step has no influence on its neighbours."""
    judge = Judge(seeded(SyncNetSpec()))
    clips = [frames_of(n, 224, seed=n) for n in (7, 4, 6)]
    together = judge.lips_of(clips)
    assert [len(rows) for rows in together] == [3, 0, 2]
    for rows, frames in zip(together, clips, strict=True):
        if len(rows):
            assert np.abs(rows - judge.lips(frames)).max() <= 1e-5 * np.abs(rows).max()


def test_runs_cover_every_window_once() -> None:
    assert runs([GROUP + 1, 0, 2]) == [(0, 0, GROUP), (0, GROUP, GROUP + 1), (2, 0, 2)]


def test_bench_refuses_a_folder_without_clips(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no video with sound"):
        bench_lse.bench_lse(tmp_path)


@pytest.mark.slow
def test_bench_runs_both_on_the_same_files_and_finds_the_same_scores() -> None:
    """Exact within 1e-4 of the published form (1.2e-6 seen), bf16 within 0.05 (2.5e-3 seen) on distances of about 1."""
    report = bench_lse.bench_lse(workers=1, seconds=1.2)
    assert [timing.form for timing in report.timings] == list(bench_lse.FORMS)
    assert report.windows == 25
    exact, short = report.timings[1:]
    assert report.gap(exact) < 1e-4
    assert report.gap(exact) < report.gap(short) < 0.05
    assert exact.values[0][2] == report.timings[0].values[0][2]
    assert exact.cpu < report.timings[0].cpu
    assert report.table().row_count == 3
