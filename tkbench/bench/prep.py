"""How fast preparation is, stage by stage, what limits it, and how it compares with the loop people write today.

The measure is time of the processor (user and system, of this process and of ffmpeg), because it changes less
than the clock when something else runs on the machine; frames are those of the source file. Stages are taken
from the fastest of several whole runs, so they add up to what it took.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tkbench import media, shards
from tkbench.bench.plain import DETECTORS, HELD, Plain, measure_plain
from tkbench.errors import BadMedia, UsageError
from tkbench.prep import backends, datasets
from tkbench.prep.pipeline import prepare_clip
from tkbench.prep.plan import Settings
from tkbench.prep.scene import Scene, look_at
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.timing import cpu_seconds, peak_bytes
from tkbench.types import Clip, MediaFacts, Reason

STAGES = ("probe", "look", "decode", "encode", "track", "write")
"""In order: headers and hash, the first look at the faces, decoding and scaling, the canvas and the sound,
tracking, all the rest."""
FORMER = "mediapipe-wheel"
"""The default tracker as it was: the same networks in the runtime of an old wheel of mediapipe."""
_WORK = ("decode", "encode", "track")
"""The stages that cannot be left out."""
_LIMITS = {
    "probe": "reading headers and packet times",
    "look": "decoding and searching a few pictures for faces",
    "decode": "ffmpeg's decoder, scaling and the pipe",
    "encode": "x264, which only an input that needs no new canvas escapes",
    "track": "the tracker's network; mediapipe-plain has the smallest",
    "write": "receipts, FLAC and the tar file",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """One clip by one tracker: seconds of processor time per stage in the fastest of several runs."""

    key: str
    group: str
    """Picture size and codec."""
    backend: str
    frames: int
    seconds: dict[str, float]
    wall: float

    @property
    def total(self) -> float:
        """All stages."""
        return sum(self.seconds.values())


@dataclass(slots=True)
class Report:
    """What a bench run measured."""

    timings: list[Timing] = field(default_factory=list)
    plain: dict[str, list[Plain]] = field(default_factory=dict)
    """Group -> the plain loop on the same clips; empty where it was left out."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(key, why) of clips that cannot be prepared."""
    without: str = ""
    """Why the former tracker is not among them, where it was wanted and cannot run."""
    peak_bytes: int = 0
    """Largest memory of this process and its largest ffmpeg, together."""

    def rows(self) -> dict[tuple[str, str], list[Timing]]:
        """(group, tracker) -> timings, groups in sorted order, trackers as they were asked for."""
        trackers = list(dict.fromkeys(timing.backend for timing in self.timings))
        out: dict[tuple[str, str], list[Timing]] = {}
        for group in sorted({timing.group for timing in self.timings}):
            for name in trackers:
                part = [t for t in self.timings if (t.group, t.backend) == (group, name)]
                if part:
                    out[group, name] = part
        return out

    def fps(self, group: str, backend: str = backends.DEFAULT) -> float:
        """Source frames per second of one core, all stages together."""
        part = self.rows()[group, backend]
        return sum(timing.frames for timing in part) / sum(timing.total for timing in part)

    def plain_fps(self, group: str, detector: str = "full") -> float:
        """The same of the plain loop with one of its detectors."""
        part = self.plain[group]
        return sum(run.frames for run in part) / sum(run.seconds(detector) for run in part)

    def shares(self, group: str, backend: str = backends.DEFAULT) -> dict[str, float]:
        """Stage -> its share of the time."""
        part = self.rows()[group, backend]
        total = sum(timing.total for timing in part)
        return {stage: sum(timing.seconds[stage] for timing in part) / total for stage in STAGES}

    def over_former(self) -> dict[str, float]:
        """Group -> speed of tracking by the default over that by the former tracker, where both were measured."""
        spent = {key: sum(timing.seconds["track"] for timing in part) for key, part in self.rows().items()}
        return {
            group: spent[group, FORMER] / spent[group, backends.DEFAULT]
            for group, backend in spent
            if backend == backends.DEFAULT and (group, FORMER) in spent
        }

    def table(self) -> Any:
        """A rich table: frames/s of each stage alone, per group and tracker."""
        from rich.table import Table

        out = Table(title="Preparation, frames/s on one core (each stage alone)", title_justify="left")
        for name in ("group", "tracker", "clips", "frames", *STAGES, "all", "wall"):
            out.add_column(name, justify="left" if name in ("group", "tracker") else "right")
        for (group, backend), part in self.rows().items():
            frames = sum(timing.frames for timing in part)
            speeds = []
            for stage in STAGES:
                spent = sum(timing.seconds[stage] for timing in part)
                speeds.append(f"{frames / spent:.0f}" if spent > 1e-4 * len(part) else "-")
            wall = frames / sum(timing.wall for timing in part)
            every = f"{self.fps(group, backend):.0f}"
            out.add_row(group, backend, str(len(part)), str(frames), *speeds, every, f"{wall:.0f}")
        return out

    def comparison(self) -> Any:
        """A rich table: preparation against the plain loop, per group and tracker."""
        from rich.table import Table

        title = (
            "Against the plain loop (OpenCV, one face detection per frame, JPEG crops) with three detectors, "
        )
        out = Table(title=title + "frames/s on one core", title_justify="left")
        out.add_column("group")
        out.add_column("tracker")
        out.add_column("tkbench", justify="right")
        for name in DETECTORS.values():
            out.add_column(name, justify="right")
            out.add_column("ratio", justify="right")
        for group, backend in self.rows():
            mine = self.fps(group, backend)
            cells = []
            for detector in DETECTORS:
                theirs = self.plain_fps(group, detector)
                if math.isnan(theirs):
                    cells += ["-", "-"]
                    out.caption = "This OpenCV has no Haar cascade; the one of opencv-contrib-python has."
                else:
                    cells += [f"{theirs:.3g}", f"{mine / theirs:.2f}"]
            out.add_row(group, backend, f"{mine:.0f}", *cells)
        return out

    def verdict(self) -> str:
        """One line per group and tracker: the speed and what limits it; then memory and what was left out."""
        lines = []
        for group, backend in self.rows():
            shares = self.shares(group, backend)
            worst = max(shares, key=lambda stage: shares[stage])
            work = sum(shares[stage] for stage in _WORK)
            lines.append(
                f"{group}, {backend}: {self.fps(group, backend):.0f} frames/s per core; the limit is {worst} "
                f"({_LIMITS[worst]}), {shares[worst]:.0%}; decoding, encoding and tracking are {work:.0%}, so at most "
                f"{1 - work:.0%} could be saved elsewhere"
            )
        lines += [
            f"{group}: {backends.DEFAULT} tracks {ratio:.2f} times as fast as {FORMER}, which it replaced"
            for group, ratio in self.over_former().items()
        ]
        if self.without:
            lines.append(f"not compared with the tracker before it: {self.without}")
        if self.plain:
            runtimes = sorted({run.runtime for part in self.plain.values() for run in part})
            lines += [
                "plain loop: full-range as auto_avsr has it; short-range misses small faces; the cascade is timed on "
                "some frames, and sees large pictures whole. None makes landmarks, checks or receipts. "
                f"MediaPipe's networks ran in {' and '.join(runtimes)}.",
                f"Of a clip with more than {HELD / 1e9:.0f} GB of pictures it takes the first part.",
            ]
        lines.append(f"memory: {self.peak_bytes / 1e6:.0f} MB at most, this process and its ffmpeg together")
        lines += [f"left out: {key}: {why}" for key, why in self.skipped]
        return "\n".join(lines)


