"""Does `tkbench data check SHARDS ...` find copies of clips that its thresholds were not chosen on?

    python scripts/leaks_held_out.py --clips clips --work held-out --write docs/data-sets.md

The thresholds of `tkbench.data.matching` come from four clips of GRID, three of HDTF and five of talks and news. Held
out by a rule were the released clips of 224 x 224 pixels and the generated videos: CLIPS. Each is cut to three seconds
(TIMES), so that little is left to compare, and prepared; its copies are made from the file by ffmpeg as CHANGES say,
under other names, and prepared as another data set. Neither these codecs and scales nor these clips were used before.
The search is the command's own (`find_leaks`) at its thresholds. What truly is one recording is known: a copy and its
clip; and generated videos of one prompt have one voice under different faces (VOICES).
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from between import rewrite

from tkbench.data.fingerprints import fingerprint
from tkbench.data.leaks import find_leaks
from tkbench.data.matching import LEAST_FACE, LEAST_LIKENESS, LEAST_SOUND, MOST_ERRORS
from tkbench.media.ffmpeg import ffmpeg_exe
from tkbench.prep.run import Run, prepare
from tkbench.shards import open_shards

CLIPS = {
    "Talking-Face_PC-AVS__Audio_Source_681100216.mp4": "pcavs-1",
    "Talking-Face_PC-AVS__Input_00002.mp4": "pcavs-2",
    "Talking-Face_PC-AVS__Pose_Source_741400163.mp4": "pcavs-3",
    "syncnet_python__example.avi": "syncnet",
    "generated/MoChaBench__MoCha_01.mp4": "prompt1-mocha",
    "generated/MoChaBench__MoCha_04.mp4": "prompt4-mocha",
    "generated/MoChaBench__SadTalker_01.mp4": "prompt1-sadtalker",
    "generated/MoChaBench__SadTalker_04.mp4": "prompt4-sadtalker",
    "generated/MoChaBench__aniportrait-square_01.mp4": "prompt1-aniportrait",
    "generated/MoChaBench__aniportrait-square_04.mp4": "prompt4-aniportrait",
    "generated/MoChaBench__hallo3_01.mp4": "prompt1-hallo3",
    "generated/MoChaBench__hallo3_04.mp4": "prompt4-hallo3",
}
"""File and name of the clips that are held out."""
TIMES = (0.4, 3.4)
"""Part of each clip, seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """A way to copy a file."""

    name: str
    text: str
    suffix: str
    options: tuple[str, ...]
    late: float = 0.0
    """Seconds that the copy begins after the clip."""
    kind: str = "same-recording"


VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "45", "-b:v", "0")
H264 = ("-c:v", "libx264", "-preset", "veryfast")
CHANGES = (
    Change(
        "vp9",
        "VP9 crf 45 and Vorbis at 48 kbit/s, three quarters of the size",
        ".webm",
        ("-vf", "scale=trunc(iw*3/8)*2:trunc(ih*3/8)*2", *VP9, "-c:a", "libvorbis", "-b:a", "48k"),
    ),
    Change(
        "rate",
        "H.264 crf 35 at 30 frames/s, AC-3 at 64 kbit/s, 12 dB quieter",
        ".mkv",
        ("-r", "30", *H264, "-crf", "35", "-af", "volume=-12dB", "-c:a", "ac3", "-b:a", "64k"),
    ),
    Change(
        "late",
        "begins 0.73 s later; MPEG-4 and MP2; sound of a telephone (300 to 3400 Hz, 8 kHz)",
        ".avi",
        ("-c:v", "mpeg4", "-q:v", "6", "-af", "highpass=300,lowpass=3400,aresample=8000,aresample=16000",
         "-c:a", "mp2", "-b:a", "64k"),
        late=0.73,
    ),
    Change(
        "mirror",
        "mirrored, bright; the same sound",
        ".mp4",
        ("-vf", "hflip,eq=brightness=0.08", *H264, "-crf", "23", "-c:a", "aac", "-b:a", "96k"),
        kind="same-sound",
    ),
)  # fmt: skip


def ffmpeg(*arguments: str) -> None:
    """Run it, quietly."""
    subprocess.run([ffmpeg_exe(), "-v", "error", "-y", "-nostdin", *arguments], check=True)


