"""Result bundles made up for tests of the report: five anchors and models with every kind of gap."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.metrics.fid import Fid
from tkbench.metrics.image import Psnr, Ssim
from tkbench.metrics.perceptual import Lpips
from tkbench.metrics.sync import JUDGE_TEXTS, lse_columns
from tkbench.results import bundle
from tkbench.types import Reason, Row

SHIFTS = np.arange(-15, 16)
FRAMES = 50
"""Of the players: two seconds."""
NASTY = '</script><img src=x onerror=alert(1)>&"quoted"'
SIGNATURE = (
    "synth-v1@0a1b2c3d|lse[net:syncnet-synth@4f5e6d7c8b9a,shift:15,ends:valid]|"
    "prep[canvas:256]|data:synth@abc|n:24"
)
COLUMNS = (
    *lse_columns(
        "_synth",
        " (syncnet-synth)",
        signature="lse[net:syncnet-synth]",
        variant=JUDGE_TEXTS["syncnet-synth"],
    ),
    *(replace(column, signature="psnr[rgb,peak:255]") for column in Psnr().columns),
    *(replace(column, signature="ssim[rgb]") for column in Ssim().columns),
    *(replace(column, signature="lpips[alex@missing]") for column in Lpips().columns),
    *(replace(column, signature="fid[pool3@missing]") for column in Fid().columns),
)
FIELD = lse_columns("", "", signature="lse[net:syncnet-v2@missing]", variant=JUDGE_TEXTS["syncnet-v2"])
KINDS = {
    # model: depth of the valley, its place, floor of the distance, PSNR, SSIM
    "real": (5.2, 0, 6.1, math.inf, 1.0),
    "still": (0.35, 2, 11.2, 31.0, 0.945),
    "shift:5": (5.05, 5, 6.2, 30.2, 0.931),
    "shuffled-audio": (0.22, -7, 11.3, math.inf, 1.0),
    "blur": (4.6, 0, 6.6, 28.4, 0.861),
    "my-model": (4.1, 1, 7.2, 33.7, 0.962),
    "older-model": (2.9, 1, 8.4, 32.1, 0.951),
    "twin-model": (4.08, 1, 7.3, 33.1, 0.958),
    "weak-model": (1.4, 2, 9.6, 29.9, 0.921),
}
ANCHORS = ("real", "still", "shift:5", "shuffled-audio", "blur")


def make_run(
    out: Path,
    model: str,
    *,
    keys: Sequence[str] | None = None,
    failed: int = 0,
    players: int = 1,
    signature: str = SIGNATURE,
    seed: int = 0,
    shift_score: float = 0.0,
    field: bool = False,
) -> Path:
    """One bundle; `failed` clips have no video, `shift_score` is added to LSE-C.

    field: ranked by the judge of the field, whose weight is missing.
    """
    columns = (*FIELD, *COLUMNS) if field else COLUMNS
    depth, place, floor, psnr, ssim = KINDS[model]
    rng = np.random.default_rng([seed, *model.encode()])
    keys = list(keys) if keys is not None else [f"s{i % 12:02d}/clip-{i:03d}" for i in range(24)]
    speakers = {key: f"s{i % 12:02d}" for i, key in enumerate(keys)}
    lift = {speaker: rng.normal(0, 0.3) for speaker in sorted(set(speakers.values()))}
    rows, curves = [], []
    for i, key in enumerate(keys):
        if i < failed:
            late = i % 3 == 2
            reason = Reason.WRONG_LENGTH if late else Reason.NOT_GENERATED
            detail = (
                "61 frames, expected 75 (at most 5 fewer)" if late else f"no file {Path(key).name}.mp4 in out"
            )
            rows += [Row(model, key, c.name, math.nan, reason, detail) for c in columns if c.per_clip]
            continue
        valley = max(depth + lift[speakers[key]] * (depth > 1) + rng.normal(0, 0.25), 0.05)
        curve = floor + depth - valley * np.exp(-(((SHIFTS - place) / 2.6) ** 2)) + rng.normal(0, 0.07, 31)
        curves.append((key, "lse_c_synth", curve))
        low = float(curve.min())
        values = {
            "lse_c_synth": float(np.median(curve)) - low + shift_score,
            "lse_d_synth": low,
            "av_offset_synth": float(SHIFTS[curve.argmin()]),
            "psnr": psnr + rng.normal(0, 1.0),
            "psnr_mouth": psnr - 5 + rng.normal(0, 1.5),
            "ssim": min(ssim + rng.normal(0, 0.01) * (ssim < 1), 1.0),
            "ssim_mouth": min(ssim - 0.08 * (ssim < 1) + rng.normal(0, 0.02) * (ssim < 1), 1.0),
        }
        rows += [Row(model, key, name, value) for name, value in values.items()]
        if field:
            hint = "the weight syncnet-v2 is not on this machine; run `tkbench weights fetch syncnet-v2`"
            rows += [Row(model, key, c.name, math.nan, Reason.WEIGHTS_MISSING, hint) for c in FIELD]
        hint = "the weight lpips-alex is not on this machine; run `tkbench weights fetch lpips-alex`"
        rows.append(Row(model, key, "lpips", math.nan, Reason.WEIGHTS_MISSING, hint))
    hint = "the weight inception-fid is not on this machine; run `tkbench weights fetch inception-fid`"
    rows.append(Row(model, "*", "fid", math.nan, Reason.WEIGHTS_MISSING, hint))
    lse = {row.key: row.value for row in rows if row.metric == "lse_c_synth" and not math.isnan(row.value)}
    # The first clips of all have players in every bundle, so that models can be watched side by side.
    worst = sorted(lse)[:players]

    def previews(folder: Path) -> list[tuple[str, str]]:
        for n in range(len(worst)):
            (folder / f"{n:02d}.mp4").write_bytes(_video((n + len(model)) % 3))
        return [(key, f"{n:02d}.mp4") for n, key in enumerate(worst)]

    stats = {"n_boot": 200, "seed": 0, "level": 0.95}
    evaluation = bundle.Evaluation(
        model=model,
        model_card={
            "name": model,
            "summary": {
                "real": "The true video.",
                "still": "The first frame, held.",
                "shift:5": "The true video, 5 frames (200 ms) late.",
                "shuffled-audio": "The true video, judged with the voice of another clip.",
                "blur": "The true video, Gaussian blur of 3 pixels.",
            }.get(model, "Videos made elsewhere."),
            "licence": "Apache-2.0",
            "paper": None,
            "weights": None,
            "trained_on": [],
            "anchor": model in ANCHORS,
        },
        dataset="synth",
        split="test",
        data_hash="9f2c" * 16,
        n_clips=len(keys),
        protocol="synth-v1",
        rank_by=columns[0].name,
        coverage_min=0.9,
        signature=signature,
        columns=list(columns),
        summary=bundle.summarise(rows, speakers, columns, n_boot=200, seed=0, level=0.95),
        stats=stats,
        weights={"syncnet-synth": "4f5e6d7c8b9a" * 5 + "4f5e"},
        stack={
            "tkbench": "0.1.0",
            "python": "3.11.9",
            "ffmpeg": "7.0.2",
            "torch": "2.5.0",
            "numpy": "1.26.4",
        },
        seed=0,
    )
    mouths = {key: _mouth(rng) for key in worst}
    return bundle.write(out, evaluation, bundle.ClipRows(rows, speakers, curves, mouths=mouths), previews)


def _mouth(rng: np.random.Generator) -> bundle.Mouth:
    """Lips that open and close in ten frames, and a square around them."""
    true = 10 + 8 * np.sin(np.arange(FRAMES) / 2)
    square = np.tile([0.25, 0.5, 0.75, 1.0], (FRAMES, 1))
    return np.column_stack([true, true + rng.normal(0, 1, FRAMES), square])


@lru_cache
def _video(variant: int) -> bytes:
    """A moving mouth on the right and a still one on the left, with a tone."""
    skin = ((200, 150, 120), (150, 110, 80), (220, 180, 160))[variant]
    frames = []
    for t in range(FRAMES):
        sides = [np.full((64, 64, 3), 40, np.uint8) for _ in range(2)]
        for side, opening in zip(sides, (1, t % 5), strict=True):
            side[8:60, 12:52] = skin
            side[24:28, 20:26] = side[24:28, 38:44] = 30
            side[42 : 44 + opening, 24:40] = (120, 40, 50)
        # The row at the top counts frames: its length in the picture is the frame's number.
        for side in sides:
            side[:4, : t + 1] = 255
        frames.append(np.concatenate(sides, axis=1))
    tone = (0.2 * np.sin(2 * np.pi * 180 * np.arange(640 * FRAMES) / 16_000)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        media.write_video(Path(folder) / "x.mp4", frames, audio=tone, quality=30)
        return (Path(folder) / "x.mp4").read_bytes()
