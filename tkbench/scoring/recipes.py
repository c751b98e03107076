"""LSE recipes by name, added to a protocol: what `tkbench eval --lse` scores beside its own columns."""

from __future__ import annotations

from tkbench.errors import UnknownName
from tkbench.metrics.lse_recipes import RECIPES
from tkbench.protocol import MetricSpec, Protocol
from tkbench.registry import suggest


def choose(names: str) -> list[str]:
    """Recipe names from a list with commas; "all" is every one.

    >>> choose("wav2lip-lrs,mocha")
    ['wav2lip-lrs', 'mocha']
    """
    chosen = list(RECIPES) if names.strip() == "all" else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in RECIPES:
            raise UnknownName(f"no LSE recipe is called {name!r}: {suggest(name, ['all', *RECIPES])}")
    return list(dict.fromkeys(chosen))


def extend(rules: Protocol, names: str) -> Protocol:
    """The protocol with these recipes added, once per judge that it already has; its name says so.

    `tkbench-v1` is left out where the protocol has it anyway, as `sync`.
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
