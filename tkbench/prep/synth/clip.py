"""One synthetic clip: a speaker says a sentence. Pictures, sound and truth, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from tkbench.prep.synth import scene
from tkbench.prep.synth.articulation import Articulation, Style
from tkbench.prep.synth.identity import Identity, head_of
from tkbench.prep.synth.mouth import MAX_GAP, pose
from tkbench.prep.synth.people import person
from tkbench.prep.synth.render import Renderer
from tkbench.prep.synth.sentences import sentence
from tkbench.prep.synth.speech import Utterance, Voice, synthesize
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float32, UInt8, Word

_FEMALE = ("f1", "f2", "f3", "f4", "f5", "linda", "steph", "belinda", "anika", "Alicia", "Andrea", "aunty")
_MALE = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "adam", "ed", "michael", "paul", "rob", "david", "max", "john")
_ACCENTS = ("en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")


@dataclass(frozen=True)
class Speaker:
    """Who speaks: a look, a voice and a way of moving the mouth."""

    name: str
    identity: Identity
    voice: Voice
    style: Style
    max_gap: float
    smile: float
    width_gain: float


def speaker_of(seed: int, index: int) -> Speaker:
    """Speaker number `index` of a corpus; depends on the two numbers alone."""
    rng = np.random.default_rng([seed, 1, index])
    identity = person(seed, index)
    variants = _MALE if identity.male else _FEMALE
    voice = Voice(
        f"{_ACCENTS[int(rng.integers(len(_ACCENTS)))]}+{variants[int(rng.integers(len(variants)))]}",
        pitch=int(rng.integers(35, 66)), range=int(rng.integers(35, 71)), rate=int(rng.integers(140, 181)),
    )  # fmt: skip
    style = Style(rng.uniform(0.95, 1.2), rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.2), rng.uniform(0.9, 1.2))
    return Speaker(
        f"s{index:03d}", identity, voice, style, MAX_GAP * rng.uniform(0.85, 1.1), rng.uniform(-0.01, 0.03),
        rng.uniform(0.9, 1.1),
    )  # fmt: skip


@dataclass(frozen=True)
class Script:
    """What is said, and when: sound on the 25 fps grid."""

    text: str
    audio: Float32
    """(n_frames * 640,)"""
    phonemes: tuple[Word, ...]
    words: tuple[Word, ...]
    n_frames: int


def script_of(rng: np.random.Generator, voice: Voice, seconds: tuple[float, float]) -> Script:
    """Draw sentences until one fits a length drawn from `seconds`, then put silence around it."""
    n_frames = round(float(rng.uniform(*seconds)) * FPS)
    room = n_frames / FPS
    best: tuple[float, str, Utterance] | None = None
    for _ in range(24):
        text = sentence(rng)
        said = synthesize(text, voice)
        length = len(said.audio) / SAMPLE_RATE
        if length <= room - 0.15 and (best is None or length > best[0]):
            best = (length, text, said)
        if best is not None and best[0] > room - 0.8:
            break
    if best is None:
        said = synthesize("Maybe.", voice)
        best = (len(said.audio) / SAMPLE_RATE, "Maybe.", said)
    length, text, said = best
    spare = max(0.0, room - length)
    lead = round(spare * float(rng.uniform(0.3, 0.6)) * SAMPLE_RATE)
    audio = np.zeros(n_frames * SAMPLES_PER_FRAME, np.float32)
    piece = said.audio[: len(audio) - lead]
    audio[lead : lead + len(piece)] = piece
    audio += rng.standard_normal(len(audio), np.float32) * np.float32(3e-4)

    def later(spans: tuple[Word, ...]) -> tuple[Word, ...]:
        shift = lead / SAMPLE_RATE
        return tuple(Word(s.text, round(s.start + shift, 6), round(s.end + shift, 6)) for s in spans)

    return Script(text, audio, later(said.phonemes), later(said.words), n_frames)


def pictures(speaker: Speaker, script: Script, rng: np.random.Generator, size: int) -> Iterator[UInt8]:
    """The frames of a script, one at a time: (size, size, 3) uint8 RGB at 25 fps."""
    times = np.arange(script.n_frames) / FPS
    values = Articulation.of(script.phonemes, speaker.style)(times)
    head = head_of(speaker.identity)
    stress = _stress(script, times)
    motions = scene.motions(rng, times, stress)
    camera = scene.camera(rng, size)
    renderer = Renderer(head, scene.background(rng, size), size=size)
    for i, motion in enumerate(motions):
        shape = pose(values[i], max_gap=speaker.max_gap, smile=speaker.smile, width_gain=speaker.width_gain)
        frame = renderer(shape, motion)
        if speaker.identity.mirror:
            frame = np.ascontiguousarray(frame[:, ::-1])
        yield camera(frame, float(times[i]), rng)


def _stress(script: Script, times: Any) -> Any:
    """0-1 near stressed vowels, smoothed over about 0.2 s."""
    total = np.zeros(len(times))
    for phone in script.phonemes:
        if "ˈ" in phone.text:
            total += np.exp(-(((times - (phone.start + phone.end) / 2) / 0.12) ** 2))
    return np.minimum(total, 1.0)


def truth_of(key: str, split: str, speaker: Speaker, script: Script) -> dict[str, Any]:
    """The JSON record beside a clip."""
    times = np.arange(script.n_frames) / FPS
    values = Articulation.of(script.phonemes, speaker.style)(times)
    spans = [{"phone": p.text, "start": p.start, "end": p.end} for p in script.phonemes]
    return {
        "key": key, "speaker": speaker.name, "split": split, "text": script.text, "fps": FPS,
        "n_frames": script.n_frames, "voice": asdict(speaker.voice), "phonemes": spans,
        "words": [{"text": w.text, "start": w.start, "end": w.end} for w in script.words],
        "aperture": [round(float(a), 4) for a in values[:, 0]], "offset_frames": 0, "knobs": {},
    }  # fmt: skip


def prepare_process() -> None:
    """OpenCV on one thread: workers share the cores, and results do not depend on their number."""
    cv2.setNumThreads(1)
