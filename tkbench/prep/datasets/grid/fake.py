"""A synthetic tree in the layout of GRID: the names are its sentences, the voices say others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tkbench.prep.datasets.grid.reader import sentence_of
from tkbench.prep.datasets.spoken import SPEAKERS, recode, short_talk, write_clip
from tkbench.runtime.progress import Progress

_NAMES = ("bbaf2n", "brbk7n", "pwij3p", "swwp2s", "lgazza", "sbig8p")


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`s1/bbaf2n.mpg`, 360 x 288 with mp2 sound, and `s1/align/bbaf2n.align`; the last .mpg is lacking."""
    for index in range(clips):
        person, name = f"s{index % SPEAKERS + 1}", _NAMES[index // SPEAKERS % len(_NAMES)]
        if index < clips - 1:
            talk = short_talk(seed, index, 224)
            frames = [np.pad(frame, ((32, 32), (68, 68), (0, 0)), mode="edge") for frame in talk.frames]
            write_clip(root / person / name, frames, talk.sound)
            mpeg = ["-c:v", "mpeg1video", "-q:v", "2", "-c:a", "mp2", "-ar", "44100", "-b:a", "128k"]
            recode(root / person / f"{name}.mp4", ".mpg", mpeg)
        words = (sentence_of(name) or "").split()
        times = [2000 + 4000 * number for number in range(len(words) + 1)]
        rows = [f"{a} {b} {word}" for a, b, word in zip(times, times[1:], words, strict=False)]
        align = root / person / "align" / f"{name}.align"
        align.parent.mkdir(parents=True, exist_ok=True)
        align.write_text("\n".join(["0 2000 sil", *rows, f"{times[-1]} 30000 sil"]) + "\n", encoding="utf-8")
        progress(index + 1, clips, "clips")
