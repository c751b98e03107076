"""RAVDESS: `Actor_01/01-01-06-01-02-01-12.mp4`, seven numbers that say everything.

root     any folder above the actors'; Video_Speech_Actor_01.zip unpacks to Actor_01/
files    of the modality 01, sound and picture; 02 (picture alone) and 03 (sound alone) are left out
key      Actor_12/01-01-06-01-02-01-12
speaker  Actor_12
text     the statement
labels   emotion, level (normal, strong), channel (speech, song), gender (odd actors are male), take (1, 2)
split    none is published: all clips are in `test`
missing  what the numbers of a whole actor and channel lack: 60 files of speech, 44 of song

Sources: the meaning of the numbers, 720p H.264 and AAC at 48 kHz in
genzen2103/Emotion-Detection-in-speech-using-Acoustic-and-Neural-Features, Ravdess_Dataset/readme_ravdess.txt; 60 trials
of 24 actors and 44 of 23 in simiya/Projet-Son-Jedha, Speech_Emotion_Recogntion_from_audio/data/RAVDESS/README.txt, a
copy of the Zenodo page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.folder import find_videos
from tkbench.types import Clip, Reason, Skipped

CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = dict(
    zip(
        ("01", "02", "03", "04", "05", "06", "07", "08"),
        "neutral calm happy sad angry fearful disgust surprised".split(),
        strict=True,
    )
)
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")


def trials(channel: str) -> list[tuple[str, str, str, str]]:
    """(emotion, level, statement, take) of an actor's trials: 60 of speech, 44 of song. Neutral is never strong."""
    emotions = list(EMOTIONS) if channel == "01" else list(EMOTIONS)[:6]
    every = product(emotions, ("01", "02"), STATEMENTS, ("01", "02"))
    return [trial for trial in every if trial[:2] != ("01", "02")]


def read(root: Path, odd: list[Path] | None = None) -> Iterator[Clip | Skipped]:
    """Every trial, by actor and name; what a channel of an actor lacks is missing. odd: takes names of another form."""
    files: dict[tuple[str, str], dict[str, str]] = {}
    for path in find_videos(root):
        found = _NAME.fullmatch(path.stem)
        if found is None:
            if odd is not None:
                odd.append(path)
        elif found[1] == "01":
            files.setdefault((found[7], found[2]), {}).setdefault(path.stem, str(path))
    if not files:
        raise UsageError(f"{root}: not RAVDESS: no video called like 01-01-06-01-02-01-12.mp4 in it")
    for actor, channel in sorted(files):
        there = files[actor, channel]
        for emotion, level, statement, take in trials(channel):
            stem = f"01-{channel}-{emotion}-{level}-{statement}-{take}-{actor}"
            speaker, labels = f"Actor_{actor}", _labels(actor, channel, emotion, level, take)
            if stem in there:
                text = STATEMENTS[statement]
                yield Clip(f"{speaker}/{stem}", there[stem], "ravdess", "test", speaker, text, labels=labels)
            else:
                why = f"the other files of {CHANNELS[channel]} of actor {actor} are there"
                lost = f"{root}/{speaker}/{stem}.mp4"
                yield Skipped(f"{speaker}/{stem}", lost, Reason.MISSING_FILE, why, "test", speaker, labels)


def _labels(actor: str, channel: str, emotion: str, level: str, take: str) -> dict[str, str]:
    return {
        "emotion": EMOTIONS[emotion],
        "level": "normal" if level == "01" else "strong",
        "channel": CHANNELS[channel],
        "gender": "male" if int(actor) % 2 else "female",
        "take": take[1],
    }
