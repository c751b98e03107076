"""Text to speech with exact phoneme times: espeak-ng, called in this process.

The shared library and its voice data come with the `espeakng-loader` wheel (extra `tkbench[synth]`).
espeak-ng is GPL-3.0: it is loaded when speech is first asked for, and nothing else in tkbench needs it.
Interface: `speak_lib.h` of espeak-ng 1.5x (events carry the sample at which a phoneme or word begins).
"""

from __future__ import annotations

import _ctypes
import ctypes
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tkbench.errors import MissingExtra, TkbenchError, UsageError
from tkbench.runtime.extras import install_line
from tkbench.types import SAMPLE_RATE, Float32, Word

# speak_lib.h
_AUDIO_SYNCHRONOUS = 2
_INIT_PHONEME_EVENTS = 0x0001
_INIT_PHONEME_IPA = 0x0002
_INIT_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_ENDPAUSE = 0x1000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_CHUNK_MS = 200

STRESS = "ˈˌ"
_STOPS = tuple("pbtdkɡgʔ")
_QUIET = 0.02  # of the loudest sample: below it a closure is silent
_CLOSURE = 0.13  # s, the longest closure that is searched for
_LOBES = 24  # of the resampling filter on each side
_KEEP = 0.02  # s that the phoneme before a stop keeps at least

Int16 = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _PhonemeEvent:
    """A phoneme begins at this sample."""

    phoneme: str
    """IPA with stress marks; "" is a pause."""
    sample: int


@dataclass(frozen=True, slots=True)
class _WordEvent:
    """A word begins at this sample."""

    position: int
    """Of its first letter in the text, counted from 1."""
    length: int
    sample: int


_Events = list[_PhonemeEvent | _WordEvent]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Voice:
    """How one speaker sounds. `name` is an espeak-ng voice, with a variant after the plus."""

    name: str
    pitch: int = 50
    """0-99, espeak-ng's scale around the voice's own pitch."""
    range: int = 50
    """0-99, how much the pitch moves."""
    rate: int = 165
    """Words per minute."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One spoken text. Times are seconds from the first sample."""

    audio: Float32
    """(S,) mono 16 kHz, peak 0.7."""
    phonemes: tuple[Word, ...]
    """IPA with stress marks, in order, end of one = start of the next; "" marks a pause."""
    words: tuple[Word, ...]


def synthesize(text: str, voice: Voice) -> Utterance:
    """Say `text` with `voice`.

    Raises MissingExtra without the wheel, UsageError for a voice that espeak-ng does not have. The same
    arguments give the same samples whatever was synthesized before: the library is started anew each time.
    """
    pcm, rate, events = _run(text, voice)
    if not len(pcm) or not np.any(pcm):
        raise UsageError(
            f"espeak-ng gave no sound for {text!r} with voice {voice.name!r}; give words that can be spoken"
        )
    phonemes = _phonemes(events, pcm, rate)
    audio = resample(pcm.astype(np.float32) / np.float32(32768), rate, SAMPLE_RATE)
    audio *= np.float32(0.7 / np.abs(audio).max())
    return Utterance(audio, tuple(phonemes), tuple(_words(text, events, phonemes, rate)))


def _phonemes(events: _Events, pcm: Int16, rate: int) -> list[Word]:
    """Spans from phoneme events, with the closure of a stop given to the stop.

    espeak-ng announces a stop at its release: the silence that the closed mouth makes comes before the event.
    """
    phones = [event.phoneme for event in events if isinstance(event, _PhonemeEvent)]
    starts = [event.sample for event in events if isinstance(event, _PhonemeEvent)]
    loud = np.abs(pcm.astype(np.int32)) > _QUIET * int(np.abs(pcm.astype(np.int32)).max())
    for i, (phone, at) in enumerate(zip(phones, starts, strict=True)):
        if phone.strip(STRESS)[:1] in _STOPS:
            previous = starts[i - 1] if i else 0
            floor = max(previous + int(_KEEP * rate), at - int(_CLOSURE * rate))
            voiced = np.flatnonzero(loud[floor:at]) if floor < at else np.zeros(0, int)
            starts[i] = min(at, floor + int(voiced[-1]) + 1) if len(voiced) else min(at, floor)
    found: list[Word] = []
    for phone, (at, end) in zip(phones, itertools.pairwise([*starts, len(pcm)]), strict=True):
        if found and found[-1].text == phone == "":
            found[-1] = Word("", found[-1].start, end / rate)
        elif end > at:
            found.append(Word(phone, at / rate, end / rate))
    return found


