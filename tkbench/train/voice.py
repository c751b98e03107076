"""`tkbench train --model voice`: a fit for the second opinion on sync, from the true videos of prepared shards.

From the synthetic corpus it makes the bundled fit, a single map:

    make voice        (see the Makefile: 200 clips of 100 speakers, a few minutes)

From other data it makes sums in folds of speakers: each speaker is scored by a map that was fitted without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tkbench import shards
from tkbench.crops.recipes import point_set
from tkbench.errors import UsageError
from tkbench.metrics import voicefit
from tkbench.metrics.voice import MIN_FRAMES, MIN_SPEECH, correlation_curve
from tkbench.metrics.voicefit import FOLDS, Fit, fold_of, mouth_features, speech_seconds, voice_features
from tkbench.runtime.progress import Progress, silent
from tkbench.types import SAMPLES_PER_FRAME, Float64

MIN_SPEAKERS = 8
MIN_SECONDS = 300.0
"""Real data below five minutes gives a map worse than the bundled one."""
WRONG_PAIRS = 2000
"""Pairs of one clip's mouth with another speaker's voice, from which the distribution by chance is estimated."""


def fit_voice(data: Path, out: Path, *, seed: int = 0, progress: Progress = silent) -> str:
    """Fit mouth to voice on the true videos in `data` and write `out`; returns one line on what was done.

    Clips of all splits are used, those shorter than 2 s or with less than 1 s of speech are left out. Raises
    UsageError where too little is left.
    """
    source = shards.open_shards(data)
    parts = [voicefit.nothing() for _ in range(FOLDS)]
    clips: list[tuple[str, Float64, Float64]] = []
    points = ""
    keys = sorted(source.keys())
    for number, key in enumerate(keys):
        progress(number, len(keys), "voice")
        audio, landmarks = source.get_audio(key), source.get_arrays(key)["landmarks"]
        speaker = source.speakers[key] or key
        frames = min(len(landmarks), len(audio) // SAMPLES_PER_FRAME)
        if frames < MIN_FRAMES or speech_seconds(audio) < MIN_SPEECH:
            continue
        points = points or point_set(landmarks)
        voice = voice_features(audio[: frames * SAMPLES_PER_FRAME])
        mouth = mouth_features(landmarks[:frames])
        place = fold_of(speaker)
        parts[place] = parts[place] + voicefit.sums_of(voice, mouth)
        clips.append((speaker, voice, mouth))
    progress(len(keys), len(keys), "voice")
    seconds = sum(len(mouth) for _, _, mouth in clips) / 25
    speakers = {speaker for speaker, _, _ in clips}
    if len(speakers) < MIN_SPEAKERS or seconds < MIN_SECONDS:
        raise UsageError(
            f"{data}: {seconds:.0f} s of speech by {len(speakers)} speakers; a fit needs {MIN_SECONDS:.0f} s by "
            f"{MIN_SPEAKERS}. Use the bundled fit, or add clips"
        )
    synthetic = source.dataset == "synth"
    fit = Fit(points, (0.0, 1.0))
    if synthetic:
        fit.whole = voicefit.solve(voicefit.total(parts))
        fit.zero = {"synth": 0.0, "speech": voicefit.SPEECH_LEAD}
    else:
        fit.folds = tuple(parts)
        fit.zero = {"synth": 0.0, "speech": 0.0}
    fit.null = law_of_chance(fit, clips, np.random.default_rng(seed), pairs=WRONG_PAIRS)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(out.name + ".new")
    voicefit.save(fit, fresh)
    fresh.replace(out)
    return (
        f"{out}: {len(clips)} clips, {seconds:.0f} s, {len(speakers)} speakers, {points}; a wrong voice reaches "
        f"{fit.null[0]:.2f} +- {fit.null[1]:.2f} / sqrt(frames)"
    )


def law_of_chance(
    fit: Fit,
    clips: Sequence[tuple[str, Float64, Float64]],
    rng: np.random.Generator,
    *,
    pairs: int,
) -> tuple[float, float]:
    """Place and scale of the Gumbel law of peak * sqrt(frames) over mouths with voices of other speakers.

    clips: speaker, voice features and mouth features of each.
    """
    found = []
    for _ in range(pairs):
        one, other = (clips[i] for i in rng.integers(0, len(clips), 2))
        if one[0] == other[0]:
            continue
        mapped = fit.map_for(one[0])
        n = min(len(one[2]), len(other[1]))
        a, b = (int(rng.integers(0, len(part) - n + 1)) for part in (other[1], one[2]))
        voice, mouth = other[1][a : a + n] @ mapped.voice, one[2][b : b + n] @ mapped.mouth
        found.append(float(correlation_curve(voice, mouth, mapped.strength).max()) * np.sqrt(n))
    # Matched at the tail, because it decides: 95 and 99 of 100 pairs lie below the quantiles of the law.
    low, high = np.quantile(found, [0.95, 0.99])
    scale = (high - low) / (np.log(-np.log(0.95)) - np.log(-np.log(0.99)))
    return float(low + scale * np.log(-np.log(0.95))), float(scale)
