"""Metrics that a model could please without better lips, as `tkbench study metrics` found on real or synthetic
faces.

docs/studies.md has the values. A table that ranks by one of them says so. A metric that is not here was pleased by none
of the videos that were made to please, or was not measured for want of its network.
"""

from __future__ import annotations

_WHOLE = "the mouth of another moment in an otherwise true picture"
PLEASED: dict[str, str] = {
    "voice_score": "openings twice as high",
    "voice_corr": "a mouth that flaps with the loudness",
    "voice_sure": "a mouth that flaps with the loudness",
    "lip_corr_mesh": "openings twice as high",
    "lvd_mouth_mesh": "openings twice as high",
    "psnr": _WHOLE,
    "ssim": _WHOLE,
    "ms_ssim": _WHOLE,
    "cpbd": "any sharp picture",
}
"""A column's name -> what scores as well there as the true lips in a poor picture."""


FORGIVING = ("lse_c", "lse_d", "voice_score", "voice_corr", "voice_sure")
"""Columns, by how their names begin, that take the best of several lags."""


def forgives_lag(column: str) -> bool:
    """Whether a score does not change where all lips are late by the same few frames.

    >>> forgives_lag("lse_c_synth"), forgives_lag("psnr")
    (True, False)
    """
    return column.startswith(FORGIVING)


def warning(column: str, label: str) -> str:
    """The sentence for a table that ranks by `column`, or "".

    >>> warning("cpbd", "CPBD")
    'CPBD can be pleased without better lips, by any sharp picture (`tkbench study metrics --help`).'
    >>> warning("lse_c", "LSE-C")
    ''
    """
    what = PLEASED.get(column)
    if not what:
        return ""
    return f"{label} can be pleased without better lips, by {what} (`tkbench study metrics --help`)."
