"""Training data out of shards: windows of a few frames with their sound, in batches that repeat exactly.

    from tkbench import data

    windows = data.load("shards/lrs2", split="train", recipe="face-128", frames=5, batch=64)
    for batch in windows.loader(workers=4):   # or: for batch in windows
        batch["video"], batch["mel"], batch["reference"]

Everything else that can be set is a field of `WindowSpec` (what a window holds) or `Sampling` (which windows an epoch
has), given to `load` as `window=` and `sampling=`.

    windows.py    which windows an epoch has, and what is in a batch
    loader.py     what is in a batch; worker processes, epochs, resuming in the middle of one
    cut.py        canvas -> crops, decoded in this process
    cache.py      crops that were cut once, kept on disk
    speed.py      windows/s, and the time of each stage

Plain `webdataset` reads the shards as well: `tkbench.shards.unpack` makes a Sample of its items.
"""

from __future__ import annotations

from tkbench.data.loader import Loader, TensorBatch, WindowBatch
from tkbench.data.windows import Sampling, Windows, WindowSpec, load

__all__ = ["Loader", "Sampling", "TensorBatch", "WindowBatch", "WindowSpec", "Windows", "load"]
