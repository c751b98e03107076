"""How fast preparation is, stage by stage, and what limits it.

The measure is time of the processor (user and system, of this process and of ffmpeg), because it hardly
changes when something else runs on the machine; frames are those of the source file. `wall` is one run on one
core, clock in hand.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tkbench import media, shards
from tkbench.errors import BadMedia, UsageError
from tkbench.prep import pipeline, readers
from tkbench.prep.follow import Follower
from tkbench.prep.plan import Settings
from tkbench.progress import Progress, silent
from tkbench.types import Clip, MediaFacts, Reason

STAGES = ("probe", "look", "decode", "encode", "track", "write")
"""In order: headers and hash, the first look at the faces, decoding and scaling, the canvas, tracking, all
the rest."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One clip: seconds of processor time per stage, the best of several runs."""

    key: str
    group: str
    frames: int
    seconds: dict[str, float]
    total: float
    wall: float


@dataclass(slots=True)
class Report:
    """What a bench run measured."""

    timings: list[Timing] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(key, why) of clips that cannot be prepared."""
    peak_bytes: int = 0
    """Largest memory of this process and its largest ffmpeg, together."""

    def groups(self) -> dict[str, list[Timing]]:
        """Timings by picture size and codec, in sorted order."""
        names = sorted({timing.group for timing in self.timings})
        return {name: [timing for timing in self.timings if timing.group == name] for name in names}

    def fps(self, group: str) -> float:
        """Source frames per second of one core, all stages together."""
        part = self.groups()[group]
        return sum(timing.frames for timing in part) / sum(timing.total for timing in part)

    def limit(self, group: str) -> tuple[str, float]:
        """The stage that takes most of the time, and its share."""
        part = self.groups()[group]
        spent = {stage: sum(timing.seconds[stage] for timing in part) for stage in STAGES}
        worst = max(spent, key=lambda stage: spent[stage])
        return worst, spent[worst] / max(sum(spent.values()), 1e-9)

    def table(self) -> Any:
        """A rich table: frames/s of each stage alone, per group."""
        from rich.table import Table

        out = Table(title="Preparation, frames/s on one core (each stage alone)", title_justify="left")
        for name in ("group", "clips", "frames", *STAGES, "all", "wall"):
            out.add_column(name, justify="left" if name == "group" else "right")
        for name, part in self.groups().items():
            frames = sum(timing.frames for timing in part)
            speeds = []
            for stage in STAGES:
                spent = sum(timing.seconds[stage] for timing in part)
                speeds.append(f"{frames / spent:.0f}" if spent > 1e-4 * len(part) else "-")
            wall = frames / sum(timing.wall for timing in part)
            out.add_row(name, str(len(part)), str(frames), *speeds, f"{self.fps(name):.0f}", f"{wall:.0f}")
        return out

    def verdict(self) -> str:
        """One line per group: the speed and what limits it; then memory and what was left out."""
        lines = []
        for name in self.groups():
            stage, share = self.limit(name)
            lines.append(
                f"{name}: {self.fps(name):.0f} frames/s per core; the limit is {stage} ({share:.0%})"
            )
        lines.append(f"memory: {self.peak_bytes / 1e6:.0f} MB at most, this process and its ffmpeg together")
        lines += [f"left out: {key}: {why}" for key, why in self.skipped]
        return "\n".join(lines)


def bench_prep(
    root: str | Path,
    *,
    repeat: int = 3,
    per_group: int = 3,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Report:
    """Measure every stage on the first `per_group` usable clips of each picture size below `root`.

    The process is pinned to one core meanwhile, where the system allows that. Raises UsageError for a folder
    without clips.
    """
    source = Path(root).absolute()
    if not source.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds the videos")
    rules = settings or Settings()
    found = [item for item in readers.registry.get(readers.detect(source))(source) if isinstance(item, Clip)]
    if not found:
        raise UsageError(f"{root}: no video file found in it or below")
    report = Report()
    taken: dict[str, int] = {}
    with _one_core():
        for done, clip in enumerate(found):
            progress(done, len(found), clip.key)
            try:
                facts = media.probe(clip.path)
                group = f"{facts.width}x{facts.height} {facts.video_codec}"
                if taken.get(group, 0) >= per_group:
                    continue
                report.timings.append(measure(clip, facts, group, rules, repeat))
                taken[group] = taken.get(group, 0) + 1
            except BadMedia as error:
                report.skipped.append((clip.key, str(error)))
        progress(len(found), len(found), "measured")
    report.peak_bytes = _peak(resource.RUSAGE_SELF) + _peak(resource.RUSAGE_CHILDREN)
    return report


def measure(clip: Clip, facts: MediaFacts, group: str, settings: Settings, repeat: int) -> Timing:
    """Time one clip; raises BadMedia where it cannot be prepared."""
    with tempfile.TemporaryDirectory(prefix="tkbench-bench-") as folder:
        scratch = Path(folder)
        # The first run loads networks and disk caches, and tells whether the clip can be used at all.
        outcome = pipeline.prepare_clip(clip, settings, scratch)
        if not outcome.samples:
            row = outcome.rows[0]
            raise BadMedia(Reason(row["reason"]), row["detail"])
        runs = [_stages(clip, facts, settings, scratch) for _ in range(repeat)]
        best = {stage: min(run[stage] for run in runs) for stage in runs[0]}
        totals = [_whole(clip, settings, scratch) for _ in range(repeat)]
    total, wall = min(cpu for cpu, _ in totals), min(clock for _, clock in totals)
    best["encode"] = max(0.0, best.pop("decode and encode") - best["decode"])
    best["write"] = max(0.0, total - sum(best.values()))
    return Timing(clip.key, group, facts.n_frames, {stage: best[stage] for stage in STAGES}, total, wall)


def _stages(clip: Clip, facts: MediaFacts, settings: Settings, scratch: Path) -> dict[str, float]:
    spent = {}
    start = _cpu()
    media.probe(clip.path)
    pipeline.hash_file(Path(clip.path))
    spent["probe"] = _cpu() - start
    start = _cpu()
    scene = pipeline.look_at(clip.path, facts, settings)
    spent["look"] = _cpu() - start
    start = _cpu()
    for _ in media.stream_frames(clip.path, facts=facts, cut=scene.cut, pixels="yuv420p"):
        pass
    spent["decode"] = _cpu() - start
    how: Any = "copy" if pipeline.may_copy(facts, scene) else settings.quality(clip.split)
    follower = Follower(scene.face, scene.cut, settings)
    tracked = 0.0
    start = _cpu()
    for planes in media.stream_frames(
        clip.path,
        facts=facts,
        cut=scene.cut,
        pixels="yuv420p",
        canvas=scratch / "canvas.mp4",
        canvas_quality=how,
        sound=scratch / "sound.s16",
    ):
        before = time.process_time()
        list(follower.step(planes))
        tracked += time.process_time() - before
    before = time.process_time()
    list(follower.drain())
    tracked += time.process_time() - before
    spent["decode and encode"] = _cpu() - start - tracked
    spent["track"] = tracked
    return spent


def _whole(clip: Clip, settings: Settings, scratch: Path) -> tuple[float, float]:
    """(processor time, wall time) of the whole way from file to shard."""
    start, clock = _cpu(), time.perf_counter()
    with shards.ShardWriter(scratch / "bench.tar") as writer:
        for key, members in pipeline.prepare_clip(clip, settings, scratch).samples:
            writer.add(key, members)
        writer.commit(clip.split)
    return _cpu() - start, time.perf_counter() - clock


def _cpu() -> float:
    """User and system time of this process and of every child that has ended, seconds."""
    parts: Sequence[Any] = [
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return float(sum(part.ru_utime + part.ru_stime for part in parts))


def _peak(who: int) -> int:
    # Linux counts in kilobytes, macOS in bytes.
    return int(resource.getrusage(who).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def _one_core() -> Iterator[None]:
    """Run on one core only, ffmpeg too, and give the others back afterwards."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(usable) > 1:
        os.sched_setaffinity(0, {max(usable)})
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        if len(usable) > 1:
            os.sched_setaffinity(0, usable)
