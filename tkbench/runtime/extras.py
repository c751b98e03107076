"""How to install what an extra of tkbench brings, wherever tkbench itself came from."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires


def install_line(extra: str) -> str:
    """`pip install` with the packages of an extra themselves: right for a checkout, a wheel and an index alike.

    >>> install_line("synth")
    "pip install 'espeakng-loader>=0.2'"
    """
    try:
        lines = requires("tkbench") or []
    except PackageNotFoundError:  # run from a folder, without an installation
        lines = []
    parts = [line.partition(";") for line in lines]
    wanted = [name.strip() for name, _, marker in parts if f'extra == "{extra}"' in marker.replace("'", '"')]
    return f"pip install {' '.join(repr(name) for name in wanted or [f'tkbench[{extra}]'])}"
