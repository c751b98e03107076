"""`tkbench data fake`: synthetic trees in the exact layout of a data set, for tests, demos and CI.

The faces and voices are those of the synthetic corpus (extra `tkbench[synth]`); names, lists, text files, picture
sizes, rates and lengths are as in the data set. A file TKBENCH_FAKE.json marks the tree, so that what is made of it
is called `lrs2-fake` and never passes for the real one. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets import find, having
from tkbench.prep.datasets.tree import FAKE
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

    Raises UsageError for a data set that has no fake, too few clips or a folder that holds something.
    """
    maker = find(dataset).fake
    if maker is None:
        raise UsageError(f"{dataset} has no synthetic tree; these have one: {', '.join(having('fake'))}")
    count = maker.usual if clips is None else clips
    root = Path(out)
    if count < maker.least:
        raise UsageError(
            f"a synthetic {dataset} needs at least {maker.least} clips to have every oddity of the original, "
            f"found {count}"
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: is not empty; choose a new folder")
    root.mkdir(parents=True, exist_ok=True)
    mark = {"made_by": "tkbench data fake", "dataset": dataset, "clips": count, "seed": seed}
    (root / FAKE).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    maker.make(root, count, seed, progress)
    return root
