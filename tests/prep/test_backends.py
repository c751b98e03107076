"""Face trackers behind one interface: what each gives, what it forgets, and how face-alignment itself answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.attention import REGIONS

from tkbench import media, shards, weights
from tkbench.crops import align, recipes
from tkbench.errors import UnknownName, UsageError, WeightsMissing, WeightsRefused
from tkbench.metrics import regions
from tkbench.prep import backends, pipeline
from tkbench.prep.backends import facemesh, fan
from tkbench.prep.follow import Follower
from tkbench.prep.plan import Settings
from tkbench.types import POINT_SETS, Array, Clip, UInt8

LIPS = REGIONS[0].points
BUNDLE = Path(__file__).parents[3] / "shared" / "weights"


@pytest.fixture(scope="module")
def people() -> list[UInt8]:
    """A photographed face that moves to the right, 12 pictures of 240 x 200."""
    import cv2
    from skimage import data

    face = cv2.resize(np.ascontiguousarray(data.astronaut()[0:260, 90:350]), (200, 200))
    out = []
    for t in range(12):
        picture = np.full((240, 280, 3), 90, np.uint8)
        picture[20:220, 20 + 2 * t : 220 + 2 * t] = face
        out.append(picture)
    return out


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The landmarker's bundle, where it is at hand."""
    if not (BUNDLE / "face_landmarker.task").is_file():
        pytest.skip("face_landmarker.task is not here")
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(BUNDLE))


def test_names_are_known_and_signed() -> None:
    assert next(iter(backends.BACKENDS)) == backends.DEFAULT == Settings().backend
    with pytest.raises(UnknownName, match="did you mean face-alignment"):
        backends.info("face-alignmet")
    signatures = {Settings(backend=name).signature() for name in backends.BACKENDS}
    assert len(signatures) == len(backends.BACKENDS)
    assert "|track:mediapipe/3(mesh478)|" in Settings().signature()
    found = backends.info("face-alignment").signature()
    assert found.startswith("track:face-alignment(ibug68,s3fd@619a3168,fan-2d@11f355bf,face-alignment-")


@pytest.mark.parametrize("name", ["face-alignment", "mediapipe-tasks"])
def test_missing_weights_are_one_line_with_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    names = " ".join(backends.info(name).weights)
    for act in (backends.check, backends.open_backend):
        with pytest.raises(WeightsMissing, match=f"run `tkbench weights fetch {names}` ") as caught:
            act(name)
        assert "\n" not in str(caught.value)
    backends.check("mediapipe")


def check_tracker(name: str, people: list[UInt8]) -> Array:
    """Every picture gets its points; the past is forgotten; one by one is the same as together."""
    count = backends.info(name).n_points
    tracker = backends.open_backend(name)
    tracker.restart()
    first = tracker.track(people)
    assert all(points is not None and points.shape == (count, 2) for points in first)
    assert tracker.track([np.zeros((64, 64, 3), np.uint8)]) == [None]
    tracker.track([np.ascontiguousarray(picture[:, ::-1]) for picture in people])
    tracker.restart()
    again = [tracker.track([picture])[0] for picture in people]
    np.testing.assert_array_equal(np.array(first), np.array(again))
    (box,) = tracker.detect(people[0])
    assert box[4] > 0.5
    x, y = np.array(first[0]).mean(axis=0)
    assert box[0] < x < box[2]
    assert box[1] < y < box[3]
    assert tracker.detect(np.zeros((64, 64, 3), np.uint8)).shape == (0, 5)
    tracker.close()
    tracker.close()
    # The picture moves by 22 pixels.
    moved = np.array(first[-1]).mean(axis=0) - np.array(first[0]).mean(axis=0)
    np.testing.assert_allclose(moved, [22, 0], atol=1.5)
    return np.array(first)


def test_face_mesh_with_and_without_refinement(people: list[UInt8]) -> None:
    refined, plain = check_tracker("mediapipe", people), check_tracker("mediapipe-plain", people)
    assert refined.shape[1] == 478
    gap = np.linalg.norm(refined[:, :468] - plain, axis=2)
    assert 0 < np.median(gap) < 3
    # Refinement is about lips, eyes and irises: the tip of the nose stays where it is.
    assert gap[:, 4].max() < 1.0


def test_refined_lips_alone(people: list[UInt8]) -> None:
    """Where both look at the same window, all but the eyes are those of the refined mesh, to the last bit."""
    found = check_tracker("mediapipe-lips", people)
    with facemesh.MeshTracker() as whole:
        refined = np.array(whole.track(people))[:, :468]
    other = np.flatnonzero((found[0] != refined[0]).any(axis=1))
    # Each eye is refined in 71 points.
    assert 100 < len(other) <= 2 * 71
    assert not set(other) & {*LIPS, 4, 152, 234, 454}
    # Later the window hangs on the eyes' corners, which only the refined mesh refines.
    assert np.abs(found[:, LIPS] - refined[:, LIPS]).max() < 1.5


