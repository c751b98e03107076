"""What a run has done so far, counted clip by clip: for the progress line, and for stats.json."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from tkbench.prep.records import ClipNews, MadeShard
from tkbench.runtime.parallel import Message
from tkbench.runtime.progress import Progress


@dataclass(slots=True)
class _Counts:
    """Of a shard that is being made."""

    clips: int = 0
    frames: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


class Live:
    """Counts of a run while it goes on. Workers send a message per clip; a finished shard replaces their counts."""

    def __init__(self, progress: Progress, *, total: int, run: str) -> None:
        self._progress, self._run = progress, run
        self.total = total
        self.clips = 0
        """Clips of finished shards, those of earlier runs included."""
        self.frames = 0
        """Frames that this run decoded in finished shards."""
        self.skipped: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()
        self.deaths = 0
        """Shards that were in the hands of a worker that died."""
        self._open: dict[str, _Counts] = {}
        self._began = self._shown = time.perf_counter()
        self.workers = 1

    def kept(self, made: MadeShard) -> None:
        """A shard that an earlier run finished."""
        self.clips += made["clips"]
        self.skipped.update(made["skipped"])

    def finished(self, made: MadeShard) -> None:
        """A shard that this run finished."""
        self._open.pop(made["name"], None)
        self.kept(made)
        self.frames += made["decoded"]
        self.stages.update(made["seconds"])
        self.show()

    def on_message(self, message: Message) -> None:
        """A message of a worker: {run, shard, clip (None: begins anew), frames, reason}; empty: time goes on."""
        if message and message.get("run") == self._run:
            news = cast(ClipNews, message)
            mine = self._open.setdefault(news["shard"], _Counts())
            if news["clip"] is None:
                self._open[news["shard"]] = _Counts()
                return
            mine.clips += 1
            mine.frames += news["frames"]
            if news["reason"]:
                mine.skipped[news["reason"]] += 1
        # Redrawn a few times a second at most, however small the clips are.
        if time.perf_counter() - self._shown > 0.2:
            self.show()

    def show(self) -> None:
        """Redraw the line."""
        self._shown = time.perf_counter()
        # A shard may have been finished before its last messages came in.
        clips = self.clips + sum(part.clips for part in self._open.values())
        frames = self.frames + sum(part.frames for part in self._open.values())
        skipped = self.skipped + sum((part.skipped for part in self._open.values()), Counter())
        speed = frames / max(self._shown - self._began, 1e-6)
        parts = [f"{speed:.0f} frames/s"] if self.workers else ["waiting for workers"]
        if skipped:
            which = ", ".join(f"{why} {count}" for why, count in skipped.most_common(3))
            parts.append(f"{skipped.total()} skipped ({which}{', ...' if len(skipped) > 3 else ''})")
        if self.deaths:
            parts.append(f"{self.deaths} shards begun again as their worker died")
        self._progress(min(clips, self.total), self.total, ", ".join(parts))
