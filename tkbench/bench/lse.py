"""The speed of LSE beside that of the published script, on the same files with the same random weights.

`reference` does what SyncNetInstance_calc_scores.py does (Wav2Lip, after syncnet_python): pictures and sound
through files, float32 windows of five frames, Conv3d on batches of 20, one process on all cores. The other forms are
the LSE recipe `wav2lip-lrs` of this package, on as many processes as cores with one thread each. All start from the
video file, so every figure includes decoding. The network is the published one; its weights are drawn from a seed,
since its speed does not depend on them.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.media import lossy
from tkbench.metrics.lse import score_pieces
from tkbench.metrics.lse_pieces import Piece, shrunk
from tkbench.metrics.mfcc import mfcc
from tkbench.runtime.parallel import pool
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.timing import cpu_seconds
from tkbench.runtime.words import counted
from tkbench.types import Float32

if TYPE_CHECKING:
    from rich.table import Table

    from tkbench.metrics.syncnet import Judge, SyncNet

SIDE, BATCH, SHIFT = 224, 20, 15
FORMS = ("reference", "exact", "bf16")
SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".mpg", ".webm")


@dataclass(frozen=True, slots=True)
class Timing:
    """One form on all clips."""

    form: str
    wall: float
    """Wall time in seconds, the best of the repeats."""
    cpu: float
    """Seconds of processors, user and system, children included, in that run."""
    values: tuple[tuple[float, float, int], ...]
    """(LSE-C, LSE-D, AVOffset) per clip."""


@dataclass(slots=True)
class Report:
    """What `bench_lse` measured."""

    clips: int
    windows: int
    workers: int
    timings: list[Timing] = field(default_factory=list)

    def gap(self, timing: Timing) -> float:
        """Largest difference of LSE-C or LSE-D from the reference's."""
        pairs = zip(timing.values, self.timings[0].values, strict=True)
        return max(abs(a - b) for mine, other in pairs for a, b in zip(mine[:2], other[:2], strict=True))

    def table(self) -> Table:
        """A rich table: seconds, windows per second, and how many times the reference's speed."""
        from rich.table import Table

        title = (
            f"LSE of {counted(self.clips, 'clip')}, {counted(self.windows, 'window')}, "
            f"{counted(self.workers, 'core')}, decoding included"
        )
        out = Table(title=title, title_justify="left")
        for name in ("form", "wall s", "windows/s", "x", "CPU s", "x (CPU)", "largest gap"):
            out.add_column(name, justify="left" if name == "form" else "right")
        first = self.timings[0]
        for timing in self.timings:
            out.add_row(
                timing.form,
                f"{timing.wall:.2f}",
                f"{self.windows / timing.wall:.1f}",
                f"{first.wall / timing.wall:.2f}",
                f"{timing.cpu:.2f}",
                f"{first.cpu / timing.cpu:.2f}",
                f"{self.gap(timing):.1e}",
            )
        return out


