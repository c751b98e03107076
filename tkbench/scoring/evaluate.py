"""Score a model on shards: generate, score, summarise, write the result bundle. `tkbench eval` and `tkbench.score`
call this.

A clip is the unit of work. What scoring it gave is written to the work folder (`scoring.records`) before the next one
is begun, and the row is made of these records in key order. So the numbers depend neither on how many workers share the
clips, nor on the order in which they are done, nor on how often the run was killed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tkbench import media, models, shards
from tkbench.errors import StorageError, UnknownName, UsageError
from tkbench.metrics.base import AnySetMetric
from tkbench.models import identity
from tkbench.models.base import Model, ModelCard
from tkbench.models.command import Command
from tkbench.models.files import Size, files_of
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.protocol import chosen as chosen_protocol
from tkbench.registry import suggest
from tkbench.results import bundle, cost
from tkbench.results.strata import SCALES, By
from tkbench.runtime import feature_cache, storage
from tkbench.runtime.devices import check_device, check_device_name
from tkbench.runtime.parallel import Pool, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.words import counted
from tkbench.scoring import finished, lists, named, pairing, players
from tkbench.scoring.clips import (
    MIN_FACE_SHARE,
    MetricSet,
    Run,
    build_metrics,
    is_crossed,
    open_split,
    set_rows,
)
from tkbench.scoring.records import WorkFolder, work_folder
from tkbench.scoring.strata import by_stratum, label_names
from tkbench.scoring.strata import set_scores as strata_of_sets
from tkbench.scoring.tasks import Chunk, ChunkScores, score_chunk, software
from tkbench.types import Column, Row
from tkbench.version import __version__

PATIENCE = 5
"""Clips after which a command that made no video at all is ended."""


def _say_nothing(line: str) -> None:
    """The `tell` of the Python API."""


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
    by: tuple[By, ...] = ()
    """Strata for whose groups FID and other numbers of the whole set are computed, too; no other number needs them."""
    fresh: bool = False
    """Score all clips, also those that an evaluation finished which was stopped."""
    pairs: Path | None = None
    """A list of which voice goes with which picture, for `cross:MODEL`; see `scoring.pairing`."""
    tell: Callable[[str], None] = _say_nothing
    """Called with a line for people before any work: clips without a video, an earlier result that is replaced."""
    one_of_several: bool = False
    """One model of a call for several, which calls `finished.published` at its end. If it does not come to that, the
    next call keeps the model (`kept_from_stopped`)."""


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
    remote = isinstance(workers, Pool) and workers.elsewhere
    (check_device_name if remote else check_device)(options.device)
    if storage.is_remote(out):
        raise UsageError(f"--out {out}: bundles are written to a folder; give one that all workers see")
    job = _planned(data, model, protocol, split, limit, options)
    for told in check_videos(job.created, job.source, job.items):
        options.tell(told)
    source, rules, card, items, metrics = job.source, job.rules, job.card, job.items, job.metrics
    keys, speakers, table, rank_by = items.keys, items.speakers, job.table, job.rank_by
    if (earlier := out / table / bundle.slug(card.name)).is_dir():
        options.tell(f"{earlier}: holds an earlier result of {card.name}, which the new one replaces")
    ranking = next(column for column in metrics.columns if column.name == rank_by)
    shown = players.plan(keys, ranking, players.true_scores(out / table, rank_by))
    task = Chunk(
        run=Run.begin(storage.everywhere(data), job.split, rules, options.device),
        model=identity.everywhere(model) if remote else model,
        keys=(),
        partners={},
        software=software() if remote else {},
        cache=str(options.cache.expanduser().absolute()) if options.cache is not None else None,
        sources=_absolute(options.sources),
    )
    facts = {**job.facts, "true": hashlib.sha256(repr(sorted(shown.true.items())).encode()).hexdigest()}
    try:
        with (
            work_folder(out.absolute(), (table, card.name), facts, fresh=options.fresh) as work,
            _workforce(workers, len(keys)) as crew,
        ):
            kept = work.kept(keys, job.state_of)
            todo = [
                replace(
                    task,
                    keys=(key,),
                    partners=partners,
                    pictures=pictures,
                    work=str(work.place),
                    players=shown.of((key,)),
                )
                for key in keys
                if key not in kept
                for partners, pictures in [items.voices_of((key,))]
            ]
            # A command that fails ends after a few clips, not after a night; videos that exist are all looked at.
            patience = PATIENCE if isinstance(job.created, Command) and not kept else len(keys) + 1
            gather(
                todo,
                crew,
                options.progress,
                card.name,
                before=len(kept),
                on_failure=(patience, partial(_end_without_video, work, card.name, keys)),
            )
            found = Gathered(work, keys, metrics, shown)
            if not found.with_video:
                _end_without_video(work, card.name, keys)
            rows = [replace(row, model=card.name) for row in found.rows]
            rows += [replace(row, model=card.name) for row in found.set_rows()]
            device = {} if options.device == "cpu" else {"device": ", ".join(found.devices)}
            stats = rules.stats.model_dump()
            evaluation = bundle.Evaluation(
                model=card.name,
                model_card=card.model_dump(mode="json"),
                dataset=source.dataset,
                split=source.split,
                data_hash=source.data_hash,
                n_clips=len(keys),
                protocol=rules.name,
                rank_by=rank_by,
                coverage_min=rules.coverage_min,
                signature=job.signature,
                columns=metrics.columns,
                summary=bundle.summarise(rows, speakers, metrics.columns, **stats),
                stats=stats,
                weights=dict(sorted(metrics.weights.items())),
                stack=software() | device,
                seed=rules.seed,
            )
            strata = by_stratum(found.strata, source, keys, items.pictures)
            known: dict[str, Mapping[str, bundle.Value]] = {
                **strata,
                "speaker": {key: name for key, name in speakers.items() if name},
            }
            sets = strata_of_sets(metrics.whole_set, found.states, options.by, keys, known)
            mouths = {one.key: one.mouth for one in found.players if one.mouth is not None}
            clips = bundle.ClipRows(
                rows, speakers, found.curves, found.videos, strata=strata, sets=sets, mouths=mouths
            )
            spent = cost.sum_up(found.spent)
            beside = {} if spent is None else {cost.FILE: cost.to_bytes(spent)}
            made = bundle.write(out, evaluation, clips, partial(players.write, found.players), beside=beside)
            if options.one_of_several:
                finished.note(made, job.whole_facts())
            return made
    except StorageError:
        raise
    except OSError as error:
        raise storage.explain(error, out, kept="finished clips are kept") from error


def kept_from_stopped(
    data: Path,
    model: str,
    *,
    protocol: str | Path | Protocol | None = None,
    out: Path = Path("runs"),
    split: str | None = None,
    limit: int | None = None,
    options: EvalOptions | None = None,
) -> Path | None:
    """The bundle of a model that a stopped call for several models has finished with the same facts; None where it has
    to be scored. Arguments are those of `evaluate`.
    """
    options = options or EvalOptions()
    if options.fresh or not finished.any_in(out):
        return None
    job = _planned(data, model, protocol, split, limit, options)
    folder = out / job.table / bundle.slug(job.card.name)
    return folder if finished.is_kept(folder, job.whole_facts()) else None


@dataclass(frozen=True, slots=True)
class _Job:
    """What an evaluation rests on, known before any work."""

    source: shards.Shards
    split: str | None
    rules: Protocol
    created: Model
    card: ModelCard
    """With the name that tables call it."""
    metrics: MetricSet
    items: pairing.Items
    by: tuple[By, ...]
    signature: str
    facts: Mapping[str, object]
    """What the record of a clip rests on."""

    @property
    def rank_by(self) -> str:
        return self.rules.ranks_by(self.metrics.columns)

    @property
    def table(self) -> str:
        return bundle.table_name(self.source.dataset, self.rules.name, self.signature)

    def state_of(self, key: str) -> str:
        """What tells the present state of a clip's video from another; "" where it is no file."""
        files = files_of(self.created)
        return files.state_of(key) if files is not None else ""

    def whole_facts(self) -> dict[str, object]:
        """What the bundle rests on. The choice of players is left out: no number depends on it."""
        return {
            **self.facts,
            "name": self.card.name,
            "protocol": self.rules.model_dump(mode="json"),
            "by": [repr(one) for one in self.by],
            "videos": [self.state_of(key) for key in self.items.keys],
        }


