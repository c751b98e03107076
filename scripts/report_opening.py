"""How fast a report opens: a small table (24 clips, 7 models) and a large one (1000 clips, 10 models), in Chromium.

    python scripts/report_opening.py            # needs Chromium, see tests/support/browser.py

Bundles are made up, with 20 columns per clip, curves of 31 shifts, and 10 players of 100 kB for each model. Times are
those of the processor in the page's main thread, so that they mean something on a busy machine, too: "open" is all
until the page is loaded and drawn, "clips" what scrolling to the per-clip table costs, "search" what a word in its
field costs with the rows of all models.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import browser

from tkbench import report
from tkbench.metrics.sync import lse_columns
from tkbench.results import bundle
from tkbench.types import Column, Row

COLUMNS = (
    *lse_columns("_synth", " (syncnet-synth)", signature="lse", variant=""),
    *(Column(f"m{i:02d}", f"Metric {i}", "", "higher", 3, signature=f"m{i}") for i in range(17)),
)
TABLES = {"24 x 7": (24, 7), "1000 x 10": (1000, 10)}
PLAYERS, PLAYER_BYTES = 10, 100_000


def make(out: Path, clips: int, models: int) -> list[Path]:
    """The bundles of a table."""
    keys = [f"speaker{i % 50:02d}/clip-{i:04d}" for i in range(clips)]
    speakers = {key: key.partition("/")[0] for key in keys}
    folders = []
    for m in range(models):
        rng = np.random.default_rng(m)
        name = ("real", "shuffled-audio", "still")[m] if m < 3 else f"model-{m}"
        values = rng.normal(5 - m * 0.1, 1, (clips, len(COLUMNS)))
        rows = [
            Row(name, key, column.name, float(values[i, c]))
            for i, key in enumerate(keys)
            for c, column in enumerate(COLUMNS)
        ]
        curves = [(key, "lse_c_synth", rng.normal(9, 1, 31)) for key in keys]
        shown = keys[:PLAYERS]

        def players(
            folder: Path, shown: list[str] = shown, rng: np.random.Generator = rng
        ) -> list[tuple[str, str]]:
            for i in range(len(shown)):
                (folder / f"{i:02d}.mp4").write_bytes(rng.bytes(PLAYER_BYTES))
            return [(key, f"{i:02d}.mp4") for i, key in enumerate(shown)]

        stats = {"n_boot": 2000, "seed": 0, "level": 0.95}
        facts = bundle.Evaluation(
            model=name,
            model_card={"name": name, "summary": "Made up.", "anchor": m < 3},
            dataset="made-up",
            split="test",
            data_hash="0" * 64,
            n_clips=clips,
            protocol="made-up-v1",
            rank_by=COLUMNS[0].name,
            coverage_min=0.9,
            signature=f"made-up|n:{clips}",
            columns=list(COLUMNS),
            summary=bundle.summarise(rows, speakers, COLUMNS, n_boot=200, seed=0, level=0.95),
            stats=stats,
            weights={},
            stack={},
            seed=0,
        )
        folders.append(bundle.write(out, facts, bundle.ClipRows(rows, speakers, curves), players))
    return folders


def spent(tab: browser.Tab) -> float:
    """Milliseconds of processor time that the main thread has used for tasks."""
    found = tab.command("Performance.getMetrics")["metrics"]
    return 1000 * float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def measure(page: Path, runs: int, folder: Path) -> dict[str, float]:
    """Medians in milliseconds over a number of openings."""
    found: dict[str, list[float]] = {"open": [], "clips": [], "search": []}
    with browser.tab(folder) as tab:
        tab.command("Performance.enable", timeDomain="threadTicks")
        for _ in range(runs + 1):
            tab.command("Page.navigate", url="about:blank")
            before = spent(tab)
            tab.open(page)
            tab.wait("performance.getEntriesByName('first-contentful-paint').length")
            opened = spent(tab)
            tab.js("document.querySelector('#clips').scrollIntoView({behavior: 'instant'})")
            tab.wait("document.querySelectorAll('#clip-body tr').length > 1")
            there = spent(tab)
            tab.choose("#clip-model", "all")
            asked = spent(tab)
            tab.choose("#clip-text", "clip-0007")
            tab.wait("document.querySelector('#clip-body tr').textContent.includes('clip-0007')")
            times = {"open": opened - before, "clips": there - opened, "search": spent(tab) - asked}
            for name, value in times.items():
                found[name].append(value)
    # The first opening fills the browser's own caches.
    return {f"{name}, ms": statistics.median(values[1:]) for name, values in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="openings of each page")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as work:
        for name, (clips, models) in TABLES.items():
            root = Path(work) / name.replace(" ", "")
            folders = make(root, clips, models)
            start = time.process_time()
            page = report.write(folders, root / "report.html")
            made = time.process_time() - start
            rows[name] = {
                "MB": page.stat().st_size / 1e6,
                "written, s": made,
                **measure(page, chosen.runs, root / "browser"),
            }
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return
    heads = list(next(iter(rows.values())))
    print(f"| clips x models | {' | '.join(heads)} |\n|{' --- |' * (len(heads) + 1)}")
    for name, row in rows.items():
        print(
            f"| {name} | {' | '.join(f'{row[head]:.1f}' if row[head] < 20 else f'{row[head]:.0f}' for head in heads)} |"
        )


if __name__ == "__main__":
    main()
