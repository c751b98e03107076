"""Whether this machine computes the numbers that others compute: what is installed, and golden values per stage.

A clip of 1.6 s that comes with the package passes through every stage: file, frames, sound, MFCC, landmarks, box, crop,
embeddings, distances. Of each stage a hash and some of its values are kept. Each stage takes the output of the one
before, as in a real run, so the first stage that differs between two machines is where their numbers diverge.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench import media, weights
from tkbench.crops import align
from tkbench.errors import UsageError
from tkbench.runtime import feature_cache
from tkbench.runtime.parallel import one_thread, usable_cores
from tkbench.runtime.progress import Progress, silent
from tkbench.types import Array
from tkbench.version import __version__

FORMAT = "tkbench-doctor-1"
N_VALUES = 64
"""Values kept of each stage, spread evenly over it."""
PACKAGES = (
    "ai-edge-litert", "av", "dask", "face-alignment", "ffmpeg-python", "imageio-ffmpeg", "librosa", "lpips",
    "mediapipe", "numpy", "opencv-contrib-python", "pandas", "pyarrow", "pytorch-fid", "scikit-image", "scipy",
    "torch", "torchvision",
)  # fmt: skip

SCORED_BY = ("av", *feature_cache.LIBRARIES)
"""Those that a bundle's `stack` names."""

