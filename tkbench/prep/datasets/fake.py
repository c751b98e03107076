"""Synthetic trees in the exact layout of LRW, LRS2, LRS3 and HDTF, for tests, demos and CI.

The faces and voices are those of the synthetic corpus (extra `tkbench[synth]`); names, lists, text files, picture
sizes, rates and lengths are as in the data set. A file TKBENCH_FAKE.json marks the tree, so that what is made of it
is called `lrs2-fake` and never passes for the real one. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.lrs2.fake import make_lrs2
from tkbench.prep.datasets.lrs3.fake import make_lrs3
from tkbench.prep.datasets.lrw.fake import make_lrw
from tkbench.prep.datasets.tree import FAKE
from tkbench.registry import suggest
from tkbench.runtime.progress import Progress, silent


def make_fake(
    dataset: str,
    out: str | Path,
    *,
    clips: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Path:
    """Write a synthetic tree of `clips` clips to `out`, a new or empty folder, and return its root.

    Raises UsageError for a data set that it does not know, too few clips or a folder that holds something.
    """
    from tkbench.prep.datasets.hdtf.fake import make_hdtf

    makers: dict[str, tuple[Callable[[Path, int, int, Progress], None], int, int]] = {
        "lrw": (make_lrw, 6, 1),
        "lrs2": (make_lrs2, 8, 1),
        "lrs3": (make_lrs3, 6, 1),
        "hdtf": (make_hdtf, 6, 5),
    }
    if dataset not in makers:
        raise UsageError(f"no fake of {dataset!r}: {suggest(dataset, list(makers))}")
    make, usual, least = makers[dataset]
    count = usual if clips is None else clips
    root = Path(out)
    if count < least:
        raise UsageError(
            f"a fake {dataset} needs at least {least} clips for all that is odd in it, not {count}"
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: is not empty; choose a new folder")
    root.mkdir(parents=True, exist_ok=True)
    mark = {"made_by": "tkbench data fake", "dataset": dataset, "clips": count, "seed": seed}
    (root / FAKE).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    make(root, count, seed, progress)
    return root
