"""Geometry: receipts cut where they say, and lead back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tkbench.crops import align, recipes
from tkbench.errors import BadInput, UnknownName
from tkbench.types import Float64


def face(frames: int = 20, centre: tuple[float, float] = (120.0, 100.0), size: float = 80.0) -> np.ndarray:
    """Landmarks whose box is `size` high and 0.8 of that wide, (frames, 478, 2), eyes and nose in place."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2))
    points[list(recipes.IBUG_OF_MESH[27:45])] = (np.array(recipes._ATVG_TEMPLATE) - (65, 65)) / 130
    points[:4] = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
    one = np.array(centre) + points * [0.8 * size, size]
    return np.repeat(one[None], frames, axis=0).astype(np.float32)


affines = hnp.arrays(np.float64, (3, 2, 3), elements=st.floats(-3, 3)).filter(
    lambda m: (np.abs(m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]) > 0.05).all()
)


@given(affines)
@settings(deadline=None)
def test_inverse_leads_back(forward: np.ndarray) -> None:
    points = np.random.default_rng(0).uniform(0, 100, (3, 7, 2))
    there = align.apply(forward, points)
    np.testing.assert_allclose(align.apply(align.invert(forward), there), points, rtol=0, atol=1e-6)
    np.testing.assert_allclose(align.invert(align.invert(forward)), forward, rtol=0, atol=1e-8)


@given(st.floats(20, 500), st.floats(20, 500), st.floats(10, 300))
@settings(deadline=None)
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


@pytest.mark.parametrize("recipe", ["syncnet-224", "face-128", "wav2lip-96", "wav2lip-96-lists"])
def test_the_face_lies_inside_its_crop(recipe: str) -> None:
    landmarks = face()
    inside = align.apply(align.matrices(landmarks, recipe), landmarks)
    height, width = align.RECIPES[recipe].size
    # The detector's box is a little higher than the landmarks: the chin may stick out by a few pixels.
    assert inside.min() > -0.5
    assert inside[..., 0].max() < width
    assert inside[..., 1].max() < height * 1.03


def test_one_wild_frame_does_not_move_the_syncnet_crop() -> None:
    landmarks = face()
    wild = landmarks.copy()
    wild[9] += 40
    assert np.array_equal(align.matrices(landmarks, "syncnet-224"), align.matrices(wild, "syncnet-224"))


NAMES = sorted(align.RECIPES)


def moving(frames: int, points: int = 478) -> np.ndarray:
    """A face that wanders, grows and nods, float64."""
    t = np.arange(frames)[:, None, None]
    one = face(frames).astype(np.float64)
    middle = one.mean(axis=(0, 1))
    walk = np.concatenate([6 * np.sin(t / 3), 4 * np.cos(t / 5)], axis=2)
    out = (one - middle) * (1 + 0.05 * np.sin(t / 4)) + middle + walk
    return out if points == 478 else recipes.ibug68(out)


@pytest.mark.parametrize("points", [478, 68])
@pytest.mark.parametrize("recipe", NAMES)
@given(st.integers(1, 30), st.floats(-60, 60), st.floats(-60, 60))
@settings(max_examples=10, deadline=None)
def test_a_shifted_face_has_the_same_crop(
    recipe: str, points: int, frames: int, dx: float, dy: float
) -> None:
    landmarks = moving(frames, points)
    moved = landmarks + np.array([dx, dy])
    before, after = align.matrices(landmarks, recipe), align.matrices(moved, recipe)
    np.testing.assert_allclose(align.apply(after, moved), align.apply(before, landmarks), rtol=0, atol=1e-6)


@pytest.mark.parametrize("points", [478, 68])
@pytest.mark.parametrize("recipe", NAMES)
@given(st.floats(0.3, 4.0))
@settings(max_examples=10, deadline=None)
def test_a_larger_face_has_the_same_crop(recipe: str, points: int, by: float) -> None:
    """A box is a slice of pixels in its source: what begins at pixel 7 has its edge at 6.5. So a box follows the
    scale there, half a pixel beside its landmarks. Pads do not scale: they are pixels of the picture.
    """
    landmarks = moving(12, points)
    grown = landmarks * by
    before, after = align.matrices(landmarks, recipe), align.matrices(grown, recipe)
    half = 0.0 if align.RECIPES[recipe].kind == "similarity" else 0.5
    if not any(align.RECIPES[recipe].pads):
        one, two = align.apply(before, landmarks - half), align.apply(after, grown - half)
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-6)
        return
    bottoms = [
        align.apply(align.invert(m), np.full((12, 1, 2), 95.5))[:, 0, 1] + 0.5 for m in (before, after)
    ]
    np.testing.assert_allclose(bottoms[1] - 10, by * (bottoms[0] - 10), rtol=0, atol=1e-6)


