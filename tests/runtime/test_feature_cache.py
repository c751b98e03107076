"""What networks said of a clip is kept by content: found again, never mixed up, made again where it is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tkbench import weights
from tkbench.errors import BadInput
from tkbench.metrics import csim, fid, perceptual, sync
from tkbench.metrics.image import Ssim
from tkbench.runtime import feature_cache
from tkbench.runtime.feature_cache import Counts, Store, recall, using
from tkbench.types import Array, Sample


class Network:
    """Doubles what it sees, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, array: Array) -> tuple[Array, ...]:
        self.asked += 1
        return array * 2, np.array([self.asked])


def ask(network: Network, array: Array, computation: str = "twice") -> Array:
    doubled, _ = recall(computation, array, make=lambda: network(array))
    np.testing.assert_array_equal(doubled, array * 2)
    return doubled


def entries(place: Path) -> list[Path]:
    return sorted(place.glob("*/*.npz"))


def test_without_a_store_everything_is_made() -> None:
    network = Network()
    ask(network, np.arange(3))
    ask(network, np.arange(3))
    assert network.asked == 2


def test_a_store_without_a_folder_shares_within_a_clip() -> None:
    network, store = Network(), Store()
    with using(store):
        first = ask(network, np.arange(3))
        assert ask(network, np.arange(3)) is first
        assert network.asked == 1
        with pytest.raises(ValueError, match="read-only"):
            first[0] = 1
        store.next_clip()
        ask(network, np.arange(3))
    assert network.asked == 2
    assert store.take_counts() == Counts(found=1, made=2)
    assert store.take_counts() == Counts()


def test_another_process_finds_what_was_written(tmp_path: Path) -> None:
    network = Network()
    for array in (
        np.arange(3),
        np.zeros((2, 0), np.float32),
        np.float64(np.random.default_rng(0).normal(size=(4, 5))),
    ):
        with using(Store(tmp_path)):
            first = ask(network, array)
        with using(Store(tmp_path)) as other:
            again = ask(network, array)
        assert other.counts == Counts(found=1)
        assert (again.dtype, again.shape, again.tobytes()) == (first.dtype, first.shape, first.tobytes())
    assert network.asked == 3


def test_whatever_can_move_a_feature_moves_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    base = np.arange(6, dtype=np.uint8)
    with using(Store(tmp_path)):
        ask(network, base)
        for array in (base.astype(np.int16), base.reshape(2, 3), base[::-1], np.arange(1, 7, dtype=np.uint8)):
            ask(network, array)
        ask(network, base, "twice|other-weights")
        monkeypatch.setattr(feature_cache, "environment", lambda: "another library")
        ask(network, base)
    assert network.asked == 7
    assert len(entries(tmp_path)) == 7


def test_an_array_that_was_changed_in_between_clips_is_another_one(tmp_path: Path) -> None:
    network, array = Network(), np.arange(3)
    with using(Store(tmp_path)) as store:
        ask(network, array)
        array[0] = 9
        store.next_clip()
        ask(network, array)
    assert network.asked == 2


@pytest.mark.parametrize("harm", ["cut", "empty", "bit", "text", "other"])
def test_a_damaged_entry_is_made_again_and_counted(harm: str, tmp_path: Path) -> None:
    network, array = Network(), np.arange(50)
    with using(Store(tmp_path)):
        ask(network, array)
        (path,) = entries(tmp_path)
        ask(network, array + 1)
    data = path.read_bytes()
    (other,) = set(entries(tmp_path)) - {path}
    place = data.index((array * 2).tobytes()[:80]) + 40 if harm != "other" else 0
    damaged = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "bit": data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :],
        "text": b"not a feature",
        "other": other.read_bytes(),
    }[harm]
    path.write_bytes(damaged)
    with using(Store(tmp_path)) as store:
        ask(network, array)
    assert store.counts == Counts(made=1, damaged=1)
    assert network.asked == 3
    with using(Store(tmp_path)) as store:  # mended on disk
        ask(network, array)
    assert store.counts == Counts(found=1)


def test_objects_are_never_kept(tmp_path: Path) -> None:
    with using(Store(tmp_path)), pytest.raises(BadInput, match="Python objects"):
        recall("x", np.arange(3), make=lambda: (np.array([{}]),))


def test_the_folder_stays_below_its_limit_and_the_oldest_goes(tmp_path: Path) -> None:
    network = Network()
    store = Store(tmp_path, limit=12_000)
    one = np.zeros(250)  # 2 kB and the file's own
    with using(store):
        for value in range(12):
            ask(network, one + value)
            store.next_clip()
            ask(network, one)  # always in use, so it stays
            store.next_clip()
            for path in entries(tmp_path):  # file times of a fast machine may be equal
                os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))
            assert sum(path.stat().st_size for path in entries(tmp_path)) <= 12_000
    assert network.asked == 12
    with using(Store(tmp_path, limit=12_000)) as again:
        ask(network, one + 11)
        ask(network, one + 1)
    assert again.counts == Counts(found=1, made=1)


def test_an_entry_larger_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    network = Network()
    with using(Store(tmp_path, limit=1000)):
        ask(network, np.zeros(1000))
    assert not entries(tmp_path)


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    network = Network()
    with using(Store(tmp_path)):
        ask(network, np.arange(3))
    (path,) = entries(tmp_path)
    old, young = path.with_name(".a.1.partial"), path.with_name(".b.1.partial")
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    with using(Store(tmp_path)):
        ask(network, np.arange(4))
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_written_costs_speed_alone(tmp_path: Path) -> None:
    network, place = Network(), tmp_path / "file"
    place.write_text("not a folder")
    with using(Store(place)):
        ask(network, np.arange(3))
        ask(network, np.arange(3))
    assert network.asked == 1


