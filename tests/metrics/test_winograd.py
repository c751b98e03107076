"""Fast convolutions beside plain ones in float64, and the bench that times the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch
from test_sync import frames_of, published_lips, seeded
from torch import nn

from tkbench.bench import lse as bench_lse
from tkbench.errors import UsageError
from tkbench.metrics import winograd_kernels as kernels
from tkbench.metrics.syncnet import Judge, SyncNetSpec
from tkbench.metrics.winograd import (
    FIRST_LAYER_WINDOWS,
    POINTS,
    STEP_WINDOWS,
    Conv,
    FirstLayer,
    ScratchBuffers,
    runs,
    tile,
    transforms,
)

SIZES = [(m, r) for r in (3, 4) for m in range(3, 8) if m + r - 1 in POINTS]


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_transforms_are_a_correlation(m: int, r: int) -> None:
    rng = np.random.default_rng(r)
    d, g = rng.normal(size=m + r - 1), rng.normal(size=r)
    at, forth, bt = transforms(m, r)
    assert at.shape == (m, len(d))
    np.testing.assert_allclose(at @ ((forth @ g) * (bt @ d)), np.correlate(d, g, "valid"), atol=1e-12)


@pytest.mark.parametrize(("n", "told"), [(6, 2.6), (7, 3.8), (8, 4.5), (9, 8.8)])
def test_rounding_grows_as_little_as_is_told(n: int, told: float) -> None:
    """Root mean square of what an output gathers when each product is off by a share of its usual size."""
    at, g, bt = transforms(n - 2, 3)
    gathered = at**2 @ ((g**2).sum(axis=1) * (bt**2).sum(axis=1))
    assert np.sqrt(gathered.mean() / 3) == pytest.approx(told, abs=0.05)


@pytest.mark.parametrize("length", [9, 11, 13, 20, 26, 109])
@pytest.mark.parametrize("r", [3, 4])
def test_a_tile_spares_products(length: int, r: int) -> None:
    m = tile(length, r, 9)
    assert -(-length // m) * (m + r - 1) <= -(-length // tile(length, r, 6)) * 6 <= length * r


LAYERS = [(3, 1, 1), (5, 2, 1), (7, 2, 0)]


@pytest.mark.parametrize(("kernel", "stride", "pad"), LAYERS)
@pytest.mark.parametrize("sides", [(13, 13), (11, 20), (30, 29), (52, 25)])
@pytest.mark.parametrize("most", [6, 7, 8, 9])
def test_a_convolution_equals_the_plain_one(
    kernel: int, stride: int, pad: int, sides: tuple[int, int], most: int
) -> None:
    """Largest relative gap seen: 1.2e-6, 2.9e-6, 3.2e-6, 1.6e-5 with tiles of 6, 7, 8, 9 points a side."""
    torch.manual_seed(kernel)
    conv = nn.Conv2d(8, 12, kernel, stride, pad)
    x = torch.rand(3, *sides, 8) * 255
    fast = Conv(conv, sides, most=most)
    height, width = fast.outputs
    with torch.no_grad():
        found = fast(x)[:, :height, :width] + fast.bias
        expected = conv.double()(x.permute(0, 3, 1, 2).double()).permute(0, 2, 3, 1)
        again = fast(x[:1])[:, :height, :width] + fast.bias
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) < 5e-5
    assert float((again - expected[:1]).abs().max() / expected.abs().max()) < 5e-5


@pytest.mark.parametrize(("kernel", "stride", "pad"), LAYERS)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_lit_pixel_shows_the_kernel(kernel: int, stride: int, pad: int, kind: torch.dtype) -> None:
    """Needs no reference: one pixel of 1 is answered by the weights themselves, wherever in a tile it lies.

    Largest gap seen, of the largest weight: 1.3e-5; with bfloat16 products 0.042.
    """
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, kernel, stride, pad)
    fast = Conv(conv, (31, 31), most=9 if kind is torch.float32 else 6, kind=kind)
    weight = conv.weight.detach()[:, 0]
    for y, z in [(0, 0), (12, 15), (17, 9), (25, 30)]:
        x = torch.zeros(1, 31, 31, 1)
        x[0, y, z] = 1
        height, width = fast.outputs
        expected = torch.zeros(height, width, 2)
        for i in range(height):
            for j in range(width):
                a, b = y + pad - stride * i, z + pad - stride * j
                if 0 <= a < kernel and 0 <= b < kernel:
                    expected[i, j] = weight[:, a, b]
        rough = 5e-5 if kind is torch.float32 else 0.1
        assert float((fast(x)[0, :height, :width] - expected).abs().max() / weight.abs().max()) < rough


def test_compiled_transforms_are_the_exact_ones() -> None:
    """The constants written out in the kernels are those of F(5, 4) from exact fractions."""
    at, _, bt = transforms(5, 4)
    units = np.eye(8, dtype=np.float32)
    np.testing.assert_allclose(np.transpose([kernels.forth(*unit) for unit in units]), bt, atol=3e-8)
    np.testing.assert_allclose(np.transpose([kernels.back(*unit) for unit in units]), at, atol=0)


@pytest.mark.parametrize("side", [41, 52, 67, 224])
@pytest.mark.parametrize("together", [1, 3, 8])
@pytest.mark.parametrize(("kind", "rough"), [(torch.float32, 3e-5), (torch.bfloat16, 0.15)])
def test_first_layer_sees_five_frames_in_their_order_and_pools(
    side: int, together: int, kind: torch.dtype, rough: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside convolution and pooling in float64. Largest gap seen, of the largest answer: 6.3e-6, with bfloat16
    products 0.1 (root mean square 0.012), for noise is the hardest picture."""
    monkeypatch.setitem(FIRST_LAYER_WINDOWS, kind, together)
    torch.manual_seed(0)
    conv = nn.Conv2d(15, 4, 7, 2)
    fast = FirstLayer(conv, (side, side), kind=kind)
    frames = torch.randint(0, 256, (8, side, side, 3), dtype=torch.uint8)
    with torch.no_grad():
        windows = torch.stack([frames[v : v + 5].permute(0, 3, 1, 2).flatten(0, 1) for v in range(4)])
        expected = nn.functional.max_pool2d(conv.double()(windows.double()), 3, 2).relu().permute(0, 2, 3, 1)
        for part in (slice(0, 4), slice(0, 2), slice(1, 4)):
            found = fast(frames[part.start : part.stop + 4])
            assert found.shape == expected[part].shape
            assert float((found - expected[part]).abs().max() / expected.max()) < rough


