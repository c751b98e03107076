"""tkbench: preparation, scoring and leaderboards for talking-face generation.

    import tkbench

    tkbench.make_corpus("corpus", clips=12, speakers=4, seed=0)
    tkbench.prepare("corpus", "shards")
    tkbench.score("shards", "real").report()
    tkbench.leaderboard("runs")
    tkbench.measure.psnr(video, real)
    tkbench.data.load("shards", split="train")

The names below are imported when they are first used, so `import tkbench` itself is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tkbench.version import __version__

if TYPE_CHECKING:
    from tkbench import data as data
    from tkbench.api import compare as compare
    from tkbench.api import leaderboard as leaderboard
    from tkbench.api import score as score
    from tkbench.api import verify as verify
    from tkbench.prep.run import prepare as prepare
    from tkbench.report import write as write_report
    from tkbench.scoring import arrays as measure
    from tkbench.shards import open_shards as open_shards
    from tkbench.synth.corpus import make_corpus as make_corpus

_LAZY = {
    "compare": "tkbench.api:compare",
    "leaderboard": "tkbench.api:leaderboard",
    "score": "tkbench.api:score",
    "verify": "tkbench.api:verify",
    "make_corpus": "tkbench.synth.corpus:make_corpus",
    "open_shards": "tkbench.shards:open_shards",
    "prepare": "tkbench.prep.run:prepare",
    "write_report": "tkbench.report:write",
}

_MODULES = {"data": "tkbench.data", "measure": "tkbench.scoring.arrays"}

__all__ = [
    "__version__",
    "compare",
    "leaderboard",
    "make_corpus",
    "measure",
    "open_shards",
    "prepare",
    "score",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    target = _LAZY.get(name)
    if target is None:
        # `from tkbench import metrics` still finds the package: it asks here first.
        hint = "; metrics of arrays are in tkbench.measure" if name == "metrics" else ""
        raise AttributeError(f"module 'tkbench' has no attribute {name!r}{hint}")
    module, _, attribute = target.partition(":")
    found: object = getattr(importlib.import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
