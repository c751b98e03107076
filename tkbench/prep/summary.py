"""The counts that a run prints at its end and returns, taken from the rows of the manifest as they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tkbench.prep.records import Row
from tkbench.runtime.words import counted
from tkbench.types import FPS


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
    partly_kept: Mapping[str, float] = field(default_factory=dict)
    """Clip -> share of its frames that are in its samples, where that is not all of them."""
    kept: float = 1.0
    """Share of the frames of all clips with a sample that are in the samples."""
    retried: int = 0
    """Finished shards that were made again for the skipped clips in them."""

    @property
    def n_ok(self) -> int:
        """Clips that gave at least one sample."""
        return self.n_clips - sum(len(keys) for keys in self.skipped.values())

    def why_none(self) -> str:
        """Where no clip can be used: how many were looked at, and why none is left, in words.

        >>> Summary("s", "own", 2, 0, 0, {"no sound": ("a",), "unreadable": ("b",)}, (), 1.0, 0).why_none()
        'no clip of 2 can be used (no sound: a; unreadable: b)'
        """
        reasons = "; ".join(f"{why}: {_some(keys, 3)}" for why, keys in sorted(self.skipped.items()))
        return f"no clip of {self.n_clips} can be used ({reasons})"

    @property
    def fps(self) -> float:
        """Frames per second of wall time, all workers together."""
        return self.decoded / self.seconds if self.seconds > 0 and self.decoded else 0.0

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (what, count, which) as the command line prints them."""
        minutes = self.n_frames / FPS / 60
        rows = [
            (
                "ok",
                str(self.n_ok),
                f"{counted(self.n_samples, 'sample')}, {counted(self.n_frames, 'frame')}, {minutes:.1f} minutes",
            )
        ]
        if self.split_clips:
            rows.append(("of these split", str(len(self.split_clips)), _some(self.split_clips)))
        if self.partly_kept:
            least = sorted(self.partly_kept, key=lambda clip: (self.partly_kept[clip], clip))
            shown = tuple(f"{clip} {self.partly_kept[clip]:.0%}" for clip in least)
            rows.append(("frames kept", f"{self.kept:.1%}", _some(shown)))
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


class Tally:
    """Counts rows as they pass; the rows themselves are not kept."""

    def __init__(self) -> None:
        self.good: Counter[str] = Counter()
        self.bad: dict[str, str] = {}
        self.frames = 0
        self.kept: dict[str, float] = {}
        self.promised = 0.0

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if row["status"] == "ok":
                self.good[row["clip"]] += 1
                self.frames += row["n_frames"]
                share = row.get("kept") or 1.0
                self.kept[row["clip"]] = self.kept.get(row["clip"], 0.0) + share
                if self.good[row["clip"]] == 1:
                    self.promised += row["n_frames"] / share
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
            partly_kept={clip: share for clip, share in self.kept.items() if share < 0.9995},
            kept=min(1.0, self.frames / self.promised) if self.promised else 1.0,
        )
