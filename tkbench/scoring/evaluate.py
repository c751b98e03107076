"""Where model, shards and metrics meet: generate, score, summarise, write the bundle.

The unit of work is a fixed run of clips, so the numbers do not depend on how many workers share it.
"""

from __future__ import annotations

import hashlib
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tkbench import media, models, shards
from tkbench import metrics as metrics_package
from tkbench.errors import BadSample, TkbenchError, UsageError, WeightsMissing
from tkbench.media import lossy
from tkbench.metrics.base import Scored, Seen, once, picture_fault, score_by, unscored
from tkbench.models.base import Model, ModelCard
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.protocol import chosen as chosen_protocol
from tkbench.registry import suggest
from tkbench.results import bundle
from tkbench.runtime import feature_cache
from tkbench.runtime.devices import check_device, device_facts, put_on
from tkbench.runtime.parallel import Pool, one_thread, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.types import (
    SAMPLES_PER_FRAME,
    Array,
    Batch,
    Bool,
    Float32,
    Generated,
    Metric,
    Reason,
    Row,
    Sample,
    UInt8,
)
from tkbench.version import __version__

CHUNK = 4
"""Clips per task. Fixed: sums are merged per chunk, so a changing chunk would change their last digits."""
SEEN = 0.8
"""Share of the generated frames in which the face must be found for metrics on landmarks."""
PREVIEWS = 4
"""Clips per model that the report shows as players."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One task: which clips, and everything that decides their scores."""

    shards: str
    model: str
    protocol: Protocol
    keys: tuple[str, ...]
    partners: Mapping[str, str | None]
    token: str = ""
    """Of one evaluation: a process keeps what it built for it, and for no other, whose files may be others by then."""
    split: str | None = None
    cache: str | None = None
    """Folder of `tkbench.runtime.feature_cache`; None keeps what one clip needs twice, and no more."""
    device: str = "cpu"


@dataclass(slots=True)
class Scores:
    """What a task sends back: numbers only."""

    rows: list[Row] = field(default_factory=list)
    curves: list[tuple[str, str, Array]] = field(default_factory=list)
    """(key, judge column, (31,) distance at each shift)."""
    states: list[Any] = field(default_factory=list)
    """One per set metric, in the protocol's order."""
    lost: int = 0
    """Clips without a usable video: no set metric has seen them."""
    kept: feature_cache.Counts = field(default_factory=feature_cache.Counts)


