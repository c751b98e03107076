"""Landmark distances against plain loops over their published definitions, and lips against known movements."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Gap
from support.talkers import late, seeing, talker

from tkbench import metrics
from tkbench.crops import align
from tkbench.crops.recipes import IBUG_OF_MESH
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.metrics.base import ClipScores, TrackedFace
from tkbench.metrics.landmark import VARIANTS, Lip, Lmd, correlation, distance, in_crop, true_aperture
from tkbench.prep.retrack import gaps_filled, retrack
from tkbench.scoring.clips import track_face
from tkbench.types import Array, Float32, Float64, Reason, Sample, UInt8

ALL = tuple(VARIANTS)
LMD = tuple(f"{name}_mesh" for name in ALL)
LIP = ("lip_corr_mesh", "lip_error_mesh")


def score(metric: Lmd | Lip, sample: Sample, landmarks: Float32, found: Array | None = None) -> ClipScores:
    return metric.score(sample, sample.video, sample.audio, seeing(landmarks, found))


# -- parity with the published definitions, point by point and frame by frame --------------------------------


def by_loops(name: str, real: Float64, made: Float64) -> float:
    """The definitions as the sources have them: no arrays, no shortcuts."""
    first, count = (0, 68) if "face" in name else (48, 20)
    total, frames = 0.0, len(real)
    for t in range(frames):
        points = []
        for track in (real, made):
            rows = [(float(x), float(y)) for x, y in track[t, first : first + count]]
            if name.startswith("lvd"):
                if t == 0:
                    break
                before = track[t - 1, first : first + count]
                rows = [(x - float(u), y - float(v)) for (x, y), (u, v) in zip(rows, before, strict=True)]
            elif name != "lmd_vico":
                cx, cy = sum(x for x, _ in rows) / count, sum(y for _, y in rows) / count
                rows = [(x - cx, y - cy) for x, y in rows]
            points.append(rows)
        if len(points) < 2:
            continue
        for (x, y), (u, v) in zip(*points, strict=True):
            if name == "lmd_vico":
                total += (abs(x - u) + abs(y - v)) / 2
            else:
                total += math.sqrt((x - u) ** 2 + (y - v) ** 2)
    return total / frames if name == "lmd_atvg" else total / (frames * count)


@pytest.mark.parametrize("name", ALL)
def test_distance_equals_the_published_loops(name: str, gap: Gap) -> None:
    """Loops as the scripts have them."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(9, 68, 2)) * 20 + 64
    made = real + rng.normal(size=real.shape) * 3
    gap("landmark distances", distance(real, made, VARIANTS[name]), by_loops(name, real, made), relative=True)
    assert distance(real, made, VARIANTS[name]) == pytest.approx(by_loops(name, real, made), rel=1e-12)


def test_the_crop_of_points_is_the_crop_of_pictures() -> None:
    """A dot painted where a landmark is lies where the mapped landmark says, to half a pixel."""
    sample = talker()
    points = sample.landmarks[:3]
    matrices = align.matrices(points, "atvg-128")
    mapped = in_crop(points, "atvg-128")
    for t in range(3):
        for index in (30, 48, 54, 57):
            x, y = points[t, IBUG_OF_MESH[index]]
            canvas = np.zeros((1, *sample.video.shape[1:]), np.uint8)
            canvas[
                0, round(float(y)) - 1 : round(float(y)) + 2, round(float(x)) - 1 : round(float(x)) + 2
            ] = 255
            crop = align.warp(canvas, matrices[t : t + 1], (128, 128), border=0)[0, ..., 0].astype(float)
            rows, columns = np.indices(crop.shape)
            centre = (columns * crop).sum() / crop.sum(), (rows * crop).sum() / crop.sum()
            np.testing.assert_allclose(centre, mapped[t, index], atol=0.75)


def test_eyes_and_nose_of_two_clips_meet_in_the_crop() -> None:
    points = talker().landmarks[:20]
    z = (points[..., 0] + 1j * points[..., 1]) * (1.5 * np.exp(0.3j)) + 40
    moved = np.stack([z.real, z.imag], axis=-1).astype(np.float32)
    np.testing.assert_allclose(in_crop(points, "atvg-128"), in_crop(moved, "atvg-128"), atol=1e-3)
    for name in ("lmd_atvg", "lmd_mouth", "lmd_face", "lvd_mouth", "lvd_face"):
        two = (in_crop(track, "atvg-128") for track in (points, moved))
        assert distance(*two, VARIANTS[name]) < 0.01


# -- truths that need no reference ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_known_shift_of_the_mouth(name: str) -> None:
    """Mouth moved as a whole by (3, 4): centred distances of the mouth do not see it, places do, velocities do not."""
    real = np.random.default_rng(1).normal(size=(5, 68, 2)) * 10
    made = real.copy()
    made[:, 48:] += (3.0, 4.0)
    found = distance(real, made, VARIANTS[name])
    expected = {"lmd_vico": 3.5}.get(name, 0.0)
    if name == "lmd_face":
        assert found > 1.0
    else:
        assert found == pytest.approx(expected, abs=1e-12)


