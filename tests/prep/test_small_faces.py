"""Faces of a twelfth of the picture's height, as in an uncropped talk: found, and followed to the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tkbench import media, shards
from tkbench.prep import backends
from tkbench.prep.run import prepare
from tkbench.synth.clip import SynthClip, make_clip
from tkbench.synth.knobs import Knobs
from tkbench.types import UInt8


def face_height(frames: UInt8) -> float:
    """Median height of the landmarks' box in a few pictures."""
    tracker = backends.shared(backends.DEFAULT)
    tracker.restart()
    found = tracker.track(list(frames[:20]))
    return float(np.median([np.ptp(points[:, 1]) for points in found if points is not None]))


@dataclass(frozen=True)
class Small:
    """A person far away in a large picture."""

    width: int = 1280
    height: int = 720
    share: float = 0.08
    """Height of the face over that of the picture."""
    yaw: float = 0.0
    place: tuple[float, float] = (0.4, 0.3)
    """Where the person is at first, as shares of the free width and height."""
    moves: float = 0.0
    """By which share of the free width the person has moved at the end."""
    crf: int = 22
    speaker: int = 1


def pictures(small: Small, clip: SynthClip) -> list[UInt8]:
    """The person, with soft edges, before a background of large soft spots with a little noise."""
    import cv2

    rng = np.random.default_rng(7)
    side = round(small.share * small.height * clip.frames.shape[1] / face_height(clip.frames) / 2) * 2
    spots = rng.integers(20, 110, (9, 16, 3)).astype(np.uint8)
    back = cv2.resize(spots, (small.width, small.height), interpolation=cv2.INTER_CUBIC)
    back = np.clip(back + rng.normal(0, 4, back.shape), 0, 255)
    along = np.abs(np.linspace(-1, 1, side))
    soft = np.clip((1 - np.maximum(along[:, None], along[None])) * 6, 0, 1)[..., None]
    frames = []
    for n, person in enumerate(clip.frames):
        x = round((small.place[0] + small.moves * n / len(clip.frames)) * (small.width - side))
        y = round(small.place[1] * (small.height - side))
        frame = back.copy()
        near = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
        frame[y : y + side, x : x + side] += soft * (near - frame[y : y + side, x : x + side])
        frames.append(frame.astype(np.uint8))
    return frames


@pytest.mark.parametrize(
    "small",
    [
        Small(),
        *(
            pytest.param(small, marks=pytest.mark.slow)
            for small in (
                Small(yaw=30),
                Small(yaw=60, speaker=2),
                Small(yaw=-60),
                Small(1920, 1080, place=(0.95, 0.05)),
                Small(1920, 1080, share=0.06, yaw=30),
                Small(720, 1280, place=(0.5, 0.7)),
                Small(854, 480, share=0.09, speaker=3),
                Small(moves=0.3, speaker=4),
                Small(crf=34),
            )
        ),
    ],
    ids=str,
)
def test_a_small_face_is_kept(small: Small, tmp_path: Path) -> None:
    clip = make_clip(seed=5, speaker=small.speaker, index=1, seconds=(1.6, 2.2), knobs=Knobs(yaw=small.yaw))
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "talk.mp4"
    media.write_video(file, pictures(small, clip), audio=clip.audio, quality=small.crf)
    prepare(tmp_path / "in", tmp_path / "out")
    opened = shards.open_shards(tmp_path / "out")
    rows = opened.manifest()
    assert (rows.status == "ok").all(), rows.detail.tolist()
    assert rows.kept.sum() >= 0.95
    # It is the person: the landmarks' box has the height that was rendered.
    high = [np.ptp(opened.get(key).landmarks[..., 1], axis=1).mean() for key in opened.keys()]
    assert np.mean(high) == pytest.approx(small.share * small.height, rel=0.25)
