"""Time that work takes on the processor, which other programs on the machine change less than the clock."""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import resource


def cpu_seconds() -> float:
    """User and system time of this process and, but for Windows, of every child that has ended."""
    if sys.platform == "win32":
        times = os.times()
        return times.user + times.system
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def peak_bytes() -> int:
    """The largest memory of this process and, but for Windows, of its largest child that has ended, together."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def duration(seconds: float) -> str:
    """A length of time as people say it.

    >>> duration(39.1), duration(217), duration(61200)
    ('39 s', '3.6 minutes', '17.0 hours')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 6000 else f"{seconds / 3600:,.1f} hours"
