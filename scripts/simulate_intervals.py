"""Do intervals, tests, ranks and detectable differences keep their word? Simulates the tables of docs/statistics.md.

    python scripts/simulate_intervals.py --cells cells.jsonl --write docs/statistics.md

A cell is a law of scores, a number of speakers, the clips that each of them has, and how much clips of one speaker
resemble each other: score = sqrt(rho) speaker + sqrt(1 - rho) clip, both parts of the law, with mean 0 and variance 1.
Each cell is simulated 4000 times with the functions that tkbench uses. `--cells` keeps finished cells, so that a
stopped run goes on. It exits with 1 where a figure is worse than what is asked.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from between import rewrite

from tkbench.results import halves, paired, stats
from tkbench.results.paired import Split, holm, p_values
from tkbench.results.standing import Standing
from tkbench.results.stretched import stretch
from tkbench.types import Column, Float64

SPEAKERS = (6, 8, 12, 30, 100)
SIZES = ("equal", "geometric", "dominant")
RHOS = (0.1, 0.5, 0.9)
LEVEL = 0.95
HALVES = 2000
PAIR_SPLITS = 2000
"""Fewer than the 20,000 of a table, which cost ten times as much: the test holds its level with any number."""
MODELS = 5
STEP = 0.1
"""Standard deviations between two close models."""
AT_ONCE = 200
"""Runs whose splits are held in memory together."""
PAIRS = tuple(combinations(range(MODELS), 2))

Draw = Callable[[np.random.Generator, "int | tuple[int, ...]"], Float64]


def _normal(rng: np.random.Generator, size: int | tuple[int, ...]) -> Float64:
    return rng.standard_normal(size)


def _exponential(rng: np.random.Generator, size: int | tuple[int, ...]) -> Float64:
    return rng.standard_exponential(size) - 1


def _lognormal(rng: np.random.Generator, size: int | tuple[int, ...]) -> Float64:
    return (np.exp(rng.standard_normal(size)) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


def _bounded(rng: np.random.Generator, size: int | tuple[int, ...]) -> Float64:
    mean, sd = 0.97, 0.02
    total = mean * (1 - mean) / sd**2 - 1
    return (rng.beta(mean * total, (1 - mean) * total, size) - mean) / sd


def _failing(rng: np.random.Generator, size: int | tuple[int, ...]) -> Float64:
    """One of ten lies 10 / 3 standard deviations below the others."""
    return np.where(rng.random(size) < 0.1, -3.0, 1 / 3)


LAWS: dict[str, Draw] = {
    "normal": _normal,
    "bounded": _bounded,
    "exponential": _exponential,
    "lognormal": _lognormal,
    "failing": _failing,
}
"""bounded: Beta with mean 0.97 and standard deviation 0.02. failing: speakers fail or not, clips are normal."""
ASKED = {
    "normal": (93.0, 94.5),
    "bounded": (92.5, 94.0),
    "exponential": (90.0, 93.0),
    "lognormal": (86.5, 90.0),
}
"""Law -> percent of intervals that must hold the true mean: in the worst cell, and in the mean of the cells."""
MOST_ALARMS, MOST_FAMILY, LEAST_RANKS, LEAST_POWER = 0.06, 0.065, 0.95, 0.78


@dataclass(frozen=True)
class Cell:
    """What was found in one cell, as shares of its runs."""

    law: str
    speakers: int
    sizes: str
    rho: float
    runs: int
    covered: float
    """Intervals of the mean of clips that hold it."""
    covered_before: float
    """The same of the stretched percentiles that tkbench had before."""
    alarms: float
    """p at most 0.05 for two exchangeable models."""
    skewed_alarms: float
    """The same where differences follow the law itself, with mean 0: no two exchangeable models."""
    family: float
    """Any pair of five exchangeable models clearly different."""
    ranks: float
    """All five ranks of close models inside of their intervals."""
    power: float
    """Differences found that are as large as the printed detectable one."""


def clips_of(sizes: str, speakers: int, runs: int, rng: np.random.Generator) -> Float64:
    """(runs, speakers) numbers of clips: 6 each, geometric with mean 6, or one speaker with half of all."""
    if sizes == "geometric":
        return rng.geometric(1 / 6, (runs, speakers)).astype(np.float64)
    counts = np.full((runs, speakers), 6.0)
    if sizes == "dominant":
        counts[:, 0] = 6 * (speakers - 1)
    return counts


def summed_scores(law: str, counts: Float64, rho: float, rng: np.random.Generator) -> Float64:
    """(runs, speakers) sums of scores with true mean 0."""
    draw = LAWS[law]
    clips = draw if law != "failing" else _normal
    each = clips(rng, int(counts.sum()))
    ends = np.cumsum(counts.ravel().astype(np.int64))
    sums = np.add.reduceat(each, np.concatenate([[0], ends[:-1]])).reshape(counts.shape)
    return math.sqrt(rho) * draw(rng, counts.shape) * counts + math.sqrt(1 - rho) * sums


def simulate(law: str, speakers: int, sizes: str, rho: float, runs: int) -> Cell:
    """One cell; the same arguments give the same numbers."""
    rng = np.random.default_rng([list(LAWS).index(law), speakers, SIZES.index(sizes), round(100 * rho)])
    counts = clips_of(sizes, speakers, runs, rng)
    models = np.stack([summed_scores(law, counts, rho, rng) for _ in range(MODELS)], axis=1)
    one, two = models[:, 0], models[:, 1]
    low, high = mean_ends(one, counts)
    before_low, before_high = ends_before(one, counts)
    pair_low, pair_high = pair_ends(one - two, counts)
    skewed_low, skewed_high = pair_ends(one, counts)
    least = [paired.detectable(row, n, n_draws=PAIR_SPLITS) for row, n in zip(one - two, counts, strict=True)]
    family, ranks = tables(models, counts)
    return Cell(
        law,
        speakers,
        sizes,
        rho,
        runs,
        covered=_share((low <= 0) & (high >= 0)),
        covered_before=_share((before_low <= 0) & (before_high >= 0)),
        alarms=_share((pair_low > 0) | (pair_high < 0)),
        skewed_alarms=_share((skewed_low > 0) | (skewed_high < 0)),
        family=family,
        ranks=ranks,
        power=power(pair_low, np.array(least)),
    )


def _share(found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    return float(np.mean(found))


def mean_ends(sums: Float64, counts: Float64) -> tuple[Float64, Float64]:
    """Intervals of the mean of clips, as `stats.mean_interval` makes them."""
    place = halves.places(sums.shape[1], HALVES // 2, LEVEL)
    found = [
        stats.ends_of_mean(sums[part], counts[part], place, draws=HALVES // 2, seed=0)
        for part in slices(len(sums))
    ]
    return np.concatenate([low for low, _ in found]), np.concatenate([high for _, high in found])


def pair_ends(sums: Float64, counts: Float64) -> tuple[Float64, Float64]:
    """Intervals of a mean difference; 0 lies outside exactly where the test rejects (tests/results/test_paired.py)."""
    place = halves.places(sums.shape[1], PAIR_SPLITS, LEVEL)
    found = [
        halves.middle(halves.subset_means(sums[part], counts[part], draws=PAIR_SPLITS, seed=0), place)
        for part in slices(len(sums))
    ]
    return np.concatenate([low for low, _ in found]), np.concatenate([high for _, high in found])


def ends_before(sums: Float64, counts: Float64, draws: int = 2000) -> tuple[Float64, Float64]:
    """Stretched percentiles of a bootstrap (`stretched`); all runs share the drawn speakers."""
    speakers = sums.shape[1]
    rng = np.random.Generator(np.random.PCG64(0))
    times = rng.multinomial(speakers, np.full(speakers, 1 / speakers), draws).astype(np.float64)
    factor = stretch(speakers, LEVEL)
    lows, highs = [], []
    for part in slices(len(sums)):
        means = (sums[part] @ times.T) / (counts[part] @ times.T)
        mean = sums[part].sum(axis=1) / counts[part].sum(axis=1)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        lows.append(mean + factor * (low - mean))
        highs.append(mean + factor * (high - mean))
    return np.concatenate(lows), np.concatenate(highs)


def slices(n: int) -> Iterable[slice]:
    """Parts of n runs that are computed together."""
    return (slice(start, start + AT_ONCE) for start in range(0, n, AT_ONCE))


def power(lows: Float64, promised: Float64) -> float:
    """The share of runs that would find a true difference as large as another run promises to find.

    Adding d to all differences adds d to their interval, so a run finds d where its lower end at 0 lies above -d.
    """
    needed = np.sort(-lows)
    return float(np.mean(np.searchsorted(needed, promised) / len(lows)))


def tables(models: Float64, counts: Float64) -> tuple[float, float]:
    """(share of tables of equal models with a clear difference, share of tables of close models with all ranks right).

    models: (runs, 5, speakers) sums of scores of equal models.
    """
    shifts = STEP * np.arange(MODELS)[::-1]
    alarms = right = 0
    for part in slices(len(models)):
        equal = models[part]
        close = equal + shifts[:, None] * counts[part][:, None, :]
        for sums, kind in ((equal, "equal"), (close, "close")):
            pairs = [(a + MODELS * run, b + MODELS * run) for run in range(len(sums)) for a, b in PAIRS]
            ps = p_values(sums.reshape(-1, sums.shape[2]), pairs, Split(PAIR_SPLITS, 0))
            for run in range(len(sums)):
                found = holm(ps[run * len(PAIRS) : (run + 1) * len(PAIRS)])
                if kind == "equal":
                    alarms += min(found) <= 1 - LEVEL
                else:
                    right += all_right(sums[run].sum(axis=1) / counts[part][run].sum(), found)
    return alarms / len(models), right / len(models)


def all_right(means: Float64, corrected: Sequence[float]) -> bool:
    """Whether the interval of each rank holds the true one: models are in their true order."""
    names = tuple("abcde")
    labels = [(names[a], names[b]) for a, b in PAIRS]
    found = Standing(
        Column("score", "Score", "", "higher", 3),
        names,
        tuple(means.tolist()),
        dict(zip(labels, corrected, strict=True)),
        dict(zip(labels, corrected, strict=True)),
        n=1, n_clips=1, n_clusters=1, unit="speaker", infinite=0, level=LEVEL,
    )  # fmt: skip
    spans = [found.ranks(name) for name in names]
    return all(span is not None and span[0] <= 1 + i <= span[1] for i, span in enumerate(spans))


def every_cell(
    runs: int, kept: Path | None, laws: Sequence[str], speakers: Sequence[int] = SPEAKERS
) -> list[Cell]:
    """All cells, those of an earlier run read from the file `kept`, to which new ones are added."""
    done: dict[tuple[object, ...], Cell] = {}
    if kept is not None and kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            cell = Cell(**json.loads(line))
            done[cell.law, cell.speakers, cell.sizes, cell.rho, cell.runs] = cell
    cells = []
    for key in product(laws, speakers, SIZES, RHOS):
        cell = done.get((*key, runs)) or simulate(*key, runs=runs)
        cells.append(cell)
        if (*key, runs) not in done and kept is not None:
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(cell)) + "\n")
    return cells


def faults(cells: Sequence[Cell]) -> list[str]:
    """What is worse than asked, a line each."""
    found = []
    for law, (least, mean) in ASKED.items():
        shares = [100 * cell.covered for cell in cells if cell.law == law]
        if min(shares) < least or np.mean(shares) < mean:
            found.append(
                f"{law}: {min(shares):.1f} % covered in the worst cell and {np.mean(shares):.1f} % in the mean, "
                f"asked are {least} and {mean}"
            )
    for cell in cells:
        where = f"{cell.law}, {cell.speakers} speakers, {cell.sizes}, rho {cell.rho}"
        if cell.law not in ASKED:
            continue
        for name, value, fine in (
            ("false alarms", cell.alarms, cell.alarms <= MOST_ALARMS),
            ("false alarms in a table", cell.family, cell.family <= MOST_FAMILY),
            ("all ranks right", cell.ranks, cell.ranks >= LEAST_RANKS),
            ("power", cell.power, cell.power >= LEAST_POWER),
        ):
            if not fine:
                found.append(f"{where}: {name} {value:.4f}")
    return found


def plain_power(runs: int) -> tuple[float, float]:
    """(worst, mean) power at six speakers, if t of 0.05 and the bound of 80 % made the detectable difference."""
    from scipy.stats import chi2, t

    found = []
    for law, sizes, rho in product(ASKED, SIZES, RHOS):
        rng = np.random.default_rng([list(LAWS).index(law), SIZES.index(sizes), round(100 * rho)])
        counts = clips_of(sizes, 6, runs, rng)
        gaps = summed_scores(law, counts, rho, rng) - summed_scores(law, counts, rho, rng)
        promised = []
        for row, n in zip(gaps, counts, strict=True):
            error, freedom = paired.cr2(row, n)
            bound = error * math.sqrt(freedom / chi2.ppf(1 - paired.BOUND, freedom))
            promised.append((t.ppf((1 + LEVEL) / 2, freedom) + t.ppf(paired.POWER, freedom)) * bound)
        found.append(power(pair_ends(gaps, counts)[0], np.array(promised)))
    return min(found), float(np.mean(found))


def report(cells: Sequence[Cell]) -> str:
    """The tables of docs/statistics.md."""
    laws = list(dict.fromkeys(cell.law for cell in cells))
    lines = [
        f"{cells[0].runs:,} runs in each of {len(cells)} cells.",
        "",
        "| law of scores | worst cell | mean of cells | asked | stretched percentiles, before: worst | mean |",
        "|---|---|---|---|---|---|",
    ]
    for law in laws:
        now, before = (
            [100 * getattr(cell, name) for cell in cells if cell.law == law]
            for name in ("covered", "covered_before")
        )
        asked = " and ".join(f"{x:g}" for x in ASKED[law]) if law in ASKED else "-"
        lines.append(
            f"| {law} | {min(now):.1f} | {np.mean(now):.1f} | {asked} | {min(before):.1f} | {np.mean(before):.1f} |"
        )
    lines += [
        "",
        "| speakers | clips | "
        + " | ".join(laws)
        + " | false alarms | in a table of 5 | all 5 ranks | power |",
        "|---|---|" + "---|" * (len(laws) + 4),
    ]
    for speakers, sizes in dict.fromkeys((cell.speakers, cell.sizes) for cell in cells):
        here = [cell for cell in cells if (cell.speakers, cell.sizes) == (speakers, sizes)]
        judged = [cell for cell in here if cell.law in ASKED] or here
        covered = [f"{min(100 * c.covered for c in here if c.law == law):.1f}" for law in laws]
        powers = [cell.power for cell in judged]
        lines.append(
            f"| {speakers} | {sizes} | {' | '.join(covered)} | {max(c.alarms for c in judged):.3f} "
            f"| {max(c.family for c in judged):.3f} | {min(c.ranks for c in judged):.3f} "
            f"| {min(powers):.2f} to {max(powers):.2f} |"
        )
    skewed = {law: [cell.skewed_alarms for cell in cells if cell.law == law] for law in laws}
    lines += [
        "",
        "| differences that follow the law itself | false alarms, mean of cells | worst cell |",
        "|---|---|---|",
        *(f"| {law} | {np.mean(x):.3f} | {max(x):.3f} |" for law, x in skewed.items()),
    ]
    worst, mean = plain_power(cells[0].runs)
    lines += [
        "",
        "Six speakers, if the detectable difference were made of t of 0.05 and the bound of 80 % alone: power "
        f"{worst:.2f} in the worst cell, {mean:.2f} in the mean.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000, help="per cell")
    parser.add_argument("--cells", type=Path, help="a file that keeps finished cells")
    parser.add_argument("--law", action="append", choices=list(LAWS), help="only this law; repeatable")
    parser.add_argument(
        "--write", type=Path, help="a document with the marks <!-- simulated --> to write into"
    )
    arguments = parser.parse_args()
    cells = every_cell(arguments.runs, arguments.cells, arguments.law or list(LAWS))
    text = report(cells)
    sys.stdout.write(text)
    if arguments.write:
        rewrite(arguments.write, "simulated", text)
    wrong = faults(cells)
    for line in wrong:
        sys.stderr.write(f"worse than asked: {line}\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
