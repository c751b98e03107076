"""Loading for training: every window once, the same batch whoever makes it, pictures and sound that belong together."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tkbench import audio, data, media, shards
from tkbench.crops import align
from tkbench.data.cache import CropCache
from tkbench.data.cut import CropRule, cut
from tkbench.data.speed import bench_load
from tkbench.errors import BadShards, UnknownName, UsageError

LENGTHS = {"a/0": 25, "a/1": 40, "b/0": 33, "b/1": 60, "c/0": 6}
SIZE = 64


def face(frames: int) -> np.ndarray:
    points = np.random.default_rng(0).uniform(16, 48, (478, 2))
    drift = np.linspace(0, 4, frames)[:, None, None]
    return (points + drift).astype(np.float32)


def grey(t: int, clip: int) -> int:
    """The brightness of a frame tells which it is."""
    return 20 + 3 * t + clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards whose frame t is a flat grey, and whose sound in frame t is a tone as loud as t."""
    root = tmp_path_factory.mktemp("data")
    target = root / "shards"
    target.mkdir()
    rows, records = [], []
    for number, part in enumerate((["a/0", "a/1", "c/0"], ["b/0", "b/1"])):
        with shards.ShardWriter(target / f"train-{number:06d}.tar") as writer:
            for key in part:
                n, clip = LENGTHS[key], list(LENGTHS).index(key)
                frames = [np.full((SIZE, SIZE, 3), grey(t, clip), np.uint8) for t in range(n)]
                media.write_video(root / "one.mp4", frames, quality="lossless")
                tone = np.sin(2 * np.pi * 500 * np.arange(n * 640) / 16000)
                sound = tone * np.repeat(0.01 * (1 + np.arange(n)), 640) * 0.9
                landmarks = face(n)
                arrays = {"landmarks": landmarks, "score": np.ones(n, np.float32)}
                arrays |= {name: align.matrices(landmarks, name) for name in ("face-128", "syncnet-224")}
                meta = {"dataset": "x", "split": "train", "speaker": key[0], "text": None, "words": []}
                members: dict[str, bytes | Path] = {
                    "mp4": root / "one.mp4",
                    "flac": media.write_flac(sound),
                    "npz": shards.pack_arrays(arrays),
                    "json": shards.pack_json({**meta, "canvas": {"kind": "whole"}, "key": key}),
                }
                row = {"key": key, "clip": key, "dataset": "x", "split": "train", "speaker": key[0]}
                row |= {
                    "width": SIZE,
                    "height": SIZE,
                    "status": "ok",
                    "shard": f"train-{number:06d}.tar",
                    "n_frames": n,
                }
                rows.append(row | {"offset": writer.add(key, members)})
            records.append(writer.commit("train"))
    bad = {"key": "z", "clip": "z", "split": "train", "status": "skipped", "reason": "no-face"}
    signature = "|".join(align.RECIPES[name].signature() for name in ("face-128", "syncnet-224"))
    shards.write_index(
        target,
        records,
        [*sorted(rows, key=lambda row: row["key"]), bad],
        dataset="x",
        protocol="p",
        signature=signature,
        settings={},
    )
    return target


def load(folder: Path, **settings: Any) -> data.Windows:
    """Windows with these fields of `WindowSpec` and `Sampling`, and other arguments of `data.load`."""
    given: dict[str, Any] = {"batch": 2, "frames_per_window": 10, "size": (16, 16), "rank": 0, "world": 1}
    given |= settings
    window, sampling = (
        kind(**{field.name: given.pop(field.name) for field in fields(kind) if field.name in given})
        for kind in (data.WindowSpec, data.Sampling)
    )
    return data.load(folder, window=window, sampling=sampling, **given)


def windows_of(batches: Any) -> list[tuple[str, int]]:
    return [
        pair for batch in batches for pair in zip(batch["key"], (int(f) for f in batch["frame"]), strict=True)
    ]


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(
        list(one[name]) == list(two[name])
        if isinstance(one[name], list)
        else np.array_equal(np.asarray(one[name]), np.asarray(two[name]))
        for name in one
    )


