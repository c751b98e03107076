"""A synthetic tree in the layout of LRS3."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.spoken import SPEAKERS, speak, word_table, words_of, write_clip, youtube
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`{test,trainval,pretrain}/YOUTUBE/00001.mp4`, 224 x 224; the word table is in pretrain alone."""
    for index in range(clips):
        split, turn = ("test", "trainval", "pretrain")[index % 3], index // 3
        source, number = youtube(seed, index % 3, turn // 2), f"{turn % 2 + 1:05d}"
        talk = speak(seed, index, index % SPEAKERS, (2.0, 3.0))
        file = root / split / source / number
        frames = talk.frames(224)
        write_clip(file, frames, talk.sound())
        boxes = [f"{number:06d} 0.250 0.200 0.500 0.600" for number in range(len(frames))]
        text = [f"Text:  {words_of(talk.script.text)}", f"Conf:  {3 + index % 3}", f"Ref:   {source}", ""]
        text += ["FRAME \tX \tY \tW \tH", *boxes, ""]
        text += word_table(talk.script)[1:] if split == "pretrain" else []
        file.with_suffix(".txt").write_text("\n".join(text) + "\n", encoding="utf-8")
        progress(index + 1, clips, "clips")
