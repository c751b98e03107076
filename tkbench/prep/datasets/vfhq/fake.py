"""A synthetic VFHQ: text files in meta_info/, downloaded videos, and one that is lost."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.spoken import LENGTH, PLACE, SCENE, SPEAKERS, short_talk, write_scene, youtube
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`meta_info/Clip+YOUTUBE+P0+C0+F9-38.txt` and `videos/YOUTUBE.mp4`; the second window is of twice the size."""
    (root / "meta_info").mkdir()
    for index in range(clips):
        tube = youtube(seed, index, 6)
        if index != 2:
            write_scene(root / "videos" / f"{tube}.mp4", short_talk(seed, index % SPEAKERS, 224), seed)
        scale = 2 if index == 1 else 1
        x, y = (scale * side for side in PLACE)
        first, last = round(LENGTH[0] * 25) - 1, round(LENGTH[1] * 25)
        lines = [f"H: {scale * SCENE[1]}", f"W: {scale * SCENE[0]}", "FPS: 25.0"]
        lines.append(f"CROP: {x} {y} {x + scale * 224} {y + scale * 224}")
        name = f"Clip+{tube}+P{index}+C0+F{first}-{last}.txt"
        (root / "meta_info" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        progress(index + 1, clips, "clips")
