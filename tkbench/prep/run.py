"""Prepare a folder: plan, make each shard on its own, write the index last.

A shard is made under a temporary name and renamed; its record in stats/ follows. So a killed run, started
again, goes on at the next shard, and the bytes are the same for any number of workers.
"""

from __future__ import annotations

import heapq
import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tkbench import media, shards
from tkbench.errors import StorageError, UsageError
from tkbench.prep import backends, datasets
from tkbench.prep.datasets import divide
from tkbench.prep.datasets.divide import Division
from tkbench.prep.live import Live
from tkbench.prep.lock import RunLock
from tkbench.prep.make import SCRATCH, discard, make_shard, skipped_row, stats_file
from tkbench.prep.plan import PROTOCOL, Plan, Settings, ShardPlan, labels_of, make_plan
from tkbench.prep.records import MadeShard, Row
from tkbench.prep.resume import as_json, check_target, clear, kept_shards
from tkbench.prep.summary import Summary, Tally
from tkbench.runtime import storage
from tkbench.runtime.parallel import Message, pool
from tkbench.runtime.progress import Progress, silent
from tkbench.shards import ShardRecord
from tkbench.types import Clip, Skipped
from tkbench.version import __version__

_GIVE_UP_AFTER = 10
"""Deaths at one shard after which its clips are given up, also where they had processes of their own."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run goes about its work. None of it moves a byte of a sample."""

    scheduler: str | None = None
    """Address of a Dask cluster to use instead of processes on this machine; its workers see root and out by the same
    names."""
    shard_clips: int | None = None
    """Clips per shard; by default from the size of the corpus."""
    overwrite: bool = False
    """Replace shards in `out` that other settings made, or drop clips of theirs that are no longer among those to be
    prepared; refused otherwise."""
    retry_failed: bool = False
    """Also remake finished shards in which clips were skipped; what was ok in them keeps its bytes."""
    reader_options: Mapping[str, str] = field(default_factory=dict)
    """What the data set's reader takes besides the root (hdtf: annotations, a folder)."""
    division: Division | None = None
    """How clips are divided into splits, for data that has none."""


def prepare(
    root: str | Path,
    out: str | Path,
    *,
    dataset: str = "auto",
    split: str | None = None,
    workers: int = 1,
    settings: Settings | None = None,
    run: Run | None = None,
    progress: Progress = silent,
) -> Summary:
    """Prepare every clip below `root` and write shards, manifest and index to `out`.

    root, out: folders, or URLs that fsspec knows (`s3://bucket/lrs2`). dataset: a name of `prep.datasets.registry`, or
    "auto". split: only clips of this split. workers: processes; the bytes do not depend on it. settings: what decides
    what a shard holds. run: how the work is done.

    A clip that cannot be used gets a row with its reason. Raises UsageError for a root without a clip,
    UnknownName for a data set that is not registered, StorageError where `out` is full, closed or in use.
    """
    began = time.perf_counter()
    how, rules = run or Run(), settings or Settings()
    backends.check(rules.backend)
    source, target = storage.place(root), storage.place(out)
    if (workers > 1 or how.scheduler) and not (
        storage.in_other_processes(source) and storage.in_other_processes(target)
    ):
        raise UsageError("memory:// is seen by one process alone: use one worker, or another place")
    name, plan = plan_run(source, target, dataset, rules, split=split, run=how)
    try:
        check_target(target, name, rules, plan, how.overwrite)
        target.mkdir(parents=True, exist_ok=True)
        with RunLock(target) as lock:
            work = _Work(plan, target, name, rules, how, workers, progress)
            return _make_all(work, lock, began)
    except StorageError:
        raise
    except OSError as error:
        raise storage.explain(error, target) from error


def refuse_out_in_root(root: str | Path, out: str | Path) -> None:
    """UsageError where shards would be written among the videos: the next run would read them as videos."""
    source, target = storage.place(root), storage.place(out)
    if storage.as_remote(source) is not None or storage.as_remote(target) is not None or not source.is_dir():
        return
    inside, above = target.resolve(), source.resolve()
    if inside == above or above in inside.parents:
        where = "the same as" if inside == above else "inside"
        raise UsageError(
            f"--out {target}: is {where} --root {source}, where videos are looked for; give a folder beside it, as in "
            f"--out {above.parent / (above.name + '-shards')}"
        )


def plan_run(
    source: Path, target: Path, dataset: str, settings: Settings, *, split: str | None, run: Run
) -> tuple[str, Plan]:
    """The data set's name and the plan, from `place`d folders. Raises UsageError for a root without a clip."""
    if not source.is_dir():
        raise UsageError(f"{source}: not a folder; give the folder that holds the videos")
    name = datasets.detect(source) if dataset == "auto" else dataset
    items = list(datasets.read(name, source, run.reader_options))
    if run.division is not None:
        if stated := sorted({item.split for item in items if item.split not in (None, "test")}):
            raise UsageError(f"--split-by: {source} has splits already: {', '.join(map(str, stated))}, ...")
        items = divide.divide(items, run.division)
    found = [item for item in items if _wanted(item, split)]
    if items and not found:
        there = ", ".join(sorted({item.split for item in items if item.split is not None}))
        raise UsageError(f"{source}: no clip in split {split!r}; there are {there}")
    if not found:
        wanted = "" if name == "folder" else f" of the data set {name}"
        raise UsageError(
            f"{source}: no video file found{wanted} in it or below; give the folder that holds them"
        )
    name = datasets.name_of(source, name)
    return name, make_plan(found, source, target, settings, shard_clips=run.shard_clips)


