"""A synthetic tree in the layout of LRW."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tkbench.prep.datasets.spoken import SPEAKERS, digits, speak, write_clip
from tkbench.runtime.progress import Progress
from tkbench.synth.clip import Script
from tkbench.types import FPS, Word


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`WORD/{test,val,train}/WORD_00001.mp4`: 29 frames of 256 x 256 with the word at their middle."""
    counts: dict[tuple[str, str], int] = {}
    attempt = 0
    for index in range(clips):
        found = None
        while found is None:
            talk = speak(seed, attempt, index % SPEAKERS, (2.6, 3.4))
            found, attempt = _middle_word(talk.script), attempt + 1
        word, first = found
        name, split = word.text.upper(), ("test", "val", "train")[index % 3]
        number = counts[name, split] = counts.get((name, split), 0) + 1
        base = root / "lipread_mp4" / name / split / f"{name}_{number:05d}"
        write_clip(base, talk.frames(256, first, first + 29), talk.sound(first, first + 29))
        lines = [
            f"Disk reference: {digits(seed, attempt)}",
            f"Channel: tkbench {talk.speaker.name}",
            "Program start: 2026-01-01 00:00:00",
            f"Clip start: {first / FPS:.2f} seconds",
            f"Duration: {word.end - word.start:.2f} seconds",
        ]
        base.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        progress(index + 1, clips, "clips")


def _middle_word(script: Script) -> tuple[Word, int] | None:
    """A word of five letters or more around which 29 frames fit, and the first of these."""
    for word in script.words:
        first = int(np.floor((word.start + word.end) / 2 * FPS - 14.5 + 0.5))
        whole = re.fullmatch(r"[A-Za-z]{5,}", word.text) is not None
        if whole and 0 <= first <= script.n_frames - 29 and word.end - word.start < 1.0:
            return word, first
    return None
