"""Prepare a folder: plan, make each shard on its own, write the index last.

A shard is made under a temporary name and renamed; its record in stats/ follows. So a killed run, started
again, goes on at the next shard, and the bytes are the same for any number of workers.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tkbench import shards
from tkbench.errors import UsageError
from tkbench.parallel import pool
from tkbench.prep import readers
from tkbench.prep.plan import PROTOCOL, Plan, Settings, ShardPlan, make_plan, relative
from tkbench.progress import Progress, silent
from tkbench.shards import ShardRecord, ShardWriter
from tkbench.types import FPS, Clip, Reason, Skipped


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
    shard_clips: int | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    reader_options: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Summary:
    """Prepare every clip below `root` and write shards, manifest and index to `out`.

    dataset: a reader's name, or "auto". split: only clips of this split. workers: processes; the bytes do not
    depend on it. shard_clips: clips per shard, by default from the size of the corpus. overwrite: replace
    shards in `out` that another folder or other settings made, which is refused otherwise. reader_options: what
    the reader takes besides the root (hdtf: annotations, a folder).

    A clip that cannot be used gets a row with its reason. Raises UsageError for a root without a clip,
    UnknownName for a data set that no reader knows.
    """
    began = time.perf_counter()
    source, target = Path(root).absolute(), Path(out).absolute()
    if not source.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds the videos")
    name = readers.detect(source) if dataset == "auto" else dataset
    found = [
        item for item in readers.registry.get(name)(source, **(reader_options or {})) if _wanted(item, split)
    ]
    if not found:
        which = f" in split {split!r}" if split else ""
        raise UsageError(
            f"{root}: no video file found{which}; looked for the data set {name!r} in it and below"
        )
    rules = settings or Settings()
    plan = make_plan(found, source, target, rules, shard_clips=shard_clips)
    _make_room(target, name, rules, overwrite)
    done, decoded, stages = _run(plan, target, workers, progress)
    rows = [row for part in done.values() for row in part["rows"]]
    rows += [_skipped_row(item, source, name) for item in plan.skipped]
    records = [ShardRecord(**part["record"]) for part in done.values() if part["record"] is not None]
    shards.write_index(
        target,
        records,
        rows,
        dataset=name,
        protocol=PROTOCOL,
        signature=rules.signature(),
        settings=_plain(asdict(rules)),
    )
    summary = _summarise(rows, target, name, time.perf_counter() - began, decoded, stages)
    stats: dict[str, Any] = {
        "seconds": summary.seconds,
        "workers": workers,
        "decoded": decoded,
        "fps": summary.fps,
    }
    stats |= {"stages": stages, "ok": summary.n_ok, "samples": summary.n_samples}
    stats["skipped"] = {why: len(keys) for why, keys in summary.skipped.items()}
    shards.write_file(target / shards.STATS, json.dumps(stats, indent=1).encode() + b"\n")
    return summary


def _wanted(item: Clip | Skipped, split: str | None) -> bool:
    return split is None or item.split == split or (isinstance(item, Skipped) and item.split is None)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _make_room(target: Path, dataset: str, rules: Settings, overwrite: bool) -> None:
    """Take the old index away, so that nobody reads while shards change; refuse what another run made."""
    target.mkdir(parents=True, exist_ok=True)
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
        index.unlink()
    elif not (target / "stats").is_dir() and any(target.iterdir()):
        raise UsageError(f"{target}: is not empty and holds no shards; choose a new folder")
    for left in target.glob(".*.partial"):
        left.unlink()
    shutil.rmtree(target / ".scratch", ignore_errors=True)
    (target / "stats").mkdir(exist_ok=True)


def _run(
    plan: Plan, target: Path, workers: int, progress: Progress
) -> tuple[dict[str, dict[str, Any]], int, dict[str, float]]:
    """Make the shards that are not there yet: {name: record and rows}, frames decoded, seconds per stage."""
    wanted = {shard.name for shard in plan.shards}
    for old in sorted((target / "stats").glob("*.json")):
        if f"{old.stem}.tar" not in wanted:
            old.unlink()
            (target / f"{old.stem}.tar").unlink(missing_ok=True)
    done = {shard.name: kept for shard in plan.shards if (kept := _kept(shard, target)) is not None}
    # The large ones first, so that no worker is left alone with one at the end.
    todo = sorted(
        (shard for shard in plan.shards if shard.name not in done), key=lambda s: (-s.weight, s.name)
    )
    total = sum(len(shard.clips) for shard in plan.shards)
    clips, decoded, skipped, began = (
        total - sum(len(shard.clips) for shard in todo),
        0,
        0,
        time.perf_counter(),
    )
    stages: dict[str, float] = defaultdict(float)
    progress(clips, total, f"{len(done)} shards were there" if done else "clips")
    with pool(workers, items=len(todo)) as crew:
        for index, made in crew.run(make_shard, todo):
            shard = todo[index]
            done[shard.name] = made
            clips += len(shard.clips)
            decoded += made["decoded"]
            for stage, value in made["seconds"].items():
                stages[stage] += value
            skipped += len({row["clip"] for row in made["rows"] if row["status"] != "ok"})
            speed = decoded / max(time.perf_counter() - began, 1e-6)
            progress(clips, total, f"{speed:.0f} frames/s" + (f", {skipped} skipped" if skipped else ""))
    shutil.rmtree(target / ".scratch", ignore_errors=True)
    return (
        {name: done[name] for name in sorted(done)},
        decoded,
        {k: round(v, 3) for k, v in sorted(stages.items())},
    )


def _kept(shard: ShardPlan, target: Path) -> dict[str, Any] | None:
    """The record of a shard that an earlier run finished for the same clips and settings."""
    try:
        kept = json.loads(_stats_file(shard, target).read_text(encoding="utf-8"))
        if kept["digest"] != shard.digest:
            return None
        if kept["record"] is not None and (target / shard.name).stat().st_size != kept["record"]["bytes"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(kept)


def _stats_file(shard: ShardPlan, target: Path) -> Path:
    return target / "stats" / f"{Path(shard.name).stem}.json"


def make_shard(plan: ShardPlan) -> dict[str, Any]:
    """One unit of work: prepare the clips of a shard and write it. Returns its record, rows and times.

    A clip that cannot be used, for whatever reason, becomes a row; only a full disk or the like ends the run.
    """
    from tkbench.prep.pipeline import Outcome, prepare_clip

    target = Path(plan.out)
    (target / shards.STATS).unlink(missing_ok=True)
    scratch = target / ".scratch" / Path(plan.name).stem
    rows: list[dict[str, Any]] = []
    seconds: dict[str, float] = defaultdict(float)
    decoded = 0
    record: ShardRecord | None = None
    with ShardWriter(target / plan.name) as writer:
        for clip in plan.clips:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            try:
                outcome = prepare_clip(clip, plan.settings, scratch)
            except OSError:
                raise  # disk full, permissions: true for every clip that follows
            except Exception as error:  # one clip must not end a run of days; the row says what happened
                detail = f"{type(error).__name__}: {error}"
                outcome = Outcome(rows=[_failed_row(clip, Reason.INTERNAL_ERROR, detail)])
            offsets = {key: writer.add(key, members) for key, members in outcome.samples}
            for row in outcome.rows:
                row["path"] = relative(clip.path, plan.root)
                if row["status"] == "ok":
                    row |= {"shard": plan.name, "offset": offsets[row["key"]]}
                rows.append(row)
            for stage, value in outcome.seconds.items():
                seconds[stage] += value
            decoded += outcome.frames
        if writer.count:
            record = writer.commit(plan.split)
    shutil.rmtree(scratch, ignore_errors=True)
    made = {
        "digest": plan.digest,
        "record": asdict(record) if record is not None else None,
        "rows": rows,
        "decoded": decoded,
        "seconds": {stage: round(value, 3) for stage, value in sorted(seconds.items())},
    }
    shards.write_file(
        _stats_file(plan, target), json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"
    )
    return made


def _failed_row(clip: Clip, reason: Reason, detail: str) -> dict[str, Any]:
    return {
        "key": clip.key,
        "clip": clip.key,
        "dataset": clip.dataset,
        "split": clip.split,
        "speaker": clip.speaker,
        "text": clip.text,
        "status": "skipped",
        "reason": reason.value,
        "detail": detail,
    }


def _skipped_row(item: Skipped, root: Path, dataset: str) -> dict[str, Any]:
    return {
        "key": item.key,
        "clip": item.key,
        "path": relative(item.path, root),
        "dataset": dataset,
        "split": None,
        "status": "skipped",
        "reason": item.reason.value,
        "detail": item.detail,
    }


def _summarise(
    rows: list[dict[str, Any]],
    out: Path,
    dataset: str,
    seconds: float,
    decoded: int,
    stages: Mapping[str, float],
) -> Summary:
    ok = [row for row in rows if row["status"] == "ok"]
    good = Counter(row["clip"] for row in ok)
    skipped: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["key"]):
        if (
            row["status"] != "ok"
            and row["clip"] not in good
            and row["clip"] not in skipped.get(row["reason"], [])
        ):
            skipped.setdefault(row["reason"], []).append(row["clip"])
    return Summary(
        out=str(out),
        dataset=dataset,
        n_clips=len({row["clip"] for row in rows}),
        n_samples=len(ok),
        n_frames=sum(row["n_frames"] for row in ok),
        skipped={why: tuple(keys) for why, keys in skipped.items()},
        split_clips=tuple(sorted(clip for clip, count in good.items() if count > 1)),
        seconds=seconds,
        decoded=decoded,
        stages=stages,
    )
