"""Face trackers behind one interface: pictures in order -> landmarks of one face.

A backend is named in the settings, in the signature of every shard and beside every sample, because landmarks
of two networks are not the same points. What each needs is known before its library is imported.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from tkbench import weights
from tkbench.errors import UnknownName, UsageError, WeightsMissing
from tkbench.registry import suggest
from tkbench.types import POINT_SETS, Float32, UInt8

DEFAULT = "mediapipe"


class Backend(Protocol):
    """Follows one face through the pictures of one shot."""

    def restart(self) -> None:
        """Forget the face: at a cut, and before a clip, so that results never depend on what was before."""

    def track(self, pictures: Sequence[UInt8]) -> list[Float32 | None]:
        """Next pictures of the shot, each (H, W, 3) RGB and C-contiguous -> for each (N, 2) float32 in its
        pixels, or None without a face. At most `Info.batch` pictures, all of one size.
        """

    def detect(self, picture: UInt8, *, far: bool = False) -> Float32:
        """Every face of a single picture: (N, 5) float32 x0, y0, x1, y1 and the score; best score first.

        far: look for faces that are small in the picture, where that is another network.
        """

    def close(self) -> None:
        """Free the network; safe to call twice."""


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of a backend without importing it."""

    name: str
    target: str
    """"module:Class" below this package."""
    points: str
    """The set of points that it gives, one of `types.POINT_SETS`."""
    what: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    """Names in the weights registry that the user has to fetch; none for networks that the package or a wheel
    brings."""
    packages: tuple[str, ...] = ()
    """Distributions that it needs and whose version changes its landmarks."""
    below: tuple[int, ...] | None = None
    """The version of the first of `packages` from which on it does not work."""
    batch: int = 1
    """Pictures that it takes at once."""
    revision: int = 1
    """Raised when its landmarks change, though neither name nor network do. Of Face Mesh, 1 was the graph of the
    mediapipe wheel; 2 looks the window up itself; 3 runs the networks in LiteRT and rounds the window. Each moved
    the landmarks by a few hundredths of a pixel of 192."""
    enough: float = 220.0
    """Side of a face's box, pixels, from which on half of the picture holds all that the network looks at."""

    @property
    def n_points(self) -> int:
        """Landmarks of a face."""
        return POINT_SETS[self.points]

    def signature(self) -> str:
        """Name, points, weights and packages in one word."""
        parts = [self.points, *(f"{name}@{weights.get(name).pin[:8]}" for name in self.weights)]
        parts += [f"{name}-{_version(name)}" for name in self.packages]
        name = self.name if self.revision == 1 else f"{self.name}/{self.revision}"
        return f"track:{name}({','.join(parts)})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


_FAN = Info(
    "face-alignment",
    "fan:FanTracker",
    "ibug68",
    "S3FD and 2DFAN4 of the face-alignment package, on the processor",
    options={"device": "cpu"},
    weights=("s3fd", "fan-2d"),
    packages=("face-alignment", "torch"),
    # On a processor a batch saves no time (0.4 s for S3FD and 0.6 s for FAN per frame of 256 x 256) and costs memory.
    # FAN sees a face's box with 125 of its 256 pixels.
    enough=250.0,
)
BACKENDS: dict[str, Info] = {
    info.name: info
    for info in (
        Info(
            "mediapipe",
            "facemesh:MeshTracker",
            "mesh478",
            "MediaPipe Face Mesh with refined lips, eyes and irises (the default)",
            options={"refined": "all"},
            revision=3,
        ),
        Info(
            "mediapipe-lips",
            "facemesh:MeshTracker",
            "mesh468",
            "MediaPipe Face Mesh with refined lips alone: the default's lips, a tenth faster",
            options={"refined": "lips"},
            revision=3,
        ),
        Info(
            "mediapipe-plain",
            "facemesh:MeshTracker",
            "mesh468",
            "MediaPipe Face Mesh without refinement: a fifth less work, lips less exact",
            options={"refined": "none"},
            revision=3,
        ),
        Info(
            "mediapipe-tasks",
            "tasks:TaskTracker",
            "mesh478",
            "MediaPipe Tasks, face_landmarker.task: the steadiest points, a third of the speed",
            weights=("face-landmarker",),
            packages=("mediapipe",),
            # It looks at a face with 256 x 256 pixels where Face Mesh has 192.
            enough=293.0,
        ),
        Info(
            "mediapipe-wheel",
            "wheel_mesh:WheelTracker",
            "mesh478",
            "the networks of mediapipe in the runtime of the mediapipe<0.10.22 wheel, to compare with",
            packages=("mediapipe",),
            below=(0, 10, 22),
        ),
        _FAN,
        replace(
            _FAN,
            name="face-alignment-cuda",
            what="the same on a CUDA device, in larger batches",
            options={"device": "cuda"},
            batch=16,
        ),
    )
}
"""In the order in which they are listed."""


def info(name: str) -> Info:
    """The facts of a backend; raises UnknownName with the nearest ones."""
    if name not in BACKENDS:
        raise UnknownName(f"no face tracker is called {name!r}: {suggest(name, list(BACKENDS))}")
    return BACKENDS[name]


def check(name: str) -> None:
    """Raise what opening the backend would raise for want of packages or weights, before any work is done.

    UsageError names the package; WeightsMissing says the one command that brings all weights here. Nothing is ever
    downloaded on the way.
    """
    facts = info(name)
    for package in facts.packages:
        found = _version(package)
        if found == "none":
            raise UsageError(
                f"the face tracker {name} needs the package {package}, which is not installed: run "
                f"`pip install {package}`, or use the tracker {DEFAULT}"
            )
        limit = ".".join(map(str, facts.below or ()))
        if package == facts.packages[0] and facts.below is not None and _numbers(found) >= facts.below:
            raise UsageError(
                f"the face tracker {name} needs {package}<{limit}, found {found}: run "
                f"`pip install '{package}<{limit}'`, or use the tracker {DEFAULT}"
            )
    missing = []
    for weight in facts.weights:
        try:
            weights.find(weight)
        except WeightsMissing:
            missing.append(weight)
    if missing:
        raise WeightsMissing(
            f"the face tracker {name} needs weights that are not in {weights.folder()}: run "
            f"`tkbench weights fetch {' '.join(missing)}` (or `tkbench weights add {missing[0]} FILE`)"
        )


def _numbers(found: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", found.partition("+")[0])[:3]))


def open_backend(name: str) -> Backend:
    """A new tracker. Raises UnknownName, WeightsMissing, WeightsRefused, or UsageError without its device."""
    facts = info(name)
    check(name)
    module, _, attribute = facts.target.partition(":")
    tracker: Backend = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)(**facts.options)
    return tracker


@lru_cache(maxsize=2)
def shared(name: str) -> Backend:
    """The process's own tracker: networks take 50 ms and more to start, a short clip takes 300.

    Restart it before use.
    """
    return open_backend(name)
