"""Metrics by name, and how one is built from a protocol's entry.

A protocol's settings are the keyword arguments of the class behind the name. Other packages add theirs by an entry
point in the group `tkbench.metrics`; `tkbench.metrics.base` has the classes to derive from.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from tkbench.errors import UsageError
from tkbench.protocol import MetricSpec
from tkbench.registry import Registry, suggest

if TYPE_CHECKING:
    from tkbench.metrics.base import BuildContext, Metric

registry: Registry[type[Metric]] = Registry("metric", "tkbench.metrics")
registry.add("sync", "tkbench.metrics.sync:Sync")
registry.add("lse", "tkbench.metrics.lse:Lse")
registry.add("psnr", "tkbench.metrics.image:Psnr")
registry.add("ssim", "tkbench.metrics.image:Ssim")
registry.add("psnr-wrapped-uint8", "tkbench.metrics.image_variants:PsnrWrapped")
registry.add("ssim-uniform", "tkbench.metrics.image_variants:SsimUniform")
registry.add("lpips", "tkbench.metrics.perceptual:Lpips")
registry.add("fid", "tkbench.metrics.fid:Fid")
registry.add("voice", "tkbench.metrics.voice:Voice")
registry.add("voice_score", "tkbench.metrics.voice:VoiceScore")
registry.add("lmd", "tkbench.metrics.landmark:Lmd")
registry.add("lip", "tkbench.metrics.landmark:Lip")
registry.add("ms_ssim", "tkbench.metrics.msssim:MsSsim")
registry.add("cpbd", "tkbench.metrics.cpbd:Cpbd")
registry.add("csim", "tkbench.metrics.csim:Csim")
registry.add("distribution", "tkbench.metrics.distribution:Distribution")
registry.add("aligned", "tkbench.metrics.aligned:Aligned")
registry.add("motion", "tkbench.metrics.motion:Motion")
registry.add("iqa", "tkbench.metrics.iqa:Iqa")
registry.add("fvd", "tkbench.metrics.fvd:Fvd")
registry.add("efid", "tkbench.metrics.fvd:Efid")

FIELD_NAMES: dict[str, tuple[str, ...]] = {
    "LSE-C = Sync-C": ("sync", "lse"),
    "LSE-D = Sync-D": ("sync", "lse"),
    "AV offset": ("sync", "lse"),
    "LMD, LVD": ("lmd",),
    "Lip Dynamics, Eyebrow Dynamics, Head Motion Dynamics, Silent Lip Stability, BeatAlign": ("motion",),
    "FID": ("fid", "distribution"),
    "KID": ("distribution",),
    "NIQE, BRISQUE, PIQE, MUSIQ": ("iqa",),
    "FVD": ("fvd",),
    "E-FID": ("efid",),
}
"""What papers print -> the metrics that give it: `tkbench ls` shows these beside the registered names."""


def build(spec: MetricSpec, context: BuildContext) -> Metric:
    """The metric of a protocol's entry, with its settings.

    Raises UnknownName for a name that is not registered, and UsageError for a setting that it does not have, or for a
    class of another package that is no metric.
    """
    from tkbench.metrics.base import Metric

    kind = registry.get(spec.name)
    if not (isinstance(kind, type) and issubclass(kind, Metric)):
        raise UsageError(
            f"metric {spec.name!r}: {kind!r} is not a class that derives from tkbench.metrics.base.Metric"
        )
    known = [name for name in inspect.signature(kind).parameters if name != "context"]
    for setting in spec.settings:
        if setting not in known:
            hint = suggest(setting, known) if known else "it has none"
            raise UsageError(f"metric {spec.name!r} has no setting {setting!r}: {hint}")
    try:
        return kind(**spec.settings, context=context)
    except TypeError as error:
        raise UsageError(f"metric {spec.name!r} does not take {spec.settings} ({error})") from error
