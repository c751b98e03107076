"""Worker processes on this machine: `python -m tkbench.runtime.workers` is one; it reads its scheduler's address, and
the keys that connections are made with (`tkbench.runtime.secure`), from stdin.

Each is a process group of its own, so that Ctrl-C in a terminal reaches the main process alone, which then kills
every group: worker and ffmpeg together. A worker whose main process is gone kills its group itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tkbench.errors import StorageError
from tkbench.runtime.secure import ClusterKeys, new_keys

if TYPE_CHECKING:
    from distributed import Client

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_MOST_EARLY_DEATHS = 5
"""Deaths of a worker in a row, each within `_EARLY` seconds of its start, that end the run."""
_EARLY = 5.0


def one_thread_environment() -> dict[str, str]:
    """The environment of this process, with the variables that keep numeric libraries to one thread."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}


@dataclass(frozen=True, slots=True)
class _Worker:
    """A worker process that was started."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    """What it writes to stderr."""
    since: float
    """When it was started, by `time.monotonic`."""

    def send(self, order: str) -> None:
        """Tell it which scheduler it works for, and with which keys."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it is dead already, which `replace_dead` sees
            self.process.stdin.write(f"{order}\n".encode())
            self.process.stdin.close()


class WorkerProcesses:
    """The workers of one cluster: started, replaced when they die, killed at the end.

    They start, and import what they need, before there is a scheduler; `join` gives them its address.
    """

    def __init__(self, count: int) -> None:
        self.order = ""
        self.workers: list[_Worker | None] = [None] * count
        self.early_deaths = 0
        self.replace_dead()

    def join(self, address: str, keys: ClusterKeys) -> None:
        """Let the workers, and those that will replace them, work for this scheduler."""
        self.order = json.dumps({"address": address, **keys.as_json()})
        for worker in self.workers:
            if worker is not None:
                worker.send(self.order)

    def replace_dead(self) -> None:
        """Start a worker in each empty or dead one's place. StorageError where they die as soon as they start."""
        for index, worker in enumerate(self.workers):
            if worker is not None:
                if worker.process.poll() is None:
                    continue
                _kill(worker.process)  # what it left in its group: ffmpeg
                worker.errors.seek(0)
                lines = worker.errors.read().decode("utf-8", "replace").split("\n")
                worker.errors.close()
                early = time.monotonic() - worker.since < _EARLY
                self.early_deaths = self.early_deaths + 1 if early else 0
                if self.early_deaths >= _MOST_EARLY_DEATHS:
                    code = f"code {worker.process.returncode}"
                    last = next((line for line in reversed(lines) if line.strip()), code)
                    raise StorageError(f"workers die as soon as they start: {last.strip()}")
            self.workers[index] = self._start()

    def _start(self) -> _Worker:
        errors = tempfile.TemporaryFile()
        environment = one_thread_environment()
        # What this process can import (a script's own modules, a model beside it) a worker must find, too.
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
        process = subprocess.Popen(
            [sys.executable, "-m", "tkbench.runtime.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        worker = _Worker(process, errors, time.monotonic())
        if self.order:
            worker.send(self.order)
        return worker

    def kill(self) -> None:
        """Kill all of them with their children, and wait until they are gone."""
        there = [worker for worker in self.workers if worker is not None]
        for worker in there:
            _kill(worker.process)
        for worker in there:
            worker.process.wait()
            worker.errors.close()
            if worker.process.stdin is not None:
                worker.process.stdin.close()
        self.workers = []


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The group outlives its leader as long as a child is in it.
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


@contextmanager
def cluster(count: int) -> Iterator[tuple[Client, Callable[[], None]]]:
    """A Dask scheduler in this process and `count` workers: (client, function that replaces dead workers)."""
    processes = WorkerProcesses(count)
    try:
        yield from _cluster(processes)
    finally:
        processes.kill()


def _cluster(processes: WorkerProcesses) -> Iterator[tuple[Client, Callable[[], None]]]:
    import logging

    import dask
    from distributed import Client, LocalCluster

    # For good: what is left of the cluster logs that its workers are gone after it was closed.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings: dict[str, object] = {
        # One death comes back to us at once: what to do then is decided by the caller, not by the scheduler.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-ttl": None,
        # The first worker to come takes the first tasks; the second must not wait a second for its share.
        "distributed.scheduler.work-stealing-interval": "100ms",
        # Its web server cannot be left out; it answers nothing.
        "distributed.scheduler.http.routes": [],
        "distributed.admin.log-format": "%(message)s",
    }
    keys = new_keys()
    security = keys.security()
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=0,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            silence_logs=False,
            # Without an address it takes a port of its own choice for HTTP, and warns where that is taken.
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        ) as local,
    ):
        processes.join(local.scheduler_address, keys)
        try:
            with Client(local, security=security, set_as_default=False) as client:
                yield client, processes.replace_dead
                processes.kill()
        finally:
            processes.kill()


def _die_with(parent: int) -> None:
    """Kill this process group when the process that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


async def _work(address: str, keys: ClusterKeys) -> None:
    import dask
    from distributed import Worker

    # No limit of memory: a task that needs more than expected is slow, a paused worker would be stuck.
    quiet = {
        "distributed.worker.memory.terminate": False,
        "distributed.admin.log-format": "%(message)s",
        # The profiler and the monitors are threads that interrupt the worker a hundred times a second.
        "distributed.worker.profile.enabled": False,
        "distributed.worker.http.routes": [],
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
    }
    with dask.config.set(quiet):
        async with Worker(
            address,
            nthreads=1,
            memory_limit=0,
            host="127.0.0.1",
            protocol="tls://",
            security=keys.security(),
            dashboard=False,
            death_timeout=30,
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
    if order := sys.stdin.readline().strip():
        said = json.loads(order)
        asyncio.run(_work(said.pop("address"), ClusterKeys(**said)))


if __name__ == "__main__":
    main()
