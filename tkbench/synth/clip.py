"""One synthetic clip: a speaker says a sentence. Pictures, sound and truth, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TypedDict

import cv2
import numpy as np

from tkbench.synth import scene
from tkbench.synth.articulation import Articulation, Style
from tkbench.synth.identity import Identity, head_of
from tkbench.synth.knobs import Knobs, during, microphone
from tkbench.synth.mouth import MAX_GAP, pose
from tkbench.synth.people import PEOPLE, person
from tkbench.synth.render import Renderer
from tkbench.synth.sentences import sentence
from tkbench.synth.speech import Utterance, Voice, synthesize
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float32, Float64, UInt8, Word

_FEMALE = ("f1", "f2", "f3", "f4", "f5", "linda", "steph", "belinda", "anika", "Alicia", "Andrea", "aunty")
_MALE = (
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m7",
    "m8",
    "adam",
    "ed",
    "michael",
    "paul",
    "rob",
    "david",
    "max",
    "john",
)
_ACCENTS = ("en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")


@dataclass(frozen=True)
class Speaker:
    """Who speaks: a face, a voice and a way of moving the mouth."""

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
    style = Style(
        rng.uniform(0.95, 1.2), rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.2), rng.uniform(0.9, 1.2)
    )
    return Speaker(
        f"s{index:03d}", identity, voice, style, MAX_GAP * rng.uniform(0.85, 1.1), rng.uniform(-0.01, 0.03),
        rng.uniform(0.9, 1.1),
    )  # fmt: skip


def style_of(speaker: Speaker, knobs: Knobs) -> Style:
    """How a speaker articulates in a clip with these knobs."""
    return replace(speaker.style, sluggishness=speaker.style.sluggishness * knobs.sluggishness)


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
    """Draw sentences until one fits a length drawn from `seconds`, then put silence around it.

    Below about two seconds no sentence may fit: the clip is then as long as the shortest sentence needs.
    """
    n_frames = round(float(rng.uniform(*seconds)) * FPS)
    room = n_frames / FPS
    best: tuple[float, str, Utterance] | None = None
    pace = 0.072 * 160 / voice.rate  # s per letter
    for _ in range(6):
        # Synthesis is slow: take the first sentence whose number of letters looks right.
        text = next(s for s in _candidates(rng, (room - 0.45) / pace))
        spoken = synthesize(text, voice)
        length = len(spoken.audio) / SAMPLE_RATE
        pace = 0.5 * (pace + length / len(text))
        if length <= room - 0.15 and (best is None or length > best[0]):
            best = (length, text, spoken)
        if best is not None and best[0] > room - 0.8:
            break
    if best is None:
        # Nothing is that short: the clip grows with the shortest of many sentences.
        text = min((sentence(rng) for _ in range(200)), key=len)
        spoken = synthesize(text, voice)
        best = (len(spoken.audio) / SAMPLE_RATE, text, spoken)
        n_frames = max(n_frames, int(np.ceil((best[0] + 0.2) * FPS)))
        room = n_frames / FPS
    length, text, spoken = best
    spare = max(0.0, room - length)
    lead = round(spare * float(rng.uniform(0.3, 0.6)) * SAMPLE_RATE)
    audio = np.zeros(n_frames * SAMPLES_PER_FRAME, np.float32)
    piece = spoken.audio[: len(audio) - lead]
    audio[lead : lead + len(piece)] = piece
    audio += rng.standard_normal(len(audio), np.float32) * np.float32(3e-4)

    def later(spans: tuple[Word, ...]) -> tuple[Word, ...]:
        shift = lead / SAMPLE_RATE
        return tuple(Word(s.text, round(s.start + shift, 6), round(s.end + shift, 6)) for s in spans)

    return Script(text, audio, later(spoken.phonemes), later(spoken.words), n_frames)


def _candidates(rng: np.random.Generator, letters: float) -> Iterator[str]:
    """Sentences of about so many letters; the tolerance grows until one fits."""
    tolerance = 2.0
    while True:
        text = sentence(rng)
        if abs(len(text) - letters) <= tolerance:
            yield text
        tolerance += 0.1


class _Shot:
    """One speaker before one background: draws the picture of each of the given times."""

    def __init__(
        self,
        speaker: Speaker,
        script: Script,
        rng: np.random.Generator,
        size: int,
        knobs: Knobs,
        times: Float64,
    ) -> None:
        self.speaker = speaker
        # The mouth that is seen now belongs to the voice of `offset_frames` ago.
        heard = times - knobs.offset_frames / FPS
        self.values = Articulation.of(script.phonemes, style_of(speaker, knobs))(heard)
        self.motions = scene.motions(rng, times, _stress(script, heard))
        self.camera = scene.camera(rng, size)
        self.background = scene.background(rng, size)
        self.renderer = Renderer(head_of(speaker.identity), self.background, size=size)
        self.yaw = float(np.deg2rad(knobs.yaw))

    def draw(self, i: int, *, present: bool = True) -> Float32:
        """Picture number i, (size, size, 3) float32 0-255; the background alone where nobody is present."""
        if not present:
            return self.background.copy()
        who = self.speaker
        shape = pose(self.values[i], max_gap=who.max_gap, smile=who.smile, width_gain=who.width_gain)
        motion = self.motions[i]
        if self.yaw:
            motion = replace(motion, yaw=motion.yaw + self.yaw)
        picture = self.renderer(shape, motion)
        return picture[:, ::-1] if who.identity.mirror else picture


def pictures(
    speaker: Speaker, script: Script, rng: np.random.Generator, *, size: int, knobs: Knobs, times: Float64
) -> Iterator[UInt8]:
    """The frames at `times`, one at a time: (size, size, 3) uint8 RGB, or twice as wide for two faces."""
    shots = [_Shot(speaker, script, rng, size, knobs, times)]
    if knobs.two_faces or knobs.cut is not None:
        other = _other(speaker, rng)
        quiet = Script("", script.audio, (), (), script.n_frames)
        shots.append(_Shot(other, quiet if knobs.two_faces else script, rng, size, knobs, times))
    for i, time in enumerate(times.tolist()):
        shot = shots[1] if knobs.cut is not None and time >= knobs.cut else shots[0]
        picture = shot.draw(i, present=not during(knobs.no_face, time))
        if knobs.occlusion is not None and during(knobs.occlusion, time):
            picture = microphone(picture, time, knobs.occlusion)
        frame = shot.camera(picture, time, rng)
        if knobs.two_faces:
            frame = np.hstack([frame, _farther(shots[1].camera(shots[1].draw(i), time, rng))])
        yield frame


def _other(speaker: Speaker, rng: np.random.Generator) -> Speaker:
    """Somebody with another face."""
    while True:
        other = speaker_of(int(rng.integers(1 << 30)), int(rng.integers(len(PEOPLE))))
        if other.identity.template != speaker.identity.template:
            return other


def _farther(frame: UInt8) -> UInt8:
    """The same picture from farther away: three quarters of the size, standing on the lower edge."""
    size = frame.shape[0]
    small = cv2.resize(frame, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    side = size - small.shape[0]
    # What the smaller picture leaves free is filled with its own blurred rim: a wall or a room goes on.
    filled = cv2.copyMakeBorder(small, side, 0, side // 2, side - side // 2, cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(filled, (0, 0), size / 40)
    soft[side:, side // 2 : side // 2 + small.shape[1]] = small
    return soft


def _stress(script: Script, times: Float64) -> Float64:
    """0-1 near stressed vowels, smoothed over about 0.2 s."""
    total = np.zeros(len(times))
    for phone in script.phonemes:
        if "ˈ" in phone.text:
            total += np.exp(-(((times - (phone.start + phone.end) / 2) / 0.12) ** 2))
    return np.minimum(total, 1.0)


class PhonemeTime(TypedDict):
    """A phoneme in seconds from the first frame; "" is a pause."""

    phone: str
    start: float
    end: float


class WordTime(TypedDict):
    """A word in seconds from the first frame."""

    text: str
    start: float
    end: float


class Truth(TypedDict):
    """What is true of a clip: the JSON file beside it."""

    key: str
    speaker: str
    split: str
    text: str
    fps: int
    n_frames: int
    """At 25 frames/s."""
    voice: dict[str, object]
    style: dict[str, float]
    """How the speaker articulates in this clip, the knobs included: the fields of `Style`."""
    phonemes: list[PhonemeTime]
    words: list[WordTime]
    aperture: list[float]
    """How far the lips are apart in each 25 fps frame, 0 to 1 of the speaker's widest; the A/V offset is included."""
    offset_frames: int
    """By how many frames the mouth lags the voice."""
    knobs: dict[str, object]


