"""A synthetic tree in the layout of VoxCeleb2."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.spoken import SPEAKERS, short_talk, write_clip, youtube
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`{dev,test}/mp4/id00012/YOUTUBE/00001.mp4`, 224 x 224, with .txt and vox2_meta.csv; the last .mp4 is lacking."""
    people: dict[str, str] = {}
    for index in range(clips):
        split, turn = ("dev", "test")[index % 2], index // 2
        person = f"id{12 + 5 * (index % SPEAKERS):05d}"
        people[person] = f"{person} ,n{index % SPEAKERS + 1:06d} ,{'mf'[index % 2]} ,{split} "
        tube, number = youtube(seed, index % SPEAKERS, 2), f"{turn // SPEAKERS + 1:05d}"
        talk = short_talk(seed, index, 224)
        if index < clips - 1:
            write_clip(root / split / "mp4" / person / tube / number, talk.frames, talk.sound)
        boxes = [f"{349 + n:06d} \t0.319 \t0.067 \t0.424 \t0.753 " for n in range(len(talk.frames))]
        head = [f"Identity  : \t{person}", f"Reference : \t{tube}", f"Offset    : \t{index % 3 - 1}"]
        head += ["FV Conf   : \t20.230\t(1)", "ASD Conf  : \t2.765", "", "FRAME \tX \tY \tW \tH "]
        text = root / split / "txt" / person / tube / f"{number}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join([*head, *boxes]) + "\n", encoding="utf-8")
        progress(index + 1, clips, "clips")
    lines = ["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set ", *(people[name] for name in sorted(people))]
    (root / "vox2_meta.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
