"""What each metric means and how to read it, for readers who meet it in a report."""

from __future__ import annotations

from dataclasses import dataclass

from tkbench.bundle import Column

_LSE_C = (
    "How much better lips and voice fit at their best shift than at a typical one: the median minus the "
    "minimum of the distance over shifts of −15 to 15 frames. It is taken at the best shift, so a constant "
    "lag barely lowers it: read it with AVOffset. Near 0, no shift fits better than another."
)
_LSE_D = (
    "The mean distance between lips and voice at their best shift. Like LSE-C it forgives a constant lag: "
    "read it with AVOffset."
)
_OFFSET = (
    "The shift at which lips and voice fit best, in frames of 40 ms. Positive: the mouth comes after the "
    "sound. Where no shift fits well its mean says nothing, so look at LSE-C first."
)
_TEXTS = {
    "lse_c": _LSE_C,
    "lse_d": _LSE_D,
    "av_offset": _OFFSET,
    "psnr": "Pixel error against the true video on a logarithmic scale; ∞ for identical videos. It rewards a "
    "still picture in the right place and is nearly blind to whether the mouth says the right thing.",
    "ssim": "Likeness of local structure to the true video, 1 for identical videos. Like PSNR it compares "
    "pictures frame by frame and hardly sees timing.",
    "lpips": "Distance to the true video in the features of an image network, 0 for identical videos. It "
    "sees blur and artefacts that PSNR forgives.",
    "fid": "Distance between the statistics of all true and all generated frames: one number for the whole "
    "set, so it has no interval. It depends on the number of frames and never compares across data sets.",
}
_ENDINGS = {
    "_synth": "Judge: syncnet-synth, trained on synthetic faces alone. Its numbers never compare with those "
    "of syncnet-v2.",
    "_mouth": "In the mouth region alone.",
}
_JUDGE = "Judge: syncnet-v2, the field's network. Its numbers never compare with those of syncnet-synth."
_GENERIC = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "zero": "Closer to 0 is better.",
}


@dataclass(frozen=True, slots=True)
class Term:
    """One entry."""

    label: str
    direction: str
    unit: str
    text: str
    signature: str


def terms(columns: list[Column]) -> list[Term]:
    """One Term per column, in table order; a text that stands above already is not said again.

    A metric from a plug-in gets its direction and unit alone.
    """
    found: list[Term] = []
    first: dict[str, str] = {}
    for column in columns:
        base, ending = split(column.name)
        if base in first:
            text = f"As {first[base]} above."
        else:
            text = _TEXTS.get(base, "")
            first[base] = column.label
        if base in ("lse_c", "lse_d", "av_offset") and not ending:
            text = f"{text} {_JUDGE}"
        text = f"{text} {_ENDINGS.get(ending, '')}".strip()
        found.append(Term(column.label, _GENERIC[column.better], column.unit, text, column.signature))
    return found


def split(name: str) -> tuple[str, str]:
    """A known metric and the ending that names its judge or region; (name, "") for an unknown one.

    >>> split("lse_c_synth"), split("psnr"), split("psnr_hair")
    (('lse_c', '_synth'), ('psnr', ''), ('psnr_hair', ''))
    """
    for base in _TEXTS:
        ending = name.removeprefix(base)
        if name.startswith(base) and (not ending or ending in _ENDINGS):
            return base, ending
    return name, ""
