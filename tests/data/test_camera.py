"""Other cameras for training windows: the same for a window and its reference, and nothing but the picture changes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tkbench.data import camera
from tkbench.data.camera import Camera
from tkbench.data.windows import WindowSpec
from tkbench.errors import UsageError
from tkbench.types import UInt8


def faces(count: int = 2, size: tuple[int, int] = (48, 64)) -> UInt8:
    """Smooth pictures, one like the other."""
    down, right = (np.linspace(0, 1, n) for n in size)
    waves = 128 + 60 * np.sin(5 * right)[None, :] * np.cos(4 * down)[:, None]
    one = np.stack([waves, 0.8 * waves, 0.6 * waves], axis=-1)
    return np.repeat(one[None].round().astype(np.uint8), count, axis=0)


def film(chosen: Camera, pictures: UInt8 | None = None, seed: int = 0) -> UInt8:
    return camera.film(faces() if pictures is None else pictures, chosen, np.random.default_rng(seed))


def test_a_camera_that_changes_nothing_gives_the_same_pictures() -> None:
    gap = film(Camera()).astype(int) - faces()
    assert np.abs(gap).max() <= 1
    assert (camera.place(np.ones((2, 48, 64), np.uint8), Camera()) == 1).all()


def test_light_is_linear_light() -> None:
    """Half of the light is 2 ** (-1 / 2.2) of the stored value; a channel's gain leaves the others alone."""
    bright = np.full((1, 16, 16, 3), 200, np.uint8)
    dark = film(Camera(gains=(0.5, 0.5, 0.5)), bright)
    assert dark == pytest.approx(200 * 0.5 ** (1 / 2.2), abs=1)
    red = film(Camera(gains=(0.5, 1.0, 1.0)), bright)
    assert (red[..., 1:] == 200).all()
    assert (red[..., 0] == dark[..., 0]).all()


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_a_lamp_lights_its_own_side(quarter: int) -> None:
    flat = np.full((1, 33, 33, 3), 120, np.uint8)
    lit = film(Camera(side=0.5, towards=quarter * np.pi / 2), flat)[0, :, :, 0].astype(int)
    right, below, left, above = lit[16, -1], lit[-1, 16], lit[16, 0], lit[0, 16]
    sides = [right, below, left, above]
    assert int(np.argmax(sides)) == quarter
    assert abs(lit[16, 16] - 120) <= 1
    assert sides[(quarter + 2) % 4] < 120 < sides[quarter]


def test_framing_moves_mask_and_picture_alike() -> None:
    spot = np.zeros((1, 60, 60, 3), np.uint8)
    spot[0, 20:30, 35:45] = 255
    chosen = Camera(turn=4, scale=1.08, stretch=0.95, shift=(0.03, -0.04))
    seen = film(chosen, spot)[0, :, :, 0] > 127
    mask = camera.place(np.asarray(spot[..., 0] > 0, np.uint8), chosen)[0] > 0
    assert (seen != mask).sum() < 0.1 * mask.sum()
    middle = np.argwhere(mask).mean(axis=0)[::-1]
    told = chosen.matrix((60, 60)) @ [39.5, 24.5, 1]
    assert middle == pytest.approx(told, abs=0.5)
    assert np.linalg.det(chosen.matrix((60, 60))[:, :2]) == pytest.approx(1.08**2)


def test_noise_is_fresh_in_each_frame_and_of_its_size() -> None:
    flat = np.full((2, 64, 64, 3), 128, np.uint8)
    grainy = film(Camera(noise=6), flat).astype(float) - 128
    assert 5.5 < grainy.std() < 7.5
    assert abs(np.corrcoef(grainy[0].ravel(), grainy[1].ravel())[0, 1]) < 0.1
    assert not (film(Camera(noise=6), flat, seed=1) == film(Camera(noise=6), flat)).all()


def test_detail_and_codec_take_away_and_sharpening_adds() -> None:
    rng = np.random.default_rng(3)
    busy = rng.integers(60, 190, (1, 64, 64, 3)).astype(np.uint8)

    def edges(pictures: UInt8) -> float:
        return float(np.abs(np.diff(pictures.astype(float), axis=2)).mean())

    assert edges(film(Camera(detail=0.5), busy)) < 0.7 * edges(busy)
    assert edges(film(Camera(sharpened=0.8), busy)) > 1.2 * edges(busy)
    gaps = [np.abs(film(Camera(quality=q), busy).astype(int) - busy).mean() for q in (95, 60, 25)]
    assert gaps == sorted(gaps)
    assert gaps[0] > 0


@given(st.integers(0, 2**31))
def test_every_camera_by_chance_shows_a_face(seed: int) -> None:
    chosen = camera.drawn(np.random.default_rng(seed))
    assert chosen == camera.drawn(np.random.default_rng(seed))
    shown = film(chosen)
    assert shown.shape == faces().shape
    assert shown.dtype == np.uint8
    assert 8 < shown.mean() < 250
    assert shown.std() > 3


def test_each_setting_of_a_camera_is_drawn() -> None:
    """None is left at its plain value for good."""
    cameras = [camera.drawn(np.random.default_rng(seed)) for seed in range(20)]
    for one in fields(Camera):
        assert len({getattr(c, one.name) for c in cameras}) > 5, one.name


def test_a_share_is_a_share() -> None:
    with pytest.raises(UsageError, match=r"camera = 1\.5: a share of the windows"):
        WindowSpec(camera=1.5)
