"""Ctrl-C where it must wait: a step of training ends first, so that the state can be written and nothing is lost.

The command line asks `wait` when it is stopped (`tkbench.cli.main`); work that can go on from a boundary runs within
`between_steps`, and asks `asked` at each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_state = {"depth": 0, "asked": False}


@contextmanager
def between_steps() -> Iterator[None]:
    """Within, a stop waits until the work asks for it by `asked`, or has come to its end.

    >>> try:
    ...     with between_steps():
    ...         wait(), asked()
    ... except KeyboardInterrupt:
    ...     "stopped"
    (True, True)
    'stopped'
    >>> wait(), asked()
    (False, False)
    """
    _state["depth"] += 1
    try:
        yield
        late = asked()
    finally:
        _state["depth"] -= 1
        _state["asked"] = False
    if late:
        raise KeyboardInterrupt


def wait() -> bool:
    """Whether a stop that comes now has to wait; then it is kept for `asked`."""
    if not _state["depth"]:
        return False
    _state["asked"] = True
    return True


def asked() -> bool:
    """Whether a stop waits."""
    return bool(_state["asked"])
