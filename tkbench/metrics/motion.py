"""How a face moves, from its landmarks alone: head, lips and brows, lips in pauses, jitter, smoothness and beats.

Five columns have the published definitions of THEval (Quignon et al., CVPR 2026; Newbyl/THEval@cfe23fe), on the tracker
that prepared the data:

    lip_dynamics    40 lip points: spread over time of each of their 780 distances, averaged (lip_dynamics.py)
    brow_dynamics   change per frame of the distance brow to eye, over that of the eyes (eyebrow_dynamics.py)
    head_dynamics   sqrt(spread of the angles x variance of their change + variance of the place)
                    (head_motion_dynamics.py)
    silent_lip      median deviation of the opening of the lips in pauses of 0.3 s (silent_lip_stability.py)
    volume_fit      mean gap of opening and loudness, each brought to 0..1, in speech (lip_sync.py)

What differs from its scripts is in the signature. The angles come from landmarks (`tkbench.metrics.headpose`); its
script asks a network, which comes by `pose`. Speech is found by its level unless `speech` is "silero", as there. Its
other three scores are qualities of single pictures: metric `iqa`. THEval compares each number with that of the true
video, 1 - |model - true| / true; a table with `real` shows the difference (`tkbench.results.delta`).

Three more are of the literature on motion:

    head_jitter     mean acceleration of points that speech does not move (Kanazawa et al., CVPR 2019, on landmarks)
    head_smooth     log dimensionless jerk of the head's speed (Balasubramanian et al., J. NeuroEng. Rehabil. 2015)
    head_beat       beats of the voice that have a beat of the head nearby (Bailando: Siyao et al., CVPR 2022)

None looks at the true video. Landmarks are those of Face Mesh, (T, 478, 2) pixels of the canvas, 25 frames a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tkbench.audio import load_librosa
from tkbench.errors import BadInput, UnknownName
from tkbench.metrics import speech as speech_of
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    FaceMetric,
    FaceSource,
    Score,
    TrackedFace,
    no_face_source,
    unscored,
)
from tkbench.metrics.faults import audio_fault, landmark_fault, video_fault
from tkbench.metrics.headpose import head_pose, pose_networks
from tkbench.metrics.mouth import MESH_LIPS
from tkbench.registry import suggest
from tkbench.types import FPS, SAMPLE_RATE, Array, Bool, Column, Float32, Float64, Reason, Sample, UInt8

BROWS = ((276, 282, 283, 285, 293, 295, 296, 300, 334, 336), (46, 52, 53, 55, 63, 65, 66, 70, 105, 107))
EYES = (
    (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466),
    (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246),
)
"""In the order of BROWS: the eye that lies to the right of the picture, then the other."""
UPPER, LOWER = (191, 80, 81, 82, 13, 312, 311, 310), (95, 88, 178, 87, 14, 317, 402, 318)
"""The rim of the opening; pairs of THEval's scripts, whose order does not run from corner to corner on both sides."""
OUTER_EYES = (33, 263)
EYE_CORNERS = ((362, 263), (33, 133))
STEADY = (33, 133, 263, 362, 6, 168, 195, 197)
"""Corners of the eyes and bridge of the nose: they move with the head, hardly with speech."""
SIDE = 256.0
"""THEval measures lips on frames brought to 256 x 256."""
PAUSE = 0.3
"""Seconds of the shortest pause that counts."""
MIN_SPEECH = 0.1
"""Share of frames with speech below which `volume_fit` has no number."""
BEAT_BLUR, BEAT_SIGMA = 5.0, 3.0
"""Frames: smoothing of the speed, and how far a beat may be off; numbers of Bailando's code."""
PARTS = (
    "lip_dynamics", "brow_dynamics", "head_dynamics", "silent_lip", "volume_fit",
    "head_jitter", "head_smooth", "head_beat",
)  # fmt: skip
STILL = 1e-3
"""Eye distances a second: a head that is never faster is taken for still."""


def lip_dynamics(landmarks: Array, width: int, height: int) -> float:
    """Spread over time of the distances between 40 lip points, averaged over 780 pairs; pixels of 256 x 256.

    landmarks: (T, 478, 2) of frames of `width` x `height`, whose two axes are scaled apart, as THEval's resizing does.
    """
    points = np.asarray(landmarks[:, MESH_LIPS], np.float64) * (SIDE / width, SIDE / height)
    first, second = np.array(list(combinations(range(len(MESH_LIPS)), 2))).T
    return float(np.linalg.norm(points[:, first] - points[:, second], axis=2).std(axis=0).mean())


