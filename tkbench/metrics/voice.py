"""A second opinion on sync: mouth landmarks against the sound of the voice, by canonical correlation.

It needs no downloaded network, and no model was trained against it. Head pose and drift are taken out of the mouth's
shape. A fixed map (`voicefit`) brings shape and voice to common variates, and these are compared at lags of -15 to
15 frames. A fit made from one's own data leaves out the speaker that it judges. There are two metrics:

`voice` asks whether and when. The correlation at the best lag tells the right voice from a wrong one. The lag itself
has the sign of AVOffset: positive where the video lags, so the anchor `shift:5` reads +5. The confidence says whether
the two belong together at all. A lag that is not sure is unscored with the reason `unclear`, and never a number that
looks like one: of mouths under wrong voices, 2 in 100 pass.

`voice_score` asks how well. A correlation does not see how large a movement is, so lips that barely move can reach a
high one. The score weighs each pair of variates by the root of its covariance's own size: it lies halfway between
correlation and covariance. As with SyncNet's confidence (LSE-C), what counts is how far the best lag stands out from
the median one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    FaceMetric,
    FaceSource,
    Score,
    no_face_source,
    unscored,
)
from tkbench.metrics.faults import Fault, audio_fault, landmark_fault, video_fault
from tkbench.metrics.voicefeatures import SCORE, SYNC, speech_seconds
from tkbench.metrics.voicefit import Chance, Fit, Map, load
from tkbench.registry import suggest
from tkbench.types import Array, Column, Float32, Float64, Reason, Sample, UInt8

MAX_SHIFT = 15
MIN_FRAMES = 50
"""Two seconds: 35 pairs are left at the largest lag."""
MIN_SPEECH = 1.0
"""Seconds of speech below which nothing is said."""
SURE = 0.98
"""Confidence from which a lag is reported."""
ON_TIME = 2
"""Frames of lag, to either side, that still count as on time: 80 ms."""
BUNDLED = "voice-synth"
BUNDLED_SCORE = "voice-real"
HALF = 0.5
"""The score divides the covariance by this power of the variates' sizes. docs/second-opinion.md compares others."""
Kind = Literal["speech", "synth"]


@dataclass(frozen=True, slots=True)
class Opinion:
    """How mouth and voice of one clip fit."""

    lag: float
    """Frames by which the video lags; a parabola through the peak gives the part of a frame."""
    peak: float
    """Weighted mean correlation of the variates at the best lag, in [-1, 1]."""
    confidence: float
    """Share of wrong pairings whose best lag is worse than this one's."""
    curve: Float64
    """(31,) correlation where the video is taken to lag by -15 to 15 frames."""
    lag_in_range: bool
    """False where the best lag is the largest that was tried: the true one may lie outside."""


def correlation_curve(
    voice: Float64, mouth: Float64, strength: Float64, *, max_shift: int = MAX_SHIFT, power: float = 1.0
) -> Float64:
    """Correlation of variates at each lag; entry k is for a video that lags by k - max_shift frames.

    voice, mouth: (T, P) variates, strength: (P,) what each pair counts -> (2 * max_shift + 1,) float64. At each lag
    only frames that both have are compared, about their own means; a variate without variance counts as 0.

    power: how much of the variates' own size is divided out. 1 is the correlation, 0 the covariance.

    >>> rng = np.random.default_rng(0)
    >>> sound = rng.normal(size=(80, 2))
    >>> int(correlation_curve(sound, np.roll(sound, 3, axis=0), np.ones(2)).argmax()) - 15
    3
    """
    if voice.shape != mouth.shape or voice.ndim != 2 or len(voice) <= max_shift + 1:
        raise BadInput(
            f"variates {voice.shape} and {mouth.shape}; expected equal (T, P), T > {max_shift + 1}"
        )
    total = len(voice)
    curve = np.empty(2 * max_shift + 1)
    for k, lag in enumerate(range(-max_shift, max_shift + 1)):
        a = voice[max(0, -lag) : total - max(0, lag)]
        b = mouth[max(0, lag) : total - max(0, -lag)]
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        each = np.divide((a * b).sum(axis=0), spread, out=np.zeros(len(strength)), where=spread > 1e-9)
        if power != 1.0:
            each *= (spread / len(a)) ** (1.0 - power)
        curve[k] = (strength * each).sum() / strength.sum()
    return curve


def confidence_of(peak: float, frames: int, chance: Chance) -> float:
    """How rarely a wrong voice gives such a peak, in [0, 1]; see `Chance`.

    >>> chance = Chance(1.84, 0.31)
    >>> round(confidence_of(0.0, 125, chance), 3), round(confidence_of(0.4, 125, chance), 3)
    (0.0, 1.0)
    """
    return chance.below(peak * math.sqrt(frames))


