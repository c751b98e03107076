"""How long a model takes and how much memory: a stopwatch around `Model.generate`.

A model of this process is measured by the process's own peak (Linux lets a process set its peak back; elsewhere the
peak of its whole life is told). A command (`cmd:`) runs in processes of its own, whose memory is looked at twenty
times a second; a shorter peak is missed. GPU memory is torch's own count in this process, and nvidia-smi's for a
command.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from types import TracebackType

from tkbench import media
from tkbench.models.base import Model
from tkbench.results.cost import Spent
from tkbench.runtime.devices import device_facts
from tkbench.types import FPS, Batch, Generated

_EVERY = 0.05
_GPU_EVERY = 1.0


class Metered:
    """A model that notes what its last call of `generate` took, in `spent`."""

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.model, self.device, self.card = model, device, model.card
        self.outside = bool(getattr(model, "runs_outside", False))
        self.made_elsewhere = bool(getattr(model, "made_elsewhere", False))
        self.spent: Spent | None = None
        self._first = True

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """As the model itself."""
        self.spent = None
        if self.made_elsewhere:
            return self.model.generate(batch, seed=seed)
        watch = _Outside() if self.outside else _Inside(self.device)
        began = perf_counter()
        with watch:
            answers = self.model.generate(batch, seed=seed)
        seconds = perf_counter() - began
        frames = sum(len(answer.video) for answer in answers if answer.video is not None)
        if frames:
            first, self._first = self._first and not self.outside, False
            where = processor_name() if self.device == "cpu" else device_facts(self.device)
            self.spent = Spent(seconds, frames / FPS, first, watch.memory, watch.gpu_memory, where)
        return answers


@lru_cache(maxsize=1)
def processor_name() -> str:
    """The processor as its maker calls it, or the kind of machine."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class _Inside:
    """The peak of this process."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.memory = 0
        self.gpu_memory: int | None = None

    def __enter__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to what is in use now
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.memory = _own_peak()
        if self.device.startswith("cuda"):
            import torch

            self.gpu_memory = int(torch.cuda.max_memory_allocated(self.device))


def _own_peak() -> int:
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


class _Outside:
    """The most that the children of this process had resident together; a thread looks at them."""

    def __init__(self) -> None:
        self.memory = 0
        self.gpu_memory: int | None = None
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._watch, daemon=True)]
        if shutil.which("nvidia-smi") is not None:
            self._threads.append(threading.Thread(target=self._watch_gpu, daemon=True))

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _watch(self) -> None:
        import psutil

        here = psutil.Process()
        # A child has the words and the memory of this process until its own program starts. ffmpeg is of this process,
        # too: it writes what the command reads.
        own, ffmpeg = here.cmdline(), media.ffmpeg_exe()
        while not self._stop.wait(_EVERY):
            total = 0
            for child in here.children(recursive=True):
                with suppress(psutil.Error):
                    words = child.cmdline()
                    if words != own and words[:1] != [ffmpeg]:
                        total += child.memory_info().rss
            self.memory = max(self.memory, total)

    def _watch_gpu(self) -> None:
        import psutil

        here = psutil.Process()
        while not self._stop.wait(_GPU_EVERY):
            mine = {child.pid for child in here.children(recursive=True)}
            used = sum(size for pid, size in _gpu_processes() if pid in mine)
            if used:
                self.gpu_memory = max(self.gpu_memory or 0, used)


def _gpu_processes() -> list[tuple[int, int]]:
    """(process, bytes) of all processes on the GPUs of this machine, as nvidia-smi lists them."""
    words = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    found = []
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout
        for line in said.splitlines():
            pid, _, size = line.partition(",")
            with suppress(ValueError):
                found.append((int(pid), int(size) << 20))
    return found
