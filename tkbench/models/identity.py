"""Names of models as other processes understand them, and what tells one state of a model from another.

A model is named by its user, as in `files:out` or `cals:best.safetensors`. A worker on another machine has another
working folder, so paths in names are made absolute. An evaluation that was stopped goes on only where the model is
the same: its card has the hash of a checkpoint, and `code_of` covers the code that is not tkbench's own.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path

from tkbench.models import kinds
from tkbench.models.base import Model
from tkbench.models.command import Command
from tkbench.runtime.hashes import state_of
from tkbench.runtime.storage import everywhere as place_everywhere
from tkbench.runtime.storage import sha256_of

WRAPPERS = ("cross", "mute")


def everywhere(name: str) -> str:
    """A model's name with absolute paths. Paths within a command (`cmd:`) stay as they are.

    >>> everywhere("shift:5"), everywhere("files:s3://bucket/out")
    ('shift:5', 'files:s3://bucket/out')
    """
    base, colon, setting = name.partition(":")
    if base in WRAPPERS:
        return f"{base}:{everywhere(setting)}"
    if colon and (base == "files" or base in kinds.generators()):
        return f"{base}:{place_everywhere(setting)}"
    return name


def code_of(model: Model) -> str:
    """A hash of the code of a plug-in's model or of the files that a command names; "" for tkbench's own models."""
    inner = getattr(model, "model", model)
    if isinstance(inner, Command):
        files = [Path(word).absolute() for word in inner.words]
        told = [state_of(file) for file in files if file.is_file()]
        return hashlib.sha256("\n".join(told).encode()).hexdigest() if told else ""
    module = type(inner).__module__
    if module.partition(".")[0] == "tkbench":
        return ""
    source = inspect.getsourcefile(sys.modules[module]) if module in sys.modules else None
    return sha256_of(Path(source)) if source is not None and Path(source).is_file() else ""
