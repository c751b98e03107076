"""Facts of the columns: unit, direction, bounds, names, and a text that says what is measured."""

from __future__ import annotations

import math

import pytest

from tkbench import metrics
from tkbench.media import lossy
from tkbench.metrics.base import BuildContext, Metric
from tkbench.metrics.landmark import VARIANTS
from tkbench.metrics.lse_recipes import RECIPES
from tkbench.protocol import MetricSpec
from tkbench.types import Column

REGIONS = ["full", "face", "mouth"]
SPECS = [
    *(MetricSpec(name="sync", settings={"judge": judge}) for judge in ("syncnet-v2", "syncnet-synth")),
    *(MetricSpec(name="lse", settings={"recipe": recipe}) for recipe in RECIPES),
    MetricSpec(name="lse", settings={"recipe": "mocha", "judge": "syncnet-synth", "precision": "bf16"}),
    *(MetricSpec(name=name, settings={"regions": REGIONS}) for name in ("psnr", "ssim", "ms_ssim", "cpbd")),
    *(
        MetricSpec(name=name, settings={"regions": REGIONS})
        for name in ("psnr-wrapped-uint8", "ssim-uniform")
    ),
    *(MetricSpec(name="lpips", settings={"net": net}) for net in ("alex", "vgg", "squeeze")),
    *(
        MetricSpec(name=name, settings={"regions": REGIONS, "by": "scikit-image"})
        for name in ("psnr", "ssim")
    ),
    *(MetricSpec(name="ms_ssim", settings={"regions": REGIONS, "scales": scales}) for scales in (4, 3)),
    MetricSpec(name="fid"),
    MetricSpec(name="voice"),
    MetricSpec(name="voice_score"),
    *(
        MetricSpec(name="lmd", settings={"variants": list(VARIANTS), "points": points})
        for points in ("mesh", "fan")
    ),
    *(MetricSpec(name="lip", settings={"truth": truth}) for truth in (False, True)),
    MetricSpec(name="lip", settings={"points": "fan"}),
    *(MetricSpec(name="csim", settings={"crop": crop}) for crop in ("whole", "aligned")),
    *(MetricSpec(name="distribution", settings={"region": region}) for region in REGIONS),
    *(MetricSpec(name="fvd", settings={"net": net}) for net in ("i3d-styleganv", "i3d-videogpt")),
    MetricSpec(name="efid"),
    *(
        MetricSpec(name="iqa", settings={"model": model, "regions": REGIONS})
        for model in ("niqe", "brisque", "piqe", "musiq")
    ),
    *(MetricSpec(name="aligned", settings={"points": points}) for points in ("mesh", "fan")),
    MetricSpec(name="motion"),
    MetricSpec(name="motion", settings={"parts": ["silent_lip", "volume_fit"], "speech": "silero"}),
]
MEASURES = {
    "lse_c": ("the median minus the minimum of the distance", "lips and voice"),
    "lse_d": ("mean distance between lips and voice",),
    "av_offset": ("shift at which lips and voice fit best",),
    "voice_corr": ("correlation of mouth landmarks with the sound of the voice",),
    "voice_lag": ("lag at which mouth landmarks and the sound of the voice fit best",),
    "voice_score": ("how well mouth landmarks say what the voice says",),
    "voice_on_time": ("share of clips whose voice_lag lies within",),
    "voice_sure": ("confidence that mouth and voice belong together",),
    "lip_corr": ("how closely the opening of the lips follows the true one",),
    "lip_corr_truth": ("how closely the opening of the lips follows the exact one",),
    "lip_error": ("difference of the opening of the lips", "corners of the eyes"),
    "lip_error_truth": ("error of the opening of the lips", "widest opening"),
    "lmd_atvg": ("landmark distance", "of the mouth about their centre, summed"),
    "lmd_mouth": ("landmark distance", "of the mouth about their centre, averaged over the points,"),
    "lmd_face": ("landmark distance", "of the face about their centre"),
    "lvd_mouth": ("landmark distance", "of the mouth move from frame to frame"),
    "lvd_face": ("landmark distance", "of the face move from frame to frame"),
    "lmd_nerf": ("landmark distance", "averaged over the points as er-nerf"),
    "lmd_vico": ("landmark distance", "of the mouth as they lie"),
    "psnr": ("pixel error", "logarithmic"),
    "psnr_wrapped_uint8": ("pixel errors wrap",),
    "ssim": ("likeness of local structure to the true video",),
    "ssim_uniform": ("ssim", "uniform 7 × 7 window"),
    "ms_ssim": ("ssim at five scales",),
    "ms_ssim4": ("ssim at four scales",),
    "ms_ssim3": ("ssim at three scales",),
    "cpbd": ("how sharp", "share of edges"),
    "lpips": ("features of an image network",),
    "csim": ("likeness of the person", "face-recognition embeddings"),
    "fid": ("statistics of all true and all generated frames",),
    "fid_legacy": ("statistics of true and generated frames",),
    "fid_inf": ("infinitely many frames",),
    "kid": ("kernel distance between inception features",),
    "lmd_mouth_dtw": ("landmark distance of the mouth after the best alignment",),
    "lip_error_dtw": ("error of the lips' opening after the best alignment",),
    "lip_dynamics": ("shape of the lips changes",),
    "brow_dynamics": ("how much the brows move",),
    "head_dynamics": ("how much the head moves",),
    "silent_lip": ("restless the lips are in pauses",),
    "volume_fit": ("opening of the lips and the loudness",),
    "head_jitter": ("how much the head trembles",),
    "head_smooth": ("how smoothly the head moves",),
    "head_beat": ("halts lie to the onsets of the voice",),
    "fvd": ("statistics of true and generated clips", "video network"),
    "iqa_niqe": ("from those of natural pictures",),
    "iqa_brisque": ("regression of natural statistics",),
    "iqa_piqe": ("share of the blocks",),
    "iqa_musiq": ("by a transformer",),
    "fvd_halves": ("what two sets of true clips score",),
    "efid": ("statistics of true and generated expressions",),
    "efid_halves": ("what two sets of true frames score",),
}
"""What a column's name starts with -> what its text must say, and the text of no other metric."""
UNBOUNDED = ("kid", "fid_inf", "head_smooth", "iqa_brisque")
"""An unbiased estimate and an extrapolation, which can fall below 0, a logarithm, and a regression."""
BUILT: list[tuple[MetricSpec, Metric]] = []


