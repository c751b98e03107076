"""How many frames of sound on either side does a mouth need?

CALS says that a lip-sync model should hear the phonetic context of a frame, and finds about 1.2 s to be best. A mouth
is shaped by the sounds around it (coarticulation), and a sound is easier to recognise with others around it; a curve of
quality against the window shows the sum of both. Here the window is what a network hears, cut from the sound itself: n
frames on either side of the frame whose mouth it must tell, each a slice of 40 ms, and nothing beyond them.

    truth        the synthetic mouth, drawn from the gestures within the window alone (exact; no network)
    phonemes     a network that is told the exact phonemes within the window: coarticulation without recognition
    sound        a network that hears the window: both
    recognition  a network that hears the window and must tell the phoneme of the frame: recognition alone

The reach is one number, defined once for truth and network: the smallest n whose gain over n = 0 is 95 % of the widest
window's. Controls on the same phonemes with other articulations: `slow` (falling-off rates of Cohen and Massaro 1993
scaled by 0.4), whose reach is wider, and `none`, where each frame's mouth is that of its phoneme spoken alone, and no
context helps.

All networks are the same small one: a layer for each slice, shared, and two layers for all of them together. They are
trained on the speakers of the split train and measured on the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from tkbench import audio, shards
from tkbench.errors import UsageError
from tkbench.metrics.mouth import lengths
from tkbench.metrics.voicefeatures import log_mel, without_drift
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import write_file
from tkbench.study.frames import LETTERS
from tkbench.synth.articulation import Articulation, Style
from tkbench.synth.reach import Said, explained, middles, reach, within
from tkbench.synth.visemes import letters_at
from tkbench.types import FPS, Array, Float32, Float64, Word

if TYPE_CHECKING:
    import torch

WINDOWS = (0, 1, 2, 3, 4, 6, 8, 13, 15, 25)
"""Frames on either side."""
SEEDS = (0, 1, 2)
SLOW = 0.4
"""Sluggishness of the slow control: sounds blend 2.5 times as far."""
STEPS, BATCH, RATE = 1200, 512, 2e-3
SLICE = 48
"""Numbers that each slice becomes."""
HIDDEN = 192
STEPS_PER_FRAME = 4
"""Spectra in a slice: 40 ms."""

Curve = Literal["phonemes", "phonemes slow", "phonemes none", "sound", "recognition"]
CURVES: tuple[Curve, ...] = ("phonemes", "phonemes slow", "phonemes none", "sound", "recognition")
STYLES: dict[str, Style | None] = {
    "phonemes": Style(),
    "phonemes slow": Style(sluggishness=SLOW),
    "phonemes none": None,
}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip."""

    speaker: str
    split: str
    phonemes: tuple[Word, ...]
    """Empty where nobody knows what is said."""
    letters: Array
    """(T,) numbers in LETTERS, -1 where unknown."""
    sound: Float32
    """(T, 104) mel bands of each frame's 40 ms."""
    mouth: Float32
    """(T, 8) lengths of the tracked mouth without drift, eye distances."""


@dataclass(frozen=True, slots=True)
class Point:
    """One network, or the truth (seed -1), at one window."""

    curve: str
    window: int
    seed: int
    value: float
    """R2 of the mouth's shape on other speakers; of `recognition`: the share of frames that are told right."""
    low: float
    high: float
    """95 % of resampled speakers."""


@dataclass(frozen=True, slots=True)
class ContextStudy:
    """What the page shows."""

    data: str
    data_hash: str
    train_speakers: int
    held_speakers: int
    held_frames: int
    points: tuple[Point, ...]

    def mean(self, curve: str) -> dict[int, float]:
        """Window -> mean over seeds."""
        found: dict[int, list[float]] = {}
        for point in self.points:
            if point.curve == curve:
                found.setdefault(point.window, []).append(point.value)
        return {window: float(np.mean(values)) for window, values in sorted(found.items())}

    def names(self) -> list[str]:
        """The curves that were measured, in order."""
        return list(dict.fromkeys(point.curve for point in self.points))

    def table(self) -> pd.DataFrame:
        """One line per curve, window and seed."""
        columns = ["curve", "window", "seed", "value", "low", "high"]
        return pd.DataFrame([[getattr(p, c) for c in columns] for p in self.points], columns=columns)

    def sentence(self) -> str:
        """What was found."""
        parts = []
        for name in self.names():
            curve = self.mean(name)
            n = reach(curve)
            gain = max(curve.values()) - curve[0]
            parts.append(f"{name}: {'no gain' if n == 0 else f'{n} frames ({n / FPS:.2f} s)'}, {gain:+.2f}")
        return f"Reach (sound that is needed on either side), and the gain over none: {'; '.join(parts)}."