def test_the_sum_is_twenty_means() -> None:
    rng = np.random.default_rng(2)
    real, made = rng.normal(size=(2, 4, 68, 2))
    assert distance(real, made, VARIANTS["lmd_atvg"]) == pytest.approx(
        20 * distance(real, made, VARIANTS["lmd_mouth"])
    )


def test_identical_videos_have_no_distance_and_follow_fully() -> None:
    sample = talker()
    values = score(Lmd(variants=ALL), sample, sample.landmarks).values
    assert {name: value.value for name, value in values.items()} == dict.fromkeys(LMD, 0.0)
    lip = score(Lip(), sample, sample.landmarks).values
    assert (lip[LIP[0]].value, lip[LIP[1]].value) == (pytest.approx(1.0), 0.0)


def test_a_later_mouth_is_further_away() -> None:
    sample = talker()
    found = [score(Lip(), sample, late(sample.landmarks, n)).values for n in (0, 1, 2, 4)]
    follows = [values[LIP[0]].value for values in found]
    errors = [values[LIP[1]].value for values in found]
    assert follows == sorted(follows, reverse=True)
    assert errors == sorted(errors)
    far = [
        score(Lmd(variants=ALL), sample, late(sample.landmarks, n)).values["lmd_mouth_mesh"].value
        for n in (0, 1, 2, 4)
    ]
    assert far == sorted(far)


def test_lips_that_stand_still_follow_nothing() -> None:
    sample = talker()
    frozen = np.repeat(sample.landmarks[:1], len(sample), axis=0)
    values = score(Lip(), sample, frozen).values
    assert values[LIP[0]].value == 0.0
    assert values[LIP[1]].value > 1.0
    noise = np.random.default_rng(7).normal(size=frozen.shape).astype(np.float32) * 0.1
    assert score(Lip(), sample, frozen + noise).values[LIP[0]].value == 0.0


def test_true_lips_that_stand_still_leave_no_question() -> None:
    sample = talker()
    frozen = np.repeat(sample.landmarks[:1], len(sample), axis=0)
    values = score(Lip(), replace(sample, landmarks=frozen), sample.landmarks).values
    assert values[LIP[0]].reason is Reason.UNCLEAR
    assert values[LIP[1]].value > 0


def test_the_exact_truth_of_the_corpus() -> None:
    """Tracking on the true video is the ceiling: correlation above 0.9, error of a few hundredths."""
    sample = talker()
    real = score(Lip(truth=True), sample, sample.landmarks).values
    wrong = score(Lip(truth=True), sample, late(sample.landmarks, 4)).values
    assert real["lip_corr_truth_mesh"].value > 0.9
    assert real["lip_error_truth_mesh"].value < 8
    assert wrong["lip_corr_truth_mesh"].value < 0.8
    assert wrong["lip_error_truth_mesh"].value > 1.5 * real["lip_error_truth_mesh"].value


def test_truth_begins_where_the_run_does() -> None:
    meta = {"extra": {"aperture": [0.0, 0.1, 0.2, 0.3]}, "start_frame": 1}
    np.testing.assert_array_equal(true_aperture(meta, 2), [0.1, 0.2])
    np.testing.assert_array_equal(true_aperture(meta, 4), [0.1, 0.2, 0.3])
    assert true_aperture(meta, 5) is None
    assert true_aperture({}, 1) is None
    values = score(Lip(truth=True), replace(talker(), meta={}), talker().landmarks).values
    assert {value.reason for value in values.values()} == {Reason.NO_TRUTH}


def test_a_frame_beyond_the_truth_is_left_out() -> None:
    sample = talker()
    truth = {"extra": {"aperture": sample.meta["extra"]["aperture"][: len(sample) - 1]}}
    short = replace(sample, meta=truth)
    metric = Lip(truth=True)
    a = score(metric, short, late(sample.landmarks, 1)).values["lip_corr_truth_mesh"].value
    found = np.arange(len(sample)) < len(sample) - 1
    b = score(metric, sample, late(sample.landmarks, 1), found).values["lip_corr_truth_mesh"].value
    assert a == b


def test_only_frames_with_both_faces_count() -> None:
    sample = talker()
    made = late(sample.landmarks, 1)
    made[10:20] = 5.0 + np.arange(478)[:, None]
    found = np.ones(len(made), bool)
    found[10:20] = False
    some = score(Lmd(variants=("lmd_mouth",)), sample, made, found).values["lmd_mouth_mesh"].value
    rest = np.flatnonzero(found)
    want = distance(
        *(in_crop(track[rest], "atvg-128") for track in (sample.landmarks, made)), VARIANTS["lmd_mouth"]
    )
    # The last bit depends on the order in which numpy adds.
    assert some == pytest.approx(want, rel=1e-12)
    nobody = score(Lmd(), sample, made, np.zeros(len(made), bool)).values
    assert {value.reason for value in nobody.values()} == {Reason.NO_FACE}


