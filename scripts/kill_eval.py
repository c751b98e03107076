"""Kill an evaluation on a Dask cluster again and again, and show that no byte of its bundle changes and no clip is
repeated.

    python scripts/kill_eval.py --kills 30 --folder kills

Small shards are made and scored once in peace, by one process. Then `tkbench eval --scheduler` runs on a `dask
scheduler` with two `dask worker` processes, while SIGKILLs hit the evaluation, a worker or the scheduler at random
moments. What was killed is started again: workers and scheduler at once, the evaluation by the same command. A round
that ends is compared with the peaceful run, file by file (but cost.json, which holds times). The next round starts in
a new folder, until all kills are spent. Ends with code 1 where anything differs.

The model is a command that writes down which clip it was called for, and when. A call for a clip that had its record
already is a repetition.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tkbench import media, shards
from tkbench.scoring.records import record_file

MODEL = """
import shutil, sys, time
video, out, log = sys.argv[1:]
with open(log, "a") as file:
    file.write(f"{time.time()} {video}\\n")
shutil.copy(video, out)
"""
PROTOCOL = """
name = "kills"
summary = "Cheap metrics, a judge of lips, and one number of the whole set."
rank_by = "psnr"
[[metrics]]
name = "psnr"
[[metrics]]
name = "ssim"
[[metrics]]
name = "sync"
[metrics.settings]
judge = "syncnet-synth"
"""


def make_shards(folder: Path, clips: int, frames: int) -> Path:
    """Shards of a photograph that moves, with landmarks that move along: nothing here needs a tracker."""
    import cv2
    from skimage import data

    photo = cv2.resize(data.astronaut()[0:288, 80:368], (96, 96), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    target = folder / "shards"
    target.mkdir(parents=True)
    face = rng.uniform(30, 66, (478, 2)).astype(np.float32)
    rows = []
    with shards.ShardWriter(target / "test-000000.tar") as writer:
        for number in range(clips):
            key = f"s{number % 5}/c{number:03d}"
            moves = [(3 * np.sin((t + number) / 4), 2 * np.cos((t + number) / 5)) for t in range(frames)]
            pictures = [
                cv2.warpAffine(
                    photo, np.array([[1, 0, x], [0, 1, y]]), (96, 96), borderMode=cv2.BORDER_REPLICATE
                )
                for x, y in moves
            ]
            media.write_video(folder / "one.mp4", pictures, quality="lossless")
            points = face[None] + np.array(moves, np.float32)[:, None]
            meta: dict[str, object] = {"dataset": "kills", "split": "test", "speaker": key[:2]}
            meta |= {"text": None, "words": [], "canvas": {"kind": "whole"}, "key": key}
            voice = (0.1 * rng.normal(size=frames * 640)).astype(np.float32)
            arrays = {"landmarks": points, "score": np.ones(frames, np.float32)}
            members: dict[str, bytes | Path] = {
                "mp4": folder / "one.mp4",
                "flac": media.write_flac(voice),
                "npz": shards.pack_arrays(arrays),
                "json": shards.pack_json(meta),
            }
            row = {
                "key": key,
                "clip": key,
                "path": key,
                "dataset": "kills",
                "split": "test",
                "speaker": key[:2],
            }
            place = {"shard": "test-000000.tar", "offset": writer.add(key, members), "n_frames": frames}
            rows.append(row | place | {"status": "ok", "width": 96, "height": 96})
        record = writer.commit("test")
    ordered = sorted(rows, key=lambda row: str(row["key"]))
    shards.write_index(
        target, [record], ordered, dataset="kills", protocol="kills", signature="kills", settings={}
    )
    return target


def contents(out: Path) -> dict[str, str]:
    """Every file of the bundle but its cost, and whatever else is left in the folder, with its hash."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "cost.json"]
    return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A scheduler and two workers; what is killed is started again."""

    def __init__(self, log: Path) -> None:
        self.log = log.open("ab")
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.mend()

    def mend(self) -> None:
        """Start what is not there."""
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        worker = ("worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        for name, words in {"scheduler": scheduler, "worker 1": worker, "worker 2": worker}.items():
            known = self.processes.get(name)
            if known is None or known.poll() is not None:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "dask", *words],
                    stdout=self.log,
                    stderr=self.log,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    start_new_session=True,
                )

    def wait(self) -> None:
        """Until the scheduler listens."""
        for _ in range(600):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


class Round:
    """One evaluation, run until it ends in order, however often something of it is killed."""

    def __init__(
        self, words: list[str], out: Path, cluster: Cluster, chance: random.Random, kills: int
    ) -> None:
        self.words, self.out, self.cluster, self.chance, self.left = words, out, cluster, chance, kills
        self.hit: Counter[str] = Counter()
        self.starts = 0
        self.seen: dict[str, float] = {}
        """Name of a record -> when it was written."""

    def __call__(self) -> bool:
        """True when the command ended with code 0; False when it gave an error that no kill explains."""
        while True:
            self.starts += 1
            self.cluster.mend()
            self.cluster.wait()
            with self.cluster_log().open("ab") as log:
                process = subprocess.Popen(self.words, stdout=log, stderr=log, start_new_session=True)
            struck = self._disturb(process)
            if process.returncode == 0:
                return True
            if not struck:
                return False

    def cluster_log(self) -> Path:
        return Path(self.cluster.log.name)

    def _disturb(self, process: subprocess.Popen[bytes]) -> bool:
        """Strike at random moments, once the evaluation is at work; whether the last strike can have ended it."""
        struck = False
        strike = None
        while process.poll() is None:
            self.look()
            if strike is None and self.left and list(self.out.glob(".work/*/.lock")):
                strike = time.monotonic() + self.chance.uniform(0, 4)
            if strike is not None and time.monotonic() >= strike:
                strike = None
                self.left -= 1
                victim = self.chance.choices(
                    ["evaluation", "worker 1", "worker 2", "scheduler"], [4, 2, 2, 1]
                )[0]
                self.hit[victim.partition(" ")[0]] += 1
                if victim == "evaluation":
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    struck = True
                else:
                    self.cluster.kill(victim)
                    struck |= victim == "scheduler"
                    self.cluster.mend()
            time.sleep(0.02)
        self.look()
        return struck

    def look(self) -> None:
        """Note when each record was written first."""
        for path in self.out.glob(".work/*/*/*.npz"):
            try:
                self.seen.setdefault(path.name, path.stat().st_mtime)
            except FileNotFoundError:
                continue  # the evaluation has ended, and removed it


def repeated(calls: Path, keys: tuple[str, ...], seen: dict[str, float]) -> list[str]:
    """Clips for which the model was called when their record was there."""
    written = {key.replace("/", "__"): seen.get(record_file(Path(), key).name) for key in keys}
    found = []
    for line in calls.read_text().splitlines():
        when, _, video = line.partition(" ")
        stem = Path(video).stem
        finished = written[stem]
        # A file system's clock is a few milliseconds behind.
        if finished is not None and finished + 0.05 < float(when):
            found.append(stem)
    return found


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="a new folder, left there for a look")
    options = parser.parse_args()
    if options.folder.exists():
        parser.error(f"{options.folder} is there already")
    folder = options.folder.absolute()
    console = Console(highlight=False, width=120)
    data = make_shards(folder, options.clips, options.frames)
    keys = shards.open_shards(data).keys()
    program, rules = folder / "model.py", folder / "kills.toml"
    program.write_text(MODEL)
    rules.write_text(PROTOCOL)

    calls = folder / "calls.txt"

    def command(out: Path, *more: str) -> list[str]:
        model = f"cmd:{sys.executable} {program} {{video}} {{out}} {calls}"
        words = ["eval", "--data", data, "--model", model, "--name", "killed"]
        words += ["--protocol", rules, "--out", out, "--leaderboards", folder / "boards", "--no-cache", *more]
        return [sys.executable, "-m", "tkbench", *map(str, words)]

    peace = folder / "peace"
    console.print(f"{options.clips} clips made; one evaluation in peace ...")
    began = time.perf_counter()
    subprocess.run(command(peace, "--workers", "1"), check=True, stdout=subprocess.DEVNULL)
    console.print(f"that took {time.perf_counter() - began:.0f} s")
    wanted = {name: digest for name, digest in contents(peace).items() if not name.endswith("report.html")}
    table = Table(
        "round", "starts", "evaluation", "workers", "scheduler", "seconds", "files", "differ", "repeated"
    )
    chance, left, number, bad = random.Random(options.seed), options.kills, 0, 0
    total: Counter[str] = Counter()
    cluster = Cluster(folder / "log.txt")
    try:
        while left:
            number += 1
            out = folder / f"round{number}"
            calls.unlink(missing_ok=True)
            began = time.perf_counter()
            run = Round(command(out, "--scheduler", cluster.address), out, cluster, chance, left)
            ended = run()
            left = run.left
            total += run.hit
            found = {n: d for n, d in contents(out).items() if not n.endswith("report.html")} if ended else {}
            differ = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
            again = repeated(calls, keys, run.seen) if run.seen else []
            bad += bool(differ or again or not ended or len(run.seen) != len(keys))
            hits = [str(run.hit[name]) for name in ("evaluation", "worker", "scheduler")]
            seconds = f"{time.perf_counter() - began:.0f}"
            named = ", ".join(differ) or "0" if ended else "ended with an error: see log.txt"
            table.add_row(
                str(number), str(run.starts), *hits, seconds, str(len(wanted)), named, ", ".join(again) or "0"
            )
            console.print(
                f"round {number}: {run.starts} starts, {sum(run.hit.values())} kills, {len(differ)} files differ, "
                f"{len(again)} finished clips repeated"
            )
    finally:
        cluster.end()
    console.print(table)
    hit = f"{total['evaluation']} evaluations, {total['worker']} workers, {total['scheduler']} schedulers"
    good = "every byte as in peace, no finished clip repeated"
    console.print(
        f"{total.total()} SIGKILLs ({hit}) in {number} rounds: {f'{bad} rounds went wrong' if bad else good}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
