"""CREMA-D: `VideoFlash/1001_DFA_ANG_XX.flv`: actor, sentence, emotion, level.

root     the clone of CheyneyComputerScience/CREMA-D, with VideoFlash/ and the two tables; other containers (.mp4) do as
         well
key      1001_DFA_ANG_XX
speaker  1001
text     the sentence
labels   emotion, level (low, medium, high; none where it is unspecified); of VideoDemographics.csv gender, race,
         ethnicity and age, in tens of years
split    none is published: all clips are in `test`
missing  what SentenceFilenames.csv names and VideoFlash has not; without that table, nothing is known to be missing

Sources: CheyneyComputerScience/CREMA-D, docs/README.md (file names, sentences, folder VideoFlash),
SentenceFilenames.csv (two columns, 7,442 rows), VideoDemographics.csv (ActorID, Age, Sex, Race, Ethnicity of 91
actors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.folder import find_videos
from tkbench.prep.datasets.tree import lines_of
from tkbench.types import Clip, Reason, Skipped

SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "", "X": ""}
_NAME = re.compile(rf"(1\d{{3}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_({'|'.join(LEVELS)})")


def table(file: Path) -> list[list[str]]:
    """The rows of one of the two tables below their first line; none where it is not there."""
    return [[cell.strip().strip('"') for cell in line.split(",")] for line in lines_of(file)[1:] if line]


def read(root: Path, odd: list[Path] | None = None) -> Iterator[Clip | Skipped]:
    """Every clip of the list, or of the folder, by name. odd: takes videos whose name is none of CREMA-D."""
    place = root / "VideoFlash" if (root / "VideoFlash").is_dir() else root
    files: dict[str, str] = {}
    for path in find_videos(place):
        if _NAME.fullmatch(path.stem):
            files.setdefault(path.stem, str(path))
        elif odd is not None:
            odd.append(path)
    base = root if (root / "SentenceFilenames.csv").is_file() else place.parent
    listed = {
        row[1] for row in table(base / "SentenceFilenames.csv") if len(row) == 2 and _NAME.fullmatch(row[1])
    }
    if not files:
        raise UsageError(f"{root}: not CREMA-D: no VideoFlash/1001_DFA_ANG_XX.flv or the like in it")
    people = {row[0]: row[1:] for row in table(base / "VideoDemographics.csv") if len(row) == 5}
    for stem in sorted(listed | files.keys()):
        found = _NAME.fullmatch(stem)
        assert found is not None
        actor, sentence, emotion, level = found.groups()
        labels = {"emotion": EMOTIONS[emotion], **({"level": LEVELS[level]} if LEVELS[level] else {})}
        labels |= _person(people.get(actor))
        if stem in files:
            yield Clip(stem, files[stem], "cremad", "test", actor, SENTENCES[sentence], labels=labels)
        else:
            why = "SentenceFilenames.csv names it"
            yield Skipped(stem, f"{place}/{stem}.flv", Reason.MISSING_FILE, why, "test", actor, labels)


def _person(facts: list[str] | None) -> dict[str, str]:
    """Labels of an actor: age in tens of years, gender, race, ethnicity."""
    if facts is None:
        return {}
    age = facts[0]
    tens = {"age": f"{int(age) // 10 * 10}-{int(age) // 10 * 10 + 9}"} if age.isdecimal() else {}
    return tens | {"gender": facts[1].lower(), "race": facts[2], "ethnicity": facts[3]}