@pytest.mark.parametrize("recipe", NAMES)
def test_a_recipe_is_one_function_of_the_track(recipe: str) -> None:
    landmarks = moving(20)
    one = align.matrices(landmarks, recipe)
    assert one.dtype == np.float64
    assert one.tobytes() == align.matrices(landmarks.copy(), recipe).tobytes()
    rule = align.RECIPES[recipe]
    twice = align.matrices(landmarks, recipe, size=(2 * rule.size[0], 2 * rule.size[1]))
    grown = (align.apply(one, landmarks) + 0.5) * 2 - 0.5
    np.testing.assert_allclose(align.apply(twice, landmarks), grown, rtol=0, atol=1e-9)


def test_signatures_tell_recipes_apart() -> None:
    lines = [rule.signature() for rule in align.RECIPES.values()]
    assert len(set(lines)) == len(lines)
    for name, rule in align.RECIPES.items():
        assert rule.signature().startswith(f"{name}/{rule.version}(")
        assert "|" not in rule.signature()
        assert rule.source
    assert set(recipes.STORED) <= set(align.RECIPES)


def boxes_as_wav2lip_smooths_them(boxes: np.ndarray, window: int) -> np.ndarray:
    """The definition, frame by frame: the mean of what lies ahead; at the end of the last ones, in place."""
    out = [box.copy() for box in boxes]
    for i in range(len(out)):
        ahead = out[len(out) - window :] if i + window > len(out) else out[i : i + window]
        out[i] = np.mean(ahead, axis=0)
    return np.array(out)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 9, 40])
def test_wav2lip_boxes_are_the_mean_of_those_ahead(frames: int) -> None:
    landmarks = moving(frames)
    x, y, wide, tall = recipes.face_box(landmarks)
    boxes = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2 + 10], axis=1)
    wanted = boxes_as_wav2lip_smooths_them(boxes, 5)
    corners = np.array([[[-0.5, -0.5], [95.5, 95.5]]]).repeat(frames, axis=0)
    found = align.apply(align.invert(align.matrices(landmarks, "wav2lip-96")), corners).reshape(-1, 4) + 0.5
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


def test_face_128_is_the_box_of_each_frame() -> None:
    landmarks = moving(15)
    alone = np.concatenate([align.matrices(frame[None], "face-128") for frame in landmarks])
    assert np.array_equal(align.matrices(landmarks, "face-128"), alone)
    corners = np.array([[[-0.5, -0.5], [127.5, 127.5]]]).repeat(15, axis=0)
    sides = np.diff(align.apply(align.invert(alone), corners), axis=1)[:, 0]
    box = landmarks.max(axis=1) - landmarks.min(axis=1)
    np.testing.assert_allclose(sides, 1.04 * box, rtol=1e-9)


@given(st.floats(-1.0, 1.0), st.floats(0.3, 3.0), st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_atvg_lays_eyes_and_nose_on_its_template(turn: float, grow: float, dx: float, dy: float) -> None:
    """A face that is the template, turned, grown and moved, comes back to it."""
    template = np.array(align.RECIPES["atvg-128"].template, float)
    spin = grow * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.zeros((2, 68, 2))
    points[:, 27:45] = template @ spin.T + (dx, dy)
    forward = align.matrices(points, "atvg-128")
    np.testing.assert_allclose(align.apply(forward, points[:, 27:45])[1], template, rtol=0, atol=1e-6)


def test_atvg_is_the_fit_of_scikit_image() -> None:
    """The source's own call: SimilarityTransform from the template to the points, used backwards by warp."""
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(1)
    points = recipes.ibug68(moving(4)) + rng.normal(0, 2, (4, 68, 2))
    for found, frame in zip(align.matrices(points, "atvg-128"), points, strict=True):
        template = np.array(align.RECIPES["atvg-128"].template, float)
        if hasattr(SimilarityTransform, "from_estimate"):  # scikit-image 0.26
            fit = SimilarityTransform.from_estimate(template, frame[27:45])
        else:
            fit = SimilarityTransform()
            fit.estimate(template, frame[27:45])
        np.testing.assert_allclose(found, np.linalg.inv(fit.params)[:2], rtol=0, atol=1e-9)


@pytest.mark.parametrize("recipe", ["syncnet-224", "face-128", "wav2lip-96"])
def test_68_points_give_nearly_the_crop_of_the_mesh(recipe: str, clips: Path) -> None:
    """On real faces the box that 68 points stand for lies within 6 % of the mesh's (largest gap seen: see text).

    The jaw decides: an open mouth moves the chin of both sets, but not by the same share of the box.
    """
    from tkbench import media
    from tkbench.prep import backends

    path = clips / "syncnet_python__example.avi"
    mesh = backends.shared(backends.DEFAULT)
    mesh.restart()
    frames = media.stream_frames(path, media.probe(path), select=media.FrameSelection(seconds=1.0))
    seen = [mesh.track([np.ascontiguousarray(frame)])[0] for frame in frames]
    landmarks = np.stack([points for points in seen if points is not None]).astype(np.float64)
    assert len(landmarks) >= 20
    one = align.invert(align.matrices(landmarks, recipe))
    two = align.invert(align.matrices(recipes.ibug68(landmarks), recipe))
    side = align.RECIPES[recipe].size[0] - 0.5
    corners = np.array([[[-0.5, -0.5], [side, side]]]).repeat(len(landmarks), axis=0)
    width = np.ptp(align.apply(one, corners)[:, :, 0], axis=1)
    gap = np.abs(align.apply(one, corners) - align.apply(two, corners)).max(axis=(1, 2)) / width
    assert gap.max() < 0.06


def test_the_identity_changes_nothing() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    same = np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (3, 1, 1))
    assert np.array_equal(align.warp(frames, same, (20, 30)), frames)
    assert np.array_equal(align.paste(frames, frames, same), frames)


