"""How many frames of sound on either side does a mouth need?

CALS says that a lip-sync model should hear the phonetic context of a frame, and finds about 1.2 s to be best. A mouth
is shaped by the sounds around it (coarticulation), and a sound is easier to recognise with others around it; a curve of
quality against the window shows the sum of both. Here the window is what a network hears, cut from the sound itself: n
frames on either side of the frame whose mouth it must tell, each a slice of 40 ms, and nothing beyond them.

    truth        the synthetic mouth, drawn from the gestures within the window alone (exact; no network)
    phonemes     a network that is told the exact phonemes within the window: coarticulation without recognition
    sound        a network that hears the window: both
    recognition  a network that hears the window and must tell the phoneme of the frame: recognition alone
    recognised   the mouth that this phoneme has on average, weighted by what `recognition` believes
    excess       what a wider window brings `sound` beyond what it brings `recognised`

`truth` and `phonemes` articulate as the corpus does: `tkbench prep synth` states the style of each speaker. Controls on
the same phonemes have other articulations: `slow`, where sounds blend 2.5 times as far (falling-off rates of Cohen and
Massaro 1993 times 0.4), whose reach is wider, and `none`, where each frame's mouth is that of its phoneme spoken alone,
and no context helps.

The reach is one number, defined once for truth and network: the smallest n whose gain over n = 0 is 95 % of the widest
window's. Where a coarse grid finds it, every n down to the next coarse window is measured, too, and one above.

All networks are of one small form (`context_nets`). They are trained on the speakers of the split train and measured on
those of test.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tkbench.errors import UsageError
from tkbench.runtime.progress import Progress, silent
from tkbench.study.context_data import (
    CURVES,
    SLOW,
    Curve,
    Task,
    Utterance,
    articulated,
    task_of,
    truth_within,
    utterances,
)
from tkbench.study.context_nets import SETTINGS, STEPS, trained
from tkbench.study.context_points import Kept, Point, Sums, resampled
from tkbench.study.frames import LETTERS
from tkbench.synth.reach import REACHED, reach
from tkbench.types import FPS, Float32, Float64

WINDOWS = (0, 1, 2, 4, 8, 13, 15, 25)
"""Frames on either side: the coarse grid."""
SEEDS = (0, 1, 2)
DRAWS = 1000
"""Resamples of the speakers."""
TRUTHS = {"truth": 1.0, "truth slow": SLOW}
"""A factor on the corpus's own sluggishness."""
PAIRS = (("truth", "phonemes"), ("truth slow", "phonemes slow"))
"""A truth, and the network that has to recover its reach."""
NONE: Curve = "phonemes none"
EXCESS = "excess"
ORDER = (
    "truth",
    "phonemes",
    "truth slow",
    "phonemes slow",
    NONE,
    "sound",
    "recognised",
    EXCESS,
    "recognition",
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Frames of sound that are needed on either side."""

    frames: int
    low: int
    high: int
    """The middle 95 % over resampled speakers."""
    seeds: tuple[int, ...]
    """By each seed alone; empty for the truth."""
    gain: float
    """Of the widest window over none."""
    gain_low: float
    gain_high: float
    best: float
    """The curve's best value."""
    best_low: float
    """The lower end of its interval."""

    @property
    def told(self) -> bool:
        """Whether the networks can tell a mouth at all: a reach of what nobody learned would be a number of nothing."""
        return self.best_low > 0

    def said(self) -> str:
        """As sentences name it."""
        if not self.told:
            return f"tells nothing in any window (at most {self.best:+.3f})"
        if self.frames == 0:
            return f"no gain ({self.gain:+.3f})"
        interval = "" if self.low == self.high == self.frames else f" [{self.low}, {self.high}]"
        return f"{self.frames}{interval} {'frame' if self.frames == 1 else 'frames'} ({self.gain:+.2f})"


Curves = dict[str, dict[int, dict[int, Float64]]]
"""Curve -> window -> seed -> (1 + DRAWS,) its value, then that of each resample of the speakers."""


@dataclass(frozen=True)
class ContextStudy:
    """What the page shows."""

    data: str
    data_hash: str
    stated: bool
    """Whether the corpus states how its speakers articulate."""
    train_speakers: int
    held_speakers: int
    held_frames: int
    steps: int
    points: tuple[Point, ...]

    @cached_property
    def curves(self) -> Curves:
        """Every curve with its resamples; `excess` is made of two others."""
        weights = resampled(self.held_speakers, DRAWS)
        found: Curves = {}
        for p in self.points:
            found.setdefault(p.curve, {}).setdefault(p.window, {})[p.seed] = p.sums.values(weights)
        if {"sound", "recognised"} <= set(found):
            sound, recognised = found["sound"], found["recognised"]
            found[EXCESS] = {
                n: {
                    seed: (sound[n][seed] - sound[0][seed]) - (recognised[n][seed] - recognised[0][seed])
                    for seed in sound[n]
                }
                for n in sorted(set(sound) & set(recognised))
            }
        return {name: dict(sorted(found[name].items())) for name in ORDER if name in found}

    def names(self) -> list[str]:
        """The curves that were measured, in order."""
        return list(self.curves)

    def windows(self) -> list[int]:
        """All windows that any curve was measured at."""
        return sorted({p.window for p in self.points})

    def seeds(self) -> list[int]:
        """Those of the networks."""
        return sorted({p.seed for p in self.points if p.seed >= 0})

    def means(self, curve: str) -> dict[int, Float64]:
        """Window -> (1 + DRAWS,) mean over seeds."""
        return {n: np.mean(list(each.values()), axis=0) for n, each in self.curves[curve].items()}

    def mean(self, curve: str) -> dict[int, float]:
        """Window -> mean over seeds."""
        return {n: float(values[0]) for n, values in self.means(curve).items()}

    def reach(self, curve: str) -> Reach:
        """How far a curve reaches, with its interval over speakers and each seed's own."""
        return self._reaches[curve]

    @cached_property
    def _reaches(self) -> dict[str, Reach]:
        """Of every curve: page, figure and sentence ask for them again and again, and each is a thousand resamples."""
        return {curve: self._reach(curve) for curve in self.curves}

    def _reach(self, curve: str) -> Reach:
        means, seeds = self.means(curve), self.seeds()
        stacked = np.stack(list(means.values()))
        each = [reach(dict(zip(means, column.tolist(), strict=True))) for column in stacked.T]
        low, high = (int(n) for n in np.quantile(each[1:], [0.025, 0.975], method="nearest"))
        gains = stacked[-1] - stacked[0]
        best = stacked[np.argmax(stacked[:, 0])]
        gain_low, gain_high = (float(g) for g in np.quantile(gains[1:], [0.025, 0.975]))
        own = (
            ()
            if curve in TRUTHS
            else tuple(
                reach({n: float(by_seed[s][0]) for n, by_seed in self.curves[curve].items()}) for s in seeds
            )
        )
        # A difference of two curves begins at 0, and may stay there.
        best_low = math.inf if curve == EXCESS else float(np.quantile(best[1:], 0.025))
        return Reach(each[0], low, high, own, float(gains[0]), gain_low, gain_high, float(best[0]), best_low)

    def table(self) -> pd.DataFrame:
        """One line per curve, window and seed (-1: no network), with its interval over speakers."""
        lines = []
        for curve, by_window in self.curves.items():
            for window, by_seed in by_window.items():
                for seed, values in sorted(by_seed.items()):
                    low, high = np.quantile(values[1:], [0.025, 0.975])
                    lines.append((curve, window, seed, float(values[0]), float(low), float(high)))
        return pd.DataFrame(lines, columns=["curve", "window", "seed", "value", "low", "high"])

    def failures(self) -> list[str]:
        """The controls that do not hold, each as a sentence."""
        found = []
        for truth, told in PAIRS:
            if {truth, told} <= set(self.curves):
                true, mine = self.reach(truth).frames, self.reach(told).frames
                if abs(true - mine) > 1:
                    found.append(f"{told} reaches {mine} frames where the truth reaches {true}")
        if NONE in self.curves and self.reach(NONE).frames != 0:
            found.append(f"{NONE} gains {self.reach(NONE).gain:+.3f} from a window that cannot help")
        return found

    def sentence(self) -> str:
        """What was found."""
        parts = [f"{name} {self.reach(name).said()}" for name in self.names()]
        text = f"Reach on either side, and the gain over hearing the frame alone: {'; '.join(parts)}."
        if "truth" not in self.curves:
            short = any(not self.reach(name).told for name in self.names())
            return (
                f"{text} Nobody knows here what is said, so there are no controls."
                f"{' What tells nothing has no reach: it takes more clips of more people.' if short else ''}"
            )
        failures = self.failures()
        if failures:
            return f"{text} A control fails, so the curves prove nothing yet: {'; '.join(failures)}."
        if not {NONE, *(told for _, told in PAIRS)} <= set(self.curves):
            return text + " No control that was measured fails; some were not."
        return (
            f"{text} The controls hold: told the phonemes, networks recover the reach of the truth within a frame, "
            "also where it is wider, and gain nothing where there is no coarticulation."
        )

    def hours(self) -> float:
        """Of a core, all points together."""
        return sum(p.seconds for p in self.points) / 3600

    def signature(self) -> str:
        """Everything that can move the numbers."""
        grid = ",".join(map(str, WINDOWS))
        seeds = ",".join(map(str, self.seeds()))
        return (
            f"study-context|fps:{FPS}|grid:{grid}+1|seeds:{seeds}|steps:{self.steps}|{SETTINGS}|"
            f"reach:{REACHED:g}|slow:{SLOW:g}|style:{'stated' if self.stated else 'usual'}|draws:{DRAWS}|"
            f"data:{self.data}@{self.data_hash[:12]}"
        )


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
    source, clips, stated = utterances(data)
    train, held = divided(data, clips)
    known = all(c.phonemes for c in clips)
    wanted = [c for c in curves if known or c == "sound"]
    about = f"{source.data_hash}|{steps}|{SETTINGS}|{'stated' if stated else 'usual'}"
    bench = _Bench(train, held, Kept(out / "context-points.json", about), steps)
    total = len(wanted) + (len(TRUTHS) if known else 0)
    points: list[Point] = []
    if known:
        for number, name in enumerate(TRUTHS):
            progress(number, total, name)

            def drawn(n: int, name: str = name) -> list[Point]:
                return [bench.truth(name, n)]

            points += refined(windows, drawn)
    for number, curve in enumerate(wanted, total - len(wanted)):

        def measured(n: int, curve: Curve = curve, number: int = number) -> list[Point]:
            found = []
            for seed in seeds:
                progress(number, total, f"{curve}, {n} frames, seed {seed}")
                found += bench.network(curve, n, seed)
            return found

        # Where sound was looked at closely, recognition is, too: their difference has a knee of its own.
        closely = {p.window for p in points if p.curve == "sound"} if curve == "recognition" else set()
        points += refined([*{*windows, *closely}], measured)
    progress(total, total, "")
    return ContextStudy(
        source.dataset,
        source.data_hash,
        stated,
        len({c.speaker for c in train}),
        len({c.speaker for c in held}),
        sum(len(c.letters) for c in held),
        steps,
        tuple(points),
    )


def divided(data: Path, clips: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """Those to train on and those to measure on: the splits, or every fourth speaker where there are none."""
    names = sorted({c.speaker for c in clips})
    if {"train", "test"} <= {c.split for c in clips}:
        held_out = {c.speaker for c in clips if c.split not in ("train", "val")}
    else:
        held_out = set(names[::4])
    train = [c for c in clips if c.speaker not in held_out]
    held = [c for c in clips if c.speaker in held_out]
    if len({c.speaker for c in train}) < 2 or len({c.speaker for c in held}) < 2:
        raise UsageError(
            f"{data}: {len(names)} speakers; the study needs two to train on and two others to measure on"
        )
    return train, held


def refined(windows: Sequence[int], measure: Callable[[int], list[Point]]) -> list[Point]:
    """Points of a curve on a coarse grid, then on every window around its knee."""
    found = {n: measure(n) for n in sorted(windows)}
    # What belongs to the curve itself: one measurement may have points of others.
    name = found[min(found)][0].curve
    n = reach({k: _mean([p for p in points if p.curve == name]) for k, points in found.items()})
    for extra in around_knee(n, sorted(windows)):
        found[extra] = measure(extra)
    return [point for _, points in sorted(found.items()) for point in points]


def around_knee(knee: int, windows: Sequence[int]) -> list[int]:
    """The windows to add where a grid finds a reach: all below it down to the next of the grid, and one above.

    >>> around_knee(8, [0, 1, 2, 4, 8, 13]), around_knee(0, [0, 1]), around_knee(13, [0, 8, 13])
    ([5, 6, 7, 9], [], [9, 10, 11, 12])
    """
    if knee == 0:
        return []
    below = max(n for n in windows if n < knee)
    above = [knee + 1] if knee < max(windows) and knee + 1 not in windows else []
    return [*range(below + 1, knee), *above]


def _mean(points: Sequence[Point]) -> float:
    everyone = np.ones((1, len(points[0].sums.frames)))
    return float(np.mean([p.sums.values(everyone)[0] for p in points]))


class _Bench:
    """Measures a point where it is not kept yet."""

    def __init__(self, train: list[Utterance], held: list[Utterance], kept: Kept, steps: int) -> None:
        self.train, self.held, self.kept, self.steps = train, held, kept, steps
        self.speakers = [c.speaker for c in held for _ in range(len(c.letters))]
        self.tasks: dict[Curve, tuple[Task, Task]] = {}

    def truth(self, name: str, window: int) -> Point:
        """What the gestures within a window say of the mouth."""
        point = self.kept.get(name, window, -1)
        if point is None:
            begun = time.process_time()
            true = np.concatenate([articulated(c, TRUTHS[name]) for c in self.held])
            made = np.concatenate([truth_within(c, window, TRUTHS[name]) for c in self.held])
            sums = Sums.of(self.speakers, true, made)
            point = Point(name, window, -1, sums, time.process_time() - begun)
            self.kept.add(point)
        return point

    def network(self, curve: Curve, window: int, seed: int) -> list[Point]:
        """What a network tells that was trained with this window."""
        names = [curve, "recognised"] if curve == "recognition" else [curve]
        found = [self.kept.get(name, window, seed) for name in names]
        if None not in found:
            return [point for point in found if point is not None]
        begun = time.process_time()
        if curve not in self.tasks:
            # Only one pair is held at a time: sound is large.
            self.tasks = {curve: (task_of(curve, self.train), task_of(curve, self.held))}
        train, held = self.tasks[curve]
        told = trained(train, held, window, seed, steps=self.steps)
        if curve != "recognition":
            made = [Point(curve, window, seed, Sums.of(self.speakers, held.targets, told), 0.0)]
        else:
            right = Sums.of(self.speakers, held.targets, told.argmax(axis=1))
            mouths = np.concatenate([c.mouth for c in self.held])
            expected = told @ class_means(self.train)
            made = [
                Point(curve, window, seed, right, 0.0),
                Point("recognised", window, seed, Sums.of(self.speakers, mouths, expected), 0.0),
            ]
        seconds = (time.process_time() - begun) / len(made)
        made = [Point(p.curve, p.window, p.seed, p.sums, seconds) for p in made]
        self.kept.add(*made)
        return made


def class_means(clips: Sequence[Utterance]) -> Float32:
    """(len(LETTERS), 8): the mean tracked mouth of each phoneme; that of all frames for one that is never spoken."""
    letters, mouths = (np.concatenate([getattr(c, name) for c in clips]) for name in ("letters", "mouth"))
    rows = [
        mouths[letters == k].mean(axis=0) if (letters == k).any() else mouths.mean(axis=0)
        for k in range(len(LETTERS))
    ]
    return np.stack(rows).astype(np.float32)
