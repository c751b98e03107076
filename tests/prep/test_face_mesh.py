"""Face Mesh by its networks alone: against the runtime of the mediapipe wheel, and against what must be true anyway."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import attention as steps
from support.faces import LOST, mesh_crops, moving_face, photo

from tkbench import weights
from tkbench.errors import UsageError, WeightsRefused
from tkbench.prep import backends
from tkbench.prep.backends import detection, litert
from tkbench.prep.backends.detection import Face, LiteRTDetector
from tkbench.prep.backends.facemesh import MeshTracker
from tkbench.prep.backends.mesh_network import N_MESH, AttentionMesh, PlainMesh
from tkbench.prep.backends.quiet import quiet
from tkbench.prep.backends.wheel import mediapipe
from tkbench.prep.backends.window import SIDE, Window, WindowView, letterbox
from tkbench.types import Array, Float32, UInt8

GOLDEN = Path(__file__).parent / "golden" / "face_mesh.npz"
"""Written by make_face_mesh.py beside it."""
CLOSE = 5e-4
"""Pixels of 192. The largest gap to the wheel's runtime over 4,200 frames of real and synthetic clips is 2e-4."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Array]:
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def mesh() -> Iterator[AttentionMesh]:
    network = AttentionMesh()
    yield network
    network.close()


@pytest.fixture
def wheel() -> None:
    """The runtime of mediapipe<0.10.22, where it is installed."""
    if importlib.util.find_spec("mediapipe") is None or not hasattr(mediapipe(), "solutions"):
        pytest.skip("needs mediapipe<0.10.22")


# -- the networks --------------------------------------------------------------------------------------------


def test_refined_points_are_those_of_the_wheel(mesh: AttentionMesh, golden: dict[str, Array]) -> None:
    for crop, points, score in zip(mesh_crops(), golden["points"], golden["scores"], strict=True):
        found, likely = mesh(crop)
        np.testing.assert_allclose(found, points, rtol=0, atol=CLOSE)
        assert likely == pytest.approx(score, abs=1e-4)
    assert (golden["scores"] > 0).tolist() == [True, True, False, True, True, False]


def test_plain_points_are_those_of_the_wheel(golden: dict[str, Array]) -> None:
    network = PlainMesh()
    for crop, points, score in zip(mesh_crops(), golden["plain_points"], golden["plain_scores"], strict=True):
        found, likely = network(crop)
        np.testing.assert_allclose(found, points, rtol=0, atol=CLOSE)
        assert likely == pytest.approx(score, abs=1e-4)


def test_lips_alone_are_those_of_the_whole_network(mesh: AttentionMesh) -> None:
    lips = AttentionMesh(lips_only=True)
    eyes = sorted({*steps.REGIONS[1].points, *steps.REGIONS[2].points})
    for crop in mesh_crops():
        (whole, one), (found, other) = mesh(crop), lips(crop)
        assert one == other
        assert found.shape == (2, N_MESH)
        np.testing.assert_array_equal(
            np.delete(found, eyes, axis=1), np.delete(whole[:, :N_MESH], eyes, axis=1)
        )
        assert (found[:, eyes] != whole[:, eyes]).any(axis=0).all()


def test_an_answer_stays_what_it_was(mesh: AttentionMesh) -> None:
    """The networks' own memory is used again; what was given out is not."""
    for network in (mesh, PlainMesh()):
        first, _ = network(mesh_crops()[0])
        kept = first.copy()
        network(mesh_crops()[1])
        np.testing.assert_array_equal(first, kept)


def test_a_mirrored_face_has_mirrored_points(mesh: AttentionMesh) -> None:
    """The networks were not made symmetric: the gaps are 0.5 pixels of 192 on average and 1.9 at most."""
    (one, _), (two, _) = mesh(mesh_crops()[0]), mesh(mesh_crops()[1])
    pairs = [
        (468, 473),
        (33, 263),
        (133, 362),
        (61, 291),
        (78, 308),
        (234, 454),
        (13, 13),
        (152, 152),
        (4, 4),
    ]
    left, right = np.array(pairs).T
    across = two[:, np.concatenate([right, left])]
    across[0] = SIDE - across[0]
    assert np.abs(across - one[:, np.concatenate([left, right])]).max() < 3


