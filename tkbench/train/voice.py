"""`tkbench train --model voice` and `--model voice_score`: fits for the metrics of these names, from true videos.

From the synthetic corpus it makes a single map. The bundled one of `voice` is made by `make voice` (see the Makefile:
200 clips of 100 speakers, a few minutes), that of `voice_score` by scripts/make_voice_score.py.

From other data it makes sums in folds of speakers: each speaker is scored by a map that was fitted without them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import shards
from tkbench.crops.recipes import point_set
from tkbench.errors import UsageError
from tkbench.metrics import voicefit
from tkbench.metrics.voice import MIN_FRAMES, MIN_SPEECH, correlation_curve
from tkbench.metrics.voicefeatures import SCORE, SYNC, FeatureSet, speech_seconds
from tkbench.metrics.voicefit import COMMANDS, FOLDS, LEVELS, Chance, Fit, fold_of
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.words import counted
from tkbench.types import FPS, SAMPLES_PER_FRAME, Float64

MIN_SPEAKERS = 8
MIN_SECONDS = 300.0
"""Real data below five minutes gives a map worse than the bundled one."""
WRONG_PAIRS = 2000
"""Pairs of one clip's mouth with another speaker's voice, from which the distribution by chance is estimated."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What a fit needs of one clip."""

    speaker: str
    voice: Float64
    """(T, V) and (T, M) features."""
    mouth: Float64


def fit_voice(data: Path, out: Path, *, seed: int = 0, progress: Progress = silent) -> str:
    """Fit `voice` on the true videos in `data` and write `out`; returns one line on what was done.

    Clips of all splits are used, those shorter than 2 s or with less than 1 s of speech are left out. Raises
    UsageError where too little is left.
    """
    fit, clips = _fit(data, SYNC, progress)
    synthetic = fit.whole is not None
    fit.zero = {"synth": 0.0, "speech": voicefit.SPEECH_LEAD if synthetic else 0.0}
    fit.chance = law_of_chance(fit, clips, np.random.default_rng(seed), pairs=WRONG_PAIRS)
    write(fit, out)
    return (
        f"{_done(out, fit, clips)}; a wrong voice reaches {fit.chance.place:.2f} +- {fit.chance.scale:.2f} / "
        "sqrt(frames)"
    )


def fit_voice_score(data: Path, out: Path, *, progress: Progress = silent) -> str:
    """Fit `voice_score` on the true videos in `data`, as `fit_voice` does."""
    fit, clips = _fit(data, SCORE, progress)
    write(fit, out)
    return _done(out, fit, clips)


def _done(out: Path, fit: Fit, clips: Sequence[Clip]) -> str:
    seconds = sum(len(clip.mouth) for clip in clips) / FPS
    people = counted(len({clip.speaker for clip in clips}), "speaker")
    return f"{out}: {counted(len(clips), 'clip')}, {seconds:.0f} s, {people}, {fit.points}"


def write(fit: Fit, out: Path) -> None:
    """Write a fit whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(out.name + ".new")
    voicefit.save(fit, fresh)
    fresh.replace(out)


def read_clips(source: shards.Shards, features: FeatureSet, progress: Progress) -> tuple[str, list[Clip]]:
    """The set of points, and the features of every clip that is long enough, in the order of their keys."""
    clips: list[Clip] = []
    points = ""
    keys = sorted(source.keys())
    for number, key in enumerate(keys):
        progress(number, len(keys), COMMANDS[features.name])
        audio, landmarks = source.get_audio(key), source.get_arrays(key)["landmarks"]
        frames = min(len(landmarks), len(audio) // SAMPLES_PER_FRAME)
        if frames < MIN_FRAMES or speech_seconds(audio) < MIN_SPEECH:
            continue
        points = points or point_set(landmarks)
        if features is SCORE and points != "mesh":
            raise UsageError(
                f"clip {key!r} has {landmarks.shape[1]} landmarks; a fit for voice_score needs Face Mesh's 478. "
                "Prepare with `--backend mediapipe`"
            )
        voice = features.voice(audio[: frames * SAMPLES_PER_FRAME])
        clips.append(Clip(source.speakers[key] or key, voice, features.mouth(landmarks[:frames])))
    progress(len(keys), len(keys), COMMANDS[features.name])
    return points, clips


def _fit(data: Path, features: FeatureSet, progress: Progress) -> tuple[Fit, list[Clip]]:
    """A fit without its law of chance: one map from the synthetic corpus, sums in folds from other data."""
    source = shards.open_shards(data)
    rows = source.manifest(["key", "status", "n_frames"])
    kept = (rows["status"] == "ok") & (rows["n_frames"] >= MIN_FRAMES)
    # What cannot be enough is said before the clips are read, which takes minutes.
    _check_enough(
        data, {source.speakers[key] or key for key in rows["key"][kept]}, float(rows["n_frames"][kept].sum())
    )
    points, clips = read_clips(source, features, progress)
    _check_enough(data, {clip.speaker for clip in clips}, sum(len(clip.mouth) for clip in clips))
    parts = [voicefit.nothing(features) for _ in range(FOLDS)]
    for clip in clips:
        place = fold_of(clip.speaker)
        parts[place] = parts[place] + voicefit.sums_of(clip.voice, clip.mouth)
    fit = Fit(features, points)
    if source.dataset == "synth":
        fit.whole = voicefit.solve(voicefit.total(parts), pairs=features.pairs)
    else:
        fit.folds = tuple(parts)
    return fit, clips


def _check_enough(data: Path, speakers: Set[str], frames: float) -> None:
    seconds = frames / FPS
    if len(speakers) < MIN_SPEAKERS or seconds < MIN_SECONDS:
        raise UsageError(
            f"{data}: {seconds:.0f} s of speech by {counted(len(speakers), 'speaker')}; a fit needs "
            f"{MIN_SECONDS:.0f} s by {MIN_SPEAKERS}. Use the bundled fit, or add clips"
        )


def law_of_chance(fit: Fit, clips: Sequence[Clip], rng: np.random.Generator, *, pairs: int) -> Chance:
    """How mouths fit voices of other speakers: quantiles of peak * sqrt(frames), and a law for their tail."""
    found = []
    for _ in range(pairs):
        one, other = (clips[i] for i in rng.integers(0, len(clips), 2))
        if one.speaker == other.speaker:
            continue
        mapped = fit.map_for(one.speaker)
        n = min(len(one.mouth), len(other.voice))
        a, b = (int(rng.integers(0, len(part) - n + 1)) for part in (other.voice, one.mouth))
        voice, mouth = other.voice[a : a + n] @ mapped.voice, one.mouth[b : b + n] @ mapped.mouth
        found.append(float(correlation_curve(voice, mouth, mapped.strength).max()) * np.sqrt(n))
    # The tail is matched where it decides: 95 and 99 of 100 pairs lie below the quantiles of the law.
    low, high = np.quantile(found, [0.95, 0.99])
    scale = (high - low) / (np.log(-np.log(0.95)) - np.log(-np.log(0.99)))
    place = float(low + scale * np.log(-np.log(0.95)))
    return Chance(place, float(scale), tuple(float(q) for q in np.quantile(found, LEVELS)))
