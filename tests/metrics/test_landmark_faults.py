"""Faults put in on purpose into the metrics on landmarks, sharpness and identity: a test must turn red at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
import test_cpbd
import test_csim
import test_landmark
import test_voice
from conftest import without_gap

from tkbench.metrics import arcface, cpbd, csim, landmark, mouth, msssim, voice, voicefeatures, voicefit

Patch = pytest.MonkeyPatch


def lag_of_the_other_sign(patch: Patch) -> None:
    whole = voice.correlation_curve
    patch.setattr(voice, "correlation_curve", lambda *parts, **more: whole(*parts, **more)[::-1])


def whole_frames_only(patch: Patch) -> None:
    patch.setattr(voice, "_vertex", lambda before, top, after: 0.0)


def no_threshold(patch: Patch) -> None:
    patch.setattr(voice, "SURE", 0.0)


def lead_taken_away_twice(patch: Patch) -> None:
    whole = voice.Voice._lag

    def other(self: voice.Voice, *parts: Any) -> Any:
        found = whole(self, *parts)
        return replace(found, value=found.value - 2 * self.zero)

    patch.setattr(voice.Voice, "_lag", other)


def silence_by_a_fixed_level(patch: Patch) -> None:
    whole = voicefeatures.log_mel
    patch.setattr(voicefeatures, "log_mel", lambda audio: np.maximum(whole(audio), 0.0))


def pose_left_in(patch: Patch) -> None:
    patch.setattr(mouth, "upright", lambda points: points - points[:, [27]])
    patch.setattr(test_voice, "upright", mouth.upright)


def lips_swapped(patch: Patch) -> None:
    patch.setattr(mouth, "INNER", ((50, 61), (51, 62), (52, 63)))


def own_speaker_left_in(patch: Patch) -> None:
    patch.setattr(voicefit.Fit, "map_for", lambda self, speaker: voicefit.solve(voicefit.total(self.folds)))


def other_variant(name: str, **changes: Any) -> Callable[[Patch], None]:
    def fault(patch: Patch) -> None:
        patch.setitem(landmark.VARIANTS, name, replace(landmark.VARIANTS[name], **changes))

    return fault


def crop_of_the_true_face_for_both(patch: Patch) -> None:
    patch.setattr(test_landmark, "in_crop", lambda track, recipe: landmark.in_crop(track, None))


def truth_from_the_first_frame(patch: Patch) -> None:
    whole = landmark.true_aperture
    patch.setattr(
        test_landmark, "true_aperture", lambda meta, frames: whole({**meta, "start_frame": 0}, frames)
    )


def unseen_frames_counted(patch: Patch) -> None:
    whole = landmark.Lmd.values
    patch.setattr(
        landmark.Lmd, "values", lambda self, sample, seen, both: whole(self, sample, seen, np.ones_like(both))
    )


def jitter_followed(patch: Patch) -> None:
    patch.setattr(landmark, "STILL", 0.0)


def scales_in_reverse(patch: Patch) -> None:
    patch.setattr(msssim, "WEIGHTS", msssim.WEIGHTS[::-1])


def every_second_pixel(patch: Patch) -> None:
    patch.setattr(msssim, "_halved", lambda picture: np.ascontiguousarray(picture[::2, ::2]))


def padded_windows(patch: Patch) -> None:
    def same(picture: np.ndarray, taps: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.sepFilter2D(picture, cv2.CV_64F, taps, taps))

    patch.setattr(msssim, "_filtered", same)


def grey_by_the_mean(patch: Patch) -> None:
    patch.setattr(test_cpbd, "grey", lambda frames: frames.mean(axis=-1).astype(np.uint8))


def one_noticeable_width(patch: Patch) -> None:
    # Another beta would change nothing: widths are whole, and 1 - exp(-(w / w0) ** beta) is below 0.64 up to w = w0.
    patch.setattr(cpbd, "LOW_CONTRAST", 255)


def widths_by_one_less(patch: Patch) -> None:
    whole = cpbd.widths_of
    patch.setattr(cpbd, "widths_of", lambda image, edges: np.maximum(whole(image, edges) - 1, 0))


def blue_for_red(patch: Patch) -> None:
    whole = arcface.embeddings
    patch.setattr(test_csim, "embeddings", lambda net, faces, **more: whole(net, faces[..., ::-1], **more))


def pictures_from_0_to_1(patch: Patch) -> None:
    def wrong(net: Any, faces: Any, **more: Any) -> Any:
        return arcface.embeddings(net, (faces // 2 + 64).astype(np.uint8), **more)

    patch.setattr(test_csim, "embeddings", wrong)


def template_mirrored(patch: Patch) -> None:
    whole = csim.onto_template
    patch.setattr(test_csim, "onto_template", lambda points: whole(points[:, [1, 0, 2, 4, 3]]))


lag = partial(test_voice.test_the_lag_is_that_of_the_video, 5)
ms_ssim = partial(test_cpbd.test_ms_ssim_equals_pytorch_msssim, size=(176, 176), sigma=15)
loops = test_landmark.test_distance_equals_the_published_loops
FAULTS: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (lag_of_the_other_sign, lag),
    (whole_frames_only, partial(test_voice.test_parts_of_a_frame_count, 0.5)),
    (no_threshold, test_voice.test_another_voice_is_not_sure),
    (lead_taken_away_twice, test_voice.test_zero_of_speech_differs_by_the_lead_of_real_mouths),
    (silence_by_a_fixed_level, test_voice.test_loudness_does_not_matter),
    (pose_left_in, test_voice.test_the_pose_of_the_head_does_not_matter),
    (lips_swapped, test_voice.test_aperture_follows_the_truth_of_the_corpus),
    (own_speaker_left_in, test_voice.test_a_speaker_is_judged_without_its_own_clips),
    (other_variant("lmd_atvg", norm="mean"), partial(loops, "lmd_atvg")),
    (other_variant("lmd_mouth", centred=False), partial(loops, "lmd_mouth")),
    (other_variant("lmd_face", part=landmark.MOUTH), partial(loops, "lmd_face")),
    (other_variant("lvd_mouth", moving=False), partial(loops, "lvd_mouth")),
    (other_variant("lmd_vico", norm="mean"), partial(loops, "lmd_vico")),
    (crop_of_the_true_face_for_both, test_landmark.test_eyes_and_nose_of_two_clips_meet_in_the_crop),
    (truth_from_the_first_frame, test_landmark.test_truth_begins_where_the_run_does),
    (unseen_frames_counted, test_landmark.test_only_frames_with_both_faces_count),
    (jitter_followed, test_landmark.test_lips_that_stand_still_follow_nothing),
    (scales_in_reverse, ms_ssim),
    (every_second_pixel, ms_ssim),
    (padded_windows, ms_ssim),
    (grey_by_the_mean, test_cpbd.test_grey_is_pillows),
    (one_noticeable_width, test_cpbd.test_cpbd_equals_python_cpbd),
    (widths_by_one_less, test_cpbd.test_cpbd_equals_python_cpbd),
    (blue_for_red, test_csim.test_embeddings_equal_the_forward_pass_by_hand),
    (pictures_from_0_to_1, test_csim.test_embeddings_equal_the_forward_pass_by_hand),
    (template_mirrored, test_csim.test_five_points_are_laid_on_the_template),
]


@pytest.mark.parametrize(
    ("fault", "guard"), FAULTS, ids=[f"{i}-{f.__name__}" for i, (f, _) in enumerate(FAULTS)]
)
def test_a_fault_is_caught(fault: Callable[[Patch], None], guard: Callable[[], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises(AssertionError):
            without_gap(guard)()
