"""How one clip is scored. `evaluate` and `sensitivity` share this loop, and what each process builds for it once.

    open_split     shards, or one split of them
    build_metrics  the metrics of a protocol
    tools_of       both, built once per process and run
    generate       the clip's sample and the model's video of it, cut to the frames that both have
    score_clip     rows and curves of one clip; set metrics get its frames
    set_rows       rows of the set metrics, from the states of all tasks

Arrays are those of `tkbench.types.Sample`: 25 frames/s, (T, H, W, 3) uint8 RGB, 640 samples of sound per frame.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tkbench import metrics, shards
from tkbench.errors import TkbenchError, UnknownName, UsageError, WeightsMissing
from tkbench.media import lossy
from tkbench.metrics.base import (
    NOT_GIVEN,
    AnySetMetric,
    BuildContext,
    ClipScores,
    FaceMetric,
    FaceSource,
    FileMetric,
    PerClipMetric,
    Score,
    SetMetric,
    TrackedFace,
    unscored,
)
from tkbench.metrics.faults import picture_fault
from tkbench.models.base import Model, ModelCard
from tkbench.protocol import Protocol
from tkbench.registry import suggest
from tkbench.results.bundle import Curve
from tkbench.runtime import feature_cache
from tkbench.types import (
    SAMPLES_PER_FRAME,
    Batch,
    Bool,
    Column,
    Float32,
    Generated,
    Reason,
    Released,
    Row,
    Sample,
    UInt8,
)

CHUNK = 4
"""Clips per task. Fixed: sums are merged per task, so another number would change their last digits."""
MIN_FACE_SHARE = 0.8
"""Share of the generated frames in which the face must be found, for metrics on its landmarks."""


class MetricSet(NamedTuple):
    """The metrics of a protocol, in its order."""

    per_clip: list[PerClipMetric]
    whole_set: list[AnySetMetric]

    @property
    def needs_file(self) -> bool:
        """Whether a metric starts at the released file."""
        return any(isinstance(metric, FileMetric) and metric.needs_file for metric in self.per_clip)

    @property
    def columns(self) -> list[Column]:
        """Every column, those of single clips first."""
        return [column for metric in (*self.per_clip, *self.whole_set) for column in metric.columns]

    @property
    def weights(self) -> dict[str, str]:
        """Name -> sha256 of every network that they use and that is on this machine."""
        return {k: v for metric in (*self.per_clip, *self.whole_set) for k, v in metric.weights.items()}


@dataclass(frozen=True, slots=True)
class Run:
    """What all tasks of one run have in common. Processes keep what they built for it; see `tools_of`."""

    shards: str
    split: str | None
    protocol: str
    """As JSON."""
    device: str = "cpu"
    token: str = ""
    """Another one for each run: its files may have changed since the run before."""

    @staticmethod
    def begin(data: Path, split: str | None, rules: Protocol, device: str = "cpu") -> Run:
        """A new run."""
        return Run(str(data), split, rules.model_dump_json(), device, secrets.token_hex(8))


class Tools(NamedTuple):
    """What a process needs to score clips."""

    source: shards.Shards
    rules: Protocol
    metrics: MetricSet


@lru_cache(maxsize=2)
def tools_of(run: Run) -> Tools:
    """Open shards, and metrics with their networks: built once per process."""
    rules = Protocol.model_validate_json(run.protocol)
    source = shards.open_shards(Path(run.shards), split=run.split)
    return Tools(source, rules, build_metrics(rules, run.device))


def open_split(data: Path, split: str | None) -> shards.Shards:
    """The shards in `data`, or those of one split; UsageError with the existing splits for another name."""
    source = shards.open_shards(data)
    if split is None:
        return source
    if split not in source.splits:
        raise UsageError(f"--split {split!r}: {data} has {', '.join(source.splits)}")
    return shards.open_shards(data, split=split)


def clip_keys(source: shards.Shards, data: Path, limit: int | None) -> tuple[str, ...]:
    """The clips to score: all, or the first `limit` in key order; UsageError where there is none."""
    keys = tuple(sorted(source.keys()))[:limit]
    if not keys:
        raise UsageError(
            f"{data}: holds no clip that could be prepared; see the reasons in its manifest.parquet"
        )
    return keys


def build_metrics(rules: Protocol, device: str = "cpu") -> MetricSet:
    """The metrics of a protocol.

    Raises UnknownName for a metric that is not registered, UsageError for settings that it does not take and for a
    ranking metric that is none of the columns.
    """
    built = MetricSet([], [])
    context = BuildContext(device=device, lossy=lossy)
    for spec in rules.metrics:
        try:
            metric = metrics.build(spec, context)
        except (UsageError, UnknownName) as error:
            raise type(error)(f"protocol {rules.name}: {error}") from error
        if isinstance(metric, PerClipMetric):
            built.per_clip.append(metric)
        elif isinstance(metric, SetMetric):
            built.whole_set.append(metric)
        else:
            raise UsageError(
                f"metric {spec.name!r}: {type(metric).__name__} is no PerClipMetric and no SetMetric"
            )
    names = [column.name for column in built.columns]
    wanted = {"rank_by": rules.rank_by} | ({"rank_without": rules.rank_without} if rules.rank_without else {})
    for setting, name in wanted.items():
        if name not in names:
            raise UsageError(
                f"protocol {rules.name}: {setting} = {name!r} is none of its columns: {suggest(name, names)}"
            )
    return built


def is_crossed(card: ModelCard) -> bool:
    """Whether a model speaks with another clip's voice.

    The true video then says something else and is no target, and such rows have a table of their own.
    """
    return card.drive == "other" and not card.anchor


def choose_partner(
    key: str, keys: Sequence[str], speakers: Mapping[str, str | None], seed: int
) -> str | None:
    """The clip whose voice is put to `key`: of another speaker if there is one, else another clip; None if alone.

    It depends on the seed and the set of keys only, not on their order.
    """
    others = sorted(other for other in keys if other != key)
    strangers = [other for other in others if speakers.get(other) != speakers.get(key)]
    candidates = strangers or others
    if not candidates:
        return None
    digest = hashlib.sha256(f"{seed}\0{key}".encode()).digest()
    return candidates[int.from_bytes(digest[:8], "big") % len(candidates)]


def fit_audio(audio: Float32, frames: int) -> Float32:
    """Another clip's voice at this clip's length: cut, or repeated from its start; (frames * 640,) float32."""
    return np.resize(audio, frames * SAMPLES_PER_FRAME).astype(np.float32)


def generate(tools: Tools, model: Model, key: str, partner: str | None) -> tuple[Sample, Generated]:
    """The sample with the voice that drives it, and the model's video, both cut to the frames that they share.

    partner: the clip whose voice drives a model that takes another clip's.
    """
    return generate_for(tools, model, tools.source.get(key), partner)


def generate_for(tools: Tools, model: Model, sample: Sample, partner: str | None) -> tuple[Sample, Generated]:
    """As `generate`, of a sample that was read."""
    key = sample.key
    if model.card.drive == "other":
        if partner is None:
            detail = "another clip's voice is needed, and the data holds one clip only"
            return sample, Generated(key, None, Reason.TOO_FEW_CLIPS, detail)
        sample = replace(sample, audio=fit_audio(tools.source.get_audio(partner), len(sample)))
    try:
        answers = model.generate(Batch((sample,)), seed=tools.rules.seed)
    except TkbenchError as error:
        return sample, Generated(key, None, Reason.MODEL_ERROR, str(error))
    # A model is foreign code: whatever it raises is the result of this clip, and not the end of the run.
    except Exception as error:
        return sample, Generated(key, None, Reason.MODEL_ERROR, f"{type(error).__name__}: {error}")
    made = [answer for answer in answers if answer.key == key]
    if len(made) != 1:
        detail = f"the model answered {len(made)} videos for 1 clip"
        return sample, Generated(key, None, Reason.NOT_GENERATED, detail)
    return match(sample, made[0], tools.rules.length_slack)


def match(sample: Sample, made: Generated, slack: int) -> tuple[Sample, Generated]:
    """Check a generated video against its sample and cut both to the frames that they share.

    A video of the wrong type or size, or that is shorter by more than `slack` frames, becomes a Generated with a
    reason.
    """
    video = made.video
    if video is None:
        return sample, made
    fault = picture_fault(sample, video)
    if fault is not None:
        return sample, Generated(sample.key, None, *fault)
    n = len(video)
    if n < len(sample) - slack:
        found = f"{made.own_count or f'{n} frames'}, expected {len(sample)} (at most {slack} fewer)"
        return sample, Generated(sample.key, None, Reason.WRONG_LENGTH, found)
    if n == len(sample):
        return sample, made
    shared = min(n, len(sample))
    note = f"{n} frames for {len(sample)}: scored on the first {shared}"
    detail = "; ".join(filter(None, (made.detail, note)))
    return first_frames(sample, shared), Generated(made.key, video[:shared], detail=detail, file=made.file)


def first_frames(sample: Sample, count: int) -> Sample:
    """The first frames of a sample, with their sound."""
    return replace(
        sample,
        video=sample.video[:count],
        audio=sample.audio[: count * SAMPLES_PER_FRAME],
        landmarks=sample.landmarks[:count],
        track_score=sample.track_score[:count],
    )


def track_face(sample: Sample, video: UInt8) -> TrackedFace:
    """The face in a generated video, by the tracker that prepared `sample`; equal pictures have equal landmarks."""
    from tkbench.prep import backends
    from tkbench.prep.retrack import gaps_filled, retrack

    if np.array_equal(video, sample.video):
        return TrackedFace(sample.landmarks, sample.track_score > 0)
    backend = sample.meta.get("track", {}).get("backend", backends.DEFAULT)
    crowded = sample.meta.get("n_faces", 1) > 1

    def compute() -> tuple[Float32, Bool]:
        return retrack(video, sample.landmarks, backend=backend, crowded=crowded)

    try:
        computation = f"retrack|{backends.info(backend).signature()}|crowded:{crowded}"
        landmarks, found = feature_cache.recall(computation, video, sample.landmarks, make=compute)
    except WeightsMissing as error:
        nothing = np.zeros(len(video), bool)
        return TrackedFace(sample.landmarks[:0], nothing, Reason.WEIGHTS_MISSING, str(error))
    if found.mean() < MIN_FACE_SHARE:
        share = f"{found.sum()} of {len(found)} generated frames"
        detail = f"the face was found in {share}; {MIN_FACE_SHARE:.0%} are needed"
        return TrackedFace(landmarks[:0], found, Reason.NO_FACE, detail)
    return TrackedFace(gaps_filled(landmarks, found), found)


def score_clip(
    chosen: MetricSet,
    states: Sequence[object],
    sample: Sample,
    video: UInt8,
    *,
    other_voice: bool = False,
    note: str = "",
    released: Released = NOT_GIVEN,
) -> tuple[list[Row], list[Curve]]:
    """Score one video by every metric: rows and curves of single clips; `states` of the set metrics get its frames.

    other_voice: the video speaks with another clip's voice. note: stands in the detail of every row.
    released: the file of the video, for metrics that start there (`scoring.released`).
    """
    face = cache(partial(track_face, sample, video))
    rows: list[Row] = []
    curves: list[Curve] = []
    for metric in chosen.per_clip:
        if other_voice and metric.compares_with_true_video:
            scores = unscored(metric.columns, Reason.OTHER_VOICE, "the true video says something else")
        else:
            scores = _scores(metric, sample, video, face, released)
        for column in metric.columns:
            score = scores.values[column.name]
            detail = "; ".join(filter(None, (score.detail, note)))
            rows.append(Row("", sample.key, column.name, score.value, score.reason, detail))
        if scores.curve is not None:
            curves.append((sample.key, metric.columns[0].name, scores.curve))
    for set_metric, state in zip(chosen.whole_set, states, strict=True):
        set_metric.update(state, sample, video)
    return rows, curves


def _scores(
    metric: PerClipMetric, sample: Sample, video: UInt8, face: FaceSource, released: Released
) -> ClipScores:
    if isinstance(metric, FaceMetric):
        return metric.score(sample, video, sample.audio, face)
    if isinstance(metric, FileMetric):
        return metric.score(sample, video, sample.audio, released)
    return metric.score(sample, video, sample.audio)


def unscored_rows(columns: Sequence[Column], made: Generated) -> list[Row]:
    """Rows of a clip that the model made no video of."""
    reason = made.reason or Reason.NOT_GENERATED
    return [Row("", made.key, column.name, float("nan"), reason, made.detail) for column in columns]


def start_states(chosen: MetricSet) -> list[object]:
    """A state for each set metric, without any clip."""
    return [metric.start() for metric in chosen.whole_set]


def set_scores(
    whole_set: Sequence[AnySetMetric], parts: Sequence[Sequence[object]]
) -> list[tuple[Column, Score]]:
    """The columns of the set metrics with their scores, from the states of all clips or tasks, in their order."""
    found = []
    for place, metric in enumerate(whole_set):
        scores = metric.compute_all(_StatesOf(parts, place))
        found += [(column, scores[column.name]) for column in metric.columns]
    return found


class _StatesOf(Sequence[object]):
    """The states of one set metric."""

    def __init__(self, parts: Sequence[Sequence[object]], place: int) -> None:
        self.parts, self.place = parts, place

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> object:  # type: ignore[override]
        return self.parts[index][self.place]


def set_rows(
    whole_set: Sequence[AnySetMetric], parts: Sequence[Sequence[object]], model: str, missing: int, clips: int
) -> Iterator[Row]:
    """One row per column of each set metric; `missing` of `clips` clips have no video.

    If any clip is missing there is no number: it would cover a different set of frames, and such numbers move with the
    number of frames alone.
    """
    for column, score in set_scores(whole_set, parts):
        if missing and score.reason is None:
            detail = f"{missing} of {clips} clips have no video; a number for the others would be one of another set"
            score = Score(float("nan"), Reason.NOT_GENERATED, detail)
        yield Row(model, "*", column.name, score.value, score.reason, score.detail)