def test_tasks_agrees_with_face_mesh(people: list[UInt8], tasks: None) -> None:
    found = check_tracker("mediapipe-tasks", people)
    with facemesh.MeshTracker() as mesh:
        other = np.array(mesh.track(people))
    assert np.median(np.linalg.norm(found - other, axis=2)) < 3


def test_the_mouth_is_where_it_is_by_every_set_of_points(people: list[UInt8]) -> None:
    with facemesh.MeshTracker() as mesh:
        found = np.array(mesh.track(people))
    whole = np.array(regions.boxes(found, "mouth", 240, 280))
    np.testing.assert_array_equal(regions.boxes(found[:, :468], "mouth", 240, 280), whole)
    few = np.array(regions.boxes(recipes.ibug68(found), "mouth", 240, 280))
    assert np.abs(few - whole).max() <= 2
    assert np.ptp(whole, axis=1).min() > 20


# -- face-alignment ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Networks of the true shapes with seeded weights, as files of the registry without a pin."""
    import torch
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    patch = pytest.MonkeyPatch()
    patch.setenv("TKBENCH_WEIGHTS", str(folder))
    known = dict(weights.known())
    for name, net in ((fan.S3FD, s3fd()), (fan.FAN, FAN(4))):
        known[name] = replace(known[name], sha256="", sha256_prefix="")
        torch.save(net.state_dict(), folder / known[name].file)
    patch.setattr(weights, "known", lambda: known)
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def tracker(random_weights: Path) -> Iterator[fan.FanTracker]:
    found = fan.FanTracker()
    yield found
    found.close()


def test_boxes_are_those_of_the_package(tracker: fan.FanTracker) -> None:
    """S3FD with random weights sees hundreds of "faces": the same ones in the same order, alone and in a batch."""
    from face_alignment.detection.sfd.bbox import nms
    from face_alignment.detection.sfd.detect import detect

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 96, 128, 3), np.uint8)
    # Half of the scores lie above 0.5 by the toss of a coin; the bias spreads them.
    together = tracker._boxes(pictures)
    for picture, mine in zip(pictures, together, strict=True):
        boxes = detect(tracker._s3fd, picture, "cpu")[0]
        theirs = np.array([row for row in boxes[nms(boxes, 0.3)] if row[-1] > 0.5]).reshape(-1, 5)
        assert len(mine) == len(theirs) > 0
        np.testing.assert_allclose(mine, theirs, atol=2e-3)
        np.testing.assert_allclose(tracker._boxes([picture])[0], mine, atol=2e-3)


