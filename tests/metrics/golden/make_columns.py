"""Write columns.json: the facts of every column that a metric can give, with no weight at hand but the bundled ones.

    python tests/metrics/golden/make_columns.py

A signature says with which numbers a number may be compared, so a new one parts all that were measured before from all
that come after. Run this only after such a change was meant, and tell it in CHANGELOG under "scores change".
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tkbench.metrics import registry
from tkbench.metrics.landmark import VARIANTS
from tkbench.metrics.lse_recipes import RECIPES

GOLDEN = Path(__file__).with_name("columns.json")
FACTS = ("name", "better", "digits", "per_clip", "signature")
BOTH = ["full", "mouth"]
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("sync", "lse", "psnr", "ssim", "psnr-wrapped-uint8", "ssim-uniform", "lpips", "fid",
                              "voice", "voice_score", "lmd", "lip", "ms_ssim", "cpbd", "csim", "distribution", "fvd",
                              "efid", "aligned", "motion")),
    ("sync", {"judge": "syncnet-synth"}),
    ("sync", {"judge": "syncnet-synth", "ends": "zeros"}),
    *(("lse", {"recipe": name, "judge": judge}) for name in RECIPES for judge in ("syncnet-v2", "syncnet-synth")),
    ("lse", {"recipe": "wav2lip-lrs", "precision": "bf16"}),
    ("psnr", {"regions": BOTH, "pool": "frame"}),
    ("ssim", {"regions": BOTH}),
    ("fid", {"stride": 2, "min_frames": 100}),
    ("voice", {"zero": "synth"}),
    ("voice", {"zero": "speech"}),
    ("lmd", {"variants": sorted(VARIANTS)}),
    ("lmd", {"variants": sorted(VARIANTS), "points": "fan"}),
    ("lip", {"truth": True}),
    ("ms_ssim", {"regions": BOTH, "stride": 5}),
    ("cpbd", {"regions": BOTH, "stride": 1}),
    ("csim", {"crop": "aligned", "stride": 5}),
    ("distribution", {"region": "mouth", "stride": 2, "n": 4000, "seed": 1}),
    ("fvd", {"n": 100, "frames": 32, "stride": 2, "sampling": "all"}),
    ("fvd", {"net": "i3d-videogpt"}),
    ("ms_ssim", {"regions": BOTH, "scales": 4}),
    ("motion", {"parts": ["lip_dynamics", "head_beat"]}),
    ("aligned", {"points": "fan"}),
]  # fmt: skip


def columns(metric: str, settings: dict[str, Any]) -> list[dict[str, object]]:
    """The facts of the columns of a metric with these settings."""
    made: Any = registry.get(metric)
    return [{fact: getattr(column, fact) for fact in FACTS} for column in made(**settings).columns]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as empty:
        os.environ["TKBENCH_WEIGHTS"] = empty
        rows = [{"metric": m, "settings": s, "columns": columns(m, s)} for m, s in CASES]
    GOLDEN.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