def _planned(
    data: Path,
    model: str,
    protocol: str | Path | Protocol | None,
    split: str | None,
    limit: int | None,
    options: EvalOptions,
) -> _Job:
    """What `evaluate` rests on; raises what it raises before any work, but for videos."""
    source = open_split(data, split)
    rules = chosen_protocol(protocol, default_protocol(source.dataset))
    split = lists.split_for(rules, source, split)
    source = open_split(data, split)
    known_list = lists.check(rules, source)
    created = named.create(model, source)  # a wrong name fails here, not in a worker
    card = created.card
    refuse_training_clips(card, source)
    metrics = build_metrics(rules, options.device)  # and so does a wrong protocol
    if options.name is not None:
        card = card.model_copy(update={"name": check_name(options.name, anchor=card.anchor)})
    items = pairing.items_of(rules, source, card, limit=limit, pairs=options.pairs)
    check_by(options.by, source)
    line = signature(
        rules,
        source,
        metrics.columns,
        len(items.keys),
        limit,
        other_voice=is_crossed(card),
        more=(*known_list, *items.signature),
    )
    facts: dict[str, object] = {
        "signature": line,
        "model": model,
        "card": created.card.model_dump(mode="json"),
        "code": identity.code_of(created),
        "clips": hashlib.sha256("\n".join(items.keys).encode()).hexdigest(),
        "device": options.device,
        "sources": _absolute(options.sources),
        "weights": dict(sorted(metrics.weights.items())),
        "software": software(),
        "tkbench": feature_cache.sources(),
    }
    return _Job(source, split, rules, created, card, metrics, items, options.by, line, facts)


