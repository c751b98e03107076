"""How a face moves: THEval's definitions against its code, movements that are known, and clips that have no number."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import Gap
from golden.make_theval import GOLDEN, HEIGHT, SPEECH, WIDTH, face, poses, voice
from support.talkers import seeing, talker

from tkbench.errors import BadInput, UnknownName
from tkbench.metrics import headpose, motion
from tkbench.metrics import speech as speech_of
from tkbench.metrics.motion import Motion
from tkbench.types import Array, Float32, Float64, Reason, Sample

NAMES = [column.name for column in Motion().columns]


def values(sample: Sample, landmarks: Float32, metric: Motion | None = None) -> dict[str, float]:
    found = (metric or Motion()).score(sample, sample.video, sample.audio, seeing(landmarks))
    return {name: score.value for name, score in found.values.items()}


# -- THEval's own code, on the same landmarks, poses, sound and speech -----------------------------------------------


def test_motion_equals_theval(gap: Gap) -> None:
    """theval.json holds what its scripts answered; golden/make_theval.py ran them."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    track = face()
    speech = speech_of.covered(SPEECH, len(track))
    pauses = speech_of.silences(speech, motion.PAUSE)
    opening = motion.mouth_openness(track, WIDTH, HEIGHT)
    ours = {
        "lip_dynamics": motion.lip_dynamics(track, WIDTH, HEIGHT),
        "brow_dynamics": motion.brow_dynamics(track),
        "head_dynamics": motion.head_dynamics(poses()),
        "silent_frames": float(pauses.sum()),
        "silent_lip": motion.silent_lip(motion.lip_gap(track, WIDTH, HEIGHT)[pauses]),
        "volume_fit": motion.volume_fit(opening[speech], motion.volume(voice(), len(track))[speech]),
    }
    for name, value in golden.items():
        gap("THEval's scores", ours[name], value, relative=True)
        assert ours[name] == pytest.approx(value, rel=1e-6), name


# -- known movements -------------------------------------------------------------------------------------------------


