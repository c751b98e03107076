"""A second opinion on sync: mouth landmarks against the sound of the voice, by canonical correlation.

It needs no downloaded network, and no model was trained against it. Head pose and drift are taken out of the
mouth's shape, a fixed map (`voicefit`) brings shape and voice to common variates, and these are correlated at
lags of -15 to 15 frames. The fit that comes with tkbench was made on synthetic faces; a fit made from other
data leaves the speaker out that it judges.

Three columns: the correlation at the best lag (the score: a still mouth has about none), the lag itself (in
the sign of AVOffset: positive where the video lags, so the anchor `shift:5` reads +5), and the confidence that the
two belong together at all. A lag that is not sure is unscored with the reason `unclear`, never a number that
looks like one: of mouths under wrong voices, 2 in 100 pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UnknownName
from tkbench.metrics.base import ClipScores, Look, Scored, audio_fault, unscored, video_fault
from tkbench.metrics.mouth import landmark_fault
from tkbench.metrics.voicefit import Fit, Map, load, mouth_features, speech_seconds, voice_features
from tkbench.registry import suggest
from tkbench.types import Array, Float32, Float64, Metric, Reason, Sample, UInt8

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
    """What the landmarks say of one clip."""

    lag: float
    """Frames by which the video lags; a parabola through the peak gives the part of a frame."""
    peak: float
    """Weighted mean correlation of the variates at the best lag, in [-1, 1]."""
    confidence: float
    """Share of wrong pairings whose best lag is worse than this one's."""
    curve: Float64
    """(31,) correlation where the video is taken to lag by -15 to 15 frames."""
    inside: bool
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


class Voice:
    """Correlation, lag and confidence of mouth and voice, on landmarks of the generated video.

    fit: "bundled", or a file made by `tkbench train --model voice`. zero: what counts as on time. Real mouths run
    ahead of their voice by more than the synthetic corpus's (`voicefit.SPEECH_LEAD`), so that fit needs to be
    told which of both it looks at.
    """

    sees = True

    def __init__(self, *, fit: str = "bundled", zero: Kind = "speech") -> None:
        if zero not in ("speech", "synth"):
            raise UnknownName(f"no zero is called {zero!r}: {suggest(zero, ['speech', 'synth'])}")
        name = BUNDLED if fit == "bundled" else Path(fit).stem
        path = weights.find(BUNDLED) if fit == "bundled" else Path(fit)
        self.fit: Fit = load(path)
        self.zero = self.fit.zero[zero]
        self.weights = {name: weights.sha256(path)}
        facts = (
            f"voice[fit:{name}@{self.weights[name][:12]},{self.fit.points},zero:{zero}={self.zero:g},"
            f"shift:{MAX_SHIFT},min:{MIN_FRAMES},speech:{MIN_SPEECH:g}s,sure:{SURE:g}]"
        )
        self.columns = (
            Metric("voice_corr", "Voice corr.", "correlation", "higher", 3, signature=facts),
            Metric("voice_lag", "Voice lag", "frames", "zero", 2, signature=facts),
            Metric("voice_sure", "Voice sure", "share", "higher", 2, signature=facts),
        )

    def score(self, sample: Sample, video: UInt8, audio: Float32, look: Look) -> ClipScores:
        """The three values; the lag is unscored where the confidence is below `SURE`."""
        fault = video_fault(sample, video) or audio_fault(sample, audio) or self._too_thin(audio, len(video))
        if fault is not None:
            return unscored(self.columns, *fault)
        seen = look()
        if seen.reason is not None:
            return unscored(self.columns, seen.reason, seen.detail)
        fault = landmark_fault(seen.landmarks, len(video), self.fit.points)
        if fault is not None:
            return unscored(self.columns, *fault)
        said = opinion(seen.landmarks, audio, self.fit.map_for(sample.speaker or sample.key), self.fit.null)
        lag = self._lag(said, len(video), speech_seconds(audio))
        values = (Scored(said.peak), lag, Scored(said.confidence))
        return ClipScores({column.name: value for column, value in zip(self.columns, values, strict=True)})

    def _too_thin(self, audio: Float32, frames: int) -> tuple[Reason, str] | None:
        if frames < MIN_FRAMES:
            return Reason.TOO_SHORT, f"{frames} frames; {MIN_FRAMES} (2 s) are needed"
        speech = speech_seconds(audio)
        if speech < MIN_SPEECH:
            return Reason.UNCLEAR, f"{speech:.1f} s of speech; {MIN_SPEECH:g} s are needed"
        return None

    def _lag(self, said: Opinion, frames: int, speech: float) -> Scored:
        if said.confidence >= SURE and said.inside:
            return Scored(said.lag + self.zero)
        why = (
            # Rounded down: what is not enough must not read as if it were.
            f"confidence {math.floor(100 * said.confidence) / 100:.2f}, {SURE:g} is needed"
            if said.inside
            else "the best lag is the largest one"
        )
        detail = f"{why}: correlation {said.peak:.2f} over {frames / 25:.1f} s with {speech:.1f} s of speech"
        return Scored(math.nan, Reason.UNCLEAR, detail)