@dataclass(frozen=True)
class SynthClip:
    """A whole clip in memory."""

    frames: UInt8
    """(n, H, W, 3) RGB, shown at `times`."""
    times: Float64
    """(n,) seconds."""
    audio: Float32
    """(n_frames * 640,) 16 kHz mono as it was synthesized; silence where the knobs say so."""
    truth: Truth
    knobs: Knobs


def make_clip(
    *,
    seed: int = 0,
    speaker: int = 0,
    index: int = 0,
    seconds: tuple[float, float] = (2.5, 4.0),
    size: int = 256,
    knobs: Knobs | None = None,
    split: str = "test",
) -> SynthClip:
    """Clip `index` of a corpus, by speaker number `speaker`: the same arguments give the same bytes.

    Raises MissingExtra where espeak-ng is not installed.
    """
    # OpenCV on one thread: workers share the cores, and nothing may depend on their number.
    cv2.setNumThreads(1)
    knobs = knobs or Knobs()
    who, rng, script, times = _begun(seed, speaker, index, seconds, knobs)
    frames = np.stack(list(pictures(who, script, rng, size=size, knobs=knobs, times=times)))
    audio = np.zeros_like(script.audio) if knobs.silent else script.audio
    truth = truth_of(f"{who.name}/c{index:04d}", split, who, script, knobs)
    return SynthClip(frames, times, audio, truth, knobs)


