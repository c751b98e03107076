"""Scene rules beside the released wheels of PySceneDetect (golden/scenes.json), and truths that need none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.moving_pictures import CASES, frames_of

from tkbench.metrics.scenes import THRESHOLDS, SceneRule, content_changes, scenes

GOLDEN = json.loads((Path(__file__).parent / "golden" / "scenes.json").read_text(encoding="utf-8"))
ORACLES: dict[str, SceneRule] = {
    "0.5.1 manager": "psd-0.5.1",
    "0.6.1 manager": "psd-0.6.1",
    "0.6.6 manager": "psd-0.6.7",
    "0.6.7.1 manager": "psd-0.6.7",
    "0.6.7.1 stream": "psd-0.6.7",
}


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: "x".join(map(str, CASES[n][:3])))
def test_scenes_are_those_of_the_released_wheels(number: int) -> None:
    assert GOLDEN["cases"][number] == list(CASES[number])
    frames = frames_of(*CASES[number])
    for oracle, rule in ORACLES.items():
        assert [list(scene) for scene in scenes(frames, rule)] == GOLDEN[oracle][number], oracle


def test_the_oracles_tell_the_rules_apart() -> None:
    """A golden on which two rules agree everywhere could not catch one taken for the other."""
    answers = {rule: GOLDEN[oracle] for oracle, rule in ORACLES.items()}
    for a in answers:
        for b in answers:
            differ = sum(x != y for x, y in zip(answers[a], answers[b], strict=True))
            assert (differ == 0) == (a == b), (a, b)
    assert sum(len(found) for found in GOLDEN["0.5.1 manager"]) > 3 * len(CASES)


def flat(*parts: tuple[int, int]) -> np.ndarray:
    """(grey level, frames) one after the other."""
    return np.concatenate([np.full((n, 40, 60, 3), level, np.uint8) for level, n in parts])


@pytest.mark.parametrize("rule", THRESHOLDS)
def test_one_cut_and_none(rule: SceneRule) -> None:
    assert scenes(flat((20, 30)), rule) == [(0, 30)]
    assert scenes([], rule) == []
    end = 49 if rule == "psd-0.6.1" else 50
    assert scenes(flat((20, 20), (220, 30)), rule) == [(0, 20), (20, end)]


def test_a_grey_step_counts_a_third_of_its_size() -> None:
    """Hue and saturation of grey stay 0: a step of 90 is 30, of 81 is 27."""
    assert content_changes(flat((20, 2), (110, 1)), "psd-0.5.1") == [0.0, 0.0, 30.0]
    for step, cut in ((90, True), (89, False)):
        assert (len(scenes(flat((20, 20), (20 + step, 20)), "psd-0.5.1")) == 2) == cut
    for step, cut in ((81, True), (80, False)):
        assert (len(scenes(flat((20, 20), (20 + step, 20)), "psd-0.6.1")) == 2) == cut
        assert (len(scenes(flat((20, 20), (20 + step, 20)), "psd-0.6.7")) == 2) == cut


def test_flashes_soon_after_a_cut() -> None:
    video = flat((20, 20), (220, 8), (20, 30))
    assert scenes(video, "psd-0.5.1") == [(0, 20), (20, 58)]
    assert scenes(video, "psd-0.6.1") == [(0, 20), (20, 57)]
    assert scenes(video, "psd-0.6.7") == [(0, 20), (20, 58)]  # one flash is too short a burst
    burst = flat((20, 20), *((220 if n % 2 == 0 else 20, 8) for n in range(5)), (20, 30))
    assert scenes(burst, "psd-0.6.7") == [(0, 20), (20, 60), (60, 90)]
    early = flat((20, 8), (220, 30))
    assert scenes(early, "psd-0.5.1") == [(0, 8), (8, 38)]
    assert scenes(early, "psd-0.6.1") == [(0, 38)]
