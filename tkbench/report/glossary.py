"""What each metric means and how to read it, for readers who meet it in a report."""

from __future__ import annotations

from dataclasses import dataclass

from tkbench.results.bundle import Column

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
_LMD = (
    "Distance between the lips of the generated and the true video, {what}, in pixels of {unit}. It sees wrong shapes "
    "and wrong timing alike; also that two trackings of one face never agree fully."
)
_CROP = "each video's own 128 × 128 crop (ATVGnet's)"
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
    "ms_ssim": "SSIM at five scales, 1 for identical videos: it forgives fine noise more than SSIM does.",
    "cpbd": "How sharp the generated video is by itself: the share of edges so narrow that nobody would see blur. "
    "It knows nothing of the true video, whose own value is the mark to compare with.",
    "csim": "Likeness of the person, by the cosine of face-recognition embeddings of the same frame in both videos; 1 "
    "for identical videos. A different mouth barely lowers it.",
    "voice_corr": "A second opinion on sync: the correlation of mouth landmarks with the sound of the voice, at the "
    "lag where it is highest. No network is involved that a model could be trained against. A still mouth or another "
    "voice reaches about 2 / √frames by chance; real talkers 0.2 to 0.6.",
    "voice_lag": "The lag at which mouth and voice fit best, in frames of 40 ms, positive where the mouth comes after "
    "the sound. Only clips where the fit is sure have one; the others are unscored as unclear.",
    "voice_sure": "The mean confidence that mouth and voice belong together, 0 to 1: how many wrong voices would fit "
    "worse. A lag is given from 0.98 on.",
    "lip_corr_truth": "How closely the opening of the lips follows the exact one that the synthetic face was drawn "
    "with: 1 for a perfect copy, 0 for lips that stand still. The true video shows what tracking allows.",
    "lip_error_truth": "Mean error of the opening of the lips against the exact one, in hundredths of the widest.",
    "lip_corr": "How closely the opening of the lips follows the true one over time: 1 for a perfect copy, 0 for lips "
    "that stand still.",
    "lip_error": "Mean difference of the opening of the lips from the true one, in hundredths of the distance between "
    "the outer corners of the eyes.",
    "lmd_atvg": _LMD.format(
        what="about their centre and summed over 20 points, as ATVGnet's code does", unit=_CROP
    ),
    "lmd_mouth": _LMD.format(what="about their centre and averaged over 20 points (M-LMD)", unit=_CROP),
    "lmd_face": _LMD.format(what="taken with the whole face, averaged over 68 points (F-LMD)", unit=_CROP),
    "lvd_mouth": _LMD.format(what="in how they move from frame to frame (M-LVD)", unit=_CROP),
    "lvd_face": _LMD.format(what="in how the whole face moves from frame to frame (F-LVD)", unit=_CROP),
    "lmd_nerf": _LMD.format(what="about their centre and averaged over 20 points", unit="the canvas"),
    "lmd_vico": _LMD.format(what="as they lie, averaged over coordinates", unit="the canvas"),
    "fid": "Distance between the statistics of all true and all generated frames: one number for the whole "
    "set, so it has no interval. It depends on the number of frames and never compares across data sets.",
}
_ENDINGS = {
    "_synth": "Judge: syncnet-synth, trained on synthetic faces alone. Its numbers never compare with those "
    "of syncnet-v2.",
    "_mouth": "In the mouth region alone.",
    "_face": "In the face region alone.",
    "_mesh": "On Face Mesh points; never compares with other landmarks.",
    "_fan": "On FAN points; never compares with other landmarks.",
    "_aligned": "On faces laid on the network's own template.",
}
_JUDGE = "Judge: syncnet-v2, the field's network. Its numbers never compare with those of syncnet-synth."
_GENERIC = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "zero": "Closer to 0 is better.",
}
RANK = (
    "The place by the ranking metric, 1 is best; anchors take places, too. In brackets the {level} interval: the "
    "models are ranked anew in each of {draws} drawings of the same speakers with replacement, and so many of the "
    "ranks lie in it. Where intervals overlap, this data may not tell the models apart; `tkbench compare` tests a pair."
)


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
