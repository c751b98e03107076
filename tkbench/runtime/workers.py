"""Worker processes on this machine: `python -m tkbench.workers` is one, told its scheduler's address on stdin.

Each is a process group of its own, so that Ctrl-C in a terminal reaches the main process alone, which then kills
every group: worker and ffmpeg together. A worker whose main process is gone kills its group itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from tkbench.errors import StorageError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_STARTS = 5
"""Deaths of a worker in a row, each within seconds of its start, that end the run."""


def one_thread_environment() -> dict[str, str]:
    """The environment of a process whose libraries start no threads of their own: otherwise that of here."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}


class _Crew:
    """The workers of one cluster: started, replaced when they die, killed at the end.

    They start, and import what they need, before there is a scheduler; `join` tells them where it is.
    """

    def __init__(self, count: int) -> None:
        self.address = ""
        self.places: list[tuple[subprocess.Popen[bytes], IO[bytes], float] | None] = [None] * count
        self.early = 0
        self.tend()

    def join(self, address: str) -> None:
        """Let them work for this scheduler, those to come as well."""
        self.address = address
        for place in self.places:
            if place is not None:
                self._tell(place[0])

    def _tell(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # it is dead already, which `tend` sees
            process.stdin.write(f"{self.address}\n".encode())
            process.stdin.close()

    def tend(self) -> None:
        """Start what is missing. Raises StorageError where workers die as soon as they start."""
        for index, place in enumerate(self.places):
            if place is not None:
                process, said, since = place
                if process.poll() is None:
                    continue
                _kill(process)  # what it left in its group: ffmpeg
                said.seek(0)
                lines = said.read().decode("utf-8", "replace").split("\n")
                said.close()
                self.early = self.early + 1 if time.monotonic() - since < 5 else 0
                if self.early >= _STARTS:
                    last = next(
                        (line for line in reversed(lines) if line.strip()), f"code {process.returncode}"
                    )
                    raise StorageError(f"workers die as soon as they start: {last.strip()}")
            self.places[index] = self._start()

    def _start(self) -> tuple[subprocess.Popen[bytes], IO[bytes], float]:
        said = tempfile.TemporaryFile()
        environment = one_thread_environment()
        # What this process can import (a script's own modules, a model beside it) a worker must find, too.
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
        process = subprocess.Popen(
            [sys.executable, "-m", "tkbench.runtime.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=environment,
            start_new_session=True,
        )
        if self.address:
            self._tell(process)
        return process, said, time.monotonic()

    def kill(self) -> None:
        """At once, with their children."""
        for place in self.places:
            if place is not None:
                _kill(place[0])
        for place in self.places:
            if place is not None:
                process, said, _ = place
                process.wait()
                said.close()
                if process.stdin is not None:
                    process.stdin.close()
        self.places = []


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The group outlives its leader as long as a child is in it.
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


@contextmanager
def cluster(count: int) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A Dask scheduler in this process and `count` workers: (client, function that replaces dead workers)."""
    crew = _Crew(count)
    try:
        yield from _cluster(crew)
    finally:
        crew.kill()


def _cluster(crew: _Crew) -> Iterator[tuple[Any, Callable[[], None]]]:
    import logging

    import dask
    from distributed import Client, LocalCluster

    # For good: what is left of the cluster logs that its workers are gone after it was closed.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {
        # One death comes back to us at once: what to do then is decided by the caller, not by the scheduler.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-ttl": None,
        # The first worker to come takes the first tasks; the second must not wait a second for its share.
        "distributed.scheduler.work-stealing-interval": "100ms",
        "distributed.admin.log-format": "%(message)s",
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=0,
            processes=True,
            host="127.0.0.1",
            silence_logs=False,
            # Without an address it takes a port of its own choice for HTTP, and warns where that is taken.
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        ) as local,
    ):
        crew.join(local.scheduler_address)
        try:
            with Client(local, set_as_default=False) as client:
                yield client, crew.tend
                crew.kill()
        finally:
            crew.kill()


def _die_with(parent: int) -> None:
    """Kill this process group when the process that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


async def _work(address: str) -> None:
    import dask
    from distributed import Worker

    # No limit of memory: a task that needs more than expected is slow, a paused worker would be stuck.
    quiet = {
        "distributed.worker.memory.terminate": False,
        "distributed.admin.log-format": "%(message)s",
        # What looks at the worker from other threads takes the interpreter from it a hundred times a second.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
    }
    with dask.config.set(quiet):
        async with Worker(
            address, nthreads=1, memory_limit=0, host="127.0.0.1", dashboard=False, death_timeout=30
        ) as worker:
            await worker.finished()


def main() -> None:
    """One worker until its scheduler or its parent goes away."""
    import logging

    if hasattr(os, "killpg"):
        threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # Many workers share the cores better than many threads do.
    import cv2
    import distributed  # noqa: F401  (takes its second while the scheduler starts)

    cv2.setNumThreads(0)
    if address := sys.stdin.readline().strip():
        asyncio.run(_work(address))


if __name__ == "__main__":
    main()
