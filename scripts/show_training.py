"""Curves and faces of training runs, for the docs.

    python scripts/show_training.py --out docs/training cals.safetensors synctalkface.safetensors

For each checkpoint of `tkbench train`: NAME.svg (every loss over the steps, in training and validation), NAME.png (the
last grid of faces: reference, drawn, true) and NAME.md (the model card). Numbers are those of metrics.jsonl.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.train import board

NOT_LOSSES = ("windows_per_second", "wait")


def curves(folder: Path, out: Path) -> None:
    """One small plot per term: grey is training, black validation."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "tkbench"  # equal numbers make equal files
    import matplotlib.pyplot as plt

    reports = board.read(folder)
    names = [name.split("/", 1)[1] for report in reports for name in report if name.startswith("train/")]
    terms = [name for name in dict.fromkeys(names) if name not in NOT_LOSSES]
    if not terms:
        raise UsageError(
            f"{folder}: no metrics.jsonl with losses; give checkpoints beside their .run folders"
        )
    columns = min(4, len(terms))
    rows = -(-len(terms) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 1.9 * rows), squeeze=False)
    for axis, term in zip(axes.flat, terms, strict=False):
        for split, style in (("train", {"color": "0.65", "lw": 1}), ("val", {"color": "0", "lw": 1.5})):
            found = [(r["step"], r[f"{split}/{term}"]) for r in reports if f"{split}/{term}" in r]
            if found:
                axis.plot(*zip(*found, strict=True), label=split, **style)
        axis.set_title(term, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    for axis in axes.flat[len(terms) :]:
        axis.axis("off")
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for path in chosen.checkpoints:
        folder = path.with_suffix(".run")
        curves(folder, chosen.out / f"{path.stem}.svg")
        grids = sorted(folder.glob("faces-*.png"))
        if grids:
            shutil.copyfile(grids[-1], chosen.out / f"{path.stem}.png")
        shutil.copyfile(path.with_suffix(".md"), chosen.out / f"{path.stem}.md")


if __name__ == "__main__":
    main()
