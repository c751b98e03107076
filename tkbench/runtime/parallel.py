"""Work on many processes through Dask, or in this one; the results are the same and come in the same form.

Tasks carry paths and small records, never arrays, and only a few are handed out at a time, so neither the graph
nor the scheduler grows with the data.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from tkbench.errors import StorageError, UsageError

T = TypeVar("T")
R = TypeVar("R")
Message = dict[str, Any]

_TOPIC = "tkbench"
_PATIENCE = 20.0
"""Seconds that a lost scheduler may take to come back."""
_hear_here: Callable[[Message], None] | None = None


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """One process per core that this process may use, at most eight."""
    return max(1, min(8, usable_cores()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums on several threads differ in their last digits, and so would numbers from one worker and from two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tell(message: Message) -> None:
    """Send a small message from inside a task to the `hear` of the run that it belongs to."""
    if _hear_here is not None:
        _hear_here(message)
        return
    from distributed import get_worker

    with suppress(ValueError):  # not inside a task: nobody listens
        get_worker().log_event(_TOPIC, message)


class Pool:
    """Runs functions over items; `client` is a Dask client, or None for this process."""

    def __init__(self, client: Any | None, *, tend: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._tend = tend
        self.workers = 1
        """Workers that are there now; 0 while a cluster has none."""

    def run(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        hear: Callable[[Message], None] = lambda message: None,
        killed: Callable[[T, int], T] | None = None,
    ) -> Iterator[tuple[int, R]]:
        """(index, result) as each item is done, in no particular order. The first error ends the run.

        hear: gets, in this thread, what tasks `tell`, and an empty message at least every second. killed: where
        workers died while they had an item, the item to try next, from the item and the number of deaths so
        far; without it such a death is an error. Raises StorageError where the scheduler is lost.
        """
        if self._client is not None:
            yield from _Hand(self, self._client, self._tend, function, items, hear, killed).results()
            return
        from threadpoolctl import threadpool_limits

        global _hear_here
        _hear_here = hear
        try:
            # As a worker has it: the products are small here, and a second thread only burns a core waiting.
            with threadpool_limits(1, user_api="blas"):
                for index, item in enumerate(items):
                    yield index, function(item)
        finally:
            _hear_here = None


class _Hand:
    """Hands items to a cluster, a few more than it has threads, and takes the results."""

    def __init__(
        self,
        pool: Pool,
        client: Any,
        tend: Callable[[], None],
        function: Any,
        items: Sequence[Any],
        hear: Any,
        killed: Any,
    ) -> None:
        self.pool, self.client, self.tend = pool, client, tend
        self.function, self.hear, self.killed = function, hear, killed
        self.waiting = deque((index, item, 0) for index, item in enumerate(items))
        self.running: dict[str, tuple[int, Any, int, Any]] = {}
        self.news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.threads = 1
        self.began = time.monotonic()
        self.counted = self.seen = -_PATIENCE

    def results(self) -> Iterator[tuple[int, Any]]:
        self.client.subscribe_topic(_TOPIC, lambda event: self.news.put(("told", event[1])))
        try:
            while self.waiting or self.running:
                self._look()
                self._submit()
                try:
                    what, value = self.news.get(timeout=0.5)
                except queue.Empty:
                    self.hear({})
                    continue
                if what == "told":
                    self.hear(value)
                elif value in self.running:
                    yield from self._take(value)
        finally:
            with suppress(Exception):
                self.client.unsubscribe_topic(_TOPIC)

    def _submit(self) -> None:
        from distributed.protocol.pickle import dumps

        # One running and one waiting per thread: a worker that is done never waits for this process.
        while self.waiting and len(self.running) < max(2, 2 * self.threads):
            index, item, deaths = self.waiting.popleft()
            # pure=False: equal arguments must not be answered from an earlier run's results.
            future = self.client.submit(_unpack_and_call(), dumps((self.function, item)), pure=False)
            self.running[future.key] = (index, item, deaths, future)
            future.add_done_callback(lambda done: self.news.put(("done", done.key)))

    def _take(self, key: str) -> Iterator[tuple[int, Any]]:
        from distributed import KilledWorker

        index, item, deaths, future = self.running.pop(key)
        if future.status == "cancelled":
            raise self._lost()
        try:
            if future.status == "lost":
                # Done, and its worker died (of another item) before the result was fetched: do it again.
                self.waiting.append((index, item, deaths))
                return
            value = future.result()
        except KilledWorker as error:
            deaths += error.allowed_failures + 1
            if self.killed is None:
                raise StorageError(
                    f"a worker died {deaths} times at one task ({error.last_worker.address}): killed, or out of "
                    "memory; run the same command again, with fewer workers"
                ) from error
            self.waiting.append((index, self.killed(item, deaths), deaths))
            return
        except ImportError as error:
            raise UsageError(
                f"a worker cannot import what it needs ({error}); install tkbench there"
            ) from error
        finally:
            future.release()
        yield index, value

    def _look(self) -> None:
        """Every two seconds: is the scheduler there, how many threads, are our own workers alive?

        More often in the first ten, in which workers come.
        """
        now = time.monotonic()
        if now - self.counted < (0.3 if now - self.began < 10 else 2):
            return
        self.counted = now
        self.tend()
        try:
            threads = self.client.sync(self.client.scheduler.ncores, callback_timeout=5)
            self.pool.workers, self.threads, self.seen = len(threads), sum(threads.values()), now
        except Exception as error:  # a lost connection has many names
            if self.seen < 0:
                self.seen = now
            if self.client.status == "closed" or now - self.seen > _PATIENCE:
                raise self._lost() from error

    def _lost(self) -> StorageError:
        return StorageError(
            "the Dask scheduler is gone; what is finished is kept: start it and run the same command again"
        )


def _unpack_and_call() -> Callable[[bytes], Any]:
    """What is submitted: a function that dask pickles by value, for the scheduler unpacks it, too.

    So the scheduler needs no tkbench, and holds each task as a string of bytes.
    """

    def call(task: bytes) -> Any:
        import pickle

        function, item = pickle.loads(task)
        return function(item)

    return call


@contextmanager
def pool(workers: int, *, items: int | None = None, scheduler: str | None = None) -> Iterator[Pool]:
    """A pool of `workers` processes on this machine; 1 (or a single item) stays in this process.

    The cluster listens on loopback only and opens no dashboard. scheduler: the address of a Dask cluster to use
    instead; `workers` is then its own affair. Left by an error or Ctrl-C, workers and their children are killed.
    """
    workers = max(1, workers if items is None else min(workers, items))
    if scheduler is not None:
        with _connected(scheduler) as client:
            yield Pool(client)
    elif workers == 1:
        yield Pool(None)
    else:
        from tkbench.runtime.workers import cluster

        with cluster(workers) as (client, tend):
            yield Pool(client, tend=tend)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    import logging

    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=15, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"--scheduler {address}: no Dask scheduler answers there ({type(error).__name__}); "
            "start one with `dask scheduler` and give its address, like tcp://10.0.0.1:8786"
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=1)
