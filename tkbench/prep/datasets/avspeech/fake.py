"""A synthetic AVSpeech: both lists, whole downloads, a part that was cut out, and a video that is lost."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.spoken import LENGTH, PLACE, SCENE, SPEAKERS, short_talk, write_scene, youtube
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """videos/YOUTUBE.mp4 with two people, the right one speaks; the second is a part, the third is not there."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(clips):
        tube, split = youtube(seed, index, 7), ("train", "test")[index % 2]
        start, stop = (0.0, LENGTH[1] - LENGTH[0]) if index == 1 else LENGTH
        name = f"{tube}_{30:010.6f}-{30 + stop - start:010.6f}" if index == 1 else tube
        told = (30.0, 30.0 + stop - start) if index == 1 else LENGTH
        if index != 2:
            talk, other = (short_talk(seed, (index + shift) % SPEAKERS, 224) for shift in (0, 1))
            write_scene(root / "videos" / f"{name}.mp4", talk, seed, lead=start, listener=other)
        x, y = ((corner + 112) / side for corner, side in zip(PLACE, SCENE, strict=True))
        lists[split].append(f"{tube},{told[0]:.6f},{told[1]:.6f},{x:.6f},{y:.6f}")
        progress(index + 1, clips, "clips")
    for split, lines in lists.items():
        (root / f"avspeech_{split}.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
