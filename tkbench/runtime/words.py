"""Words of messages and tables that change with a number."""

from __future__ import annotations

import re


def counted(n: int, noun: str, plural: str = "") -> str:
    """A number and its noun; `plural` where it is not the noun and an s.

    >>> counted(1, "clip"), counted(1200, "clip"), counted(0, "entry", "entries")
    ('1 clip', '1200 clips', '0 entries')
    """
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def in_list(label: str) -> str:
    """A label that has no comma outside of round brackets, so that a list of labels can be read.

    >>> in_list("Lip corr., mesh"), in_list("LMD (ATVGnet), mesh"), in_list("SSIM, scikit-image (face)")
    ('Lip corr. (mesh)', 'LMD (ATVGnet, mesh)', 'SSIM (scikit-image, face)')
    """
    if not re.search(r", (?![^(]*\))", label):
        return label
    head, *more = re.split(r",? \(|\),? ?|, ", label)
    return f"{head} ({', '.join(filter(None, more))})"


def plain(text: str) -> str:
    """A name without case and signs.

    >>> plain("LSE-C") == plain("lse_c")
    True
    """
    return "".join(c for c in text.lower() if c.isalnum())
