"""The people of the corpus: twelve set by hand, so that they differ clearly, and any number of drawn ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tkbench.synth.features import Colour
from tkbench.synth.identity import Identity

BLACK: Colour = (9.0, 0.5, 1.0)
BROWN: Colour = (26.0, 6.0, 12.0)
DARK_BROWN: Colour = (16.0, 4.0, 7.0)
RED: Colour = (36.0, 20.0, 28.0)
BLOND: Colour = (62.0, 3.0, 28.0)
GREY: Colour = (58.0, 0.0, 2.0)
WHITE: Colour = (76.0, 0.0, 3.0)

PEOPLE: tuple[Identity, ...] = (
    Identity(hair=BROWN, lips=0.10, brows=0.25, garment=(38, 66, 104), collar="shirt", eyes=(2.0, -2.0, 2.0)),
    Identity(
        "sailor", male=True, jaw_width=0.16, chin=0.05, skin=(-4.0, 1.0, 3.0), hair=DARK_BROWN, brows=0.75,
        beard=0.34, lip=(-3.0, 1.0, 0.0), nose_width=0.08, garment=(30, 34, 44), collar="turtle", lips=-0.1,
    ),
    Identity(
        skin=(-34.0, 4.0, 2.0), hair=BLACK, brows=0.5, lips=0.35, nose_width=0.22, mouth_width=0.08,
        eye_size=0.06, hair_top=0.12, hair_side=0.12, lip=(2.0, 6.0, 0.0), garment=(186, 120, 40),
        collar="crew", mirror=True,
    ),
    Identity(
        "older", male=True, hair=GREY, hair_side=-0.55, hair_top=-0.12, jaw_width=0.12,
        skin=(-4.0, 3.0, 3.0), lip=(-4.0, 3.0, 1.0), face_width=0.03, garment=(52, 52, 58), collar="jacket",
    ),
    Identity(
        hair=BLOND, long_hair=48.0, eye_size=0.10, face_width=-0.06, jaw_width=-0.10,
        eyes=(10.0, -6.0, -14.0), lip=(-8.0, 16.0, 4.0), skin=(3.0, 1.0, -2.0), lips=0.2, nose_width=-0.12,
        garment=(150, 40, 60), brows=0.15,
    ),
    Identity(
        male=True, hair=DARK_BROWN, hair_side=-0.62, hair_top=-0.10, brows=0.85, beard=0.85,
        skin=(-12.0, 3.0, 7.0), jaw_width=0.14, face_width=0.04, nose_length=0.10, nose_width=0.08,
        lip=(-4.0, 4.0, 1.0), garment=(70, 84, 60), collar="shirt", mirror=True,
    ),
    Identity("hopper", hair=GREY, lip=(-3.0, 7.0, 1.0), garment=(24, 30, 52), collar="jacket"),
    Identity(
        male=True, skin=(-26.0, 4.0, 5.0), hair=BLACK, hat=(150, 44, 40), brows=0.8, beard=0.30,
        face_width=0.06, jaw_width=0.10, nose_width=0.18, hair_side=-0.55, lip=(-2.0, 3.0, 0.0),
        garment=(60, 64, 70), collar="crew",
    ),
    Identity(
        hair=RED, freckles=0.8, skin=(5.0, 3.0, -1.0), eyes=(8.0, -10.0, 4.0), face_width=0.05,
        jaw_width=-0.04, chin=-0.08, hair_top=0.08, brow=0.15, brows=0.2, nose_length=-0.14,
        garment=(46, 96, 74), collar="turtle", long_hair=14.0, mirror=True,
    ),
    Identity(
        skin=(-10.0, 2.0, 8.0), hair=BLACK, hair_side=-0.35, hair_top=-0.06, glasses=(26, 22, 22),
        glasses_shape=3.4, brows=0.4, eye_size=-0.06, nose_length=-0.08, face_width=0.05, lips=0.12,
        garment=(210, 206, 196), collar="crew", male=False,
    ),
    Identity(
        "older", hair=WHITE, hair_side=0.1, skin=(2.0, 2.0, -2.0), face_width=0.05, chin=-0.05,
        lip=(-6.0, 12.0, 2.0), garment=(118, 84, 130), collar="shirt", mirror=True, nose_width=-0.08,
    ),
    Identity(
        male=True, skin=(-19.0, 4.0, 8.0), hair=(13.0, 1.0, 3.0), hair_side=-0.5, hair_top=0.10, brows=0.7,
        beard=0.8, moustache=True, chin=0.10, jaw_width=0.06, eye_distance=0.04, nose_length=0.08,
        glasses=(120, 90, 50), glasses_shape=2.2, lip=(-4.0, 3.0, 1.0), garment=(34, 40, 60),
        collar="jacket",
    ),
)  # fmt: skip


def person(seed: int, index: int) -> Identity:
    """Person number `index`: the first twelve are `PEOPLE`, dressed anew by the seed; others are drawn."""
    rng = np.random.default_rng([seed, 3, index])
    if index < len(PEOPLE):
        return _dressed(PEOPLE[index], rng) if seed else PEOPLE[index]
    return _drawn(rng)


def _dressed(identity: Identity, rng: np.random.Generator) -> Identity:
    return replace(identity, garment=_paint(rng, 24, 190), mirror=bool(rng.integers(2)))


def _paint(rng: np.random.Generator, darkest: int, brightest: int) -> tuple[int, int, int]:
    """A colour of cloth or plastic."""
    red, green, blue = (int(c) for c in rng.integers(darkest, brightest, 3))
    return red, green, blue


def _drawn(rng: np.random.Generator) -> Identity:
    """A person from the generator: template, shape, colours and things on the face."""

    def n(scale: float) -> float:
        return float(np.clip(rng.normal(), -1.8, 1.8) * scale)

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    template = str(rng.choice(["astronaut"] * 7 + ["older"] * 4 + ["sailor"] * 2 + ["hopper"]))
    male = template != "hopper" and bool(rng.random() < 0.5)
    old = template in ("older", "hopper")
    capped = template in ("sailor", "hopper")
    # The wrinkles of the older faces are shading, which the darkest tones would turn into stripes.
    dark = float(rng.choice([0.0, 0.0, 0.25, 0.45, 0.7, 1.0])) * (0.4 if old else 1.0)
    skin = (4.0 - 38.0 * dark + n(3), 1.0 + 3.5 * dark + n(1), -1.0 + 7.0 * dark * (1.4 - dark) + n(2))
    fair = (BLACK, DARK_BROWN, BROWN, RED, BLOND)
    shades = (GREY, WHITE, DARK_BROWN) if old else fair if dark < 0.3 else (BLACK, DARK_BROWN, BLACK)
    hair = shades[int(rng.integers(len(shades)))]
    bearded = male and rng.random() < 0.55
    shaped = Identity(
        template,
        male=male,
        face_width=n(0.05),
        jaw_width=n(0.07) + (0.08 if male else -0.03),
        chin=n(0.06),
        nose_width=n(0.09) + 0.14 * dark,
        nose_length=n(0.08),
        eye_size=n(0.08),
        eye_distance=n(0.03),
        brow=n(0.08),
        mouth_width=n(0.06),
        lips=0.04 + n(0.12) + 0.2 * dark,
        hair_top=n(0.08),
        hair_side=between(-0.6, -0.35) if male else between(-0.35, 0.15),
        skin=skin,
        hair=hair,
        eyes=(n(4) + 3, n(5) - 2, n(8)) if dark < 0.3 else (0.0, 0.0, 0.0),
        lip=(-3 + n(2), 3.0 + n(1), 1.0) if male else (-5 + n(3), 9 + n(4), 2 + n(1)),
    )
    return replace(
        shaped,
        brows=0.0 if old else between(0.5, 0.9) if male else between(0.1, 0.5),
        beard=between(0.28, 0.9) if bearded else 0.0,
        moustache=bearded and bool(rng.random() < 0.25),
        freckles=between(0.4, 1.0) if dark < 0.2 and rng.random() < 0.25 else 0.0,
        glasses=_paint(rng, 15, 110) if not old and rng.random() < 0.3 else None,
        glasses_shape=between(2.0, 4.0),
        hat=_paint(rng, 30, 180) if rng.random() < (0.6 if capped else 0.15) else None,
        long_hair=between(0, 60) if not male and not capped and rng.random() < 0.45 else None,
        garment=_paint(rng, 24, 200),
        collar=str(rng.choice(["crew", "turtle", "shirt", "jacket"])),
        mirror=bool(rng.integers(2)),
    )
