"""One run at a time into one folder, also where the last one was killed, and across hosts.

The file `.lock` in the folder holds host and process of the run. On one machine the kernel's lock on it decides,
which ends with its process. Other hosts, and stores without such locks, see a time that is renewed while the run
lives: after `STALE` seconds without news the run is taken for dead.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TypedDict, cast

from tkbench.errors import StorageError
from tkbench.runtime import storage
from tkbench.runtime.locks import kernel_lock

NAME = ".lock"
STALE = 180.0
"""Seconds without news after which a run on another host is taken for dead."""
_RENEW = 20.0


class Holder(TypedDict, total=False):
    """The content of the lock file."""

    run: str
    host: str
    pid: int
    time: float
    """Of the last sign of life, seconds since 1970."""


class RunLock:
    """Held from `with RunLock(folder)` to its end. Raises StorageError where another run holds it.

    `unclean` tells that the run before did not end in order: it was killed, or lost its machine.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._local = storage.as_remote(folder) is None
        self._handle: int | None = None
        self._kernel = False
        self._thread = threading.Thread(target=self._renew, daemon=True, name="tkbench-lock")
        self._stop = threading.Event()
        self.run = secrets.token_hex(6)
        self.unclean = False

    def __enter__(self) -> RunLock:
        if self._local:
            self._handle = self._claim()
        try:
            self._check(self._read())
        except StorageError:
            self._release_handle()
            raise
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()  # or it could write to a number that is another file by then
        if self._read().get("run") == self.run:
            self._file.unlink(missing_ok=True)
        self._release_handle()

    def _claim(self) -> int | None:
        """The locked file, None where the system locks none; what is locked must still be the file of that name."""
        if sys.platform == "win32":  # as on a file system without locks, the time of the last news decides
            return None
        while True:
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            held = kernel_lock(handle)
            if held is False:
                os.close(handle)
                raise self._taken(self._read())
            if held is None:  # a file system without locks: the time of the last news decides
                return handle
            self._kernel = True
            try:
                if os.fstat(handle).st_ino == self._file.stat().st_ino:
                    return handle
            except FileNotFoundError:
                pass
            os.close(handle)

    def _release_handle(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _read(self) -> Holder:
        if (there := storage.as_remote(self._file)) is not None:
            there.forget()
        try:
            found = json.loads(self._file.read_bytes() or b"{}")
        except FileNotFoundError:
            return {}
        except ValueError:
            return {"host": "?", "pid": 0, "time": 0.0}
        return cast(Holder, found) if isinstance(found, dict) else {}

    def _check(self, old: Holder) -> None:
        """Refuse a run that lives; note one that died."""
        if not old:
            return
        self.unclean = True
        here = old.get("host") == socket.gethostname()
        alive = time.time() - float(old.get("time", 0)) < STALE
        if here:
            # The kernel's lock was free, or there is none: then only a process that is there can hold it.
            alive = not self._kernel and alive and is_running(int(old.get("pid", 0)))
        if alive:
            raise self._taken(old)

    def _taken(self, old: Holder) -> StorageError:
        ago = max(0.0, time.time() - float(old.get("time", time.time())))
        who = f"host {old.get('host', '?')}, process {old.get('pid', '?')}, last news {ago:.0f} s ago"
        return StorageError(
            f"{self._file.parent}: another run writes here ({who}); wait for it or stop it. "
            f"If it is dead for certain, remove {self._file}"
        )

    def _write(self) -> None:
        record = {"run": self.run, "host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        data = json.dumps(record).encode()
        if self._handle is None:
            self._file.write_bytes(data)
            return
        # In place: a new file would not carry the lock.
        os.pwrite(self._handle, data.ljust(500), 0)

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW):
            try:
                if self._read().get("run") != self.run:
                    return
                self._write()
            except OSError:
                continue  # the disk is full or away for a moment; the run itself will say so


def is_running(pid: int) -> bool:
    """Whether a process of this number is on this machine."""
    if pid <= 0:
        return False
    if sys.platform == "win32":  # where os.kill would end it
        import psutil

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
