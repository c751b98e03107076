"""A synthetic tree of every data set that has one, read, checked, prepared, damaged: everything but the real data."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tkbench import cli, media, shards
from tkbench.errors import UnknownName, UsageError
from tkbench.prep import datasets
from tkbench.prep.datasets import check, splits
from tkbench.prep.datasets.fake import make_fake
from tkbench.prep.plan import Settings
from tkbench.prep.run import prepare
from tkbench.types import Clip, Sample

CLIPS = {"lrw": 2, "lrs2": 4, "lrs3": 3, "hdtf": 5}
"""Clips of each tree; a data set that is not here gets as many as it needs."""
FAKES = [name for name in datasets.registry.own() if datasets.find(name).fake is not None]


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake of each data set, small."""
    folder = tmp_path_factory.mktemp("fakes")
    for dataset in FAKES:
        maker = datasets.find(dataset).fake
        assert maker is not None
        make_fake(dataset, folder / dataset, clips=CLIPS.get(dataset, maker.least), seed=3)
    return folder


@pytest.fixture(scope="session")
def prepared(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of each."""
    folder = tmp_path_factory.mktemp("prepared")
    for dataset in FAKES:
        prepare(trees / dataset, folder / dataset, dataset=dataset)
    return folder


def manifest(prepared: Path, dataset: str) -> pd.DataFrame:
    return pd.read_parquet(prepared / dataset / "manifest.parquet").set_index("key")


def samples(prepared: Path, dataset: str) -> dict[str, Sample]:
    opened = shards.open_shards(prepared / dataset)
    return {key: opened.get(key) for key in opened.keys()}


@pytest.mark.parametrize("dataset", FAKES)
def test_a_reader_is_sorted_and_opens_no_file_of_a_clip(
    trees: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: set[str] = set()
    real = Path.open

    def spy(self: Path, *arguments: Any, **options: Any) -> Any:
        opened.add(str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", spy)
    found = list(datasets.read(dataset, trees / dataset))
    assert found == list(datasets.read(dataset, trees / dataset))
    clips = [item for item in found if isinstance(item, Clip)]
    assert clips
    assert not opened & {path for clip in clips for path in (clip.path, clip.sidecar)}
    for split in {item.split for item in found}:
        keys = [item.key for item in found if item.split == split]
        assert keys == sorted(set(keys))
    assert all(clip.dataset == f"{dataset}-fake" and Path(clip.path).is_file() for clip in clips)
    # The mark is the tree's, not the reader's.
    plain = datasets.find(dataset).read(trees / dataset)
    assert {item.dataset for item in plain if isinstance(item, Clip)} == {dataset}


@pytest.mark.parametrize("dataset", FAKES)
def test_a_fake_is_counted_listed_and_prepared_as_it_was_read(
    prepared: Path, trees: Path, dataset: str
) -> None:
    """Reader, check, splits and shards speak of the same clips."""
    record, found = datasets.find(dataset), list(datasets.read(dataset, trees / dataset))
    there = [item for item in found if isinstance(item, Clip)]
    ledger = check.check(dataset, trees / dataset)
    assert ledger.listed.total() == len(found)
    assert ledger.there.total() == len(there)
    assert all(finding.kind and finding.split for finding in ledger.findings)
    quick = check.check(dataset, trees / dataset, fast=True)
    assert (quick.listed, quick.there) == (ledger.listed, ledger.there)
    if record.splits:
        listed = {split.name: split for split in splits.splits_of(dataset, trees / dataset)}
        assert set(listed) <= set(record.splits)
        assert sorted(key for split in listed.values() for key in split.keys) == sorted(i.key for i in found)
        assert sum(len(split.missing) for split in listed.values()) == len(found) - len(there)
    else:
        assert {item.split for item in found} == {"test"}
    table = pd.read_parquet(prepared / dataset / "manifest.parquet")
    assert dict(zip(table["clip"], table["split"], strict=True)) == {item.key: item.split for item in found}
    assert set(table[table.status == "ok"]["clip"]) == {clip.key for clip in there}
    assert set(table.dataset) == {f"{dataset}-fake"}
    assert json.loads((prepared / dataset / "index.json").read_text())["dataset"] == f"{dataset}-fake"


@pytest.mark.parametrize(
    ("dataset", "size", "frames", "speaker"),
    [("lrw", 256, 29, False), ("lrs2", 160, None, True), ("lrs3", 224, None, True)],
)
def test_a_fake_of_words_and_sentences_is_prepared_whole(
    prepared: Path, trees: Path, dataset: str, size: int, frames: int | None, speaker: bool
) -> None:
    table = manifest(prepared, dataset)
    assert (table.status == "ok").all()
    assert set(table.canvas) == {"whole"}
    assert set(table.dataset) == {f"{dataset}-fake"}
    assert set(zip(table.width, table.height, strict=True)) == {(size, size)}
    assert table.speaker.notna().all() == speaker
    assert (table.fixes == "").all()  # nothing had to be changed: the streams are copied
    for sample in samples(prepared, dataset).values():
        assert frames is None or len(sample) == frames
        assert sample.text
        assert sample.meta["canvas"]["encoding"] == "copy"
        assert sample.meta["length"]["frames"] == len(sample)
        assert abs(sample.meta["length"]["lacking"]) <= 640
    index = json.loads((prepared / dataset / "index.json").read_text())
    assert index["dataset"] == f"{dataset}-fake"
    found = check.check(dataset, trees / dataset)
    assert {item.kind for item in found.findings} <= {"missing-folder"}  # a word need not be in all splits


def test_the_word_of_lrw_is_loud_where_its_interval_is(prepared: Path) -> None:
    for sample in samples(prepared, "lrw").values():
        (word,) = sample.words
        assert word.text == sample.text
        assert (word.start + word.end) / 2 == pytest.approx(0.58, abs=1e-6)
        voice = sample.audio[int(word.start * 16000) : int(word.end * 16000)]
        assert np.sqrt(np.mean(voice**2)) > 0.02


def test_word_times_are_those_of_the_text(prepared: Path) -> None:
    told = [sample for sample in samples(prepared, "lrs2").values() if sample.split == "pretrain"]
    assert told
    for sample in told:
        assert " ".join(word.text for word in sample.words) == sample.text
        assert sample.meta["extra"]["conf"] in (3, 4, 5)
    tags = {
        s.key: s.meta["extra"].get("tag") for s in samples(prepared, "lrs2").values() if s.split == "test"
    }
    assert set(tags.values()) == {"NF"}


def test_hdtf_is_cut_by_its_annotations(prepared: Path) -> None:
    table = manifest(prepared, "hdtf")
    assert dict(table.canvas.dropna()) == {
        "RD_Radio1_000": "head",
        "WDA_AdaSample0_000": "official",
        "WDA_AdaSample0_001": "official",
        "WRA_BobSample_000": "official",
    }
    lost = table.loc["WDA_AdaSample1_000"]
    assert (lost.status, lost.reason, lost.split) == ("skipped", "missing-file", "train")
    ok = table[table.status == "ok"]
    assert (ok.n_frames == 50).all()
    assert set(zip(ok.width, ok.height, strict=True)) == {(512, 512)}
    assert dict(ok.speaker)["WDA_AdaSample0_001"] == "AdaSample"
    opened = shards.open_shards(prepared / "hdtf")
    got = {key: json.loads(opened.members(key, ["json"])["json"])["canvas"] for key in opened.keys()}
    plain = got["WDA_AdaSample0_000"]
    assert (plain["x"], plain["y"], plain["width"], plain["official"]["scale"]) == (300, 60, 512, 1.0)
    scaled = got["WRA_BobSample_000"]  # annotated at 1080, the file has 720
    assert (scaled["x"], scaled["y"], scaled["width"]) == (340, 80, 512)
    assert scaled["official"]["scale"] == pytest.approx(2 / 3, abs=1e-6)
    assert "official crop scaled by 0.666667" in table.loc["WRA_BobSample_000"].fixes
    head = got["RD_Radio1_000"]["official"]
    assert (head["used"], "none is published" in head["why"]) == (False, True)
    assert "no official crop: none is published for this clip" in table.loc["RD_Radio1_000"].fixes


def test_the_frames_of_an_interval_are_those_of_the_whole_file(prepared: Path, trees: Path) -> None:
    """The canvas of each clip against the whole video, decoded from its first picture and cropped by hand."""
    found = datasets.registry.get("hdtf").read(trees / "hdtf")
    clips = {item.key: item for item in found if isinstance(item, Clip)}
    opened = shards.open_shards(prepared / "hdtf")
    for key in ("WDA_AdaSample0_001", "WRA_BobSample_000"):
        clip, sample = clips[key], opened.get(key)
        assert clip.start is not None
        first = round(clip.start * 25)
        cut = sample.canvas
        x, y, side = cut["x"], cut["y"], cut["width"]
        whole = media.stream_frames(clip.path, media.probe(clip.path))
        kept = [
            f[y : y + side, x : x + side].copy() for i, f in enumerate(whole) if first - 1 <= i <= first + 50
        ]
        true = np.stack(kept[1:51]).astype(int)
        # The train split is stored with a little loss; a neighbouring frame would differ far more.
        lossless = sample.split == "test"
        off = np.abs(sample.video.astype(int) - true).mean(axis=(1, 2, 3))
        assert off.max() < (0.6 if lossless else 2.0)
        # The room is empty just before and after: an interval that began a frame early would show it.
        for outside, inside in ((kept[0], sample.video[0]), (kept[51], sample.video[-1])):
            assert np.abs(outside.astype(int) - inside).mean() > 10
        heard = media.read_audio(clip.path)[first * 640 : (first + 50) * 640]
        assert np.abs(sample.audio - heard).mean() < 0.1 * np.abs(heard).mean()
        assert sample.meta["source"]["interval"] == [clip.start, clip.stop]
        assert sample.meta["source"]["first_frame"] == first
        assert (sample.track_score > 0).mean() > 0.9


def test_a_split_can_be_prepared_alone(trees: Path, tmp_path: Path) -> None:
    summary = prepare(trees / "hdtf", tmp_path / "o", dataset="hdtf", split="test")
    assert (summary.n_clips, summary.n_ok) == (1, 1)  # the missing video is of train: not a word about it
    with pytest.raises(UsageError, match="no clip in split 'dev'; there are pretrain, test, train, val"):
        prepare(trees / "lrs2", tmp_path / "p", dataset="lrs2", split="dev")


def test_a_long_interval_is_divided_where_it_lies(prepared: Path, trees: Path, tmp_path: Path) -> None:
    prepare(trees / "hdtf", tmp_path / "o", dataset="hdtf", split="test", settings=Settings(max_frames=30))
    whole = shards.open_shards(prepared / "hdtf").get("WRA_BobSample_000")
    halves = samples(tmp_path, "o")
    assert sorted(halves) == ["WRA_BobSample_000__s0", "WRA_BobSample_000__s1"]
    for number, half in enumerate(halves[key] for key in sorted(halves)):
        part = slice(25 * number, 25 * (number + 1))
        np.testing.assert_array_equal(half.video, whole.video[part])
        np.testing.assert_array_equal(half.audio, whole.audio[25 * 640 * number :][: 25 * 640])
        assert half.meta["start_frame"] == 25 * number
        assert half.meta["source"]["first_frame"] == 25  # of the interval, in the file


def test_a_damaged_tree_gives_rows_and_a_ledger(trees: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "lrs2"
    shutil.copytree(trees / "lrs2", root)
    base = root / "mvlrs_v1"
    by_split = {split: (base / f"{split}.txt").read_text().split()[0] for split in ("test", "val", "train")}
    (base / "main" / f"{by_split['test']}.mp4").unlink()
    (base / "main" / f"{by_split['val']}.mp4").write_bytes(b"")
    (base / "main" / f"{by_split['train']}.txt").write_bytes(b"Text:  \xff\xfe\nConf: x\n")
    prepare(root, tmp_path / "o", dataset="lrs2")
    table = pd.read_parquet(tmp_path / "o" / "manifest.parquet").set_index("key")
    assert {key: table.loc[key].reason for key in (by_split["test"], by_split["val"])} == {
        by_split["test"]: "missing-file",
        by_split["val"]: "empty-file",
    }
    assert table.loc[by_split["train"]].status == "ok"
    assert "line 2: not a line of such a file" in table.loc[by_split["train"]].fixes
    kinds = {item.kind for item in check.check("lrs2", root).findings}
    assert kinds == {"missing-file", "empty-file", "bad-text"}


def test_no_released_clip_is_left_out_for_being_short(trees: Path, tmp_path: Path) -> None:
    """LRS2 has test clips of less than a second: tables are over all of them."""
    base = trees / "lrs2" / "mvlrs_v1"
    source = base / "main" / f"{(base / 'val.txt').read_text().split()[0]}.mp4"
    frames, sound = media.read_video(source)[20:], media.read_audio(source)[20 * 640 :]
    for number, count in enumerate((4, 5, 12)):
        file = tmp_path / "main" / f"{number:019d}" / "00001.mp4"
        file.parent.mkdir(parents=True)
        media.write_video(file, frames[:count], audio=sound[: count * 640])
    (tmp_path / "test.txt").write_text("".join(f"{number:019d}/00001 NF\n" for number in range(3)))
    prepare(tmp_path, tmp_path / "o", dataset="lrs2")
    table = pd.read_parquet(tmp_path / "o" / "manifest.parquet").sort_values("key")
    assert table.reason.fillna("ok").tolist() == ["too-short", "ok", "ok"]
    assert table.n_frames.tolist()[1:] == [5, 12]


def test_the_same_seed_gives_the_same_tree(tmp_path: Path) -> None:
    def hashes(root: Path) -> dict[str, str]:
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    one, two, other = (
        hashes(make_fake("lrw", tmp_path / name, clips=1, seed=seed))
        for name, seed in zip("abc", (5, 5, 6), strict=True)
    )
    assert one == two
    assert set(one.values()) & set(other.values()) == set()
    with pytest.raises(UsageError, match="is not empty"):
        make_fake("lrw", tmp_path / "a")
    with pytest.raises(UsageError, match="at least 5 clips"):
        make_fake("hdtf", tmp_path / "d", clips=2)
    with pytest.raises(UnknownName, match="did you mean lrs"):
        make_fake("lrs", tmp_path / "d")


def test_the_commands_say_what_is_there(
    trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tkbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    file = tmp_path / "findings.csv"
    code, out, _ = run("data", "check", "hdtf", "--root", trees / "hdtf", "--csv", file)
    assert code == 0
    assert "1 missing-video" in out
    rows = {(row["kind"], row["key"]): row["detail"] for row in csv.DictReader(file.read_text().splitlines())}
    assert rows["available", "WRA_BobSample"] == "1280x720, annotated at 1080, 4.0 s"
    assert ("other-resolution", "WRA_BobSample") in rows
    assert ("no-crop", "RD_Radio1_000") in rows
    code, out, err = run("data", "check", "hdtf", "--root", trees / "lrs2")
    assert (code, out) == (2, "")
    assert len([line for line in err.splitlines() if line]) == 1
    code, out, _ = run("data", "splits", "lrs2", "--root", trees / "lrs2", "--out", tmp_path / "lists")
    assert code == 0
    listed = (tmp_path / "lists" / "lrs2-test.txt").read_bytes()
    assert hashlib.sha256(listed).hexdigest() in out


@pytest.mark.slow
def test_real_clips_arranged_as_lrs2_are_prepared(clips: Path, tmp_path: Path) -> None:
    """Small clips of many kinds under the names of LRS2: the whole frame is the canvas, nothing is lost."""
    import shutil

    base = tmp_path / "mvlrs_v1"
    (base / "main").mkdir(parents=True)
    lines, expected = [], {}
    sources = sorted(path for path in clips.glob("*.*") if path.suffix in (".mp4", ".mpg", ".avi"))
    for number, path in enumerate(sources):
        folder = base / "main" / f"{6_000_000_000_000_000_000 + number}"
        folder.mkdir()
        shutil.copy(path, folder / "00001.mp4")
        (folder / "00001.txt").write_text(f"Text:  CLIP {number}\nConf:  {number % 6}\n")
        lines.append(f"{folder.name}/00001 {'NF' if number % 2 else 'MV'}\n")
        expected[f"{folder.name}/00001"] = path.name
    (base / "test.txt").write_text("".join(lines))
    prepare(tmp_path, tmp_path / "out", dataset="lrs2", workers=2)
    table = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert set(table["clip"]) == set(expected)
    reasons = {
        expected[row["clip"]]: row["reason"] for row in table.to_dict("records") if row["status"] != "ok"
    }
    assert reasons == {
        "MuseTalk__sun.mp4": "no-audio-stream",
        "LivePortrait__driving_d3.mp4": "silent-audio",
    }
    ok = table[table.status == "ok"]
    small = ok[(ok.source_width <= 512) & (ok.source_height <= 512)]
    assert set(small.canvas) == {"whole"}
    assert ok.text[ok["clip"] == ok.key].str.startswith("CLIP").all()
    assert (ok.speaker == ok["clip"].str.split("/").str[0]).all()


@pytest.mark.slow
def test_real_clips_arranged_as_hdtf_are_prepared(clips: Path, tmp_path: Path) -> None:
    """Long and large clips as "downloads", with intervals and crops that were looked up by eye."""
    import shutil

    names = {
        # file, height that the annotation speaks of, interval, crop (x, width, y, height) at that height
        "LatentSync__demo2_video.mp4": ("Tall0", 1920, "00:03-00:08", "240 600 200 600"),
        "LatentSync__demo3_video.mp4": ("Tall1", 960, "00:10-00:14", ""),
        "VisualVoice__test_videos_interview.mp4": ("Pair0", 1080, "00:02-00:06 00:12-00:16", "0 960 60 960"),
        "SadTalker__ref_video_WDA_KatieHill_000.mp4": ("KatieHill", 512, "00:01-00:05", "0 512 0 512"),
    }
    lines: dict[str, list[str]] = {"video_url": [], "resolution": [], "annotion_time": [], "crop_wh": []}
    (tmp_path / "v").mkdir()
    for file, (name, height, times, box) in names.items():
        shutil.copy(clips / file, tmp_path / "v" / f"{name}.mp4")
        lines["video_url"].append(f"{name} https://www.youtube.com/watch?v=AAAAAAAAAAA&t=1s")
        lines["resolution"].append(f"{name}.mp4 {height}")
        lines["annotion_time"].append(f"{name}.mp4 {times} ")
        lines["crop_wh"] += [f"{name}_{i}.mp4 {box}" for i in range(len(times.split())) if box]
    for kind, rows in lines.items():
        (tmp_path / f"WDA_{kind}.txt").write_text("".join(f"{row}\n" for row in rows))
    prepare(tmp_path, tmp_path / "out", dataset="hdtf", workers=2)
    table = pd.read_parquet(tmp_path / "out" / "manifest.parquet").set_index("key")
    assert (table.status == "ok").all()
    assert dict(table.canvas) == {
        "WDA_KatieHill_000": "official",
        "WDA_Pair0_000": "official",
        "WDA_Pair0_001": "official",
        "WDA_Tall0_000": "official",
        "WDA_Tall1_000": "head",
    }
    assert dict(table.n_frames) == {
        "WDA_KatieHill_000": 100,
        "WDA_Pair0_000": 100,
        "WDA_Pair0_001": 100,
        "WDA_Tall0_000": 125,
        "WDA_Tall1_000": 100,
    }
    assert set(zip(table.width, table.height, strict=True)) == {(512, 512)}