def test_fan_points_are_another_column() -> None:
    sample = talker()
    points = np.ascontiguousarray(sample.landmarks[:, list(IBUG_OF_MESH)])
    fan = replace(sample, landmarks=points)
    values = score(Lmd(variants=ALL, points="fan"), fan, late(points, 1)).values
    assert set(values) == {f"{name}_fan" for name in ALL}
    mesh = score(Lmd(variants=ALL), sample, late(sample.landmarks, 1)).values
    # The mapped mesh IS 68 points, so these fake ones agree; the crop reads the same points of both.
    for name in ALL:
        assert values[f"{name}_fan"].value == pytest.approx(mesh[f"{name}_mesh"].value, rel=1e-5)
    crossed = score(Lmd(), fan, points).values
    assert {value.reason for value in crossed.values()} == {Reason.WRONG_SHAPE}


@pytest.mark.parametrize(
    ("a", "b", "value"), [((0, 1, 2), (2, 1, 0), -1.0), ((1, 1), (0, 1), 0.0), ((0, 1), (1, 1), 0.0)]
)
def test_correlation(a: tuple[int, ...], b: tuple[int, ...], value: float) -> None:
    assert correlation(np.array(a), np.array(b)) == value


def test_a_velocity_does_not_jump_over_lost_frames() -> None:
    """Steady motion beside a still copy: with ten frames lost, the eleven steps that touch them are left out."""
    sample = talker()
    rule = VARIANTS["lvd_mouth"]
    real = in_crop(sample.landmarks, None)[:60]
    assert len(real) == 60
    step = np.arange(60)[:, None, None] * np.array([1.0, 0.0])
    found = np.ones(60, bool)
    still = np.repeat(real[:1], 60, axis=0)
    assert distance(still + step, still, rule, found) == pytest.approx(59 / 60)
    found[20:30] = False
    assert distance(still + step, still, rule, found) == pytest.approx(48 / 50)


# -- questions that every metric answers ---------------------------------------------------------------------


def faulty(case: str) -> tuple[Sample, UInt8, Float32, Reason]:
    sample = talker()
    video, points = sample.video, sample.landmarks
    hole = points.copy()
    hole[3, 5] = np.inf
    one = replace(
        sample,
        video=video[:1],
        audio=sample.audio[:640],
        landmarks=points[:1],
        track_score=sample.track_score[:1],
    )
    none = replace(
        sample,
        video=video[:0],
        audio=sample.audio[:0],
        landmarks=points[:0],
        track_score=sample.track_score[:0],
    )
    return {
        "empty": (none, none.video, points[:0], Reason.TOO_SHORT),
        "nan": (sample, video, hole, Reason.NOT_FINITE),
        "nan-truth": (replace(sample, landmarks=hole), video, points, Reason.NOT_FINITE),
        "wrong-shape": (sample, video[:, :, ::2], points, Reason.WRONG_SHAPE),
        "wrong-points": (sample, video, points[:, :100], Reason.WRONG_SHAPE),
        "wrong-dtype": (sample, video.astype(np.int32), points, Reason.WRONG_SHAPE),
        "points-dtype": (sample, video, points.astype(np.int32), Reason.WRONG_SHAPE),
        "wrong-length": (sample, video[:-2], points, Reason.WRONG_LENGTH),
        "points-length": (sample, video, points[:-2], Reason.WRONG_LENGTH),
        "wrong-range": (sample, video, points * 0, Reason.NO_FACE),
        "one-frame": (one, one.video, points[:1], Reason.TOO_SHORT),
    }[case]


FAULTS = (
    "empty nan nan-truth wrong-shape wrong-points wrong-dtype points-dtype wrong-length points-length wrong-range"
).split()


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.parametrize(
    "metric", [Lmd(variants=ALL), Lip(), Lip(truth=True)], ids=["lmd", "lip", "lip-truth"]
)
def test_what_cannot_be_scored_says_why(case: str, metric: Lmd | Lip) -> None:
    sample, video, points, reason = faulty(case)
    values = metric.score(sample, video, sample.audio, seeing(points)).values
    assert set(values) == {column.name for column in metric.columns}
    for value in values.values():
        assert math.isnan(value.value)
        assert value.reason is reason
        assert value.detail


