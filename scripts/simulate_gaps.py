"""How often is a gap between equal strata called large? Simulates the table of docs/statistics.md, "Strata".

    python scripts/simulate_gaps.py --write docs/statistics.md

A cell is a design (each speaker in one stratum; in all of them; half and half), a number of strata and of speakers, and
how strata differ though their means do not: `equal`; `few` (the first stratum has three of the speakers, or two of
twelve); `many` (its speakers have eight times the clips); `spread` (its scores scatter twice as far); `few, spread`
(both). Scores are sqrt(0.5) speaker + sqrt(0.5) clip of a law with mean 0 and variance 1, clips per speaker and stratum
geometric with mean 4. The test is that of `tkbench.results.gaps`. It exits with 1 where a cell that the test is made
for has more false alarms than asked.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from between import rewrite
from simulate_intervals import LAWS

from tkbench.results.gaps import gap
from tkbench.types import Array, Float64

DESIGNS = ("one", "all", "half")
KINDS = ("equal", "few", "many", "spread", "few, spread")
STRATA = (2, 4)
SPEAKERS = (12, 36)
DRAWS = 199
"""Permutations: a test at 0.05 is as right with 199 as with 4000, and finds a little less."""
LEVEL = 0.05
MOST_ALARMS = 0.06
"""Where strata are equal but for their size; three standard errors of the simulation come on top."""
EXCHANGEABLE = ("equal", "few", "many")


@dataclass(frozen=True)
class Cell:
    """One cell and its share of false alarms."""

    law: str
    design: str
    strata: int
    speakers: int
    kind: str
    alarms: float


def membership(design: str, strata: int, speakers: int, kind: str) -> list[list[int]]:
    """The strata of each speaker."""
    alone = speakers if design == "one" else 0 if design == "all" else speakers // 2
    few = max(2, speakers // 12) if kind.startswith("few") else alone // strata
    singles = [0] * min(few, alone) + [1 + i % (strata - 1) for i in range(max(0, alone - few))]
    return [[g] for g in singles] + [list(range(strata))] * (speakers - alone)


def table(
    law: str, strata_of: list[list[int]], kind: str, rng: np.random.Generator
) -> tuple[Float64, list[str], Array]:
    """Scores, speakers and strata of the clips of one study without any gap."""
    values, names, groups = [], [], []
    for speaker, mine in enumerate(strata_of):
        own = LAWS[law](rng, 1)[0]
        for g in mine:
            n = int(rng.geometric(1 / 4)) * (8 if kind == "many" and g == 0 else 1)
            scores = math.sqrt(0.5) * own + math.sqrt(0.5) * LAWS[law](rng, n)
            values.append(scores * (2 if "spread" in kind and g == 0 else 1))
            names += [f"{speaker:03d}"] * n
            groups += [g] * n
    return np.concatenate(values), names, np.array(groups)


def simulate(law: str, design: str, strata: int, speakers: int, kind: str, runs: int) -> Cell:
    """One cell; the same arguments give the same numbers."""
    seed = [list(LAWS).index(law), DESIGNS.index(design), strata, speakers, KINDS.index(kind)]
    rng = np.random.default_rng(seed)
    strata_of = membership(design, strata, speakers, kind)
    alarms = 0
    for run in range(runs):
        found = gap(*table(law, strata_of, kind, rng), better="higher", draws=DRAWS, seed=run)
        alarms += found.p <= LEVEL
    return Cell(law, design, strata, speakers, kind, alarms / runs)


def report(cells: list[Cell], runs: int) -> str:
    """The table of docs/statistics.md."""
    laws = list(dict.fromkeys(cell.law for cell in cells))
    lines = [
        f"{runs} runs in each of {len(cells)} cells; a standard error is {math.sqrt(0.05 * 0.95 / runs):.3f}.",
        "",
        "| speakers are in | how strata differ | " + " | ".join(f"{law}: mean, worst" for law in laws) + " |",
        "|---|---|" + "---|" * len(laws),
    ]
    words = {"one": "one stratum", "all": "all strata", "half": "half in one, half in all"}
    for design, kind in dict.fromkeys((cell.design, cell.kind) for cell in cells):
        shares = []
        for law in laws:
            here = [c.alarms for c in cells if (c.law, c.design, c.kind) == (law, design, kind)]
            shares.append(f"{np.mean(here):.3f}, {max(here):.3f}")
        lines.append(f"| {words[design]} | {kind} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="per cell")
    parser.add_argument("--write", type=Path, help="a document with the marks <!-- gaps --> to write into")
    arguments = parser.parse_args()
    cells = [
        simulate(law, design, strata, speakers, kind, arguments.runs)
        for design, kind, law, strata, speakers in product(
            DESIGNS, KINDS, ("normal", "lognormal"), STRATA, SPEAKERS
        )
        if not (design == "all" and kind.startswith("few"))
    ]
    text = report(cells, arguments.runs)
    sys.stdout.write(text)
    if arguments.write:
        rewrite(arguments.write, "gaps", text)
    room = 3 * math.sqrt(0.05 * 0.95 / arguments.runs)
    wrong = [c for c in cells if c.kind in EXCHANGEABLE and c.alarms > MOST_ALARMS + room]
    for cell in wrong:
        sys.stderr.write(f"worse than asked: {cell}\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