def brow_dynamics(landmarks: Array) -> float:
    """Mean change, from each frame to the next, of the distance between brow and eye over that between the eyes.

    Both sides count alike. A frame without a face is left out of `landmarks` and bridged, as THEval does.
    """
    points = np.asarray(landmarks, np.float64)
    eyes = [points[:, eye].mean(axis=1) for eye in EYES]
    apart = np.linalg.norm(eyes[0] - eyes[1], axis=1)
    lifts = [
        np.linalg.norm(points[:, brow].mean(axis=1) - eye, axis=1) / apart
        for brow, eye in zip(BROWS, eyes, strict=True)
    ]
    return float(np.mean([np.abs(np.diff(lift)) for lift in lifts]))


def head_dynamics(pose: Array) -> float:
    """THEval's head motion dynamics of (T, 5) poses: pitch, yaw, roll in degrees, x and y of the face in pixels.

    The square root of (mean spread of the angles x mean variance of their change + mean variance of the place).
    """
    turned, place = np.asarray(pose[:, :3], np.float64), np.asarray(pose[:, 3:], np.float64)
    spread, jerks = turned.std(axis=0).mean(), np.diff(turned, axis=0).var(axis=0).mean()
    return float(np.sqrt(spread * jerks + place.var(axis=0).mean()))


def lip_gap(landmarks: Array, width: int, height: int) -> Float64:
    """(T,) mean gap of 8 pairs of the lips' rim over the distance of the outer corners of the eyes, on 256 x 256."""
    points = np.asarray(landmarks, np.float64) * (SIDE / width, SIDE / height)
    eyes = np.linalg.norm(points[:, OUTER_EYES[0]] - points[:, OUTER_EYES[1]], axis=1)
    return np.asarray(np.abs(points[:, UPPER, 1] - points[:, LOWER, 1]).mean(axis=1) / eyes)


def silent_lip(gaps: Array) -> float:
    """Median distance from their mean of the openings (n,) in silent frames; at least two."""
    if len(gaps) < 2:
        raise BadInput(f"{len(gaps)} silent frames; expected two or more")
    return float(np.median(np.abs(gaps - np.mean(gaps))))


def volume(audio: Float32, frames: int) -> Float64:
    """(frames,) loudness of each frame: root mean square in windows of 50 ms, interpolated, as THEval does."""
    step = int(SAMPLE_RATE * 0.05)
    level = load_librosa().feature.rms(y=audio, frame_length=step, hop_length=step)[0]
    times = np.arange(len(level)) * step / SAMPLE_RATE
    return np.asarray(np.interp(np.arange(frames) / FPS, times, level), np.float64)


def mouth_openness(landmarks: Array, width: int, height: int) -> Float64:
    """(T,) gap of the mean heights of both lips over the horizontal distance of the eyes, as shares of the frame."""
    points = np.asarray(landmarks, np.float64) / (width, height)
    gap = np.abs(points[:, UPPER, 1].mean(axis=1) - points[:, LOWER, 1].mean(axis=1))
    right, left = (points[:, pair, 0].mean(axis=1) for pair in EYE_CORNERS)
    return np.asarray(gap / np.maximum(np.abs(right - left), 1e-12))


def volume_fit(opening: Array, loudness: Array) -> float:
    """Mean gap of two series (n,), each stretched to 0..1: 0 where the lips open exactly as the voice is loud."""
    both = []
    for series in (opening, loudness):
        low, high = float(np.min(series)), float(np.max(series))
        both.append((np.asarray(series, np.float64) - low) / (high - low + 1e-8))
    return float(np.abs(both[0] - both[1]).mean())


def head_path(landmarks: Array) -> tuple[Float64, float]:
    """Steady points in eye distances of the clip, (T, 8, 2), and that distance in pixels.

    One unit for the whole clip: a head that comes nearer moves.
    """
    points = np.asarray(landmarks, np.float64)
    unit = float(np.median(np.linalg.norm(points[:, OUTER_EYES[0]] - points[:, OUTER_EYES[1]], axis=1)))
    return points[:, STEADY] / unit, unit


