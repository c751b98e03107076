"""What a codec alone does to the scores of true videos, as Markdown: from the CSV of `tkbench sensitivity`.

    tkbench sensitivity --data shards --knob video-codec --protocol pictures.toml --out pictures.html
    tkbench sensitivity --data shards --knob audio-codec --protocol sound.toml --out sound.html
    python scripts/codecs.py pictures.csv sound.csv

A cell is the mean change over the clips that have a score with the codec and without it. The first line of a table has
the values of the unchanged video.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path


def digits(values: list[float]) -> int:
    """Decimals that show the smallest of these values with two figures, two to five."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    return 3 if not sizes else min(5, max(2, 1 - math.floor(math.log10(min(sizes)))))


def table(path: Path) -> str:
    """The table in Markdown of one CSV with one knob: a line per codec, a column per score that was measured."""
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    if {line["knob"] for line in lines} not in ({"video-codec"}, {"audio-codec"}):
        raise SystemExit(f"{path}: expected the CSV of one knob, video-codec or audio-codec")
    points = {(line["value"], line["metric"]): line for line in lines}
    codecs = list(dict.fromkeys(line["value"] for line in lines))
    first = codecs[0]
    metrics = [
        name
        for name in dict.fromkeys(line["metric"] for line in lines)
        if not math.isnan(float(points[first, name]["mean"]))
    ]
    out = [
        "| codec | " + " | ".join(f"`{name}`" for name in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for codec in codecs:
        cells = []
        for name in metrics:
            point = points[codec, name]
            mean, change = float(point["mean"]), float(point["change"])
            if math.isnan(mean):
                cells.append(point["why"])
            elif codec == first or not math.isfinite(change):
                # Equal pictures have an infinite PSNR: there the value itself says how far a codec is from them.
                cells.append("∞" if math.isinf(mean) else f"{mean:.4g}")
            else:
                places = digits([float(points[c, name]["change"]) for c in codecs])
                cells.append(f"{change:+.{places}f}")
        out.append(f"| {codec} | " + " | ".join(cells) + " |")
    most = max(int(line["n"]) + int(line["n_unscored"]) for line in lines)
    return "\n".join([*out, "", f"{most} clips."])


def main() -> None:
    """Print a table for each file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", type=Path, nargs="+", help="the CSV that stands beside the page")
    for path in parser.parse_args().csv:
        print(table(path), end="\n\n")


if __name__ == "__main__":
    main()