def test_one_frame_has_a_place_and_no_velocity() -> None:
    sample, _, points, reason = faulty("one-frame")
    values = score(Lmd(variants=("lmd_mouth", "lvd_mouth")), sample, points).values
    assert values["lmd_mouth_mesh"].value == 0.0
    assert values["lvd_mouth_mesh"].reason is reason
    assert score(Lip(), sample, points).values[LIP[0]].reason is Reason.UNCLEAR


def test_no_face_is_passed_on() -> None:
    sample = talker()
    nobody = TrackedFace(sample.landmarks[:0], np.zeros(len(sample), bool), Reason.NO_FACE, "none")
    values = Lmd().score(sample, sample.video, sample.audio, lambda: nobody).values
    assert {value.reason for value in values.values()} == {Reason.NO_FACE}


def test_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UnknownName, match="lmd_mouth"):
        Lmd(variants=("lmd_moth",))
    with pytest.raises(UsageError, match="no variants"):
        Lmd(variants=())
    with pytest.raises(UnknownName, match="mesh"):
        Lip(points="dlib")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="two equal"):
        distance(np.zeros((2, 68, 2)), np.zeros((3, 68, 2)), VARIANTS["lmd_face"])
    assert metrics.registry.get("lmd") is Lmd
    assert metrics.registry.get("lip") is Lip


# -- landmarks of a generated video --------------------------------------------------------------------------


def test_tracking_again_gives_the_same_points() -> None:
    """The same pictures from a fresh start: at most 0.05 pixels apart (0 seen)."""
    sample = talker()
    part = replace(
        sample, video=sample.video[:25], landmarks=sample.landmarks[:25], track_score=sample.track_score[:25]
    )
    landmarks, found = retrack(part.video, part.landmarks)
    assert found.all()
    np.testing.assert_allclose(landmarks, part.landmarks, atol=0.05)
    same = track_face(part, part.video)
    assert same.landmarks is part.landmarks


def test_a_shifted_picture_has_shifted_points() -> None:
    sample = talker()
    part = replace(
        sample, video=sample.video[:12], landmarks=sample.landmarks[:12], track_score=sample.track_score[:12]
    )
    moved = np.roll(part.video, 4, axis=2)
    seen = track_face(part, moved)
    assert seen.reason is None
    gap = (seen.landmarks - part.landmarks).mean(axis=(0, 1))
    np.testing.assert_allclose(gap, [4, 0], atol=0.7)
    beside = retrack(moved, part.landmarks, crowded=True)[0]
    np.testing.assert_allclose(beside, seen.landmarks, atol=3.0)


def test_worse_pictures_give_worse_lips() -> None:
    """Blur in steps, tracked anew each time: every distance grows, and the lips follow less."""
    sample = talker()
    part = replace(
        sample, video=sample.video[:60], landmarks=sample.landmarks[:60], track_score=sample.track_score[:60]
    )
    part = replace(part, audio=sample.audio[: 60 * 640])
    follows, off, far = [], [], []
    for sigma in (0, 1.5, 4):
        blurred = [cv2.GaussianBlur(frame, (0, 0), sigma) if sigma else frame for frame in part.video]
        seen = track_face(part, np.stack(blurred))
        lip = score(Lip(), part, seen.landmarks, seen.found).values
        lmd = score(Lmd(variants=("lmd_mouth", "lmd_face")), part, seen.landmarks, seen.found).values
        follows.append(lip[LIP[0]].value)
        off.append(lip[LIP[1]].value)
        far.append(lmd["lmd_mouth_mesh"].value)
    assert follows == sorted(follows, reverse=True)
    assert off == sorted(off)
    assert far == sorted(far)
    assert (off[0], far[0]) == (0.0, 0.0)


def test_pictures_without_a_face_say_so() -> None:
    sample = talker()
    part = replace(
        sample, video=sample.video[:8], landmarks=sample.landmarks[:8], track_score=sample.track_score[:8]
    )
    seen = track_face(part, np.full_like(part.video, 90))
    assert seen.reason is Reason.NO_FACE
    assert "0 of 8" in seen.detail
    elsewhere = retrack(part.video, part.landmarks + 500)
    assert not elsewhere[1].any()


def test_a_tracker_without_weights_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tkbench.prep import backends

    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    backends.shared.cache_clear()
    sample = talker()
    fan = replace(sample, meta={"track": {"backend": "face-alignment"}})
    seen = track_face(fan, sample.video[::-1].copy())
    assert seen.reason is Reason.WEIGHTS_MISSING
    assert "tkbench weights fetch" in seen.detail


def test_gaps_are_filled_between_and_at_the_ends() -> None:
    points = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 3, 2), np.float32)
    found = np.array([False, True, False, True, False])
    broken = np.where(found[:, None, None], points, np.float32(-99))
    np.testing.assert_allclose(gaps_filled(broken, found)[:, 0, 0], [1, 1, 2, 3, 3])
    with pytest.raises(BadInput, match="nothing to fill"):
        gaps_filled(points, np.zeros(5, bool))
