"""How far copies and other clips lie apart for `tkbench data check SHARDS ...`, and what a large search costs.

    python scripts/measure_leaks.py --shards shards --write docs/data-sets.md

The first table is of the clips in `--shards` (one folder or more): each sound is encoded again, made noisy, cut by a
part of a step; and each pair of different clips is compared at every offset, which the search itself never does. Give
shards without copies in them. The second table is of made-up clips of 3 s (voices of harmonics and noise, faces that
move at random): fingerprints, and a search in which one clip of a hundred is a noisy copy that begins elsewhere.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from between import rewrite

from tkbench.data.fingerprints import Print, face_likeness, fingerprint, sound_errors
from tkbench.data.matching import LEAST_FACE, LEAST_LIKENESS, LEAST_SOUND, MOST_ERRORS, find
from tkbench.media.codecs import Coding, coded_sound
from tkbench.shards import open_shards
from tkbench.types import Array, Float32

SECONDS = 3
COPIES = 100
"""One clip of so many is a copy."""


def noisy(sound: Float32, decibels: float) -> Float32:
    """A sound with white noise so many decibels below it."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, float(sound.std()) * 10 ** (-decibels / 20), len(sound))
    return (sound + noise).astype(np.float32)


CHANGES: dict[str, Callable[[Float32], Float32]] = {
    "AAC at 32 kbit/s": lambda x: coded_sound(x, Coding("aac", "32k", ".m4a")),
    "MP3 at 32 kbit/s": lambda x: coded_sound(x, Coding("libmp3lame", "32k", ".mp3")),
    "Opus at 12 kbit/s": lambda x: coded_sound(x, Coding("libopus", "12k", ".opus")),
    "cut by 10 ms, half a step": lambda x: x[160:],
    "Opus at 12 kbit/s and cut by 10 ms": lambda x: coded_sound(x, Coding("libopus", "12k", ".opus"))[160:],
    "noise 20 dB below": lambda x: noisy(x, 20),
    "noise 10 dB below": lambda x: noisy(x, 10),
}


def best_sound(a: Print, b: Print, offsets: Sequence[int]) -> float:
    """The least share of bits that differ at any offset; 1 where too little overlaps."""
    found = [sound_errors(a, b, at) for at in offsets]
    return min((errors for errors, n in found if n >= LEAST_SOUND), default=1.0)


def best_face(a: Print, b: Print, offsets: Sequence[int]) -> float:
    """The greatest correlation at any offset; 0 where too little overlaps."""
    found = [face_likeness(a, b, at) for at in offsets]
    return max((like for like, n in found if n >= LEAST_FACE), default=0.0)


def apart(folders: Sequence[Path]) -> list[str]:
    """The table of copies and of different clips."""
    clips: list[tuple[Float32, Array]] = []
    for folder in folders:
        source = open_shards(folder)
        clips += [(source.get_audio(key), source.get_arrays(key)["landmarks"]) for key in source.keys()]
    prints = [fingerprint(*clip) for clip in clips]
    lines = [
        f"{len(clips)} clips, {len(clips) * (len(clips) - 1) // 2} pairs.",
        "",
        f"| compared | sound: bits that differ (the same: at most {MOST_ERRORS:g}) | face: correlation (the same: at "
        f"least {LEAST_LIKENESS:g}) |",
        "|---|---|---|",
    ]
    for name, change in CHANGES.items():
        found = []
        for (sound, landmarks), one in zip(clips, prints, strict=True):
            other = fingerprint(np.asarray(change(sound), np.float32), landmarks)
            found.append(best_sound(one, other, range(-10, 11)))
        found = [value for value in found if value < 1]
        lines.append(f"| a clip and its copy: {name} | {np.mean(found):.3f}, at most {max(found):.3f} | |")
    sounds, faces = [], []
    for one, two in combinations(prints, 2):
        sounds.append(
            best_sound(one, two, range(LEAST_SOUND - len(two.sound), len(one.sound) - LEAST_SOUND + 1))
        )
        faces.append(best_face(one, two, range(LEAST_FACE - len(two.face), len(one.face) - LEAST_FACE + 1)))
    kept = [value for value in sounds if value < 1]
    lines.append(
        f"| two different clips, the best of all offsets | {np.mean(kept):.3f}, at least {min(kept):.3f} "
        f"| {np.mean(faces):.2f}, at most {max(faces):.2f} |"
    )
    return lines


