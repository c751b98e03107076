"""LSE recipes by name, added to a protocol: the columns that `tkbench eval --lse` scores beside the protocol's own."""

from __future__ import annotations

from tkbench.errors import UnknownName
from tkbench.metrics.lse_recipes import RECIPES
from tkbench.protocol import MetricSpec, Protocol
from tkbench.registry import suggest


def choose(names: str) -> list[str]:
    """Names of LSE recipes from a list with commas; "all" stands for every one.

    >>> choose("wav2lip-lrs,mocha")
    ['wav2lip-lrs', 'mocha']
    """
    chosen = list(RECIPES) if names.strip() == "all" else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in RECIPES:
            raise UnknownName(f"no LSE recipe is called {name!r}: {suggest(name, ['all', *RECIPES])}")
    return list(dict.fromkeys(chosen))


def extend(rules: Protocol, names: str) -> Protocol:
    """The protocol with these recipes added, once per judge that it already has; its name ends in "+lse".

    The recipe `tkbench-v1` is left out where the protocol already has it, as the metric `sync`.
    """
    judges = [
        str(spec.settings.get("judge", "syncnet-v2"))
        for spec in rules.metrics
        if spec.name == "sync" and spec.settings.get("ends", "valid") == "valid"
    ]
    added = [
        MetricSpec(name="lse", settings={"recipe": name, "judge": judge})
        for judge in judges or ["syncnet-v2"]
        for name in choose(names)
        if not (name == "tkbench-v1" and judges)
    ]
    return rules.model_copy(update={"name": f"{rules.name}+lse", "metrics": (*rules.metrics, *added)})
