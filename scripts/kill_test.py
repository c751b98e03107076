"""Kill a preparation again and again, and show that no byte of its result changes and no clip is lost.

    python scripts/kill_test.py --kills 50 --folder /tmp/kills

Small videos are made, prepared once in peace by one process, then in rounds with two workers while random SIGKILLs
hit the main process or a worker. After a kill of the main process the same command is run again. A round that ends
is compared with the peaceful run, file by file, and the next one starts in a new folder, until all kills are spent.
Ends with code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from tkbench import media


def make_videos(folder: Path, count: int) -> None:
    """Clips of about a second of a photographed face that moves; every tenth has no sound and must be skipped."""
    import cv2
    from skimage import data

    photo = data.astronaut()[0:288, 80:368]
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        frames = []
        for t in range(25 + number % 7):
            move = np.array([[1, 0, 6 * np.sin((t + number) / 4)], [0, 1, 4 * np.cos((t + number) / 5)]])
            moved = cv2.warpAffine(photo, move, (288, 288), borderMode=cv2.BORDER_REPLICATE)
            frames.append(cv2.resize(moved, (128, 128), interpolation=cv2.INTER_AREA))
        sound = (0.1 * rng.normal(size=len(frames) * 640)).astype(np.float32)
        media.write_video(folder / f"c{number:03d}.mp4", frames, audio=None if number % 10 == 9 else sound)


def command(videos: Path, out: Path, workers: int, shard_clips: int) -> list[str]:
    """The command under test."""
    words = [
        "prep",
        "folder",
        "--root",
        videos,
        "--out",
        out,
        "--workers",
        workers,
        "--shard-clips",
        shard_clips,
    ]
    return [sys.executable, "-m", "tkbench", *map(str, words)]


def contents(out: Path) -> dict[str, str]:
    """Every file of the result but the times (stats), with its hash; anything left over counts, too."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(out).as_posix() for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path, name in names.items()
        if not (name == "stats.json" or (name.startswith("stats/") and name.endswith(".json")))
    }


def workers_of(main: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a run, without their ffmpeg."""
    found = []
    for child in main.children():
        try:
            if "tkbench.runtime.workers" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


class Run:
    """One round: the command, run until it ends in order, however often it is killed."""

    def __init__(self, words: list[str], chance: random.Random, kills: int, log: Path) -> None:
        self.words, self.chance, self.left, self.log = words, chance, kills, log
        self.hit: Counter[str] = Counter()
        self.starts = 0

    def __call__(self) -> bool:
        """True when the command ended with code 0; False when it gave an error."""
        while True:
            self.starts += 1
            with self.log.open("ab") as log:
                process = subprocess.Popen(self.words, stdout=log, stderr=log)
            code = self._disturb(process)
            if code != -signal.SIGKILL:
                return code == 0

    def _disturb(self, process: subprocess.Popen[bytes]) -> int:
        """Kill workers, and at some point the main process, at random times; its exit code."""
        main = psutil.Process(process.pid)
        while self.left:
            try:
                return process.wait(timeout=self.chance.uniform(0.2, 5.0))
            except subprocess.TimeoutExpired:
                pass
            crew = workers_of(main)
            victim = self.chance.choice(crew) if crew and self.chance.random() < 0.6 else main
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
            self.left -= 1
            self.hit["main process" if victim is main else "worker"] += 1
            if victim is main:
                break
        return process.wait()


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--shard-clips", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="a new folder, left there for a look")
    options = parser.parse_args()
    console = Console(highlight=False, width=110)
    videos, peace, log = options.folder / "videos", options.folder / "peace", options.folder / "log.txt"
    if options.folder.exists():
        parser.error(f"{options.folder} is there already")
    make_videos(videos, options.clips)
    console.print(f"{options.clips} clips made; one run in peace ...")
    subprocess.run(command(videos, peace, 1, options.shard_clips), check=True, capture_output=True)
    wanted = contents(peace)
    clips = set(pd.read_parquet(peace / "manifest.parquet")["clip"])
    table = Table(
        "round",
        "starts",
        "killed main",
        "killed workers",
        "seconds",
        "files",
        "differ",
        "clips lost",
        "skipped",
    )
    chance, left, number, bad = random.Random(options.seed), options.kills, 0, 0
    total: Counter[str] = Counter()
    while left:
        number += 1
        out = options.folder / f"round{number}"
        began = time.perf_counter()
        run = Run(command(videos, out, 2, options.shard_clips), chance, left, log)
        ended = run()
        left = run.left
        total += run.hit
        found = contents(out) if ended else {}
        differ = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        lost = clips - set(pd.read_parquet(out / "manifest.parquet")["clip"]) if ended else clips
        bad += bool(differ or lost or not ended)
        skipped = "ended with an error: see log.txt"
        if ended:
            counts = json.loads((out / "stats.json").read_text())["skipped"]
            skipped = ", ".join(f"{why} {count}" for why, count in counts.items())
        seconds = f"{time.perf_counter() - began:.0f}"
        hit = (str(run.hit["main process"]), str(run.hit["worker"]))
        files = (str(len(wanted)), ", ".join(differ) or "0", str(len(lost)), skipped)
        table.add_row(str(number), str(run.starts), *hit, seconds, *files)
        console.print(
            f"round {number}: {run.starts} starts, {sum(run.hit.values())} kills, {len(differ)} files differ"
        )
        if not differ:
            shutil.rmtree(out)
    console.print(table)
    hits = f"{total['main process']} main process, {total['worker']} workers"
    verdict = f"{bad} rounds went wrong" if bad else "every byte as in the run in peace, no clip lost"
    console.print(f"{total.total()} SIGKILLs ({hits}) in {number} rounds: {verdict}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
