"""A synthetic tree in the layout of LRS2."""

from __future__ import annotations

from pathlib import Path

from tkbench.prep.datasets.spoken import SPEAKERS, digits, speak, word_table, words_of, write_clip
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`mvlrs_v1/{main,pretrain}/ID/00001.mp4`, 160 x 160, and the four lists; test lines carry NF or MV."""
    base = root / "mvlrs_v1"
    lists: dict[str, list[str]] = {"test": [], "val": [], "train": [], "pretrain": []}
    for index in range(clips):
        split, turn = list(lists)[index % 4], index // 4
        # Two clips of one source stand side by side, as in the original.
        source, number = digits(seed, index % 4, turn // 2), f"{turn % 2 + 1:05d}"
        talk = speak(seed, index, index % SPEAKERS, (2.0, 3.0))
        file = base / ("pretrain" if split == "pretrain" else "main") / source / number
        write_clip(file, talk.frames(160), talk.sound())
        table = word_table(talk.script) if split == "pretrain" else []
        text = [f"Text:  {words_of(talk.script.text)}", f"Conf:  {3 + index % 3}", *table]
        file.with_suffix(".txt").write_text("\n".join(text) + "\n", encoding="utf-8")
        tag = f" {('NF', 'MV')[turn % 2]}" if split == "test" else ""
        lists[split].append(f"{source}/{number}{tag}")
        progress(index + 1, clips, "clips")
    for split, lines in lists.items():
        (base / f"{split}.txt").write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")
