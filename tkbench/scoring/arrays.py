"""Metrics on plain arrays, in a line each: `tkbench.measure.psnr(video, real)`.

    import tkbench

    video, audio = tkbench.measure.read("made.mp4")
    tkbench.measure.psnr(video, real)                 # 31.4
    tkbench.measure.lse(video, audio).c               # 7.2, with the weights of SyncNet
    tkbench.measure.scores("lmd", video, real=real)   # {"lmd_mouth_mesh": 1.9}: any registered metric

`video` is always the generated one. Pictures are (T, H, W, 3) uint8 RGB at 25 frames/s, sound is (T * 640,) float
mono in [-1, 1) at 16 kHz that begins with the first frame: as `read` gives files, and shards hold clips.
Landmarks are (T, 478, 2) or (T, 68, 2) pixels; where they are not given, the default tracker finds the face.

One video is no benchmark: nothing here has an interval, and `tkbench eval` prepares and tracks with more care. The
numbers are those of the same metrics there (their modules have the sources), where pictures, sound and landmarks are.

Raises BadInput for arrays of another shape, type, range or length, and Unscored where a metric gives no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tkbench import media, metrics
from tkbench.errors import BadInput, Unscored
from tkbench.metrics.base import (
    BuildContext,
    ClipScores,
    FaceMetric,
    FileMetric,
    PerClipMetric,
    RegionMetric,
    SetMetric,
    TrackedFace,
)
from tkbench.metrics.faults import audio_fault, landmark_fault
from tkbench.metrics.perceptual import Lpips
from tkbench.protocol import MetricSpec
from tkbench.scoring.clips import MIN_FACE_SHARE, track_face
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Array, Float32, Float64, Sample, UInt8


class Lse(NamedTuple):
    """LSE-C (Sync-C), LSE-D (Sync-D) and AVOffset of one video."""

    c: float
    """Median of the distances over lags minus the minimum; higher is better."""
    d: float
    """The minimum; lower is better."""
    offset: float
    """Frames by which the lips come late."""
    curve: Float64
    """(31,) mean distance where the video is taken to lag by -15 to 15 frames."""


class Voice(NamedTuple):
    """How the mouth fits the voice without a network, by `voice`."""

    corr: float
    lag: float
    """Frames by which the lips come late; nan where no lag stands out."""
    sure: float
    """Share of wrong voices that fit worse."""


class Lip(NamedTuple):
    """The opening of the lips beside the true one."""

    corr: float
    error: float
    """Mean difference in percent of the distance of the eyes."""


def read(path: str | Path) -> tuple[UInt8, Float32]:
    """(pictures, sound) of a file, as every function here takes them: 25 frames/s, 16 kHz mono.

    Sound that ends early is filled with silence, and longer sound is cut. Raises BadMedia.
    """
    video, audio = media.read_video(path), media.read_audio(path)
    return video, _fitted(audio, len(video))


def lse(
    video: UInt8,
    audio: Float32,
    *,
    real: UInt8 | None = None,
    judge: str = "syncnet-v2",
    landmarks: Float32 | None = None,
    device: str = "cpu",
) -> Lse:
    """LSE-C, LSE-D and AVOffset without lossy coding, on the crop of the true video's track; see `metrics.sync`.

    Without `real` the crop follows the generated video's own face. judge: "syncnet-v2", the field's, which needs its
    weight, or "syncnet-synth", the bundled one, which is weak on real faces.
    """
    values, curve = _one(
        "sync", video, audio, real=real, landmarks=landmarks, device=device, settings={"judge": judge}
    )
    assert curve is not None
    c, d, offset = values.values()
    return Lse(c, d, offset, curve)


def voice(video: UInt8, audio: Float32, *, landmarks: Float32 | None = None, zero: str = "speech") -> Voice:
    """Correlation of mouth and voice, its lag and how sure it is; see `metrics.voice`.

    landmarks: of `video`. zero: "speech" for real people, "synth" for the synthetic corpus.
    """
    found = scores("voice", video, audio, landmarks=landmarks, zero=zero)
    return Voice(found["voice_corr"], found["voice_lag"], found["voice_sure"])


def voice_score(video: UInt8, audio: Float32, *, landmarks: Float32 | None = None) -> float:
    """Lip sync of real video without a network; see `metrics.voice`."""
    return scores("voice_score", video, audio, landmarks=landmarks)["voice_score"]


def psnr(video: UInt8, real: UInt8, *, region: str = "full", landmarks: Float32 | None = None) -> float:
    """Mean over frames' squared errors of a clip as PSNR in dB; inf for equal pictures. See `metrics.image`."""
    return _picture("psnr", video, real, region, landmarks)


def ssim(video: UInt8, real: UInt8, *, region: str = "full", landmarks: Float32 | None = None) -> float:
    """Mean SSIM with the Gaussian window of its paper; see `metrics.image`."""
    return _picture("ssim", video, real, region, landmarks)


