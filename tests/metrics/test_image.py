"""PSNR and SSIM: equal to their references, true where the field's scripts are not, answers to every odd input."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from conftest import Gap

from tkbench import metrics
from tkbench.errors import BadInput, UnknownName
from tkbench.metrics.base import Score
from tkbench.metrics.image import Psnr, Ssim, mse, psnr, ssim
from tkbench.metrics.image_variants import mse_wrapped, ssim_uniform
from tkbench.metrics.regions import boxes
from tkbench.types import Reason, Sample


def pictures(frames: int = 3, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Soft random pictures (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return np.stack(
        [cv2.normalize(cv2.GaussianBlur(f, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX) for f in raw]
    )


def noisy(video: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, video.shape)
    return np.clip(video + noise, 0, 255).astype(np.uint8)


def face(frames: int, size: int) -> np.ndarray:
    """Landmarks (T, 478, 2) that fill the middle of the picture, with the lip corners a quarter of it apart."""
    rng = np.random.default_rng(5)
    points = rng.uniform(0.2 * size, 0.8 * size, (478, 2)).astype(np.float32)
    from tkbench.metrics.regions import LIPS

    angle = np.linspace(0, 2 * np.pi, len(LIPS), endpoint=False)
    points[list(LIPS)] = np.stack(
        [0.5 * size + size / 8 * np.cos(angle), 0.6 * size + size / 20 * np.sin(angle)], 1
    )
    points[61], points[291] = (0.375 * size, 0.6 * size), (0.625 * size, 0.6 * size)
    return np.repeat(points[None], frames, axis=0)


def sample_of(video: np.ndarray) -> Sample:
    frames = len(video)
    return Sample(
        key="a/b",
        video=video,
        audio=np.zeros(frames * 640, np.float32),
        landmarks=face(frames, video.shape[1]) if frames else np.zeros((0, 478, 2), np.float32),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


@pytest.mark.parametrize("sigma", [0, 1, 5, 20, 60])
@pytest.mark.parametrize(("height", "width"), [(11, 11), (11, 40), (64, 48), (97, 131)])
def test_ssim_equals_skimage(sigma: float, height: int, width: int, gap: Gap) -> None:
    from skimage.metrics import structural_similarity

    real = pictures(2, height, width)
    made = noisy(real, sigma)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [
        structural_similarity(a, b, channel_axis=2, **settings) for a, b in zip(real, made, strict=True)
    ]
    gap("SSIM", ssim(real, made), expected)
    # Filters are in float32.
    np.testing.assert_allclose(ssim(real, made), expected, rtol=0, atol=1e-6)


def test_ssim_equals_skimage_on_flat_bright_pictures() -> None:
    """Where float32 cancels worst."""
    from skimage.metrics import structural_similarity

    real = np.full((1, 32, 32, 3), 250, np.uint8)
    made = real.copy()
    made[:, ::2] += 2
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(real[0], made[0], channel_axis=2, **settings)
    np.testing.assert_allclose(ssim(real, made)[0], expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [2, 8, 20, 45])
def test_psnr_equals_skimage(sigma: float, gap: Gap) -> None:
    from skimage.metrics import peak_signal_noise_ratio

    real = pictures()
    made = noisy(real, sigma)
    expected = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(real, made, strict=True)]
    gap("PSNR", psnr(mse(real, made)), expected)
    np.testing.assert_allclose(psnr(mse(real, made)), expected, rtol=1e-12)


def test_psnr_does_not_wrap() -> None:
    """Published scripts square uint8 differences modulo 256, which cannot go below 27.9 dB on noise."""
    black, grey = np.zeros((1, 16, 16, 3), np.uint8), np.full((1, 16, 16, 3), 16, np.uint8)
    assert mse(black, grey)[0] == 256  # 16 * 16 wraps to 0
    assert psnr(mse(black, np.full_like(black, 255)))[0] == 0


def test_worse_pictures_score_worse() -> None:
    real = pictures(1, 64, 64)
    for name in ("psnr", "ssim"):
        metric = metrics.registry.get(name)()
        sample = sample_of(real)
        values = [
            metric.score(sample, noisy(real, s), sample.audio).values[name].value for s in (1, 4, 16, 64)
        ]
        assert values == sorted(values, reverse=True)


def test_symmetry_and_order_of_frames() -> None:
    real = pictures(4)
    made = noisy(real, 10)
    np.testing.assert_allclose(ssim(real, made), ssim(made, real), atol=1e-7)
    np.testing.assert_array_equal(ssim(real, made)[::-1], ssim(real[::-1], made[::-1]))
    np.testing.assert_array_equal(mse(real, made), mse(made, real))


def test_pooling_of_psnr() -> None:
    """One identical frame makes the mean of frames infinite, not the pooled value."""
    real = pictures(4, 64, 64)
    made = noisy(real, 10)
    made[0] = real[0]
    sample = sample_of(real)
    pooled = Psnr(regions=["full"]).score(sample, made, sample.audio).values["psnr"].value
    assert pooled == pytest.approx(psnr(np.mean(mse(real, made))))
    framed = Psnr(regions=["full"], pool="frame").score(sample, made, sample.audio).values["psnr"].value
    assert math.isinf(framed)


def test_mouth_region_sees_the_mouth_alone() -> None:
    real = pictures(2, 96, 96)
    sample = sample_of(real)
    x0, y0, x1, y1 = boxes(sample.landmarks, "mouth", 96, 96)[0]
    assert x1 - x0 in (38, 39)  # 1.6 times the 24 pixels between the corners
    assert y1 - y0 in (38, 39)
    hurt = real.copy()
    hurt[:, y0:y1, x0:x1] = 255 - hurt[:, y0:y1, x0:x1]
    outside = noisy(real, 30)
    outside[:, y0:y1, x0:x1] = real[:, y0:y1, x0:x1]
    metric = Ssim(regions=["full", "mouth"])
    inside_only = metric.score(sample, hurt, sample.audio).values
    outside_only = metric.score(sample, outside, sample.audio).values
    assert outside_only["ssim_mouth"].value == pytest.approx(1)
    assert inside_only["ssim_mouth"].value < 0.5 < inside_only["ssim"].value


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_every_metric_answers_the_same_questions(name: str) -> None:
    metric = metrics.registry.get(name)()
    real = pictures(3, 64, 64)
    sample = sample_of(real)

    def ask(video: np.ndarray, of: Sample = sample) -> Score:
        scored = metric.score(of, video, of.audio)
        assert set(scored.values) == {column.name for column in metric.columns}
        return scored.values[name]

    assert ask(real).value == (math.inf if name == "psnr" else pytest.approx(1))
    assert ask(real.astype(np.float32)).reason is Reason.WRONG_SHAPE
    assert ask(real[:, :32]).reason is Reason.WRONG_SHAPE
    assert ask(real[..., :1]).reason is Reason.WRONG_SHAPE
    assert ask(real[:2]).reason is Reason.WRONG_LENGTH
    assert ask(real[:0], sample_of(real[:0])).reason is Reason.TOO_SHORT
    assert ask(real[:1], sample_of(real[:1])).reason is None
    tiny = real[:, :8, :8]
    assert ask(tiny, sample_of(tiny)).reason is Reason.PICTURE_TOO_SMALL
    for value in metric.score(sample, real[:2], sample.audio).values.values():
        assert math.isnan(value.value)


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_a_mouth_outside_the_picture_is_unscored(name: str) -> None:
    real = pictures(2, 64, 64)
    sample = sample_of(real)
    sample.landmarks[:] += 500
    scored = metrics.registry.get(name)().score(sample, real, sample.audio).values
    assert scored[name].reason is None
    assert scored[f"{name}_mouth"].reason is Reason.FACE_TOO_SMALL
    sample.landmarks[:] = np.nan
    assert metrics.registry.get(name)().score(sample, real, sample.audio).values[f"{name}_mouth"].reason is (
        Reason.NOT_FINITE
    )


def test_settings_with_a_typo_are_refused() -> None:
    with pytest.raises(UnknownName, match="mouth"):
        Ssim(regions=["moth"])
    with pytest.raises(UnknownName, match="clip"):
        Psnr(pool="clips")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="equal shapes"):
        mse(pictures(2), pictures(3))
    with pytest.raises(ValueError, match="go together"):
        Score(math.nan)


@pytest.mark.parametrize("sigma", [0, 2, 20, 60])
@pytest.mark.parametrize(("height", "width"), [(7, 9), (64, 48)])
def test_uniform_ssim_equals_skimage_left_alone(sigma: float, height: int, width: int, gap: Gap) -> None:
    from skimage.metrics import structural_similarity

    real = pictures(2, height, width)
    made = noisy(real, sigma)
    expected = [
        structural_similarity(a, b, channel_axis=2, data_range=255) for a, b in zip(real, made, strict=True)
    ]
    gap("SSIM uniform", ssim_uniform(real, made), expected)
    np.testing.assert_allclose(ssim_uniform(real, made), expected, rtol=0, atol=1e-10)


def test_uniform_ssim_by_its_definition() -> None:
    """Loops over windows: means, sample variances and the sample covariance of 49 pixels, channel by channel."""
    real = pictures(1, 12, 11)
    made = noisy(real, 20)
    found = []
    for c in range(3):
        a, b = (p[0, ..., c].astype(np.float64) for p in (real, made))
        for y in range(12 - 6):
            for x in range(11 - 6):
                u, v = a[y : y + 7, x : x + 7].ravel(), b[y : y + 7, x : x + 7].ravel()
                cov = np.cov(u, v)
                top = (2 * u.mean() * v.mean() + 6.5025) * (2 * cov[0, 1] + 58.5225)
                low = (u.mean() ** 2 + v.mean() ** 2 + 6.5025) * (cov[0, 0] + cov[1, 1] + 58.5225)
                found.append(top / low)
    assert ssim_uniform(real, made)[0] == pytest.approx(np.mean(found), abs=1e-12)


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_scikit_image_computes_where_it_is_asked_to(name: str) -> None:
    """The library as an oracle in an evaluation: its own column, and the number of ours to single precision."""
    real = pictures(3, 64, 64)
    made = noisy(real, 15)
    sample = sample_of(real)
    ours = metrics.registry.get(name)()
    theirs = metrics.registry.get(name)(by="scikit-image")
    assert [c.name for c in theirs.columns] == [f"{name}_skimage", f"{name}_skimage_mouth"]
    assert all("by:scikit-image-" in c.signature for c in theirs.columns)
    a, b = ours.score(sample, made, sample.audio).values, theirs.score(sample, made, sample.audio).values
    for place, column in zip((name, f"{name}_mouth"), theirs.columns, strict=True):
        assert b[column.name].value == pytest.approx(a[place].value, abs=1e-6)
    with pytest.raises(UnknownName, match="scikit-image"):
        metrics.registry.get(name)(by="skimage")


def test_wrapped_psnr_has_the_published_values_and_its_own_floor() -> None:
    """Grey with noise, as measured on the scripts: 42.0, 31.2, 28.7 and 28.0 dB at sigma 2, 8, 20 and 45."""
    real = np.full((1, 256, 256, 3), 128, np.uint8)
    for sigma, wrapped, true in ((2, 42.0, 42.0), (8, 31.2, 30.0), (20, 28.7, 22.1), (45, 28.0, 15.1)):
        made = noisy(real, sigma)
        assert psnr(mse_wrapped(real, made))[0] == pytest.approx(wrapped, abs=0.25)
        assert psnr(mse(real, made))[0] == pytest.approx(true, abs=0.3)
    wild = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    assert psnr(mse_wrapped(wild, real))[0] == pytest.approx(27.90, abs=0.05)


@pytest.mark.parametrize(
    ("name", "column"), [("psnr-wrapped-uint8", "psnr_wrapped_uint8"), ("ssim-uniform", "ssim_uniform")]
)
def test_variants_answer_under_their_own_names(name: str, column: str) -> None:
    metric = metrics.registry.get(name)(regions=["full", "face", "mouth"])
    assert [c.name for c in metric.columns] == [column, f"{column}_face", f"{column}_mouth"]
    real = pictures(3, 64, 64)
    sample = sample_of(real)
    scored = metric.score(sample, real, sample.audio).values
    best = math.inf if name.startswith("psnr") else pytest.approx(1)
    assert all(value.value == best for value in scored.values())
    for wrong, why in (
        (real.astype(np.float32), Reason.WRONG_SHAPE),
        (real[:2], Reason.WRONG_LENGTH),
        (real[:, :32], Reason.WRONG_SHAPE),
    ):
        assert metric.score(sample, wrong, sample.audio).values[column].reason is why
    empty = sample_of(real[:0])
    assert metric.score(empty, real[:0], empty.audio).values[column].reason is Reason.TOO_SHORT
    from tkbench import protocol

    for rules in protocol.bundled():
        assert name not in {spec.name for spec in protocol.load(rules).metrics}


def test_regions_are_separate_columns() -> None:
    for metric in (Psnr(regions=["full", "face", "mouth"]), Ssim(regions=["full", "face", "mouth"])):
        names = [column.name for column in metric.columns]
        assert names[1:] == [f"{names[0]}_face", f"{names[0]}_mouth"]
        assert len({column.signature for column in metric.columns}) == 3


@pytest.mark.parametrize("shape", [(10, 200), (200, 10)])
def test_ssim_refuses_a_picture_that_one_side_is_too_small(shape: tuple[int, int]) -> None:
    picture = np.zeros((1, *shape, 3), np.uint8)
    with pytest.raises(BadInput, match="at least 11 pixels"):
        ssim(picture, picture)
