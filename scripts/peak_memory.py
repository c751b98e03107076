"""How much memory does preparing a file take, beside a plain clip of its size?

    python scripts/peak_memory.py FOLDER_OR_FILE ...
    python scripts/peak_memory.py --csv memory.csv ../shared/inputs/media

Each file is prepared alone in a fresh process, which then says its own peak (resident set, `getrusage`) and that of the
largest process that it started (ffmpeg); the figure is their sum. The plain clip has as many pixels, pictures and
seconds of sound, taken from the file itself where it can be read, and nothing odd about it: H.264 and AAC in mp4. Where
nothing can be read, it is one of 256 x 256 pixels and 94 frames. Each is measured three times; the smallest counts.
Ends with 1 where a file takes more than `MOST` times what its plain clip takes.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg

from tkbench import media
from tkbench.errors import BadMedia

MOST = 1.1
PREPARES = """
import resource, sys
from tkbench.prep.run import prepare
from tkbench.shards import open_shards
prepare(sys.argv[1], sys.argv[2])
row = open_shards(sys.argv[2]).manifest().iloc[0]
peak = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(*peak, row["status"] if row["status"] == "ok" else row["reason"])
"""


def peak_of(file: Path, folder: Path, times: int) -> tuple[int, int, str]:
    """(kB of the process, kB of its ffmpeg, status) of preparing one file."""
    source = folder / "in"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    shutil.copyfile(file, source / file.name)
    found = []
    for _ in range(times):
        shutil.rmtree(folder / "out", ignore_errors=True)
        command = [sys.executable, "-c", PREPARES, str(source), str(folder / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        mine, other, status = done.stdout.split()[-3:]
        found.append((int(mine), int(other), status))
    return min(found, key=lambda one: one[0] + one[1])


def plain_clip(file: Path, folder: Path) -> Path:
    """A clip of the same size with nothing odd about it, showing a face that stands still."""
    from skimage import data, io

    try:
        facts = media.probe(file)
        width, height, frames = facts.width, facts.height, min(facts.reading.frames, 25 * 120)
    except BadMedia:
        width, height, frames = 256, 256, 94
    out, photo = folder / "plain.mp4", folder / "photo.png"
    io.imsave(photo, data.astronaut()[0:288, 80:368])
    side = min(width, height) // 2 * 2
    fitted = f"scale={side}:{side},pad={width // 2 * 2}:{height // 2 * 2}:-1:-1"
    inputs = [
        "-loop",
        "1",
        "-framerate",
        "25",
        "-i",
        str(photo),
        "-f",
        "lavfi",
        "-i",
        "anoisesrc=r=16000:a=0.1",
    ]
    coded = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-t",
        str(frames / 25),
    ]
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    subprocess.run([*ffmpeg, *inputs, "-vf", fitted, *coded, str(out)], check=True)
    return out


def main() -> int:
    """Measure each file and its plain clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="+", help="Files, or folders of them.")
    parser.add_argument("--times", type=int, default=3, help="Measurements of each.")
    parser.add_argument("--csv", type=Path, help="Also write the table there.")
    given = parser.parse_args()
    files = [
        one
        for path in given.paths
        for one in (sorted(path.iterdir()) if path.is_dir() else [path])
        if one.is_file()
    ]
    table: list[list[object]] = []
    print(f"{'file':44s} {'status':16s} {'MiB':>7s} {'plain':>7s} {'ratio':>6s}")
    with tempfile.TemporaryDirectory(prefix="tkbench-") as name:
        for file in files:
            mine, other, status = peak_of(file, Path(name), given.times)
            plain = peak_of(plain_clip(file, Path(name)), Path(name), given.times)
            ratio = (mine + other) / (plain[0] + plain[1])
            table.append([file.name, status, mine, other, plain[0], plain[1], f"{ratio:.3f}"])
            total, least = (mine + other) / 1024, (plain[0] + plain[1]) / 1024
            print(f"{file.name:44s} {status:16s} {total:7.0f} {least:7.0f} {ratio:6.3f}", flush=True)
    if given.csv is not None:
        with given.csv.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(
                ["file", "status", "process_kb", "ffmpeg_kb", "plain_process_kb", "plain_ffmpeg_kb", "ratio"]
            )
            writer.writerows(table)
    largest = max(float(str(row[-1])) for row in table)
    print(f"{len(table)} files, largest ratio {largest:.3f} (at most {MOST} wanted)")
    return int(largest > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
