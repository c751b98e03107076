"""Another voice for a generator: `cross:MODEL` and `mute:MODEL`, as in `cross:cals:cals.safetensors`.

A generator that copies the mouth it was shown scores well with its own clip's voice, but not with another clip's. With
silence it has no voice to follow: the score of `mute` is what the pictures alone give away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tkbench.errors import UsageError
from tkbench.models.base import Model
from tkbench.runtime.devices import put_on
from tkbench.types import Batch, Generated


class Cross:
    """The model driven by the voice of another clip, and scored with that voice."""

    def __init__(self, name: str) -> None:
        self.model = _inner("cross", name)
        self.runs_outside = bool(getattr(self.model, "runs_outside", False))
        own = self.model.card
        summary = f"{own.summary} Driven and judged by the voice of another clip."
        self.card = own.model_copy(update={"name": f"cross:{own.name}", "summary": summary, "drive": "other"})

    def to(self, device: str) -> None:
        """As the model itself."""
        put_on(self.model, device)

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """The samples come with the other voice already."""
        return self.model.generate(batch, seed=seed)


class Mute:
    """The model given silence, and scored with the true voice: the ablation without audio."""

    def __init__(self, name: str) -> None:
        self.model = _inner("mute", name)
        self.runs_outside = bool(getattr(self.model, "runs_outside", False))
        own = self.model.card
        summary = f"{own.summary} Given silence, judged with the true voice."
        self.card = own.model_copy(update={"name": f"mute:{own.name}", "summary": summary})

    def to(self, device: str) -> None:
        """As the model itself."""
        put_on(self.model, device)

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        silent = tuple(replace(sample, audio=np.zeros_like(sample.audio)) for sample in batch)
        return self.model.generate(Batch(silent), seed=seed)


def _inner(kind: str, name: str) -> Model:
    from tkbench import models

    model = models.create(name)
    if model.card.anchor or model.card.drive != "own":
        raise UsageError(
            f"model '{kind}:{name}': {name!r} does not use the voice; give a generator, as in {kind}:cals:FILE"
        )
    return model