def test_points_are_those_of_the_package(
    tracker: fan.FanTracker, random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole package on the same weights and boxes; it cuts its answer to whole pixels."""
    from face_alignment import FaceAlignment, LandmarksType, api, utils

    # The functions themselves: compiling them would take 20 seconds.
    for name in ("transform_np", "_get_preds_fromhm"):
        monkeypatch.setattr(utils, name, getattr(utils, name).py_func)
    files = {name: str(random_weights / weights.get(name).file) for name in (fan.S3FD, fan.FAN)}
    monkeypatch.setattr(api, "load_file_from_url", lambda url: files[fan.FAN])
    theirs = FaceAlignment(
        LandmarksType.TWO_D,
        device="cpu",
        flip_input=False,
        face_detector_kwargs={"path_to_detector": files[fan.S3FD]},
        compile=False,
    )
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (160, 200, 3), np.uint8)
    boxes = np.array([[40.3, 30.2, 140.9, 150.1, 0.9], [-20.0, 5.5, 60.0, 100.0, 0.8]])
    wanted = np.array(theirs.get_landmarks_from_image(picture, list(boxes)))
    found = tracker._points([picture, picture], boxes)
    np.testing.assert_array_equal(np.trunc(found + 1e-4 * np.sign(found)), wanted)


def test_other_weights_are_refused(
    random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / weights.get(fan.S3FD).file)
    with pytest.raises(WeightsRefused, match="does not fit the network that s3fd stands for"):
        fan.FanTracker()


def test_cuda_without_a_device_is_one_clear_line(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds none: use face-alignment"):
        backends.open_backend("face-alignment-cuda")


def place(maps: list[Any], picture: int, box: tuple[float, float, float, float]) -> None:
    """Write one face into S3FD's answer: the cell of stride 16 in its middle, and the offsets that give the box."""
    stride = 16
    x, y, side = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0]
    column, row = int(x // stride), int(y // stride)
    anchor = np.array([column, row]) * stride + stride / 2
    maps[4][picture, 1, row, column] = 9.0
    maps[5][picture, :2, row, column] = maps[5].new_tensor((np.array([x, y]) - anchor) / (0.1 * 4 * stride))
    maps[5][picture, 2:, row, column] = float(np.log(side / (4 * stride)) / 0.2)


class Seer:
    """Stands for both networks: finds one bright square, and sees 68 points on a circle inside it."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def s3fd(self, batch: Any) -> list[Any]:
        import torch

        count, _, height, width = batch.shape
        self.batches.append(count)
        maps = []
        for level in range(6):
            cells = (-(-height // (4 << level)), -(-width // (4 << level)))
            maps += [torch.zeros(count, 2, *cells), torch.zeros(count, 4, *cells)]
            maps[-2][:, 0] = 9.0
        for k in range(count):
            rows, columns = np.nonzero(batch[k].mean(dim=0).numpy() > 60)
            if len(rows):
                maps[4][k, 0] = 0.0
                maps[4][k, 1] = -9.0
                place(maps, k, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        return maps

    def fan(self, crops: Any) -> list[Any]:
        import torch

        maps = torch.zeros(len(crops), 68, 64, 64)
        for p in range(68):
            angle = 2 * np.pi * p / 68
            maps[:, p, int(32 + 14 * np.sin(angle)), int(32 + 14 * np.cos(angle))] = 1.0
        return [torch.zeros_like(maps), maps]


@pytest.fixture
def seer(tracker: fan.FanTracker, monkeypatch: pytest.MonkeyPatch) -> Seer:
    seen = Seer()
    monkeypatch.setattr(tracker, "_s3fd", seen.s3fd)
    monkeypatch.setattr(tracker, "_fan", seen.fan)
    monkeypatch.setattr(backends, "shared", lambda name: tracker)
    return seen


def square(t: int) -> UInt8:
    """A bright square of 120 pixels that moves by 2 pixels per frame; black in frame 20."""
    picture = np.full((240, 320, 3), 40, np.uint8)
    if t != 20:
        picture[60:180, 40 + 2 * t : 160 + 2 * t] = 235
    return picture


def test_68_points_go_all_the_way_into_a_sample(seer: Seer, tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    sound = np.random.default_rng(0).normal(0, 0.1, 32_000)
    media.write_video(path, (square(t) for t in range(50)), audio=sound)
    clip = Clip("v", str(path), "folder", "test")
    outcome = pipeline.prepare_clip(clip, Settings(backend="face-alignment"), tmp_path)
    (row,) = outcome.rows
    assert (row["status"], row["n_frames"], row["filled_frames"]) == ("ok", 50, 1)
    ((key, members),) = outcome.samples
    data = {name: part if isinstance(part, bytes) else part.read_bytes() for name, part in members.items()}
    sample = shards.unpack(key, data)
    assert sample.landmarks.shape == (50, POINT_SETS["ibug68"], 2)
    assert sample.meta["track"] == {"backend": "face-alignment", "points": "ibug68"}
    assert np.flatnonzero(sample.track_score == 0).tolist() == [20]
    middle = sample.landmarks.mean(axis=1)
    # Heatmap cells are 3.8 pixels wide, and the square's rim is blurred by the codec.
    np.testing.assert_allclose(middle[:, 0], 100 + 2 * np.arange(50), atol=2.5)
    np.testing.assert_allclose(middle[:, 1], 120 - 0.12 * 120, atol=2.5)
    assert align.matrices(sample.landmarks, "syncnet-224").shape == (50, 2, 3)
    assert max(seer.batches) == backends.info("face-alignment").batch


def test_batches_change_nothing(seer: Seer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pictures a backend takes at once, every picture gets the same answer."""
    import cv2

    planes = [cv2.cvtColor(square(t), cv2.COLOR_RGB2YUV_I420) for t in range(30)]
    answers = []
    for batch in (1, 7, 32):
        info = replace(backends.info("face-alignment"), batch=batch)
        monkeypatch.setitem(backends.BACKENDS, "face-alignment", info)
        follower = Follower(None, media.Cut(0, 0, 320, 240, 320, 240), Settings(backend="face-alignment"))
        found = [points for frame in planes for points in follower.step(frame)]
        found += follower.drain()
        assert [points is None for points in found] == [t == 20 for t in range(30)]
        assert len(follower.found) == len(follower.starts) == 30
        answers.append(np.array([points for points in found if points is not None]))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_of_several_faces_the_one_before_is_followed(tracker: fan.FanTracker) -> None:
    tracker.restart()
    small, large = [10.0, 10, 50, 50, 0.9], [100.0, 10, 180, 90, 0.8]
    assert tracker._choose(np.array([small, large])) is not None
    assert tracker._last is not None
    assert tracker._last.tolist() == large
    assert tracker._choose(np.zeros((0, 5))) is None
    # It shrank, and another one is larger now: nearness decides.
    near = [105.0, 12, 150, 60, 0.7]
    tracker._choose(np.array([[10.0, 10, 90, 90, 0.9], near]))
    assert tracker._last.tolist() == near
    tracker.restart()
    assert tracker._last is None