def bench_prep(
    root: str | Path,
    *,
    repeat: int = 3,
    per_group: int = 3,
    trackers: Sequence[str] | None = None,
    plain: bool = True,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Report:
    """Measure every stage on the first `per_group` usable clips of each picture size below `root`.

    trackers: names of `backends.BACKENDS`, compared on the same clips; by default the default tracker, and the one
    before it where mediapipe's wheel has its runtime. plain: also run the plain loop. The process is pinned to one
    core meanwhile, where the system allows that. Raises UsageError for a folder without clips,
    WeightsMissing for a tracker that cannot start.
    """
    source = Path(root).absolute()
    if not source.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds the videos")
    report = Report()
    if trackers is None:
        trackers = [backends.DEFAULT]
        try:
            backends.check(FORMER)
            trackers.append(FORMER)
        except UsageError as error:
            report.without = str(error)
    for name in trackers:
        backends.check(name)
    rules = [replace(settings or Settings(), backend=name) for name in dict.fromkeys(trackers)]
    found = [item for item in datasets.read(datasets.detect(source), source) if isinstance(item, Clip)]
    if not found:
        raise UsageError(f"{root}: no video file found in it or below")
    chosen: dict[str, list[tuple[Clip, MediaFacts]]] = {}
    steps = len(found) + (len(found) if plain else 0)
    with _one_core():
        for done, clip in enumerate(found):
            progress(done, steps, clip.key)
            try:
                facts = media.probe(clip.path)
                group = f"{facts.width}x{facts.height} {facts.video_codec}"
                if len(chosen.get(group, ())) >= per_group:
                    continue
                report.timings += [measure(clip, facts, group, rule, repeat) for rule in rules]
                chosen.setdefault(group, []).append((clip, facts))
            except BadMedia as error:
                report.skipped.append((clip.key, str(error)))
        # Before the plain loop, which holds whole videos.
        report.peak_bytes = peak_bytes()
        done = len(found)
        for group, part in chosen.items() if plain else ():
            for clip, facts in part:
                progress(done, steps, f"{clip.key}, plain loop")
                report.plain.setdefault(group, []).append(measure_plain(clip.path, facts.n_frames, repeat))
                done += 1
        progress(steps, steps, "measured")
    return report


def measure(clip: Clip, facts: MediaFacts, group: str, settings: Settings, repeat: int) -> Timing:
    """Time one clip; raises BadMedia where it cannot be prepared."""
    with tempfile.TemporaryDirectory(prefix="tkbench-bench-") as folder:
        scratch = Path(folder)
        # The first run loads networks and disk caches, and tells whether the clip can be used at all.
        outcome = prepare_clip(clip, settings, scratch)
        if not outcome.samples:
            row = outcome.rows[0]
            raise BadMedia(Reason(row["reason"]), row["detail"])
        runs = [_whole(clip, settings, scratch) for _ in range(repeat)]
        total, stages, _ = min(runs, key=lambda run: run[0])
        scene = look_at(clip.path, facts, settings, clip=clip)
        alone = min(_decode(clip, facts, scene) for _ in range(repeat))
    fed = stages["decode"]
    seconds = {stage: stages.get(stage, 0.0) for stage in STAGES}
    seconds["decode"] = min(alone, fed)
    seconds["encode"] = fed - seconds["decode"]
    seconds["write"] = max(0.0, total - sum(seconds[stage] for stage in STAGES if stage != "write"))
    return Timing(clip.key, group, settings.backend, facts.n_frames, seconds, min(run[2] for run in runs))


def _whole(clip: Clip, settings: Settings, scratch: Path) -> tuple[float, dict[str, float], float]:
    """Processor time of the whole way from file to shard, its stages, and wall time."""
    start, clock = cpu_seconds(), time.perf_counter()
    with shards.ShardWriter(scratch / "bench.tar") as writer:
        outcome = prepare_clip(clip, settings, scratch)
        for key, members in outcome.samples:
            writer.add(key, members)
        writer.commit(clip.split)
    return cpu_seconds() - start, outcome.cpu, time.perf_counter() - clock


def _decode(clip: Clip, facts: MediaFacts, scene: Scene) -> float:
    """Processor time of decoding and scaling alone."""
    start = cpu_seconds()
    frames = media.stream_frames(
        clip.path,
        facts,
        media.FrameSelection(interval=scene.interval),
        media.PictureFormat(cut=scene.cut, pixels="yuv420p"),
    )
    for _ in frames:
        pass
    return cpu_seconds() - start


@contextmanager
def _one_core() -> Iterator[None]:
    """Run on one core only, ffmpeg too, and give the others back afterwards.

    Threads of numpy's BLAS too: as in a worker of a preparation there is one. A second one has nothing to do here, and
    spins on another core while it waits, which would count as our time.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(usable) > 1:
        os.sched_setaffinity(0, {max(usable)})
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)
        if len(usable) > 1:
            os.sched_setaffinity(0, usable)