def head_jitter(landmarks: Array, seen: Bool) -> float:
    """Mean acceleration of steady points, |p(t+1) - 2 p(t) + p(t-1)|, in hundredths of the eye distance.

    seen: (T,) frames that show the face; three that stand side by side are needed, else nan.
    """
    path, _ = head_path(landmarks)
    bent = np.linalg.norm(path[2:] - 2 * path[1:-1] + path[:-2], axis=2).mean(axis=1)
    kept = seen[2:] & seen[1:-1] & seen[:-2]
    return float(100 * bent[kept].mean()) if kept.any() else math.nan


def head_smooth(speed: Array) -> float:
    """Log dimensionless jerk of a speed (n,) at 25 values a second: -ln(T^3 / v_max^2 x integral of (d2v/dt2)^2).

    Nearer to 0 is smoother. It falls with each further movement, so only clips of equal length compare.

    >>> t = (np.arange(1000) + 0.5) / 1000
    >>> round(head_smooth(np.sin(np.pi * t)), 2)  # -ln(pi^4 / 2)
    -3.89
    """
    values = np.asarray(speed, np.float64)
    seconds = len(values) / FPS
    bend = np.diff(values, 2) * FPS**2
    return -math.log(seconds**3 / float(values.max()) ** 2 * float((bend**2).sum()) / FPS)


def head_speed(landmarks: Array) -> Float64:
    """(T - 1,) mean speed of steady points, in eye distances a second."""
    path, _ = head_path(landmarks)
    return np.asarray(np.linalg.norm(np.diff(path, axis=0), axis=2).mean(axis=1) * FPS)


def head_beats(speed: Array) -> Array:
    """Frames in which the head halts: local minima of its smoothed speed."""
    from scipy.ndimage import gaussian_filter
    from scipy.signal import argrelextrema

    return np.asarray(argrelextrema(gaussian_filter(np.asarray(speed, np.float64), BEAT_BLUR), np.less)[0])


def voice_beats(audio: Float32) -> Float64:
    """Onsets of the voice by librosa's defaults, in frames of the video."""
    return (
        np.asarray(load_librosa().onset.onset_detect(y=audio, sr=SAMPLE_RATE, units="time"), np.float64) * FPS
    )


def beat_alignment(voice: Array, head: Array, *, sigma: float = BEAT_SIGMA) -> float:
    """Mean over beats of the voice (n,) of exp(-d^2 / 2 sigma^2), d frames from the nearest beat of the head (m,).

    >>> beat_alignment(np.array([10.0, 20.0]), np.array([10.0, 20.0, 30.0]))
    1.0
    """
    gaps = np.abs(np.asarray(voice, np.float64)[:, None] - np.asarray(head, np.float64)[None]).min(axis=1)
    return float(np.exp(-(gaps**2) / (2 * sigma**2)).mean())


