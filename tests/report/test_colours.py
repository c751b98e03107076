"""The colours of models: twelve that can be told apart, and read, on light and on dark paper."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from tkbench.report import figures, page
from tkbench.types import Float64

LEAST_APART = 0.13
"""Smallest distance of two colours in OKLab. The colours of the well-known Tableau 10 are 0.08 and more apart."""
LEAST_CONTRAST = 4.5
"""Of text on its paper, WCAG 2 AA."""


def colours(dark: bool) -> dict[str, Float64]:
    """Name -> linear RGB, as the style sheet has them."""
    css = page.asset("report.css")
    light_part, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    text = rest.partition("* { box-sizing")[0] if dark else light_part
    found = {}
    for name, value in re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3}(?:[0-9a-f]{3})?);", text):
        full = value if len(value) == 7 else "#" + "".join(2 * letter for letter in value[1:])
        s = np.array([int(full[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        found[name] = np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)
    return found


def oklab(rgb: Float64) -> Float64:
    """Linear RGB -> OKLab (Ottosson 2020)."""
    lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.asarray(lab @ np.cbrt(lms @ rgb))


def contrast(a: Float64, b: Float64) -> float:
    light, dark = sorted((float(x @ [0.2126, 0.7152, 0.0722]) for x in (a, b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_oklab_of_known_colours() -> None:
    np.testing.assert_allclose(oklab(np.ones(3)), [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(oklab(np.array([1.0, 0, 0])), [0.628, 0.225, 0.126], atol=1e-3)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_twelve_colours_are_told_apart_and_read(dark: bool) -> None:
    found = colours(dark)
    names = [figures.style(place) for place in range(figures.COLOURS)]
    assert names == [f"c{i}" for i in range(12)]
    for one, other in combinations([*names, "ink"], 2):
        assert np.linalg.norm(oklab(found[one]) - oklab(found[other])) >= LEAST_APART, (one, other)
    for name in (*names, "ink", "soft", "good", "warn", "link"):
        assert contrast(found[name], found["paper"]) >= LEAST_CONTRAST, name
    assert figures.style(12) == "c0 dash"
