"""The first look: whom the landmarks' network is asked about."""

from __future__ import annotations

import numpy as np
import pytest

from tkbench.prep import scene
from tkbench.prep.plan import Settings
from tkbench.types import Array, MediaFacts

FACTS = MediaFacts(640, 360, 0, 25.0, False, 100, 4.0, "h264", "yuv420p", 0.0, 16000, 1, "aac", 4.0)
LEFT, RIGHT = [100, 100, 160, 160, 0.9], [400, 80, 520, 200, 0.9]
PICTURES = [np.zeros((360, 640, 3), np.uint8)] * 4


@pytest.mark.parametrize(
    ("looks", "confirm", "asked"),
    [
        ([[LEFT]] * 4, False, 0),  # one face: nobody else could be meant
        ([[LEFT, RIGHT]] * 4, False, 0),  # the larger one is seen as often as any other
        ([[LEFT], [LEFT], [LEFT], [LEFT, RIGHT]], True, 2),
        ([[LEFT], [LEFT], [LEFT], [[300, 20, 640, 360, 0.9]]], False, 2),  # the largest was seen once
    ],
)
def test_faces_are_confirmed_where_looks_disagree(
    looks: list[list[list[float]]], confirm: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def answer(group: scene.track.Candidate, *_: object) -> int:
        told.append(len(group.boxes))
        return len(group.boxes)

    monkeypatch.setattr(scene, "_confirm", answer)
    boxes: list[Array] = [np.array(rows, float) for rows in looks]
    faces, shared = scene._rank(PICTURES, boxes, FACTS, Settings(), confirm=confirm)
    assert len(told) == asked
    assert faces
    assert not shared