def made_up(rng: np.random.Generator) -> tuple[Float32, Array]:
    """A voice and a face of SECONDS, unlike any other: harmonics of a wandering pitch in a changing spectrum."""
    n, frames = SECONDS * 16_000, SECONDS * 25
    knots = np.linspace(0, n, SECONDS * 12)

    def slow(low: float, high: float) -> Array:
        return np.interp(np.arange(n), knots, rng.uniform(low, high, len(knots)))

    phase = 2 * np.pi * np.cumsum(slow(90, 260)) / 16_000
    sound = sum(slow(0, 1) ** 2 * np.sin(k * phase) for k in range(2, 13))
    sound = np.asarray(sound) * slow(0, 1) + rng.normal(0, 0.05, n)
    base = rng.uniform(20, 100, (68, 2))
    base[36], base[45] = (30, 50), (90, 50)
    moves = rng.normal(0, 1, (frames + 4, 68, 2))
    smooth = sum(moves[i : frames + i] for i in range(5)) / 5
    return (sound / 12).astype(np.float32), (base + 3 * np.asarray(smooth)).astype(np.float32)


def copied(clip: tuple[Float32, Array], rng: np.random.Generator) -> tuple[Float32, Array]:
    """A copy that begins 0.52 s later, with noise 20 dB below and landmarks that are off by 0.2 pixels."""
    sound, face = clip[0][13 * 640 :], clip[1][13:]
    return noisy(sound, 20), (face + rng.normal(0, 0.2, face.shape)).astype(np.float32)


def cost(n: int) -> list[str]:
    """The rows of a search in n clips."""
    rng = np.random.default_rng(n)
    prints, groups, planted = [], [], set()
    spent = 0.0
    last: tuple[Float32, Array] | None = None
    for i in range(n):
        if i % COPIES == COPIES - 1 and last is not None:
            clip = copied(last, rng)
            planted.add((i - 1, i))
        else:
            clip = made_up(rng)
        last = clip
        began = time.process_time()
        prints.append(fingerprint(*clip))
        spent += time.process_time() - began
        groups.append(i % 2)
    began = time.process_time()
    found = find(prints, groups)
    search = time.process_time() - began
    sound = {(m.a, m.b) for m in found if m.sound is not None}
    face = {(m.a, m.b) for m in found if m.face is not None}
    wrong = len((sound | face) - planted)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [
        f"| {n:,} | {1000 * spent / n:.1f} ms | {search:.1f} s | {memory:.2f} GB | {len(sound & planted)} of "
        f"{len(planted)} | {len(face & planted)} of {len(planted)} | {wrong} |"
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", type=Path, action="append", default=[], help="a folder; repeatable")
    parser.add_argument("--clips", type=int, action="append", help="made-up clips of a search; repeatable")
    parser.add_argument("--write", type=Path, help="a document with the marks <!-- leaks --> to write into")
    arguments = parser.parse_args()
    lines = apart(arguments.shards) if arguments.shards else []
    lines += [
        "",
        "| made-up clips of 3 s | a clip's fingerprints | search | memory, all of it | copies found by sound | by face "
        "| false alarms |",
        "|---|---|---|---|---|---|---|",
    ]
    for n in arguments.clips or [1000, 10_000]:
        lines += cost(n)
    text = "\n".join(lines).strip() + "\n"
    sys.stdout.write(text)
    if arguments.write:
        rewrite(arguments.write, "leaks", text)


if __name__ == "__main__":
    main()
