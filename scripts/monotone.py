"""Does each metric follow the fault that it claims to measure? Measures the table of docs/metrics.md anew.

    tkbench prep synth --out corpus --clips 24 --speakers 12 --seed 0 --split test
    tkbench prep folder --root corpus --out shards
    python scripts/monotone.py --data shards --write docs/metrics.md
    python scripts/monotone.py --data shards --part newer --limit 4 --write docs/metrics.md

It exits with 1 where a metric that can be scored here does not follow one of its claims.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from between import rewrite

from tkbench.protocol import Protocol
from tkbench.runtime.parallel import default_workers
from tkbench.runtime.progress import bar
from tkbench.scoring import sensitivity
from tkbench.scoring.sensitivity import KNOBS, Point, Result, trend
from tkbench.types import Column

RULES = Protocol.model_validate(
    {
        "name": "monotone",
        "summary": "Every metric that claims to see a fault of the video.",
        "rank_by": "lse_c_synth",
        "stats": {"n_boot": 200},
        "metrics": [
            {"name": "sync", "settings": {"judge": "syncnet-synth"}},
            {"name": "sync", "settings": {"judge": "syncnet-v2"}},
            {"name": "voice", "settings": {"zero": "synth"}},
            {"name": "lip"},
            {"name": "lip", "settings": {"truth": True}},
            {"name": "lmd", "settings": {"variants": ["lmd_mouth", "lvd_mouth"]}},
            {"name": "psnr"},
            {"name": "ssim"},
            {"name": "ms_ssim", "settings": {"stride": 5}},
            {"name": "cpbd"},
            {"name": "lpips"},
            {"name": "fid"},
        ],
    }
)
PICTURES = ("psnr", "psnr_mouth", "ssim", "ssim_mouth", "ms_ssim", "lpips", "fid")
LIPS = ("lip_corr_mesh", "lip_error_mesh", "lip_corr_truth_mesh", "lip_error_truth_mesh", "lmd_mouth_mesh")
CLAIMS: dict[str, tuple[str, ...]] = {
    "shift": ("av_offset_synth", "voice_lag", *LIPS, "lvd_mouth_mesh", "psnr", "ssim", "ms_ssim"),
    "blur": (*PICTURES, "cpbd"),
    "jpeg": PICTURES,
    "noise": PICTURES,
    "still": (
        "lse_c_synth", "lse_d_synth", "lse_c", "lse_d", "voice_corr", "voice_sure", *LIPS, "lvd_mouth_mesh",
        "psnr", "psnr_mouth", "ssim", "ssim_mouth", "ms_ssim",
    ),
}  # fmt: skip
"""Knob -> the columns that should get worse at each of its values. docs/metrics.md says what others do."""

NEWER_RULES = Protocol.model_validate(
    {
        "name": "monotone-newer",
        "summary": "The metrics that came later, of movement and of the voice, and MS-SSIM at four scales.",
        "rank_by": "voice_score",
        "stats": {"n_boot": 200},
        "metrics": [
            {"name": "voice_score"},
            {"name": "aligned"},
            {"name": "motion"},
            {"name": "ms_ssim", "settings": {"scales": 4, "stride": 5}},
        ],
    }
)
NEWER_CLAIMS: dict[str, tuple[str, ...]] = {
    "blur": ("ms_ssim4",),
    "noise": ("ms_ssim4", "head_jitter_mesh"),
    "still": (
        "voice_score", "lmd_mouth_dtw_mesh", "lip_error_dtw_mesh", "lip_dynamics_mesh", "brow_dynamics_mesh",
        "head_dynamics_mesh", "ms_ssim4",
    ),
}  # fmt: skip
"""The same for the later metrics: another table, so that it can be made alone."""
PARTS = {"monotone": (RULES, CLAIMS), "newer": (NEWER_RULES, NEWER_CLAIMS)}
MARKS = {"monotone": "monotone", "newer": "monotone of the newer metrics"}

SYLLABLE = 3
"""Frames, about half of a syllable. In single clips, lips that are later than that meet the next opening again, and
metrics that follow their path turn. The mean over many clips goes on falling, but that is not claimed."""
REACH = {("shift", name): SYLLABLE for name in (*LIPS, "lvd_mouth_mesh")}
"""(knob, column) -> the last value that is claimed, where it is not all of them."""


def worsens(points: Sequence[Point], column: Column) -> bool:
    """Whether a column gets worse at every step; where closer to 0 is better, whether it moves away from 0.

    CPBD ends at 0, where no edge is sharp: there it may stay.
    """
    wanted = "falls" if column.better == "higher" else "rises"
    ended = 10.0**-column.digits
    low = column.better == "higher"
    strict = all(a.mean != b.mean or (low and 0 <= a.mean < ended) for a, b in pairwise(points))
    return trend(points) == wanted and strict


def verdict(knob: str, points: Sequence[Point], column: Column) -> str:
    """What the last column of the table says."""
    reach = REACH.get((knob, column.name))
    if reach is not None:
        points = [point for point in points if point.value <= reach]
    if any(math.isnan(point.mean) for point in points):
        return "**weights missing**" if "weights-missing" in points[0].why else f"unscored: {points[0].why}"
    until = "" if reach is None else f", up to {KNOBS[knob].label(reach)}"
    return f"yes{until}" if worsens(points, column) else f"**no**{until}"


def number(value: float, column: Column) -> str:
    """As reports print it."""
    return "-" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.{column.digits}f}"


def table(result: Result, claims: Mapping[str, Sequence[str]] = CLAIMS) -> str:
    """The table in Markdown: a line per claim, under a line with the levels of its fault."""
    columns = {column.name: column for column in result.columns}
    width = max(len(KNOBS[name].values) for name in claims)
    lines = [
        "| fault | metric | better |" + " level |" * width + " monotone |",
        "|---|---|---|" + "---|" * (width + 1),
    ]
    for name, claimed in claims.items():
        knob = KNOBS[name]
        levels = [knob.label(value) for value in knob.values] + [""] * (width - len(knob.values))
        levels[0] = "true"
        if name == "still":
            levels[1] = "still"
        lines.append(
            f"| **{name}**: {knob.what} | | | " + " | ".join(f"*{x}*" if x else "" for x in levels) + " | |"
        )
        for column in (columns[c] for c in claimed):
            points = result.series(name, column.name)
            cells = [number(point.mean, column) for point in points] + [""] * (width - len(points))
            lines.append(
                f"| | `{column.name}` | {column.better} | "
                + " | ".join(cells)
                + f" | {verdict(name, points, column)} |"
            )
    note = f"Means over {result.n_clips} clips of the synthetic corpus (`{result.dataset}`). `{result.signature}`"
    return "\n".join([*lines, "", note])


def broken(result: Result, claims: Mapping[str, Sequence[str]] = CLAIMS) -> list[str]:
    """Claims that do not hold, among those that could be measured."""
    columns = {column.name: column for column in result.columns}
    return [
        f"{name}: {column}"
        for name, claimed in claims.items()
        for column in claimed
        if verdict(name, result.series(name, column), columns[column]).startswith("**no**")
    ]


def main() -> None:
    """Measure, then print or write; code 1 for a claim that does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="shards of the synthetic corpus")
    parser.add_argument("--part", choices=list(PARTS), default="monotone", help="which of the two tables")
    parser.add_argument(
        "--write", type=Path, help="a document with the marks of this table; by default it is printed"
    )
    parser.add_argument("--limit", type=int, help="only the first clips")
    parser.add_argument("--workers", type=int, default=default_workers())
    given = parser.parse_args()
    rules, claims = PARTS[given.part]
    with bar("faults") as progress:
        result = sensitivity.measure(
            given.data,
            knobs=list(claims),
            protocol=rules,
            limit=given.limit,
            workers=given.workers,
            progress=progress,
        )
    text = table(result, claims)
    if given.write:
        rewrite(given.write, MARKS[given.part], text)
    else:
        print(text)
    if failed := broken(result, claims):
        raise SystemExit("not monotone: " + ", ".join(failed))


if __name__ == "__main__":
    main()