def turned(pitch: float, yaw: float, roll: float, size: int = 256) -> Float64:
    """(478, 2) pixels of the canonical face, turned by degrees in this order, 60 cm before a camera."""
    a, b, c = np.radians([-pitch, -yaw, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    model = np.array(list(headpose.RIGID.values())) * (1, -1, -1)
    seen = model @ (about_z @ about_y @ about_x).T + (0, 0, 60)
    points = np.full((478, 2), size / 2)
    points[list(headpose.RIGID)] = seen[:, :2] / seen[:, 2:] * size + size / 2
    return points


@pytest.mark.parametrize("turn", [(0, 0, 0), (12, 0, 0), (0, -25, 0), (0, 0, 30), (-8, 15, -10)])
def test_a_turned_head_is_found_as_it_was_turned(turn: tuple[float, float, float]) -> None:
    # The first frame looks straight ahead: the next one is searched from there.
    track = np.stack([turned(0, 0, 0), turned(*turn)])
    np.testing.assert_allclose(headpose.head_pose(track, 256, 256)[1, :3], turn, atol=1e-3)


def test_a_nose_that_goes_right_and_up_has_positive_angles() -> None:
    right, up = turned(0, 20, 0), turned(20, 0, 0)
    assert right[4, 0] > 128
    assert up[4, 1] < turned(0, 0, 0)[4, 1]


def test_lips_that_stand_still_have_no_dynamics_and_talking_ones_do() -> None:
    sample = talker()
    still = np.repeat(sample.landmarks[:1], len(sample), axis=0)
    moving, frozen = values(sample, sample.landmarks), values(sample, still)
    for name in ("lip_dynamics_mesh", "brow_dynamics_mesh", "head_dynamics_mesh"):
        assert moving[name] > 100 * max(frozen[name], 1e-9), name
    # The same movement twice as large about each frame's own mouth.
    wide = np.array(sample.landmarks)
    lips = list(motion.MESH_LIPS)
    middle = wide[:, lips].mean(axis=1, keepdims=True)
    wide[:, lips] = middle + 2 * (wide[:, lips] - middle)
    assert values(sample, wide)["lip_dynamics_mesh"] == pytest.approx(
        2 * moving["lip_dynamics_mesh"], rel=1e-3
    )


def test_lips_that_move_in_pauses_are_restless() -> None:
    """Of two made videos the one whose lips rest in the pauses is better; what they do in speech does not count."""
    sample = talker()
    audio = np.array(sample.audio)
    audio[: 30 * 640] = 0
    quiet = replace(sample, audio=audio)
    calm = np.array(sample.landmarks)
    calm[:40] = calm[0]
    restless = calm.copy()
    rng = np.random.default_rng(0)
    restless[:25][:, list(motion.LOWER), 1] += rng.uniform(0, 6, (25, 1)).astype(np.float32)
    assert values(quiet, calm)["silent_lip_mesh"] < values(quiet, restless)["silent_lip_mesh"]


def test_a_mouth_that_opens_with_the_voice_fits_it() -> None:
    sample = talker()
    loud = motion.volume(sample.audio, len(sample))
    base = np.repeat(sample.landmarks[:1], len(sample), axis=0)
    fits, other = base.copy(), base.copy()
    opening = (loud / loud.max() * 10).astype(np.float32)
    fits[:, list(motion.LOWER), 1] += opening[:, None]
    other[:, list(motion.LOWER), 1] += np.random.default_rng(0).permutation(opening)[:, None]
    good, bad = values(sample, fits), values(sample, other)
    assert good["volume_fit_mesh"] < 0.02 < bad["volume_fit_mesh"]


def swaying(frames: int, period: float, reach: float = 12.0) -> Float32:
    """A head that moves from side to side: (T, 478, 2)."""
    x = reach * np.sin(2 * np.pi * np.arange(frames) / period)
    return np.asarray(talker().landmarks[:1] + np.stack([x, np.zeros(frames)], axis=1)[:, None], np.float32)


def test_jitter_is_the_acceleration_in_hundredths_of_the_eye_distance() -> None:
    track = np.array(swaying(60, math.inf), np.float64)
    track[:, :, 0] += 0.5 * np.arange(60.0)[:, None] ** 2  # one pixel a frame a frame
    _, unit = motion.head_path(track)
    assert motion.head_jitter(track, np.ones(60, bool)) == pytest.approx(100 / unit, rel=1e-6)
    speeding = np.array(track)
    assert motion.head_jitter(speeding - speeding.mean(), np.arange(60) % 3 > 0) is not None
    assert math.isnan(motion.head_jitter(track, np.arange(60) % 3 > 0)), "no three frames side by side"


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0])
def test_a_trembling_head_has_more_jitter_and_is_less_smooth(sigma: float) -> None:
    sample = talker()
    smooth = swaying(len(sample), 50)
    shift = np.random.default_rng(0).normal(0, sigma, (len(sample), 1, 2)).astype(np.float32)
    calm, trembling = values(sample, smooth), values(sample, smooth + shift)
    assert calm["head_jitter_mesh"] < trembling["head_jitter_mesh"]
    assert calm["head_smooth_mesh"] > trembling["head_smooth_mesh"]


def test_smoothness_has_no_unit() -> None:
    """Neither the size of the movement nor that of the face moves it."""
    sample = talker()
    one, wide = swaying(len(sample), 50), swaying(len(sample), 50, reach=36)
    first, *others = (values(sample, track)["head_smooth_mesh"] for track in (one, wide, 2 * one))
    assert others == pytest.approx([first, first], abs=1e-3)


