"""Score a model on shards: generate, score, summarise, write the result bundle. `tkbench eval` and `tkbench.score`
call this.

The unit of work is a fixed number of clips, so the numbers do not depend on how many workers share them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tkbench import media, models, shards
from tkbench.errors import BadSample, UsageError
from tkbench.metrics.base import NOT_GIVEN
from tkbench.models.base import Model, ModelCard
from tkbench.models.files import Files
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.protocol import chosen as chosen_protocol
from tkbench.results import bundle
from tkbench.runtime import feature_cache
from tkbench.runtime.devices import check_device, device_facts, put_on
from tkbench.runtime.parallel import Pool, one_thread, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import sha256_of
from tkbench.scoring.clips import (
    CHUNK,
    MIN_FACE_SHARE,
    Run,
    Tools,
    build_metrics,
    choose_partner,
    clip_keys,
    generate,
    is_crossed,
    open_split,
    score_clip,
    set_rows,
    start_states,
    tools_of,
    unscored_rows,
)
from tkbench.scoring.released import released_file
from tkbench.types import Column, Generated, Reason, Released, Row, Sample, UInt8
from tkbench.version import __version__

PREVIEWS = 4
"""Clips per model that the report shows as players."""


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """Settings of an evaluation that are rarely needed."""

    name: str | None = None
    """What tables call the model; by default its own name."""
    cache: Path | None = None
    """A folder where features of clips are kept for the next evaluation, for example `runtime.feature_cache.folder()`;
    the numbers are the same without."""
    device: str = "cpu"
    """Where networks run, those of metrics and of the reference models: "cpu", "cuda" or "cuda:1". Sums on a GPU differ
    from a processor's in their last digits; the bundle's `stack` names the device."""
    progress: Progress = silent
    sources: Path | None = None
    """The root of the preparation: where the files of the true videos are, for LSE recipes that start at the file."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One task: some clips, and all that decides their scores."""

    run: Run
    model: str
    keys: tuple[str, ...]
    partners: Mapping[str, str | None]
    """Clip -> the clip whose voice drives it; None where its own does."""
    cache: str | None = None
    """See `EvalOptions.cache`; None keeps what one clip needs twice, and no more."""
    sources: str | None = None
    """See `EvalOptions.sources`."""


@dataclass(slots=True)
class ChunkScores:
    """What a task sends back: numbers only."""

    rows: list[Row] = field(default_factory=list)
    curves: list[bundle.Curve] = field(default_factory=list)
    states: list[object] = field(default_factory=list)
    """One per set metric, in the protocol's order."""
    videos: dict[str, str] = field(default_factory=dict)
    """Clip -> sha256 of its video's file, for models whose videos are files."""
    without_video: int = 0
    """Clips without a usable video: no set metric has got them."""
    cache_counts: feature_cache.Counts = field(default_factory=feature_cache.Counts)