@given(st.integers(-5, 5), st.integers(-5, 5))
@settings(deadline=None)
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


@pytest.mark.parametrize("recipe", NAMES)
def test_every_recipe_crops_and_pastes_back(recipe: str) -> None:
    """A smooth picture comes back within 3 grey levels where the crop was, and untouched elsewhere.

    Two roundings and two bilinear samplings of gradients of about one level per pixel; 2 is the largest seen.
    """
    y, x = np.mgrid[0:220, 0:260]
    frames = np.repeat(np.stack([x, y, (x + y) // 2], -1)[None].astype(np.uint8), 6, axis=0)
    forward = align.matrices(moving(6), recipe)
    size = align.RECIPES[recipe].size
    crops = align.warp(frames, forward, size, border=align.RECIPES[recipe].border)
    other = np.full_like(frames, 255)
    back = align.paste(other, crops, forward)
    inside = (back != other).any(axis=-1)
    # The rim samples what lies outside of a crop that reaches over the picture's edge: leave out 2 pixels.
    corner = align.apply(forward, np.stack([x, y], -1).reshape(1, -1, 2).repeat(6, axis=0)).reshape(
        6, *x.shape, 2
    )
    deep = ((corner > 2) & (corner < np.array(size[::-1]) - 3)).all(axis=-1)
    assert deep.mean() > 0.05
    assert np.abs(back.astype(int) - frames)[deep].max() <= 3
    assert not inside[~((corner > -1) & (corner < np.array(size[::-1]))).all(axis=-1)].any()


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
    with pytest.raises(BadInput, match="77 landmarks"):
        align.matrices(np.zeros((2, 77, 2)), "face-128")
    with pytest.raises(BadInput, match="matrices for"):
        align.warp(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 2, 3)), (4, 4))


def turned(rng: np.random.Generator) -> Float64:
    """Any turn, size and shift, and a little shear."""
    turn, size = rng.uniform(-3, 3), rng.uniform(0.3, 3)
    linear = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = rng.uniform(-100, 300, (2, 1))
    return np.concatenate([linear + rng.normal(0, 0.05, (2, 2)), shift], axis=1)


@pytest.mark.skipif(not cv2.__version__.startswith("4."), reason="OpenCV 5 looks pixels up in another way")
@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_the_grid_is_that_of_opencv_4(how: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (300, 400, 3)).astype(np.uint8)
    for _ in range(100):
        affine = turned(rng)
        expected = cv2.warpAffine(picture, affine, (128, 96), flags=how, borderMode=cv2.BORDER_REPLICATE)
        grid = align.grid_of_opencv_4(affine, (128, 96))
        found = cv2.remap(picture, *grid, how, borderMode=cv2.BORDER_REPLICATE)
        np.testing.assert_array_equal(found, expected)


def test_crops_are_the_same_with_every_opencv() -> None:
    """The bits of OpenCV 4.9 and 4.11. Bicubic ones are not the same: 5 is one grey level aside in 0.2 % of pixels."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (300, 400, 3)).astype(np.uint8)
    digest = hashlib.sha256()
    for _ in range(20):
        crop = align.warp_affine(picture, turned(rng), (128, 96), cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        digest.update(crop.tobytes())
    assert digest.hexdigest()[:16] == "838b35e5b9bf0518"
