"""Puts what `tkbench study` wrote into docs/studies.md, and the sum of what all studies there cost.

Each argument is a part of the document and the Markdown file that belongs there; without any only the sum is made
again.

    python scripts/show_studies.py "study context=study/context.md" "study ablation, cals=study/ablation-cals.md"

The cost of a study stands in its own text, from the records of its stages (`tkbench.study.times`); a stage that was
stopped and taken up again counts whole.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from between import rewrite

DOCUMENT = Path(__file__).parents[1] / "docs" / "studies.md"
BUDGET = 24.0
"""Core-hours for all studies together."""
COST = re.compile(r"took ([\d.]+) core-hours(?:, the longest ([\d.]+) minutes)?")


def costs(text: str) -> list[tuple[str, float, float | None]]:
    r"""Part -> core-hours and the minutes of its longest stage, of all parts that say so, in order.

    >>> costs(
    ...     "<!-- study a -->\\n4 points took 0.50 core-hours, the longest 2 minutes.\\n<!-- end of study a -->\\n"
    ... )
    [('a', 0.5, 2.0)]
    """
    found = []
    for name, part in re.findall(
        r"<!-- study ([^>]*?) -->\n(.*?)<!-- end of study \1 -->\n", text, re.DOTALL
    ):
        cost = COST.search(part)
        if cost is not None and name != "costs":
            found.append((name, float(cost[1]), float(cost[2]) if cost[2] else None))
    return found


def summed(text: str) -> str:
    """The table of costs, with its sum."""
    lines = ["| study | core-hours | longest stage, minutes |", "|---|---:|---:|"]
    every = costs(text)
    for name, hours, longest in every:
        lines.append(f"| {name} | {hours:g} | {'' if longest is None else f'{longest:g}'} |")
    total = sum(hours for _, hours, _ in every)
    lines.append(f"| all that were run | {total:.2f} | |")
    return "\n".join([*lines, "", f"The budget is {BUDGET:g} core-hours."])


def main() -> None:
    """Write the parts, then the sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="NAME=FILE.md")
    parser.add_argument("--write", type=Path, default=DOCUMENT, help="the document")
    given = parser.parse_args()
    for part in given.parts:
        name, _, file = part.partition("=")
        text = Path(file).read_text(encoding="utf-8")
        # The document has its own headings.
        rewrite(given.write, name, re.sub(r"\A# .*\n", "", text))
    rewrite(given.write, "study costs", summed(given.write.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
