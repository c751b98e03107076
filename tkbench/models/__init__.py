"""Models: the anchors that bracket every table, the generators, and the adapters for models from elsewhere.

A model is named `name` or `name:setting`, as in `shift:5`, `files:out/` or `cals:checkpoint.safetensors`. Every kind of
network that draws faces (`tkbench.models.kinds`) is a model of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tkbench.errors import UsageError
from tkbench.registry import Registry

if TYPE_CHECKING:
    from tkbench.models.base import Model

ANCHORS = ("real", "still", "shift:5", "shuffled-audio", "blur")
"""The rows that bracket every table; `--model anchors` means all of them."""


class _Models(Registry["Callable[..., Model]"]):
    """The models that are registered here or by a plug-in, and the generators among the kinds of networks."""

    def names(self) -> tuple[str, ...]:
        from tkbench.models import kinds

        return tuple(dict.fromkeys((*super().names(), *kinds.generators())))

    def get(self, name: str) -> Callable[..., Model]:
        from tkbench.models import kinds

        if name in kinds.generators():
            from tkbench.models.talker import open_talker

            return partial(open_talker, name)
        return super().get(name)

    def origin(self, name: str) -> str:
        from tkbench.models import kinds

        return kinds.registry.origin(name) if name in kinds.generators() else super().origin(name)


registry = _Models("model", "tkbench.models")
registry.add("real", "tkbench.models.anchors:Real")
registry.add("still", "tkbench.models.anchors:Still")
registry.add("shift", "tkbench.models.anchors:Shift")
registry.add("shuffled-audio", "tkbench.models.anchors:ShuffledAudio")
registry.add("blur", "tkbench.models.anchors:Blur")
registry.add("jpeg", "tkbench.models.degraded:Jpeg")
registry.add("noise", "tkbench.models.degraded:Noise")
registry.add("resize", "tkbench.models.degraded:Resize")
registry.add("fps", "tkbench.models.degraded:Fps")
registry.add("flap", "tkbench.models.gamed:Flap")
registry.add("gape", "tkbench.models.gamed:Gape")
registry.add("wrong-mouth", "tkbench.models.gamed:WrongMouth")
registry.add("held-mouth", "tkbench.models.gamed:HeldMouth")
registry.add("files", "tkbench.models.files:Files")
registry.add("cmd", "tkbench.models.command:Command")
registry.add("cross", "tkbench.models.voices:Cross")
registry.add("mute", "tkbench.models.voices:Mute")


def references() -> tuple[str, ...]:
    """The generators that need no checkpoint: one comes with the package, trained on the synthetic corpus."""
    from tkbench.models import kinds

    return tuple(name for name in kinds.generators() if kinds.registry.get(name).bundled)


def create(name: str) -> Model:
    """The model called `name`, ready to generate.

    Raises UnknownName for a name that is not registered, UsageError for a setting that the model cannot take.

    >>> create("shift:5").card.name
    'shift:5'
    """
    from tkbench.models.base import Model

    base, colon, setting = name.partition(":")
    make = registry.get(base)
    try:
        model = make(setting) if colon else make()
    except TypeError as error:
        # Only the call itself: a TypeError from inside the model is a bug and keeps its traceback.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            wants = "takes no setting" if colon else "needs a setting, as in `files:DIR`"
            raise UsageError(f"model {name!r}: {base!r} {wants}") from error
        raise
    if not isinstance(model, Model):
        raise UsageError(
            f"model {name!r}: {make!r} has no `card` or no `generate`; see tkbench.models.base.Model"
        )
    return model
