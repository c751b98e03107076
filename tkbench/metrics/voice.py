"""A second opinion on sync: mouth landmarks against the sound of the voice, by canonical correlation.

It needs no downloaded network, and no model was trained against it. Head pose and drift are taken out of the mouth's
shape. A fixed map (`voicefit`) brings shape and voice to common variates, and these are correlated at lags of -15 to
15 frames. The fit that comes with tkbench was made on synthetic faces; a fit made from other data leaves out the
speaker that it judges.

It has three columns. The correlation at the best lag is the score: a still mouth has about none. The lag itself has the
sign of AVOffset: positive where the video lags, so the anchor `shift:5` reads +5. The confidence says whether the two
belong together at all. A lag that is not sure is unscored with the reason `unclear`, and never a number that looks like
one: of mouths under wrong voices, 2 in 100 pass.
"""

from __future__ import annotations

import math
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
from tkbench.metrics.voicefit import Fit, Map, load, mouth_features, speech_seconds, voice_features
from tkbench.registry import suggest
from tkbench.types import Array, Column, Float32, Float64, Reason, Sample, UInt8

MAX_SHIFT = 15
MIN_FRAMES = 50
"""Two seconds: 35 pairs are left at the largest lag."""
MIN_SPEECH = 1.0
"""Seconds of speech below which nothing is said."""
SURE = 0.98
"""Confidence from which a lag is reported."""
BUNDLED = "voice-synth"
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
    voice: Float64, mouth: Float64, strength: Float64, *, max_shift: int = MAX_SHIFT
) -> Float64:
    """Correlation of variates at each lag; entry k is for a video that lags by k - max_shift frames.

    voice, mouth: (T, P) variates, strength: (P,) what each pair counts -> (2 * max_shift + 1,) float64. At each lag
    only frames that both have are compared, about their own means; a variate without variance counts as 0.

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
        curve[k] = (strength * each).sum() / strength.sum()
    return curve


def confidence_of(peak: float, frames: int, null: tuple[float, float]) -> float:
    """How rarely a wrong voice gives such a peak: the Gumbel law of peak * sqrt(frames), in [0, 1].

    >>> round(confidence_of(0.0, 125, (1.84, 0.31)), 3), round(confidence_of(0.4, 125, (1.84, 0.31)), 3)
    (0.0, 1.0)
    """
    place, scale = null
    return math.exp(-math.exp(min(700.0, -(peak * math.sqrt(frames) - place) / scale)))


def opinion(landmarks: Array, audio: Float32, fitted: Map, null: tuple[float, float]) -> Opinion:
    """Compare a mouth with a voice: (T, N, 2) landmarks and (T * 640,) samples, T > 16."""
    voice = voice_features(audio) @ fitted.voice
    mouth = mouth_features(landmarks) @ fitted.mouth
    curve = correlation_curve(voice, mouth, fitted.strength)
    best = int(np.argmax(curve))
    inside = 0 < best < len(curve) - 1
    part = _vertex(*curve[best - 1 : best + 2]) if inside else 0.0
    peak = float(curve[best])
    return Opinion(best + part - MAX_SHIFT, peak, confidence_of(peak, len(mouth), null), curve, inside)


def _vertex(before: float, top: float, after: float) -> float:
    """Where a parabola through three points at -1, 0 and 1 has its top, in [-0.5, 0.5]."""
    bend = before - 2 * top + after
    return 0.0 if bend >= 0 else float(0.5 * (before - after) / bend)


class Voice(FaceMetric):
    """Correlation, lag and confidence of mouth and voice, on landmarks of the generated video.

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
        name = BUNDLED if fit == "bundled" else Path(fit).stem
        path = weights.find(BUNDLED) if fit == "bundled" else Path(fit)
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
                "ms, positive where the mouth comes after the sound. Only clips where the fit is sure have "
                "one; the others are unscored as unclear.",
            ),
            Column(
                "voice_sure",
                "Voice sure",
                "share",
                "higher",
                2,
                signature=signature,
                bounds=(0.0, 1.0),
                text="The mean confidence that mouth and voice belong together, 0 to 1: how many wrong "
                "voices would fit worse. A lag is given from 0.98 on.",
            ),
        )

    def score(
        self, sample: Sample, video: UInt8, audio: Float32, face: FaceSource = no_face_source
    ) -> ClipScores:
        """The three values; the lag is unscored where the confidence is below `SURE`."""
        fault = video_fault(sample, video) or audio_fault(sample, audio) or _too_little(audio, len(video))
        if fault is not None:
            return unscored(self.columns, *fault)
        tracked = face()
        if tracked.reason is not None:
            return unscored(self.columns, tracked.reason, tracked.detail)
        fault = landmark_fault(tracked.landmarks, len(video), self.fit.points)
        if fault is not None:
            return unscored(self.columns, *fault)
        own_map = self.fit.map_for(sample.speaker or sample.key)
        found = opinion(tracked.landmarks, audio, own_map, self.fit.null)
        lag = self._lag(found, len(video), speech_seconds(audio))
        values = (Score(found.peak), lag, Score(found.confidence))
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


def _too_little(audio: Float32, frames: int) -> Fault | None:
    """Whether a clip is too short, or holds too little speech."""
    if frames < MIN_FRAMES:
        return Reason.TOO_SHORT, f"{frames} frames; {MIN_FRAMES} (2 s) are needed"
    speech = speech_seconds(audio)
    if speech < MIN_SPEECH:
        return Reason.UNCLEAR, f"{speech:.1f} s of speech; {MIN_SPEECH:g} s are needed"
    return None
