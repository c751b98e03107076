"""What each metric means and how to read it, for readers who meet it in a report."""

from __future__ import annotations

from dataclasses import dataclass

from tkbench.bundle import Column

_LSE_C = (
    "How much better lips and voice fit at their best shift than at a typical one: the median minus the minimum of "
    "the distance over shifts of −15 to 15 frames. It is taken at the best shift, so a constant lag barely lowers "
    "it: read it with AVOffset. Near 0 means that no shift fits better than another."
)
_LSE_D = (
    "The mean distance between lips and voice at their best shift. Like LSE-C it forgives a constant lag: read it "
    "with AVOffset."
)
_OFFSET = (
    "The shift at which lips and voice fit best, in frames of 40 ms. Positive: the mouth comes after the sound. The "
    "mean of a model that fits at no particular shift says nothing; look at LSE-C first."
)
_TEXTS = {
    "lse_c": _LSE_C,
    "lse_d": _LSE_D,
    "av_offset": _OFFSET,
    "psnr": "Pixel error against the true video on a logarithmic scale; ∞ for identical videos. It rewards a still "
    "picture in the right place and is nearly blind to whether the mouth says the right thing.",
    "ssim": "Likeness of local structure to the true video, 1 for identical videos. Like PSNR it compares pictures "
    "frame by frame and hardly sees timing.",
    "lpips": "Distance to the true video in the features of an image network, 0 for identical videos. It sees blur "
    "and artefacts that PSNR forgives.",
    "fid": "Distance between the statistics of all true and all generated frames: one number for the whole set, so "
    "it has no interval. It depends on the number of frames and never compares across data sets.",
}
_REGIONS = {
    "_mouth": "This column looks at the mouth region alone.",
}
JUDGES = {
    "_synth": "Judge: syncnet-synth, trained on synthetic faces alone. Its numbers never compare with those of "
    "syncnet-v2.",
    "": "Judge: syncnet-v2, the network that the field uses. Its numbers never compare with those of syncnet-synth.",
}
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
    """One Term per column, in the order of the table; a metric from a plug-in gets its direction and unit alone."""
    return [
        Term(column.label, _GENERIC[column.better], column.unit, explain(column.name), column.signature)
        for column in columns
    ]


def explain(name: str) -> str:
    """How to read a column; "" for one that this file does not know."""
    for base, text in _TEXTS.items():
        ending = name.removeprefix(base)
        if not name.startswith(base):
            continue
        if base in ("lse_c", "lse_d", "av_offset"):
            if ending in JUDGES:
                return f"{text} {JUDGES[ending]}"
        elif ending == "" or ending in _REGIONS:
            return " ".join(filter(None, (text, _REGIONS.get(ending, ""))))
    return ""
