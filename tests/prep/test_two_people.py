"""Two people in one picture: the one who is there all the time is followed, not the one who is nearer for a moment."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tkbench import media, shards
from tkbench.prep.run import prepare
from tkbench.synth.clip import SynthClip, make_clip
from tkbench.types import Array, UInt8

WIDTH, HEIGHT = 720, 404
Box = tuple[int, int, int]
"""x, y and side of a square, in pixels."""


@dataclass(frozen=True)
class Person:
    """Somebody in some frames of a scene."""

    who: int
    """Number of the speaker of the corpus."""
    first: int
    last: int
    start: Box
    right: bool
    """Whether this is a face that a sample may follow."""
    end: Box | None = None
    """Where the person has moved at the end; None: nowhere."""

    def at(self, frame: int) -> Box | None:
        if not self.first <= frame < self.last:
            return None
        share = (frame - self.first) / max(1, self.last - self.first - 1)
        a, b = self.start, self.end or self.start
        x, y, side = (round(p + share * (q - p)) for p, q in zip(a, b, strict=True))
        return x, y, side


LEFT, RIGHT = (40, 110, 190), (480, 100, 190)
NEAR_LEFT, NEAR_RIGHT = (0, 70, 330), (390, 70, 330)
INNER_LEFT, INNER_RIGHT = (150, 90, 220), (340, 80, 220)
CLOSE = (200, 30, 340)


def speaks(box: Box, first: int = 0, last: int = 90, who: int = 0) -> Person:
    return Person(who, first, last, box, right=True)


def listens(box: Box, first: int, last: int, end: Box | None = None) -> Person:
    return Person(1, first, last, box, right=False, end=end)


SCENES: dict[str, list[Person]] = {
    "listener-first-right": [speaks(LEFT), listens(NEAR_RIGHT, 0, 9)],
    "listener-first-left": [speaks(RIGHT), listens(NEAR_LEFT, 0, 13)],
    "listener-now-and-then": [speaks(LEFT), listens(NEAR_RIGHT, 0, 8), listens(NEAR_RIGHT, 50, 60)],
    "listener-last": [speaks(RIGHT), listens(NEAR_LEFT, 78, 90)],
    "listener-walks-by": [speaks(LEFT), listens((340, 70, 330), 30, 55, end=(390, 70, 330))],
    "cut-to-close-up": [speaks(LEFT, 0, 45), listens(NEAR_RIGHT, 0, 8), speaks(CLOSE, 45, 90)],
    "cut-from-close-up": [speaks(CLOSE, 0, 45), speaks(RIGHT, 45, 90), listens(NEAR_LEFT, 80, 90)],
    "reaction-shot": [speaks(LEFT, 0, 40), listens(CLOSE, 40, 52), speaks(LEFT, 52, 90)],
    "dialogue": [speaks(INNER_LEFT, 0, 32), speaks(INNER_RIGHT, 32, 62, who=2), speaks(INNER_LEFT, 62, 92)],
    "dialogue-other-side-first": [speaks(INNER_RIGHT, 0, 46), speaks(INNER_LEFT, 46, 90, who=2)],
}


@pytest.fixture(scope="module")
def people() -> list[SynthClip]:
    return [make_clip(seed=3, speaker=who, index=who, seconds=(3.7, 4.2)) for who in range(3)]


def shots_of(scene: list[Person]) -> list[int]:
    """Frames at which a speaker's shot begins: there the background changes, too."""
    return sorted({person.first for person in scene if person.right or person.start == CLOSE})


