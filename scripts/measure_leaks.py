"""How far copies and other clips lie apart for `tkbench data check SHARDS ...`, and what a large search costs.

    python scripts/measure_leaks.py --shards shards --write docs/data-sets.md

The first table is of the clips in `--shards` (one folder or more): each sound is encoded again, made noisy, cut by a
part of a step; and each pair of different clips is compared at every offset, which the search itself never does. Give
shards without copies in them. The second table is a search. The time of a fingerprint is that of made-up clips of 3 s
(voices of harmonics and noise, faces that move at random). Those that are searched are drawn from their
sub-fingerprints, mixed, with a tenth of the bits turned, so that hashes meet as often as those of voices or more; faces
move at random. One clip of a hundred is a copy of the one before: it begins 0.52 s later, and has a tenth of the bits
turned, too.
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

from tkbench.data.fingerprints import FEATURES, Print, UInt32, face_likeness, fingerprint, sound_errors
from tkbench.data.matching import LEAST_FACE, LEAST_LIKENESS, LEAST_SOUND, MOST_ERRORS, find
from tkbench.media.codecs import Coding, coded_sound
from tkbench.shards import open_shards
from tkbench.types import Array, Float32

SECONDS = 3
COPIES = 100
"""One clip of so many is a copy."""
BANK = 100
"""Made-up clips."""


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


def turned(sound: UInt32, rng: np.random.Generator) -> UInt32:
    """The same with a tenth of the bits turned."""
    bits = np.unpackbits(sound.view(np.uint8)) ^ (rng.random(32 * len(sound)) < 0.1)
    return np.packbits(bits).view(np.uint32)


def drawn(bank: UInt32, rng: np.random.Generator) -> Print:
    """The fingerprints of a clip that never was."""
    length, frames = len(bank) // BANK, SECONDS * 25
    moves = rng.normal(0, 24, (frames + 4, FEATURES))
    smooth = np.stack([moves[i : frames + i] for i in range(5)]).mean(axis=0)
    sound = turned(bank[rng.integers(0, len(bank), length)], rng)
    return Print(sound, np.ones(length, bool), np.clip(np.round(smooth), -127, 127).astype(np.int8))


def copied(one: Print, rng: np.random.Generator) -> Print:
    """A copy of a clip that begins 26 sub-fingerprints and 13 frames later."""
    face = one.face[13:] + np.round(rng.normal(0, 2, one.face[13:].shape)).astype(np.int8)
    return Print(turned(one.sound[26:], rng), one.loud[26:], face)


def cost(sizes: Sequence[int]) -> list[str]:
    """The rows of the second table."""
    rng = np.random.default_rng(0)
    clips = [made_up(rng) for _ in range(BANK)]
    began = time.process_time()
    prints = [fingerprint(*clip) for clip in clips]
    each = 1000 * (time.process_time() - began) / BANK
    bank = np.concatenate([one.sound for one in prints])
    lines = [
        f"A clip's fingerprints take {each:.1f} ms of one core.",
        "",
        "| clips of 3 s | search, one core | memory, all of it | copies found by sound | by face | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    for n in sizes:
        searched: list[Print] = []
        for i in range(n):
            is_copy = i % COPIES == COPIES - 1
            searched.append(copied(searched[-1], rng) if is_copy else drawn(bank, rng))
        planted = {(i - 1, i) for i in range(COPIES - 1, n, COPIES)}
        began = time.process_time()
        found = find(searched, [i % 2 for i in range(n)])
        spent = time.process_time() - began
        sound = {(m.a, m.b) for m in found if m.sound is not None}
        face = {(m.a, m.b) for m in found if m.face is not None}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        lines.append(
            f"| {n:,} | {spent:.1f} s | {memory:.2f} GB | {len(sound & planted)} of {len(planted)} "
            f"| {len(face & planted)} of {len(planted)} | {len((sound | face) - planted)} |"
        )
    return lines


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", type=Path, action="append", default=[], help="a folder; repeatable")
    parser.add_argument("--clips", type=int, action="append", help="clips of a search; repeatable")
    parser.add_argument("--write", type=Path, help="a document with the marks <!-- leaks --> to write into")
    arguments = parser.parse_args()
    lines = apart(arguments.shards) if arguments.shards else []
    lines += ["", *cost(arguments.clips or [10_000, 100_000])]
    text = "\n".join(lines).strip() + "\n"
    sys.stdout.write(text)
    if arguments.write:
        rewrite(arguments.write, "leaks", text)


if __name__ == "__main__":
    main()