class Motion(FaceMetric):
    """Eight numbers of the generated face's motion; see the module.

    parts: only these of them. speech: "level" or "silero", how speech is found. pose: "mesh", or a network of the
    entry-point group `tkbench.head_pose`.
    """

    name = "motion"

    def __init__(
        self,
        *,
        parts: Sequence[str] = PARTS,
        speech: str = "level",
        pose: str = "mesh",
        context: BuildContext = ON_CPU,
    ) -> None:
        for part in parts:
            if part not in PARTS:
                raise UnknownName(f"motion has no part {part!r}: {suggest(part, list(PARTS))}")
        super().__init__(context=context)
        self.speech = speech_of.check(speech)
        self.pose = pose
        self._network = None if pose == "mesh" else pose_networks.get(pose)
        if self._network is not None:
            self.weights = {pose: self._network.sha256}
        self._all = self._columns()
        wanted = zip(PARTS, self._all, strict=True)
        self.columns = tuple(column for part, column in wanted if part in parts)

    def _columns(self) -> tuple[Column, ...]:
        found = speech_of.signature(self.speech)
        turned = (
            "mesh18,pnp,focal:width" if self._network is None else f"{self.pose}@{self._network.sha256[:12]}"
        )
        ending = "" if self.speech == "level" else f"_{self.speech}"
        by = ending.replace("_", ", ")
        pauses = f"Speech is found by {'its level' if self.speech == 'level' else 'the network silero-vad'}."
        return (
            Column(
                "lip_dynamics_mesh", "Lip dynamics, mesh", "px of 256", "higher", 3,
                signature="motion[theval:lip-dynamics,mesh,40-points,std,px:256]",
                bounds=(0.0, math.inf),
                also_called=("Lip Dynamics (THEval)", "mouth diversity"),
                text="How much the shape of the lips changes: the spread over time of the distances between 40 lip "
                "points, in pixels of the frame at 256 × 256. Lips that stand still have 0. More is not better without "
                "end: the true video's value is the aim. It grows with the size of the face in the frame.",
                near_true=True,
            ),
            Column(
                "brow_dynamics_mesh", "Brow dynamics, mesh", "of eye distance", "higher", 5,
                signature="motion[theval:eyebrow-dynamics,mesh,eye-centres]",
                bounds=(0.0, math.inf),
                also_called=("Eyebrow Dynamics (THEval)", "micro-expression intensity"),
                text="How much the brows move: the mean change from frame to frame of the distance between brow and "
                "eye, over the distance between the eyes. Blinks and the noise of tracking count, too. The true "
                "video's value is the aim.",
                near_true=True,
            ),
            Column(
                f"head_dynamics_{self.pose.replace('-', '_')}", f"Head dynamics, {self.pose}", "degrees and px",
                "higher", 3,
                signature=f"motion[theval:head-motion-dynamics,pose:{turned},px:canvas]",
                bounds=(0.0, math.inf),
                also_called=("Head Motion Dynamics (THEval)",),
                text="How much the head moves: the square root of the spread of pitch, yaw and roll times the variance "
                "of their change, plus the variance of the place of the face in pixels. The place outweighs the angles "
                "on large canvases. The true video's value is the aim.",
                near_true=True,
            ),
            Column(
                f"silent_lip_mesh{ending}", f"Silent lips, mesh{by}", "of eye distance", "lower", 4,
                signature=f"motion[theval:silent-lip-stability,mesh,mad,pause:{PAUSE:g},speech:{found}]",
                bounds=(0.0, math.inf),
                also_called=("Silent Lip Stability (THEval)",),
                text="How restless the lips are in pauses of at least 0.3 s: the median distance of their opening from "
                "its mean, over the distance of the eyes. A clip without a pause has no number. Lips that never move "
                "do best.",
                variant=pauses,
                near_true=True,
            ),
            Column(
                f"volume_fit_mesh{ending}", f"Volume fit, mesh{by}", "share", "lower", 4,
                signature=f"motion[theval:lip-sync,mesh,rms:50ms,min-max,speech:{found}]",
                bounds=(0.0, 1.0),
                also_called=("Lip-Sync (THEval)",),
                text="Mean gap of the opening of the lips and the loudness of the voice, each brought to 0 to 1 over "
                "the frames with speech. It rewards a mouth that opens with the volume, whatever is said: read it "
                "beside a score of sync.",
                variant=pauses,
                near_true=True,
            ),
            Column(
                "head_jitter_mesh", "Head jitter, mesh", "% of eye distance", "lower", 3,
                signature="motion[jitter,mesh,8-points,acceleration]",
                bounds=(0.0, math.inf),
                also_called=("landmark jitter", "acceleration of landmarks"),
                text="How much the head trembles: the mean acceleration of points that speech does not move, from "
                "three frames side by side, in hundredths of the distance of the eyes. The noise of the tracker is in "
                "it, so the true video's value is the floor. A head that stands still does best.",
                near_true=True,
            ),
            Column(
                "head_smooth_mesh", "Head smoothness, mesh", "log", "higher", 3,
                signature="motion[smoothness,mesh,8-points,ldlj-v]",
                also_called=("log dimensionless jerk",),
                text="How smoothly the head moves: the logarithm of the dimensionless jerk of its speed, nearer to 0 "
                "is smoother. It falls with each further movement, so it compares clips of equal length alone; a "
                "still head has no number.",
                near_true=True,
            ),
            Column(
                "head_beat_mesh", "Beat alignment, mesh", "share", "higher", 3,
                signature=f"motion[beat,mesh,8-points,blur:{BEAT_BLUR:g},sigma:{BEAT_SIGMA:g},onsets:librosa]",
                bounds=(0.0, 1.0),
                also_called=("BeatAlign", "BAS"),
                text="How near the head's halts lie to the onsets of the voice: 1 where each onset has one in the same "
                "frame. Chance is far above 0, so compare with the true video and with another voice.",
                near_true=True,
            ),
        )  # fmt: skip

    def score(
        self, sample: Sample, video: UInt8, audio: Float32, face: FaceSource = no_face_source
    ) -> ClipScores:
        """Every column of one clip; a column whose part is missing says what."""
        fault = video_fault(sample, video) or audio_fault(sample, audio)
        if fault is not None:
            return unscored(self.columns, *fault)
        tracked = face()
        if tracked.reason is not None:
            return unscored(self.columns, tracked.reason, tracked.detail)
        fault = landmark_fault(tracked.landmarks, len(video), "mesh")
        if fault is not None:
            return unscored(self.columns, *fault)
        if tracked.found.sum() < 3:
            detail = f"the face is seen in {tracked.found.sum()} frames; 3 are needed"
            return unscored(self.columns, Reason.TOO_SHORT, detail)
        height, width = video.shape[1:3]
        kept = tracked.landmarks[tracked.found]
        scores = [
            Score(lip_dynamics(kept, width, height)),
            Score(brow_dynamics(kept)),
            self._head(video, tracked),
            *self._voiced(tracked, audio, width, height),
            *self._smooth(tracked, audio),
        ]
        found = {column.name: score for column, score in zip(self._all, scores, strict=True)}
        return ClipScores({column.name: found[column.name] for column in self.columns})

    def _head(self, video: UInt8, tracked: TrackedFace) -> Score:
        if self._network is None:
            pose: Array = head_pose(tracked.landmarks[tracked.found], video.shape[2], video.shape[1])
        else:
            pose = np.asarray(self._network(video), np.float64)
            if pose.shape != (len(video), 5):
                raise BadInput(f"head pose network {self.pose!r} answered {pose.shape}; expected (T, 5)")
            pose = pose[np.isfinite(pose).all(axis=1)]
            if len(pose) < 3:
                return Score(math.nan, Reason.NO_FACE, f"{self.pose} found the head in {len(pose)} frames")
        return Score(head_dynamics(pose))

    def _voiced(self, tracked: TrackedFace, audio: Float32, width: int, height: int) -> tuple[Score, Score]:
        """`silent_lip` and `volume_fit`."""
        missing = speech_of.fault(self.speech)
        if missing is not None:
            return (Score(math.nan, *missing),) * 2
        spoken = speech_of.speech_frames(audio, len(tracked.landmarks), self.speech)
        pauses = speech_of.silences(spoken, PAUSE) & tracked.found
        if pauses.sum() < 2:
            silent = Score(math.nan, Reason.UNCLEAR, f"no pause of {PAUSE:g} s: nothing shows lips at rest")
        else:
            silent = Score(silent_lip(lip_gap(tracked.landmarks, width, height)[pauses]))
        heard = spoken & tracked.found
        if spoken.mean() < MIN_SPEECH or heard.sum() < 2:
            detail = f"{spoken.mean():.0%} of the frames hold speech; {MIN_SPEECH:.0%} are needed"
            return silent, Score(math.nan, Reason.UNCLEAR, detail)
        opening = mouth_openness(tracked.landmarks, width, height)
        return silent, Score(volume_fit(opening[heard], volume(audio, len(opening))[heard]))

    def _smooth(self, tracked: TrackedFace, audio: Float32) -> tuple[Score, Score, Score]:
        """`head_jitter`, `head_smooth` and `head_beat`."""
        jitter = head_jitter(tracked.landmarks, tracked.found)
        trembling = (
            Score(jitter)
            if not math.isnan(jitter)
            else Score(jitter, Reason.TOO_SHORT, "no three frames side by side show the face")
        )
        speed = head_speed(tracked.landmarks)
        if float(speed.max()) < STILL or not np.diff(speed, 2).any():
            still = Score(math.nan, Reason.UNCLEAR, "the head stands still")
            return trembling, still, still
        smooth = Score(head_smooth(speed))
        voice, head = voice_beats(audio), head_beats(speed)
        if not len(voice) or not len(head):
            which = "the voice has no onset" if not len(voice) else "the head never halts"
            return trembling, smooth, Score(math.nan, Reason.UNCLEAR, which)
        return trembling, smooth, Score(beat_alignment(voice, head))
