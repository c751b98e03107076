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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tkbench import media, shards
from tkbench.errors import StorageError, UsageError
from tkbench.prep import backends, datasets
from tkbench.prep.live import Live
from tkbench.prep.lock import RunLock
from tkbench.prep.make import SCRATCH, discard, make_shard, skipped_row, stats_file
from tkbench.prep.plan import PROTOCOL, Plan, Settings, ShardPlan, make_plan
from tkbench.prep.resume import check_target, clear, kept_shards, plain
from tkbench.prep.summary import Summary, Tally
from tkbench.runtime import storage
from tkbench.runtime.parallel import pool
from tkbench.runtime.progress import Progress, silent
from tkbench.shards import ShardRecord
from tkbench.types import Clip, Skipped
from tkbench.version import __version__

_HOPELESS = 10
"""Deaths at one shard after which its clips are given up, also where they had processes of their own."""


def prepare(
    root: str | Path,
    out: str | Path,
    *,
    dataset: str = "auto",
    split: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    shard_clips: int | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    reader_options: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Summary:
    """Prepare every clip below `root` and write shards, manifest and index to `out`.

    root, out: folders, or URLs that fsspec knows (`s3://bucket/lrs2`). dataset: a reader's name, or "auto".
    split: only clips of this split. workers: processes; the bytes do not depend on it. scheduler: the address of
    a Dask cluster to use instead, whose workers see `root` and `out` under the same names. shard_clips: clips per
    shard, by default from the size of the corpus. overwrite: replace shards in `out` that another folder or other
    settings made, which is refused otherwise. retry_failed: also remake finished shards in which clips were
    skipped; what was ok in them keeps its bytes. reader_options: what the reader takes besides the root (hdtf:
    annotations, a folder).

    A clip that cannot be used gets a row with its reason. Raises UsageError for a root without a clip,
    UnknownName for a data set that no reader knows, StorageError where `out` is full, closed or in use.
    """
    began = time.perf_counter()
    rules = settings or Settings()
    backends.check(rules.backend)
    source, target = storage.place(root), storage.place(out)
    if (workers > 1 or scheduler) and not (
        storage.in_other_processes(source) and storage.in_other_processes(target)
    ):
        raise UsageError("memory:// is seen by one process alone: use one worker, or another place")
    name, plan = plan_run(
        source, target, dataset, rules, split=split, shard_clips=shard_clips, options=reader_options
    )
    try:
        check_target(target, name, rules, overwrite)
        target.mkdir(parents=True, exist_ok=True)
        with RunLock(target) as lock:
            return _locked(plan, target, name, rules, lock, workers, scheduler, retry_failed, progress, began)
    except StorageError:
        raise
    except OSError as error:
        raise storage.explain(error, target) from error


def plan_run(
    source: Path,
    target: Path,
    dataset: str,
    settings: Settings,
    *,
    split: str | None = None,
    shard_clips: int | None = None,
    options: Mapping[str, str] | None = None,
) -> tuple[str, Plan]:
    """The data set's name and the plan, from `place`d folders. Raises UsageError for a root without a clip."""
    if not source.is_dir():
        raise UsageError(f"{source}: not a folder; give the folder that holds the videos")
    name = datasets.detect(source) if dataset == "auto" else dataset
    record = datasets.registry.get(name)
    record.refuse_unknown(options or {})
    items = list(record.read(source, **(options or {})))
    found = [item for item in items if _wanted(item, split)]
    if items and not found:
        there = ", ".join(sorted({item.split for item in items if item.split is not None}))
        raise UsageError(f"{source}: no clip in split {split!r}; there are {there}")
    if not found:
        raise UsageError(f"{source}: no video file found; looked for the data set {name!r} in it and below")
    name = datasets.name_of(source, name)
    return name, make_plan(found, source, target, settings, shard_clips=shard_clips)


def _locked(
    plan: Plan,
    target: Path,
    name: str,
    rules: Settings,
    lock: RunLock,
    workers: int,
    scheduler: str | None,
    retry_failed: bool,
    progress: Progress,
    began: float,
) -> Summary:
    """The run itself, alone in its folder."""
    started = time.time()
    deaths = clear(target)
    done = kept_shards(plan, target, lock.unclean)
    again = [made["name"] for made in done.values() if made["skipped"]] if retry_failed else []
    for shard_name in again:
        del done[shard_name]
    todo = [
        replace(shard, run=lock.run, attempt=deaths.get(Path(shard.name).stem, 0))
        for shard in plan.shards
        if shard.name not in done
    ]
    # The large ones first, so that no worker is left alone with one at the end.
    todo.sort(key=lambda shard: (-shard.weight, shard.name))
    live = Live(progress, total=sum(len(shard.clips) for shard in plan.shards), run=lock.run)
    for made in done.values():
        live.kept(made)
    n_kept = len(done)
    try:
        if todo:
            _run(todo, done, live, workers, scheduler)
    finally:
        if storage.as_remote(target) is None:
            discard(target / SCRATCH)  # and with it whatever an abandoned worker still makes there
    records = [
        ShardRecord(**made["record"]) for _, made in sorted(done.items()) if made["record"] is not None
    ]
    tally = Tally()
    shards.write_index(
        target,
        records,
        tally.watch(_rows(plan, target, name)),
        dataset=name,
        protocol=PROTOCOL,
        signature=rules.signature(),
        settings=plain(asdict(rules)),
    )
    summary = tally.summary(
        str(target),
        name,
        time.perf_counter() - began,
        live.frames,
        {k: round(v, 3) for k, v in live.stages.items()},
    )
    summary = replace(summary, retried=len(again))
    stats: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(summary.seconds, 3),
        "workers": live.workers if scheduler else workers,
        "cluster": scheduler is not None,
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


def _wanted(item: Clip | Skipped, split: str | None) -> bool:
    return split is None or item.split == split or (isinstance(item, Skipped) and item.split is None)


def _run(
    todo: list[ShardPlan],
    done: dict[str, dict[str, Any]],
    live: Live,
    workers: int,
    scheduler: str | None,
) -> None:
    """Make the shards that are not there yet; each goes to `done` as it is finished."""

    def again(shard: ShardPlan, deaths: int) -> ShardPlan:
        live.deaths += 1
        return replace(shard, attempt=max(deaths, shard.attempt), given_up=deaths >= _HOPELESS)

    live.show()
    with pool(workers, items=len(todo), scheduler=scheduler) as crew:

        def hear(message: Mapping[str, Any]) -> None:
            live.workers = max(crew.workers, 1 if message else 0)
            live.hear(message)

        for _, made in crew.run(make_shard, todo, on_message=hear, on_death=again):
            done[made["name"]] = made
            live.finished(made)


def _rows(plan: Plan, target: Path, dataset: str) -> Iterator[dict[str, Any]]:
    """Every row of the manifest in its order, one shard of each split in memory at a time."""

    def of_split(split: str) -> Iterator[dict[str, Any]]:
        for shard in plan.shards:
            if shard.split == split:
                yield from json.loads(stats_file(shard, target).read_text(encoding="utf-8"))["rows"]

    streams: list[Iterable[dict[str, Any]]] = [
        of_split(split) for split in sorted({s.split for s in plan.shards})
    ]
    root = Path(plan.shards[0].root) if plan.shards else Path()
    streams.append(skipped_row(item, root, dataset) for item in plan.skipped)
    return iter(heapq.merge(*streams, key=lambda row: (row["clip"], row["key"])))