def make(clips: Path, work: Path) -> tuple[Path, Path]:
    """Shards of the clips and of their copies."""
    shards = []
    for kind in ("clips", "copies"):
        root, out = work / kind, work / f"shards-{kind}"
        root.mkdir(parents=True, exist_ok=True)
        rows = []
        for file, name in CLIPS.items():
            if kind == "clips":
                (root / f"{name}{Path(file).suffix}").unlink(missing_ok=True)
                (root / f"{name}{Path(file).suffix}").symlink_to((clips / file).absolute())
                rows.append((f"{name}{Path(file).suffix}", name, *TIMES))
                continue
            for change in CHANGES:
                copy = root / f"{name}-{change.name}{change.suffix}"
                begin, length = TIMES[0] + change.late, TIMES[1] - TIMES[0]
                if not copy.is_file():
                    span = ("-ss", f"{begin:.3f}", "-t", f"{length:.3f}")
                    ffmpeg(*span, "-i", str(clips / file), *change.options, str(copy))
                rows.append((copy.name, f"{name}-{change.name}", "", ""))
        with (work / f"{kind}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("file", "key", "start", "end"))
            writer.writerows(rows)
        prepare(root, out, dataset="folder", run=Run(reader_options={"table": str(work / f"{kind}.csv")}))
        shards.append(out)
    return shards[0], shards[1]


def voice(name: str) -> str:
    """What is said, and by whom: generated videos of one prompt share it."""
    return name.split("-")[0] if name.startswith("prompt") else name


def table(one: Path, two: Path) -> list[str]:
    """What the search found, as lines of Markdown."""
    clips, copies = set(open_shards(one).keys()), set(open_shards(two).keys())
    found = {
        (leak.a, leak.b): leak.kind for leak in find_leaks([one, two]).leaks if leak.kind != "same-speaker"
    }
    lines = [
        f"{len(CLIPS)} clips of 3 s, {len(clips)} prepared, and {len(copies)} copies of them.",
        "",
        "| copy | prepared | same recording | same sound only | same face only | not found |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for change in CHANGES:
        pairs = [
            (name, f"{name}-{change.name}") for name in sorted(clips) if f"{name}-{change.name}" in copies
        ]
        kinds = Counter(found.get(pair, "") for pair in pairs)
        counts = [kinds[kind] for kind in ("same-recording", "same-sound", "same-face", "")]
        lines.append(f"| {change.text} | {len(pairs)} | " + " | ".join(map(str, counts)) + " |")
    others = [(a, b) for a in sorted(clips) for b in sorted(copies) if not b.startswith(f"{a}-")]
    shared = [(a, b) for a, b in others if voice(a) == voice(b.rpartition("-")[0])]
    apart = [pair for pair in others if pair not in set(shared)]
    sound = sum(found.get(pair) == "same-sound" for pair in shared)
    face = sum(found.get(pair) in ("same-recording", "same-face") for pair in shared)
    alarms = [(*pair, found[pair]) for pair in apart if pair in found]
    lines += [
        "",
        f"Of {len(shared)} pairs in which two models speak with one voice, {sound} were `same-sound` and {face} "
        f"passed for one face. Of {len(apart)} pairs that share nothing, {len(alarms)} were called the same"
        + (f": {', '.join(' '.join(alarm) for alarm in alarms)}." if alarms else "."),
        *near(one),
    ]
    return lines


def near(shards: Path) -> list[str]:
    """How near two of the clips come that share nothing."""
    from measure_leaks import best_face, best_sound

    source = open_shards(shards)
    prints = {
        key: fingerprint(source.get_audio(key), source.get_arrays(key)["landmarks"]) for key in source.keys()
    }
    sounds, faces = [], []
    for a, b in combinations(sorted(prints), 2):
        one, two = prints[a], prints[b]
        if voice(a) != voice(b):
            sounds.append(
                best_sound(one, two, range(LEAST_SOUND - len(two.sound), len(one.sound) - LEAST_SOUND + 1))
            )
        faces.append(best_face(one, two, range(LEAST_FACE - len(two.face), len(one.face) - LEAST_FACE + 1)))
    return [
        f"At the best of all offsets, sounds of two different clips differ in at least {min(sounds):.3f} of their bits "
        f"(the same: at most {MOST_ERRORS:g}), and faces correlate by at most {np.max(faces):.2f} (the same: at least "
        f"{LEAST_LIKENESS:g})."
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="the folder that has CLIPS")
    parser.add_argument("--work", type=Path, default=Path("held-out"), help="copies and shards are kept here")
    parser.add_argument(
        "--write", type=Path, help="a document with the marks <!-- held-out --> to write into"
    )
    arguments = parser.parse_args()
    missing = [file for file in CLIPS if not (arguments.clips / file).is_file()]
    if missing:
        raise SystemExit(f"{arguments.clips}: without {', '.join(missing)}")
    text = "\n".join(table(*make(arguments.clips, arguments.work))) + "\n"
    print(text)
    if arguments.write:
        rewrite(arguments.write, "held-out", text)


if __name__ == "__main__":
    main()
