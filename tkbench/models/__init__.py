"""Models: the anchors that bracket every table, and the doors through which others come in.

A model is named `name` or `name:setting`, as in `shift:5` or `files:out/`.
"""

from __future__ import annotations

from collections.abc import Callable

from tkbench.errors import UsageError
from tkbench.models.base import Model
from tkbench.registry import Registry

registry: Registry[Callable[..., Model]] = Registry("model", "tkbench.models")
registry.add("real", "tkbench.models.anchors:Real")
registry.add("still", "tkbench.models.anchors:Still")
registry.add("shift", "tkbench.models.anchors:Shift")
registry.add("shuffled-audio", "tkbench.models.anchors:ShuffledAudio")
registry.add("blur", "tkbench.models.anchors:Blur")
registry.add("jpeg", "tkbench.models.degraded:Jpeg")
registry.add("noise", "tkbench.models.degraded:Noise")
registry.add("resize", "tkbench.models.degraded:Resize")
registry.add("fps", "tkbench.models.degraded:Fps")
registry.add("files", "tkbench.models.files:Files")
registry.add("cmd", "tkbench.models.command:Command")
registry.add("cross", "tkbench.models.voices:Cross")
registry.add("mute", "tkbench.models.voices:Mute")
registry.add("synctalkface", "tkbench.models.talker:synctalkface")
registry.add("cals", "tkbench.models.talker:cals")
registry.add("wav2lip", "tkbench.models.talker:wav2lip")

ANCHORS = ("real", "still", "shift:5", "shuffled-audio", "blur")
"""The rows that bracket every table; `--model anchors` means all of them."""
REFERENCES = ("synctalkface", "cals")
"""The reference models of which a checkpoint comes with the package, trained on the synthetic corpus."""


def create(name: str) -> Model:
    """The model called `name`, ready to generate.

    Raises UnknownName for a name that is not registered, UsageError for a setting that the model cannot take.

    >>> create("shift:5").card.name
    'shift:5'
    """
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