def _begun(
    seed: int, speaker: int, index: int, seconds: tuple[float, float], knobs: Knobs
) -> tuple[Speaker, np.random.Generator, Script, Float64]:
    """What is drawn by chance before the first picture: the speaker, the generator as it stands then, script, times."""
    who = speaker_of(seed, speaker)
    rng = np.random.default_rng([seed, 2, index])
    script = script_of(rng, who.voice, seconds)
    return who, rng, script, np.array(knobs.times(script.n_frames / FPS, rng))


def teeth_of(
    *,
    seed: int,
    speaker: int,
    index: int,
    seconds: tuple[float, float] = (2.5, 4.0),
    size: int = 256,
    knobs: Knobs | None = None,
) -> Float32:
    """Which pixels of a clip's frames are teeth, (n, size, size) from 0 to 1, for the arguments of `make_clip`.

    Every frame is drawn twice before it comes to the camera, once with teeth that are black: what differs is teeth.
    """
    cv2.setNumThreads(1)
    knobs = knobs or Knobs()
    who, rng, script, times = _begun(seed, speaker, index, seconds, knobs)
    shot = _Shot(who, script, rng, size, knobs, times)
    masks = []
    for i in range(len(times)):
        light, dark = (_with_teeth(shot, i, tone) for tone in (1.0, 0.0))
        # Red is the strongest colour of enamel, up to 250, less in the shade of the lips.
        masks.append(np.clip((light - dark)[..., 0] / 120, 0, 1))
    return np.stack(masks).astype(np.float32)


def _with_teeth(shot: _Shot, i: int, tone: float) -> Float32:
    shot.renderer.tone = np.full(3, tone, np.float32)
    return shot.draw(i)


def truth_of(key: str, split: str, speaker: Speaker, script: Script, knobs: Knobs) -> Truth:
    """The truth of a clip, from what was drawn for it."""
    times = np.arange(script.n_frames) / FPS - knobs.offset_frames / FPS
    values = Articulation.of(script.phonemes, style_of(speaker, knobs))(times)
    return {
        "key": key,
        "speaker": speaker.name,
        "split": split,
        "text": script.text,
        "fps": FPS,
        "n_frames": script.n_frames,
        "voice": asdict(speaker.voice),
        "style": asdict(style_of(speaker, knobs)),
        "phonemes": [{"phone": p.text, "start": p.start, "end": p.end} for p in script.phonemes],
        "words": [{"text": w.text, "start": w.start, "end": w.end} for w in script.words],
        "aperture": [round(float(a), 4) for a in values[:, 0]],
        "offset_frames": knobs.offset_frames,
        "knobs": knobs.record(),
    }
