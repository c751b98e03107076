"""Short English sentences from a small grammar: varied, pronounceable, and different for every draw.

A template names word classes in braces; a class is a tuple of words, or of further templates. No sentence
is a quotation. The words were chosen so that all sounds of English occur often, above all those that can be told
apart by sight (p b m, f v, w, oo, ee, ah).
"""

from __future__ import annotations

import re

import numpy as np

_CLASSES: dict[str, tuple[str, ...]] = {
    "name": tuple(
        "Bob Mary Peter Emma Paul Fiona Victor Ruby Oliver Phoebe Martin Bella Hugo Wanda Joe Amy Frank "
        "Pamela Simon Vera Thomas Molly George Alice Kevin Sophie Henry Julia Max Naomi Walter Zoe Philip "
        "Maria Ben Charlotte Robin Eva Leo Judy".split()
    ),
    "person": (
        "{name}",
        "{name}",
        "my {adj} {kin}",
        "her {kin}",
        "our {job}",
        "the {adj} {job}",
        "the {job}",
        "nobody",
        "everyone",
        "the {job} from {place}",
    ),
    "kin": tuple(
        "mother father brother sister uncle aunt cousin grandfather friend neighbour nephew family".split()
    ),
    "job": tuple(
        "teacher farmer doctor baker pilot painter driver waiter lawyer singer writer builder nurse "
        "captain gardener student plumber shopkeeper film-maker watchman fireman mayor judge postman".split()
    ),
    "adj": tuple(
        "big small old young happy quiet clever funny brave famous polite busy lovely awful warm cold "
        "wonderful empty heavy bright purple yellow blue white simple perfect strange narrow possible "
        "smooth rough shiny muddy fresh foolish gentle loud private useful peaceful".split()
    ),
    "thing": tuple(
        "book boat map apple violin table window film bottle photo lamp mirror wheel basket pillow ball "
        "vase movie drum puzzle letter camera piano umbrella phone shoe box hammer fork spoon cup plate "
        "knife coat jumper garden bridge tower room wall roof path river shop farm village picture poem "
        "song bell blanket loaf mushroom pear plum banana melon cabbage pepper muffin waffle soup".split()
    ),
    "things": tuple(
        "apples boats movies pebbles waves birds flowers photos books mushrooms puppies ribbons bubbles "
        "families problems buildings weapons farms shoes wolves knives plums maps ferries pumpkins bees "
        "foxes owls sheep papers buttons envelopes vegetables marbles pieces stories moments".split()
    ),
    "place": tuple(
        "Paris Boston Bombay Rome Vienna Warsaw Moscow Africa Peru Finland Wales Baltimore Iowa Oslo "
        "Havana Fiji Manchester Wisconsin Malta Bavaria".split()
    ),
    "spot": (
        "at the {adj} museum",
        "in the park",
        "by the river",
        "under the bridge",
        "behind the farm",
        "near {place}",
        "at home",
        "in the {adj} room",
        "on the roof",
        "above the harbour",
        "in front of the shop",
        "over there",
        "outside the village",
        "from {place}",
        "beside the {thing}",
        "in the middle of {place}",
    ),
    "when": (
        "yesterday",
        "on {day}",
        "this afternoon",
        "before {month}",
        "after breakfast",
        "every {day}",
        "at {clock}",
        "a few months ago",
        "in {month}",
        "tomorrow morning",
        "twice a week",
        "for {few} hours",
        "by {day} evening",
    ),
    "day": tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
    "month": tuple(
        "January February March April May June July August September October November December".split()
    ),
    "clock": ("half past {few}", "{few} o'clock", "{few} fifteen", "a quarter to {few}"),
    "few": tuple("two three four five six seven eight nine ten eleven twelve".split()),
    "number": (
        "{few}",
        "twenty-{few}",
        "forty {few}",
        "fifty-five",
        "a hundred and {few}",
        "ninety-one",
        "a thousand",
        "sixteen",
        "eighty-{few}",
        "half a million",
    ),
    "did": tuple(
        "bought moved found painted opened wanted lost fixed borrowed remembered brought forgot broke washed "
        "photographed covered loved visited emptied wrapped showed held chose dropped saw improved".split()
    ),
    "do": tuple(
        "buy move find paint open lose fix borrow remember bring forget break wash photograph cover love "
        "visit empty wrap show hold choose drop see improve".split()
    ),
    "went": (
        "walked {spot}",
        "waited {spot}",
        "moved to {place}",
        "slept {spot}",
        "lived {spot}",
        "fell asleep {spot}",
        "worked {spot}",
        "ran away",
        "sang beautifully",
        "laughed out loud",
        "swam {spot}",
        "flew to {place}",
    ),
    "how": tuple(
        "slowly quickly quietly carefully finally often probably always suddenly happily maybe".split()
    ),
    "cheer": (
        "Well",
        "You know",
        "Of course",
        "Believe me",
        "Oh",
        "By the way",
        "Maybe",
        "Above all",
        "Hello",
        "Yes",
    ),
    "what": (
        "the {thing}",
        "a {adj} {thing}",
        "the {adj} {thing}",
        "{number} {things}",
        "a few {things}",
        "my {thing}",
        "five {adj} {things}",
        "the {thing} and the {thing}",
        "more {things}",
    ),
}

_TEMPLATES = (
    "{person} {did} {what} {spot}.",
    "{person} {did} {what} {when}.",
    "{person} {went} {when}.",
    "{cheer}, {person} {went}.",
    "{cheer}, we {did} {what} {when}.",
    "Could you {do} {what} {when}?",
    "Why would {person} {do} {what}?",
    "Please {do} {what} before {person} {did} it.",
    "We {how} {did} {what}, but {person} {went}.",
    "I am {number} years old, and I {did} {what}.",
    "There were {number} {adj} {things} {spot}.",
    "{name} and {name} {went}.",
    "Who {did} {what} {spot}?",
    "They have {number} {things} and {number} {things}.",
    "My {thing} is {adj}, {adj} and {adj}.",
    "{when}, {person} {did} {what}.",
    "If you {do} {what}, {name} will {do} it too.",
    "Where do the {adj} {things} come from?",
    "How many {things} did {person} {do} {when}?",
    "You may {do} {what}, or {do} {what} {spot}.",
    "She moved from {place} to {place} {when}.",
    "{cheer}, the {thing} is more {adj} than the {thing}.",
)

_SLOT = re.compile(r"\{(\w+)\}")


def sentence(rng: np.random.Generator) -> str:
    """One sentence, with its first letter capital; the same generator state gives the same sentence.

    >>> sentence(np.random.default_rng(1)) == sentence(np.random.default_rng(1))
    True
    """
    text = _TEMPLATES[int(rng.integers(len(_TEMPLATES)))]
    while slot := _SLOT.search(text):
        options = _CLASSES[slot[1]]
        text = text[: slot.start()] + options[int(rng.integers(len(options)))] + text[slot.end() :]
    # "a" before a vowel letter: no word above starts with a vowel letter that sounds as a consonant but
    # "useful".
    text = re.sub(r"\b([Aa]) (?=[aeiou](?!seful))", r"\1n ", text)
    return text[0].upper() + text[1:]
