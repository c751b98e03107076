"""What the synthetic trees of all data sets share: people who say sentences, and how their files are named."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.synth.clip import Script, Speaker, pictures, script_of, speaker_of
from tkbench.synth.knobs import Knobs
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


def write_clip(base: Path, frames: Sequence[UInt8], audio: Float32) -> None:
    """`base`.mp4 with its voice; folders are made."""
    base.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(base.with_name(f"{base.name}.mp4"), frames, audio=audio, quality=_CRF)


def word_table(script: Script) -> list[str]:
    """The blank line and table of a pretrain .txt. The score is of a face detector that was not run: 5.0."""
    rows = [f"{word.text} {word.start:.2f} {word.end:.2f} 5.0" for word in all_words(script)]
    return ["", "WORD START END ASDSCORE", *rows]


def all_words(script: Script) -> list[Word]:
    """Every word of the text with its time. espeak-ng says some pairs as one ("in the"): these share its time."""
    out: list[Word] = []
    timed = [Word(words_of(word.text), word.start, word.end) for word in script.words]
    for text in words_of(script.text).split():
        if timed and timed[0].text.split()[:1] == [text]:
            word = timed.pop(0)
            out.append(Word(text, word.start, word.end))
        elif out:
            last = out.pop()
            middle = last.start + (last.end - last.start) * len(last.text) / (len(last.text) + len(text))
            out += [Word(last.text, last.start, middle), Word(text, middle, last.end)]
    return out


def words_of(text: str) -> str:
    """A text as the transcripts of these data sets have it: upper case, letters, digits and apostrophes."""
    return " ".join(re.sub(r"[^A-Z0-9' ]", " ", text.upper()).split())


def digits(*numbers: int) -> str:
    """19 digits that depend on the numbers alone."""
    return f"{5 * 10**18 + int(_hash(numbers)[:14], 16) % 10**18:019d}"


def youtube(*numbers: int) -> str:
    """11 characters as YouTube has them, of the numbers alone."""
    return base64.urlsafe_b64encode(bytes.fromhex(_hash(numbers)))[:11].decode()


def _hash(numbers: Sequence[int]) -> str:
    return hashlib.sha256(" ".join(map(str, numbers)).encode()).hexdigest()
