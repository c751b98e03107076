"""Prepare clips in a separate process: a clip that crashes it becomes a row of the manifest, and the run goes on.

Used for shards at which two processes have died already. Starting a process costs seconds, so it is not the rule.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tkbench.types import Clip

if TYPE_CHECKING:
    from tkbench.prep.job import Outcome
    from tkbench.prep.plan import Settings

_LENGTH = struct.Struct("<Q")


class ProcessDied(Exception):
    """The child ended in the middle of a clip; the message says how."""


class Child:
    """One process for many clips, started when it is needed, started again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, clip: Clip, settings: Settings, scratch: Path) -> Outcome:
        """What `prepare_clip` gives. Raises its errors, or ProcessDied."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tkbench.prep.isolate"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        answer = None
        with suppress(BrokenPipeError):
            _send(process.stdin, (clip, settings, scratch))
            answer = _receive(process.stdout)
        if answer is None:
            code = process.wait()
            self.close()
            how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
            raise ProcessDied(f"the process that prepared it ended by {how}")
        if isinstance(answer, BaseException):
            raise answer
        outcome: Outcome = answer
        return outcome

    def close(self) -> None:
        """End the child, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            self._process = None


def _send(pipe: IO[bytes], value: object) -> None:
    """One value: its length, then its pickle."""
    data = pickle.dumps(value)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next value; None at the end of the pipe. Both ends are this program: what comes is trusted."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = pipe.read(size)
    return pickle.loads(data) if len(data) == size else None


def _leave_with(parent: int) -> None:
    """End this process once the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def main() -> None:
    """Clips come on stdin, outcomes go to stdout, until stdin ends."""
    # Ctrl-C is for the parent. What a library prints goes to stderr: stdout carries the answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from tkbench.prep.pipeline import prepare_clip

    while (job := _receive(sys.stdin.buffer)) is not None:
        try:
            answer: object = prepare_clip(*job)
        except Exception as error:
            answer = error
        _send(answers, answer)


if __name__ == "__main__":
    main()
