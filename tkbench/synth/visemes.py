"""The target of the mouth for each sound, and its strength against neighbouring sounds.

A target is a row of `PARAMETERS`; a strength says how much of a sound's mouth shape remains next to its
neighbours. The numbers are set by hand after phonetics: lips meet for p b m whatever the neighbours are,
the lower lip reaches the teeth for f v, rounding is strong and lasts long for w and oo, while the lips of
t, k or h take the shape of the vowel near them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tkbench.synth.speech import STRESS
from tkbench.types import Float64, Word

PARAMETERS = ("aperture", "width", "protrusion", "jaw", "raise", "tuck", "teeth", "tongue")
"""
aperture    distance between the lips, 0 = they touch, 1 = the speaker's widest
width       -1 rounded and narrow, 0 rest, 1 spread
protrusion  lips pushed forward, 0-1
jaw         opening of the jaw, 0-1
raise       upper lip lifted, 0-1
tuck        lower lip drawn up and in to the upper teeth, 0-1
teeth       how far the teeth come to the front of the dark, 0-1
tongue      tongue tip raised behind the teeth, 0-1
"""


@dataclass(frozen=True, slots=True)
class Viseme:
    """Targets and strengths of one sound, both (8,) in the order of `PARAMETERS`, and its times."""

    target: Float64
    strength: Float64
    ahead: float
    """1/s: how fast the sound loses its hold before its time; small = long anticipation."""
    behind: float
    """1/s: the same after its time; small = long carry-over."""
    closed: bool = False
    """p b m: the lips touch."""
    weight: float = 1.0
    """Share of the time where sounds share one event (a diphthong's halves)."""


def _viseme(
    targets: tuple[float, ...],
    *,
    strength: float = 1.0,
    aperture: float | None = None,
    shape: float | None = None,
    ahead: float = 14.0,
    behind: float = 14.0,
    closed: bool = False,
    weight: float = 1.0,
) -> Viseme:
    """`aperture` and `shape` (width and protrusion) replace the common strength for those parameters."""
    strengths = np.full(len(PARAMETERS), strength)
    if aperture is not None:
        strengths[[0, 3, 4]] = aperture
    if shape is not None:
        strengths[[1, 2]] = shape
    return Viseme(np.array(targets, float), strengths, ahead, behind, closed, weight)


def _table() -> dict[str, Viseme]:
    v = _viseme
    #            aperture width protr. jaw  raise tuck teeth tongue
    vowel = {
        "ɑ": (0.95, 0.00, 0.00, 0.95, 0.20, 0.0, 0.35, 0.10),
        "a": (0.92, 0.20, 0.00, 0.90, 0.30, 0.0, 0.45, 0.15),
        "æ": (0.82, 0.45, 0.00, 0.75, 0.40, 0.0, 0.60, 0.25),
        "ɐ": (0.62, 0.05, 0.00, 0.55, 0.20, 0.0, 0.40, 0.20),
        "ʌ": (0.64, 0.05, 0.00, 0.58, 0.20, 0.0, 0.40, 0.20),
        "ɛ": (0.55, 0.40, 0.00, 0.45, 0.30, 0.0, 0.60, 0.30),
        "e": (0.48, 0.55, 0.00, 0.36, 0.30, 0.0, 0.65, 0.30),
        "ɪ": (0.38, 0.50, 0.00, 0.26, 0.25, 0.0, 0.70, 0.30),
        "ᵻ": (0.34, 0.35, 0.00, 0.24, 0.20, 0.0, 0.65, 0.30),
        "i": (0.32, 0.95, 0.00, 0.16, 0.35, 0.0, 0.85, 0.25),
        "ɜ": (0.36, -0.30, 0.35, 0.30, 0.10, 0.0, 0.50, 0.25),
        "ɒ": (0.76, -0.40, 0.35, 0.75, 0.10, 0.0, 0.25, 0.10),
        "ɔ": (0.62, -0.65, 0.60, 0.58, 0.05, 0.0, 0.20, 0.10),
        "o": (0.46, -0.80, 0.80, 0.40, 0.05, 0.0, 0.15, 0.10),
        "ʊ": (0.28, -0.70, 0.75, 0.22, 0.05, 0.0, 0.20, 0.10),
        "ʉ": (0.24, -0.85, 0.90, 0.15, 0.05, 0.0, 0.20, 0.15),
        "u": (0.24, -1.00, 1.00, 0.16, 0.05, 0.0, 0.15, 0.10),
    }
    weak_vowel = {
        "ə": (0.32, 0.05, 0.00, 0.28, 0.15, 0.0, 0.45, 0.20),
        "ɚ": (0.30, -0.30, 0.35, 0.26, 0.10, 0.0, 0.45, 0.20),
    }
    table = {k: v(t, strength=1.0, ahead=15, behind=15) for k, t in vowel.items()}
    for k in "uʉʊoɔ":  # rounding starts early and lasts
        table[k] = v(vowel[k], strength=1.0, shape=1.6, ahead=10, behind=12)
    table["i"] = v(vowel["i"], strength=1.0, shape=1.2, ahead=13, behind=14)
    table |= {k: v(t, strength=0.45, ahead=17, behind=17) for k, t in weak_vowel.items()}
    bilabial = (-0.12, 0.0, 0.05, 0.06, 0.0, 0.0, 0.30, 0.10)
    table |= {
        k: v(bilabial, strength=0.8, aperture=3.0, shape=0.25, ahead=22, behind=24, closed=True)
        for k in "pbm"
    }
    labiodental = (0.13, 0.10, 0.00, 0.10, 0.55, 1.0, 0.95, 0.05)
    table |= {k: v(labiodental, strength=2.2, aperture=2.6, shape=0.35, ahead=18, behind=20) for k in "fv"}
    glide = (0.10, -1.00, 1.00, 0.12, 0.0, 0.0, 0.10, 0.05)
    table |= {k: v(glide, strength=1.2, aperture=1.8, shape=2.2, ahead=11, behind=15) for k in "wʍ"}
    table |= {
        k: v((0.26, -0.55, 0.60, 0.18, 0.05, 0.0, 0.50, 0.25), strength=0.8, shape=1.1, ahead=12, behind=15)
        for k in "ɹr"
    }
    hush = (0.30, -0.55, 0.75, 0.10, 0.40, 0.0, 1.00, 0.10)
    table |= {k: v(hush, strength=1.1, aperture=1.3, shape=1.4, ahead=13, behind=16) for k in "ʃʒ"}
    table |= {
        k: v((0.22, 0.35, 0.00, 0.05, 0.25, 0.0, 1.00, 0.10), strength=1.2, aperture=1.2, shape=0.4)
        for k in "sz"
    }
    dental = (0.26, 0.12, 0.00, 0.16, 0.15, 0.0, 0.70, 0.55)
    table |= {k: v(dental, strength=0.6, aperture=0.55, shape=0.12) for k in "tdnɾ"}
    table["l"] = v((0.36, 0.10, 0.00, 0.30, 0.15, 0.0, 0.50, 0.95), strength=0.8, aperture=0.5, shape=0.12)
    table |= {
        k: v((0.34, 0.10, 0.00, 0.20, 0.20, 0.0, 0.80, 1.00), strength=1.4, aperture=1.2, shape=0.2)
        for k in "θð"
    }
    back = (0.30, 0.00, 0.00, 0.26, 0.10, 0.0, 0.50, 0.05)
    table |= {k: v(back, strength=0.5, aperture=0.4, shape=0.08) for k in "kɡgŋxɫ"}
    table["j"] = v((0.26, 0.65, 0.00, 0.14, 0.20, 0.0, 0.80, 0.30), strength=0.7, aperture=0.8, shape=0.7)
    table |= {k: v((0.34, 0.00, 0.00, 0.30, 0.10, 0.0, 0.50, 0.15), strength=0.2, shape=0.04) for k in "hʔɦ"}
    table[""] = v((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.10), strength=1.0, shape=0.7, ahead=12, behind=9)
    return table


VISEMES = MappingProxyType(_table())
"""IPA letter -> viseme; "" is silence, with the lips at rest and closed."""

VOWELS = frozenset("ɑaæɐʌɛeɪᵻiɜɒɔoʊʉuəɚ")

CLASSES = MappingProxyType(
    {
        letter: name
        for name, letters in {
            "p b m": "pbm",
            "f v": "fv",
            "w": "wʍ",
            "r": "ɹr",
            "ʃ ʒ": "ʃʒ",
            "s z": "sz",
            "t d n": "tdnɾ",
            "l": "l",
            "θ ð": "θð",
            "k g ŋ": "kɡgŋxɫ",
            "j": "j",
            "h": "hʔɦ",
            "ɑ æ": "ɑaæ",
            "ɛ ʌ": "ɐʌɛe",
            "i ɪ": "ɪᵻi",
            "o ɔ": "ɒɔo",
            "u ʊ": "ʊʉu",
            "ə": "ə",
            "ɜ": "ɜɚ",
        }.items()
        for letter in letters
    }
    | {"": "silence"}
)
"""IPA letter -> viseme class: letters whose targets are the same, or hardly differ."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter of a transcription at its time; its text is "" in silence."""

    text: str
    start: float
    end: float
    emphasis: float
    """1 in a stressed vowel, less in others."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """One viseme at its time; an event of espeak-ng may hold several ("aɪ", "ɔːɹ")."""

    viseme: Viseme
    start: float
    end: float
    emphasis: float
    """1 for a stressed vowel, less for others: scales the opening."""


def letters(phonemes: tuple[Word, ...]) -> list[Letter]:
    """Split phoneme events into letters, each with its share of the event's time.

    The first half of a diphthong holds longer than the second; a length mark doubles a letter's share.
    Letters without a viseme (an unknown mark, say "ʲ") are passed over, and their time goes to the rest of
    the event.
    """
    found = []
    for phone in phonemes:
        stress = 1.0 if "ˈ" in phone.text else 0.92 if "ˌ" in phone.text else 0.82
        parts: list[tuple[str, float]] = []
        for letter in phone.text.strip(STRESS):
            if letter in "ː:" and parts:
                parts[-1] = (parts[-1][0], parts[-1][1] * 1.8)
            elif letter in VISEMES:
                parts.append((letter, 1.0 if letter in VOWELS and not parts else 0.8))
        if not phone.text:
            parts = [("", 1.0)]
        total = sum(share for _, share in parts)
        at = phone.start
        for letter, share in parts:
            end = at + (phone.end - phone.start) * share / total
            found.append(Letter(letter, at, end, stress if letter in VOWELS else 1.0))
            at = end
    return found


def letters_at(phonemes: tuple[Word, ...], times: Float64) -> list[str]:
    """The letter that is spoken at each time (n,) in seconds; "" in silence and outside of the utterance."""
    spoken = letters(phonemes)
    starts = np.array([letter.start for letter in spoken])
    places = np.searchsorted(starts, times, side="right") - 1
    return [
        spoken[place].text if place >= 0 and time < spoken[place].end else ""
        for place, time in zip(places, times, strict=True)
    ]


def gestures(phonemes: tuple[Word, ...]) -> list[Gesture]:
    """The viseme of each letter, at its time."""
    return [
        Gesture(VISEMES[letter.text], letter.start, letter.end, letter.emphasis)
        for letter in letters(phonemes)
    ]
