"""Locks between processes of one machine, by the kernel: they end with the process that holds them."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 300.0
"""Seconds after which `in_turn` waits no longer: what it guards is short."""


def kernel_lock(handle: int) -> bool | None:
    """Whether the kernel gave us the lock on an open file; None where it has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def in_turn(name: str) -> Iterator[bool]:
    """One process of this user and machine at a time; whether that is certain.

    For what is better done in turn and must be done all the same: where no file can be locked, or another process holds
    it for `PATIENCE` seconds, the caller goes on without.
    """
    try:
        path = Path(tempfile.gettempdir()) / f"tkbench-{name}-{_user()}.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        yield False
        return
    try:
        end = time.monotonic() + PATIENCE
        while (held := kernel_lock(handle)) is False and time.monotonic() < end:
            time.sleep(0.02)
        yield bool(held)
    finally:
        os.close(handle)


def _user() -> str:
    # A number where there is one: a name may hold what a file's name may not.
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
