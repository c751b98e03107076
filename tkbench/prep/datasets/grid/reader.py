"""GRID: `s1/bbaf2n.mpg` and word times in `bbaf2n.align`.

root     the folder of s1, s2, ...
key      s1/bbaf2n
speaker  s1
text     from the name: each of its six letters is a word (command, colour, preposition, letter, digit, adverb)
words    of the .align, whose rows are `23750 29500 bin`: 25,000 units are a second, so 1,000 are a frame. Silences
         (sil, sp) are no words
split    none is published with GRID; papers use speakers 1, 2, 20 and 22, or others. All clips are in `test`
missing  an .align without its .mpg

Sources: `s1/video/NAME.mpg` in ms-dot-k/Visual-Context-Attentional-GAN, README_GRID; the rows of an .align in
shanemsaito/end-to-end-lipreading, README.md; `s13/video/mpg_6000/` and the archives s1.mpg_6000.part1.tar and
s1.mpg_vcd.zip as several public loaders have them; 34 people, no video of s21, in a description of Zenodo record
3625687; 360 x 288 at 25 fps with mp2 sound in rizkiarm/LipNet, evaluation/samples/GRID. Not confirmed by any: where the
.align of all archives lie; the five places that loaders use are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import listing, text_of
from tkbench.types import Clip, Reason, Skipped, Word

UNITS = 25_000
"""Units of an .align in a second."""
_SPEAKER = re.compile(r"s([1-9]|[12]\d|3[0-4])(_processed)?")
_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(zip("z123456789", "zero one two three four five six seven eight nine".split(), strict=True)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_VIDEOS = ("", "video/mpg_6000", "video/mpg_vcd", "video")


def sentence_of(name: str) -> str | None:
    """What a file of this name says; None for a name that is none of GRID.

    >>> sentence_of("bbaf2n"), sentence_of("clip01")
    ('bin blue at f two now', None)
    """
    if len(name) != 6 or any(letter not in words for letter, words in zip(name, _WORDS, strict=True)):
        return None
    return " ".join(words[letter] for letter, words in zip(name, _WORDS, strict=True))


def read(root: Path, odd: list[Path] | None = None) -> Iterator[Clip | Skipped]:
    """Every sentence, by speaker and name. odd: takes videos whose name is none of GRID."""
    found = [name for name in listing(root)[0] if _SPEAKER.fullmatch(name)]
    people = sorted(found, key=lambda name: f"{name.removesuffix('_processed')}/")
    if not people:
        raise UsageError(f"{root}: not GRID: no folder s1, s2, ... s34 in it")
    for person in people:
        speaker = person.removesuffix("_processed")
        place = next((p for inner in _VIDEOS if _stems(p := root / person / inner, ".mpg")), root / person)
        aligns = (
            root / person / "align",
            root / "align" / speaker,
            root / "alignments" / speaker,
            root / person,
            place,
        )
        beside = next((folder for folder in aligns if _stems(folder, ".align")), root / person / "align")
        there, told = _stems(place, ".mpg"), _stems(beside, ".align")
        for stem in sorted(there | told):
            text = sentence_of(stem)
            if text is None:
                if odd is not None and stem in there:
                    odd.append(place / f"{stem}.mpg")
                continue
            path = f"{place}/{stem}.mpg"
            if stem in there:
                sidecar = f"{beside}/{stem}.align" if stem in told else None
                yield Clip(f"{speaker}/{stem}", path, "grid", "test", speaker, text, sidecar=sidecar)
            else:
                why = f"{stem}.align is there without {stem}.mpg"
                yield Skipped(f"{speaker}/{stem}", path, Reason.MISSING_FILE, why, "test", speaker)


def _stems(folder: Path, suffix: str) -> set[str]:
    return {name[: -len(suffix)] for name in listing(folder)[1] if name.endswith(suffix)}


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with its word times."""
    assert clip.sidecar is not None
    name, words = Path(clip.sidecar).name, []
    try:
        lines = text_of(Path(clip.sidecar)).splitlines()
    except (OSError, ValueError) as error:
        return clip, [f"{name}: {type(error).__name__}, no words"]
    for number, line in enumerate(lines, 1):
        parts = line.split()
        try:
            start, end = int(parts[0]), int(parts[1])
            if len(parts) != 3 or not 0 <= start <= end:
                raise ValueError
        except (ValueError, IndexError):
            if line.strip():
                return clip, [f"{name} line {number}: {line[:40]!r} is not `start end word`"]
            continue
        if parts[2] not in ("sil", "sp"):
            words.append(Word(parts[2], start / UNITS, end / UNITS))
    notes = (
        []
        if " ".join(word.text for word in words) == clip.text
        else [f"{name}: its words are not those of the name"]
    )
    return replace(clip, words=tuple(words)), notes
