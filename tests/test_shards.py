"""Shards: complete or refused with a clear line, the same bytes from equal content, no path out of a folder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tkbench import media, shards
from tkbench.crops import align
from tkbench.errors import BadInput, BadSample, BadShards, UnknownName
from tkbench.runtime import storage
from tkbench.types import Array

T = 5


def build(folder: Path, keys: tuple[str, ...] = ("a", "b/c_1"), split: str = "test") -> Path:
    """A small complete shard folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    scratch = folder.parent / "scratch.mp4"
    media.write_video(scratch, rng.integers(0, 256, (T, 32, 32, 3), np.uint8))
    landmarks = rng.uniform(2, 30, (T, 478, 2)).astype(np.float32)
    rows = []
    with shards.ShardWriter(folder / f"{split}-000000.tar") as writer:
        for key in keys:
            meta = {"dataset": "x", "split": split, "speaker": "s", "text": "hi", "canvas": {"kind": "whole"}}
            meta |= {"words": [{"text": "hi", "start": 0.0, "end": 0.1}], "extra": {"truth": 1}}
            members: dict[str, bytes | Path] = {
                "mp4": scratch,
                "flac": media.write_flac(rng.normal(0, 0.1, T * 640)),
                "npz": shards.pack_arrays(
                    {
                        "landmarks": landmarks,
                        "score": np.ones(T, np.float32),
                        "face-128": align.matrices(landmarks, "face-128"),
                    }
                ),
                "json": shards.pack_json(meta),
            }
            row = {
                "key": key,
                "clip": key,
                "path": f"{key}.mp4",
                "dataset": "x",
                "split": split,
                "speaker": "s",
            }
            rows.append(
                row | {"status": "ok", "shard": f"{split}-000000.tar", "offset": writer.add(key, members)}
            )
        record = writer.commit(split)
    rows.append(
        {"key": "z", "clip": "z", "split": split, "status": "skipped", "reason": "no-face", "detail": "none"}
    )
    shards.write_index(folder, [record], rows, dataset="x", protocol="p", signature="s", settings={})
    return folder


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    opened = shards.open_shards(build(tmp_path / "s"))
    assert opened.keys() == ("a", "b/c_1")
    assert (opened.dataset, opened.split, len(opened)) == ("x", "test", 2)
    assert opened.speakers == {"a": "s", "b/c_1": "s"}
    sample = opened.get("b/c_1")
    assert sample.video.shape == (T, 32, 32, 3)
    assert sample.audio.shape == (T * 640,)
    assert sample.landmarks.shape == (T, 478, 2)
    assert sample.words[0].end == 0.1
    assert sample.meta["extra"] == {"truth": 1}
    assert np.array_equal(opened.get_audio("b/c_1"), sample.audio)
    assert opened.get_arrays("a")["face-128"].shape == (T, 2, 3)
    assert [s.key for s in opened.iter()] == ["a", "b/c_1"]
    manifest = opened.manifest()
    assert manifest["reason"].dropna().tolist() == ["no-face"]
    few = shards.open_shards(opened.folder).manifest(("status", "key", "from-the-future"))
    assert few.columns.tolist() == ["status", "key", "from-the-future"]
    assert few["key"].tolist() == manifest["key"].tolist()
    assert few["from-the-future"].isna().all()
    opened.verify()


def test_labels_are_text_columns_that_only_labelled_data_has(tmp_path: Path) -> None:
    """Three rows, one with two labels: the columns come after the others, sorted, null where nothing is said."""
    rows = [
        {"key": key, "clip": key, "split": "test", "status": "skipped", "reason": "no-face"} for key in "abc"
    ]
    rows[1] |= {"label_view": "front", "label_emotion": "happy"}
    said = {"dataset": "x", "protocol": "p", "signature": "s", "settings": {}}
    for name, labels in (("with", ["view", "emotion", "view"]), ("without", [])):
        (tmp_path / name).mkdir()
        mine = rows if labels else [{k: v for k, v in row.items() if "label" not in k} for row in rows]
        shards.write_index(tmp_path / name, [], mine, labels=labels, **said)
    plain = shards.open_shards(tmp_path / "without").manifest().columns.tolist()
    table = shards.open_shards(tmp_path / "with").manifest()
    assert plain == list(shards.COLUMNS)
    assert table.columns.tolist() == [*plain, "label_emotion", "label_view"]
    assert table["label_emotion"].dropna().to_dict() == {1: "happy"}
    with pytest.raises(BadInput, match="unknown columns: label_view"):
        shards.write_index(tmp_path, [], rows, labels=["emotion"], **said)
    with pytest.raises(BadInput, match="'label_Age Group': a name has lower case letters"):
        shards.write_index(tmp_path, [], [], labels=["Age Group"], **said)


def test_equal_content_makes_equal_bytes(tmp_path: Path) -> None:
    one, two = build(tmp_path / "1" / "s"), build(tmp_path / "2" / "s")
    for name in ("test-000000.tar", "manifest.parquet", "index.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert shards.open_shards(one).data_hash == shards.open_shards(two).data_hash


# webdataset leaves the tar open until it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_plain_tar_and_webdataset_read_them(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    path = build(tmp_path / "s") / "test-000000.tar"
    with tarfile.open(path) as tar:
        infos = tar.getmembers()
        assert [info.name for info in infos][:4] == ["a.mp4", "a.flac", "a.npz", "a.json"]
        assert {(info.mtime, info.uid, info.gid, info.mode) for info in infos} == {(0, 0, 0, 0o644)}
    items = list(webdataset.WebDataset(str(path), shardshuffle=False))
    sample = shards.unpack(items[1]["__key__"], {k: v for k, v in items[1].items() if k[0] != "_"})
    assert sample.key == "b/c_1"


def test_a_folder_without_index_is_unfinished(tmp_path: Path) -> None:
    folder = build(tmp_path / "s")
    (folder / "index.json").unlink()
    with pytest.raises(BadShards, match="did not finish"):
        shards.open_shards(folder)
    with pytest.raises(BadShards, match="no such folder"):
        shards.open_shards(tmp_path / "none")


def damage(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | changes))