Verdict = Literal["same", "close", "different"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the computation on this machine."""

    name: str
    what: str
    shape: tuple[int, ...]
    sha256: str
    """Of the bytes of the values in memory."""
    values: tuple[float, ...]
    """At most `N_VALUES` of them, evenly spaced."""
    close: float
    """The largest difference of a value that changes no printed digit; 0 where values must be equal to the bit."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Examination:
    """What `tkbench doctor` found."""

    format: str
    machine: Mapping[str, str]
    stack: Mapping[str, str]
    weights: Mapping[str, str]
    """Name -> bundled, here, missing or wrong-hash."""
    stages: tuple[Stage, ...]

    def to_json(self) -> str:
        """The file that `compare` reads."""
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Difference:
    """One stage on two machines."""

    stage: str
    what: str
    verdict: Verdict
    gap: float
    """Largest difference of the kept values; inf where the shapes differ."""
    detail: str


@dataclass(slots=True)
class _Stages:
    """Runs the stages one by one, and records each."""

    progress: Progress
    done: list[Stage] = field(default_factory=list)
    total: int = 11

    def run(self, name: str, what: str, make: Callable[[], Array], *, close: float = 0.0) -> Array:
        self.progress(len(self.done), self.total, what)
        begin = time.perf_counter()
        values = np.ascontiguousarray(make())
        seconds = time.perf_counter() - begin
        flat = values.reshape(-1)
        places = np.linspace(0, len(flat) - 1, min(N_VALUES, len(flat))).round().astype(int)
        some = tuple(float(value) for value in flat[places])
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        self.done.append(Stage(name, what, values.shape, digest, some, close, round(seconds, 4)))
        return values


def golden_clip() -> Path:
    """The clip that passes through the stages: 40 frames of a synthetic face, H.264 and AAC."""
    return Path(str(resources.files("tkbench") / "assets" / "doctor.mp4"))


def golden() -> Examination:
    """The examination of the machine that made the package's golden values."""
    return read(Path(str(resources.files("tkbench") / "assets" / "doctor.json")))


def examine(clip: Path | None = None, *, progress: Progress = silent) -> Examination:
    """Examine this machine, and run every stage on a clip: that of the package, or `clip`.

    Raises BadMedia where the clip cannot be decoded, UsageError where no face is found in it.
    """
    source = clip or golden_clip()
    stack = media.stack()
    with one_thread():
        stages = tuple(_stages(source, progress))
    return Examination(
        FORMAT,
        machine(),
        {
            **_versions(),
            "ffmpeg": stack["ffmpeg"] + (" (TKBENCH_FFMPEG)" if os.environ.get("TKBENCH_FFMPEG") else ""),
        },
        {weight.name: weights.state_of(weight) for weight in weights.known().values()},
        stages,
    )


def machine() -> dict[str, str]:
    """The hardware and the system, in words."""
    import torch

    facts = {
        "tkbench": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": str(usable_cores()),
        "cpu features": str(torch.backends.cpu.get_cpu_capability()),
    }
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return facts | {"gpu": ", ".join(names) or "none"}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _stages(clip: Path, progress: Progress) -> list[Stage]:
    """Every stage of a score, each from the output of the one before."""
    from tkbench.metrics.image import ssim
    from tkbench.metrics.mfcc import mfcc
    from tkbench.metrics.sync import judge_crops, load_judge, lse, sync_curve
    from tkbench.prep.backends.facemesh import MeshTracker

    stages = _Stages(progress)
    stages.run("file", "bytes of the clip", lambda: np.frombuffer(clip.read_bytes(), np.uint8))
    frames = stages.run("frames", "decoded pictures, RGB", lambda: media.read_video(clip))
    pcm = stages.run("sound", "16 kHz mono, 16 bit", lambda: media.to_int16(media.read_audio(clip)))
    cepstra = stages.run("mfcc", "13 cepstra at 100 Hz", lambda: mfcc(pcm), close=1e-6)

    def track() -> Array:
        with MeshTracker() as tracker:
            found = tracker.track([np.ascontiguousarray(frame) for frame in frames])
        if any(points is None for points in found):
            raise UsageError(
                f"{clip.name}: no face in {sum(p is None for p in found)} of {len(found)} frames"
            )
        return np.array(found, np.float32)

    # Two hundredths of a pixel change no printed digit of a score.
    points = stages.run("landmarks", "Face Mesh points, pixels", track, close=0.02)
    stages.run("box", "box of the landmarks, pixels", lambda: align.boxes_of(points), close=0.02)
    stages.run(
        "receipt", "crop matrices of syncnet-224", lambda: align.matrices(points, "syncnet-224"), close=0.02
    )
    crops = stages.run("crop", "aligned crops", lambda: align.crop(frames, points, "syncnet-224"), close=1.0)
    stages.run("ssim", "SSIM of each crop and the next", lambda: ssim(crops[:-1], crops[1:]), close=5e-5)

    judge = load_judge(weights.find("syncnet-synth"))

    def embed() -> Array:
        lips = judge.lips(judge_crops(frames, points, judge.spec))
        voice = judge.voice(cepstra)
        n = min(len(lips), len(voice))
        return np.stack([lips[:n], voice[:n]])

    both = stages.run("features", "embeddings of lips and voice", embed, close=1e-4)

    def distances() -> Array:
        curve = sync_curve(both[0], both[1])
        return np.array([*lse(curve), *curve])

    stages.run("distances", "LSE-C, LSE-D, AVOffset and the curve", distances, close=5e-4)
    progress(stages.total, stages.total, "done")
    return stages.done


def read(path: Path) -> Examination:
    """The examination in a file that `tkbench doctor --out` wrote. Raises UsageError for another file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise UsageError(
                f"{path}: format {record['format']!r}, expected {FORMAT!r}; make it again with tkbench doctor"
            )
        stages = tuple(
            Stage(**{**stage, "shape": tuple(stage["shape"]), "values": tuple(stage["values"])})
            for stage in record["stages"]
        )
        return Examination(FORMAT, record["machine"], record["stack"], record["weights"], stages)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); make it with tkbench doctor --out FILE"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: not a file that tkbench doctor --out wrote ({type(error).__name__})"
        ) from error


def compare(one: Examination, two: Examination) -> list[Difference]:
    """Compare two examinations stage by stage; a stage that only one of them has is different."""
    theirs = {stage.name: stage for stage in two.stages}
    out = []
    for stage in one.stages:
        other = theirs.pop(stage.name, None)
        if other is None:
            out.append(Difference(stage.name, stage.what, "different", float("inf"), "only in the first"))
        else:
            out.append(_difference(stage, other))
    out += [
        Difference(s.name, s.what, "different", float("inf"), "only in the second") for s in theirs.values()
    ]
    return out


def _difference(one: Stage, two: Stage) -> Difference:
    if one.sha256 == two.sha256 and one.shape == two.shape:
        return Difference(one.name, one.what, "same", 0.0, "every bit")
    if one.shape != two.shape:
        return Difference(one.name, one.what, "different", float("inf"), f"shape {one.shape} and {two.shape}")
    gap = float(np.abs(np.array(one.values) - np.array(two.values)).max())
    limit = max(one.close, two.close)
    verdict: Verdict = "close" if gap <= limit and limit > 0 else "different"
    return Difference(
        one.name, one.what, verdict, gap, f"largest of {len(one.values)} values: {gap:.2g}, limit {limit:g}"
    )


def first_difference(found: list[Difference]) -> Difference | None:
    """The first stage that is different; None where every stage is the same or close."""
    return next((item for item in found if item.verdict == "different"), None)


def in_short(found: list[Difference]) -> str:
    """What two machines differ in, in one clause: the largest gap of each stage that is not the same.

    >>> in_short([Difference("mfcc", "", "close", 2e-14, ""), Difference("file", "", "same", 0.0, "")])
    'mfcc 2e-14 (close), the other 1 of 2 stages the same'
    """
    same = sum(item.verdict == "same" for item in found)
    gaps = [f"{item.stage} {item.gap:.2g} ({item.verdict})" for item in found if item.verdict != "same"]
    if not gaps:
        return f"all {len(found)} stages the same to the bit"
    return f"{', '.join(gaps)}, the other {same} of {len(found)} stages the same"


def stack_of(examined: Examination) -> dict[str, str]:
    """The software of a machine by the names that bundles give it: packages that scores pass through, and the CPU."""
    named = {
        name: examined.stack[name] for name in SCORED_BY if examined.stack.get(name, "missing") != "missing"
    }
    cpu = examined.machine.get("cpu features")
    return {**named, **({"cpu": cpu} if cpu else {})}


def changed_versions(one: Examination, two: Examination) -> list[tuple[str, str, str]]:
    """(what, there, here) of every part of the stack and machine that is not the same."""
    out = []
    for left, right in ((one.stack, two.stack), (one.machine, two.machine), (one.weights, two.weights)):
        names = sorted({*left, *right})
        out += [(n, left.get(n, "-"), right.get(n, "-")) for n in names if left.get(n) != right.get(n)]
    return out
