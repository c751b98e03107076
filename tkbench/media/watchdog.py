"""An end to an ffmpeg that waits for ever: on a network disk that is gone, or on a lock.

Time alone says nothing, because a machine may be as busy as it likes. What counts is progress: the process has used the
processor, or its pipe has moved. Only where neither happens through `STALL_SECONDS`, while this program has nothing to
do but wait for it, is the process given up. So what is read is the same for any number of workers. The other limit, on
a process that works and never ends, is ffmpeg's `-timelimit`: seconds of the processor.
"""

from __future__ import annotations

import os
import select
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

from tkbench.errors import BadMedia
from tkbench.types import Reason

STALL_SECONDS = 120.0
"""Seconds without progress after which a process is given up; the variable TKBENCH_STALL_SECONDS sets another one."""
_LOOKS = 12
"""How often a process is looked at in that time. Looks are counted, not seconds: a computer that sleeps counts none."""
_LAST_WAIT = 5.0
"""Seconds that a process which was killed gets to go; one that hangs inside the kernel never does."""


def stall_seconds() -> float:
    """The limit that holds: TKBENCH_STALL_SECONDS, or STALL_SECONDS where that is no positive number."""
    with suppress(ValueError):
        chosen = float(os.environ.get("TKBENCH_STALL_SECONDS", ""))
        if chosen > 0:
            return chosen
    return STALL_SECONDS


class Patience:
    """How long this program waits for one process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._limit = stall_seconds()
        self.tick = self._limit / _LOOKS
        """Seconds after which `wait_longer` is to be asked."""
        self._still, self._used = 0, cpu_ticks(process.pid)

    def moved(self) -> None:
        """The process gave something, or took something."""
        self._still = 0

    def wait_longer(self) -> None:
        """A tick went by, and nothing came. Raises BadMedia(STALLED) where the process has not worked for too long."""
        used = cpu_ticks(self._process.pid)
        self._still = self._still + 1 if used is not None and used == self._used else 0
        self._used = used
        if self._still >= _LOOKS:
            found = f"ffmpeg neither worked nor moved for {self._limit:g} s; is the disk there?"
            raise BadMedia(Reason.STALLED, found)

    def until_readable(self, pipe: IO[bytes]) -> None:
        """Return when the pipe has something to read, or has ended. Raises BadMedia(STALLED)."""
        self._until(pipe, "POLLIN")

    def until_writable(self, pipe: IO[bytes]) -> None:
        """Return when the pipe takes something, or nobody reads it any more. Raises BadMedia(STALLED)."""
        self._until(pipe, "POLLOUT")

    def _until(self, pipe: IO[bytes], event: str) -> None:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(pipe, getattr(select, event))
            while not poll.poll(self.tick * 1000):
                self.wait_longer()
        self.moved()

    def until_ended(self) -> int:
        """Return the exit code of the process. Raises BadMedia(STALLED)."""
        while True:
            try:
                return self._process.wait(self.tick)
            except subprocess.TimeoutExpired:
                self.wait_longer()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it has started; do not wait for ever, for the kernel may hold it, too."""
    import signal

    if process.poll() is not None:
        return
    for pid in _children(process.pid):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WAIT)


def cpu_ticks(pid: int) -> int | None:
    """What a process and its children have used of the processor, in ticks; None where the system does not tell."""
    total = 0
    for one in (pid, *_children(pid)):
        try:
            # The name, in brackets, may hold blanks.
            text = Path(f"/proc/{one}/stat").read_text(encoding="utf-8", errors="replace")
            total += sum(int(value) for value in text.rpartition(")")[2].split()[11:15])
        except (OSError, ValueError, IndexError):
            if one == pid:
                return None
    return total


def work_of_children() -> float:
    """Seconds of the processor that the processes have used which this one started, and which have ended."""
    try:
        import resource
    except ImportError:  # no such thing on Windows
        return 0.0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children(pid: int) -> list[int]:
    """The processes that one has started, and theirs, where the system tells (Linux)."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    mine = [int(word) for word in text.split()]
    return mine + [one for child in mine for one in _children(child)]
