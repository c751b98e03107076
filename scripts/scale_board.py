"""How building, verifying, reporting and exporting a table grow with its models: time and peak memory of each command.

Bundles of made-up scores are written by the real writer: LSE-C, LSE-D and AVOffset with their curves, and five more
columns, of 1000 clips of 50 speakers. Then the four commands run on the first 25, 50, 100 and 200 of them, each as a
process of its own, as a user runs it. Seconds are those of the processor, so that other programs do not count.

    python scripts/scale_board.py --folder scale --models 25 50 100 200
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np

from tkbench.results import bundle
from tkbench.types import Column, Row

COLUMNS = (
    Column("lse_c", "LSE-C", "L2 distance", "higher", 3, signature="lse[made-up]", near_true=True),
    Column("lse_d", "LSE-D", "L2 distance", "lower", 3, signature="lse[made-up]", near_true=True),
    Column("av_offset", "AVOffset", "frames", "zero", 2, signature="lse[made-up]"),
    Column("psnr", "PSNR", "dB", "higher", 2, signature="psnr[made-up]"),
    Column("ssim", "SSIM", "", "higher", 3, signature="ssim[made-up]", bounds=(-1.0, 1.0)),
    Column("lpips", "LPIPS", "", "lower", 3, signature="lpips[made-up]", bounds=(0.0, math.inf)),
    Column("csim", "CSIM", "", "higher", 3, signature="csim[made-up]", bounds=(-1.0, 1.0)),
    Column("lmd_mouth", "M-LMD", "pixels", "lower", 3, signature="lmd[made-up]", bounds=(0.0, math.inf)),
)
STATS = {"n_boot": 2000, "seed": 0, "level": 0.95}
SIGNATURE = "|".join(
    (
        "scale-v1", "stats(halves=2000,seed=0,level=0.95,interval=halves-1)", "coverage:0.9", "rank:lse_c",
        "lse[made-up]", "psnr[made-up]", "ssim[made-up]", "lpips[made-up]", "csim[made-up]", "lmd[made-up]",
        f"data:scale@{'0' * 12}", "seed:0",
    )
)  # fmt: skip


def make(runs: Path, index: int, clips: int, speakers: int) -> None:
    """One bundle: a model's own level, a clip's own difficulty, and noise."""
    model = "real" if index == 0 else f"model-{index:03d}"
    shared, own = np.random.default_rng(0), np.random.default_rng([1, index])
    hard = shared.normal(0, 1.0, clips)
    level = 6.0 - 0.02 * index
    keys = [f"s{i % speakers:03d}/{i:05d}" for i in range(clips)]
    who = {key: key.partition("/")[0] for key in keys}
    rows: list[Row] = []
    curves: list[bundle.Curve] = []
    for key, difficulty in zip(keys, hard, strict=True):
        curve = 12 + own.normal(0, 0.05, 31)
        curve[15] -= max(0.2, level + difficulty + own.normal(0, 0.3))
        curve = curve.astype(np.float32).astype(np.float64)
        deepest = float(curve.min())
        values = (
            float(np.median(curve)) - deepest, deepest, float(curve.argmin() - 15), 30 + difficulty + own.normal(),
            0.9 + 0.01 * own.normal(), 0.1 + 0.01 * abs(own.normal()), 0.8 + 0.01 * own.normal(), 2 + abs(own.normal()),
        )  # fmt: skip
        rows += [Row(model, key, column.name, value) for column, value in zip(COLUMNS, values, strict=True)]
        curves.append((key, "lse_c", curve))
    evaluation = bundle.Evaluation(
        model=model,
        model_card={"name": model, "anchor": index == 0},
        dataset="scale",
        split="test",
        data_hash="0" * 64,
        n_clips=clips,
        protocol="scale-v1",
        rank_by="lse_c",
        coverage_min=0.9,
        signature=f"{SIGNATURE}|n:{clips}",
        columns=list(COLUMNS),
        summary=bundle.summarise(rows, who, COLUMNS, n_boot=2000, seed=0, level=0.95),
        stats=STATS,
        weights={},
        stack={},
        seed=0,
    )
    bundle.write(runs, evaluation, bundle.ClipRows(rows, who, curves))


def timed(*words: str) -> tuple[float, float]:
    """Seconds of the processor and peak memory in MB of one command."""
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "tkbench", *words])
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"tkbench {' '.join(words)}: exit code {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Make what is missing, run the commands, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("scale"))
    parser.add_argument("--models", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--speakers", type=int, default=50)
    asked = parser.parse_args()
    pool = asked.folder / "all"
    for index in range(max(asked.models)):
        name = "real" if index == 0 else f"model-{index:03d}"
        if not list(pool.glob(f"*/{name}/result.json")):
            make(pool, index, asked.clips, asked.speakers)
    (table,) = (path for path in pool.iterdir() if path.is_dir())
    print(
        f"{asked.clips} clips of {asked.speakers} speakers, {len(COLUMNS)} columns; seconds of the processor (peak MB)"
    )
    print(f"{'models':>6}" + "".join(f"{name:>16}" for name in ("build", "check", "report", "export")))
    for count in asked.models:
        runs, boards = asked.folder / f"runs-{count}", asked.folder / f"boards-{count}"
        for place in (runs, boards):
            shutil.rmtree(place, ignore_errors=True)
        (runs / table.name).mkdir(parents=True)
        for index in range(count):
            name = "real" if index == 0 else f"model-{index:03d}"
            shutil.copytree(table / name, runs / table.name / name)
        steps = (
            ("leaderboard", "build", str(runs), "--leaderboards", str(boards)),
            ("leaderboard", "check", str(boards)),
            ("report", str(runs / table.name)),
            ("leaderboard", "export", str(runs / table.name), "--format", "latex"),
        )
        cells = []
        sys.stdout.flush()
        kept = os.dup(1)
        with (asked.folder / "commands.log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            try:
                cells = [timed(*words) for words in steps]
            finally:
                os.dup2(kept, 1)
                os.close(kept)
        print(
            f"{count:>6}" + "".join(f"{f'{seconds:.1f} ({peak:.0f})':>16}" for seconds, peak in cells),
            flush=True,
        )
        shutil.rmtree(runs)
        shutil.rmtree(boards)


if __name__ == "__main__":
    main()