def _absolute(place: Path | None) -> str | None:
    return None if place is None else str(place.expanduser().absolute())


def check_videos(model: Model, source: shards.Shards, items: pairing.Items) -> list[str]:
    """What is to be said of the videos of a `files:` model before any work; raises UsageError where none fits."""
    files = files_of(model)
    if files is None:
        return []
    table = source.manifest(["key", "width", "height", "source_width", "source_height"]).set_index("key")
    seen = [items.pictures.get(key, key) for key in items.keys]
    sizes: dict[str, list[Size]] = {}
    for key, *numbers in table.loc[list(dict.fromkeys(seen))].itertuples():
        pairs = (numbers[:2], numbers[2:])
        sizes[str(key)] = [(int(w), int(h)) for w, h in pairs if w == w and h == h and w and h]
    return files.check(items.keys, {key: sizes[clip] for key, clip in zip(items.keys, seen, strict=True)})


def _end_without_video(work: WorkFolder, model: str, keys: Sequence[str]) -> None:
    """Raises UsageError: no clip that was tried has a usable video; the commonest reason is told."""
    rows = work.rows(keys)
    work.forget()
    told = Counter((row.reason.value, row.detail) for row in rows if row.reason is not None)
    (reason, detail), _ = told.most_common(1)[0]
    tried = len({row.key for row in rows})
    raise UsageError(
        f"{model}: made no usable video of {'any of the' if tried == len(keys) else 'the first'} "
        f"{counted(tried, 'clip')} ({reason}: {detail or 'no more is known'}); no result was written; fix this and run "
        "the same command again"
    )


@contextmanager
def _workforce(workers: int | Pool, items: int) -> Iterator[Pool]:
    """A running pool as it is, or a new one of so many processes."""
    if isinstance(workers, Pool):
        yield workers
    else:
        with pool(workers, items=items) as fresh:
            yield fresh


class Gathered:
    """The records of all clips, read in key order; states of set metrics are read when they are asked for."""

    def __init__(
        self, work: WorkFolder, keys: Sequence[str], metrics: MetricSet, shown: players.PlayerPlan
    ) -> None:
        self.work, self.keys, self.metrics = work, keys, metrics
        self.rows: list[Row] = []
        self.curves: list[bundle.Curve] = []
        self.videos: dict[str, str] = {}
        self.spent: list[cost.Spent] = []
        self.with_video: set[str] = set()
        self.strata: dict[str, dict[str, float]] = {}
        self.players: list[players.Player] = []
        devices: set[str] = set()
        for key in keys:
            record = work.read(key)
            self.rows += record.rows
            self.curves += record.curves
            devices.add(record.device)
            if record.video:
                self.videos[key] = record.video
            if record.spent is not None:
                self.spent.append(record.spent)
            if record.player is not None:
                # Those that cannot be among the worst any more are dropped at once.
                self.players = players.chosen([*self.players, record.player], shown)
            if record.strata:
                self.strata[key] = record.strata
            if record.has_video:
                self.with_video.add(key)
        self.devices = sorted(devices)
        self.states = [StatesOf(work, key, metrics.whole_set) for key in keys]

    def set_rows(self) -> Iterator[Row]:
        """The rows of set metrics."""
        missing = len(self.keys) - len(self.with_video)
        return set_rows(self.metrics.whole_set, self.states, "", missing, len(self.keys))


