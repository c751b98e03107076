"""What the stages of a study cost: seconds of the processor, kept in a file beside their results.

A stage is a training, or the scores of one network or video. One that is stopped and taken up again has the sum. Time
of the processor and not of the clock is counted, so that other work on the machine does not show.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tkbench.runtime.storage import write_file

NAME = "times.json"


class Times:
    """The stages of a study whose results lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.seconds = read(self.path)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Counts what is done within it, and keeps that also where it is interrupted."""
        stage = Stage(self, name)
        try:
            yield stage
        finally:
            stage.tick(every=0.0)

    def total(self) -> float:
        """Hours of all stages."""
        return sum(self.seconds.values()) / 3600

    def longest(self) -> float:
        """Minutes of the longest one; 0 without any."""
        return max(self.seconds.values(), default=0.0) / 60


class Stage:
    """One that is under way."""

    def __init__(self, times: Times, name: str) -> None:
        self.times, self.name = times, name
        self.before = times.seconds.get(name, 0.0)
        self.begun = self.told = used()

    def tick(self, every: float = 10.0) -> None:
        """Keep what was used up to now, where that is `every` seconds more than is kept: a kill loses no more."""
        now = used()
        if now - self.told < every:
            return
        self.told = now
        self.times.seconds[self.name] = round(self.before + now - self.begun, 1)
        self.times.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.times.seconds, indent=1, sort_keys=True) + "\n"
        write_file(self.times.path, text.encode())


def used() -> float:
    """Seconds of the processor by this process and by those of its children that have ended."""
    return sum(os.times()[:4])


def read(path: Path) -> dict[str, float]:
    """Stage -> seconds; empty where there is no file."""
    if not path.is_file():
        return {}
    return {str(name): float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
