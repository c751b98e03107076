"""What is there of a data set and what is not: counts per split beside the published ones, and every finding.

`tkbench data check` prints it. A tree with holes is still a tree: findings are told, not raised. Only a folder that is
not the data set at all, or holds none of its clips, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.ledger import Ledger
from tkbench.prep.datasets.lrs2.check import check_lrs2
from tkbench.prep.datasets.lrs3.check import check_lrs3
from tkbench.prep.datasets.lrw.check import check_lrw
from tkbench.registry import suggest
from tkbench.runtime.progress import Progress, silent


def check(
    dataset: str,
    root: str | Path,
    *,
    annotations: str | None = None,
    fast: bool = False,
    progress: Progress = silent,
) -> Ledger:
    """The ledger of a tree. fast: names and sizes alone; no .txt and no video is opened.

    Raises UsageError for a folder that is not such a tree or has none of its clips, UnknownName never.
    """
    from tkbench.prep.datasets.hdtf.check import check_hdtf

    place = Path(root).absolute()
    makers: dict[str, Callable[[Ledger, Path, bool, Progress], None]] = {
        "lrw": check_lrw,
        "lrs2": check_lrs2,
        "lrs3": check_lrs3,
        "hdtf": lambda ledger, path, quick, show: check_hdtf(ledger, path, annotations, quick, show),
    }
    if dataset not in makers:
        raise UsageError(f"no check of {dataset!r}: {suggest(dataset, list(makers))}")
    if not place.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds {dataset}")
    ledger = Ledger(dataset, str(place))
    makers[dataset](ledger, place, fast, progress)
    if not sum(ledger.there.values()):
        total = sum(ledger.listed.values())
        raise UsageError(f"{root}: none of the {total} clips that it should hold is there")
    return ledger
