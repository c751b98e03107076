"""`tkbench data check`: what is there of a data set and what is not.

A tree with holes is still a tree: findings are listed, not raised. Only a folder that is not the data set at all, or
that holds none of its clips, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.errors import UsageError
from tkbench.prep.datasets import find, having
from tkbench.runtime.progress import Progress, silent


def check(
    dataset: str,
    root: str | Path,
    *,
    options: Mapping[str, str] | None = None,
    fast: bool = False,
    progress: Progress = silent,
) -> Ledger:
    """The ledger of a tree. fast: names and sizes alone; no text file and no video is opened.

    Raises UsageError for a folder that is not such a tree or has none of its clips, and for a data set without a check;
    UnknownName for a name that is none.
    """
    record, place = find(dataset), Path(root).absolute()
    if record.check is None:
        raise UsageError(f"{dataset} has no check; these have one: {', '.join(having('check'))}")
    record.refuse_unknown(options or {})
    if not place.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder that holds {dataset}")
    ledger = Ledger(record, str(place))
    record.check(ledger, place, Check(fast, progress, options or {}))
    if not sum(ledger.there.values()):
        total = sum(ledger.listed.values())
        raise UsageError(f"{root}: none of the {total} clips that it should hold is there")
    return ledger
