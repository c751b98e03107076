"""How far the default tracker's landmarks are from those of the mediapipe wheel, clip by clip.

    python scripts/tracker_gap.py videos more/videos --write docs/trackers.md

It needs `mediapipe<0.10.22`, whose runtime the tracker `mediapipe-wheel` uses. Each clip is decoded at 25 frames per
second and tracked four times. Gaps are distances between the same two landmarks, in pixels of the 192 x 192 picture
that the network sees, over all landmarks of all frames in which both trackers have a face:

- same picture: both networks look at the very pixels that the wheel's own track shows;
- exact windows: the package's networks and detectors follow the face by themselves, with windows as the wheel has them;
- default: the same with rounded windows, as preparation has it;
- wheel, disturbed: the wheel against itself, each of its answers moved by up to 1e-5 pixel. What it shows is the
  chaos of exact windows, which no other implementation can undercut.

`frames` counts those in which both have a face; `one only` those in which one of default and wheel has.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from between import rewrite

from tkbench import media
from tkbench.errors import BadMedia
from tkbench.prep import backends
from tkbench.prep.backends.facemesh import MeshTracker
from tkbench.prep.backends.mesh_network import AttentionMesh, MeshNetwork
from tkbench.prep.backends.wheel_mesh import WheelDetector, WheelMesh
from tkbench.prep.backends.window import SIDE
from tkbench.types import Float32, Float64, UInt8

ENDINGS = (".mp4", ".mpg", ".avi", ".mov", ".mkv")
COLUMNS = ("same picture", "exact windows", "default", "wheel, disturbed")


class Both:
    """The wheel's network, beside which the package's looks at the same pictures."""

    def __init__(self) -> None:
        self._wheel, self._own = WheelMesh(), AttentionMesh()
        self.gaps: list[Float32] = []
        """Of each picture with a face, landmark by landmark."""

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """What the wheel answers."""
        points, score = self._wheel(picture)
        if score > 0:
            self.gaps.append(np.linalg.norm(self._own(picture)[0] - points, axis=0))
        return points, score

    def close(self) -> None:
        """Free both."""
        self._wheel.close()
        self._own.close()


class Disturbed:
    """The wheel's network, whose answers are moved by up to 1e-5 pixel."""

    def __init__(self) -> None:
        self._wheel, self._rng = WheelMesh(), np.random.default_rng(0)

    def __call__(self, picture: UInt8) -> tuple[Float32, float]:
        """Points and score."""
        points, score = self._wheel(picture)
        return points + self._rng.uniform(-1e-5, 1e-5, points.shape).astype(np.float32), score

    def close(self) -> None:
        """Free it."""
        self._wheel.close()


def wheel_tracker(network: MeshNetwork) -> MeshTracker:
    """The wheel's detectors and exact windows around a network."""
    return MeshTracker(network=network, near=WheelDetector(), far=WheelDetector(far=True), rounded=False)


def pictures_of(path: Path, limit: int) -> Iterator[UInt8]:
    """The first pictures of a clip, 25 per second."""
    for count, picture in enumerate(media.stream_frames(path, media.probe(path))):
        if count == limit:
            return
        yield picture


def gap(one: Float32 | None, two: Float32 | None) -> Float64 | None:
    """Distances of the same landmarks, in pixels of what the network sees; None where one has no face."""
    if one is None or two is None:
        return None
    size = np.ptp(two[:468], axis=0).max() * 1.5 / SIDE
    return np.asarray(np.linalg.norm(one - two, axis=1) / size, np.float64)


def summary(gaps: list[Float64]) -> str:
    """Median, 99.9th percentile and maximum."""
    values = np.concatenate(gaps)
    return f"{np.median(values):.2g} / {np.quantile(values, 0.999):.2g} / {values.max():.2g}"


def measure(path: Path, limit: int) -> tuple[dict[str, list[Float64]], int, int]:
    """The gaps of each column, frames with a face by both, and by one only."""
    both = Both()
    wheel = wheel_tracker(both)
    others = {
        "exact windows": MeshTracker(rounded=False),
        "default": backends.open_backend(backends.DEFAULT),
        "wheel, disturbed": wheel_tracker(Disturbed()),
    }
    gaps: dict[str, list[Float64]] = {name: [] for name in COLUMNS}
    frames = alone = 0
    for picture in pictures_of(path, limit):
        (theirs,) = wheel.track([picture])
        for name, tracker in others.items():
            (ours,) = tracker.track([picture])
            found = gap(ours, theirs)
            if found is not None:
                gaps[name].append(found)
            if name == "default":
                frames += found is not None
                alone += (ours is None) != (theirs is None)
    gaps["same picture"] = [np.asarray(found, np.float64) for found in both.gaps]
    for tracker in (wheel, *others.values()):
        tracker.close()
    return gaps, frames, alone


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", help="videos, or folders of videos")
    parser.add_argument("--frames", type=int, default=250, help="of each clip, at most (default: 250)")
    parser.add_argument("--write", type=Path, help="a document with the marks <!-- tracker gaps -->")
    options = parser.parse_args()
    backends.check("mediapipe-wheel")
    files = [
        file
        for given in options.clips
        for file in ([given] if given.is_file() else sorted(given.rglob("*")))
        if file.suffix in ENDINGS
    ]
    lines = [f"| clip | frames | one only | {' | '.join(COLUMNS)} |", "|---|--:|--:|" + "---|" * len(COLUMNS)]
    total: dict[str, list[Float64]] = {name: [] for name in COLUMNS}
    counts = np.zeros(2, int)
    for file in files:
        try:
            gaps, frames, alone = measure(file, options.frames)
        except BadMedia as error:
            print(f"{file.name}: left out: {error}", flush=True)
            continue
        counts += frames, alone
        for name in COLUMNS:
            total[name] += gaps[name]
        cells = [summary(gaps[name]) if gaps[name] else "-" for name in COLUMNS]
        lines.append(f"| {file.stem} | {frames} | {alone} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    lines.append(
        f"| **all** | {counts[0]} | {counts[1]} | {' | '.join(summary(total[n]) for n in COLUMNS)} |"
    )
    print(lines[-1])
    if options.write is not None:
        rewrite(options.write, "tracker gaps", "\n".join(lines))


if __name__ == "__main__":
    main()
