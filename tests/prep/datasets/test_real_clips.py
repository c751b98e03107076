"""Real clips under the names of VoxCeleb2, CelebV-HQ, GRID, TalkVid and AVSpeech, prepared as these are. All slow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tkbench import shards
from tkbench.prep.plan import Settings
from tkbench.prep.run import Run, prepare

pytestmark = pytest.mark.slow
INTERVIEW = "VisualVoice__test_videos_interview.mp4"


def put(clip: Path, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(clip, file)


def manifest(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "manifest.parquet").set_index("key")


def test_small_faces_as_voxceleb2(clips: Path, tmp_path: Path) -> None:
    names = ("Audio_Source_681100216", "Input_00002", "Pose_Source_741400163")
    for number, name in enumerate(names):
        tube = f"id{number + 12:05d}/AAAAAAAAAA{number}/00001"
        put(clips / f"Talking-Face_PC-AVS__{name}.mp4", tmp_path / "test" / "mp4" / f"{tube}.mp4")
        text = tmp_path / "test" / "txt" / f"{tube}.txt"
        text.parent.mkdir(parents=True)
        text.write_text(f"Identity  : \tid{number + 12:05d}\nReference : \tx\nOffset    : \t{number}\n")
    prepare(tmp_path, tmp_path / "o", dataset="voxceleb2", split="test", settings=Settings(max_frames=400))
    table = manifest(tmp_path / "o")
    assert (table.status == "ok").all()
    assert set(table.canvas) == {"whole"}
    assert set(zip(table.width, table.height, strict=True)) == {(224, 224)}
    assert sorted(set(table.speaker)) == ["id00012", "id00013", "id00014"]
    opened = shards.open_shards(tmp_path / "o")
    offsets = {json.loads(opened.members(key, ["json"])["json"])["extra"]["offset"] for key in opened.keys()}
    assert offsets == {0, 1, 2}


def test_downloads_and_a_cut_clip_as_celebvhq(clips: Path, tmp_path: Path) -> None:
    """Windows and intervals that were looked up by eye, in shares of pictures of three shapes."""
    wanted = {
        # file, start, end, bbox (left, top, right, bottom)
        "Tall0000000": ("LatentSync__demo2_video.mp4", 3.0, 6.0, (0.2422, 0.1242, 0.7578, 0.3967)),
        "Pair0000000": (INTERVIEW, 2.0, 5.0, (0.02, 0.0756, 0.48, 0.9244)),
        "Whole000000": ("SadTalker__ref_video_WDA_KatieHill_000.mp4", 1.0, 4.0, (0.02, 0.02, 0.98, 0.98)),
        "Gone0000000": (None, 1.0, 4.0, (0.1, 0.1, 0.9, 0.9)),
    }
    entries = {}
    for tube, (file, start, end, box) in wanted.items():
        if file is not None:
            put(clips / file, tmp_path / "raw" / f"{tube}.mp4")
        entries[f"{tube}_0"] = {
            "ytb_id": tube,
            "duration": {"start_sec": start, "end_sec": end},
            "bbox": dict(zip(("left", "top", "right", "bottom"), box, strict=True)),
            "attributes": {
                "appearance": [],
                "action": [],
                "emotion": {"sep_flag": False, "labels": "neutral"},
            },
        }
    entries["Whole000000_1"] = entries["Whole000000_0"]
    put(
        clips / "SadTalker__test_source_image_WDA_EdMarkey0_000.mp4",
        tmp_path / "processed" / "Whole000000_1.mp4",
    )
    (tmp_path / "celebvhq_info.json").write_text(json.dumps({"meta_info": {}, "clips": entries}))
    prepare(tmp_path, tmp_path / "o", dataset="celebvhq")
    table = manifest(tmp_path / "o")
    assert table.reason.dropna().to_dict() == {"Gone0000000_0": "missing-file"}
    ok = table[table.status == "ok"]
    assert set(ok.canvas) == {"official"}
    assert set(zip(ok.width, ok.height, strict=True)) == {(512, 512)}
    assert ok.n_frames.to_dict() == {
        "Pair0000000_0": 75, "Tall0000000_0": 75, "Whole000000_0": 75, "Whole000000_1": 200
    }  # fmt: skip
    cut = shards.open_shards(tmp_path / "o").get("Tall0000000_0").canvas
    # 0.5556 of 1080 columns are 600 pixels, 0.3125 of 1920 rows as well.
    assert (abs(cut["x"] - 240) <= 2, abs(cut["y"] - 200) <= 2, abs(cut["width"] - 600) <= 2) == (
        True,
        True,
        True,
    )


def test_sentences_of_grid_as_grid(clips: Path, tmp_path: Path) -> None:
    names = {"GRID_bbaf2n": "s1", "GRID_brbk7n": "s1", "GRID_pwij3p": "s2", "id2_vcd_swwp2s": "s2"}
    for name, person in names.items():
        put(clips / f"LipNet__{name}.mpg", tmp_path / person / "video" / "mpg_6000" / f"{name[-6:]}.mpg")
    align = tmp_path / "s1" / "align" / "bbaf2n.align"
    align.parent.mkdir(parents=True)
    rows = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 at\n35500 41000 f\n41000 47250 two\n"
    align.write_text(rows + "47250 53000 now\n53000 74500 sil\n")
    prepare(tmp_path, tmp_path / "o", dataset="grid")
    table = manifest(tmp_path / "o")
    assert (table.status == "ok").all()
    assert set(zip(table.width, table.height, strict=True)) == {(360, 288)}
    assert table.text.to_dict()["s2/swwp2s"] == "set white with p two soon"
    sample = shards.open_shards(tmp_path / "o").get("s1/bbaf2n")
    assert [word.text for word in sample.words] == ["bin", "blue", "at", "f", "two", "now"]
    assert 72 <= len(sample) <= 75
    # It is quiet before the first word and loud in the words.
    first = sample.words[0]
    loud = sample.audio[int(first.start * 16_000) : int(sample.words[-1].end * 16_000)]
    assert (loud**2).mean() > 20 * (sample.audio[: int(0.8 * first.start * 16_000)] ** 2).mean()


def test_parts_and_wholes_as_talkvid(clips: Path, tmp_path: Path) -> None:
    files = {
        "raw/TallVideo00.mp4": "LatentSync__demo3_video.mp4",
        "clips/FaceVideo00/FaceVideo00_001_10.500_15.500.mp4": "video-retalking__face_2.mp4",
        "clips/videovideoVfrVideo000-scene1-scene1.mp4": "video-retalking__face_1.mp4",
        "TalkVid-bench/age/videos_w_audios/60+/bench face.mp4": "Real3DPortrait__May_5s.mp4",
    }
    for place, name in files.items():
        put(clips / name, tmp_path / place)

    def entry(tube: str, start: float, end: float, **more: object) -> dict[str, object]:
        info = {"Person ID": more.pop("person", "7"), "Language": "English", "Gender": "Male",
                "Video Link": f"https://www.youtube.com/watch?v={tube}"}  # fmt: skip
        return {
            "id": f"videovideo{tube}-scene1-scene1",
            "start-time": start,
            "end-time": end,
            "info": info,
            **more,
        }

    train = [
        entry("TallVideo00", 10.0, 14.0),
        entry("FaceVideo00", 10.5, 15.5),
        entry("VfrVideo000", 99.0, 105.0),
    ]
    (tmp_path / "filtered_video_clips.json").write_text(json.dumps([*train, entry("LostVideo00", 0.0, 4.0)]))
    tested = entry("BenchVideo0", 3.0, 8.0, person="", **{"video-path": "videos/bench face.mp4"})
    (tmp_path / "TalkVid-bench" / "age" / "test_age.json").write_text(json.dumps([tested]))
    prepare(tmp_path, tmp_path / "o", dataset="talkvid")
    table = manifest(tmp_path / "o")
    assert table.reason.dropna().to_dict() == {"videovideoLostVideo00-scene1-scene1": "missing-file"}
    ok = table[table.status == "ok"]
    assert ok.split.value_counts().to_dict() == {"train": 3, "test": 1}
    assert ok.n_frames["videovideoTallVideo00-scene1-scene1"] == 100
    assert abs(ok.n_frames["videovideoFaceVideo00-scene1-scene1"] - 125) <= 1
    assert (ok.label_language == "English").all()
    assert ok.speaker["bench/videovideoBenchVideo0-scene1-scene1"] == "BenchVideo0"


def test_the_published_point_chooses_between_two_people(clips: Path, tmp_path: Path) -> None:
    """Two people beside each other for three seconds, as two rows of AVSpeech and as two boxes of a table."""
    put(clips / INTERVIEW, tmp_path / "Interview00.mp4")
    points = {"left": (0.32, 0.38), "right": (0.70, 0.34)}
    lines = [f"Interview00,{2 + n}.0,{5 + n}.0,{x},{y}\n" for n, (x, y) in enumerate(points.values())]
    (tmp_path / "avspeech_test.csv").write_text("".join(lines) + "Interview00,9.0,12.0,0.5,0.98\n")
    rows = [
        {"file": "Interview00.mp4", "key": name, "start": 2, "end": 5, "box": [x - 0.1, 0.1, x + 0.1, 0.7]}
        for name, (x, y) in points.items()
    ]
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare(tmp_path, tmp_path / "a", dataset="avspeech")
    options = {"table": str(tmp_path / "clips.jsonl")}
    prepare(tmp_path, tmp_path / "b", dataset="folder", run=Run(reader_options=options))
    table = manifest(tmp_path / "a")
    assert table.reason.dropna().to_dict() == {"Interview00_009000-012000": "no-face"}
    assert "where the data set says it is" in table.detail["Interview00_009000-012000"]
    for out in ("a", "b"):
        opened = shards.open_shards(tmp_path / out)
        middles = []
        for key in opened.keys():
            sample = opened.get(key)
            cut = sample.canvas
            middles.append(cut["x"] + sample.landmarks[..., 0].mean() * cut["width"] / cut["out_width"])
        left, right = middles
        assert abs(left - 0.32 * 1280) < 80
        assert abs(right - 0.70 * 1280) < 80
