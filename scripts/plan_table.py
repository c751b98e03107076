"""How long does it take, and how much memory, to plan half a million clips of a table, beside as many of LRS2?

    python scripts/plan_table.py --rows 500000
    python scripts/plan_table.py --rows 20000 --kinds lrs2,csv

Empty files stand for the videos: planning opens none of them. Each kind is planned in a fresh process, from names and
lists to shards, which then says the seconds of the processor, those of the clock, and its peak (resident set). `import`
is what a process takes that plans two clips. LRS2 has a file for each clip; in the tables ten clips are parts of a
video, as in AVSpeech. A row of the table has a file, an interval, a box, a speaker, a source, a
split, a text and two labels.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

KINDS = ("import", "lrs2", "csv", "jsonl", "parquet", "avspeech")
EACH, PARTS = 100, 10
"""Clips of a folder, and clips of a video, where clips are parts of one."""


def rows(count: int) -> Iterator[dict[str, object]]:
    """What the table says."""
    for number in range(count):
        yield {
            "file": f"{number // EACH:05d}/{number % EACH // PARTS:05d}.mp4",
            "start": 6 * (number % PARTS) + 0.5,
            "end": 6 * (number % PARTS) + 4 + number % 7 / 10,
            "box": f"0.{number % 5}1 0.1 0.9 0.8",
            "speaker": f"speaker-{number // EACH}",
            "source": f"video-{number // PARTS}",
            "split": ("train", "val", "test")[number // EACH % 3],
            "text": f"sentence {number} says what is said",
            "label_language": ("english", "polish", "thai")[number // EACH % 3],
            "label_emotion": ("happy", "neutral")[number % 2],
        }


def make(kind: str, count: int, folder: Path) -> dict[str, str]:
    """Write what a kind needs below `folder`; the options of its reader."""
    inner = folder / "main" if kind == "lrs2" else folder
    for number in range(0, 0 if kind == "avspeech" else count, EACH):
        place = inner / (f"{6 * 10**18 + number // EACH}" if kind == "lrs2" else f"{number // EACH:05d}")
        place.mkdir(parents=True)
        for clip in range(min(EACH, count - number) // (1 if kind == "lrs2" else PARTS) or 1):
            (place / f"{clip:05d}.mp4").touch()
            if kind == "lrs2":
                (place / f"{clip:05d}.txt").touch()
    if kind == "lrs2":
        lines = (f"{6 * 10**18 + number // EACH}/{number % EACH:05d}\n" for number in range(count))
        (folder / "train.txt").write_text("".join(lines))
        return {}
    if kind == "avspeech":
        tubes = [f"tube{number:07d}" for number in range(-(-count // PARTS))]
        for tube in tubes:
            (folder / f"{tube}.mp4").touch()
        with (folder / "avspeech_train.csv").open("w") as stream:
            stream.writelines(
                f"{tubes[n // PARTS]},{n % PARTS * 6}.0,{n % PARTS * 6 + 5}.0,0.4,0.5\n" for n in range(count)
            )
        return {}
    table = folder / f"clips.{'csv' if kind == 'import' else kind}"
    if table.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows(count)).to_parquet(table)
    elif table.suffix == ".jsonl":
        with table.open("w") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows(count))
    else:
        with table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(next(rows(1))))
            writer.writeheader()
            writer.writerows(rows(count))
    return {"table": str(table)}


def plan(kind: str, folder: Path, options: dict[str, str]) -> None:
    """Plan it here, and print what that took, as JSON."""
    from tkbench.prep.plan import Settings
    from tkbench.prep.run import Run, plan_run

    dataset = kind if kind in ("lrs2", "avspeech") else "folder"
    began, worked = time.perf_counter(), time.process_time()
    _, made = plan_run(
        folder, folder / "out", dataset, Settings(), split=None, run=Run(reader_options=options)
    )
    found = {
        "clips": sum(len(shard.clips) for shard in made.shards),
        "shards": len(made.shards),
        "clock": time.perf_counter() - began,
        "processor": time.process_time() - worked,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
    }
    print(json.dumps(found))


def main() -> None:
    """Make what each kind needs, plan it in a process of its own, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--plan", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plan:
        kind, folder, options = given.plan
        plan(kind, Path(folder), json.loads(options))
        return
    print(f"{'kind':10} {'clips':>8} {'processor':>10} {'clock':>8} {'peak':>9}")
    for kind in given.kinds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            options = make(kind, 2 if kind == "import" else given.rows, Path(folder))
            command = [sys.executable, __file__, "--plan", kind, folder, json.dumps(options)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            size = f"{told['peak'] / 2**20:.0f} MiB"
            print(
                f"{kind:10} {told['clips']:8d} {told['processor']:8.1f} s {told['clock']:6.1f} s {size:>9}",
                flush=True,
            )


if __name__ == "__main__":
    main()
