r"""Make the bundled fit of `voice_score` from the synthetic corpus and a few real clips, and print how it does on
people that it has not seen.

    tkbench prep synth --out voice/corpus --clips 200 --speakers 100 --seed 500
    tkbench prep folder --root voice/corpus --out voice/shards
    tkbench prep folder --root REAL_CLIPS --out voice/real
    python scripts/make_voice_score.py --synth voice/shards --real voice/real --out voice/voice_real.safetensors \
        --write docs/second-opinion.md

The real clips are those of scripts/voice_score_sources.toml, found by the sha256 of their files. Without `--real` the
fit is made from the synthetic corpus alone. Real mouths run ahead of the voice by a few frames, not all by the same:
each clip is brought to the lag at which a fit from the synthetic corpus finds it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from between import rewrite

from tkbench import shards
from tkbench.metrics import voicefit
from tkbench.metrics.voice import HALF, correlation_curve
from tkbench.metrics.voicefeatures import SCORE, speech_seconds
from tkbench.metrics.voicefit import Fit, Map, Sums
from tkbench.runtime.progress import bar
from tkbench.train.voice import Clip, read_clips, write
from tkbench.types import SAMPLES_PER_FRAME

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = Path(__file__).with_name("voice_score_sources.toml")
WEIGHT = 0.5
"""What the real clips count together; the synthetic corpus counts 1. With more, the map knows the twelve clips better,
and nobody else."""
REACH = 7
"""Frames to either side in which a real clip's own lag is sought."""
MARK = "real people of the score"


@dataclass(frozen=True, slots=True)
class Source:
    """One real clip."""

    name: str
    person: str
    source: str
    licence: str
    sha256: str


def sources() -> list[Source]:
    """The clips of scripts/voice_score_sources.toml."""
    table = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    return [Source(name, **facts) for name, facts in table.items()]


def real_clips(data: Path) -> list[Clip]:
    """The features of the listed clips among the shards in `data`; ends where one is missing."""
    source = shards.open_shards(data)
    known = {str(source.get(key).meta["source"]["sha256"]): key for key in source.keys()}
    clips = []
    for item in sources():
        if item.sha256 not in known:
            raise SystemExit(f"{data}: holds no clip made from {item.name} ({item.source})")
        key = known[item.sha256]
        audio, landmarks = source.get_audio(key), source.get_arrays(key)["landmarks"]
        frames = min(len(landmarks), len(audio) // SAMPLES_PER_FRAME)
        sound = audio[: frames * SAMPLES_PER_FRAME]
        assert speech_seconds(sound) >= 1, key
        clips.append(Clip(item.person, SCORE.voice(sound), SCORE.mouth(landmarks[:frames])))
    return clips


def curve(clip: Clip, fitted: Map, power: float) -> np.ndarray:
    """The clip's curve over lags."""
    return correlation_curve(
        clip.voice @ fitted.voice, clip.mouth @ fitted.mouth, fitted.strength, power=power
    )


def aligned(clip: Clip, fitted: Map) -> Clip:
    """The clip at the lag at which `fitted` finds it."""
    found = curve(clip, fitted, 1.0)
    middle = len(found) // 2
    lag = int(found[middle - REACH : middle + REACH + 1].argmax()) - REACH
    n = len(clip.mouth)
    voice = clip.voice[max(0, -lag) : n - max(0, lag)]
    mouth = clip.mouth[max(0, lag) : n - max(0, -lag)]
    return Clip(clip.speaker, voice - voice.mean(axis=0), mouth - mouth.mean(axis=0))


def solved(synth: Sums, real: list[Clip]) -> Map:
    """The map from both, the real clips weighing `WEIGHT`."""
    if not real:
        return voicefit.solve(synth, pairs=SCORE.pairs)
    theirs = voicefit.total([voicefit.sums_of(clip.voice, clip.mouth) for clip in real])
    share = WEIGHT * synth.frames / theirs.frames
    weighed = Sums(theirs.frames * share, theirs.vv * share, theirs.vm * share, theirs.mm * share)
    return voicefit.solve(synth + weighed, pairs=SCORE.pairs)


def score(clip: Clip, fitted: Map) -> float:
    """As `voice.fit_score`."""
    found = curve(clip, fitted, HALF)
    return float(found.max() - np.median(found))


def card(synth: Sums, base: Map, real: list[Clip]) -> str:
    """A line per real clip: its score with and without its person in the fit, and with the voices of the others."""
    whole = solved(synth, real)
    lines = [
        "| clip | source | licence of the repository | seen | person left out | other voices, left out |",
        "|---|---|---|---:|---:|---:|",
    ]
    right, wrong = [], []
    for item, clip in zip(sources(), real, strict=True):
        others = [other for other in real if other.speaker != clip.speaker]
        fitted = solved(synth, others)
        own = score(clip, fitted)
        strange = []
        for other in others:
            n = min(len(other.voice), len(clip.mouth))
            strange.append(score(replace(clip, voice=other.voice[:n], mouth=clip.mouth[:n]), fitted))
        right.append(own)
        wrong += strange
        lines.append(
            f"| {item.name} | {item.source} | {item.licence} | {score(clip, whole):.2f} | {own:.2f} | "
            f"{np.mean(strange):.2f} |"
        )
    told = np.mean(np.array(right)[:, None] > np.array(wrong)[None])
    only = [score(clip, base) for clip in real]
    return "\n".join(
        [
            *lines,
            "",
            f"Mean score: {np.mean([score(c, whole) for c in real]):.3f} where the fit has seen the clip, "
            f"{np.mean(right):.3f} with the person left out, {np.mean(only):.3f} by a fit from synthetic faces alone; "
            f"{np.mean(wrong):.3f} with another person's voice. A true pair scores above a wrong one in {told:.1%} "
            f"of the comparisons (person left out, {len(right)} clips, {len(wrong)} wrong pairs).",
        ]
    )


def main() -> None:
    """Fit, write, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--synth", type=Path, required=True, help="shards of the synthetic corpus")
    parser.add_argument("--real", type=Path, help="shards that hold the listed real clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--write", type=Path, help="a document with the marks of the table; else it is printed"
    )
    given = parser.parse_args()
    with bar("fit voice_score") as progress:
        points, clips = read_clips(shards.open_shards(given.synth), SCORE, progress)
    synth = voicefit.total([voicefit.sums_of(clip.voice, clip.mouth) for clip in clips])
    base = solved(synth, [])
    real = [aligned(clip, base) for clip in real_clips(given.real)] if given.real else []
    fit = Fit(SCORE, points, whole=solved(synth, real))
    if real:
        people = sorted({clip.speaker for clip in real})
        fit.without = tuple(solved(synth, [c for c in real if c.speaker != person]) for person in people)
        fit.seen = {item.sha256: people.index(item.person) for item in sources()}
    write(fit, given.out)
    print(f"{given.out}: {len(clips)} synthetic clips, {len(real)} real ones")
    if real:
        table = card(synth, base, real)
        if given.write:
            rewrite(given.write, MARK, table)
        else:
            print(table)


if __name__ == "__main__":
    main()
