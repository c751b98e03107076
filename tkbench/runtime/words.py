"""Words of messages and tables that change with a number."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str = "") -> str:
    """A number and its noun; `plural` where it is not the noun and an s.

    >>> counted(1, "clip"), counted(1200, "clip"), counted(0, "entry", "entries")
    ('1 clip', '1200 clips', '0 entries')
    """
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
