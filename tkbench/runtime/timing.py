"""Time that work takes on the processor, which other programs on the machine change less than the clock."""

from __future__ import annotations

import resource


def cpu_seconds() -> float:
    """User and system time of this process and of every child that has ended."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)
