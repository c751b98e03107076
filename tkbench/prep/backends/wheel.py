"""MediaPipe's wheel, imported once and quietly."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

from tkbench.prep.backends.quiet import quiet


@lru_cache(maxsize=1)
def mediapipe() -> Any:
    """The package, without the plotting library that its drawing helpers load."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without("matplotlib", "matplotlib.pyplot"), quiet():
        import mediapipe
    return mediapipe


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Let an import believe that these modules are there; a module that is loaded already stays.

    Importing matplotlib.pyplot takes longer than all the rest, and nothing here draws.
    """
    stubs = {} if names[0] in sys.modules else {name: ModuleType(name) for name in names}
    for name, stub in stubs.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(stubs[parent], child, stub)
        sys.modules[name] = stub
    try:
        yield
    finally:
        for name, stub in stubs.items():
            if sys.modules.get(name) is stub:
                del sys.modules[name]