def test_what_was_closed_says_so() -> None:
    for closed in (AttentionMesh(), PlainMesh(), LiteRTDetector()):
        closed.close()
        closed.close()
        with pytest.raises(ValueError, match="was closed"):
            closed.faces(photo()) if isinstance(closed, LiteRTDetector) else closed(mesh_crops()[0])


def test_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(weights.find("face-mesh-lips").read_bytes()[:-1] + b"x")
    monkeypatch.setattr(weights, "place", lambda _: other)
    with pytest.raises(WeightsRefused, match="is not face-mesh-plain: sha256"):
        litert.Network("face-mesh-plain")


def test_the_package_brings_every_network_and_a_notice() -> None:
    packed = [
        weights.get(name) for name in weights.known() if name.startswith(("face-mesh-", "face-detection-"))
    ]
    assert len(packed) == 5
    for weight in packed:
        weights.find(weight.name)
    folder = weights.place(packed[0]).parent
    notice = (folder / "NOTICE").read_text(encoding="utf-8")
    for path in folder.glob("*.tflite"):
        assert path.name in notice
    assert {path.name for path in folder.glob("*.tflite")} == {Path(weight.file).name for weight in packed}


# -- the three steps -----------------------------------------------------------------------------------------


def inside_of(weight: str, *inputs: Array) -> dict[str, Array]:
    """What is inside of a network, by name, after a run by LiteRT's plain kernels: its answers and its regions."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    network = Interpreter(
        model_path=str(weights.find(weight)),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    network.allocate_tensors()
    for facts, given in zip(network.get_input_details(), inputs, strict=True):
        network.set_tensor(facts["index"], given.reshape(facts["shape"]).astype(np.float32))
    network.invoke()
    wanted = re.compile("answer|features|(lips|eyes)/(axes|middles|features)")
    return {
        facts["name"]: network.get_tensor(facts["index"])
        for facts in network.get_tensor_details()
        if wanted.fullmatch(facts["name"])
    }


def matrices_in(inside: dict[str, Array], name: str) -> Array:
    """(R, 2, 3), as MediaPipe has them."""
    axes, middles = inside[f"{name}/axes"], inside[f"{name}/middles"]
    start = middles[:, 0, :, None] - axes @ np.full((2, 1), steps.REGION_SIDE / 2, np.float32)
    return np.concatenate([axes, start], axis=2)


def test_steps_are_those_of_the_wheel(golden: dict[str, Array]) -> None:
    for crop, matrices, features in zip(mesh_crops(), golden["matrices"], golden["features"], strict=True):
        lips = inside_of("face-mesh-lips", crop * np.float32(1 / 255))
        eyes = inside_of("face-mesh-eyes", lips["features"], lips["answer"])
        found = np.concatenate([matrices_in(lips, "lips"), matrices_in(eyes, "eyes")])
        np.testing.assert_allclose(found, matrices, rtol=0, atol=5e-5)
        looked_up = np.concatenate([lips["lips/features"], eyes["eyes/features"]])[..., ::8]
        np.testing.assert_allclose(looked_up, features, rtol=0, atol=1e-3)
        # The same by what the next tests hold against the truth.
        mesh = golden_mesh(lips["answer"]) / steps.PIXELS_PER_CELL
        np.testing.assert_allclose(steps.region_matrices(mesh, steps.REGIONS[1:]), found[1:], atol=5e-5)
    # In the fourth picture the region of an eye reaches beyond the map.
    outside = (golden["features"] == 0).all(axis=-1).any(axis=(2, 3))
    assert outside.sum() == 1
    assert outside[3].any()


def golden_mesh(answer: Array) -> Float32:
    """(468, 2) of the answer of the network of mesh and lips."""
    return np.ascontiguousarray(answer[0, : 2 * N_MESH].reshape(2, N_MESH).T)


def test_steps_are_right_for_any_mesh_and_features(mesh: AttentionMesh) -> None:
    """Regions of any size and turn, of which some reach far beyond the map, and features that are noise."""
    rng = np.random.default_rng(0)
    real, _ = mesh(mesh_crops()[0])
    outside = 0
    for size, turn, shift in ((1, 0.3, 0), (1.8, -2, 20), (0.2, 3, -60), (3, 1.2, 70)):
        axes = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = axes @ (real[:, :N_MESH] - SIDE / 2) + SIDE / 2 + [[shift], [-shift]]
        features = rng.normal(size=(48, 48, 32)).astype(np.float32)
        answer = np.append(points, 1.0).astype(np.float32)
        inside = inside_of("face-mesh-eyes", features, answer)
        expected = steps.region_matrices((points.T / 4).astype(np.float32), steps.REGIONS[1:])
        np.testing.assert_allclose(matrices_in(inside, "eyes"), expected, atol=2e-4)
        looked_up = steps.region_features(features, matrices_in(inside, "eyes"))
        # On the map's edge the last bits decide whether a cell is outside.
        near = np.isclose(looked_up, inside["eyes/features"], atol=2e-3).all(axis=-1)
        assert (~near).mean() < 0.01
        outside += (looked_up == 0).all(axis=-1).sum()
    assert outside > 500


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.2])
def test_a_region_is_level_with_its_corners_around_its_points(turn: float) -> None:
    """A rectangle of points, 8 wide and 4 high, turned: the region is 1.5 times as large, with the same middle."""
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.array([(-4, 0), (4, 0), (0, -3), (0, 1)]) @ axes.T + (20, 25)
    region = steps.Region((0, 1), (0, 1, 2, 3))
    (matrix,) = steps.region_matrices(points.astype(np.float32), [region])
    corners = matrix @ np.array([(0, 0, 1), (16, 0, 1), (0, 16, 1), (8, 8, 1)], np.float32).T
    expected = np.array([(-6, -4), (6, -4), (-6, 2), (0, -1)]) @ axes.T + (20, 25)
    np.testing.assert_allclose(corners.T, expected, atol=1e-4)
    # What the branch answers is in pixels of the region, of which a cell has four.
    placed = steps.place_points(np.array([(32, 32), (0, 64)], np.float32), matrix)
    np.testing.assert_allclose(placed.T, 4 * expected[[3, 2]], atol=1e-3)


def test_features_of_a_slope_are_exact_and_0_outside() -> None:
    """Between cells everything is linear, so a map that is linear is met exactly."""
    row, column = np.mgrid[:48, :48].astype(np.float32)
    features = np.stack([column, row, 0 * row + 1], axis=2)
    matrices = np.array([[[0.9, 0.2, 4], [-0.2, 0.8, 9]], [[2, 0, 30], [0, 1, -6]]], np.float32)
    found = steps.region_features(features, matrices)
    centres = np.stack([*np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5), np.ones((16, 16))])
    for matrix, region in zip(matrices, found, strict=True):
        x, y = np.einsum("ik,kab->iab", matrix, centres) - 0.5
        inside = (x >= 0) & (x <= 47) & (y >= 0) & (y <= 47)
        expected = np.where(inside, [x, y, np.ones_like(x)], 0)
        np.testing.assert_allclose(np.moveaxis(region, 2, 0), expected, atol=1e-4)
    assert (found[1] == 0).all(axis=2).mean() > 0.5


def test_corners_in_one_place_leave_the_region_upright(mesh: AttentionMesh) -> None:
    """MediaPipe takes the angle between two corners, which is 0 where they lie in one place."""
    points, _ = mesh(mesh_crops()[0])
    for region in steps.REGIONS[1:]:
        points[:, region.corners[0]] = points[:, region.corners[1]]
    answer = np.append(points[:, :N_MESH], 1.0).astype(np.float32)
    inside = inside_of("face-mesh-eyes", np.ones((48, 48, 32), np.float32), answer)
    assert np.isfinite(inside["answer"]).all()
    expected = steps.region_matrices(golden_mesh(answer[None]) / 4, steps.REGIONS[1:])
    np.testing.assert_allclose(matrices_in(inside, "eyes"), expected, atol=1e-4)
    assert (inside["eyes/axes"][:, 0, 1] == 0).all()


# -- the window ----------------------------------------------------------------------------------------------


def windows() -> list[Window]:
    rng = np.random.default_rng(0)
    out = []
    for _ in range(40):
        turn, scale = rng.uniform(-1.5, 1.5), rng.uniform(0.3, 3)
        x, y = rng.uniform(0, 512, 2)
        out.append(Window(x, y, scale * np.cos(turn), scale * np.sin(turn)))
    return out


def test_what_is_seen_is_what_opencv_4_warps() -> None:
    view = WindowView()
    same = []
    for window in windows():
        half = SIDE / 2
        warp = np.array(
            (
                (window.right, -window.down, window.x - half * (window.right - window.down)),
                (window.down, window.right, window.y - half * (window.right + window.down)),
            )
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpAffine(photo(), warp, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        seen = view.look(photo(), window)
        # OpenCV 5 rounds its own warp in another way: up to a 32nd of a pixel aside.
        assert np.abs(seen.astype(int) - expected).mean() < 0.5
        same.append(np.array_equal(seen, expected))
    assert all(same) or not cv2.__version__.startswith("4.")


def test_a_window_shows_its_part_of_a_slope() -> None:
    """Seen through a window, the picture x / 2 is what the window's matrix says, rounded."""
    slope = np.repeat((np.arange(400) // 2).astype(np.uint8)[None, :, None], 300, axis=0).repeat(3, axis=2)
    window = Window(200.0, 150.0, 0.8, 0.3)
    seen = WindowView().look(slope, window)[:, :, 0].astype(float)
    row, column = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    x = 200 + 0.8 * column - 0.3 * row
    assert np.abs(seen - np.clip(x - 0.5, 0, None) / 2).max() < 1


def test_to_picture_is_the_way_back() -> None:
    for window in windows():
        points = np.random.default_rng(1).uniform(0, SIDE, (2, 30)).astype(np.float32)
        there = window.to_picture(points).astype(np.float64)
        across, along = there[0] - window.x, there[1] - window.y
        scale = window.right**2 + window.down**2
        back = np.array(
            [
                (across * window.right + along * window.down) / scale,
                (along * window.right - across * window.down) / scale,
            ]
        )
        np.testing.assert_allclose(back + SIDE / 2, points, atol=2e-3)


def test_a_rounded_window_is_near_and_stays() -> None:
    corners = np.array([(0, 0, SIDE, SIDE, SIDE / 2), (0, SIDE, 0, SIDE, SIDE / 2)], np.float32)
    for window in windows():
        near = window.rounded()
        # A sixteenth of a pixel each way for the middle, and as much each for growth and turn at the corners.
        moved = np.linalg.norm(near.to_picture(corners) - window.to_picture(corners), axis=0)
        moved /= np.hypot(window.right, window.down)
        assert moved[-1] <= np.sqrt(2) / 16 + 1e-3
        assert moved.max() <= 2 * np.sqrt(2) / 8
        again = near.rounded()
        np.testing.assert_allclose(
            [again.x, again.y, again.right, again.down], [near.x, near.y, near.right, near.down], rtol=1e-12
        )
        other = Window(window.x + 1e-9, window.y, window.right, window.down).rounded()
        assert other == near


def test_letterbox_is_the_whole_picture_in_a_square() -> None:
    for shape in ((300, 400), (400, 300), (512, 512), (90, 128)):
        picture = photo()[: shape[0], : shape[1]].copy()
        for side in (128, 192):
            seen = letterbox(picture, side)
            longer = max(shape)
            high, wide = (round(length / longer * side) for length in shape)
            top, left = (side - high) // 2, (side - wide) // 2
            assert (seen[: top - 1] == 0).all() if top > 1 else True
            assert (seen[:, : left - 1] == 0).all() if left > 1 else True
            assert np.abs(seen[top : top + high, left : left + wide].mean() - picture.mean()) < 4


# -- the tracker ---------------------------------------------------------------------------------------------


def as_array(track: list[Float32 | None]) -> Float32:
    count = next(len(points) for points in track if points is not None)
    nothing = np.full((count, 2), np.nan, np.float32)
    return np.array([nothing if points is None else points for points in track])


@pytest.mark.parametrize("rounded", [True, False])
def test_the_track_is_that_of_the_wheel(golden: dict[str, Array], rounded: bool) -> None:
    """Free tracks part by some hundredths of a pixel, exact windows or not: see `window`. First pictures do not."""
    with MeshTracker(rounded=rounded) as tracker:
        found = as_array(tracker.track(moving_face()))
    gap = np.linalg.norm(found - golden["track"], axis=2)
    assert np.isnan(gap).all(axis=1).tolist() == [t == LOST for t in range(20)]
    # Seen: 0.04 and 0.24 with rounded windows, 0.015 and 0.09 with exact ones.
    assert np.nanmean(gap) < (0.12 if rounded else 0.05)
    assert np.nanmax(gap) < 1.0
    if not rounded:
        assert gap[0].max() < 0.02


def test_the_wheel_gives_what_is_kept_of_it(golden: dict[str, Array], wheel: None) -> None:
    tracker = backends.open_backend("mediapipe-wheel")
    found = as_array(tracker.track(moving_face()))
    np.testing.assert_allclose(found[0], golden["track"][0], rtol=0, atol=0.02)
    assert np.nanmean(np.linalg.norm(found - golden["track"], axis=2)) < 0.05
    (near,), (far,) = (tracker.detect(moving_face()[0], far=far) for far in (False, True))
    np.testing.assert_allclose(near, golden["near"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(far, golden["far"], rtol=0, atol=1e-3)
    tracker.close()
    tracker.close()


@pytest.mark.parametrize("refined", [True, False])
def test_face_mesh_is_the_one_of_the_wheels_graph(wheel: None, refined: bool) -> None:
    """Our window and our way to the network against `FaceMesh.process`, on a face that moves, turns and is lost."""
    first = moving_face()[0]
    middle = (150, 120)
    turned = [cv2.warpAffine(first, cv2.getRotationMatrix2D(middle, 4 * t, 1), (300, 240)) for t in range(9)]
    pictures = [*turned, np.zeros_like(first), *moving_face()]
    gaps = []
    with (
        quiet(),
        mediapipe().solutions.face_mesh.FaceMesh(refine_landmarks=refined) as theirs,
        MeshTracker(refined="all" if refined else "none", rounded=False) as mesh,
    ):
        for picture, points in zip(pictures, mesh.track(pictures), strict=True):
            faces = theirs.process(picture).multi_face_landmarks
            assert (faces is None) == (points is None)
            if points is not None:
                unit = np.array([(point.x, point.y) for point in faces[0].landmark], np.float32)
                gaps.append(np.linalg.norm(unit * np.float32([300, 240]) - np.float32(0.5) - points, axis=1))
    assert len(gaps) >= len(pictures) - 2
    # MediaPipe looks the window up with a warp in perspective, so single pixels differ by 1 or 2 of 255.
    assert np.mean(gaps) < 0.05
    assert np.max(gaps) < 0.5


@pytest.mark.parametrize("installed", ["0.10.30", "1.2.3"])
def test_a_wheel_without_face_mesh_is_one_line(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "version", lambda _: installed)
    for act in (backends.check, backends.open_backend):
        with pytest.raises(
            UsageError, match=rf"mediapipe-wheel needs mediapipe<0\.10\.22, found {installed}: "
        ):
            act("mediapipe-wheel")
    backends.check("mediapipe")


def test_a_package_that_is_not_here_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(backends, "version", none)
    for name, package in (("mediapipe-tasks", "mediapipe"), ("face-alignment", "face-alignment")):
        with pytest.raises(
            UsageError, match=f"{name} needs the package {package}, which is not installed: run"
        ):
            backends.check(name)
    backends.check("mediapipe")


def test_a_track_does_not_hang_on_the_last_bits() -> None:
    """Answers that differ by 1e-5 pixel, as on another processor, give tracks that differ by as much, and no more."""

    class Disturbed:
        def __init__(self) -> None:
            self._network, self._rng = AttentionMesh(), np.random.default_rng(0)

        def __call__(self, picture: UInt8) -> tuple[Float32, float]:
            points, score = self._network(picture)
            return points + self._rng.uniform(-1e-5, 1e-5, points.shape).astype(np.float32), score

        def close(self) -> None:
            self._network.close()

    gaps = {}
    for rounded in (True, False):
        tracks = []
        for network in (None, Disturbed()):
            with MeshTracker(network=network, rounded=rounded) as tracker:
                tracks.append(as_array(tracker.track(moving_face())))
        gaps[rounded] = float(np.nanmax(np.abs(tracks[0] - tracks[1])))
    assert gaps[True] < 1e-4
    # What is rounded away: without it this test would see 0.1.
    assert gaps[False] > 1e-2


def test_points_follow_a_face_that_moves_by_whole_pixels() -> None:
    """The window is rounded, so the same face elsewhere is seen up to a sixteenth of a pixel aside."""
    face = photo()[10:230, 120:320]
    found = []
    for x, y in ((40, 60), (97, 23), (12, 88)):
        picture = np.full((330, 340, 3), 90, np.uint8)
        picture[y : y + 220, x : x + 200] = face
        with MeshTracker() as tracker:
            points = as_array(tracker.track([picture] * 6))
        found.append(points.mean(axis=0) - (x, y))
    assert np.abs(np.array(found) - found[0]).max() < 0.8
    assert np.abs(np.array(found) - found[0]).mean() < 0.12


def test_neither_mediapipe_nor_torch_is_loaded() -> None:
    code = (
        "import sys, numpy as np\n"
        "from tkbench.prep import backends\n"
        "for name in ('mediapipe', 'mediapipe-lips', 'mediapipe-plain'):\n"
        "    tracker = backends.open_backend(name)\n"
        "    tracker.track([np.zeros((64, 64, 3), np.uint8)])\n"
        "    tracker.detect(np.zeros((64, 64, 3), np.uint8), far=True)\n"
        "loaded = {'mediapipe', 'torch', 'face_alignment', 'matplotlib', 'tensorflow', 'jax'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    # LiteRT's own notes are not the user's.
    assert (done.returncode, done.stderr) == (0, "")


# -- detection -----------------------------------------------------------------------------------------------


def test_detections_are_those_of_the_wheel(golden: dict[str, Array]) -> None:
    for far, name in ((False, "near"), (True, "far")):
        detector = LiteRTDetector(far=far)
        (row,) = detection.rows_of(detector.faces(moving_face()[0]))
        np.testing.assert_allclose(row, golden[name], rtol=0, atol=1e-3)
        assert detector.faces(np.zeros((64, 64, 3), np.uint8)) == []


def test_two_faces_are_found_wherever_they_are() -> None:
    """A tall picture and a wide one: boxes are in the picture's pixels, not the square's."""
    face = photo()[10:230, 120:320]
    for shape, (x, y) in (((240, 560), (340, 10)), ((500, 220), (10, 270))):
        picture = np.full((*shape, 3), 90, np.uint8)
        picture[10:230, 10:210] = face
        picture[y : y + 220, x : x + 200] = face
        rows = detection.rows_of(LiteRTDetector().faces(picture))
        assert len(rows) == 2
        boxes = rows[np.argsort(rows[:, 0] + rows[:, 1]), :4]
        np.testing.assert_allclose(boxes[1] - boxes[0], [x - 10, y - 10, x - 10, y - 10], atol=6)


def test_anchors_stand_in_the_middle_of_their_cells() -> None:
    near, far = detection._anchors(detection._NEAR), detection._anchors(detection._FAR)
    assert (near.shape, far.shape) == ((896, 2), (2304, 2))
    np.testing.assert_allclose(
        near[:4], [(1 / 32, 1 / 32), (1 / 32, 1 / 32), (3 / 32, 1 / 32), (3 / 32, 1 / 32)]
    )
    np.testing.assert_allclose(near[512:518], [(1 / 16, 1 / 16)] * 6)
    np.testing.assert_allclose(far[49], (3 / 96, 3 / 96))


def test_boxes_of_one_face_are_joined_by_their_scores() -> None:
    rows = np.zeros((4, 16), np.float32)
    rows[:, :4] = [(0, 0, 1, 1), (5, 5, 6, 6), (0.2, 0, 1.2, 1), (3, 3, 3, 3)]
    scores = np.array([0.5, 0.9, 0.75, 0.6], np.float32)
    joined = detection._join(rows, scores)
    assert [score for _, score in joined] == pytest.approx([0.9, 0.75, 0.6])
    np.testing.assert_allclose(joined[1][0][:4], (0.12, 0, 1.12, 1), atol=1e-6)
    np.testing.assert_allclose(joined[2][0][:4], (3, 3, 3, 3))
    one = Face((0, 0, 2, 2), (0, 0, 1, 0), 0.5)
    two = Face((4, 0, 6, 2), (4, 0, 5, 0), 0.5)
    assert detection.rows_of([two, one])[:, 0].tolist() == [0, 4]


class Sees:
    """A detector that sees these faces in any picture."""

    def __init__(self, *found: Face) -> None:
        self.found = list(found)

    def faces(self, _: UInt8) -> list[Face]:
        return self.found

    def close(self) -> None: ...


def test_the_face_that_is_followed_is_the_likeliest() -> None:
    picture = moving_face()[0]
    (right,) = LiteRTDetector().faces(picture)
    wrong = Face((0, 0, 20, 20), (5, 5, 15, 5), 0.6)
    with MeshTracker(near=Sees(right, wrong)) as tracker, MeshTracker() as plain:
        np.testing.assert_array_equal(tracker.track([picture])[0], plain.track([picture])[0])
        assert tracker.detect(picture).tolist() == detection.rows_of([right, wrong]).tolist()


def test_a_face_is_also_looked_for_among_the_small_ones() -> None:
    """Where the first network sees nothing, or what is no face, the one for small faces is asked."""
    picture = moving_face()[0]
    (right,) = LiteRTDetector().faces(picture)
    wrong = Face((0, 0, 20, 20), (5, 5, 15, 5), 0.9)
    for near in (Sees(), Sees(wrong)):
        with MeshTracker(near=near, far=Sees(right)) as tracker:
            assert tracker.track([picture])[0] is not None
    with MeshTracker(near=Sees(), far=Sees()) as tracker:
        assert tracker.track([picture]) == [None]


def test_a_face_that_jumps_is_found_in_the_same_picture() -> None:
    face = photo()[10:230, 120:320]
    pictures = np.full((2, 240, 700, 3), 90, np.uint8)
    pictures[0, 10:230, 10:210] = face
    pictures[1, 10:230, 490:690] = face
    with MeshTracker() as tracker:
        first, second = tracker.track(list(pictures))
    assert first is not None
    assert second is not None
    # A detection begins with another window than a track goes on with; seen: 2.0.
    np.testing.assert_allclose(second - first, np.broadcast_to([480, 0], first.shape), atol=3)
