"""What one change of the true video does to its scores, as Markdown: from the CSV of `tkbench sensitivity`.

    tkbench sensitivity -d shards --knob video-codec --protocol examples/sensitivity/pictures.toml --out pictures.html
    tkbench sensitivity -d shards --knob audio-codec --protocol examples/sensitivity/sound.toml --out sound.html
    tkbench sensitivity -d shards --knob blur --knob shift --protocol examples/sensitivity/judge.toml --out judge.html
    python scripts/knobs.py pictures.csv sound.csv judge.csv --write docs/metrics.md

A table per knob; `--write` puts each between the marks `knob NAME` of a document. A cell is the mean change over the
clips that have a score with the change and without it. The first line of a table has the values of the unchanged video.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from pathlib import Path

from between import rewrite


def digits(values: list[float]) -> int:
    """Decimals that show the smallest of these values with two figures, two to five."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    return 3 if not sizes else min(5, max(2, 1 - math.floor(math.log10(min(sizes)))))


def tables(path: Path) -> dict[str, str]:
    """Knob -> its table in Markdown, of one CSV."""
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    if not lines or "knob" not in lines[0]:
        raise SystemExit(f"{path}: expected the CSV that tkbench sensitivity writes beside its page")
    knobs = dict.fromkeys(line["knob"] for line in lines)
    return {knob: table(knob, [line for line in lines if line["knob"] == knob]) for knob in knobs}


def table(knob: str, lines: Sequence[dict[str, str]]) -> str:
    """A line per value of a knob, a column per score that was measured."""
    points = {(line["value"], line["metric"]): line for line in lines}
    values = list(dict.fromkeys(line["value"] for line in lines))
    first = values[0]
    metrics = [
        name
        for name in dict.fromkeys(line["metric"] for line in lines)
        if not math.isnan(float(points[first, name]["mean"]))
    ]
    out = [
        f"| {knob} | " + " | ".join(f"`{name}`" for name in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for value in values:
        cells = []
        for name in metrics:
            point = points[value, name]
            mean, change = float(point["mean"]), float(point["change"])
            if math.isnan(mean):
                cells.append(point["why"])
            elif value == first or not math.isfinite(change):
                # Equal pictures have an infinite PSNR: there the value itself says how far a change is from them.
                cells.append("∞" if math.isinf(mean) else f"{mean:.4g}")
            else:
                places = digits([float(points[other, name]["change"]) for other in values])
                cells.append(f"{change:+.{places}f}")
        out.append(f"| {value} | " + " | ".join(cells) + " |")
    most = max(int(line["n"]) + int(line["n_unscored"]) for line in lines)
    return "\n".join([*out, "", "1 clip." if most == 1 else f"{most} clips."])


def main() -> None:
    """Print the tables of each file, or put them into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", type=Path, nargs="+", help="the CSV that stands beside the page")
    parser.add_argument("--write", type=Path, help="document with the marks")
    args = parser.parse_args()
    for path in args.csv:
        for knob, text in tables(path).items():
            if args.write is None:
                print(text, end="\n\n")
            else:
                rewrite(args.write, f"knob {knob}", text)


if __name__ == "__main__":
    main()
