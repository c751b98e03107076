"""The gap between strata: against every permutation of small studies, and what it must and must not find."""

from __future__ import annotations

import math
import sys
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from tkbench.errors import BadInput
from tkbench.results.gaps import gap

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import simulate_gaps as simulation  # noqa: E402


def statistic(values: list[float], speakers: list[str], groups: list[int]) -> float:
    """The largest gap over its standard error, written down anew: loops over strata, speakers and clips."""
    means, errors = {}, {}
    for g in set(groups):
        mine = [(v, s) for v, s, h in zip(values, speakers, groups, strict=True) if h == g]
        means[g] = sum(v for v, _ in mine) / len(mine)
        names = sorted({s for _, s in mine})
        residuals = [sum(v - means[g] for v, t in mine if t == s) for s in names]
        errors[g] = sum(r * r for r in residuals) / len(mine) ** 2 * len(names) / (len(names) - 1)
    pairs = [(a, b) for a in means for b in means if a < b]
    return max(abs(means[a] - means[b]) / math.sqrt(errors[a] + errors[b]) for a, b in pairs)


def test_p_of_speakers_in_one_stratum_is_that_of_all_permutations() -> None:
    rng = np.random.default_rng(1)
    speakers = [name for name in "abcdefg" for _ in range(2)]
    groups = [int(name in "efg") for name in speakers]
    values = (rng.normal(size=14) + 0.9 * np.array(groups)).tolist()
    observed = statistic(values, speakers, groups)
    places = [0] * 4 + [1] * 3
    orders = set(permutations(places))
    beyond = sum(
        statistic(values, speakers, [order["abcdefg".index(s)] for s in speakers]) >= observed * (1 - 1e-9)
        for order in orders
    )
    found = gap(values, speakers, groups, better="higher")
    assert found.p == pytest.approx(beyond / len(orders), abs=4 * (0.25 / 4000) ** 0.5)
    assert (found.best, found.worst, found.n_speakers, found.n_paired) == (1, 0, 7, 0)


def test_p_of_speakers_in_both_is_that_of_all_sign_flips() -> None:
    rng = np.random.default_rng(2)
    names = "abcdefgh"
    own = dict(zip(names, rng.normal(0, 5, 8), strict=True))
    speakers = [name for name in names for _ in range(2)]
    groups = [0, 1] * 8
    values = [own[s] + 0.4 * g + rng.normal(0, 0.3) for s, g in zip(speakers, groups, strict=True)]
    observed = statistic(values, speakers, groups)
    beyond = 0
    for signs in product((0, 1), repeat=8):
        turned = [g ^ signs[names.index(s)] for s, g in zip(speakers, groups, strict=True)]
        beyond += statistic(values, speakers, turned) >= observed * (1 - 1e-9)
    found = gap(values, speakers, groups, better="higher")
    assert found.p == pytest.approx(beyond / 2**8, abs=4 * (0.25 / 4000) ** 0.5)
    assert found.n_paired == 8


def test_pairing_finds_what_speakers_hide() -> None:
    """A shift of 0.5 beside speakers that differ by 20: seen where each speaker is in both strata, and only there."""
    rng = np.random.default_rng(3)
    own = rng.normal(0, 20, 20)
    noise = rng.normal(0, 0.3, 40)
    speakers = [f"{i:02d}" for i in range(20)]
    values = np.concatenate([own, own + 0.5]) + noise
    paired = gap(values, speakers * 2, [0] * 20 + [1] * 20, better="higher")
    apart = gap(values, [f"{i:02d}" for i in range(40)], [0] * 20 + [1] * 20, better="higher")
    assert paired.p < 0.01 < 0.5 < apart.p
    assert (paired.n_paired, apart.n_paired) == (20, 0)
    assert paired.size == apart.size == pytest.approx(0.5, abs=0.2)


def test_one_speaker_with_many_clips_is_no_gap() -> None:
    """A hundred clips of one odd speaker are one observation: by clips, p would be tiny."""
    rng = np.random.default_rng(4)
    speakers = [f"a{i}" for i in range(6)] + ["odd"] * 100 + [f"b{i}" for i in range(5)]
    groups = [0] * 6 + [1] * 105
    values = np.concatenate([rng.normal(0, 1, 6), rng.normal(3, 0.1, 100), rng.normal(0, 1, 5)])
    assert gap(values, speakers, groups, better="higher").p > 0.1


@pytest.mark.parametrize(("better", "best"), [("higher", 1), ("lower", 0), ("zero", 0)])
def test_best_and_worst_follow_the_direction(better: str, best: int) -> None:
    values = [-0.1, 0.1, -0.2, 0.2, 3.0, 4.0, 3.0, 4.0]
    found = gap(values, list("abcdefgh"), [0] * 4 + [1] * 4, better=better)  # type: ignore[arg-type]
    assert (found.best, found.worst) == (best, 1 - best)
    assert found.size == pytest.approx(3.5 - (0.15 if better == "zero" else 0.0))


def test_order_unscored_clips_and_infinity_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=40)
    values[3], values[7] = np.nan, np.inf
    speakers = [f"{i % 13}" for i in range(40)]
    groups = [i % 3 for i in range(40)]
    found = gap(values, speakers, groups, better="higher")
    order = rng.permutation(40)
    again = gap(values[order], [speakers[i] for i in order], [groups[i] for i in order], better="higher")
    assert again == found
    kept = [i for i in range(40) if i != 3]
    without = gap(values[kept], [speakers[i] for i in kept], [groups[i] for i in kept], better="higher")
    assert without == found


def test_too_few_speakers_say_so() -> None:
    found = gap([1.0, 2.0, 30.0, 40.0], list("abcd"), [0, 0, 1, 1], better="higher")
    assert found.p >= 1 / 6
    assert found.note == "too few speakers: p is at least 0.17"
    alone = gap([1.0, 2.0, 3.0], list("abc"), [0, 0, 1], better="higher")
    assert math.isnan(alone.p)
    assert math.isnan(alone.size)
    assert "two speakers" in alone.note
    equal = gap([1.0] * 8, list("abcdefgh"), [0] * 4 + [1] * 4, better="higher")
    assert (equal.size, equal.p) == (0.0, 1.0)


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(BadInput, match="equal lengths"):
        gap([1.0], ["a", "b"], [0], better="higher")


@pytest.mark.parametrize(
    ("law", "design", "strata", "kind"),
    [("normal", "one", 2, "equal"), ("lognormal", "half", 4, "few"), ("normal", "all", 4, "many")],
)
def test_false_alarms_are_as_rare_as_said(law: str, design: str, strata: int, kind: str) -> None:
    runs = 200
    found = simulation.simulate(law, design, strata, 12, kind, runs)
    assert found.alarms <= simulation.MOST_ALARMS + 3 * (0.05 * 0.95 / runs) ** 0.5
    assert found == simulation.simulate(law, design, strata, 12, kind, runs)