def evaluate(
    data: Path,
    model: str,
    *,
    protocol: str | Path | Protocol | None = None,
    out: Path = Path("runs"),
    workers: int | Pool = 1,
    split: str | None = None,
    limit: int | None = None,
    options: EvalOptions | None = None,
) -> Path:
    """Score `model` on the shards in `data` and write the result bundle; returns its folder.

    `protocol`: a name, a TOML file or a Protocol, by default the one that fits the data set. `workers`: how many
    processes, or a running pool of them. `split`: only the clips of one split. `limit`: only the first clips in key
    order (the number is part of the signature).

    Raises UnknownName, UsageError, BadShards or WeightsRefused before any work; UsageError also for a checkpoint on the
    very clips that it was trained on. Clips that fail become rows with a reason.
    """
    options = options or EvalOptions()
    check_device(options.device)
    source = open_split(data, split)
    rules = chosen_protocol(protocol, default_protocol(source.dataset))
    created = models.create(model)  # a wrong name fails here, not in a worker
    card = created.card
    refuse_training_clips(card, source)
    metrics = build_metrics(rules, options.device)  # and so does a wrong protocol
    if options.name is not None:
        card = card.model_copy(update={"name": check_name(options.name)})
    keys = clip_keys(source, data, limit)
    if isinstance(created, Files):
        created.check_keys(keys)
    speakers = source.speakers
    partners = partners_of(card, keys, speakers, rules.seed)
    run = Run.begin(data, split, rules, options.device)
    cache = str(options.cache.expanduser().absolute()) if options.cache is not None else None
    sources = str(options.sources.expanduser().absolute()) if options.sources is not None else None
    chunks = [
        Chunk(run, model, part, {key: partners[key] for key in part}, cache, sources)
        for part in (keys[i : i + CHUNK] for i in range(0, len(keys), CHUNK))
    ]
    parts = gather(chunks, workers, options.progress, card.name)

    columns = metrics.columns
    rows = [replace(row, model=card.name) for part in parts for row in part.rows]
    missing = sum(part.without_video for part in parts)
    states = [part.states for part in parts]
    rows += set_rows(metrics.whole_set, states, card.name, missing, len(keys))
    device = {} if options.device == "cpu" else {"device": device_facts(options.device)}
    stats = rules.stats.model_dump()
    evaluation = bundle.Evaluation(
        model=card.name,
        model_card=card.model_dump(mode="json"),
        dataset=source.dataset,
        split=source.split,
        data_hash=source.data_hash,
        n_clips=len(keys),
        protocol=rules.name,
        rank_by=rules.ranks_by(columns),
        coverage_min=rules.coverage_min,
        signature=signature(rules, source, columns, len(keys), limit, other_voice=is_crossed(card)),
        columns=columns,
        summary=bundle.summarise(rows, speakers, columns, **stats),
        stats=stats,
        weights=dict(sorted(metrics.weights.items())),
        stack=software() | device,
        seed=rules.seed,
    )
    curves = [curve for part in parts for curve in part.curves]
    videos = {key: digest for part in parts for key, digest in part.videos.items()}
    clips = bundle.ClipRows(rows, speakers, curves, videos)
    tools = Tools(source, rules, metrics)

    def players(folder: Path) -> list[tuple[str, str]]:
        return _previews(folder, tools, _model(run, model), rows, partners)

    return bundle.write(out, evaluation, clips, players)


def partners_of(
    card: ModelCard, keys: Sequence[str], speakers: Mapping[str, str | None], seed: int
) -> dict[str, str | None]:
    """The clip whose voice drives each clip; None where it is its own."""
    return {key: choose_partner(key, keys, speakers, seed) if card.drive == "other" else None for key in keys}


def refuse_training_clips(card: ModelCard, source: shards.Shards) -> None:
    """UsageError where a split that is to be scored is the one that the model was trained on."""
    if not card.train_data:
        return
    for split in source.splits:
        if shards.open_shards(source.folder, split=split).data_hash in card.train_data:
            others = [name for name in shards.open_shards(source.folder).splits if name != split]
            advice = f"give --split {others[-1]}" if others else "score it on other data"
            raise UsageError(f"{source.folder}: {card.name} was trained on its split {split}; {advice}")


def check_name(name: str) -> str:
    """A model's name as tables and folders can hold it."""
    if not name.strip() or len(name) > 80 or any(not c.isprintable() or c in "/\\" for c in name):
        raise UsageError(
            f"--name {name!r}: 1 to 80 printable characters without slashes, as in --name my-model"
        )
    return name.strip()


def signature(
    rules: Protocol,
    source: shards.Shards,
    columns: Sequence[Column],
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
        f"seen:{MIN_FACE_SHARE}",
        f"ffmpeg:{media.stack()['ffmpeg']}",
        f"tkbench:{__version__}",
    ]
    return "|".join(parts)


def software() -> dict[str, str]:
    """Versions of the software between the files and the numbers."""
    found = {name: version for name in feature_cache.LIBRARIES if (version := feature_cache.version_of(name))}
    return {"tkbench": __version__, "python": platform.python_version(), **media.stack(), **found}


@lru_cache(maxsize=2)
def _model(run: Run, name: str) -> Model:
    """The model, on its device: created once per process and run."""
    model: Model = put_on(models.create(name), run.device)
    return model


def score_chunk(chunk: Chunk) -> ChunkScores:
    """Generate and score the clips of one task, on one thread."""
    with one_thread():
        return _score_chunk(chunk, tools_of(chunk.run), _model(chunk.run, chunk.model))


