"""How far one change at a time moves each score: `tkbench sensitivity`.

What is changed is called a knob, and there are three kinds. Faults of the video (late, blurred, compressed, noisy,
small, another frame rate, still) show what a metric measures, and whether its value gets worse as the fault grows.
Codecs of pictures and of sound show what the released file alone does to a score. Settings that papers leave unsaid
(scale of the crop, shortest clip, number of clips) show how far a number moves when nothing about the model changes.

Every score is of the true video against itself, so the first value of a knob is the unchanged video. Differences are
paired over clips, and their intervals are those of `tkbench.results.stats`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import models
from tkbench.errors import BadMedia, UsageError
from tkbench.media import codecs
from tkbench.metrics.base import Score
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.protocol import chosen as chosen_protocol
from tkbench.registry import suggest
from tkbench.results.stats import mean_interval
from tkbench.runtime import feature_cache
from tkbench.runtime.parallel import one_thread, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.scoring.clips import (
    CHUNK,
    MetricSet,
    Run,
    build_metrics,
    clip_keys,
    open_split,
    score_clip,
    set_scores,
    start_states,
    tools_of,
)
from tkbench.scoring.evaluate import signature
from tkbench.types import Batch, Column, Float32, Row, Sample, UInt8

Trend = Literal["rises", "falls", "flat", "mixed", "unscored"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that is changed alone. The first value is the unchanged one."""

    name: str
    what: str
    values: tuple[float, ...]
    kind: Literal["model", "codec", "crop", "subset"]
    unit: str = ""
    names: tuple[str, ...] = ()
    """Of the values of a knob without a number: value n is name n."""

    def label(self, value: float) -> str:
        """As tables print it.

        >>> KNOBS["shift"].label(5)
        '5 frames'
        >>> KNOBS["audio-codec"].label(2)
        'aac-64k'
        """
        if self.names:
            return self.names[int(value)]
        return f"{value:g} {self.unit}".rstrip()


def _codings(name: str, what: str, names: Sequence[str]) -> Knob:
    return Knob(name, what, tuple(range(len(names) + 1)), "codec", names=("as it is", *names))


KNOBS: dict[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob("shift", "the video is late", (0, 1, 2, 3, 4, 5), "model", "frames"),
        Knob("blur", "Gaussian blur, sigma", (0, 1, 2, 3, 5), "model", "px"),
        Knob("jpeg", "one JPEG generation, quality", (100, 90, 75, 50, 25, 10), "model"),
        Knob("noise", "Gaussian noise, standard deviation", (0, 2, 5, 10, 20), "model", "grey levels"),
        Knob("resize", "down to this side and back up", (0, 256, 128, 96, 64), "model", "px"),
        Knob("fps", "shown at another frame rate", (25, 20, 15, 12.5, 10), "model", "frames/s"),
        Knob("still", "the first frame held", (0, 1), "model"),
        _codings("video-codec", "the pictures through a codec", list(codecs.VIDEO)),
        _codings("audio-codec", "the sound through a codec", list(codecs.AUDIO)),
        Knob("crop-scale", "scale of the face crop", (1, 0.9, 0.95, 1.05, 1.1), "crop"),
        Knob("min-frames", "clips shorter than this are left out", (0, 50, 75, 100), "subset", "frames"),
        Knob("n", "share of the clips", (1, 0.5, 0.25), "subset"),
    )
}


@dataclass(frozen=True, slots=True)
class Step:
    """One value of one knob."""

    knob: str
    value: float

    @property
    def model(self) -> str:
        """The model that makes the video of this step."""
        knob = KNOBS[self.knob]
        if knob.kind != "model" or self.value == knob.values[0]:
            return "real"
        return "still" if self.knob == "still" else f"{self.knob}:{self.value:g}"


