"""Readers of the data sets that tables of 2024 to 2026 use: layouts and lists as they are; no video is opened."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tkbench.errors import UsageError
from tkbench.prep import datasets, official
from tkbench.prep.datasets import check, downloads, tables
from tkbench.prep.datasets.avspeech import reader as avspeech
from tkbench.prep.datasets.celebvhq import reader as celebvhq
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.grid import reader as grid
from tkbench.prep.datasets.ravdess import reader as ravdess
from tkbench.prep.datasets.vfhq import reader as vfhq
from tkbench.types import Clip, Crop, FaceHint, Skipped, Word

TUBE, OTHER = "M2Ohb0FAaJU", "_0tf2n3rlJU"


def grow(root: Path, names: Iterable[str], content: str = "x") -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def read(dataset: str, root: Path, **options: str) -> dict[str, Clip | Skipped]:
    found = list(datasets.read(dataset, root, options))
    assert len({item.key for item in found}) == len(found)
    return {item.key: item for item in found}


def lost(found: dict[str, Clip | Skipped]) -> list[str]:
    return [key for key, item in found.items() if isinstance(item, Skipped)]


# -- VoxCeleb2 -----------------------------------------------------------------------------------------------

META = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,f ,test \n"
TEXT = (
    "Identity  : \tid00012\nReference : \tx\nOffset    : \t-1\nFV Conf   : \t20.230\t(1)\nASD Conf  : \t2.765\n"
    "\nFRAME \tX \tY \tW \tH \n000349 \t0.319 \t0.067 \t0.424 \t0.753 \n"
)


def test_voxceleb2_is_read_in_either_layout(tmp_path: Path) -> None:
    names = [
        f"mp4/id00012/{TUBE}/00001.mp4",
        f"mp4/id00012/{TUBE}/00002.mp4",
        f"mp4/id00012/{OTHER}/00001.mp4",
    ]
    whole = grow(tmp_path / "a", [f"dev/{name}" for name in names] + [f"test/mp4/id00017/{TUBE}/00001.mp4"])
    grow(whole, [f"dev/txt/id00012/{TUBE}/{n:05d}.txt" for n in (1, 3)], TEXT)
    (whole / "vox2_meta.csv").write_text(META)
    found = read("voxceleb2", whole)
    assert {key: item.split for key, item in found.items()} == {
        f"id00012/{TUBE}/00001": "dev",
        f"id00012/{TUBE}/00002": "dev",
        f"id00012/{TUBE}/00003": "dev",
        f"id00012/{OTHER}/00001": "dev",
        f"id00017/{TUBE}/00001": "test",
    }
    assert lost(found) == [f"id00012/{TUBE}/00003"]
    first = found[f"id00012/{TUBE}/00001"]
    assert (first.speaker, first.labels) == ("id00012", {"source": TUBE, "gender": "m"})
    assert isinstance(first, Clip)
    told, notes = datasets.annotate(first)
    assert (told.extra, notes) == ({"offset": -1.0, "fv_conf": 20.23, "asd_conf": 2.765}, [])
    # Archives that were unpacked without dev and test: the meta file says it, and without it nobody knows.
    for inner in ("mp4/", ""):
        bare = grow(tmp_path / f"b{len(inner)}", [name.replace("mp4/", inner, 1) for name in names])
        with pytest.raises(UsageError, match=r"vox2_meta.csv is needed, with id00012: --lists FILE"):
            read("voxceleb2", bare)
        (bare / "vox2_meta.csv").write_text(META)
        assert {item.split for item in read("voxceleb2", bare).values()} == {"dev"}
    assert read("voxceleb2", whole / "dev", lists=str(whole / "vox2_meta.csv")).keys() == found.keys() - {
        f"id00017/{TUBE}/00001"
    }


# -- GRID ----------------------------------------------------------------------------------------------------

ALIGN = (
    "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 at\n35500 41000 f\n41000 47250 two\n"
    "47250 53000 now\n53000 74500 sil\n"
)


@pytest.mark.parametrize(
    "videos", ["s1/", "s1/video/mpg_6000/", "s1/video/mpg_vcd/", "s1/video/", "s1_processed/"]
)
@pytest.mark.parametrize("aligns", ["s1/align/", "align/s1/", "alignments/s1/", ""])
def test_grid_is_found_where_loaders_look_for_it(tmp_path: Path, videos: str, aligns: str) -> None:
    grow(tmp_path, [f"{videos}bbaf2n.mpg", f"{videos}holiday.mpg"])
    grow(tmp_path, [f"{aligns or videos}{name}.align" for name in ("bbaf2n", "brbk7n")], ALIGN)
    found = read("grid", tmp_path)
    assert {key.split("/")[1] for key in lost(found)} == {"brbk7n"}
    clip = found["s1/bbaf2n"]
    assert isinstance(clip, Clip)
    assert (clip.speaker, clip.text) == ("s1", "bin blue at f two now")
    told, notes = datasets.annotate(clip)
    assert notes == []
    assert told.words[0] == Word("bin", 0.95, 1.18)
    assert [word.text for word in told.words] == clip.text.split()
    odd = [item.key for item in check.check("grid", tmp_path).findings if item.kind == "odd-name"]
    assert odd == ["holiday"]


def test_another_sentence_in_an_align_is_told(tmp_path: Path) -> None:
    grow(tmp_path, ["s1/lgazza.mpg"])
    grow(tmp_path, ["s1/lgazza.align"], ALIGN)
    (clip,) = read("grid", tmp_path).values()
    assert isinstance(clip, Clip)
    assert datasets.annotate(clip)[1] == ["lgazza.align: its words are not those of the name"]


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=5, max_size=7))
def test_a_name_of_grid_has_six_words_or_is_none(name: str) -> None:
    said = grid.sentence_of(name)
    assert said is None or len(said.split()) == len(name) == 6


# -- RAVDESS, CREMA-D, MEAD ----------------------------------------------------------------------------------


def test_ravdess_counts_are_those_of_its_makers() -> None:
    assert (len(ravdess.trials("01")), len(ravdess.trials("02"))) == (60, 44)
    assert len(ravdess.trials("01")) * 24 == 1440
    assert len(ravdess.trials("02")) * 23 == 1012


def test_ravdess_misses_what_an_actor_lacks(tmp_path: Path) -> None:
    names = [f"01-02-{'-'.join(trial)}-05.mp4" for trial in ravdess.trials("02")]
    grow(tmp_path, [f"Video_Song_Actor_05/Actor_05/{name}" for name in names[1:]])
    grow(
        tmp_path,
        ["Actor_02/02-01-05-02-02-01-02.mp4", "Actor_02/01-01-05-02-02-01-02.mp4", "Actor_02/notes.mp4"],
    )
    found = read("ravdess", tmp_path)
    assert len(found) == 44 + 60
    assert [key for key in lost(found) if "Actor_05" in key] == [f"Actor_05/{names[0][:-4]}"]
    clip = found["Actor_02/01-01-05-02-02-01-02"]
    assert (clip.speaker, clip.labels) == (
        "Actor_02",
        {"emotion": "angry", "level": "strong", "channel": "speech", "gender": "female", "take": "1"},
    )
    assert isinstance(clip, Clip)
    assert clip.text == "Dogs are sitting by the door"
    assert [item.key for item in check.check("ravdess", tmp_path).findings if item.kind == "odd-name"] == [
        "notes"
    ]


def test_cremad_reads_its_tables_and_does_without(tmp_path: Path) -> None:
    grow(
        tmp_path, ["VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1002_IEO_HAP_HI.flv", "VideoFlash/extra.flv"]
    )
    plain = read("cremad", tmp_path)
    assert plain["1002_IEO_HAP_HI"].labels == {"emotion": "happy", "level": "high"}
    assert lost(plain) == []
    (tmp_path / "SentenceFilenames.csv").write_text(
        '"Stimulus_Number","Filename"\n1,"1001_DFA_ANG_XX"\n2,"1001_IEO_SAD_LO"\n3,"../x"\n'
    )
    (tmp_path / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    )
    found = read("cremad", tmp_path)
    assert lost(found) == ["1001_IEO_SAD_LO"]
    assert found["1001_DFA_ANG_XX"].labels == {
        "emotion": "anger", "age": "50-59", "gender": "male", "race": "Caucasian", "ethnicity": "Not Hispanic"
    }  # fmt: skip
    assert read("cremad", tmp_path / "VideoFlash").keys() == found.keys()


def test_mead_misses_a_front_video_whose_sound_is_there(tmp_path: Path) -> None:
    grow(tmp_path, [f"M003/video/{view}/angry/level_1/001.mp4" for view in ("front", "left_30", "behind")])
    grow(tmp_path, ["W009/video/front/neutral/level_1/010.mp4", "M003/video/front/angry/level_1/x.mp4"])
    grow(tmp_path, ["M003/audio/angry/level_1/001.m4a", "M003/audio/angry/level_1/002.m4a", "list_full.mp4"])
    found = read("mead", tmp_path)
    assert sorted(found) == [
        "M003/front/angry/level_1/001",
        "M003/front/angry/level_1/002",
        "M003/left_30/angry/level_1/001",
        "W009/front/neutral/level_1/010",
    ]
    assert lost(found) == ["M003/front/angry/level_1/002"]
    assert found["M003/left_30/angry/level_1/001"].labels == {
        "emotion": "angry", "level": "1", "view": "left_30", "gender": "male"
    }  # fmt: skip
    rows = {row[0]: row[2:4] for row in check.check("mead", tmp_path).table()}
    assert rows == {"front": ("3", "2"), "left_30": ("1", "1"), "-": ("-", "-")}


# -- CelebV-HQ -----------------------------------------------------------------------------------------------


def celeb(box: dict[str, float], emotion: object = "neutral") -> dict[str, object]:
    said = {"sep_flag": isinstance(emotion, list), "labels": emotion}
    return {
        "ytb_id": TUBE,
        "duration": {"start_sec": 81.62, "end_sec": 86.17},
        "bbox": box,
        "attributes": {"appearance": [0, 1, 1], "action": [1], "emotion": said},
        "version": "v0.1",
    }


def test_celebvhq_reads_the_published_example(tmp_path: Path) -> None:
    info = {
        "meta_info": {"appearance_mapping": ["Blurry", "Male", "Young"], "action_mapping": ["talk"]},
        "clips": {
            f"{TUBE}_1": celeb({"top": 0.0, "bottom": 0.8815, "left": 0.1964, "right": 0.6922}),
            f"{OTHER}_0": celeb(
                {"top": 0.1, "bottom": 0.8, "left": 0.5, "right": 0.9}, [{"emotion": "happy"}]
            )
            | {"ytb_id": OTHER},
            "bad": {"ytb_id": TUBE},
        },
    }
    (tmp_path / "celebvhq_info.json").write_text(json.dumps(info))
    grow(tmp_path, [f"raw/{TUBE}.mp4"])
    found = read("celebvhq", tmp_path)
    assert lost(found) == [f"{OTHER}_0"]
    clip = found[f"{TUBE}_1"]
    assert isinstance(clip, Clip)
    assert (clip.start, clip.stop, clip.speaker, clip.target) == (81.62, 86.17, TUBE, 512)
    assert clip.labels == {
        "gender": "male",
        "young": "yes",
        "talks": "yes",
        "emotion": "neutral",
        "source": TUBE,
    }
    assert clip.extra["appearance"] == ["Male", "Young"]
    assert found[f"{OTHER}_0"].labels["emotion"] == "several"
    # A clip that was cut out is the clip: whole, and its picture is the window.
    grow(tmp_path, [f"processed/{TUBE}_1.mp4"])
    cut = read("celebvhq", tmp_path)[f"{TUBE}_1"]
    assert isinstance(cut, Clip)
    assert (cut.start, cut.stop, cut.crop, Path(cut.path).parent.name) == (
        None,
        None,
        downloads.WHOLE,
        "processed",
    )
    kinds = [(item.kind, item.key) for item in check.check("celebvhq", tmp_path, fast=True).findings]
    assert kinds == [
        ("bad-line", "bad"), ("available", TUBE), ("missing-video", OTHER), ("not-annotated", TUBE)
    ]  # fmt: skip


@given(
    st.floats(0, 0.5),
    st.floats(0.2, 0.5),
    st.floats(0, 0.4),
    st.floats(0.2, 0.5),
    st.sampled_from([720, 1080]),
)
def test_the_window_of_celebvhq_is_that_of_its_script(
    left: float, width: float, top: float, height: float, rows: int
) -> None:
    """`expand` by 0.02, pixels by rounding, `to_square`: as download_and_process.py does it, within two pixels."""
    columns = rows * 16 // 9
    box = {"top": top, "bottom": top + height, "left": left, "right": left + width}
    part = celebvhq._part(f"{TUBE}_1", celeb(box), {})  # type: ignore[arg-type]
    cut, _ = official.crop_of(Clip("k", "p", "celebvhq", crop=part.crop, target=512), columns, rows)
    assert cut is not None
    y0, y1 = round(max(top - 0.02, 0) * rows), round(min(top + height + 0.02, 1) * rows)
    x0, x1 = round(max(left - 0.02, 0) * columns), round(min(left + width + 0.02, 1) * columns)
    half = min(y1 - y0, x1 - x0) // 2
    theirs = (x0 + x1) / 2 - half, (y0 + y1) / 2 - half, 2 * half
    assert abs(cut.x - theirs[0]) <= 2.5
    assert abs(cut.y - theirs[1]) <= 2.5
    assert abs(cut.width - theirs[2]) <= 2
    assert cut.width == cut.height


# -- VFHQ ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [":", ""])
def test_vfhq_takes_frames_by_the_rate_of_its_text(tmp_path: Path, sign: str) -> None:
    text = f"VIDEO_ID{sign} x\nH{sign} 1080\nW{sign} 1920\nFPS{sign} 30.0\nCROP{sign} 100 50 900 850\nLANDMARK 1 2\n"
    grow(tmp_path / "lists", [f"Clip+{TUBE}+P1+C0+F29-151.txt", f"Clip+{OTHER}+P0+C2+F1-90.txt"], text)
    grow(tmp_path / "v", [f"{TUBE}.webm"])
    found = read("vfhq", tmp_path / "v", annotations=str(tmp_path / "lists"))
    assert lost(found) == [f"{OTHER}_P0_C2"]
    clip = found[f"{TUBE}_P1_C0"]
    assert isinstance(clip, Clip)
    assert (clip.start, clip.crop, clip.speaker) == (None, None, f"{TUBE}_P1")
    told, _ = datasets.annotate(clip)
    # Frames 30 to 150 count, as the public scripts cut them.
    assert (told.start, told.stop) == (1.0, pytest.approx(151 / 30))
    assert told.crop == Crop(100, 50, 800, 800, of_height=1080)


@given(st.text(max_size=100))
def test_any_text_of_vfhq_is_read_or_refused(text: str) -> None:
    try:
        start, stop, crop = vfhq.parse(f"Clip+{TUBE}+P0+C0+F5-99", text)
    except ValueError:
        return
    assert 0 <= start < stop
    assert crop.width > 0


# -- AVSpeech ------------------------------------------------------------------------------------------------


def test_avspeech_finds_wholes_and_parts(tmp_path: Path) -> None:
    rows = [
        f"{TUBE},30.000000,35.000000,0.4,0.5",
        f"{TUBE},142.078267,145.078267,0.25,0.5",
        f"{OTHER},1,2,0,1",
    ]
    (tmp_path / "avspeech_train.csv").write_text(
        "\n".join([*rows, "x,y", f"{OTHER},5,2,0,1", rows[0]]) + "\n"
    )
    grow(
        tmp_path,
        [f"a/{TUBE}.mp4", f"b/{TUBE}_030.000000-035.000000.mp4", f"b/{TUBE}_142.078267_145.078267.mp4"],
    )
    found = read("avspeech", tmp_path)
    assert lost(found) == [f"{OTHER}_001000-002000"]
    one, two = found[f"{TUBE}_030000-035000"], found[f"{TUBE}_142078-145078"]
    assert isinstance(one, Clip)
    assert isinstance(two, Clip)
    assert (one.start, Path(one.path).parent.name, one.split, one.face) == (
        None,
        "b",
        "train",
        FaceHint(0.4, 0.5, 0.4, 0.5),
    )
    assert Path(two.path).parent.name == "b"
    (tmp_path / f"b/{TUBE}_030.000000-035.000000.mp4").unlink()
    whole = read("avspeech", tmp_path)[one.key]
    assert isinstance(whole, Clip)
    assert (whole.start, whole.stop, Path(whole.path).parent.name) == (30.0, 35.0, "a")
    ledger = check.check("avspeech", tmp_path, fast=True)
    told = [(item.kind, item.line) for item in ledger.findings if item.kind in ("bad-line", "missing-list")]
    assert told == [("bad-line", 4), ("bad-line", 5), ("bad-line", None), ("missing-list", None)]
    assert dict(ledger.listed) == {"train": 3}


@given(st.floats(0, 9000), st.floats(0.1, 60))
def test_parts_of_avspeech_are_recognised_by_either_name(start: float, length: float) -> None:
    stop = start + length
    key = avspeech.key_of(TUBE, float(f"{start:.6f}"), float(f"{stop:.6f}"))
    assert avspeech.alias(f"{TUBE}_{start:010.6f}-{stop:010.6f}") == key
    assert avspeech.alias(f"{TUBE}_{start:.6f}_{stop:.6f}") == key


# -- TalkVid -------------------------------------------------------------------------------------------------


def talk(tube: str, number: int = 1, **more: object) -> dict[str, object]:
    info = {"Person ID": "597", "Ethnicity": "White", "Age Group": "60+", "Gender": "Male", "Language": "English",
            "Video Link": f"https://youtu.be/{tube}?si=x", "Video Category": "Personal Experience"}  # fmt: skip
    return {"id": f"videovideo{tube}-scene{number}-scene1", "height": 1080, "start-time": 10.5, "end-time": 25.3,
            "info": info, **more}  # fmt: skip


def test_talkvid_finds_parts_wholes_and_the_bench(tmp_path: Path) -> None:
    entries = [talk(TUBE), talk(OTHER), talk("AAAAAAAAAAA"), {"id": "x"}, talk(TUBE)]
    (tmp_path / "filtered_video_clips.json").write_text(json.dumps(entries))
    grow(tmp_path, [f"clips/{TUBE}/{TUBE}_001_10.500_25.300.mp4", f"{OTHER}.mp4"])
    base = tmp_path / "TalkVid-bench"
    tested = talk("BBBBBBBBBBB", **{"video-path": "videos/face 1.mp4"})
    tested["info"] = {**tested["info"], "Person ID": ""}  # type: ignore[dict-item]
    for subset in ("age", "language"):
        grow(base / subset, [f"test_{subset}.json"], json.dumps([tested]))
    grow(
        base / "age",
        ["videos/face 1.mp4", "videos_w_audios/60+/face 1.mp4", "videos_crop_512x512/face 1.mp4"],
    )
    found = read("talkvid", tmp_path)
    assert {key: item.split for key, item in found.items()} == {
        f"videovideo{TUBE}-scene1-scene1": "train",
        f"videovideo{OTHER}-scene1-scene1": "train",
        "videovideoAAAAAAAAAAA-scene1-scene1": "train",
        "bench/videovideoBBBBBBBBBBB-scene1-scene1": "test",
    }
    assert lost(found) == ["videovideoAAAAAAAAAAA-scene1-scene1"]
    part, whole, test = (item for item in found.values() if isinstance(item, Clip))
    assert (
        (part.start, part.speaker) == (None, "597")
        if part.key.startswith(f"videovideo{TUBE}")
        else (10.5, "597")
    )
    assert {part.start, whole.start} == {None, 10.5}
    assert (test.start, test.speaker, test.labels["subset"]) == (None, "BBBBBBBBBBB", "age+language")
    assert "videos_w_audios" in test.path
    assert part.labels == {
        "language": "English", "gender": "Male", "age": "60+", "ethnicity": "White", "category": "Personal Experience",
        "source": part.labels["source"],
    }  # fmt: skip
    alone = grow(tmp_path / "none", ["a.mp4"])
    with pytest.raises(UsageError, match=r"neither filtered_video_clips\.json nor TalkVid-bench/"):
        read("talkvid", alone)
    with pytest.raises(UsageError, match="no such file"):
        read("talkvid", tmp_path, annotations="gone.json")


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=12) | st.integers() | st.none()), max_size=9
    ),
    st.integers(1, 40),
)
def test_a_json_array_comes_back_whatever_the_chunks(entries: list[dict[str, object]], chunk: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_CHUNK", chunk)
        for text in (json.dumps(entries), json.dumps(entries, indent=2, ensure_ascii=False)):
            file = Path(folder) / "x.json"
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
            assert list(tables.json_array(file)) == json.loads(file.read_bytes().decode("utf-8", "replace"))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"a": 1}', '[{"a": }]', "null"])
def test_what_is_no_json_array_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match="not a JSON array of objects"):
        list(tables.json_array(tmp_path / "x.json"))


# -- MoChaBench ----------------------------------------------------------------------------------------------


def test_mochabench_puts_models_over_the_same_prompts(tmp_path: Path) -> None:
    grow(tmp_path, [f"mocha-generation/1p_emotion/{name}.mp4" for name in ("1_man", "2_woman", "a b")])
    grow(tmp_path, ["MyModel/1p_emotion/2_woman.mp4", "benchmark/1p_emotion/1_man.mp4", "other/things/1.mp4"])
    grow(tmp_path, [f"eval-viescore/example_results/{name}/01.mp4" for name in ("MoCha", "hallo3")])
    found = read("mochabench", tmp_path)
    assert sorted(found) == [
        "MoCha/1p_emotion/1_man",
        "MoCha/1p_emotion/2_woman",
        "MoCha/example_results/01",
        "MyModel/1p_emotion/1_man",
        "MyModel/1p_emotion/2_woman",
        "hallo3/example_results/01",
    ]
    assert lost(found) == ["MyModel/1p_emotion/1_man"]
    assert found["MyModel/1p_emotion/2_woman"].labels == {
        "model": "MyModel", "category": "1p_emotion", "prompt": "1p_emotion/2_woman"
    }  # fmt: skip
    assert found["MyModel/1p_emotion/2_woman"].speaker == found["MoCha/1p_emotion/2_woman"].speaker
    assert [item.key for item in check.check("mochabench", tmp_path).findings if item.kind == "odd-name"] == [
        "a b"
    ]


# -- tables over downloads -----------------------------------------------------------------------------------


def test_a_ledger_opens_each_file_once_and_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tkbench import media
    from tkbench.dataset import Check, Ledger

    opened: list[str] = []

    def peek(path: str) -> media.Header:
        opened.append(Path(path).name)
        return media.Header(1280, 720, 20.0, sound=False)

    monkeypatch.setattr(media, "peek", peek)
    grow(tmp_path, ["a.mp4", "x/Some title [M2Ohb0FAaJU].webm"])
    parts = [
        Part("k1", "v1", ("a",), 0, 10, "train", crop=Crop(0, 0, 100, 100, 1080), target=64, annotated=1080),
        Part(
            "k2", "v1", ("a",), 15, 25, "train", crop=Crop(1200, 0, 900, 900, 1080), target=64, annotated=1080
        ),
        Part("k3", TUBE, (TUBE,), 0, 5, "test", target=64),
        Part("k4", "gone", ("gone",), 0, 5, "test"),
        Part("k5", "gone", ("gone",), 5, 6, "test"),
    ]
    ledger = Ledger(datasets.find("hdtf"), str(tmp_path))
    downloads.check(ledger, parts, downloads.index_videos(tmp_path), Check(), len(parts))
    assert sorted(opened) == ["Some title [M2Ohb0FAaJU].webm", "a.mp4"]
    assert {(item.kind, item.key) for item in ledger.findings} == {
        ("available", "v1"),
        ("no-sound", "v1"),
        ("other-resolution", "v1"),
        ("too-short", "k2"),
        ("crop-unusable", "k2"),
        ("no-crop", "k3"),
        ("available", TUBE),
        ("no-sound", TUBE),
        ("missing-video", "gone"),
    }
    assert next(item.detail for item in ledger.findings if item.kind == "missing-video") == "2 clips"
    assert (dict(ledger.listed), dict(ledger.there)) == ({"train": 2, "test": 3}, {"train": 2, "test": 1})
