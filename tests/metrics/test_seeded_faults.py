"""Faults put in on purpose: each one must turn a parity test of this suite red.

A test that passes whatever the code does is worth nothing; here the code is broken in the ways in which this
field's code has been broken, and the test that guards it has to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import test_distribution
import test_image
import test_lse
import test_mfcc
import test_paired
import test_perceptual
import test_sync
import torch
from conftest import without_gap
from test_lse import small_judge  # noqa: F401

from tkbench import media
from tkbench.media import lossy
from tkbench.metrics import (
    frechet,
    image_variants,
    lse,
    lse_pieces,
    mfcc,
    s3fd,
    sync,
    syncnet,
    tracks,
    winograd,
)
from tkbench.results import paired

Patch = pytest.MonkeyPatch


def padding_with_the_edge(patch: Patch) -> None:
    pad = np.pad
    patch.setattr(np, "pad", lambda x, width, **_: pad(x, width, mode="edge"))


def padding_left_out(patch: Patch) -> None:
    whole = sync.sync_curve
    patch.setattr(
        test_sync, "sync_curve", lambda a, b, *, ends="valid", **more: whole(a, b, ends="valid", **more)
    )


def red_for_blue(patch: Patch) -> None:
    patch.setattr(syncnet, "pixels", lambda frames, channels: np.ascontiguousarray(frames))


def red_for_blue_in_the_fast_stream(patch: Patch) -> None:
    front = winograd.LipStream.front
    patch.setattr(
        winograd.LipStream, "front", lambda self, frames: front(self, np.ascontiguousarray(frames[..., ::-1]))
    )


def pixels_from_0_to_1(patch: Patch) -> None:
    tensor = syncnet.Judge._tensor
    patch.setattr(syncnet.Judge, "_tensor", lambda self, block: tensor(self, block) / 255)


def frames_in_reverse(patch: Patch) -> None:
    blocks = syncnet.Judge._blocks

    def reverse(self: syncnet.Judge, clips: Any, counts: Any) -> Iterator[torch.Tensor]:
        for block in blocks(self, clips, counts):
            n, height, width, depth = block.shape
            yield block.reshape(n, height, width, 5, depth // 5).flip(3).reshape(block.shape)

    patch.setattr(syncnet.Judge, "_blocks", reverse)


def resize_by_area(patch: Patch) -> None:
    small = lambda frame, size: cv2.resize(frame, size, interpolation=cv2.INTER_AREA)  # noqa: E731
    patch.setattr(lse_pieces, "cv2", SimpleNamespace(resize=small))


def resize_to_nearest_in_crops(patch: Patch) -> None:
    def nearest(frame: np.ndarray, size: tuple[int, int], dst: np.ndarray) -> None:
        dst[...] = cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)

    patch.setattr(tracks, "cv2", SimpleNamespace(resize=nearest))


def offset_of_the_other_sign(patch: Patch) -> None:
    whole = sync.lse

    def turned(curve: np.ndarray) -> tuple[float, float, int]:
        confidence, distance, offset = whole(curve)
        return confidence, distance, -offset

    patch.setattr(lse, "lse", turned)
    patch.setattr(sync, "lse", turned)


def no_jpeg(patch: Patch) -> None:
    patch.setattr(lossy, "jpegs_of", media.read_video)


def black_border(patch: Patch) -> None:
    patch.setattr(tracks, "PAD", 0)


def medians_with_repeated_ends(patch: Patch) -> None:
    def repeated(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, tracks.WINDOW // 2, mode="edge")
        return np.median(np.lib.stride_tricks.sliding_window_view(padded, tracks.WINDOW), axis=1)

    patch.setattr(tracks, "_median", repeated)


def track_as_long_as_its_minimum(patch: Patch) -> None:
    link = tracks.link
    patch.setattr(tracks, "link", lambda *a, min_track, **more: link(*a, min_track=min_track - 1, **more))


def means_of_blue_on_red(patch: Patch) -> None:
    patch.setattr(s3fd, "MEAN", s3fd.MEAN[::-1])


def another_preemphasis(patch: Patch) -> None:
    patch.setattr(mfcc, "PREEMPHASIS", 0.95)


def covariance_over_n(patch: Patch) -> None:
    whole = frechet.moments

    def over_n(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, cov = whole(rows)
        return mean, cov * (len(rows) - 1) / len(rows)

    patch.setattr(frechet, "moments", over_n)


def trace_without_the_root(patch: Patch) -> None:
    whole = frechet._shared
    patch.setattr(frechet, "_shared", lambda a, b: whole(a, b) ** 2)


def kid_with_its_diagonal(patch: Patch) -> None:
    patch.setattr(frechet.np, "trace", lambda matrix: 0.0)


def squares_that_wrap(patch: Patch) -> None:
    patch.setattr(cv2, "absdiff", lambda a, b: a - b)


def another_window(patch: Patch) -> None:
    patch.setattr(image_variants, "SIDE", 9)


def one_sided_test(patch: Patch) -> None:
    whole = paired.sign_test
    patch.setattr(test_paired, "sign_test", lambda sums, **more: (whole(sums, **more)[0] / 2, True))


def bonferroni_for_holm(patch: Patch) -> None:
    patch.setattr(test_paired, "holm", lambda ps: [min(1.0, len(ps) * p) for p in ps])


def lag(request: pytest.FixtureRequest, patch: Patch, tmp_path: Path) -> None:
    test_lse.test_every_recipe_finds_a_known_lag(
        "wav2lip-lrs-canvas", request.getfixturevalue("small_judge"), patch
    )


def sync_lag(request: pytest.FixtureRequest, patch: Patch, tmp_path: Path) -> None:
    judge = request.getfixturevalue("small_judge")
    test_sync.test_the_whole_way_reports_a_late_video_as_positive(3, judge, patch)


def script(request: pytest.FixtureRequest, patch: Patch, tmp_path: Path) -> None:
    without_gap(test_lse.test_wav2lip_lrs_equals_the_published_script)(clip(tmp_path))


def jpegs(request: pytest.FixtureRequest, patch: Patch, tmp_path: Path) -> None:
    (tmp_path / "jpegs").mkdir()
    test_lse.test_jpegs_are_those_that_the_script_writes(clip(tmp_path), tmp_path / "jpegs")


def clip(folder: Path) -> Path:
    path = folder / "clip.mp4"
    sample = test_lse.sample_of(30, 128)
    media.write_video(path, test_sync.frames_of(30, 128), audio=sample.audio, quality=18)
    return path


def plain(test: Callable[..., None], *arguments: Any) -> Callable[..., None]:
    def check(request: pytest.FixtureRequest, patch: Patch, tmp_path: Path) -> None:
        without_gap(test)(*arguments)

    return check


SMALL_PASS = plain(test_sync.test_fast_pass_equals_the_slow_one_at_any_size, 3, False)
FAULTS: list[tuple[Callable[[Patch], None], Callable[..., None]]] = [
    (padding_with_the_edge, plain(test_sync.test_zero_padded_curve_equals_calc_pdist, 24)),
    (padding_left_out, plain(test_sync.test_zero_padded_curve_equals_calc_pdist, 24)),
    (red_for_blue, SMALL_PASS),
    (red_for_blue_in_the_fast_stream, plain(test_sync.test_fast_pass_equals_the_published_form)),
    (pixels_from_0_to_1, SMALL_PASS),
    (frames_in_reverse, SMALL_PASS),
    (resize_by_area, script),
    (resize_to_nearest_in_crops, plain(test_lse.test_crops_are_cut_from_a_padded_picture)),
    (offset_of_the_other_sign, lag),
    (offset_of_the_other_sign, sync_lag),
    (no_jpeg, jpegs),
    (black_border, plain(test_lse.test_crops_are_cut_from_a_padded_picture)),
    (medians_with_repeated_ends, plain(test_lse.test_boxes_are_smoothed_as_scipy_does)),
    (
        track_as_long_as_its_minimum,
        plain(test_lse.test_a_track_must_be_longer_than_its_minimum_and_its_face_larger),
    ),
    (means_of_blue_on_red, plain(test_lse.test_detector_gets_red_green_blue_less_their_means)),
    (another_preemphasis, plain(test_mfcc.test_equals_python_speech_features, 16_000, 9000.0)),
    (covariance_over_n, plain(test_perceptual.test_moments_equal_numpy)),
    (
        trace_without_the_root,
        plain(test_distribution.test_frechet_equals_pytorch_fid_in_both_ways_of_taking_the_root),
    ),
    (kid_with_its_diagonal, plain(test_distribution.test_kid_equals_the_sum_over_pairs_and_is_unbiased)),
    (squares_that_wrap, plain(test_image.test_psnr_equals_skimage, 20)),
    (another_window, plain(test_image.test_uniform_ssim_equals_skimage_left_alone, 20, 64, 48)),
    (one_sided_test, plain(test_paired.test_permutation_p_equals_enumeration)),
    (bonferroni_for_holm, plain(test_paired.test_holm_against_a_worked_example)),
]


@contextmanager
def put_in(fault: Callable[[Patch], None]) -> Iterator[Patch]:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        yield patch


@pytest.mark.parametrize(
    ("fault", "check"), FAULTS, ids=[f"{fault.__name__}-{place}" for place, (fault, _) in enumerate(FAULTS)]
)
def test_a_fault_is_caught(
    fault: Callable[[Patch], None],
    check: Callable[..., None],
    request: pytest.FixtureRequest,
    monkeypatch: Patch,
    tmp_path: Path,
) -> None:
    if "lag" in check.__name__:
        request.getfixturevalue("small_judge")
    with put_in(fault), pytest.raises(AssertionError):
        check(request, monkeypatch, tmp_path)
    assert torch.is_inference_mode_enabled() is False