def test_damage_is_named(tmp_path: Path) -> None:
    folder = build(tmp_path / "s")
    tar = folder / "test-000000.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-512])
    with pytest.raises(BadShards, match="bytes, the index says"):
        shards.open_shards(folder)
    flipped = bytearray(whole)
    flipped[700] ^= 1
    tar.write_bytes(bytes(flipped))
    with pytest.raises(BadShards, match="not what the index says"):
        shards.open_shards(folder).verify()
    tar.unlink()
    with pytest.raises(BadShards, match="is missing"):
        shards.open_shards(folder)


def test_another_manifest_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "s")
    build(tmp_path / "t", ("a",))
    (folder / "manifest.parquet").write_bytes((tmp_path / "t" / "manifest.parquet").read_bytes())
    with pytest.raises(BadShards, match=r"manifest.parquet: not the file"):
        shards.open_shards(folder).keys()


def test_versions_and_nonsense_are_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "s")
    damage(folder, format_version=99)
    with pytest.raises(BadShards, match="format 99"):
        shards.open_shards(folder)
    (folder / "index.json").write_text("[1, 2]")
    with pytest.raises(BadShards, match="not an index"):
        shards.open_shards(folder)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = build(tmp_path / "s")
    evil = [{"name": "../x.tar", "split": "test", "count": 1, "bytes": 1, "sha256": ""}]
    damage(folder, shards=evil)
    with pytest.raises(BadShards, match="not a plain file name"):
        shards.open_shards(folder)
    with shards.ShardWriter(tmp_path / "w.tar") as writer, pytest.raises(BadInput, match="may hold letters"):
        writer.add("../evil", {"mp4": b""})
    assert not (tmp_path / "w.tar").exists()
    assert not list(tmp_path.glob(".*partial"))


def test_splits_open_on_their_own(tmp_path: Path) -> None:
    folder = build(tmp_path / "s", ("a",), split="val")
    assert shards.open_shards(folder, split="val").keys() == ("a",)
    with pytest.raises(UnknownName, match="no split 'vla'"):
        shards.open_shards(folder, split="vla")
    with pytest.raises(UnknownName, match="no clip 'aa'"):
        shards.open_shards(folder).get("aa")


def test_arrays_pack_to_the_same_bytes_on_every_python() -> None:
    """Seen on 3.11.2 and 3.11.7, whose np.savez differ; a data hash must not tell them apart."""
    data = shards.pack_arrays({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2)})
    assert (
        hashlib.sha256(data).hexdigest() == "f1a2b3f3e2be75a79c45d74700fd95ede697025de72a7c0a8e6c191fc0616326"
    )
    with np.load(io.BytesIO(data)) as read:
        np.testing.assert_array_equal(read["a"], [[0, 1, 2], [3, 4, 5]])
        assert read["b"].dtype == np.float64


def test_altered_content_is_refused_when_it_is_read(tmp_path: Path) -> None:
    folder = build(tmp_path / "s")
    path = folder / "test-000000.tar"
    data = bytearray(path.read_bytes())
    data[2000] ^= 255
    path.write_bytes(data)
    with pytest.raises(BadShards, match="not what the index says"):
        shards.open_shards(folder).get("a")


def test_a_shard_is_hashed_once_for_as_long_as_it_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tmp_path / "s")
    shards.open_shards(folder).get_audio("a")
    monkeypatch.setattr(storage, "sha256_of", None)
    shards.open_shards(folder).get_audio("a")
    (folder / "test-000000.tar").touch()
    with pytest.raises(TypeError):
        shards.open_shards(folder).get_audio("a")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: np.full_like(a, np.nan), "nan, inf or no numbers"),
        (lambda a: a.astype("U8"), "no numbers"),
        (lambda a: a[:, 1:], r"expected \(frames, points, 2\)"),
        (lambda a: a + 1000, "outside of the 32x32 canvas"),
        (lambda a: a[1:], "do not fit"),
    ],
)
def test_landmarks_that_cannot_be_are_damage(tmp_path: Path, change: Callable[..., Array], said: str) -> None:
    members = shards.open_shards(build(tmp_path / "s")).members("a")
    arrays = shards.unpack_arrays("a", members["npz"])
    arrays["landmarks"] = change(arrays["landmarks"])
    with pytest.raises(BadSample, match=said):
        shards.unpack("a", members | {"npz": shards.pack_arrays(arrays)})


@pytest.mark.parametrize("suffix", ["json", "npz", "flac", "mp4"])
@pytest.mark.parametrize("content", [b"", b"[" * 100_000, bytes(500)])
def test_a_damaged_member_is_one_clips_fault(tmp_path: Path, suffix: str, content: bytes) -> None:
    members = shards.open_shards(build(tmp_path / "s")).members("a")
    with pytest.raises(BadSample, match=r"^a: "):
        shards.unpack("a", members | {suffix: content})
