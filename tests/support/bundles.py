"""Bundles for tests: made by the real writer from made-up rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tkbench.results import bundle
from tkbench.types import Better, Column, Reason, Row

COLUMNS = (
    Column("lse_c_synth", "LSE-C", "distance", "higher", 3, signature="sync(synth)"),
    Column("psnr", "PSNR", "dB", "higher", 2, signature="psnr()"),
    Column("fid", "FID", "", "lower", 2, per_clip=False, signature="fid()"),
)
SPEAKERS = {f"s{i % 3}/c{i}": f"s{i % 3}" for i in range(9)}
MANY = {f"s{i % 12:02d}/c{i:02d}": f"s{i % 12:02d}" for i in range(36)}
"""Speakers that are enough to tell models apart."""


def make(
    out: Path,
    model: str,
    level: float,
    *,
    missing: Sequence[str] = (),
    signature: str = "",
    card: Mapping[str, Any] | None = None,
    psnr: float = 30.0,
    scores: Mapping[str, float] | None = None,
    better: Better = "higher",
    coverage_min: float = 0.9,
    speakers: Mapping[str, str] = SPEAKERS,
    strata: Mapping[str, Mapping[str, bundle.Value]] | None = None,
    sets: Sequence[bundle.SetScore] = (),
    stack: Mapping[str, str] | None = None,
) -> Path:
    """`signature` begins with the protocol's name and the number of clips, "test-v1|n:9", unless it is given.

    Write the bundle of a model whose LSE-C scatters around `level` or is that of `scores`; `missing` have none."""
    rng = np.random.default_rng(len(model))
    columns = (replace(COLUMNS[0], better=better), *COLUMNS[1:])
    signature = signature or f"test-v1|n:{len(speakers)}"
    signature += (
        f"|stats(halves=200,seed=0,level=0.95,interval=halves-1)|coverage:{coverage_min:g}|rank:lse_c_synth"
    )
    signature += (
        "".join(f"|{column.signature}" for column in columns) + f"|seed:0|data:test@{'0' * 12}|ffmpeg:n"
    )
    rows = []
    for key in sorted(speakers):
        if key in missing:
            gone = (Reason.NOT_GENERATED, f"no {key}.mp4")
            rows += [Row(model, key, name, math.nan, *gone) for name in ("lse_c_synth", "psnr")]
            continue
        value = scores[key] if scores is not None else level + rng.normal(0, 0.1)
        rows.append(Row(model, key, "lse_c_synth", value))
        rows.append(Row(model, key, "psnr", psnr))
    rows.append(
        Row(model, "*", "fid", math.nan, Reason.WEIGHTS_MISSING, "run `tkbench weights fetch inception-fid`")
    )
    evaluation = bundle.Evaluation(
        model=model,
        model_card={"name": model, "anchor": False, **(card or {})},
        dataset="test",
        split="test",
        data_hash="0" * 64,
        n_clips=len(speakers),
        protocol="test-v1",
        rank_by="lse_c_synth",
        coverage_min=coverage_min,
        signature=signature,
        columns=list(columns),
        summary=bundle.summarise(rows, speakers, columns, n_boot=200, seed=0, level=0.95),
        stats={"n_boot": 200, "seed": 0, "level": 0.95},
        weights={},
        stack={"ffmpeg": "n", **(stack or {})},
        seed=0,
    )
    curves = [
        (row.key, "lse_c_synth", curve_of(row.value))
        for row in rows
        if row.metric == "lse_c_synth" and row.value >= 0
    ]
    clips = bundle.ClipRows(rows, speakers, curves, strata=strata or {}, sets=sets)
    return bundle.write(out, evaluation, clips)


def curve_of(confidence: float) -> np.ndarray:
    """(31,) distances whose median is 9 and lies `confidence` above the minimum, which is at no lag."""
    curve = np.full(31, 9.0)
    curve[15] -= confidence
    return curve
