"""Where networks run: `cpu`, or a CUDA device by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tkbench.errors import UsageError

Thing = TypeVar("Thing")


def check_device(name: str) -> str:
    """`name`, if a network can run there; otherwise UsageError with the devices that there are.

    >>> check_device("cpu")
    'cpu'
    >>> check_device("gpu")
    Traceback (most recent call last):
    tkbench.errors.UsageError: --device 'gpu': expected cpu, cuda, cuda:NUMBER or mps
    """
    if name == "cpu":
        return name
    if name == "mps":
        import torch

        if not torch.backends.mps.is_available():
            raise UsageError(f"--device 'mps': torch {torch.__version__} finds no GPU of Apple here; use cpu")
        return name
    kind, colon, number = name.partition(":")
    if kind != "cuda" or (colon and not number.isdecimal()):
        raise UsageError(f"--device {name!r}: expected cpu, cuda, cuda:NUMBER or mps")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        found = f"devices 0 to {count - 1}" if count > 1 else "one device" if count else "none"
        raise UsageError(
            f"--device {name!r}: torch {torch.__version__} finds {found} of CUDA here; use cpu, or a torch that is "
            "built for the driver (https://pytorch.org/get-started)"
        )
    return name


def device_facts(device: str) -> str:
    """A device as signatures and bundles name it: a GPU by its model.

    >>> device_facts("cpu")
    'cpu'
    """
    if not device.startswith("cuda"):
        return device
    import torch

    return f"cuda:{torch.cuda.get_device_name(device)}"


def put_on(thing: Thing, device: str) -> Thing:
    """Move a model that has networks, by its method `to`, to a device; others stay unchanged."""
    if hasattr(thing, "to"):
        thing.to(device)
    return thing


@contextmanager
def whole_floats() -> Iterator[None]:
    """Keep CUDA's convolutions in float32: by default they round their inputs to 10 bits (TF32)."""
    import torch

    cudnn = torch.backends.cudnn
    conv = getattr(cudnn, "conv", None)  # the setting's place since torch 2.9
    newer = hasattr(conv, "fp32_precision")
    owner: object = conv if newer else cudnn
    name, value = ("fp32_precision", "ieee") if newer else ("allow_tf32", False)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