def built() -> list[tuple[MetricSpec, Metric]]:
    if not BUILT:
        context = BuildContext(lossy=lossy)
        BUILT.extend((spec, metrics.build(spec, context)) for spec in SPECS)
    return BUILT


def columns() -> list[Column]:
    return [column for _, metric in built() for column in metric.columns]


def kind_of(column: Column) -> str:
    return max((name for name in MEASURES if f"{column.name}_".startswith(f"{name}_")), key=len)


def test_every_registered_metric_is_asked_here() -> None:
    ours = {n for n in metrics.registry if metrics.registry.get(n).__module__.startswith("tkbench.")}
    assert ours == {spec.name for spec in SPECS}
    for spec, metric in built():
        assert metric.name == spec.name
    assert {kind_of(column) for column in columns()} == set(MEASURES)


def test_no_column_lacks_a_fact() -> None:
    found = columns()
    assert len({column.name for column in found}) == len(found)
    assert len({column.label for column in found}) == len(found), "two headings are the same"
    for column in found:
        assert column.unit, column.name
        assert column.better in ("higher", "lower", "zero")
        assert column.text.endswith("."), column.name
        assert column.signature, column.name
        low, high = column.bounds
        unbounded = math.isinf(low) and math.isinf(high)
        assert unbounded == (kind_of(column) in UNBOUNDED), column.name
        if column.better == "zero":
            assert low < 0 < high
        elif column.better == "lower" and not unbounded:
            assert low == 0


@pytest.mark.parametrize("column", columns(), ids=lambda column: column.name)
def test_each_text_says_what_its_metric_measures_and_no_other(column: Column) -> None:
    text = column.text.lower()
    said = [name for name, words in MEASURES.items() if all(word in text for word in words)]
    assert said == [kind_of(column)]


def test_variants_of_a_metric_say_what_sets_them_apart() -> None:
    """Two columns with one text differ in what is said of the variant."""
    seen: dict[tuple[str, str], str] = {}
    for column in columns():
        other = seen.setdefault((column.text, column.variant), column.name)
        assert other == column.name, f"{column.name} and {other} read the same"


def test_other_names_are_of_one_metric() -> None:
    """ "Sync-C" is LSE-C and nothing else; only LMD, LVD and FID are several things in the field."""
    owners: dict[str, set[str]] = {}
    for column in columns():
        for name in column.also_called:
            owners.setdefault(name, set()).add(kind_of(column))
    assert owners["Sync-C"] == {"lse_c"}
    assert owners["Sync-D"] == {"lse_d"}
    shared = {name for name, kinds in owners.items() if len(kinds) > 1}
    assert shared == {"LMD", "LVD", "landmark velocity difference", "Fréchet inception distance"}
    assert not set(owners) & {column.label for column in columns()}


def test_names_of_papers_lead_to_metrics_that_have_them() -> None:
    """What `tkbench ls` says that papers call a metric is what its columns say."""
    for names, kinds in metrics.FIELD_NAMES.items():
        for kind in kinds:
            said = {
                text
                for spec, metric in built()
                if spec.name == kind
                for column in metric.columns
                for text in (column.label, *column.also_called)
            }
            for name in names.replace(" = ", ", ").split(", "):
                assert any(name in text for text in said), f"{kind} has no {name}"