class StatesOf(Sequence[object]):
    """The states of a clip's set metrics, each read from the disk when it is asked for."""

    def __init__(self, work: WorkFolder, key: str, whole_set: Sequence[AnySetMetric]) -> None:
        self.work, self.key, self.whole_set = work, key, whole_set

    def __len__(self) -> int:
        return len(self.whole_set)

    def __getitem__(self, place: int) -> object:  # type: ignore[override]
        return self.work.read(self.key, states=(place, self.whole_set[place])).states[0]


def check_by(by: Sequence[By], source: shards.Shards) -> None:
    """UnknownName, before any work, for a stratum that these shards have not."""
    known = [*SCALES, *label_names(source), "speaker", *(["split"] if len(source.splits) > 1 else [])]
    for item in by:
        if item.name not in known:
            raise UnknownName(f"{source.folder}: no stratum {item.name!r}: {suggest(item.name, known)}")


def refuse_training_clips(card: ModelCard, source: shards.Shards) -> None:
    """UsageError where a split that is to be scored is the one that the model was trained on."""
    if not card.train_data:
        return
    for split in source.splits:
        if shards.open_shards(source.folder, split=split).data_hash in card.train_data:
            others = [name for name in shards.open_shards(source.folder).splits if name != split]
            advice = f"give --split {others[-1]}" if others else "score it on other data"
            raise UsageError(f"{source.folder}: {card.name} was trained on its split {split}; {advice}")


def check_name(name: str, *, anchor: bool = False) -> str:
    """A model's name as tables and folders can hold it. anchor: whether it is one of the models with known answers,
    whose names no other may have: a report takes `real` for the true video.
    """
    if not name.strip() or len(name) > 80 or any(not c.isprintable() or c in "/\\" for c in name):
        raise UsageError(
            f"--name {name!r}: 1 to 80 printable characters without slashes, as in --name my-model"
        )
    if not anchor and name.strip().partition(":")[0] in {known.partition(":")[0] for known in models.ANCHORS}:
        raise UsageError(
            f"--name {name!r}: is the name of an anchor, which every table takes for a model with a known answer; "
            "give another, as in --name my-model"
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
    more: Sequence[str] = (),
) -> str:
    """Everything that can move a number, in one line: protocol, metrics with their networks, preparation, decoder.

    more: the list of clips of a data set's own protocol, and that of the pairs where another clip's voice was heard.
    """
    parts = [
        rules.signature(),
        *dict.fromkeys(column.signature for column in columns),
        f"prep[{source.signature}]",
        f"data:{source.dataset}@{source.data_hash[:12]}",
        f"n:{n_clips}" + ("" if limit is None else f"(first {limit})"),
        *(["drive:other"] if other_voice else []),
        *more,
        f"seen:{MIN_FACE_SHARE}",
        f"ffmpeg:{media.stack()['ffmpeg']}",
        f"tkbench:{__version__}",
    ]
    return "|".join(parts)


def gather(
    chunks: Sequence[Chunk],
    workers: int | Pool,
    progress: Progress,
    label: str,
    *,
    before: int = 0,
    on_failure: tuple[int, Callable[[], None]] | None = None,
) -> list[ChunkScores]:
    """Every task's scores, in the order of the tasks. before: clips that were finished before.

    on_failure: how many clips without any video among them are borne, and what is called then.
    """
    total = before + sum(len(chunk.keys) for chunk in chunks)
    done: dict[int, ChunkScores] = {}
    clips, failed, empty = before, 0, 0
    counts = feature_cache.Counts()
    progress(clips, total, f"{label}, {counted(before, 'clip')} kept" if before else label)

    def again(chunk: Chunk, deaths: int) -> Chunk:
        return replace(chunk, deaths=deaths)

    on_death = again if all(chunk.work is not None for chunk in chunks) else None
    with _workforce(workers, len(chunks)) as crew:
        for index, scores in crew.run(score_chunk, chunks, on_death=on_death):
            done[index] = scores
            clips += len(chunks[index].keys)
            failed += scores.failed
            empty += scores.without_video
            if on_failure is not None and clips - before == empty == on_failure[0]:
                on_failure[1]()
            counts += scores.cache_counts
            gaps = f"{counted(failed, 'clip')} with a missing score" if failed else ""
            notes = filter(None, (label, gaps, feature_cache.damage_note(counts)))
            progress(clips, total, ", ".join(notes))
    return [done[index] for index in range(len(chunks))]
