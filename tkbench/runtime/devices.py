"""Where networks run: `cpu`, or a CUDA device by name."""

from __future__ import annotations

import ctypes
import platform
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from tkbench.errors import UsageError

Thing = TypeVar("Thing")


def check_device_name(name: str) -> str:
    """`name`, if it can be a device's at all, here or on another machine."""
    kind, colon, number = name.partition(":")
    if name not in ("cpu", "mps") and (kind != "cuda" or (colon and not number.isdecimal())):
        raise UsageError(f"--device {name!r}: expected cpu, cuda, cuda:NUMBER or mps")
    return name


def check_device(name: str, count: int = 1) -> str:
    """`name`, if so many networks can run there; otherwise UsageError with the devices that there are.

    Where torch is built without GPUs, or has no driver, this is seen without loading torch, which takes seconds.

    >>> check_device("cpu")
    'cpu'
    >>> check_device("gpu")
    Traceback (most recent call last):
    tkbench.errors.UsageError: --device 'gpu': expected cpu, cuda, cuda:NUMBER or mps
    """
    if check_device_name(name) == "cpu":
        return name
    if name == "mps":
        if platform.system() != "Darwin":
            raise UsageError("--device 'mps': is the GPU of a Mac; use cpu or cuda here")
        import torch

        if not torch.backends.mps.is_available():
            raise UsageError(f"--device 'mps': torch {torch.__version__} finds no GPU of Apple here; use cpu")
        return name
    if (reason := _without_cuda()) is not None:
        raise UsageError(f"--device {name!r}: {reason}; use cpu, {OTHER_TORCH}")
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = name.partition(":")[2]
    if max(int(number or 0) + 1, count) > found:
        shown = f"devices 0 to {found - 1}" if found > 1 else "one device" if found else "none"
        asked = f"--device {name!r}" + (f", --devices {count}" if count > 1 else "")
        raise UsageError(
            f"{asked}: torch {torch.__version__} finds {shown} of CUDA here; use cpu, {OTHER_TORCH}"
        )
    return name


OTHER_TORCH = "or a torch that is built for the driver (https://pytorch.org/get-started)"


def _without_cuda() -> str | None:
    """Why the installed torch cannot use a GPU by CUDA or ROCm, as far as files tell it; None where it may."""
    found = find_spec("torch")
    files = [Path(place) / "version.py" for place in (found and found.submodule_search_locations) or ()]
    facts = next((runpy.run_path(str(path)) for path in files if path.is_file()), {})
    version, cuda, hip = (facts.get(name) for name in ("__version__", "cuda", "hip"))
    if version is None or hip:
        return None
    if not cuda:
        return f"torch {version} is built for processors alone"
    if platform.system() == "Linux":
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return f"torch {version} finds no driver of NVIDIA (libcuda.so.1) here"
    return None


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
