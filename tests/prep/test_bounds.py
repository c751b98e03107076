"""Borders of preparation: what lies just inside one is kept or said, what lies just outside is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tkbench.errors import BadInput, BadMedia
from tkbench.media import Cut
from tkbench.prep import gates, official, track
from tkbench.prep.follow import Tracked
from tkbench.prep.pack import fixes_of
from tkbench.prep.scene import Scene
from tkbench.results.paired import paired_difference
from tkbench.types import MediaFacts, Reading, Reason

FACTS = MediaFacts(64, 48, 0, 25.0, False, 100, 4.0, "h264", "yuv420p", 0.0, 16000, 1, "aac", 4.0)


def test_a_clip_that_hardly_moves_is_stretched() -> None:
    """Thirty pictures over 311 s: 0.1 a second. Also one whose pictures are held for more than a quarter of it."""
    slow = replace(FACTS, n_frames=30, duration=311.0, audio_duration=311.0)
    held = replace(FACTS, reading=Reading(frames=100, holds=((1.0, 26),)))
    for facts in (slow, held):
        with pytest.raises(BadMedia) as caught:
            gates.check_facts(facts, min_frames=25)
        assert caught.value.reason is Reason.STRETCHED
    gates.check_facts(replace(held, reading=Reading(frames=100, holds=((1.0, 24),))), min_frames=25)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_boxes_count_by_their_own_centre(count: int) -> None:
    """Any number of them, one outside to the side and one below; the border belongs to the window on the left."""
    cut = Cut(100, 100, 50, 50, 50, 50)
    centres = [(100, 100), (149, 149), (150, 120), (120, 150), (99, 120)][:count]
    boxes = np.array([[x - 10, y - 10, x + 10, y + 10, 1] for x, y in centres], float)
    (kept,) = official.boxes_inside([boxes], cut)
    inside = [row for row, (x, y) in zip(boxes, centres, strict=True) if 100 <= x < 150 and 100 <= y < 150]
    np.testing.assert_array_equal(kept, np.reshape(inside, (-1, 5)))


@pytest.mark.parametrize(("gap", "window"), [(8, True), (2, False)])
def test_a_window_too_narrow_to_look_into_is_none(gap: int, window: bool) -> None:
    """A tall face between two neighbours: the window is 10 pixels and half of the gap to either side; 16 are needed."""
    mine = np.array([[400, 100, 410, 140]], np.float32)
    others = np.array([[380, 100, 400 - gap, 140], [410 + gap, 100, 430, 140]], np.float32)
    found = track.window_of(track.ChosenFace(mine, others, 3), Cut(0, 0, 640, 360, 640, 360))
    assert (found is not None) == window


@pytest.mark.parametrize(("offset", "said"), [(0.0009, False), (0.0015, True), (-0.0015, True)])
def test_an_offset_of_a_millisecond_is_said(offset: float, said: bool) -> None:
    tracked = Tracked(np.ones(100, bool), np.zeros(100, bool), 100, 40.0, 1, False, [])
    scene = Scene("whole", Cut(0, 0, 64, 48, 64, 48), None, False)
    notes = fixes_of(replace(FACTS, start_offset=offset), scene, None, tracked)
    assert any("sound starts" in note for note in notes) == said


def test_values_that_do_not_pair_are_refused() -> None:
    with pytest.raises(BadInput, match="equal lengths"):
        paired_difference([1.0, 2.0], [1.0, 2.0], ["x"])
    with pytest.raises(BadInput, match="equal lengths"):
        paired_difference([[1.0, 2.0]], [[1.0, 2.0]], ["x"])  # type: ignore[list-item]
    with pytest.raises(BadInput, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0], ["x", "y"])