def test_a_window_is_what_its_frames_say(folder: Path) -> None:
    windows = load(folder, margin=2, frames=5)
    assert windows.too_short == ("c/0",)
    seen = 0
    for batch in windows:
        assert batch["video"].shape == (2, 9, 16, 16, 3)
        assert batch["reference"].shape == (2, 5, 16, 16, 3)
        assert batch["mel"].shape == batch["reference_mel"].shape == (2, 80, 16)
        assert batch["mels"].shape == (2, 5, 80, 16)
        assert batch["video"].dtype == batch["reference"].dtype == np.uint8
        for i, key in enumerate(batch["key"]):
            clip, f, r = list(LENGTHS).index(key), int(batch["frame"][i]), int(batch["reference_frame"][i])
            # Lossless, but by way of YUV: a grey may be off by one.
            shown = batch["video"][i].reshape(9, -1).astype(int)
            wanted = np.array([grey(t, clip) for t in range(f - 2, f + 7)])
            assert np.abs(shown - wanted[:, None]).max() <= 1
            other = batch["reference"][i].reshape(5, -1).astype(int).mean(axis=1)
            assert np.abs(other - [grey(t, clip) for t in range(r, r + 5)]).max() <= 1
            assert r != f
            assert batch["speaker"][i] == key[0]
            spectrum = audio.mel(windows.shards.get_audio(key))
            first = 80 * f // 25
            assert np.array_equal(batch["mel"][i], spectrum[:, first : first + 16])
            for k in range(5):
                own = 80 * (f + k - 1) // 25
                assert np.array_equal(batch["mels"][i, k], spectrum[:, own : own + 16])
            seen += 1
    assert seen == windows.n_windows - windows.n_windows % 2


def near(one: np.ndarray, two: np.ndarray) -> bool:
    """Alike but for the order of sampling and conversion."""
    off = np.abs(one.astype(int) - two.astype(int))
    return one.shape == two.shape and float(off.mean()) < 0.6 and float(np.percentile(off, 99)) <= 3


def test_crops_are_those_of_the_stored_receipts(folder: Path) -> None:
    windows = load(folder, size=None)
    sample, arrays = windows.shards.get("a/1"), windows.shards.get_arrays("a/1")
    crops, voice = windows.clip("a/1")
    assert near(crops, align.warp(sample.video, arrays["face-128"], (128, 128)))
    assert np.array_equal(voice, sample.audio)
    # A recipe that was not stored is cut by the landmarks.
    wav2lip, _ = load(folder, size=None, recipe="wav2lip-96").clip("a/1")
    assert near(wav2lip, align.crop(sample.video, sample.landmarks, "wav2lip-96"))


