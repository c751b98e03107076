"""A synthetic MoChaBench: two models over the same prompts, in two categories; one video of the second is lacking."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.mochabench.reader import CATEGORIES
from tkbench.prep.datasets.spoken import SPEAKERS, short_talk, write_clip
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`mocha-generation/1p_camera_movement/1_face.mp4` and `eval-viescore/example_results/SadTalker/01.mp4`."""
    for index in range(clips):
        turn, talk = index // 4, short_talk(seed, index // 2 % SPEAKERS, 224)
        if index % 4 < 2:
            category = CATEGORIES[turn % len(CATEGORIES)]
            model = ("mocha-generation", "other-generation")[index % 2]
            file = root / model / category / f"{turn // len(CATEGORIES) + 1}_face"
        else:
            model = ("MoCha", "SadTalker")[index % 2]
            file = root / "eval-viescore" / "example_results" / model / f"{turn + 1:02d}"
        if index == 1:
            (root / model / category).mkdir(parents=True)
            write_clip(root / model / category / "2_face", talk.frames, talk.sound)
        else:
            write_clip(file, talk.frames, talk.sound)
        progress(index + 1, clips, "clips")
    (root / "benchmark").mkdir()
