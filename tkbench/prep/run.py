"""Prepare a folder: plan, make each shard on its own, write the index last.

A shard is made under a temporary name and renamed; its record in stats/ follows. So a killed run, started
again, goes on at the next shard, and the bytes are the same for any number of workers.
"""

from __future__ import annotations

import heapq
import json
import platform
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tkbench import __version__, media, shards, storage
from tkbench.errors import StorageError, UsageError
from tkbench.parallel import pool
from tkbench.prep import backends, readers
from tkbench.prep.live import Live
from tkbench.prep.lock import RunLock
from tkbench.prep.make import SCRATCH, deaths_of, discard, make_shard, scratch_of, skipped_row, stats_file
from tkbench.prep.plan import PROTOCOL, Plan, Settings, ShardPlan, make_plan
from tkbench.progress import Progress, silent
from tkbench.shards import ShardRecord
from tkbench.types import FPS, Clip, Skipped

_HOPELESS = 10
"""Deaths at one shard after which its clips are given up, also where they had processes of their own."""
_FRESH = 300
"""Seconds before the last sign of a killed run: shards of that time are read in full when it is resumed."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run gave. Numbers of clips; a clip that was split is one clip and several samples."""

    out: str
    dataset: str
    n_clips: int
    n_samples: int
    n_frames: int
    """Frames at 25 fps in the samples."""
    skipped: Mapping[str, tuple[str, ...]]
    """Reason -> keys of the clips."""
    split_clips: tuple[str, ...]
    """Clips that became several samples."""
    seconds: float
    """Wall time of this run."""
    decoded: int
    """Frames that this run decoded; fewer than there are where it resumed."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds per stage, summed over workers."""
    retried: int = 0
    """Finished shards that were made again for the skipped clips in them."""

    @property
    def n_ok(self) -> int:
        """Clips that gave at least one sample."""
        return self.n_clips - sum(len(keys) for keys in self.skipped.values())

    @property
    def fps(self) -> float:
        """Frames per second of wall time, all workers together."""
        return self.decoded / self.seconds if self.seconds > 0 and self.decoded else 0.0

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (what, count, which) as the command line prints them."""
        minutes = self.n_frames / FPS / 60
        rows = [
            ("ok", str(self.n_ok), f"{self.n_samples} samples, {self.n_frames} frames, {minutes:.1f} minutes")
        ]
        if self.split_clips:
            rows.append(("of these split", str(len(self.split_clips)), _some(self.split_clips)))
        rows += [
            (f"skipped: {why}", str(len(keys)), _some(keys)) for why, keys in sorted(self.skipped.items())
        ]
        if self.retried:
            rows.append(
                ("retried", str(self.retried), "shards with skipped clips, each made again as a whole")
            )
        speed = f"{self.decoded} frames in {self.seconds:.1f} s" if self.decoded else "nothing was left to do"
        rows.append(("frames/s", f"{self.fps:.0f}", speed))
        return rows


def _some(keys: tuple[str, ...], most: int = 6) -> str:
    more = f" and {len(keys) - most} more: manifest.parquet" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


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
        _check_target(target, name, rules, overwrite)
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
    name = readers.detect(source) if dataset == "auto" else dataset
    items = list(readers.registry.get(name)(source, **(options or {})))
    found = [item for item in items if _wanted(item, split)]
    if items and not found:
        there = ", ".join(sorted({item.split for item in items if item.split is not None}))
        raise UsageError(f"{source}: no clip in split {split!r}; there are {there}")
    if not found:
        raise UsageError(f"{source}: no video file found; looked for the data set {name!r} in it and below")
    name = readers.name_of(source, name)
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
    deaths = _clear(target)
    done = _kept_shards(plan, target, lock.unclean)
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
    tally = _Tally()
    shards.write_index(
        target,
        records,
        tally.watch(_rows(plan, target, name)),
        dataset=name,
        protocol=PROTOCOL,
        signature=rules.signature(),
        settings=_plain(asdict(rules)),
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


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _check_target(target: Path, dataset: str, rules: Settings, overwrite: bool) -> None:
    """Refuse a folder that holds anything but an unfinished or equal run."""
    index = target / shards.INDEX
    if index.is_file():
        try:
            old = json.loads(index.read_text(encoding="utf-8"))
            same = old.get("dataset") == dataset and old.get("settings") == _plain(asdict(rules))
        except (ValueError, AttributeError):
            same = False
        if not (same or overwrite):
            raise UsageError(
                f"{target}: holds shards of another data set or other settings; choose another folder"
            )
    elif target.exists() and not target.is_dir():
        raise UsageError(f"{target}: is a file; give a folder for the shards")
    elif (
        target.is_dir()
        and not (target / "stats").is_dir()
        and any(not entry.name.startswith(".lock") for entry in target.iterdir())
    ):
        raise UsageError(f"{target}: is not empty and holds no shards; choose a new folder")


def _clear(target: Path) -> dict[str, int]:
    """Take away the old index, so that nobody reads while shards change, and what killed runs left.

    Returns, for each shard that a process died at, how often that has happened.
    """
    (target / shards.INDEX).unlink(missing_ok=True)
    (target / shards.STATS).unlink(missing_ok=True)
    (target / "stats").mkdir(exist_ok=True)
    deaths: dict[str, int] = {}
    if storage.as_remote(target) is not None:
        _clear_scratch_of_the_dead(scratch_of(target))
        return deaths
    for left in [*target.glob(".*.partial"), *(target / "stats").glob(".*.partial")]:
        left.unlink()
    for left in (target / SCRATCH).glob("*.*.*"):
        stem = left.name.split(".")[0]
        deaths[stem] = max(deaths.get(stem, 0), deaths_of(left) + 1)
    discard(target / SCRATCH)
    for left in target.glob(".gone-*"):
        shutil.rmtree(left, ignore_errors=True)
    return deaths


def _clear_scratch_of_the_dead(parent: Path) -> None:
    """Below TMPDIR other runs may be at work: only what belongs to no process goes."""
    from tkbench.prep.lock import is_running

    for left in parent.glob("*.*.*-*"):
        pid = left.name.split(".")[-1].partition("-")[0]
        if pid.isdigit() and not is_running(int(pid)):
            discard(left)


def _kept_shards(plan: Plan, target: Path, unclean: bool) -> dict[str, dict[str, Any]]:
    """The shards that an earlier run finished for the same clips and settings; the files of others go.

    A name and a record appear only after their content is on the disk, so sizes are enough to know a shard. Where
    a machine went down, that rests on the disk's word: the shards of the last minutes are read in full then.
    """
    wanted = {Path(shard.name).stem for shard in plan.shards}
    there = [file for file in (target / "stats").iterdir() if file.suffix == ".json"]
    for old in there:
        if old.stem not in wanted:
            old.unlink()
            (target / f"{old.stem}.tar").unlink(missing_ok=True)
    names = {file.stem for file in there}
    candidates = [shard for shard in plan.shards if Path(shard.name).stem in names]
    with ThreadPoolExecutor(16) as crew:
        found = zip(candidates, crew.map(lambda shard: _kept(shard, target), candidates), strict=True)
        kept = {shard.name: made for shard, made in found if made is not None}
    if unclean:
        for name in _damaged(kept, target):
            del kept[name]
    return kept


def _kept(shard: ShardPlan, target: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(stats_file(shard, target).read_text(encoding="utf-8"))
        if kept["digest"] != shard.digest:
            return None
        if kept["record"] is not None and (target / shard.name).stat().st_size != kept["record"]["bytes"]:
            return None
        return {name: kept[name] for name in ("name", "digest", "record", "clips", "skipped")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _damaged(kept: Mapping[str, Mapping[str, Any]], target: Path) -> list[str]:
    """Of the shards that were finished last, those whose content is not what their record says."""
    if storage.as_remote(target) is not None:
        return []  # an upload is whole or not there
    times = {
        name: (target / name).stat().st_mtime for name, made in kept.items() if made["record"] is not None
    }
    last = max(times.values(), default=0.0)
    return [
        name
        for name, when in times.items()
        if when >= last - _FRESH and shards.hash_file(target / name) != kept[name]["record"]["sha256"]
    ]


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

        for _, made in crew.run(make_shard, todo, hear=hear, killed=again):
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


class _Tally:
    """Counts rows as they pass; the rows themselves are not kept."""

    def __init__(self) -> None:
        self.good: Counter[str] = Counter()
        self.bad: dict[str, str] = {}
        self.frames = 0

    def watch(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            if row["status"] == "ok":
                self.good[row["clip"]] += 1
                self.frames += row["n_frames"]
            else:
                self.bad.setdefault(row["clip"], row["reason"])
            yield row

    def summary(
        self, out: str, dataset: str, seconds: float, decoded: int, stages: Mapping[str, float]
    ) -> Summary:
        skipped: dict[str, list[str]] = {}
        for clip, reason in sorted(self.bad.items()):
            if clip not in self.good:
                skipped.setdefault(reason, []).append(clip)
        return Summary(
            out=out,
            dataset=dataset,
            n_clips=len(self.good.keys() | self.bad.keys()),
            n_samples=self.good.total(),
            n_frames=self.frames,
            skipped={why: tuple(keys) for why, keys in skipped.items()},
            split_clips=tuple(sorted(clip for clip, count in self.good.items() if count > 1)),
            seconds=seconds,
            decoded=decoded,
            stages=stages,
        )
