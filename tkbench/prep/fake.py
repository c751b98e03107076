"""Synthetic trees in the exact layout of LRW, LRS2, LRS3 and HDTF, for tests, demos and CI.

The faces and voices are those of the synthetic corpus (extra `tkbench[synth]`); names, lists, text files, picture
sizes, rates and lengths are as in the data set. A file TKBENCH_FAKE.json marks the tree, so that what is made of it
is called `lrs2-fake` and never passes for the real one. The same arguments give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.prep.readers.tree import FAKE
from tkbench.prep.synth.clip import Script, Speaker, pictures, script_of, speaker_of
from tkbench.prep.synth.knobs import Knobs
from tkbench.progress import Progress, silent
from tkbench.registry import suggest
from tkbench.types import FPS, SAMPLES_PER_FRAME, Float32, UInt8, Word

SPEAKERS = 6
"""People that clips are dealt to in turn."""
_CRF = 18


@dataclass(frozen=True, slots=True)
class Spoken:
    """A few seconds of one person, not drawn yet."""

    speaker: Speaker
    script: Script
    seed: tuple[int, ...]

    def frames(self, size: int, first: int = 0, last: int | None = None) -> list[UInt8]:
        """Pictures [first, last) of the 25 fps grid, (size, size, 3) RGB."""
        times = np.arange(first, self.script.n_frames if last is None else last) / FPS
        rng = np.random.default_rng(self.seed)
        return list(pictures(self.speaker, self.script, rng, size=size, knobs=Knobs(), times=times))

    def sound(self, first: int = 0, last: int | None = None) -> Float32:
        """The voice of those pictures, 16 kHz mono."""
        end = self.script.n_frames if last is None else last
        return self.script.audio[first * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME]


def speak(seed: int, index: int, speaker: int, seconds: tuple[float, float]) -> Spoken:
    """Speaker number `speaker` says sentence number `index`. Raises MissingExtra without espeak-ng."""
    who = speaker_of(seed, speaker)
    script = script_of(np.random.default_rng([seed, 11, index]), who.voice, seconds)
    return Spoken(who, script, (seed, 12, index))


def make_fake(
    dataset: str,
    out: str | Path,
    *,
    clips: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Path:
    """Write a synthetic tree of `clips` clips to `out`, a new or empty folder, and return its root.

    Raises UsageError for a data set that it does not know, too few clips or a folder that holds something.
    """
    from tkbench.prep.fake_hdtf import make_hdtf

    makers: dict[str, tuple[Callable[[Path, int, int, Progress], None], int, int]] = {
        "lrw": (make_lrw, 6, 1),
        "lrs2": (make_lrs2, 8, 1),
        "lrs3": (make_lrs3, 6, 1),
        "hdtf": (make_hdtf, 6, 5),
    }
    if dataset not in makers:
        raise UsageError(f"no fake of {dataset!r}: {suggest(dataset, list(makers))}")
    make, usual, least = makers[dataset]
    count = usual if clips is None else clips
    root = Path(out)
    if count < least:
        raise UsageError(
            f"a fake {dataset} needs at least {least} clips for all that is odd in it, not {count}"
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: is not empty; choose a new folder")
    root.mkdir(parents=True, exist_ok=True)
    mark = {"made_by": "tkbench data fake", "dataset": dataset, "clips": count, "seed": seed}
    (root / FAKE).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    make(root, count, seed, progress)
    return root


def make_lrw(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`WORD/{test,val,train}/WORD_00001.mp4`: 29 frames of 256 x 256 with the word at their middle."""
    counts: dict[tuple[str, str], int] = {}
    attempt = 0
    for index in range(clips):
        found = None
        while found is None:
            said = speak(seed, attempt, index % SPEAKERS, (2.6, 3.4))
            found, attempt = _middle_word(said.script), attempt + 1
        word, first = found
        name, split = word.text.upper(), ("test", "val", "train")[index % 3]
        number = counts[name, split] = counts.get((name, split), 0) + 1
        base = root / "lipread_mp4" / name / split / f"{name}_{number:05d}"
        _write(base, said.frames(256, first, first + 29), said.sound(first, first + 29))
        lines = [
            f"Disk reference: {_digits(seed, attempt)}",
            f"Channel: tkbench {said.speaker.name}",
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


def make_lrs2(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`mvlrs_v1/{main,pretrain}/ID/00001.mp4`, 160 x 160, and the four lists; test lines carry NF or MV."""
    base = root / "mvlrs_v1"
    lists: dict[str, list[str]] = {"test": [], "val": [], "train": [], "pretrain": []}
    for index in range(clips):
        split, turn = list(lists)[index % 4], index // 4
        # Two clips of one source stand side by side, as in the original.
        source, number = _digits(seed, index % 4, turn // 2), f"{turn % 2 + 1:05d}"
        said = speak(seed, index, index % SPEAKERS, (2.0, 3.0))
        file = base / ("pretrain" if split == "pretrain" else "main") / source / number
        _write(file, said.frames(160), said.sound())
        table = _word_table(said.script) if split == "pretrain" else []
        text = [f"Text:  {_upper(said.script.text)}", f"Conf:  {3 + index % 3}", *table]
        file.with_suffix(".txt").write_text("\n".join(text) + "\n", encoding="utf-8")
        tag = f" {('NF', 'MV')[turn % 2]}" if split == "test" else ""
        lists[split].append(f"{source}/{number}{tag}")
        progress(index + 1, clips, "clips")
    for split, lines in lists.items():
        (base / f"{split}.txt").write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")


def make_lrs3(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`{test,trainval,pretrain}/YOUTUBE/00001.mp4`, 224 x 224; the word table is in pretrain alone."""
    for index in range(clips):
        split, turn = ("test", "trainval", "pretrain")[index % 3], index // 3
        source, number = youtube(seed, index % 3, turn // 2), f"{turn % 2 + 1:05d}"
        said = speak(seed, index, index % SPEAKERS, (2.0, 3.0))
        file = root / split / source / number
        frames = said.frames(224)
        _write(file, frames, said.sound())
        boxes = [f"{number:06d} 0.250 0.200 0.500 0.600" for number in range(len(frames))]
        text = [f"Text:  {_upper(said.script.text)}", f"Conf:  {3 + index % 3}", f"Ref:   {source}", ""]
        text += ["FRAME \tX \tY \tW \tH", *boxes, ""]
        text += _word_table(said.script)[1:] if split == "pretrain" else []
        file.with_suffix(".txt").write_text("\n".join(text) + "\n", encoding="utf-8")
        progress(index + 1, clips, "clips")


def _write(base: Path, frames: Sequence[UInt8], audio: Float32) -> None:
    base.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(base.with_name(f"{base.name}.mp4"), frames, audio=audio, quality=_CRF)


def _word_table(script: Script) -> list[str]:
    """The blank line and table of a pretrain .txt. The score is of a face detector that was not run: 5.0."""
    rows = [f"{word.text} {word.start:.2f} {word.end:.2f} 5.0" for word in all_words(script)]
    return ["", "WORD START END ASDSCORE", *rows]


def all_words(script: Script) -> list[Word]:
    """Every word of the text with its time. espeak-ng says some pairs as one ("in the"): these share its time."""
    out: list[Word] = []
    timed = [Word(_upper(word.text), word.start, word.end) for word in script.words]
    for text in _upper(script.text).split():
        if timed and timed[0].text.split()[:1] == [text]:
            said = timed.pop(0)
            out.append(Word(text, said.start, said.end))
        elif out:
            last = out.pop()
            middle = last.start + (last.end - last.start) * len(last.text) / (len(last.text) + len(text))
            out += [Word(last.text, last.start, middle), Word(text, middle, last.end)]
    return out


def _upper(text: str) -> str:
    return " ".join(re.sub(r"[^A-Z0-9' ]", " ", text.upper()).split())


def _digits(*numbers: int) -> str:
    """19 digits that depend on the numbers alone."""
    return f"{5 * 10**18 + int(_hash(numbers)[:14], 16) % 10**18:019d}"


def youtube(*numbers: int) -> str:
    """11 characters as YouTube has them, of the numbers alone."""
    return base64.urlsafe_b64encode(bytes.fromhex(_hash(numbers)))[:11].decode()


def _hash(numbers: Sequence[int]) -> str:
    return hashlib.sha256(" ".join(map(str, numbers)).encode()).hexdigest()