def utterances(data: Path) -> tuple[shards.Shards, list[Utterance]]:
    """Every clip with its sound, its tracked mouth, and what is said where that is known."""
    source = shards.open_shards(data)
    found = []
    for key in sorted(source.keys()):
        voice, landmarks = source.get_audio(key), source.get_arrays(key)["landmarks"]
        record = json.loads(source.members(key, ["json"])["json"])
        spoken = record.get("extra", {}).get("phonemes") or []
        words = tuple(Word(str(p["phone"]), float(p["start"]), float(p["end"])) for p in spoken)
        mel = log_mel(voice) / 10
        frames = min(len(landmarks), len(mel) // STEPS_PER_FRAME)
        mel = mel - np.percentile(mel.max(axis=1), 95)
        letters = np.full(frames, -1)
        if words:
            letters = np.array([LETTERS.index(x) for x in letters_at(words, middles(frames))])
        found.append(
            Utterance(
                source.speakers[key] or key,
                str(record.get("split", "")),
                words,
                letters,
                mel[: frames * STEPS_PER_FRAME].reshape(frames, -1).astype(np.float32),
                without_drift(lengths(landmarks[:frames]), 15).astype(np.float32),
            )
        )
    return source, found


def articulated(said: Utterance, style: Style | None) -> Float32:
    """(T, 8) mouth parameters in the middle of each frame; None: each frame is its own phoneme, spoken alone."""
    if style is None:
        return _alone()[said.letters]
    return Articulation.of(said.phonemes, style)(middles(len(said.letters))).astype(np.float32)


@lru_cache(maxsize=1)
def _alone() -> Float32:
    """(len(LETTERS), 8): the mouth in the middle of a phoneme of 0.2 s between silences."""
    rows = [Articulation.of((Word(letter, 0.0, 0.2),), Style())(np.array([0.1]))[0] for letter in LETTERS]
    return np.stack(rows).astype(np.float32)


def truth_within(said: Utterance, window: int, style: Style) -> Float64:
    """(T, 8) mouth parameters from the gestures alone that are spoken within `window` frames of each frame."""
    return within(Said(said.phonemes, len(said.letters), style), window)


def windowed(slices: Float32, window: int) -> Float32:
    """(T, D) slices -> (T, 2 n + 1, D); beyond the ends of a clip stands its first or last slice."""
    places = audio.around(np.arange(len(slices)), window)
    return slices[np.clip(places, 0, len(slices) - 1)]


def one_hot(letters: Array) -> Float32:
    """(T,) numbers in LETTERS -> (T, len(LETTERS))."""
    return np.eye(len(LETTERS), dtype=np.float32)[letters]


@dataclass(frozen=True, slots=True)
class Task:
    """What one kind of network is given and must tell: one array per clip."""

    slices: list[Float32]
    targets: list[Array]
    """(T, 8) to be met, or (T,) classes."""


def task_of(curve: Curve, clips: Sequence[Utterance]) -> Task:
    """The inputs and targets of a curve."""
    if curve == "sound":
        return Task([c.sound for c in clips], [c.mouth for c in clips])
    if curve == "recognition":
        return Task([c.sound for c in clips], [c.letters for c in clips])
    style = STYLES[curve]
    return Task([one_hot(c.letters) for c in clips], [articulated(c, style) for c in clips])


def trained(train: Task, held: Task, window: int, seed: int, *, steps: int = STEPS) -> list[Array]:
    """Train one network, and what it tells of the held-out clips: (T, 8) or (T,) each."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    classes = train.targets[0].ndim == 1
    goal = np.concatenate(train.targets)
    middle, spread = (0.0, 1.0) if classes else (goal.mean(axis=0), goal.std(axis=0) + 1e-4)
    slices = np.concatenate([_padded(s, window) for s in train.slices])
    starts = np.concatenate(
        [
            np.arange(len(s)) + before
            for s, before in zip(train.slices, _offsets(train.slices, window), strict=True)
        ]
    )
    size = slices.shape[1]
    net = _network(size, window, len(LETTERS) if classes else goal.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    all_slices = torch.from_numpy(slices)
    wanted = torch.from_numpy(goal if classes else np.float32((goal - middle) / spread))
    net.train()
    for _ in range(steps):
        rows = rng.integers(0, len(starts), BATCH)
        heard = all_slices[torch.from_numpy(audio.around(starts[rows] + window, window))]
        told = net(heard)
        asked = wanted[torch.from_numpy(rows)]
        loss = (
            torch.nn.functional.cross_entropy(told, asked)
            if classes
            else torch.nn.functional.mse_loss(told, asked)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    net.eval()
    with torch.inference_mode():
        found = [net(torch.from_numpy(windowed(s, window))).numpy() for s in held.slices]
    return [f.argmax(axis=1) if classes else f * spread + middle for f in found]


def _padded(slices: Float32, window: int) -> Float32:
    return np.pad(slices, ((window, window), (0, 0)), mode="edge")


def _offsets(slices: Sequence[Float32], window: int) -> list[int]:
    """Where each clip's first window begins among the padded slices of all."""
    sizes = [len(s) + 2 * window for s in slices]
    return [int(n) for n in np.cumsum([0, *sizes[:-1]])]


def _network(size: int, window: int, outputs: int) -> torch.nn.Module:
    """(B, 2 n + 1, size) -> (B, outputs)."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(size, SLICE),
        nn.GELU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(SLICE * (2 * window + 1), HIDDEN),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(HIDDEN, outputs),
    )


def score(true: Sequence[Array], made: Sequence[Array]) -> float:
    """R2, or the share that is right."""
    a, b = np.concatenate(list(true)), np.concatenate(list(made))
    return float((a == b).mean()) if a.ndim == 1 else explained(a, b)


def over_speakers(
    speakers: Sequence[str], true: Sequence[Array], made: Sequence[Array], *, seed: int = 0, draws: int = 200
) -> tuple[float, float]:
    """The middle 95 % of `score` over resampled speakers."""
    rng = np.random.default_rng(seed)
    people = sorted(set(speakers))
    own = {name: [k for k, s in enumerate(speakers) if s == name] for name in people}
    found = []
    for _ in range(draws):
        drawn = [k for n in rng.integers(0, len(people), len(people)) for k in own[people[n]]]
        found.append(score([true[k] for k in drawn], [made[k] for k in drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def study_context(
    data: Path,
    out: Path,
    *,
    windows: Sequence[int] = WINDOWS,
    seeds: Sequence[int] = SEEDS,
    curves: Sequence[Curve] = CURVES,
    steps: int = STEPS,
    progress: Progress = silent,
) -> ContextStudy:
    """Measure every curve; finished points are kept in `out`/context-points.json, so the same call again goes on.

    Where nobody knows what is said, only `sound` is measured. Raises UsageError where there are no two speakers to
    train on and two to measure on.
    """
    source, clips = utterances(data)
    names = sorted({c.speaker for c in clips})
    splits = {c.split for c in clips}
    # Where there is no split train, every fourth speaker is held out.
    held_out = (
        {c.speaker for c in clips if c.split not in ("train", "val")}
        if {"train", "test"} <= splits
        else set(names[::4])
    )
    train = [c for c in clips if c.speaker not in held_out]
    held = [c for c in clips if c.speaker in held_out]
    if len({c.speaker for c in train}) < 2 or len({c.speaker for c in held}) < 2:
        raise UsageError(
            f"{data}: {len(names)} speakers; the study needs two to train on and two others to measure on"
        )
    known = all(c.phonemes for c in clips)
    wanted = [c for c in curves if known or c == "sound"]
    speakers = [c.speaker for c in held]
    kept = _Kept(out / "context-points.json", f"{source.data_hash}/{steps}")
    total = len(windows) * len(seeds) * len(wanted)
    points: list[Point] = []
    if known:
        points += _truth(held, speakers, windows, kept)
    done = 0
    for curve in wanted:
        tasks: tuple[Task, Task] | None = None
        for window in windows:
            for seed in seeds:
                progress(done, total, f"{curve}, {window} frames")
                done += 1
                point = kept.get(curve, window, seed)
                if point is None:
                    tasks = tasks or (task_of(curve, train), task_of(curve, held))
                    made = trained(*tasks, window, seed, steps=steps)
                    low, high = over_speakers(speakers, tasks[1].targets, made)
                    point = Point(curve, window, seed, score(tasks[1].targets, made), low, high)
                    kept.add(point)
                points.append(point)
    progress(total, total, "")
    return ContextStudy(
        source.dataset,
        source.data_hash,
        len({c.speaker for c in train}),
        len(set(speakers)),
        sum(len(c.letters) for c in held),
        tuple(points),
    )


def _truth(
    held: Sequence[Utterance], speakers: Sequence[str], windows: Sequence[int], kept: _Kept
) -> list[Point]:
    """What the gestures within each window say of the mouth, as it is and slow."""
    points = []
    for name, style in (("truth", Style()), ("truth slow", Style(sluggishness=SLOW))):
        true = (
            [articulated(c, style) for c in held]
            if any(kept.get(name, n, -1) is None for n in windows)
            else []
        )
        for window in windows:
            point = kept.get(name, window, -1)
            if point is None:
                made = [truth_within(c, window, style) for c in held]
                low, high = over_speakers(speakers, true, made)
                point = Point(name, window, -1, score(true, made), low, high)
                kept.add(point)
            points.append(point)
    return points


class _Kept:
    """Finished points in a file."""

    def __init__(self, path: Path, about: str) -> None:
        self.path, self.about = path, about
        self.points: dict[tuple[str, int, int], Point] = {}
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            if record.get("about") == about:
                found = [Point(**fields) for fields in record["points"]]
                self.points = {(p.curve, p.window, p.seed): p for p in found}

    def get(self, curve: str, window: int, seed: int) -> Point | None:
        return self.points.get((curve, window, seed))

    def add(self, point: Point) -> None:
        assert math.isfinite(point.value), point
        self.points[point.curve, point.window, point.seed] = point
        columns = ("curve", "window", "seed", "value", "low", "high")
        rows = [{c: getattr(p, c) for c in columns} for p in self.points.values()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.path, json.dumps({"about": self.about, "points": rows}, indent=1).encode())
