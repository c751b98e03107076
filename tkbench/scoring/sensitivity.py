"""How far one knob at a time moves each score: `tkbench sensitivity`.

Two kinds of knobs. Faults of the video (late, blurred, compressed, noisy, small, another frame rate, still) show
what a metric measures, and whether it falls as the fault grows. Settings that papers leave unsaid (scale of the
crop, shortest clip, number of clips) show how far a number moves when nothing about the model changes.

Every score is of the true video against itself, so the first value of a knob is where the scale begins; differences
are paired over clips, and their intervals are those of `tkbench.results.stats`.
"""

from __future__ import annotations

import csv
import io
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tkbench import models, shards
from tkbench.errors import UsageError
from tkbench.metrics.base import once, score_by
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.protocol import chosen as chosen_protocol
from tkbench.registry import suggest
from tkbench.results.stats import mean_interval
from tkbench.runtime import feature_cache
from tkbench.runtime.parallel import one_thread, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.scoring.evaluate import CHUNK, build_metrics, open_split, see, signature
from tkbench.types import Batch, Float32, Metric, Row, Sample, UInt8

Trend = Literal["rises", "falls", "flat", "mixed", "unscored"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that is varied alone. The first value is the unchanged one."""

    name: str
    what: str
    values: tuple[float, ...]
    kind: Literal["model", "crop", "subset"]
    unit: str = ""

    def label(self, value: float) -> str:
        """As tables print it.

        >>> KNOBS["shift"].label(5)
        '5 frames'
        """
        return f"{value:g} {self.unit}".rstrip()


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

    columns: tuple[Metric, ...]
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
            writer.writerow([_text(getattr(point, name)) for name in names])
        return out.getvalue()


def _text(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class _Task:
    """Some clips and every step: each clip is decoded once."""

    token: str
    """Of one run; see `evaluate.Chunk`."""
    shards: str
    split: str | None
    protocol: str
    keys: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    rows: tuple[tuple[Step, Row], ...]
    frames: tuple[tuple[str, int], ...]
    states: tuple[tuple[Step, list[Any]], ...]


def measure(
    data: Path,
    *,
    knobs: Sequence[str] = (),
    protocol: str | Path | Protocol | None = None,
    split: str | None = None,
    limit: int | None = None,
    workers: int = 1,
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
    per_clip, whole_set = build_metrics(rules)
    columns = tuple(column for metric in (*per_clip, *whole_set) for column in metric.columns)
    keys = tuple(sorted(source.keys()))[:limit]
    if not keys:
        raise UsageError(f"{data}: holds no clip that could be prepared; see its manifest.parquet")
    chosen = tuple(KNOBS[name] for name in (knobs or KNOBS))
    steps = _steps(chosen)
    token = secrets.token_hex(8)
    tasks = [
        _Task(token, str(data), split, rules.model_dump_json(), keys[i : i + CHUNK], steps)
        for i in range(0, len(keys), CHUNK)
    ]
    answers = _run(tasks, workers, progress, len(keys))
    line = signature(rules, source, columns, len(keys), limit)
    points = _points(answers, chosen, columns, whole_set, source.speakers, rules)
    return Result(columns, chosen, tuple(points), source.dataset, len(keys), line)


def _steps(knobs: Sequence[Knob]) -> tuple[Step, ...]:
    """What has to be scored: the unchanged video once, under the first knob's name for it, and every change."""
    changes = [Step(k.name, value) for k in knobs if k.kind != "subset" for value in k.values[1:]]
    return (UNCHANGED, *changes)


UNCHANGED = Step("shift", 0)


def _run(tasks: Sequence[_Task], workers: int, progress: Progress, total: int) -> list[_Answer]:
    done: dict[int, _Answer] = {}
    clips = 0
    progress(0, total, "clips")
    with pool(workers, items=len(tasks)) as crew:
        for index, answer in crew.run(score_task, tasks):
            done[index] = answer
            clips += len(tasks[index].keys)
            progress(clips, total, f"{len(tasks[index].steps)} versions of each")
    return [done[index] for index in range(len(tasks))]


@lru_cache(maxsize=2)
def _workshop(
    token: str, data: str, split: str | None, protocol: str
) -> tuple[shards.Shards, list[Any], list[Any]]:
    return (
        shards.open_shards(Path(data), split=split),
        *build_metrics(Protocol.model_validate_json(protocol)),
    )


def score_task(task: _Task) -> _Answer:
    """One unit of work, on one thread, so that the numbers do not depend on who does it."""
    source, per_clip, whole_set = _workshop(task.token, task.shards, task.split, task.protocol)
    rows: list[tuple[Step, Row]] = []
    frames: list[tuple[str, int]] = []
    states = {step: [metric.start() for metric in whole_set] for step in task.steps}
    store = feature_cache.Store()
    with one_thread(), feature_cache.using(store):
        for key in task.keys:
            store.next_clip()  # what the true video gives is asked for at every step
            sample = source.get(key)
            frames.append((key, len(sample)))
            for step in task.steps:
                changed, video = apply(sample, step)
                look = once(partial(see, changed, video))
                for metric in per_clip:
                    scored = score_by(metric, changed, video, look)
                    rows += [
                        (step, Row("", key, name, value.value, value.reason, value.detail))
                        for name, value in scored.values.items()
                    ]
                for metric, state in zip(whole_set, states[step], strict=True):
                    metric.update(state, changed, video)
    return _Answer(tuple(rows), tuple(frames), tuple(states.items()))


def apply(sample: Sample, step: Step) -> tuple[Sample, UInt8]:
    """The sample and the video that is scored against it at this step."""
    if KNOBS[step.knob].kind == "crop":
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


def _points(
    answers: Sequence[_Answer],
    knobs: Sequence[Knob],
    columns: Sequence[Metric],
    whole_set: Sequence[Any],
    speakers: dict[str, str | None] | Any,
    rules: Protocol,
) -> Iterator[Point]:
    values: dict[tuple[Step, str], dict[str, Row]] = {}
    for answer in answers:
        for step, row in answer.rows:
            values.setdefault((step, row.metric), {})[row.key] = row
    sets = _set_values(answers, whole_set)
    frames = {key: count for answer in answers for key, count in answer.frames}
    names = {column.name for metric in whole_set for column in metric.columns}
    for knob in knobs:
        for value in knob.values:
            step = Step(knob.name, value)
            if value == knob.values[0] or knob.kind == "subset":
                step = UNCHANGED
            keys = _subset(knob, value, frames)
            for column in columns:
                if column.name in names:
                    if knob.kind == "subset":
                        continue  # a set metric of other clips is another number, not a moved one
                    yield _set_point(knob, value, column.name, sets[step], sets[UNCHANGED])
                    continue
                mine = values[step, column.name]
                base = values[UNCHANGED, column.name]
                yield _clip_point(knob, value, column.name, mine, base, keys, frames, speakers, rules)


def _set_values(answers: Sequence[_Answer], whole_set: Sequence[Any]) -> dict[Step, dict[str, Any]]:
    merged: dict[Step, list[Any]] = {}
    for answer in answers:
        for step, states in answer.states:
            old = merged.get(step)
            merged[step] = (
                list(states)
                if old is None
                else [metric.merge(a, b) for metric, a, b in zip(whole_set, old, states, strict=True)]
            )
    return {
        step: {
            name: scored
            for metric, state in zip(whole_set, states, strict=True)
            for name, scored in metric.compute(state).items()
        }
        for step, states in merged.items()
    }


def _subset(knob: Knob, value: float, frames: dict[str, int]) -> list[str]:
    """Keys that a subset knob leaves; for other knobs all of them."""
    keys = sorted(frames)
    if knob.name == "min-frames":
        return [key for key in keys if frames[key] >= value]
    if knob.name == "n":
        order = np.random.default_rng(0).permutation(len(keys))
        return [keys[i] for i in sorted(order[: max(1, round(value * len(keys)))])]
    return keys


def _set_point(knob: Knob, value: float, name: str, mine: dict[str, Any], base: dict[str, Any]) -> Point:
    scored, first = mine[name], base[name]
    why = "" if scored.reason is None else f"{scored.reason.value}: {scored.detail}"
    nan = math.nan
    missing = int(math.isnan(scored.value))
    change = scored.value - first.value
    return Point(knob.name, value, name, scored.value, nan, nan, change, nan, nan, 1 - missing, missing, why)


def _clip_point(
    knob: Knob,
    value: float,
    name: str,
    mine: dict[str, Row],
    base: dict[str, Row],
    keys: Sequence[str],
    frames: dict[str, int],
    speakers: Any,
    rules: Protocol,
) -> Point:
    settings = rules.stats.model_dump()
    clusters = [str(speakers.get(key) or key) for key in keys]
    scores = [mine[key].value for key in keys]
    whole = mean_interval(scores, clusters, **settings)
    if knob.kind == "subset":
        everyone = [base[key].value for key in sorted(frames)]
        kept = [v for v in everyone if not math.isnan(v)]
        change = whole.mean - (float(np.mean(kept)) if kept else math.nan)
        low = high = math.nan
    else:
        with np.errstate(invalid="ignore"):  # inf - inf: PSNR of equal pictures
            moved = np.array(scores) - np.array([base[key].value for key in keys])
        paired = mean_interval(moved, clusters, **settings)
        change, low, high = paired.mean, paired.low, paired.high
    reasons = sorted({row.reason.value for key in keys if (row := mine[key]).reason is not None})
    return Point(
        knob.name, value, name, whole.mean, whole.low, whole.high, change, low, high, whole.n, whole.n_unscored,
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