def ms_ssim(
    video: UInt8, real: UInt8, *, region: str = "full", landmarks: Float32 | None = None, scales: int = 5
) -> float:
    """Multi-scale SSIM; see `metrics.msssim`."""
    return _picture("ms_ssim", video, real, region, landmarks, scales=scales)


def lpips(video: UInt8, real: UInt8, *, net: str = "alex", device: str = "cpu") -> float:
    """LPIPS of version 0.1; its network is a weight (`tkbench weights fetch`). See `metrics.perceptual`."""
    return next(iter(scores("lpips", video, real=real, device=device, net=net).values()))


def cpbd(video: UInt8) -> float:
    """Share of edges that look sharp, of the generated video alone; see `metrics.cpbd`."""
    return _picture("cpbd", video, video, "full", None)


def lmd(
    video: UInt8,
    real: UInt8,
    *,
    variant: str = "lmd_mouth",
    landmarks: Float32 | None = None,
    made_landmarks: Float32 | None = None,
) -> float:
    """Mean distance of landmarks, in pixels of the aligned face (128 a side); see `metrics.landmark`."""
    found = scores(
        "lmd", video, real=real, landmarks=landmarks, made_landmarks=made_landmarks, variants=[variant]
    )
    return next(iter(found.values()))


def lip(
    video: UInt8,
    real: UInt8,
    *,
    landmarks: Float32 | None = None,
    made_landmarks: Float32 | None = None,
) -> Lip:
    """Correlation and error of the opening of the lips; see `metrics.landmark`."""
    found = scores("lip", video, real=real, landmarks=landmarks, made_landmarks=made_landmarks)
    return Lip(*found.values())


def fid(videos: Sequence[UInt8], reals: Sequence[UInt8], *, stride: int = 5, device: str = "cpu") -> float:
    """FID of pytorch-fid over every `stride`-th frame of all clips; its network is a weight. See `metrics.fid`.

    At least 2048 frames on either side; with fewer the covariance has no full rank, and Unscored says so.
    """
    metric = metrics.build(MetricSpec(name="fid", settings={"stride": stride}), BuildContext(device=device))
    assert isinstance(metric, SetMetric)
    if len(videos) != len(reals):
        raise BadInput(
            f"fid: {len(videos)} generated and {len(reals)} true videos; give one true video for each"
        )
    state = metric.start()
    for made, true in zip(videos, reals, strict=True):
        metric.update(state, _sample(_pictures(true, "real"), None, None), _pictures(made, "video"))
    score = metric.compute(state)[metric.columns[0].name]
    if score.reason is not None:
        raise Unscored(f"fid is {score.reason.value}: {score.detail}")
    return score.value


def scores(
    metric: str,
    video: UInt8,
    audio: Float32 | None = None,
    *,
    real: UInt8 | None = None,
    landmarks: Float32 | None = None,
    made_landmarks: Float32 | None = None,
    device: str = "cpu",
    **settings: Any,
) -> dict[str, float]:
    """Column -> value of any registered metric that has a value per clip (`tkbench ls`), with its settings.

    landmarks: of `real`, or of `video` where there is no `real`. made_landmarks: of `video`.
    A column without a value is nan where others have one (a lag that is not clear); Unscored where all lack it.
    """
    values, _ = _one(
        metric,
        video,
        audio,
        real=real,
        landmarks=landmarks,
        made_landmarks=made_landmarks,
        device=device,
        settings=settings,
    )
    return values


def _picture(
    metric: str,
    video: UInt8,
    real: UInt8,
    region: str,
    landmarks: Float32 | None,
    **settings: Any,
) -> float:
    found = scores(metric, video, real=real, landmarks=landmarks, regions=[region], **settings)
    return next(iter(found.values()))


def _one(
    name: str,
    video: UInt8,
    audio: Float32 | None,
    *,
    real: UInt8 | None,
    landmarks: Float32 | None,
    settings: Mapping[str, Any],
    made_landmarks: Float32 | None = None,
    device: str = "cpu",
) -> tuple[dict[str, float], Float64 | None]:
    metric = metrics.build(MetricSpec(name=name, settings=dict(settings)), BuildContext(device=device))
    if not isinstance(metric, PerClipMetric) or isinstance(metric, FileMetric):
        raise BadInput(
            f"metric {name!r} takes more than the arrays of one clip; score it with `tkbench eval`"
        )
    made = _pictures(video, "video")
    true = made if real is None else _pictures(real, "real")
    if real is None and metric.compares_with_true_video:
        raise BadInput(f"metric {name!r} compares with the true video: give real=")
    if true.shape != made.shape:
        raise BadInput(
            f"video is {made.shape} and real {true.shape}; expected the same frames, height and width"
        )
    on_pixels = isinstance(metric, Lpips) or (
        isinstance(metric, RegionMetric) and metric.regions == ("full",)
    )
    sample = _sample(true, audio, landmarks, faceless=on_pixels)
    found = metric_scores(metric, sample, made, made_landmarks)
    values = {column.name: found.values[column.name] for column in metric.columns}
    if all(score.reason is not None for score in values.values()):
        first = next(iter(values.values()))
        assert first.reason is not None
        raise Unscored(f"{name} is {first.reason.value}: {first.detail}")
    return {column: score.value for column, score in values.items()}, found.curve


