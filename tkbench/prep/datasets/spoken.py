"""What the synthetic trees of all data sets share: people who say sentences, and how their files are named."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.synth.clip import Script, Speaker, pictures, script_of, speaker_of
from tkbench.synth.knobs import Knobs
from tkbench.synth.speech import resample
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float32, UInt8, Word

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


@dataclass(frozen=True, slots=True)
class ShortTalk:
    """A second or so of one person, drawn; shared, so nothing in it may be changed."""

    script: Script
    frames: tuple[UInt8, ...]
    """(size, size, 3) RGB at 25 fps."""
    sound: Float32


@lru_cache(maxsize=12)
def short_talk(seed: int, index: int, size: int) -> ShortTalk:
    """Sentence number `index`, said by its speaker; kept, because several trees of one seed show the same ones."""
    talk = speak(seed, index, index % SPEAKERS, (1.1, 1.4))
    return ShortTalk(talk.script, tuple(talk.frames(size)), talk.sound())


SCENE = (640, 360)
"""Width and height of the videos that `write_scene` writes."""
PLACE = (384, 100)
"""Where the 224 x 224 pixels of its speaker begin."""
LENGTH = (0.4, 1.52)
"""From when to when the speaker talks, seconds: 28 frames."""


def write_scene(
    path: Path, talk: ShortTalk, seed: int, *, lead: float = LENGTH[0], listener: ShortTalk | None = None
) -> None:
    """A video of a room, 25 fps with 44.1 kHz stereo sound: empty, then 28 frames of one who talks, then empty.

    lead: seconds before. listener: somebody else, who sits at the left all the time and says nothing.
    """
    import cv2

    rng = np.random.default_rng([seed, 15])
    coarse = rng.integers(60, 170, (9, 16, 3)).astype(np.uint8)
    room = cv2.resize(coarse, SCENE, interpolation=cv2.INTER_CUBIC)
    x, y = PLACE
    if listener is not None:
        room[y : y + 224, 32 : 32 + 224] = listener.frames[0]
    before, count = round(lead * FPS), round((LENGTH[1] - LENGTH[0]) * FPS)
    frames = []
    for number in range(before + count + (before and 5)):
        frame = room.copy()
        if 0 <= number - before < count:
            frame[y : y + 224, x : x + 224] = talk.frames[min(number - before, len(talk.frames) - 1)]
        frames.append(frame)
    sound = np.float32(2e-4) * rng.standard_normal(len(frames) * SAMPLES_PER_FRAME, np.float32)
    voice = talk.sound[: count * SAMPLES_PER_FRAME]
    sound[before * SAMPLES_PER_FRAME : before * SAMPLES_PER_FRAME + len(voice)] += voice
    stereo = np.repeat(resample(sound, SAMPLE_RATE, 44_100)[:, None], 2, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(path, frames, audio=media.Sound(stereo, rate=44_100), quality=_CRF)


def recode(file: Path, suffix: str, options: Sequence[str]) -> Path:
    """Replace a file that was written here by one in another container; options: ffmpeg's. The same bytes each time."""
    out = file.with_suffix(suffix)
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-threads", "1"]
    media.run(["-y", "-i", str(file), *options, *exact, str(out)], out.name)
    file.unlink()
    return out


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