def test_a_head_that_halts_at_the_onsets_is_on_the_beat() -> None:
    """Clicks every second, and a head that turns back at each click, or half-way between."""
    frames, period = 250, 50
    audio = np.zeros(frames * 640, np.float32)
    for click in range(period // 2, frames, period // 2):
        audio[click * 640 : click * 640 + 320] = 0.9 * np.random.default_rng(click).standard_normal(320)
    audio = np.clip(audio, -1, 0.999)
    onsets = motion.voice_beats(audio)
    assert len(onsets) >= 7
    place = np.arange(frames)
    scores = []
    for phase in (0, period // 4):
        x = 12 * np.cos(2 * np.pi * (place - phase) / period)  # turns back every 25 frames
        track = talker().landmarks[:1] + np.stack([x, 0 * x], axis=1)[:, None]
        halts = motion.head_beats(motion.head_speed(track))
        scores.append(motion.beat_alignment(onsets, halts))
    # librosa marks an onset where it is strongest, up to two frames late.
    assert scores[0] > 0.5
    assert scores[1] < 0.05


def test_beat_alignment_by_hand() -> None:
    expected = (math.exp(-(2**2) / 18) + math.exp(-(5**2) / 18)) / 2
    assert motion.beat_alignment(np.array([12.0, 45.0]), np.array([10.0, 40.0])) == pytest.approx(expected)


# -- speech ----------------------------------------------------------------------------------------------------------


def test_speech_by_level_finds_the_loud_frames() -> None:
    audio = np.zeros(100 * 640, np.float32)
    audio[20 * 640 : 60 * 640] = 0.1 * np.sin(np.arange(40 * 640) / 7)
    found = speech_of.speech_frames(audio, 100)
    assert found.sum() == 40
    assert found[20:60].all()
    assert speech_of.silences(found, 0.3).sum() == 60
    assert speech_of.silences(found, 1.0).sum() == 40, "the first pause is 0.8 s long"


def test_silero_answers_where_it_is_installed_and_is_named_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metric = Motion(speech="silero", parts=["lip_dynamics", "silent_lip", "volume_fit"])
    assert [column.name for column in metric.columns] == [
        "lip_dynamics_mesh",
        "silent_lip_mesh_silero",
        "volume_fit_mesh_silero",
    ]
    monkeypatch.setattr(speech_of, "_version", lambda: "")
    sample = talker()
    found = metric.score(sample, sample.video, sample.audio, seeing(sample.landmarks)).values
    for name in ("silent_lip_mesh_silero", "volume_fit_mesh_silero"):
        assert found[name].reason is Reason.EXTRA_MISSING
        assert "pip install" in found[name].detail
    assert found["lip_dynamics_mesh"].reason is None
    with pytest.raises(UnknownName, match="silero"):
        Motion(speech="silerro")


def test_silero_itself() -> None:
    pytest.importorskip("silero_vad", reason="needs the extra vad")
    sample = talker()
    found = speech_of.speech_frames(sample.audio, len(sample), "silero")
    assert 0.2 < found.mean() <= 1.0
    assert not speech_of.speech_frames(np.zeros_like(sample.audio), len(sample), "silero").any()


# -- a head pose network of another package ----------------------------------------------------------------------------


class Nodding:
    sha256 = "ab" * 32

    def __call__(self, video: Array, /) -> Array:
        pose = np.zeros((len(video), 5))
        pose[:, 0] = 10 * np.sin(np.arange(len(video)))
        pose[0] = np.nan
        return pose


def test_a_network_for_the_head_comes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headpose.pose_networks, "get", lambda name: Nodding())
    metric = Motion(pose="nod")
    assert "head_dynamics_nod" in {column.name for column in metric.columns}
    assert any("pose:nod@abababababab" in column.signature for column in metric.columns)
    assert metric.weights == {"nod": "ab" * 32}
    sample = talker()
    expected = motion.head_dynamics(Nodding()(sample.video)[1:])
    assert values(sample, sample.landmarks, metric)["head_dynamics_nod"] == pytest.approx(expected)


# -- clips without a number --------------------------------------------------------------------------------------------


def test_a_still_head_is_unclear_and_silence_has_no_fit() -> None:
    sample = replace(talker(), audio=np.zeros_like(talker().audio))
    still = np.repeat(sample.landmarks[:1], len(sample), axis=0)
    found = Motion().score(sample, sample.video, sample.audio, seeing(still)).values
    assert found["head_smooth_mesh"].reason is Reason.UNCLEAR
    assert found["head_beat_mesh"].reason is Reason.UNCLEAR
    assert found["volume_fit_mesh"].reason is Reason.UNCLEAR
    assert found["silent_lip_mesh"].value == pytest.approx(0.0, abs=1e-9)


def test_frames_without_a_face_do_not_count() -> None:
    sample = talker()
    found = np.ones(len(sample), bool)
    found[10:20] = False
    broken = np.array(sample.landmarks)
    broken[10:20] += 50
    one = Motion().score(sample, sample.video, sample.audio, seeing(broken, found)).values
    two = Motion().score(sample, sample.video, sample.audio, seeing(sample.landmarks, found)).values
    for name in ("lip_dynamics_mesh", "brow_dynamics_mesh", "head_dynamics_mesh", "head_jitter_mesh"):
        assert one[name].value == two[name].value


def test_wrong_points_and_too_few_frames_have_a_reason() -> None:
    sample = talker()
    ibug = sample.landmarks[:, :68]
    assert {
        s.reason for s in Motion().score(sample, sample.video, sample.audio, seeing(ibug)).values.values()
    } == {Reason.WRONG_SHAPE}
    nowhere = np.zeros(len(sample), bool)
    nowhere[:2] = True
    found = Motion().score(sample, sample.video, sample.audio, seeing(sample.landmarks, nowhere)).values
    assert list(found) == NAMES
    assert {score.reason for score in found.values()} == {Reason.TOO_SHORT}
    with pytest.raises(BadInput, match="two or more"):
        motion.silent_lip(np.zeros(1))