def _words(text: str, events: _Events, phonemes: list[Word], rate: int) -> Iterator[Word]:
    """Words from word events: from the first phoneme at or after the event to the last before the next."""
    marks = [event for event in events if isinstance(event, _WordEvent)]
    bounds = [mark.sample / rate for mark in marks[1:]] + [phonemes[-1].end + 1.0]
    for mark, limit in zip(marks, bounds, strict=True):
        # A stop's closure reaches back to before its word event, so the middle decides.
        begin, first = mark.sample / rate, mark.position - 1
        own = [p for p in phonemes if p.text and begin <= (p.start + p.end) / 2 < limit]
        if own:
            yield Word(text[first : first + mark.length], own[0].start, own[-1].end)


def resample(samples: Float32, rate: int, wanted: int) -> Float32:
    """(S,) at `rate` -> (ceil(S * wanted / rate),) at `wanted`, without a shift in time.

    A Kaiser-windowed sinc, one set of taps per phase, as scipy's `resample_poly` has it: importing
    scipy.signal alone takes longer than saying a sentence.
    """
    divisor = int(np.gcd(rate, wanted))
    up, down = wanted // divisor, rate // divisor
    if up == down:
        return samples.astype(np.float32)
    # Cut at the lower of the two Nyquist rates; a little below, so that the slope lies under it.
    cutoff = 0.94 * min(1.0, up / down)
    reach = int(np.ceil(_LOBES / cutoff))
    offsets = np.arange(-reach + 1, reach + 1)
    phases = np.arange(up)[:, None] / up
    away = (offsets - phases) / reach
    window = np.i0(8.6 * np.sqrt(np.clip(1 - away**2, 0, None))) / np.i0(8.6)
    taps = np.sinc((offsets - phases) * cutoff) * window
    taps = taps / taps.sum(1, keepdims=True)
    count = -(-len(samples) * up // down)
    at = np.arange(count, dtype=np.int64) * down
    padded = np.pad(samples.astype(np.float64), (reach, reach + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach)[at // up + 1]
    return np.einsum("ij,ij->i", windows, taps[at % up]).astype(np.float32)


def _library() -> tuple[ctypes.CDLL, bytes]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingExtra(f"the synthetic corpus needs espeak-ng: {install_line('synth')}") from error
    return ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path().encode()


def _run(text: str, voice: Voice) -> tuple[Int16, int, _Events]:
    """One run of the library: int16 samples, their rate, and the events of phonemes and words."""
    library, data = _library()
    flags = _INIT_PHONEME_EVENTS | _INIT_PHONEME_IPA | _INIT_DONT_EXIT
    rate = library.espeak_Initialize(_AUDIO_SYNCHRONOUS, _CHUNK_MS, data, flags)
    if rate <= 0:
        raise TkbenchError(f"espeak-ng did not start (code {rate}) with data in {data.decode()}")
    library.espeak_ng_SetRandSeed(1)
    chunks: list[Int16] = []
    events: _Events = []

    def take(wav: ctypes._Pointer[ctypes.c_short], count: int, event: ctypes._Pointer[_Event]) -> int:
        if count > 0:
            chunks.append(np.ctypeslib.as_array(wav, (count,)).copy())
        i = 0
        while event[i].type != _EVENT_END:
            e = event[i]
            if e.type == _EVENT_PHONEME:
                raw = bytes(ctypes.string_at(ctypes.addressof(e.id), 8)).split(b"\0")[0]
                events.append(_PhonemeEvent(raw.decode("utf-8", "ignore"), e.sample))
            elif e.type == _EVENT_WORD:
                events.append(_WordEvent(e.text_position, e.length, e.sample))
            i += 1
        return 0

    callback = _CALLBACK(take)
    try:
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise UsageError(f"espeak-ng has no voice {voice.name!r}")
        library.espeak_SetSynthCallback(callback)
        for parameter, value in (
            (_RATE, voice.rate),
            (_PITCH, voice.pitch),
            (_RANGE, voice.range),
            (_VOLUME, 100),
        ):
            library.espeak_SetParameter(parameter, value, 0)
        raw = text.encode()
        code = library.espeak_Synth(raw, ctypes.c_size_t(len(raw) + 1), 0, 1, 0, _CHARS_UTF8, None, None)
        if code != 0:
            raise TkbenchError(f"espeak-ng failed (code {code}) on {text!r}")
        library.espeak_Synchronize()
    finally:
        library.espeak_Terminate()
        # The synthesiser keeps phase, flutter and noise state in static variables; only unloading resets them.
        getattr(_ctypes, "FreeLibrary" if sys.platform == "win32" else "dlclose")(library._handle)
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int16), rate, events
