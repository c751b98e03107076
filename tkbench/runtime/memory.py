"""How much memory this process used at most."""

from __future__ import annotations

import sys


def peak_rss() -> int:
    """Bytes of main memory, at the highest so far; 0 where the system does not say (Windows)."""
    if sys.platform == "win32":
        return 0
    import resource

    # Linux counts in kilobytes, macOS in bytes.
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