@pytest.mark.parametrize("scale", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("tags", ["ours", "bt601", "full"])
def test_the_fast_way_shows_what_the_slow_one_does(scale: float, tags: str, tmp_path: Path) -> None:
    """A photograph through both ways, with reduction and enlargement, and a border.

    bt601 is a stream without tags, full one whose brightness has no foot and head room. Largest mean difference
    seen: 0.52.
    """
    from skimage import data as pictures

    photo = pictures.astronaut()[:256, 100:356]
    path = tmp_path / "one.mp4"
    if tags == "ours":
        media.write_video(path, [photo] * 2, quality="lossless")
    else:
        import av

        with av.open(str(path), "w") as box:
            stream = box.add_stream("libx264", 25)
            stream.width = stream.height = 256
            stream.pix_fmt = "yuv420p"
            stream.options = {"qp": "0"}
            if tags == "full":
                stream.codec_context.color_range = 2
            for _ in range(2):
                frame = av.VideoFrame.from_ndarray(photo, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_color_range=2 if tags == "full" else 1)
                for packet in stream.encode(frame):
                    box.mux(packet)
            for packet in stream.encode():
                box.mux(packet)
    matrices = np.array([[[scale, 0.02, 5.0], [-0.02, scale, -7.0]]]).repeat(2, axis=0)
    video = path.read_bytes()
    rule = CropRule((128, 128), border=90, canvas=(256, 256))
    fast = cut(video, matrices, rule, seconds=Counter())
    slow = align.warp(media.read_video(path), matrices, rule.size, border=90)
    assert near(fast, slow)
    assert slow.std() > 15
    # A canvas that is not what the manifest says is read the slow way, whatever it is.
    assert np.array_equal(cut(video, matrices, replace(rule, canvas=(8, 8)), seconds=Counter()), slow)
    assert len(cut(video, matrices[:1], rule, seconds=Counter())) == 1


def test_an_epoch_takes_each_clip_by_its_length_and_no_window_twice(folder: Path) -> None:
    windows = load(folder, batch=1)
    found = windows_of(windows)
    assert len(found) == len(set(found)) == windows.n_windows
    assert Counter(key for key, _ in found) == {"a/0": 2, "a/1": 4, "b/0": 3, "b/1": 6}
    windows.epoch = 1
    assert set(windows_of(windows)) != set(found)
    assert [key for key, _ in windows_of(windows)] != [key for key, _ in found]
    assert Counter(key for key, _ in windows_of(load(folder, batch=1, frames_per_window=0))) == dict.fromkeys(
        ("a/0", "a/1", "b/0", "b/1"), 1
    )


def test_batches_repeat_whatever_was_asked_for_before(folder: Path) -> None:
    one, two = load(folder, batch=3), load(folder, batch=3)
    assert same(one[2], two[2])
    _ = two[(5, 0)], two[0]
    assert same(one[2], two[2])
    assert same(one[(7, 1)], two[(7, 1)])
    assert not same(one[(7, 1)], load(folder, batch=3, seed=1)[(7, 1)])
    with pytest.raises(IndexError):
        one[len(one)]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch_evenly(folder: Path, world: int) -> None:
    alone = load(folder, batch=2)
    ranks = [load(folder, batch=2, rank=rank, world=world) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {len(alone) // world}
    together = [window for rank in ranks for window in windows_of(rank)]
    assert len(set(together)) == len(together)
    everything = windows_of(alone[b] for b in range(len(alone) // world * world))
    assert sorted(together) == sorted(everything)


def test_workers_change_nothing(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    windows = load(folder, batch=3, frames_per_window=25)
    alone = [windows[(epoch, b)] for epoch in range(2) for b in range(len(windows))]
    loader = windows.loader(workers=2)
    shared = [batch for _ in range(2) for batch in loader]
    assert loader.state() == {"epoch": 2, "number": 0}
    assert shared[0]["video"].dtype == torch.uint8
    assert len(alone) == len(shared)
    assert all(same(one, two) for one, two in zip(alone, shared, strict=True))


def test_a_loader_goes_on_in_the_middle_of_an_epoch(folder: Path) -> None:
    loader = load(folder, batch=3).loader()
    source = iter(loader)
    for _ in range(2):
        next(source)
    state = json.loads(json.dumps(loader.state()))
    rest = [batch for batch in source]
    again = load(folder, batch=3).loader()
    again.seek(**state)
    found = list(again)
    assert len(rest) == len(found) == len(loader) - 2
    assert all(same(one, two) for one, two in zip(rest, found, strict=True))
    assert again.state() == {"epoch": 1, "number": 0}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_endless_loader_gives_epoch_after_epoch(folder: Path, workers: int) -> None:
    plain = load(folder, batch=3).loader()
    expected = [batch for _ in range(3) for batch in plain]
    loader = load(folder, batch=3).loader(workers=workers)
    loader.seek(0, 1)
    source = loader.endless()
    found = [next(source) for _ in range(2 * len(loader))]
    assert all(same(one, two) for one, two in zip(expected[1:], found, strict=False))
    # What workers have prepared ahead moves no place.
    assert loader.state() == {"epoch": 2, "number": 1}


def test_without_shuffling_windows_lie_evenly(folder: Path) -> None:
    windows = load(folder, batch=1, shuffle=False)
    found = windows_of(windows)
    assert [key for key, _ in found] == sorted(key for key, _ in found)
    assert [frame for key, frame in found if key == "a/1"] == [1, 11, 22, 32]
    windows.epoch = 9
    assert windows_of(windows) == found


@given(st.integers(10, 90), st.integers(1, 9), st.integers(0, 3), st.integers(1, 6), st.booleans())
@settings(max_examples=40)
def test_every_draw_is_a_whole_window(
    folder: Path, n: int, frames: int, margin: int, gap: int, padded: bool
) -> None:
    windows = load(folder, batch=1, frames_per_window=7)
    windows.window = data.WindowSpec(frames=frames, margin=margin, min_reference_gap=gap, padded_sound=padded)
    windows._starts.clear()
    if not windows._usable(n):
        return
    windows.lengths = {"a/0": n}
    picked, others = windows.draw("a/0", 3)
    assert len(picked) == len(others) >= 1
    assert picked.min() >= margin
    assert picked.max() + frames + margin <= n
    assert others.min() >= 0
    assert others.max() + frames <= n
    assert (np.abs(picked - others) >= gap).all()
    if not padded:
        assert picked.min() >= 1
        assert set(range(picked.min(), picked.max() + frames)) <= set(audio.whole_windows(n, lead=1))


def test_a_window_as_long_as_its_clip_needs_silence_at_its_edges(folder: Path) -> None:
    with pytest.raises(BadShards, match="none of its 5 clips has a window of 59 frames"):
        load(folder, frames=59)
    batch = load(folder, frames=59, padded_sound=True, batch=1)[0]
    assert batch["key"] == ["b/1"]
    assert batch["mels"].shape == (1, 59, 80, 16)
    assert batch["mel"].shape == (1, 80, 188)
    late = load(folder, frames=59, padded_sound=True, batch=1, shuffle=False)[0]
    assert late["frame"].tolist() == [0]
    assert (late["mels"][0, 0, :, :4] == audio.SILENCE).all()


def test_silence_takes_the_place_of_every_sound_and_of_nothing_else(folder: Path) -> None:
    heard, silent = (load(folder, frames=5, silent=silent)[0] for silent in (False, True))
    assert (audio.mel(np.zeros(640 * 25, np.float32)) == audio.SILENCE).all()
    for name in ("mel", "mels", "reference_mel"):
        assert silent[name].shape == heard[name].shape  # type: ignore[literal-required]
        assert (silent[name] == audio.SILENCE).all()  # type: ignore[literal-required]
        assert not (heard[name] == audio.SILENCE).all()  # type: ignore[literal-required]
    assert silent["key"] == heard["key"]
    assert (silent["frame"] == heard["frame"]).all()
    assert (silent["video"] == heard["video"]).all()


def test_another_camera_changes_pictures_alone_and_is_the_same_again(folder: Path, tmp_path: Path) -> None:
    """What a window shows does not depend on the cache, on what was asked for before, or on the rest of the batch."""
    plain = load(folder, batch=3, openings=True)
    filmed = load(folder, batch=3, openings=True, camera=1.0)
    cached = load(folder, batch=3, openings=True, camera=1.0, cache=tmp_path)
    later = cached[1]
    for number in range(len(plain)):
        one, other = plain[number], filmed[number]
        changed = {name for name in one if not np.array_equal(one[name], other[name])}  # type: ignore[literal-required]
        assert {"video", "reference"} <= changed <= {"video", "reference", "opening"}
        assert same(other, cached[number])
    assert same(later, filmed[1])
    filmed.epoch = 1
    again = filmed[0]
    assert not np.array_equal(again["video"], load(folder, batch=3, openings=True, camera=1.0)[0]["video"])
    some = load(folder, batch=1, camera=0.5, frames_per_window=5)
    untouched = load(folder, batch=1, frames_per_window=5)
    kept = [np.array_equal(some[n]["video"], untouched[n]["video"]) for n in range(len(some))]
    assert 0 < sum(kept) < len(kept)


def test_a_cache_gives_the_same_crops_and_decodes_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = list(load(folder, batch=3, mouths=True))
    cached = load(folder, batch=3, mouths=True, cache=tmp_path)
    assert all(same(plain[b], cached[b]) for b in range(len(plain)))
    files = sorted(tmp_path.rglob("*.npy"))
    assert len(files) == 3 * 4, "crops, mel and shapes of mouths of four clips"
    again = load(folder, batch=3, mouths=True, cache=tmp_path)
    assert all(same(plain[b], again[b]) for b in range(len(plain)))
    assert again.seconds["decode"] == 0
    monkeypatch.setattr(media, "read_flac", None)
    assert all(same(plain[b], again[b]) for b in range(len(plain))), "the spectrum is kept, too"
    monkeypatch.undo()
    # A damaged file is made anew; another recipe or size has its own folder.
    for file in files[:3]:
        file.write_bytes(file.read_bytes()[:100])
    assert all(same(plain[b], again[b]) for b in range(len(plain)))
    _ = load(folder, batch=3, cache=tmp_path, recipe="syncnet-224")[0]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_cache_keeps_what_it_has(tmp_path: Path) -> None:
    cache = CropCache(tmp_path, "x", limit=2500)
    crops = np.zeros((10, 10, 10, 1), np.uint8)
    assert cache.put("a/0", crops)
    assert cache.put("b", crops + 1)
    assert not cache.put("c", crops)
    assert cache.get("c") is None
    kept = cache.get("b")
    assert kept is not None
    assert (kept == 1).all()
    assert not CropCache(tmp_path, "x", limit=2500).put("c", crops)
    assert not list(tmp_path.rglob("*.partial"))


def test_what_cannot_be_loaded_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean face-128"):
        load(folder, recipe="face-182")
    with pytest.raises(UnknownName, match="no split"):
        load(folder, split="tests")
    with pytest.raises(UsageError, match="15 windows make no batch of 16"):
        load(folder, batch=16)
    with pytest.raises(UsageError, match="rank 2 of 2"):
        load(folder, rank=2, world=2)
    with pytest.raises(UsageError, match="at least 1"):
        load(folder, frames=0)
    with pytest.raises(BadShards, match="no such folder"):
        load(tmp_path / "none")


def test_the_last_batch_may_be_smaller(folder: Path) -> None:
    windows = load(folder, batch=4, drop_last=False)
    assert [len(batch["key"]) for batch in windows] == [4, 4, 4, 3]
    assert len(load(folder, batch=4)) == 3


def test_speed_is_measured(folder: Path, tmp_path: Path) -> None:
    report = bench_load(folder, batch=1, workers=0, seconds=0.2, cache=tmp_path)
    assert [run.name for run in report.runs] == ["1 process", "1 process, cached"]
    assert all(run.samples >= 1 and run.rate > 0 and run.per_core for run in report.runs)
    assert set(report.runs[0].stages) == {"read", "decode", "warp", "mel", "collect"}
    assert report.runs[1].stages.get("decode", 0) == 0
    assert "windows an epoch" in report.verdict()
    assert report.table().row_count == 2
    with pytest.raises(UsageError, match="one batch"):
        bench_load(folder, batch=6)


# webdataset leaves the tar open until it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_plain_webdataset_gives_the_same_windows(folder: Path) -> None:
    """No tkbench loader: a pipeline over the tars, with a receipt to crop and the mel to hear."""
    webdataset = pytest.importorskip("webdataset")

    def window(item: dict[str, Any]) -> dict[str, Any]:
        members = {name: value for name, value in item.items() if not name.startswith("_")}
        sample = shards.unpack(item["__key__"], members)
        with np.load(io.BytesIO(item["npz"]), allow_pickle=False) as arrays:
            crops = align.warp(sample.video, arrays["face-128"], (128, 128))
        return {"key": sample.key, "video": crops[3:8], "mel": audio.mel(sample.audio)[:, 9:25]}

    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    found = {w["key"]: w for w in map(window, webdataset.WebDataset(tars, shardshuffle=False))}
    assert set(found) == set(LENGTHS)
    windows = load(folder, size=None)
    crops, voice = windows.clip("b/0")
    assert near(found["b/0"]["video"], crops[3:8])
    assert np.array_equal(found["b/0"]["mel"], audio.windows(audio.mel(voice), np.array([3]))[0])