@dataclass(frozen=True, slots=True)
class Point:
    """One column at one step."""

    knob: str
    value: float
    metric: str
    mean: float
    low: float
    high: float
    change: float
    """Mean difference to the knob's first value over the clips that both score; nan at a set metric without one."""
    change_low: float
    change_high: float
    n: int
    n_unscored: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Every point, and what the columns are."""

    columns: tuple[Column, ...]
    knobs: tuple[Knob, ...]
    points: tuple[Point, ...]
    dataset: str
    n_clips: int
    signature: str

    def series(self, knob: str, metric: str) -> list[Point]:
        """The points of one curve, in the knob's order."""
        return [point for point in self.points if (point.knob, point.metric) == (knob, metric)]

    def to_csv(self) -> str:
        """One line per point."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = [name for name in Point.__slots__]
        writer.writerow(names)
        for point in self.points:
            knob = KNOBS[point.knob]
            line = {name: _text(getattr(point, name)) for name in names}
            writer.writerow((line | ({"value": knob.label(point.value)} if knob.names else {})).values())
        return out.getvalue()


def _text(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class _Task:
    """Some clips and every step: each clip is decoded once."""

    run: Run
    keys: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _TaskScores:
    rows: tuple[tuple[Step, Row], ...]
    frames: tuple[tuple[str, int], ...]
    """(clip, its number of frames)."""
    states: dict[Step, list[object]]
    """One state per set metric."""
    failed: dict[Step, Score]
    """Steps whose video could not be made of every clip, with the first reason."""


def measure(
    data: Path,
    *,
    knobs: Sequence[str] = (),
    protocol: str | Path | Protocol | None = None,
    split: str | None = None,
    limit: int | None = None,
    workers: int = 1,
    device: str = "cpu",
    progress: Progress = silent,
) -> Result:
    """Score the true video of the shards in `data` at every value of each knob (all of them by default).

    Raises UsageError for a knob that does not exist, UnknownName, BadShards as `evaluate` does.
    """
    unknown = [name for name in knobs if name not in KNOBS]
    if unknown:
        raise UsageError(f"no knob is called {unknown[0]!r}: {suggest(unknown[0], list(KNOBS))}")
    source = open_split(data, split)
    rules = chosen_protocol(protocol, default_protocol(source.dataset))
    metrics = build_metrics(rules, device)
    keys = clip_keys(source, data, limit)
    chosen = tuple(KNOBS[name] for name in (knobs or KNOBS))
    run = Run.begin(data, split, rules, device=device)
    steps = _steps(chosen)
    tasks = [_Task(run, keys[i : i + CHUNK], steps) for i in range(0, len(keys), CHUNK)]
    answers = _run(tasks, workers, progress, len(keys))
    columns = tuple(metrics.columns)
    line = signature(rules, source, columns, len(keys), limit)
    points = _points(answers, chosen, metrics, source.speakers, rules)
    return Result(columns, chosen, tuple(points), source.dataset, len(keys), line)


def _steps(knobs: Sequence[Knob]) -> tuple[Step, ...]:
    """What has to be scored: the unchanged video once, whatever the knobs, and every change."""
    changes = [Step(k.name, value) for k in knobs if k.kind != "subset" for value in k.values[1:]]
    return (UNCHANGED, *changes)


UNCHANGED = Step("shift", 0)


def _run(tasks: Sequence[_Task], workers: int, progress: Progress, total: int) -> list[_TaskScores]:
    done: dict[int, _TaskScores] = {}
    clips = 0
    progress(0, total, "clips")
    with pool(workers, items=len(tasks)) as running:
        for index, answer in running.run(score_task, tasks):
            done[index] = answer
            clips += len(tasks[index].keys)
            progress(clips, total, f"{len(tasks[index].steps)} versions of each")
    return [done[index] for index in range(len(tasks))]


def score_task(task: _Task) -> _TaskScores:
    """One unit of work, on one thread, so that the numbers do not depend on which process does it."""
    tools = tools_of(task.run)
    rows: list[tuple[Step, Row]] = []
    frames: list[tuple[str, int]] = []
    states = {step: start_states(tools.metrics) for step in task.steps}
    failed: dict[Step, Score] = {}
    store = feature_cache.Store()
    with one_thread(), feature_cache.using(store):
        for key in task.keys:
            store.next_clip()  # every step asks for the features of the true video
            sample = tools.source.get(key)
            frames.append((key, len(sample)))
            for step in task.steps:
                try:
                    changed, video = apply(sample, step)
                except BadMedia as error:  # this ffmpeg lacks an encoder, or the encoder fails
                    missing = Score(math.nan, error.reason, error.detail)
                    failed.setdefault(step, missing)
                    found = [_missing_row(key, column, missing) for column in tools.metrics.columns]
                else:
                    found, _ = score_clip(tools.metrics, states[step], changed, video)
                rows += [(step, row) for row in found]
    return _TaskScores(tuple(rows), tuple(frames), states, failed)


def _missing_row(key: str, column: Column, score: Score) -> Row:
    return Row("", key, column.name, score.value, score.reason, score.detail)


def apply(sample: Sample, step: Step) -> tuple[Sample, UInt8]:
    """The sample and the video that is scored against it at this step."""
    knob = KNOBS[step.knob]
    if knob.kind == "codec" and step.value != knob.values[0]:
        name = knob.label(step.value)
        if step.knob == "video-codec":
            return sample, codecs.coded_pictures(sample.video, codecs.VIDEO[name])
        return replace(sample, audio=codecs.coded_sound(sample.audio, codecs.AUDIO[name])), sample.video
    if knob.kind == "crop":
        return replace(sample, landmarks=scaled(sample.landmarks, step.value)), sample.video
    (made,) = models.create(step.model).generate(Batch((sample,)), seed=0)
    assert made.video is not None
    return sample, made.video


def scaled(landmarks: Float32, by: float) -> Float32:
    """Landmarks (T, P, 2) grown about the centre of each frame's box: every crop that follows them grows as much.

    >>> scaled(np.array([[[0, 0], [2, 4]]], np.float32), 0.5).tolist()
    [[[0.5, 1.0], [1.5, 3.0]]]
    """
    centre = (landmarks.min(axis=1, keepdims=True) + landmarks.max(axis=1, keepdims=True)) / 2
    return np.asarray(centre + (landmarks - centre) * np.float32(by), np.float32)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Every score, in the form in which points are made of them."""

    rows: Mapping[tuple[Step, str], Mapping[str, Row]]
    """(step, column) -> clip -> row."""
    sets: Mapping[Step, Mapping[str, Score]]
    """Step -> column of a set metric -> score."""
    frames: Mapping[str, int]
    speakers: Mapping[str, str | None]
    rules: Protocol


