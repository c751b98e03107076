r"""How well does each column of an evaluation agree with scores that somebody published for the same videos?

MoChaBench (congwei1230/MoChaBench on GitHub) publishes 220 generated videos with SyncNet's confidence for each:

    tkbench prep folder --root MoChaBench/mocha-generation --out shards
    tkbench eval --data shards --model real --protocol lips-v2 --out runs
    python scripts/agreement.py --run runs/*/real --key video --value best_conf \
        --published MoChaBench/eval-lipsync/mocha-eval-results/sync_scores.csv

Clips are matched by the name of their file without its ending; of a video that preparation cut into several clips, none
is. Spearman's rank correlation, with a 95 % interval from resampled clips; for columns that are better when lower it is
that of their negative.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from between import rewrite

from tkbench.results import bundle

DRAWS = 2000
MARK = "agreement with published confidences"


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean."""
    return np.asarray(pd.Series(values).rank())


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; nan where one side is constant.

    >>> spearman(np.array([1.0, 2, 3]), np.array([2.0, 5, 9]))
    1.0
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def interval(a: np.ndarray, b: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """The middle 95 % of the correlation over resampled clips."""
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, len(a), len(a)) for _ in range(DRAWS))
    low, high = np.nanquantile([spearman(a[i], b[i]) for i in drawn], [0.025, 0.975])
    return float(low), float(high)


def published(path: Path, key: str, value: str) -> pd.Series:
    """Key of a clip -> published number."""
    table = pd.read_csv(path).dropna(subset=[value])
    names = table[key].str.replace("\\", "/").str.replace(r"\.\w+$", "", regex=True)
    return pd.Series(table[value].to_numpy(float), index=names)


def agreement(run: bundle.Bundle, scores: pd.Series) -> str:
    """The table in Markdown: a line per column that scores ten of the clips or more."""
    clips = run.clips()
    lines = ["| column | clips | Spearman | 95 % interval |", "|---|---:|---:|---|"]
    for column in run.result.columns:
        if not column.per_clip:
            continue
        mine = clips[clips.metric == column.name].set_index("key")["value"]
        both = pd.concat([mine.rename("mine"), scores.rename("theirs")], axis=1, join="inner").dropna()
        both = both[np.isfinite(both.mine)]
        if len(both) < 10 or both.mine.nunique() < 2:
            continue
        a, b = both.mine.to_numpy(), both.theirs.to_numpy()
        a = {"higher": a, "lower": -a, "zero": -abs(a)}[column.better]
        low, high = interval(a, b)
        lines.append(f"| `{column.name}` | {len(both)} | {spearman(a, b):.2f} | [{low:.2f}, {high:.2f}] |")
    return "\n".join(lines)


def main() -> None:
    """Read both, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="the folder of a result bundle")
    parser.add_argument("--published", type=Path, required=True, help="a CSV with one line per video")
    parser.add_argument("--key", required=True, help="its column with the videos' names")
    parser.add_argument(
        "--value", required=True, help="its column with the published score, better when higher"
    )
    parser.add_argument(
        "--write", type=Path, help="a document with the marks of this table; else it is printed"
    )
    given = parser.parse_args()
    table = agreement(bundle.read(given.run), published(given.published, given.key, given.value))
    if given.write:
        rewrite(given.write, MARK, table)
    else:
        print(table)


if __name__ == "__main__":
    main()