def opinion(landmarks: Array, audio: Float32, fitted: Map, chance: Chance) -> Opinion:
    """Compare a mouth with a voice: (T, N, 2) landmarks and (T * 640,) samples, T > 16."""
    voice = SYNC.voice(audio) @ fitted.voice
    mouth = SYNC.mouth(landmarks) @ fitted.mouth
    curve = correlation_curve(voice, mouth, fitted.strength)
    best = int(np.argmax(curve))
    inside = 0 < best < len(curve) - 1
    part = _vertex(*curve[best - 1 : best + 2]) if inside else 0.0
    peak = float(curve[best])
    return Opinion(best + part - MAX_SHIFT, peak, confidence_of(peak, len(mouth), chance), curve, inside)


def fit_score(landmarks: Array, audio: Float32, fitted: Map) -> float:
    """How well a mouth says what a voice says: (T, N, 2) landmarks and (T * 640,) samples, T > 16.

    The highest value of the curve less its median; never below 0.
    """
    curve = correlation_curve(
        SCORE.voice(audio) @ fitted.voice, SCORE.mouth(landmarks) @ fitted.mouth, fitted.strength, power=HALF
    )
    return float(curve.max() - np.median(curve))


def _vertex(before: float, top: float, after: float) -> float:
    """Where a parabola through three points at -1, 0 and 1 has its top, in [-0.5, 0.5]."""
    bend = before - 2 * top + after
    return 0.0 if bend >= 0 else float(0.5 * (before - after) / bend)


class Voice(FaceMetric):
    """Correlation, lag, punctuality and confidence of mouth and voice, on landmarks of the generated video.

    fit: "bundled", or a file made by `tkbench train --model voice`. zero: what counts as on time. Real mouths run
    ahead of their voice by more than those of the synthetic corpus (`voicefit.SPEECH_LEAD`), so it has to be said
    which of the two are judged.
    """

    name = "voice"

    def __init__(
        self, *, fit: str = "bundled", zero: Kind = "speech", context: BuildContext = ON_CPU
    ) -> None:
        if zero not in ("speech", "synth"):
            raise UnknownName(f"no zero is called {zero!r}: {suggest(zero, ['speech', 'synth'])}")
        super().__init__(context=context)
        name, path = _named(fit, BUNDLED)
        self.fit: Fit = load(path)
        self.zero = self.fit.zero[zero]
        digest = weights.sha256(path)
        self.weights = {name: digest}
        signature = (
            f"voice[fit:{name}@{digest[:12]},{self.fit.points},zero:{zero}={self.zero:g},"
            f"shift:{MAX_SHIFT},min:{MIN_FRAMES},speech:{MIN_SPEECH:g}s,sure:{SURE:g}]"
        )
        self.columns = (
            Column(
                "voice_corr",
                "Voice corr.",
                "correlation",
                "higher",
                3,
                signature=signature,
                bounds=(-1.0, 1.0),
                text="A second opinion on sync: the correlation of mouth landmarks with the sound of the "
                "voice, at the lag where it is highest. No network is involved that a model could be "
                "trained against. A still mouth or another voice reaches about 2 / √frames by chance; real "
                "talkers 0.2 to 0.6.",
            ),
            Column(
                "voice_lag",
                "Voice lag",
                "frames",
                "zero",
                2,
                signature=signature,
                bounds=(self.zero - MAX_SHIFT, self.zero + MAX_SHIFT),
                text="The lag at which mouth landmarks and the sound of the voice fit best, in frames of 40 "
                "ms, positive where the mouth comes after the sound. Its zero is known to half a frame. Only "
                "clips where the fit is sure have one; the others are unscored as unclear.",
            ),
            Column(
                "voice_on_time",
                "Voice on time",
                "share",
                "higher",
                2,
                signature=f"{signature},within:{ON_TIME}",
                bounds=(0.0, 1.0),
                text=f"The share of clips whose voice_lag lies within {ON_TIME} frames of 0. A mean of lags would hide "
                "that one clip is early and another late.",
            ),
            Column(
                "voice_sure",
                "Voice sure",
                "share",
                "higher",
                2,
                signature=signature,
                bounds=(0.0, 1.0),
                text="The mean confidence that mouth and voice belong together, 0 to 1: the share of wrong "
                "voices that fit worse, so a wrong voice has 0.5 on average. A lag is given from 0.98 on.",
            ),
        )

    def score(
        self, sample: Sample, video: UInt8, audio: Float32, face: FaceSource = no_face_source
    ) -> ClipScores:
        """The four values; lag and punctuality are unscored where the confidence is below `SURE`."""
        landmarks = _landmarks(self.columns, self.fit, sample, video, audio, face)
        if isinstance(landmarks, ClipScores):
            return landmarks
        own_map = self.fit.map_for(sample.speaker or sample.key)
        found = opinion(landmarks, audio, own_map, self.fit.chance)
        lag = self._lag(found, len(video), speech_seconds(audio))
        on_time = lag if lag.reason is not None else Score(float(abs(lag.value) <= ON_TIME))
        values = (Score(found.peak), lag, on_time, Score(found.confidence))
        return ClipScores({column.name: value for column, value in zip(self.columns, values, strict=True)})

    def _lag(self, found: Opinion, frames: int, speech: float) -> Score:
        if found.confidence >= SURE and found.lag_in_range:
            return Score(found.lag + self.zero)
        why = (
            # Rounded down: what is not enough must not read as if it were.
            f"confidence {math.floor(100 * found.confidence) / 100:.2f}, {SURE:g} is needed"
            if found.lag_in_range
            else "the best lag is the largest one"
        )
        detail = f"{why}: correlation {found.peak:.2f} over {frames / 25:.1f} s with {speech:.1f} s of speech"
        return Score(math.nan, Reason.UNCLEAR, detail)