def test_bfloat16_in_kernels_is_that_of_torch() -> None:
    """Every exponent, halves between two numbers included."""
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    bits[:64] = (bits[:64] & 0xFFFF0000) | 0x8000
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    short = torch.from_numpy(numbers.copy()).bfloat16()
    made, back = np.empty(len(numbers), np.uint16), np.empty(len(numbers), np.float32)

    @numba.njit
    def there_and_back(numbers: Any, made: Any, back: Any) -> None:
        for i in range(len(numbers)):
            made[i] = kernels.like(numbers[i], made[i])
            back[i] = kernels.number(made[i])

    there_and_back(numbers, made, back)
    np.testing.assert_array_equal(made, short.view(torch.int16).numpy().view(np.uint16))
    np.testing.assert_array_equal(back, short.float().numpy())


def test_memory_is_used_again() -> None:
    scratch = ScratchBuffers()
    first = scratch("a", 2, 3)
    assert scratch("a", 3, 2).data_ptr() == first.data_ptr() != scratch("b", 6).data_ptr()
    assert scratch("a", 4, 4).shape == (4, 4)


def test_both_streams_equal_the_published_form() -> None:
    """Largest relative gaps seen, lips and voice: float32 4.2e-6 and 5.6e-7, bfloat16
    0.017 and 0.0024 (0.0075 and 0.0044 where each convolution is direct, in bfloat16)."""
    net = seeded(SyncNetSpec())
    frames, cepstra = frames_of(10, 224), np.random.default_rng(0).normal(size=(40, 13)) * 10
    windows = np.stack([cepstra[4 * v : 4 * v + 20].T for v in range(6)])[:, None].astype(np.float32)
    with torch.no_grad():
        voice = net.forward_aud(torch.from_numpy(windows)).numpy()
    lips = published_lips(net, frames, 0, 6)
    for precision, rough in (("exact", 2e-5), ("bf16", 3e-2)):
        judge = Judge(net, precision=precision)
        assert np.abs(judge.lips(frames) - lips).max() < rough * np.abs(lips).max()
        assert np.abs(judge.voice(cepstra) - voice).max() < rough * np.abs(voice).max()


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
    assert runs([STEP_WINDOWS + 1, 0, 2]) == [
        (0, 0, STEP_WINDOWS),
        (0, STEP_WINDOWS, STEP_WINDOWS + 1),
        (2, 0, 2),
    ]


def test_bench_refuses_a_folder_without_clips(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no video with sound"):
        bench_lse.bench_lse(tmp_path)
    with pytest.raises(UsageError, match=r"nowhere: not a folder; give the folder"):
        bench_lse.bench_lse(tmp_path / "nowhere")


@pytest.mark.slow
def test_bench_runs_both_on_the_same_files_and_finds_the_same_scores() -> None:
    """Exact within 1e-4 of the published form (1.6e-6 seen), bf16 within 0.05 (9e-4 seen) on distances of about 1."""
    report = bench_lse.bench_lse(workers=1, seconds=1.2)
    assert [timing.form for timing in report.timings] == list(bench_lse.FORMS)
    assert report.windows == 25
    exact, short = report.timings[1:]
    assert report.gap(exact) < 1e-4
    assert report.gap(exact) < report.gap(short) < 0.05
    assert exact.values[0][2] == report.timings[0].values[0][2]
    assert exact.cpu < report.timings[0].cpu
    assert report.table().row_count == 3
