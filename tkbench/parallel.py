"""Work on many processes through Dask, or in this one; the results are the same and come in the same form.

Tasks carry paths and small records, never arrays, so neither the graph nor the scheduler grows with the data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def default_workers() -> int:
    """One process per core that this process may use, at most eight."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, usable))


class Pool:
    """Runs functions over items; `client` is a Dask client, or None for this process."""

    def __init__(self, client: Any | None) -> None:
        self._client = client

    def run(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """(index, result) as each item is done, in no particular order. The first error ends the run."""
        if self._client is None:
            for index, item in enumerate(items):
                yield index, function(item)
            return
        from distributed import as_completed

        # pure=False: equal arguments must not be answered from an earlier run's results.
        futures = self._client.map(function, items, pure=False)
        places = {future.key: index for index, future in enumerate(futures)}
        for future in as_completed(futures):
            yield places[future.key], future.result()
            future.release()


def _quiet() -> None:
    """One thread per worker: many workers share the cores better than many threads do."""
    import cv2

    cv2.setNumThreads(0)


@contextmanager
def pool(workers: int, *, items: int | None = None) -> Iterator[Pool]:
    """A pool of `workers` processes on this machine; 1 (or a single item) stays in this process.

    The cluster listens on loopback only and opens no dashboard.
    """
    workers = max(1, workers if items is None else min(workers, items))
    if workers == 1:
        yield Pool(None)
        return
    import dask
    from distributed import Client, LocalCluster

    # Workers read these when they start. Their logs: a worker that is told to stop while it reports in calls
    # that an error; what goes wrong in a task comes back with the task.
    settings = {**dict.fromkeys(THREAD_VARIABLES, "1"), "DASK_LOGGING__DISTRIBUTED": "CRITICAL"}
    kept = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    quiet = {"distributed.worker.memory.terminate": False, "distributed.admin.log-format": "%(message)s"}
    try:
        with (
            dask.config.set(quiet),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs="ERROR",
            ) as cluster,
            Client(cluster) as client,
        ):
            client.run(_quiet)
            yield Pool(client)
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
