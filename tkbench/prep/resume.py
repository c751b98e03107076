"""What an earlier run left in the output folder: what may be overwritten, what is kept, what is removed.

A finished shard is a tar file with its record in stats/, and both get their names only when they are complete.
Everything else (`.scratch/`, `*.partial`, `.gone-*`) was left by a run that was killed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tkbench import shards
from tkbench.errors import BadShards, UsageError
from tkbench.prep.lock import is_running
from tkbench.prep.make import SCRATCH, deaths_of, discard, scratch_of, stats_file
from tkbench.prep.plan import Plan, Settings, ShardPlan
from tkbench.prep.records import MadeShard
from tkbench.runtime import storage
from tkbench.runtime.words import counted

_FRESH = 300
"""Seconds before the last sign of a killed run: shards of that time are read in full when it is resumed."""


def as_json(settings: Settings) -> dict[str, object]:
    """Settings as an index holds them: what JSON gives back; tracks only where they were chosen."""
    table: dict[str, object] = json.loads(json.dumps(asdict(settings)))
    return {name: value for name, value in table.items() if not (name.endswith("_track") and value is None)}


def check_target(target: Path, dataset: str, rules: Settings, plan: Plan, overwrite: bool) -> None:
    """Refuse a folder that holds anything but an unfinished run, or one of the same settings and no other clips."""
    index = target / shards.INDEX
    if index.is_file():
        try:
            old = json.loads(index.read_text(encoding="utf-8"))
            same = old.get("dataset") == dataset and old.get("settings") == as_json(rules)
        except (ValueError, AttributeError):
            same = False
        if not (same or overwrite):
            raise UsageError(
                f"{target}: holds shards of another data set or other settings; choose another folder, or --overwrite"
            )
        if not overwrite and (gone := _gone(target, plan)):
            clips = f"{gone[0]} and {counted(len(gone) - 1, 'clip')} more" if len(gone) > 1 else gone[0]
            raise UsageError(
                f"{target}: holds {clips}, which this run would drop, for want of their videos; choose another "
                "folder, or --overwrite"
            )
    elif target.exists() and not target.is_dir():
        raise UsageError(f"{target}: is a file; give a folder for the shards")
    elif (
        target.is_dir()
        and not (target / "stats").is_dir()
        and any(not entry.name.startswith(".lock") for entry in target.iterdir())
    ):
        raise UsageError(f"{target}: is not empty and holds no shards; choose a new folder")


def _gone(target: Path, plan: Plan) -> list[str]:
    """The prepared clips of a finished folder that a plan has not."""
    try:
        there = shards.open_shards(target).manifest(["clip", "status"])
    except BadShards:
        return []  # damaged: to be made again
    planned = {clip.key for shard in plan.shards for clip in shard.clips} | {
        item.key for item in plan.skipped
    }
    return sorted(set(there["clip"][there["status"] == "ok"]) - planned)


def clear(target: Path) -> dict[str, int]:
    """Remove the old index, so that nobody reads while shards change, and what killed runs left.

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
    for left in parent.glob("*.*.*-*"):
        pid = left.name.split(".")[-1].partition("-")[0]
        if pid.isdigit() and not is_running(int(pid)):
            discard(left)


def kept_shards(plan: Plan, target: Path, unclean: bool) -> dict[str, MadeShard]:
    """The shards that an earlier run finished for the same clips and settings; the files of others go.

    A name and a record appear only after their content is on the disk, so the size is enough to recognise a shard.
    After a crash of the machine the disk may have lost writes that it confirmed: with `unclean`, shards of the last
    minutes are read in full.
    """
    wanted = {Path(shard.name).stem for shard in plan.shards}
    there = [file for file in (target / "stats").iterdir() if file.suffix == ".json"]
    for old in there:
        if old.stem not in wanted:
            old.unlink()
            (target / f"{old.stem}.tar").unlink(missing_ok=True)
    names = {file.stem for file in there}
    candidates = [shard for shard in plan.shards if Path(shard.name).stem in names]
    with ThreadPoolExecutor(16) as threads:
        found = zip(candidates, threads.map(lambda shard: _kept(shard, target), candidates), strict=True)
        kept = {shard.name: made for shard, made in found if made is not None}
    if unclean:
        for name in _damaged(kept, target):
            del kept[name]
    return kept


def _kept(shard: ShardPlan, target: Path) -> MadeShard | None:
    """The record of a finished shard; None where the shard has to be made."""
    try:
        kept: MadeShard = json.loads(stats_file(shard, target).read_text(encoding="utf-8"))
        if kept["digest"] != shard.digest:
            return None
        if kept["record"] is not None and (target / shard.name).stat().st_size != kept["record"]["bytes"]:
            return None
        return {
            "name": kept["name"],
            "digest": kept["digest"],
            "record": kept["record"],
            "clips": kept["clips"],
            "skipped": kept["skipped"],
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _damaged(kept: Mapping[str, MadeShard], target: Path) -> list[str]:
    """Of the shards that were finished last, those whose content is not what their record says."""
    if storage.as_remote(target) is not None:
        return []  # an upload is whole or not there
    records = {name: record for name, made in kept.items() if (record := made["record"]) is not None}
    times = {name: (target / name).stat().st_mtime for name in records}
    last = max(times.values(), default=0.0)
    return [
        name
        for name, when in times.items()
        if when >= last - _FRESH and storage.sha256_of(target / name) != records[name]["sha256"]
    ]