def pictures(scene: list[Person], people: list[SynthClip]) -> list[UInt8]:
    import cv2

    rng = np.random.default_rng(len(scene))
    backs = [
        cv2.GaussianBlur(rng.integers(30, 150, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 9)
        for _ in range(3)
    ]
    starts = shots_of(scene)
    frames = []
    for n in range(max(person.last for person in scene)):
        frame = backs[sum(start <= n for start in starts) % 3].copy()
        for person in scene:
            box = person.at(n)
            if box is not None:
                x, y, side = box
                face = people[person.who].frames[min(n, len(people[person.who].frames) - 1)]
                small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
                part = frame[y : y + side, x : x + side]
                part[:] = small[: part.shape[0], : part.shape[1]]
        frames.append(frame)
    return frames


@pytest.mark.slow
def test_ten_scenes_of_two_people(people: list[SynthClip], tmp_path: Path) -> None:
    """All in one folder. Every landmark of every sample lies on a right face; most of their frames are kept."""
    (tmp_path / "in").mkdir()
    for name, scene in SCENES.items():
        media.write_video(
            tmp_path / "in" / f"{name}.mp4", pictures(scene, people), audio=people[0].audio, quality=18
        )
    prepare(tmp_path / "in", tmp_path / "out")
    opened = shards.open_shards(tmp_path / "out")
    manifest, wrong = opened.manifest(), []
    for name, scene in SCENES.items():
        mine = manifest[manifest["clip"] == name]
        rows = mine[mine.status == "ok"]
        due = {n for person in scene if person.right for n in range(person.first, person.last)}
        kept = 0
        for row in rows.to_dict("records"):
            sample = opened.get(row["key"])
            middles = on_picture(sample.landmarks.mean(axis=1), sample.canvas)
            first = int(row["start_frame"])
            for n, (x, y) in enumerate(middles, first):
                boxes = [box for person in scene if person.right and (box := person.at(n)) is not None]
                if not any(x0 < x < x0 + side and y0 < y < y0 + side for x0, y0, side in boxes):
                    wrong.append(f"{name}, frame {n}: ({x:.0f}, {y:.0f}) is on no right face")
                    break
            inside = [start for start in shots_of(scene) if first < start < first + len(sample)]
            wrong += [f"{name}: {row['key']} goes on across the cut at frame {start}" for start in inside]
            kept += len(set(range(first, first + len(sample))) & due)
        if kept < 0.85 * len(due):
            wrong.append(f"{name}: {kept} of {len(due)} frames kept, {mine.detail.tolist()}")
    assert not wrong, "\n".join(wrong)


def on_picture(points: Array, canvas: dict[str, object]) -> Array:
    """(T, 2) canvas pixels -> pixels of the picture."""
    place = {
        name: float(str(canvas[name])) for name in ("x", "y", "width", "height", "out_width", "out_height")
    }
    scale = np.array([place["width"] / place["out_width"], place["height"] / place["out_height"]])
    return points * scale + np.array([place["x"], place["y"]])


MOCHA = {
    # The man speaks, then the woman in a shot of her own: the middle of the face, as shares of the picture's width.
    "2p_2clip_2talk__14_man_woman_deck.mp4": [(0.25, 0.45), (0.52, 0.72)],
    "2p_1clip_1talk__30_man_sword_tavern.mp4": [(0.4, 0.58)],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MOCHA))
def test_both_clips_of_mocha_bench_follow_a_plain_face(name: str, clips: Path, tmp_path: Path) -> None:
    """A plain face is there all the time; another head is seen from the side or from behind."""
    file = clips / "generated" / name
    if not file.is_file():
        pytest.skip(f"{name} is not among the real clips")
    (tmp_path / "in").mkdir()
    shutil.copyfile(file, tmp_path / "in" / "scene.mp4")
    prepare(tmp_path / "in", tmp_path / "out")
    opened = shards.open_shards(tmp_path / "out")
    rows = opened.manifest()
    assert (rows.status == "ok").all(), rows.detail.tolist()
    assert rows.kept.sum() > 0.9
    for key, (low, high) in zip(sorted(opened.keys()), MOCHA[name], strict=True):
        sample = opened.get(key)
        across = (
            on_picture(sample.landmarks.mean(axis=1), sample.canvas)[:, 0] / sample.canvas["source_width"]
        )
        assert ((across > low) & (across < high)).all(), (across.min(), across.max())
