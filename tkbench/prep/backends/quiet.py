"""Keep what C++ libraries write to stderr out of the user's sight."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Send what C++ writes to stderr into a temporary file; if the block fails, it is shown after all.

    MediaPipe and LiteRT print notes before any log level is read. Python's own stderr is flushed around the block.
    """
    try:
        stderr = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
        kept = os.dup(stderr)
    except (OSError, ValueError):  # no stderr at all: nothing to keep quiet
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), stderr)
        try:
            yield
        except BaseException:
            os.dup2(kept, stderr)
            sink.seek(0)
            os.write(stderr, sink.read(1 << 16))
            raise
        finally:
            os.dup2(kept, stderr)
            os.close(kept)
