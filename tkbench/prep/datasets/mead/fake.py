"""A synthetic tree in the layout of MEAD."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tkbench.prep.datasets.spoken import SPEAKERS, short_talk, write_clip
from tkbench.runtime.progress import Progress

_EMOTIONS = ("neutral", "angry", "happy", "sad")


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`M003/video/front/angry/level_1/001.mp4` and an .m4a for each front view; the last .mp4 is lacking."""
    for index in range(clips):
        actor = f"{'MW'[index % 2]}{3 + 6 * (index % SPEAKERS):03d}"
        emotion = _EMOTIONS[index // SPEAKERS % 4]
        level = "level_1" if emotion == "neutral" else f"level_{index % 3 + 1}"
        view = "left_30" if index == 1 else "front"
        talk = short_talk(seed, index, 224)
        inner = Path(emotion) / level / f"{index // SPEAKERS + 1:03d}"
        if index < clips - 1 or view != "front":
            frames = [np.pad(frame, ((8, 8), (92, 92), (0, 0)), mode="edge") for frame in talk.frames]
            write_clip(root / actor / "video" / view / inner, frames, talk.sound)
        else:
            (root / actor / "video" / view).mkdir(parents=True, exist_ok=True)
        if view == "front":
            sound = root / actor / "audio" / inner.with_suffix(".m4a")
            sound.parent.mkdir(parents=True, exist_ok=True)
            sound.write_bytes(b"the sound of the .mp4 again; nobody reads this")
        progress(index + 1, clips, "clips")