def test_many_processes_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from tkbench.runtime.feature_cache import Store, recall, using\n"
        "with using(Store(Path(sys.argv[1]), limit=60_000)) as store:\n"
        "    for turn in range(3):\n"
        "        for k in range(20):\n"
        "            x = np.full(500, k)\n"
        "            (y,) = recall('twice', x, make=lambda: (x * 2,))\n"
        "            assert (y == 2 * k).all()\n"
        "            store.next_clip()\n"
        "assert store.counts.damaged == 0\n"
    )
    crew = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(60) for process in crew] == [0, 0, 0]
    assert entries(tmp_path)
    assert not list(tmp_path.rglob("*.partial"))


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TKBENCH_CACHE", str(tmp_path))
    assert feature_cache.folder() == tmp_path
    monkeypatch.delenv("TKBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert feature_cache.folder() == tmp_path / "tkbench" / "features"


# -- what metrics ask for ------------------------------------------------------------------------------------


def clip(seed: int = 0, frames: int = 30, size: int = 64) -> Sample:
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.uniform(16, 48, (1, 478, 2)), frames, axis=0)
    return Sample(
        key="a",
        video=rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8),
        audio=rng.normal(0, 0.1, frames * 640).astype(np.float32),
        landmarks=points.astype(np.float32),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


Ask = Callable[[Sample, Array], object]


def fid_of(patch: pytest.MonkeyPatch, asked: list[int]) -> Ask:
    metric = fid.Fid(stride=5)

    def network(_: object, frames: Array) -> Array:
        asked.append(len(frames))
        return frames.mean(axis=(1, 2)).astype(np.float32)

    patch.setattr(fid, "load_inception", lambda *_: None)
    patch.setattr(fid, "features", network)

    def ask(sample: Sample, video: Array) -> object:
        state = metric.start()
        metric.update(state, sample, video)
        return {key: rows.tobytes() for key, rows in (state.real | {"made": state.made["a"]}).items()}

    return ask


def csim_of(patch: pytest.MonkeyPatch, asked: list[int]) -> Ask:
    from tkbench.metrics import arcface

    metric = csim.Csim(stride=5)

    def network(_: object, faces: Array) -> Array:
        asked.append(len(faces))
        rows = faces.mean(axis=(1, 2)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    patch.setattr(arcface, "load_arcface", lambda *_: None)
    patch.setattr(arcface, "embeddings", network)
    return lambda sample, video: metric.score(sample, video, sample.audio).values


def lpips_of(patch: pytest.MonkeyPatch, asked: list[int]) -> Ask:
    metric = perceptual.Lpips()

    def network(_: object, real: Array, made: Array) -> Array:
        asked.append(len(made))
        return (real.astype(float) - made).__abs__().mean(axis=(1, 2, 3))

    patch.setattr(perceptual, "load_lpips", lambda *_: None)
    patch.setattr(perceptual, "lpips_frames", network)
    return lambda sample, video: metric.score(sample, video, sample.audio).values


@pytest.mark.parametrize(
    ("make", "first", "second", "itself"),
    [(fid_of, 2, 1, 1), (csim_of, 2, 1, 1), (lpips_of, 1, 1, 0)],
    ids=["fid", "csim", "lpips"],
)
def test_a_second_model_pays_for_its_own_side(
    make: Callable[[pytest.MonkeyPatch, list[int]], Ask],
    first: int,
    second: int,
    itself: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Networks asked by the first model, by a second, by either again, and by the true video on data that is new."""
    weight = tmp_path / "weight"
    weight.write_bytes(b"a network")
    monkeypatch.setattr(weights, "find_or_hint", lambda name: (weight, ""))
    asked: list[int] = []
    ask = make(monkeypatch, asked)
    sample = clip()
    models = [255 - sample.video, sample.video // 2]
    plain = [ask(sample, video) for video in models]
    asked.clear()
    for model, expected in ((0, first), (1, second), (0, 0), (1, 0)):
        with using(Store(tmp_path / "store")):
            assert ask(sample, models[model]) == plain[model]
        assert len(asked) == expected
        asked.clear()
    other = clip(seed=1)
    with using(Store(tmp_path / "store")):
        ask(other, other.video)
    assert len(asked) == itself
    weight.write_bytes(b"another network")
    asked.clear()
    with using(Store(tmp_path / "store")):
        make(monkeypatch, asked)(sample, models[0])
    assert len(asked) == first


def test_the_judge_hears_a_voice_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled judge on two models: same bits as without a store; of the second it only sees the lips."""
    metric = sync.Sync(judge="syncnet-synth")
    sample = clip(frames=40)
    models = [sample.video, sample.video[::-1].copy()]
    plain = [metric.score(sample, video, sample.audio) for video in models]
    for place, expected in ((0, Counts(made=2)), (1, Counts(found=1, made=1)), (0, Counts(found=2))):
        with using(Store(tmp_path)) as store:
            scored = metric.score(sample, models[place], sample.audio)
        assert scored.values == plain[place].values
        assert scored.curve is not None
        assert plain[place].curve is not None
        assert scored.curve.tobytes() == plain[place].curve.tobytes()
        assert store.counts == expected


def test_values_of_pairs_are_read_back_by_region(tmp_path: Path) -> None:
    metric, sample = Ssim(regions=("full", "mouth")), clip()
    video = np.clip(sample.video.astype(int) + 9, 0, 255).astype(np.uint8)
    plain = metric.score(sample, video, sample.audio).values
    for expected in (Counts(made=2), Counts(found=2)):
        with using(Store(tmp_path)) as store:
            assert metric.score(sample, video, sample.audio).values == plain
        assert store.counts == expected
