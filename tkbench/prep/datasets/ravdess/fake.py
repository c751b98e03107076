"""A synthetic tree in the layout of RAVDESS: a few trials of each actor, and the rest of their names missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tkbench.prep.datasets.ravdess.reader import trials
from tkbench.prep.datasets.spoken import SPEAKERS, short_talk, write_clip
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`Video_Speech_Actor_01/Actor_01/01-01-...mp4`, wider than high, and one without sound, which no one reads."""
    for index in range(clips):
        actor = f"{index % SPEAKERS + 1:02d}"
        emotion, level, statement, take = trials("01")[7 * (index // SPEAKERS) % 60]
        folder = root / f"Video_Speech_Actor_{actor}" / f"Actor_{actor}"
        talk = short_talk(seed, index, 224)
        frames = [np.pad(frame, ((16, 16), (116, 116), (0, 0)), mode="edge") for frame in talk.frames]
        write_clip(folder / f"01-01-{emotion}-{level}-{statement}-{take}-{actor}", frames, talk.sound)
        if index == 0:
            (folder / f"02-01-{emotion}-{level}-{statement}-{take}-{actor}.mp4").write_bytes(b"no sound")
        progress(index + 1, clips, "clips")
