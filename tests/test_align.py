"""Geometry: receipts cut where they say, and lead back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tkbench import align
from tkbench.errors import BadInput, UnknownName


def face(frames: int = 20, centre: tuple[float, float] = (120.0, 100.0), size: float = 80.0) -> np.ndarray:
    """Landmarks whose box is `size` high and 0.8 of that wide, (frames, 478, 2)."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2))
    points[:4] = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
    one = np.array(centre) + points * [0.8 * size, size]
    return np.repeat(one[None], frames, axis=0).astype(np.float32)


affines = hnp.arrays(np.float64, (3, 2, 3), elements=st.floats(-3, 3)).filter(
    lambda m: (np.abs(np.linalg.det(m[:, :, :2])) > 0.05).all()
)


@given(affines)
def test_inverse_leads_back(forward: np.ndarray) -> None:
    points = np.random.default_rng(0).uniform(0, 100, (3, 7, 2))
    there = align.apply(forward, points)
    np.testing.assert_allclose(align.apply(align.invert(forward), there), points, rtol=0, atol=1e-6)
    np.testing.assert_allclose(align.invert(align.invert(forward)), forward, rtol=0, atol=1e-8)


@given(st.floats(20, 500), st.floats(20, 500), st.floats(10, 300))
def test_the_syncnet_crop_is_the_published_geometry(x: float, y: float, size: float) -> None:
    """With s half of the detector-like box: 2.8 s wide, the box at its top, 0.4 s from its left edge."""
    landmarks = face(15, (x, y), size)
    forward = align.matrices(landmarks, "syncnet-224")
    s = 0.5 * 1.04 * size
    corners = align.apply(
        align.invert(forward), np.array([[[-0.5, -0.5], [223.5, 223.5]]]).repeat(15, axis=0)
    )
    cy = y - 0.035 * size
    # Like a slice of pixels: what begins at pixel 7 has its edge at 6.5.
    np.testing.assert_allclose(corners[7, 0] + 0.5, [x - 1.4 * s, cy - s], atol=0.05)
    np.testing.assert_allclose(corners[7, 1] + 0.5, [x + 1.4 * s, cy + 1.8 * s], atol=0.05)


@pytest.mark.parametrize("recipe", sorted(align.RECIPES))
def test_the_face_lies_inside_its_crop(recipe: str) -> None:
    landmarks = face()
    inside = align.apply(align.matrices(landmarks, recipe), landmarks)
    height, width = align.RECIPES[recipe].size
    # The box of the crop is a little higher than the landmarks: the chin may stick out by a few pixels.
    assert inside.min() > -0.5
    assert inside[..., 0].max() < width
    assert inside[..., 1].max() < height * 1.03


def test_one_wild_frame_does_not_move_the_syncnet_crop() -> None:
    landmarks = face()
    wild = landmarks.copy()
    wild[9] += 40
    assert np.array_equal(align.matrices(landmarks, "syncnet-224"), align.matrices(wild, "syncnet-224"))


@given(st.integers(1, 30), st.floats(-60, 60), st.floats(-60, 60))
@settings(max_examples=25)
def test_a_shifted_face_has_a_shifted_crop(frames: int, dx: float, dy: float) -> None:
    landmarks = face(frames)
    moved = landmarks + np.array([dx, dy], np.float32)
    before, after = align.matrices(landmarks, "face-128"), align.matrices(moved, "face-128")
    np.testing.assert_allclose(
        align.apply(after, moved), align.apply(before, landmarks), rtol=0, atol=2e-3
    )  # float32 landmarks


def test_the_identity_changes_nothing() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    same = np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (3, 1, 1))
    assert np.array_equal(align.warp(frames, same, (20, 30)), frames)
    assert np.array_equal(align.paste(frames, frames, same), frames)


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_a_whole_shift_moves_pixels_exactly(dx: int, dy: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), np.uint8)
    moved = align.warp(frame, np.array([[[1.0, 0, dx], [0, 1.0, dy]]]), (20, 20), border=7)
    want = np.full_like(frame, 7)
    source = frame[:, max(0, -dy) : 20 - max(0, dy), max(0, -dx) : 20 - max(0, dx)]
    want[:, max(0, dy) : 20 - max(0, -dy), max(0, dx) : 20 - max(0, -dx)] = source
    assert np.array_equal(moved, want)


def test_a_strong_reduction_is_a_mean_and_stays_in_place() -> None:
    """A checkerboard of single pixels becomes grey, not a pattern; a step stays where it was."""
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    frame[:, ::2, ::2] = 255
    frame[:, 1::2, 1::2] = 255
    matrix = np.array([[[0.25, 0, -0.375], [0, 0.25, -0.375]]])  # whole frame to 16 x 16
    small = align.warp(frame, matrix, (16, 16))
    assert np.abs(small.astype(int) - 128).max() <= 1
    step = np.zeros((1, 64, 64, 3), np.uint8)
    step[:, :, 32:] = 200
    assert np.array_equal(
        np.flatnonzero(align.warp(step, matrix, (16, 16))[0, 8, :, 0] > 100), np.arange(8, 16)
    )


def test_crop_and_paste_restore_a_smooth_picture() -> None:
    y, x = np.mgrid[0:200, 0:240]
    frames = np.repeat(np.stack([x, y, (x + y) // 2], -1)[None].astype(np.uint8), 4, axis=0)
    landmarks = face(4)
    forward = align.matrices(landmarks, "face-128")
    crops = align.crop(frames, landmarks, "face-128")
    assert crops.shape == (4, 128, 128, 3)
    back = align.paste(np.zeros_like(frames), crops, forward)
    inside = back.any(axis=-1)
    assert inside.mean() > 0.1
    assert np.abs(back.astype(int) - frames)[inside].max() <= 2


def test_wrong_arguments_say_what_was_expected() -> None:
    with pytest.raises(UnknownName, match="did you mean syncnet-224"):
        align.matrices(face(), "syncnet-242")
    with pytest.raises(BadInput, match="expected"):
        align.matrices(np.zeros((0, 478, 2)), "face-128")
    with pytest.raises(BadInput, match="nan"):
        align.matrices(np.full((2, 478, 2), np.nan), "face-128")
    with pytest.raises(BadInput, match="matrices for"):
        align.warp(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 2, 3)), (4, 4))