def _points(
    answers: Sequence[_TaskScores],
    knobs: Sequence[Knob],
    metrics: MetricSet,
    speakers: Mapping[str, str | None],
    rules: Protocol,
) -> Iterator[Point]:
    rows: dict[tuple[Step, str], dict[str, Row]] = {}
    for answer in answers:
        for step, row in answer.rows:
            rows.setdefault((step, row.metric), {})[row.key] = row
    sets = {
        step: {
            column.name: score
            for column, score in set_scores(metrics.whole_set, [answer.states[step] for answer in answers])
        }
        for step in answers[0].states
    }
    for answer in answers:
        for step, missing in answer.failed.items():
            sets[step] = dict.fromkeys(sets[step], missing)
    frames = {key: count for answer in answers for key, count in answer.frames}
    measured = _Measured(rows, sets, frames, speakers, rules)
    for knob in knobs:
        for value in knob.values:
            for column in metrics.columns:
                if column.per_clip:
                    yield _clip_point(measured, knob, value, column.name)
                elif knob.kind != "subset":  # a set metric of other clips is another number, not a moved one
                    yield _set_point(measured, knob, value, column.name)


def _step(knob: Knob, value: float) -> Step:
    unchanged = value == knob.values[0] or knob.kind == "subset"
    return UNCHANGED if unchanged else Step(knob.name, value)


def _subset(knob: Knob, value: float, frames: Mapping[str, int]) -> list[str]:
    """The clips that a subset knob leaves; for other knobs all of them."""
    keys = sorted(frames)
    if knob.name == "min-frames":
        return [key for key in keys if frames[key] >= value]
    if knob.name == "n":
        order = np.random.default_rng(0).permutation(len(keys))
        return [keys[i] for i in sorted(order[: max(1, round(value * len(keys)))])]
    return keys


def _set_point(measured: _Measured, knob: Knob, value: float, column: str) -> Point:
    score, unchanged = measured.sets[_step(knob, value)][column], measured.sets[UNCHANGED][column]
    why = "" if score.reason is None else f"{score.reason.value}: {score.detail}"
    nan = math.nan
    missing = int(math.isnan(score.value))
    change = score.value - unchanged.value
    return Point(knob.name, value, column, score.value, nan, nan, change, nan, nan, 1 - missing, missing, why)


def _clip_point(measured: _Measured, knob: Knob, value: float, column: str) -> Point:
    rows, unchanged = measured.rows[_step(knob, value), column], measured.rows[UNCHANGED, column]
    keys = _subset(knob, value, measured.frames)
    settings = measured.rules.stats.model_dump()
    clusters = [str(measured.speakers.get(key) or key) for key in keys]
    scores = [rows[key].value for key in keys]
    whole = mean_interval(scores, clusters, **settings)
    if knob.kind == "subset":
        everyone = [unchanged[key].value for key in sorted(measured.frames)]
        kept = [v for v in everyone if not math.isnan(v)]
        change = whole.mean - (float(np.mean(kept)) if kept else math.nan)
        low = high = math.nan
    else:
        with np.errstate(invalid="ignore"):  # inf - inf: PSNR of equal pictures
            moved = np.array(scores) - np.array([unchanged[key].value for key in keys])
        paired = mean_interval(moved, clusters, **settings)
        change, low, high = paired.mean, paired.low, paired.high
        if not math.isnan(paired.reach):
            low = high = math.nan
    # So few speakers have no interval of that level, and a Point has no place for another.
    bounds = (whole.low, whole.high) if math.isnan(whole.reach) else (math.nan, math.nan)
    reasons = sorted({row.reason.value for key in keys if (row := rows[key]).reason is not None})
    return Point(
        knob.name, value, column, whole.mean, *bounds, change, low, high, whole.n, whole.n_unscored,
        ", ".join(reasons),
    )  # fmt: skip


def trend(points: Sequence[Point], *, slack: float = 0.0) -> Trend:
    """Whether a curve rises or falls all the way, to within `slack` of its range.

    >>> trend([Point("k", v, "m", y, 0, 0, 0, 0, 0, 1, 0) for v, y in enumerate([3.0, 2.0, 1.0])])
    'falls'
    """
    means = [point.mean for point in points if not math.isnan(point.mean)]
    if len(means) < 2:
        return "unscored"
    # An infinite start (PSNR of equal pictures) is above every number.
    steps = [b - a for a, b in pairwise(means) if not (math.isinf(a) and math.isinf(b))]
    finite = [m for m in means if math.isfinite(m)]
    reach = max(finite) - min(finite) if finite else 0.0
    if not steps or all(step == 0 for step in steps):
        return "flat"
    allowed = slack * reach
    if all(step <= allowed for step in steps):
        return "falls"
    if all(step >= -allowed for step in steps):
        return "rises"
    return "mixed"