def bench_lse(
    root: Path | None = None,
    *,
    workers: int = 2,
    repeat: int = 1,
    seconds: float = 6.0,
    forms: Sequence[str] = FORMS,
    progress: Progress = silent,
) -> Report:
    """Time every form on the videos below `root`, or on one made-up clip per core of `seconds` each.

    A first pass over the shortest clip loads networks and is not timed. Raises UsageError for a folder without
    clips of at least 1 s.
    """
    with tempfile.TemporaryDirectory(prefix="tkbench-bench-") as folder:
        paths = _found(root) if root is not None else make_clips(Path(folder), workers, seconds)
        windows = sum(min(len(lossy.jpegs_of(path)), len(lossy.sound_of(path)) // 640) - 5 for path in paths)
        report = Report(len(paths), windows, workers)
        for done, form in enumerate(forms):
            progress(done, len(forms), form)
            report.timings.append(_measure(form, paths, workers, repeat))
        progress(len(forms), len(forms), "measured")
    return report


def _found(root: Path) -> list[Path]:
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds the videos")
    paths = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in SUFFIXES]
    kept = []
    for path in paths:
        facts = media.probe(path)
        if facts.duration >= 1 and facts.sample_rate is not None:
            kept.append(path)
    if not kept:
        raise UsageError(f"{root}: no video with sound of at least 1 s ({', '.join(SUFFIXES)})")
    return kept


def make_clips(folder: Path, count: int, seconds: float) -> list[Path]:
    """Moving texture with noise for sound, 224 x 224, as mp4."""
    import cv2

    paths = []
    for number in range(count):
        rng = np.random.default_rng(number)
        frames = round(25 * seconds)
        grain = rng.integers(0, 256, (SIDE + frames, SIDE + frames, 3), dtype=np.uint8)
        soft = cv2.normalize(cv2.GaussianBlur(grain, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
        video = (soft[t : t + SIDE, t : t + SIDE] for t in range(frames))
        path = folder / f"clip-{number:02d}.mp4"
        media.write_video(path, video, audio=rng.normal(0, 0.1, frames * 640), quality=18)
        paths.append(path)
    return paths


def _measure(form: str, paths: Sequence[Path], workers: int, repeat: int) -> Timing:
    jobs = [(form, str(path), workers) for path in paths]
    shortest = min(jobs, key=lambda job: Path(job[1]).stat().st_size)
    processes = 1 if form == "reference" else workers
    best: Timing | None = None
    with pool(processes, items=len(jobs)) as workers_pool:
        for _ in workers_pool.run(score_file, [shortest] * processes):
            pass
        for _ in range(repeat):
            start = time.perf_counter()
            done = dict(workers_pool.run(score_file, jobs))
            wall = time.perf_counter() - start
            if best is None or wall < best.wall:
                values = tuple(done[index][0] for index in range(len(jobs)))
                best = Timing(form, wall, sum(spent for _, spent in done.values()), values)
    assert best is not None
    return best


def score_file(job: tuple[str, str, int]) -> tuple[tuple[float, float, int], float]:
    """((LSE-C, LSE-D, AVOffset), processor seconds) of one file; job: form, path, cores."""
    import torch

    form, path, cores = job
    torch.set_num_threads(cores if form == "reference" else 1)
    before = cpu_seconds()
    values = _reference(Path(path)) if form == "reference" else _engine(Path(path), form)
    return values, cpu_seconds() - before


def _seeded_network() -> SyncNet:
    """The published network with weights from a seed."""
    import torch

    from tkbench.metrics.syncnet import SyncNet, SyncNetSpec

    torch.manual_seed(0)
    return SyncNet(SyncNetSpec()).eval()


_reference_network = lru_cache(maxsize=1)(_seeded_network)


@lru_cache(maxsize=2)
def _judge(precision: str) -> Judge:
    from tkbench.metrics.syncnet import Judge

    return Judge(_seeded_network(), precision=precision)


def _engine(path: Path, form: str) -> tuple[float, float, int]:
    judge = _judge(form)
    piece = Piece(0, shrunk(lossy.jpegs_of(path), judge.spec), lossy.sound_of(path))
    return score_pieces(judge, [[piece]], "zeros")[0][0].values


def _reference(path: Path) -> tuple[float, float, int]:
    """The steps of the published script; its cepstra come from our `mfcc`, which is faster than the script's."""
    import cv2
    import torch
    from scipy.io import wavfile

    net = _reference_network()
    with tempfile.TemporaryDirectory(prefix="tkbench-reference-") as folder:
        ffmpeg = [media.ffmpeg_exe(), "-loglevel", "error", "-y", "-i", str(path)]
        subprocess.run([*ffmpeg, "-threads", "1", "-f", "image2", f"{folder}/%06d.jpg"], check=True)
        sound = ["-async", "1", "-ac", "1", "-vn", "-acodec", "pcm_s16le", "-ar", "16000"]
        subprocess.run([*ffmpeg, *sound, f"{folder}/audio.wav"], check=True)
        names = sorted(str(name) for name in Path(folder).glob("*.jpg"))
        images = [cv2.resize(cv2.imread(name), (SIDE, SIDE)) for name in names]
        audio = wavfile.read(f"{folder}/audio.wav")[1]
    pictures = np.transpose(np.expand_dims(np.stack(images, axis=3), 0), (0, 3, 4, 1, 2))
    seen = torch.from_numpy(pictures.astype(float)).float()
    heard = torch.from_numpy(mfcc(audio).T[None, None].astype(float)).float()
    last = min(len(images), len(audio) // 640) - 5
    lips, voice = [], []
    with torch.no_grad():
        for i in range(0, last, BATCH):
            spots = range(i, min(last, i + BATCH))
            lips.append(net.forward_lip(torch.cat([seen[:, :, v : v + 5] for v in spots])))
            voice.append(net.forward_aud(torch.cat([heard[:, :, :, 4 * v : 4 * v + 20] for v in spots])))
        return _distances(torch.cat(lips).numpy(), torch.cat(voice).numpy())


def _distances(lips: Float32, voice: Float32) -> tuple[float, float, int]:
    import torch

    padded = torch.nn.functional.pad(torch.from_numpy(voice), (0, 0, SHIFT, SHIFT))
    size = 2 * SHIFT + 1
    rows = [
        torch.nn.functional.pairwise_distance(row[None].repeat(size, 1), padded[i : i + size])
        for i, row in enumerate(torch.from_numpy(lips))
    ]
    curve = torch.stack(rows, 1).mean(1)
    return float(curve.median() - curve.min()), float(curve.min()), SHIFT - int(curve.argmin())
