"""MS-SSIM against pytorch-msssim, CPBD against answers of python-cpbd, and what both must do whatever the source."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Gap

from tkbench import metrics
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics.base import ClipScores
from tkbench.metrics.cpbd import Cpbd, cpbd, edges_of, grey
from tkbench.metrics.msssim import WEIGHTS, MsSsim, ms_ssim, smallest, weights_of
from tkbench.types import Array, Reason, Sample, UInt8

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from make_cpbd import pictures  # noqa: E402


def texture(height: int, width: int, seed: int = 0, blur: float = 3.0) -> UInt8:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), blur).astype(np.float64)
    return np.clip((soft - soft.mean()) * 4 + 128, 0, 255).astype(np.uint8)


def noisy(picture: UInt8, sigma: float) -> UInt8:
    gap = np.random.default_rng(1).normal(size=picture.shape) * sigma
    return np.clip(np.rint(picture + gap), 0, 255).astype(np.uint8)


def sample_of(video: UInt8) -> Sample:
    landmarks = np.zeros((len(video), 478, 2), np.float32)
    height, width = video.shape[1:3]
    landmarks[..., 0] = np.linspace(0.1 * width, 0.9 * width, 478)
    landmarks[..., 1] = np.linspace(0.1 * height, 0.9 * height, 478)
    landmarks[:, 61], landmarks[:, 291] = (0.45 * width, 0.6 * height), (0.55 * width, 0.6 * height)
    audio = np.zeros(len(video) * 640, np.float32)
    return Sample("a", video, audio, landmarks, np.ones(len(video), np.float32), "x", "test")


def score(metric: MsSsim | Cpbd, real: UInt8, made: UInt8) -> ClipScores:
    return metric.score(sample_of(real), made, np.zeros(len(real) * 640, np.float32))


# -- MS-SSIM -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(161, 203), (176, 176), (255, 190), (256, 256)])
@pytest.mark.parametrize("sigma", [2, 15, 60])
def test_ms_ssim_equals_pytorch_msssim(size: tuple[int, int], sigma: float, gap: Gap) -> None:
    """Against its code in double precision, and in its own single precision."""
    import pytorch_msssim
    import torch

    real = texture(*size)
    made = noisy(real, sigma)
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = torch.from_numpy(taps / taps.sum()).view(1, 1, 1, 11).repeat(3, 1, 1, 1)
    a, b = (torch.from_numpy(p).permute(2, 0, 1)[None] for p in (real, made))
    mine = ms_ssim(real[None], made[None])[0]
    exact = pytorch_msssim.ms_ssim(a.double(), b.double(), data_range=255, win=window)
    gap("MS-SSIM, its code in float64", mine, float(exact))
    assert mine == pytest.approx(float(exact), abs=1e-12)
    single = pytorch_msssim.ms_ssim(a.float(), b.float(), data_range=255)
    gap("MS-SSIM, as it comes (float32)", mine, float(single))
    assert mine == pytest.approx(float(single), abs=2e-5)


@pytest.mark.parametrize("scales", [3, 4])
@pytest.mark.parametrize("sigma", [2, 60])
def test_fewer_scales_equal_pytorch_msssim_with_the_renormalised_weights(
    scales: int, sigma: float, gap: Gap
) -> None:
    """Its `weights` takes any number of scales; its own check of sizes asks for 161 pixels whatever their number."""
    import pytorch_msssim
    import torch

    assert sum(weights_of(scales)) == pytest.approx(1)
    assert np.allclose(
        np.array(weights_of(scales)) / weights_of(scales)[0], np.array(WEIGHTS[:scales]) / WEIGHTS[0]
    )
    real = texture(190, 222)
    made = noisy(real, sigma)
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = torch.from_numpy(taps / taps.sum()).view(1, 1, 1, 11).repeat(3, 1, 1, 1)
    a, b = (torch.from_numpy(p).permute(2, 0, 1)[None].double() for p in (real, made))
    theirs = pytorch_msssim.ms_ssim(a, b, data_range=255, win=window, weights=list(weights_of(scales)))
    mine = ms_ssim(real[None], made[None], scales=scales)[0]
    gap("MS-SSIM at fewer scales, its code in float64", mine, float(theirs))
    # Its weights are rounded to single precision.
    assert mine == pytest.approx(float(theirs), abs=1e-6)


def test_four_scales_score_the_canvas_of_lrs2() -> None:
    """160 pixels are too few for five scales, which the reason says, with what to do; four take them."""
    real = texture(160, 160)[None]
    blurred = [noisy(real[0], sigma)[None] for sigma in (3, 20)]
    five = score(MsSsim(), real, blurred[0]).values["ms_ssim"]
    assert five.reason is Reason.PICTURE_TOO_SMALL
    assert "the canvas is 160 pixels" in five.detail
    assert "scales = 4" in five.detail
    values = [score(MsSsim(scales=4), real, made).values["ms_ssim4"].value for made in (real, *blurred)]
    assert values[0] == 1.0 > values[1] > values[2]
    assert (
        score(MsSsim(scales=4), real[:, :80], real[:, :80]).values["ms_ssim4"].reason
        is Reason.PICTURE_TOO_SMALL
    )
    with pytest.raises(UsageError, match="3, 4 or 5"):
        MsSsim(scales=2)


def test_ms_ssim_falls_with_noise_and_is_symmetric() -> None:
    real = texture(176, 180)
    values = [ms_ssim(real[None], noisy(real, sigma)[None])[0] for sigma in (0, 2, 8, 30, 90)]
    assert values[0] == 1.0
    assert values == sorted(values, reverse=True)
    made = noisy(real, 8)
    assert ms_ssim(made[None], real[None])[0] == pytest.approx(values[2], abs=1e-12)


def test_ms_ssim_of_a_negative_is_zero_not_nan() -> None:
    real = texture(176, 176)
    assert ms_ssim(real[None], 255 - real[None])[0] == 0.0


def test_ms_ssim_of_a_batch_is_that_of_its_frames() -> None:
    real = np.stack([texture(161, 161, seed) for seed in (0, 1, 2)])
    made = np.stack([noisy(frame, 9) for frame in real])
    each = [ms_ssim(a[None], b[None])[0] for a, b in zip(real, made, strict=True)]
    np.testing.assert_array_equal(ms_ssim(real, made), each)
    said = score(MsSsim(), real, made).values["ms_ssim"]
    assert said.value == np.mean(each)
    assert score(MsSsim(stride=2), real, made).values["ms_ssim"].value == np.mean(each[::2])


def test_ms_ssim_needs_room_for_five_scales() -> None:
    with pytest.raises(BadInput, match="161"):
        ms_ssim(np.zeros((1, 160, 300, 3), np.uint8), np.zeros((1, 160, 300, 3), np.uint8))
    real = texture(240, 240)[None]
    values = score(MsSsim(regions=("full", "face", "mouth")), real, real).values
    assert values["ms_ssim"].value == 1.0
    assert values["ms_ssim_face"].value == 1.0
    assert values["ms_ssim_mouth"].reason is Reason.FACE_TOO_SMALL
    assert str(smallest(5)) in values["ms_ssim_mouth"].detail


# -- CPBD ----------------------------------------------------------------------------------------------------


def test_cpbd_equals_python_cpbd(gap: Gap) -> None:
    """It adds shares where we divide a count."""
    golden = json.loads((GOLDEN / "cpbd.json").read_text(encoding="utf-8"))
    assert sorted(golden) == sorted(pictures())
    found = {name: cpbd(picture) for name, picture in pictures().items()}
    gap("CPBD", [found[name] for name in golden], list(golden.values()))
    assert found == pytest.approx(golden, abs=1e-12)
    assert len({round(value, 6) for value in golden.values()}) > 5


def test_grey_is_pillows() -> None:
    from PIL import Image

    frame = texture(40, 50, blur=1.0)
    np.testing.assert_array_equal(grey(frame), np.array(Image.fromarray(frame).convert("L")))


def test_edges_are_the_sobel_of_scipy() -> None:
    from scipy import ndimage

    image = grey(texture(60, 70)).astype(np.float64)
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8
    strength = ndimage.convolve(image, kernel) ** 2
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    q = np.pad(strength, 1)
    flat = [q[1:-1, :-2], q[1:-1, 2:], q[:-2, 1:-1], q[2:, 1:-1]]
    ridge = ((strength > flat[0]) & (strength > flat[1])) | ((strength > flat[2]) & (strength > flat[3]))
    np.testing.assert_array_equal(edges_of(image), ridge)


def test_cpbd_falls_with_blur() -> None:
    picture = pictures()["blocks"]
    values = [cpbd(picture if s == 0 else cv2.GaussianBlur(picture, (0, 0), s)) for s in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.7
    assert values[-1] < 0.2


def test_a_perfect_step_has_no_edge() -> None:
    """A quirk of the definition that is kept: both pixels of a step respond alike, so neither is a maximum."""
    assert cpbd(np.kron(np.eye(4), np.full((40, 40), 200)).astype(np.uint8)) == 0.0


def test_cpbd_looks_at_the_generated_video_alone() -> None:
    made = np.stack([texture(128, 128, seed, 1.0) for seed in range(6)])
    one = score(Cpbd(), texture(128, 128, 9)[None].repeat(6, axis=0), made).values["cpbd"]
    two = score(Cpbd(), np.zeros_like(made), made).values["cpbd"]
    assert one == two
    assert one.value == np.mean([cpbd(grey(made[0])), cpbd(grey(made[5]))])


def test_cpbd_wants_a_grey_picture() -> None:
    for wrong in (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8)), np.zeros((2, 9), np.uint8)):
        with pytest.raises(BadInput, match="uint8"):
            cpbd(wrong)  # type: ignore[arg-type]


# -- questions that every metric answers ---------------------------------------------------------------------


@pytest.mark.parametrize("metric", [MsSsim(), Cpbd()], ids=["ms_ssim", "cpbd"])
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("empty", Reason.TOO_SHORT),
        ("shape", Reason.WRONG_SHAPE),
        ("dtype", Reason.WRONG_SHAPE),
        ("length", Reason.WRONG_LENGTH),
        ("small", Reason.PICTURE_TOO_SMALL),
    ],
)
def test_what_cannot_be_scored_says_why(metric: MsSsim | Cpbd, case: str, reason: Reason) -> None:
    video = np.stack([texture(170, 170)] * 2)
    small = np.ascontiguousarray(video[:, :50, :50])
    pairs: dict[str, tuple[UInt8, Array]] = {
        "empty": (video[:0], video[:0]),
        "shape": (video, video[:, :100]),
        "dtype": (
            video,
            video / np.float32(255),
        ),  # a range of 0 to 1 comes as floating point: refused by its type
        "length": (video, video[:1]),
        "small": (small, small),
    }
    real, made = pairs[case]
    for value in score(metric, real, made).values.values():  # type: ignore[arg-type]
        assert math.isnan(value.value)
        assert value.reason is reason
        assert value.detail


def test_nan_landmarks_leave_the_whole_frame_scored() -> None:
    video = texture(170, 170)[None]
    hole = sample_of(video)
    hole = replace(hole, landmarks=np.full_like(hole.landmarks, np.nan))
    values = MsSsim(regions=("full", "face")).score(hole, video, hole.audio).values
    assert values["ms_ssim"].value == 1.0
    assert values["ms_ssim_face"].reason is Reason.NOT_FINITE


def test_settings_that_do_not_exist_are_refused() -> None:
    for make in (MsSsim, Cpbd):
        with pytest.raises(UsageError, match="stride"):
            make(stride=0)
        with pytest.raises(UnknownName, match="face"):
            make(regions=("fave",))
    assert metrics.registry.get("ms_ssim") is MsSsim
    assert metrics.registry.get("cpbd") is Cpbd
