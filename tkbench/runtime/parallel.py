"""Work on many processes through Dask, or in this one; the results are the same and come in the same form.

Tasks carry paths and small records, never arrays, and only a few are submitted at a time, so neither the graph
nor the scheduler grows with the data. A task may send small messages to the process that runs the pool.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tkbench.errors import StorageError, UsageError

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")
Message = Mapping[str, object]
"""What a task sends to the process that runs the pool; it must be picklable."""

_TOPIC = "tkbench"
_PATIENCE = 20.0
"""Seconds that a lost scheduler may take to come back."""
_handler_here: Callable[[Message], None] | None = None
"""What gets the messages of tasks that run in this process."""


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """One process per core that this process may use, at most eight."""
    return max(1, min(8, usable_cores()))


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch: sums on several differ in their last digits, so results would depend on the workers."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def send_message(message: Message) -> None:
    """Send a small message from inside a task to the `on_message` of the run that it belongs to."""
    if _handler_here is not None:
        _handler_here(message)
        return
    from distributed import get_worker

    with suppress(ValueError):  # not inside a task: nobody listens
        get_worker().log_event(_TOPIC, message)


@dataclass(frozen=True, slots=True)
class _Work(Generic[T, R]):
    """What a pool does: one function over many items."""

    function: Callable[[T], R]
    items: Sequence[T]
    on_message: Callable[[Message], None]
    on_death: Callable[[T, int], T] | None


class Pool:
    """Runs functions over items; `client` is a Dask client, or None for this process.

    replace_dead: a function that starts a new worker for each of ours that died. elsewhere: whether the workers are
    those of a cluster that was there before. resources: what a task needs of a worker (`dask worker --resources
    "GPU=1"`).
    """

    def __init__(
        self,
        client: Client | None,
        *,
        replace_dead: Callable[[], None] = lambda: None,
        elsewhere: bool = False,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self._client = client
        self._replace_dead = replace_dead
        self.elsewhere = elsewhere
        self.resources = dict(resources or {})
        self.workers = 1
        """Workers that are there now; 0 while a cluster has none."""

    def run(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        on_message: Callable[[Message], None] = lambda message: None,
        on_death: Callable[[T, int], T] | None = None,
    ) -> Iterator[tuple[int, R]]:
        """(index, result) as each item is done, in no particular order. The first error ends the run.

        on_message: gets, in this thread, what tasks send, and an empty message at least every second. on_death: after
        a worker died while it worked on an item, returns the item to run instead, from the item and the number of
        deaths so far; without it such a death is an error. Raises StorageError where the scheduler is lost.
        """
        if self._client is not None:
            work = _Work(function, items, on_message, on_death)
            yield from TaskDispatcher(self, self._client, self._replace_dead, work).results()
            return
        from threadpoolctl import threadpool_limits

        global _handler_here
        _handler_here = on_message
        try:
            # As in a worker: the matrix products here are small, and a second BLAS thread only spins while it waits.
            with threadpool_limits(1, user_api="blas"):
                for index, item in enumerate(items):
                    yield index, function(item)
        finally:
            _handler_here = None


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    """An item, and how many workers died with it."""

    index: int
    item: T
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class _Told:
    """A message of a task has come."""

    message: Message


@dataclass(frozen=True, slots=True)
class _Done:
    """A task has ended, well or not."""

    key: str


class TaskDispatcher(Generic[T, R]):
    """Submits items to a cluster, a few more than it has threads, and collects the results."""

    def __init__(
        self, pool: Pool, client: Client, replace_dead: Callable[[], None], work: _Work[T, R]
    ) -> None:
        self.pool, self.client, self.replace_dead, self.work = pool, client, replace_dead, work
        self.waiting = deque(_Task(index, item) for index, item in enumerate(work.items))
        self.running: dict[str, tuple[_Task[T], Future]] = {}
        self.events: queue.SimpleQueue[_Told | _Done] = queue.SimpleQueue()
        self.threads = 1
        self.began = time.monotonic()
        self.last_check = self.last_answer = -_PATIENCE
        """When the scheduler was last asked for its workers, and when it last answered."""

    def results(self) -> Iterator[tuple[int, R]]:
        """(index, result) as each item is done."""
        self.client.subscribe_topic(_TOPIC, lambda event: self.events.put(_Told(event[1])))
        try:
            while self.waiting or self.running:
                self._check_cluster()
                self._submit()
                try:
                    event = self.events.get(timeout=0.5)
                except queue.Empty:
                    self.work.on_message({})
                    continue
                if isinstance(event, _Told):
                    self.work.on_message(event.message)
                elif event.key in self.running:
                    yield from self._collect(event.key)
        finally:
            with suppress(Exception):
                self.client.unsubscribe_topic(_TOPIC)

    def _submit(self) -> None:
        from distributed.protocol.pickle import dumps

        # One running and one waiting per thread: a worker that is done never waits for this process.
        while self.waiting and len(self.running) < max(2, 2 * self.threads):
            task = self.waiting.popleft()
            packed = dumps((self.work.function, task.item))
            # pure=False: equal arguments must not be answered from an earlier run's results.
            needs = {"resources": self.pool.resources} if self.pool.resources else {}
            future = self.client.submit(_unpack_and_call(), packed, pure=False, **needs)
            self.running[future.key] = (task, future)
            future.add_done_callback(lambda done: self.events.put(_Done(done.key)))

    def _collect(self, key: str) -> Iterator[tuple[int, R]]:
        """The result of a task that ended; nothing where it has to be done again."""
        from distributed import KilledWorker

        task, future = self.running.pop(key)
        if future.status == "cancelled":
            raise self._lost()
        try:
            if future.status == "lost":
                # Done, and its worker died (of another item) before the result was fetched: do it again.
                self.waiting.append(task)
                return
            value = future.result()
        except KilledWorker as error:
            deaths = task.deaths + error.allowed_failures + 1
            if self.work.on_death is None:
                raise StorageError(
                    f"a worker died {deaths} times at one task ({error.last_worker.address}): killed, or out of "
                    "memory; run the same command again, with fewer workers"
                ) from error
            self.waiting.append(_Task(task.index, self.work.on_death(task.item, deaths), deaths))
            return
        except ImportError as error:
            raise UsageError(
                f"a worker cannot import what it needs ({error}); install tkbench there"
            ) from error
        finally:
            future.release()
        yield task.index, value

    def _check_cluster(self) -> None:
        """Every two seconds: replace our own dead workers, count threads, see whether the scheduler answers.

        More often in the first ten seconds, in which workers come.
        """
        now = time.monotonic()
        if now - self.last_check < (0.3 if now - self.began < 10 else 2):
            return
        self.last_check = now
        self.replace_dead()
        try:
            threads = self.client.sync(self.client.scheduler.ncores, callback_timeout=5)
            self.pool.workers, self.threads, self.last_answer = len(threads), sum(threads.values()), now
        except Exception as error:  # a lost connection has many names
            if self.last_answer < 0:
                self.last_answer = now
            if self.client.status == "closed" or now - self.last_answer > _PATIENCE:
                raise self._lost() from error

    def _lost(self) -> StorageError:
        return StorageError(
            "the Dask scheduler is gone; what is finished is kept: start it and run the same command again"
        )


def _unpack_and_call() -> Callable[[bytes], object]:
    """The function that is submitted. Dask pickles a local function by value, because the scheduler unpacks it, too.

    So the scheduler needs no tkbench, and holds each task as a string of bytes.
    """

    def call(task: bytes) -> object:
        import pickle

        function, item = pickle.loads(task)
        return function(item)

    return call


@contextmanager
def pool(
    workers: int,
    *,
    items: int | None = None,
    scheduler: str | None = None,
    resources: Mapping[str, float] | None = None,
) -> Iterator[Pool]:
    """A pool of `workers` processes on this machine; 1 (or a single item) stays in this process.

    The cluster listens on loopback only, opens no dashboard, and refuses every process that has not got its keys.
    scheduler: the address of a Dask cluster to use instead, which has its own number of workers and keys. resources:
    what each task needs of a worker of that cluster, such as {"GPU": 1}. On an error or Ctrl-C, workers that were
    started here are killed with their children.
    """
    workers = max(1, workers if items is None else min(workers, items))
    if scheduler is not None:
        with _connected(scheduler) as client:
            if resources:
                _check_resources(client, resources)
            yield Pool(client, elsewhere=True, resources=resources)
    elif workers == 1:
        yield Pool(None)
    else:
        from tkbench.runtime.workers import cluster

        with cluster(workers) as (client, replace_dead):
            yield Pool(client, replace_dead=replace_dead)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
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


def _check_resources(client: Client, resources: Mapping[str, float]) -> None:
    """UsageError where workers are there and none offers what tasks need: they would wait for ever."""
    try:
        workers = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
    except TypeError:  # before distributed 2025.7 it told of all
        workers = client.scheduler_info()["workers"]
    offers = [worker.get("resources") or {} for worker in workers.values()]
    if offers and not any(all(one.get(k, 0) >= v for k, v in resources.items()) for one in offers):
        wanted = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
        raise UsageError(
            f"--resources: none of the {len(offers)} workers offers {wanted}; start them with "
            f'`dask worker ADDRESS --nthreads 1 --resources "{wanted}"`'
        )