def evaluate(
    data: Path,
    model: str,
    *,
    protocol: str | Path | Protocol | None = None,
    out: Path = Path("runs"),
    workers: int = 1,
    split: str | None = None,
    limit: int | None = None,
    name: str | None = None,
    workforce: Pool | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Score `model` on the shards in `data` and write the result bundle; returns its folder.

    `protocol`: a name, a TOML file or a Protocol, by default the one that fits the data set. `split`: the clips of one
    split alone. `limit`: only the first clips in key order (the number is part of the signature). `name`: what tables
    call the model.
    `workforce`: a running pool to use instead of a new one of `workers` processes. `cache`: a folder where features of
    clips are kept for the next evaluation, `runtime.feature_cache.folder()`
    for one; the numbers are the same without.
    `device`: where networks run, those of metrics and of the reference models: "cpu", "cuda" or "cuda:1". Sums on a GPU
    differ from a processor's in their last digits; the bundle's `stack` names the device.

    Raises UnknownName, UsageError, BadShards or WeightsRefused before any work, UsageError also for a checkpoint on the
    very clips that it was trained on; clips that fail become rows with a reason.
    """
    check_device(device)
    source = open_split(data, split)
    rules = chosen_protocol(protocol, default_protocol(source.dataset))
    card = models.create(model).card  # a wrong name fails here, not in a worker
    refuse_training_clips(card, source)
    per_clip, whole_set = build_metrics(rules)  # and so does a wrong protocol
    if name is not None:
        card = card.model_copy(update={"name": check_name(name)})
    keys = tuple(sorted(source.keys()))[:limit]
    if not keys:
        raise UsageError(
            f"{data}: holds no clip that could be prepared; see the reasons in its manifest.parquet"
        )
    speakers = source.speakers
    partners = {
        key: choose_partner(key, keys, speakers, rules.seed) if card.drive == "other" else None
        for key in keys
    }
    place = str(cache.expanduser().absolute()) if cache is not None else None
    token = secrets.token_hex(8)
    chunks = [
        Chunk(
            str(data), model, rules, part, {key: partners[key] for key in part}, token, split, place, device
        )
        for part in (keys[i : i + CHUNK] for i in range(0, len(keys), CHUNK))
    ]
    scores = _gather(chunks, workers, workforce, progress, card.name)

    columns = [column for metric in (*per_clip, *whole_set) for column in metric.columns]
    rows = [replace(row, model=card.name) for part in scores for row in part.rows]
    lost = sum(part.lost for part in scores)
    rows += list(_set_rows(whole_set, [part.states for part in scores], card.name, lost, len(keys)))
    curves = [curve for part in scores for curve in part.curves]
    summary = bundle.summarise(
        rows,
        speakers,
        columns,
        **rules.stats.model_dump(),
    )
    return bundle.write(
        out,
        model=card.name,
        model_card=card.model_dump(mode="json"),
        dataset=source.dataset,
        split=source.split,
        data_hash=source.data_hash,
        n_clips=len(keys),
        protocol=rules.name,
        rank_by=rules.rank_by,
        coverage_min=rules.coverage_min,
        signature=signature(rules, source, columns, len(keys), limit, other_voice=is_crossed(card)),
        columns=columns,
        summary=summary,
        stats=rules.stats.model_dump(),
        rows=rows,
        speakers=speakers,
        curves=curves,
        weights={k: v for metric in (*per_clip, *whole_set) for k, v in metric.weights.items()},
        stack=software() | ({} if device == "cpu" else {"device": device_facts(device)}),
        seed=rules.seed,
        previews=lambda folder: _previews(folder, source, model, rules, columns, rows, partners, device),
    )


def open_split(data: Path, split: str | None) -> shards.Shards:
    """The shards in `data`, or those of one split; UsageError with the splits there are for another name."""
    source = shards.open_shards(data)
    if split is None:
        return source
    if split not in source.splits:
        raise UsageError(f"--split {split!r}: {data} has {', '.join(source.splits)}")
    return shards.open_shards(data, split=split)


def refuse_training_clips(card: ModelCard, source: shards.Shards) -> None:
    """UsageError where a split that is to be scored is the one that the model was trained on."""
    if not card.train_data:
        return
    for split in source.splits:
        if shards.open_shards(source.folder, split=split).data_hash in card.train_data:
            others = [name for name in shards.open_shards(source.folder).splits if name != split]
            advice = f"give --split {others[-1]}" if others else "score it on other data"
            raise UsageError(f"{source.folder}: {card.name} was trained on its split {split}; {advice}")


def is_crossed(card: ModelCard) -> bool:
    """Whether a model speaks with another clip's voice: the true video is then no target, and its table is its own."""
    return card.drive == "other" and not card.anchor


def check_name(name: str) -> str:
    """A model's name as tables and folders can hold it."""
    if not name.strip() or len(name) > 80 or any(not c.isprintable() or c in "/\\" for c in name):
        raise UsageError(
            f"--name {name!r}: 1 to 80 printable characters without slashes, as in --name my-model"
        )
    return name.strip()


def choose_partner(
    key: str, keys: Sequence[str], speakers: Mapping[str, str | None], seed: int
) -> str | None:
    """The clip whose voice is put to `key`: another speaker's if there is one, else another clip; None if alone.

    It depends on the seed and the set of keys only, not on their order.
    """
    others = sorted(other for other in keys if other != key)
    strangers = [other for other in others if speakers.get(other) != speakers.get(key)]
    candidates = strangers or others
    if not candidates:
        return None
    digest = hashlib.sha256(f"{seed}\0{key}".encode()).digest()
    return candidates[int.from_bytes(digest[:8], "big") % len(candidates)]


def signature(
    rules: Protocol,
    source: shards.Shards,
    columns: Sequence[Metric],
    n_clips: int,
    limit: int | None,
    *,
    other_voice: bool = False,
) -> str:
    """Everything that can move a number, in one line: protocol, metrics with their networks, preparation, decoder."""
    parts = [
        rules.signature(),
        *dict.fromkeys(column.signature for column in columns),
        f"prep[{source.signature}]",
        f"data:{source.dataset}@{source.data_hash[:12]}",
        f"n:{n_clips}" + ("" if limit is None else f"(first {limit})"),
        *(["drive:other"] if other_voice else []),
        f"seen:{SEEN}",
        f"ffmpeg:{media.stack()['ffmpeg']}",
        f"tkbench:{__version__}",
    ]
    return "|".join(parts)


def software() -> dict[str, str]:
    """Versions of what stands between the bytes and the numbers."""
    found = {name: version for name in feature_cache.LIBRARIES if (version := feature_cache.version_of(name))}
    return {"tkbench": __version__, "python": platform.python_version(), **media.stack(), **found}


def build_metrics(rules: Protocol) -> tuple[list[Any], list[Any]]:
    """(per-clip metrics, set metrics) of a protocol, in its order."""
    per_clip: list[Any] = []
    whole_set: list[Any] = []
    for spec in rules.metrics:
        make = metrics_package.registry.get(spec.name)
        try:
            metric = make(**spec.settings)
        except TypeError as error:
            raise UsageError(
                f"protocol {rules.name}: metric {spec.name!r} does not take {spec.settings} ({error})"
            ) from error
        if hasattr(metric, "attach"):
            metric.attach(lossy)
        (per_clip if hasattr(metric, "score") else whole_set).append(metric)
    names = [column.name for metric in (*per_clip, *whole_set) for column in metric.columns]
    if rules.rank_by not in names:
        raise UsageError(
            f"protocol {rules.name}: rank_by = {rules.rank_by!r} is none of its columns: "
            f"{suggest(rules.rank_by, names)}"
        )
    return per_clip, whole_set


@lru_cache(maxsize=2)
def _workshop(
    token: str, data: str, split: str | None, model: str, rules: str, device: str
) -> tuple[shards.Shards, Model, list[Any], list[Any]]:
    """What a process builds once for an evaluation: open shards, the model, the metrics with their networks."""
    protocol = Protocol.model_validate_json(rules)
    per_clip, whole_set = build_metrics(protocol)
    for metric in (*per_clip, *whole_set):
        put_on(metric, device)
    maker = put_on(models.create(model), device)
    return shards.open_shards(Path(data), split=split), maker, per_clip, whole_set


def score_chunk(chunk: Chunk) -> Scores:
    """Generate and score the clips of one task, on one thread."""
    with one_thread():
        return _score_chunk(chunk)


def _score_chunk(chunk: Chunk) -> Scores:
    source, model, per_clip, whole_set = _workshop(
        chunk.token, chunk.shards, chunk.split, chunk.model, chunk.protocol.model_dump_json(), chunk.device
    )
    crossed = is_crossed(model.card)
    store = feature_cache.open_store(chunk.cache)
    result = Scores(states=[metric.start() for metric in whole_set])
    columns = [column for metric in per_clip for column in metric.columns]
    for key in chunk.keys:
        store.next_clip()
        sample, made = _make(source, model, key, chunk.partners[key], chunk.protocol)
        if sample is None or made.video is None or made.reason is not None:
            reason = made.reason or Reason.NOT_GENERATED
            result.rows += [Row("", key, c.name, float("nan"), reason, made.detail) for c in columns]
            result.lost += 1
            continue
        with feature_cache.using(store):
            look = once(partial(see, sample, made.video))
            for metric in per_clip:
                if crossed and getattr(metric, "compares", False):
                    scored = unscored(
                        metric.columns, Reason.OTHER_VOICE, "the true video says something else"
                    )
                else:
                    scored = score_by(metric, sample, made.video, look)
                for column in metric.columns:
                    value = scored.values[column.name]
                    detail = "; ".join(filter(None, (value.detail, made.detail)))
                    result.rows.append(Row("", key, column.name, value.value, value.reason, detail))
                if scored.curve is not None:
                    result.curves.append((key, metric.columns[0].name, scored.curve))
            for metric, state in zip(whole_set, result.states, strict=True):
                metric.update(state, sample, made.video)
    store.next_clip()
    result.kept = store.take_counts()
    return result


def _make(
    source: shards.Shards, model: Model, key: str, partner: str | None, rules: Protocol
) -> tuple[Sample | None, Generated]:
    """The sample with the voice that drives it, and what the model made, both cut to the frames they share; no sample
    where its own parts do not fit each other.
    """
    try:
        sample = source.get(key)
    except BadSample as error:
        return None, Generated(key, None, Reason.OUT_OF_STEP, str(error))
    if model.card.drive == "other":
        if partner is None:
            detail = "another clip's voice is needed, and the data holds one clip only"
            return sample, Generated(key, None, Reason.TOO_FEW_CLIPS, detail)
        sample = replace(sample, audio=fit_audio(source.get_audio(partner), len(sample)))
    try:
        answers = model.generate(Batch((sample,)), seed=rules.seed)
    except TkbenchError as error:
        return sample, Generated(key, None, Reason.MODEL_ERROR, str(error))
    except (
        Exception
    ) as error:  # a model is foreign code: whatever it raises is this clip's result, not the run's end
        return sample, Generated(key, None, Reason.MODEL_ERROR, f"{type(error).__name__}: {error}")
    made = [answer for answer in answers if answer.key == key]
    if len(made) != 1:
        return sample, Generated(
            key, None, Reason.NOT_GENERATED, f"the model answered {len(made)} videos for 1 clip"
        )
    return match(sample, made[0], rules.length_slack)


def see(sample: Sample, video: UInt8) -> Seen:
    """The face in `video`, found by the tracker that prepared `sample`; the same pictures have the same landmarks."""
    from tkbench.prep import backends
    from tkbench.prep.retrack import gaps_filled, retrack

    if np.array_equal(video, sample.video):
        return Seen(sample.landmarks, sample.score > 0)
    backend = sample.meta.get("track", {}).get("backend", backends.DEFAULT)
    crowded = sample.meta.get("n_faces", 1) > 1

    def make() -> tuple[Float32, Bool]:
        return retrack(video, sample.landmarks, backend=backend, crowded=crowded)

    try:
        recipe = f"retrack|{backends.info(backend).signature()}|crowded:{crowded}"
        landmarks, found = feature_cache.recall(recipe, video, sample.landmarks, make=make)
    except WeightsMissing as error:
        nothing = np.zeros(len(video), bool)
        return Seen(sample.landmarks[:0], nothing, Reason.WEIGHTS_MISSING, str(error))
    if found.mean() < SEEN:
        detail = (
            f"the face was found in {found.sum()} of {len(found)} generated frames; {SEEN:.0%} are needed"
        )
        return Seen(landmarks[:0], found, Reason.NO_FACE, detail)
    return Seen(gaps_filled(landmarks, found), found)


def fit_audio(audio: Float32, frames: int) -> Float32:
    """Another clip's voice at this clip's length: cut, or repeated from its start; (frames * 640,) float32."""
    return np.resize(audio, frames * SAMPLES_PER_FRAME).astype(np.float32)


def match(sample: Sample, made: Generated, slack: int) -> tuple[Sample, Generated]:
    """Check a generated video against its sample and cut both to the frames they share.

    Wrong dtype, size or a length that is short by more than `slack` frames turns into a Generated with a reason.
    """
    video = made.video
    if video is None:
        return sample, made
    fault = picture_fault(sample, video)
    if fault is not None:
        return sample, Generated(sample.key, None, *fault)
    n = len(video)
    if n < len(sample) - slack:
        # A file of another rate says how many frames of its own these are.
        told = [note for note in made.detail.split("; ") if " frames at " in note]
        count = told[0] if told else f"{n} frames"
        found = f"{count}, expected {len(sample)} (at most {slack} fewer)"
        return sample, Generated(sample.key, None, Reason.WRONG_LENGTH, found)
    if n == len(sample):
        return sample, made
    shared = min(n, len(sample))
    note = f"{n} frames for {len(sample)}: scored on the first {shared}"
    cut = replace(
        sample,
        video=sample.video[:shared],
        audio=sample.audio[: shared * SAMPLES_PER_FRAME],
        landmarks=sample.landmarks[:shared],
        score=sample.score[:shared],
    )
    detail = "; ".join(filter(None, (made.detail, note)))
    return cut, Generated(made.key, video[:shared], detail=detail)


def _gather(
    chunks: Sequence[Chunk], workers: int, workforce: Pool | None, progress: Progress, label: str
) -> list[Scores]:
    """Every chunk's scores, in chunk order."""
    total = sum(len(chunk.keys) for chunk in chunks)
    done: dict[int, Scores] = {}
    clips = failed = 0
    kept = feature_cache.Counts()
    progress(0, total, label)

    def collect(crew: Pool) -> None:
        nonlocal clips, failed, kept
        for index, scores in crew.run(score_chunk, chunks):
            done[index] = scores
            clips += len(chunks[index].keys)
            failed += len({row.key for row in scores.rows if _is_clips_fault(row)})
            kept += scores.kept
            gaps = f"{failed} clips with a missing score" if failed else ""
            progress(clips, total, ", ".join(filter(None, (label, gaps, feature_cache.said(kept)))))

    if workforce is not None:
        collect(workforce)
    else:
        with pool(workers, items=len(chunks)) as crew:
            collect(crew)
    return [done[index] for index in range(len(chunks))]


def _is_clips_fault(row: Row) -> bool:
    """A score that failed: not one whose network is missing, nor a metric that rightly says it cannot tell."""
    return row.reason not in (None, Reason.WEIGHTS_MISSING, Reason.UNCLEAR)


def _set_rows(
    whole_set: Sequence[Any], states: Sequence[Sequence[Any]], model: str, lost: int, clips: int
) -> Iterator[Row]:
    """One row per column of each set metric, from the chunk states merged in chunk order.

    A set that lacks clips is another set, and such numbers move with its size alone: it has none.
    """
    for place, metric in enumerate(whole_set):
        merged = states[0][place]
        for part in states[1:]:
            merged = metric.merge(merged, part[place])
        scored = metric.compute(merged)
        for column in metric.columns:
            value = scored[column.name]
            if lost and value.reason is None:
                detail = f"{lost} of {clips} clips have no video; a number for the others would be one of another set"
                value = Scored(float("nan"), Reason.NOT_GENERATED, detail)
            yield Row(model, "*", column.name, value.value, value.reason, value.detail)


def worst_first(rows: Sequence[Row], rank_by: str, *, higher_is_better: bool) -> list[str]:
    """Keys by the ranking metric, worst first; clips without a score come first of all, ties in key order."""
    values = {row.key: row.value for row in rows if row.metric == rank_by and row.key != "*"}
    sign = 1.0 if higher_is_better else -1.0
    return sorted(values, key=lambda key: (-np.inf if np.isnan(values[key]) else sign * values[key], key))


def _previews(
    folder: Path,
    source: shards.Shards,
    model_name: str,
    rules: Protocol,
    columns: Sequence[Metric],
    rows: Sequence[Row],
    partners: Mapping[str, str | None],
    device: str,
) -> list[tuple[str, str]]:
    """Write "real | generated" players of the worst clips into `folder`; returns (key, file name)."""
    model = put_on(models.create(model_name), device)
    better = next(column.better for column in columns if column.name == rules.rank_by)
    order = worst_first(rows, rules.rank_by, higher_is_better=better == "higher")
    written: list[tuple[str, str]] = []
    for key in order:
        if len(written) == PREVIEWS:
            break
        sample, made = _make(source, model, key, partners[key], rules)
        if sample is None or made.video is None:
            continue  # nothing to see; its row says why
        name = f"{len(written):02d}.mp4"
        media.write_video(
            folder / name,
            side_by_side(sample.video, made.video),
            audio=sample.audio,
            quality=24,
        )
        written.append((key, name))
    return written


def side_by_side(real: UInt8, made: UInt8, height: int = 256) -> Iterator[UInt8]:
    """Frames (height, 2 * w, 3): the true video on the left, the generated one on the right, even sides."""
    import cv2

    width = max(2, round(real.shape[2] * height / real.shape[1] / 2) * 2)
    for left, right in zip(real, made, strict=True):
        pair = [cv2.resize(side, (width, height), interpolation=cv2.INTER_AREA) for side in (left, right)]
        yield np.concatenate(pair, axis=1)
