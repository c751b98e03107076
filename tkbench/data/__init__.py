"""Training data out of shards: windows of a few frames with their sound, in batches that repeat exactly.

    from tkbench import data

    windows = data.load("shards/lrs2", split="train", recipe="face-128", frames=5, batch=64)
    for batch in windows.loader(workers=4):   # or: for batch in windows
        batch["video"], batch["mel"], batch["reference"]

    windows.py    which windows an epoch has, and what is in a batch
    cut.py        canvas -> crops, decoded in this process
    cache.py      crops that were cut once, kept on disk
    loader.py     worker processes, epochs, going on in the middle of one
    speed.py      samples/s, and where the time goes

Plain `webdataset` reads the shards as well: `tkbench.shards.unpack` makes a Sample of its items.
"""

from __future__ import annotations

from tkbench.data.loader import Loader
from tkbench.data.windows import Windows, load

__all__ = ["Loader", "Windows", "load"]