def _score_chunk(chunk: Chunk, tools: Tools, model: Model) -> ChunkScores:
    store = feature_cache.open_store(chunk.cache)
    found = ChunkScores(states=start_states(tools.metrics))
    per_clip = [column for metric in tools.metrics.per_clip for column in metric.columns]
    for key in chunk.keys:
        store.next_clip()
        try:
            sample, made = generate(tools, model, key, chunk.partners[key])
        except BadSample as error:  # one bad clip is a row, never the end of an evaluation
            bad = Generated(key, None, Reason.OUT_OF_STEP, str(error))
            found.rows += unscored_rows(per_clip, bad)
            found.without_video += 1
            continue
        if made.video is None or made.reason is not None:
            found.rows += unscored_rows(per_clip, made)
            found.without_video += 1
            continue
        with feature_cache.using(store), _file(chunk, tools, model, sample, made) as released:
            rows, curves = score_clip(
                tools.metrics,
                found.states,
                sample,
                made.video,
                other_voice=is_crossed(model.card),
                note=made.detail,
                released=released,
            )
        found.rows += rows
        found.curves += curves
        if made.file is not None:
            found.videos[key] = sha256_of(made.file)
    store.next_clip()
    found.cache_counts = store.take_counts()
    return found


def _file(
    chunk: Chunk, tools: Tools, model: Model, sample: Sample, made: Generated
) -> AbstractContextManager[Released]:
    """The released file of a video, where a metric asks for one."""
    if not tools.metrics.needs_file:
        return nullcontext(NOT_GIVEN)
    if model.card.drive == "other" and made.file is None:
        return nullcontext(Released(None, "the voice is another clip's: there is no file with both"))
    sources = None if chunk.sources is None else Path(chunk.sources)
    return released_file(tools.source, chunk.run.token, made, sample, sources)


def gather(chunks: Sequence[Chunk], workers: int | Pool, progress: Progress, label: str) -> list[ChunkScores]:
    """Every task's scores, in the order of the tasks."""
    total = sum(len(chunk.keys) for chunk in chunks)
    done: dict[int, ChunkScores] = {}
    clips = failed = 0
    counts = feature_cache.Counts()
    progress(0, total, label)

    def collect(running: Pool) -> None:
        nonlocal clips, failed, counts
        for index, scores in running.run(score_chunk, chunks):
            done[index] = scores
            clips += len(chunks[index].keys)
            failed += len({row.key for row in scores.rows if _is_clips_fault(row)})
            counts += scores.cache_counts
            gaps = f"{failed} clips with a missing score" if failed else ""
            notes = filter(None, (label, gaps, feature_cache.damage_note(counts)))
            progress(clips, total, ", ".join(notes))

    if isinstance(workers, Pool):
        collect(workers)
    else:
        with pool(workers, items=len(chunks)) as fresh:
            collect(fresh)
    return [done[index] for index in range(len(chunks))]


def _is_clips_fault(row: Row) -> bool:
    """Whether a score failed: not one whose network or package is missing, nor one that is rightly unclear."""
    return row.reason not in (None, Reason.WEIGHTS_MISSING, Reason.EXTRA_MISSING, Reason.UNCLEAR)


def worst_first(rows: Sequence[Row], rank_by: str, *, higher_is_better: bool) -> list[str]:
    """Keys by the ranking metric, worst first; clips without a score come first of all, ties in key order."""
    values = {row.key: row.value for row in rows if row.metric == rank_by and row.key != "*"}
    sign = 1.0 if higher_is_better else -1.0
    return sorted(values, key=lambda key: (-np.inf if np.isnan(values[key]) else sign * values[key], key))


def _previews(
    folder: Path, tools: Tools, model: Model, rows: Sequence[Row], partners: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Write "real | generated" players of the worst clips into `folder`; returns (key, file name)."""
    rank_by = tools.rules.ranks_by(tools.metrics.columns)
    better = next(column.better for column in tools.metrics.columns if column.name == rank_by)
    written: list[tuple[str, str]] = []
    for key in worst_first(rows, rank_by, higher_is_better=better == "higher"):
        if len(written) == PREVIEWS:
            break
        try:
            sample, made = generate(tools, model, key, partners[key])
        except BadSample:
            continue  # its row says why
        if made.video is None:
            continue  # nothing to show; its row says why
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