def metric_scores(
    metric: PerClipMetric, sample: Sample, made: UInt8, made_landmarks: Float32 | None
) -> ClipScores:
    """What a metric says of one video; the face in it is tracked where no landmarks are given."""
    if not isinstance(metric, FaceMetric):
        return metric.score(sample, made, sample.audio)
    if made_landmarks is None:
        return metric.score(sample, made, sample.audio, lambda: track_face(sample, made))
    points = _landmarks(made_landmarks, len(made), "made_landmarks")
    face = TrackedFace(points, np.ones(len(made), bool))
    return metric.score(sample, made, sample.audio, lambda: face)


def _pictures(video: Array, name: str) -> UInt8:
    if not isinstance(video, np.ndarray) or video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3:
        found = f"{video.dtype} {video.shape}" if isinstance(video, np.ndarray) else type(video).__name__
        raise BadInput(f"{name} is {found}; expected uint8 (T, H, W, 3) RGB at {FPS} frames/s")
    if not video.size:
        raise BadInput(f"{name} is empty: {video.shape}")
    return video


def _sound(audio: Array, frames: int) -> Float32:
    if not isinstance(audio, np.ndarray) or audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        found = f"{audio.dtype} {audio.shape}" if isinstance(audio, np.ndarray) else type(audio).__name__
        raise BadInput(f"audio is {found}; expected float (S,) mono in [-1, 1) at {SAMPLE_RATE} Hz")
    lasting = len(audio) / SAMPLES_PER_FRAME
    if not frames - 1 < lasting < frames + 1:
        raise BadInput(
            f"audio lasts {len(audio) / SAMPLE_RATE:.2f} s at {SAMPLE_RATE} Hz and the video {frames / FPS:.2f} s at "
            f"{FPS} frames/s; expected {frames * SAMPLES_PER_FRAME} samples"
        )
    # Streams of a file end within a frame of each other.
    return _fitted(audio, frames)


def _fitted(audio: Array, frames: int) -> Float32:
    """Sound of this many frames: what lacks is silence, what is more is cut."""
    fitted = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    n = min(len(audio), len(fitted))
    fitted[:n] = audio[:n]
    return fitted


def _landmarks(landmarks: Array, frames: int, name: str) -> Float32:
    fault = landmark_fault(landmarks, frames)
    if fault is not None:
        raise BadInput(f"{name}: {fault[1]}")
    return landmarks.astype(np.float32)


def _sample(
    video: UInt8, audio: Float32 | None, landmarks: Float32 | None, *, faceless: bool = True
) -> Sample:
    """A sample of the arrays. faceless: nothing looks at its landmarks, which are not found then."""
    frames = len(video)
    sound = np.zeros(frames * SAMPLES_PER_FRAME, np.float32) if audio is None else _sound(audio, frames)
    points = np.full((frames, 478, 2), math.nan, np.float32)
    made = Sample("arrays", video, sound, points, np.ones(frames, np.float32), "arrays", "test")
    if (fault := audio_fault(made, sound)) is not None:
        raise BadInput(f"audio: {fault[1]}")
    if landmarks is not None:
        points = _landmarks(landmarks, frames, "landmarks")
    elif not faceless:
        points = find_face(video)
    return replace(made, landmarks=points)


def find_face(video: UInt8) -> Float32:
    """Landmarks (T, 478, 2) of the face in a video, by the default tracker; Unscored where there is none.

    Where several faces are in the picture it is the one that the tracker finds; preparation chooses with more care.
    """
    from tkbench.prep import backends
    from tkbench.prep.retrack import gaps_filled, retrack

    facts, tracker = backends.info(backends.DEFAULT), backends.shared(backends.DEFAULT)
    tracker.restart()
    landmarks = np.zeros((len(video), facts.n_points, 2), np.float32)
    found = np.zeros(len(video), bool)
    for start in range(0, len(video), facts.batch):
        pictures = [np.ascontiguousarray(frame) for frame in video[start : start + facts.batch]]
        for t, points in enumerate(tracker.track(pictures), start):
            if points is not None:
                landmarks[t], found[t] = points, True
    if found.mean() < MIN_FACE_SHARE:
        raise Unscored(
            f"no-face: a face was found in {found.sum()} of {len(found)} frames, {MIN_FACE_SHARE:.0%} are needed; give "
            "landmarks="
        )
    # Large faces are followed on half of the canvas, as preparation and the tracker of generated videos do.
    points, again = retrack(video, gaps_filled(landmarks, found))
    return gaps_filled(points, again) if again.mean() >= MIN_FACE_SHARE else gaps_filled(landmarks, found)