class VoiceScore(FaceMetric):
    """How well a mouth says what the voice says, on landmarks of the generated video; no network, no download.

    fit: "bundled", or a file made by `tkbench train --model voice_score`.
    """

    name = "voice_score"

    def __init__(self, *, fit: str = "bundled", context: BuildContext = ON_CPU) -> None:
        super().__init__(context=context)
        name, path = _named(fit, BUNDLED_SCORE)
        self.fit: Fit = load(path, SCORE)
        digest = weights.sha256(path)
        self.weights = {name: digest}
        self.columns = (
            Column(
                "voice_score",
                "Voice score",
                "score",
                "higher",
                3,
                signature=f"voice_score[fit:{name}@{digest[:12]},{self.fit.points},power:{HALF:g},peak-median,"
                f"shift:{MAX_SHIFT},min:{MIN_FRAMES},speech:{MIN_SPEECH:g}s]",
                bounds=(0.0, math.inf),
                text="How well mouth landmarks say what the voice says: half correlation, half covariance with the "
                "sound at the best lag, less the median over all lags. No network is involved that a model could "
                "be trained against. A still mouth has 0, real talkers 0.1 to 0.4, wrong voices about 0.1. "
                "It forgives a constant lag: read it with voice_lag.",
            ),
        )

    def score(
        self, sample: Sample, video: UInt8, audio: Float32, face: FaceSource = no_face_source
    ) -> ClipScores:
        """The score of one clip, from 2 s and 1 s of speech on."""
        landmarks = _landmarks(self.columns, self.fit, sample, video, audio, face)
        if isinstance(landmarks, ClipScores):
            return landmarks
        fitted = self.fit.map_for(sample.speaker or sample.key, _source(sample))
        found = fit_score(landmarks, audio, fitted)
        return ClipScores({self.columns[0].name: Score(found)})


def _named(fit: str, bundled: str) -> tuple[str, Path]:
    """Name and file of the fit that a metric is given: "bundled", or a path."""
    return (bundled, weights.find(bundled)) if fit == "bundled" else (Path(fit).stem, Path(fit))


def _source(sample: Sample) -> str:
    """sha256 of the file that a clip is from, or ""."""
    source = sample.meta.get("source")
    return str(source.get("sha256", "")) if isinstance(source, dict) else ""


def _landmarks(
    columns: Sequence[Column], fit: Fit, sample: Sample, video: UInt8, audio: Float32, face: FaceSource
) -> Float32 | ClipScores:
    """The landmarks of the generated video, or what is said of a clip that cannot be scored."""
    fault = video_fault(sample, video) or audio_fault(sample, audio) or _too_little(audio, len(video))
    if fault is not None:
        return unscored(columns, *fault)
    tracked = face()
    if tracked.reason is not None:
        return unscored(columns, tracked.reason, tracked.detail)
    fault = landmark_fault(tracked.landmarks, len(video), fit.points)
    if fault is not None:
        return unscored(columns, *fault)
    return tracked.landmarks


def _too_little(audio: Float32, frames: int) -> Fault | None:
    """Whether a clip is too short, or holds too little speech."""
    if frames < MIN_FRAMES:
        return Reason.TOO_SHORT, f"{frames} frames; {MIN_FRAMES} (2 s) are needed"
    speech = speech_seconds(audio)
    if speech < MIN_SPEECH:
        return Reason.UNCLEAR, f"{speech:.1f} s of speech; {MIN_SPEECH:g} s are needed"
    return None