@dataclass(frozen=True, slots=True)
class _Work:
    """All that one run is about."""

    plan: Plan
    target: Path
    dataset: str
    settings: Settings
    how: Run
    workers: int
    progress: Progress


def _make_all(work: _Work, lock: RunLock, began: float) -> Summary:
    """The run itself, alone in its folder; began: `time.perf_counter` when it was asked for."""
    plan, target, how = work.plan, work.target, work.how
    started = time.time()
    deaths = clear(target)
    if how.division is not None:
        clips = [clip for shard in plan.shards for clip in shard.clips]
        divide.write_down([*clips, *plan.skipped], how.division, work.dataset, target)
    done = kept_shards(plan, target, lock.unclean)
    again = [made["name"] for made in done.values() if made["skipped"]] if how.retry_failed else []
    for shard_name in again:
        del done[shard_name]
    todo = [
        replace(shard, run=lock.run, attempt=deaths.get(Path(shard.name).stem, 0))
        for shard in plan.shards
        if shard.name not in done
    ]
    # The large ones first, so that no worker is left alone with one at the end.
    todo.sort(key=lambda shard: (-shard.weight, shard.name))
    live = Live(work.progress, total=sum(len(shard.clips) for shard in plan.shards), run=lock.run)
    for made in done.values():
        live.kept(made)
    n_kept = len(done)
    try:
        if todo:
            _run(todo, done, live, work.workers, how.scheduler)
    finally:
        if storage.as_remote(target) is None:
            discard(target / SCRATCH)  # and with it whatever an abandoned worker still makes there
    tally = _write_index(work, done)
    seconds = {stage: round(value, 3) for stage, value in live.stages.items()}
    summary = tally.summary(str(target), work.dataset, time.perf_counter() - began, live.frames, seconds)
    summary = replace(summary, retried=len(again))
    stats = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(summary.seconds, 3),
        "workers": live.workers if how.scheduler else work.workers,
        "cluster": how.scheduler is not None,
        "decoded": summary.decoded,
        "fps": round(summary.fps, 1),
        "stages": dict(sorted(summary.stages.items())),
        "shards": len(plan.shards),
        "shards_kept": n_kept,
        "begun_again": live.deaths,
        "clips": summary.n_clips,
        "ok": summary.n_ok,
        "samples": summary.n_samples,
        "frames": summary.n_frames,
        "skipped": {why: len(keys) for why, keys in sorted(summary.skipped.items())},
        "versions": {"tkbench": __version__, "python": platform.python_version(), **media.stack()},
    }
    storage.write_file(target / shards.STATS, json.dumps(stats, indent=1).encode() + b"\n")
    return summary


def _write_index(work: _Work, done: Mapping[str, MadeShard]) -> Tally:
    """Manifest and index over every shard; returns the counts of what went into them."""
    made = [record for _, shard in sorted(done.items()) if (record := shard["record"]) is not None]
    tally = Tally()
    shards.write_index(
        work.target,
        [ShardRecord(**record) for record in made],
        tally.watch(_rows(work.plan, work.target, work.dataset)),
        labels=labels_of(work.plan),
        dataset=work.dataset,
        protocol=PROTOCOL,
        signature=work.settings.signature(),
        settings=as_json(work.settings),
    )
    return tally


def _wanted(item: Clip | Skipped, split: str | None) -> bool:
    return split is None or item.split == split or (isinstance(item, Skipped) and item.split is None)


def _run(
    todo: list[ShardPlan],
    done: dict[str, MadeShard],
    live: Live,
    workers: int,
    scheduler: str | None,
) -> None:
    """Make the shards that are not there yet; each goes to `done` as it is finished."""

    def try_again(shard: ShardPlan, deaths: int) -> ShardPlan:
        live.deaths += 1
        return replace(shard, attempt=max(deaths, shard.attempt), given_up=deaths >= _GIVE_UP_AFTER)

    live.show()
    with pool(workers, items=len(todo), scheduler=scheduler) as workforce:

        def on_message(message: Message) -> None:
            live.workers = max(workforce.workers, 1 if message else 0)
            live.on_message(message)

        for _, made in workforce.run(make_shard, todo, on_message=on_message, on_death=try_again):
            done[made["name"]] = made
            live.finished(made)


def _rows(plan: Plan, target: Path, dataset: str) -> Iterator[Row]:
    """Every row of the manifest in its order, one shard of each split in memory at a time."""

    def of_split(split: str) -> Iterator[Row]:
        for shard in plan.shards:
            if shard.split == split:
                yield from json.loads(stats_file(shard, target).read_text(encoding="utf-8"))["rows"]

    streams: list[Iterable[Row]] = [of_split(split) for split in sorted({s.split for s in plan.shards})]
    root = Path(plan.shards[0].root) if plan.shards else Path()
    streams.append(skipped_row(item, root, dataset) for item in plan.skipped)
    return iter(heapq.merge(*streams, key=lambda row: (row["clip"], row["key"])))
