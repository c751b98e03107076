"""The general door: `prep folder --table`, and splits for data that has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.faces import photo

from tkbench import media, shards
from tkbench.errors import BadMedia, UsageError
from tkbench.prep import hint
from tkbench.prep.datasets import read, tables
from tkbench.prep.datasets.divide import Division, divide, parse_shares
from tkbench.prep.datasets.splits import list_hash
from tkbench.prep.official import part_of
from tkbench.prep.plan import Settings
from tkbench.prep.run import Run, prepare
from tkbench.runtime import storage
from tkbench.types import Clip, Crop, FaceHint, MediaFacts, Reason, Skipped

Cli = Callable[..., tuple[int, str, str]]
SHORT = Settings(min_frames=12)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """long.mp4: 40 pictures of 480 x 240, a face at the left, its mirrored copy at the right; sub/b.mp4: the same."""
    root = tmp_path_factory.mktemp("videos")
    face = photo()[10:250, 110:350]
    both = np.concatenate([face, face[:, ::-1]], axis=1)
    frames = [np.roll(both, t // 4 % 3, axis=0) for t in range(40)]
    sound = (0.1 * np.random.default_rng(0).normal(size=40 * 640)).astype(np.float32)
    media.write_video(root / "long.mp4", frames, audio=sound)
    (root / "sub").mkdir()
    (root / "sub" / "b.mp4").write_bytes((root / "long.mp4").read_bytes())
    return root


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    """A table of the kind that the suffix says."""
    frame = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


ROWS: list[dict[str, object]] = [
    {"file": "long.mp4", "start": 0.2, "end": 1.0, "box": "0 0 0.5 1", "speaker": "ada", "source": "talk-1",
     "split": "train", "text": "hello", "label_mood": "calm", "label_take": 1},
    {"file": "long.mp4", "start": "0:00.6", "end": "00:00:01.4", "box": "240 0 480 240", "speaker": "bob",
     "source": "talk-1", "split": "test", "text": "", "label_mood": "loud", "label_take": 2},
    {"file": "sub/b.mp4", "start": 0.0, "end": 1.2, "box": "", "speaker": "", "source": "", "split": "test", "text": "",
     "label_mood": "", "label_take": 3},
    {"file": "gone/x.mp4", "start": 1, "end": 2, "box": "", "speaker": "eve", "source": "", "split": "test", "text": "",
     "label_mood": "calm", "label_take": 4},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_says_what_the_clips_are(videos: Path, tmp_path: Path, kind: str) -> None:
    rows = [{name: str(value) for name, value in row.items()} for row in ROWS] if kind != "jsonl" else ROWS
    table = write(tmp_path / f"clips.{kind}", rows)
    found = list(read("folder", videos, {"table": str(table)}))
    number = 5 if kind in ("csv", "tsv") else 4
    assert found == [
        Skipped(
            "gone/x_0001000-0002000", f"{videos}/gone/x.mp4", Reason.MISSING_FILE,
            f"clips.{kind} row {number} names it", "test", "eve", {"mood": "calm", "take": "4"},
        ),
        Clip(
            "long_0000200-0001000", f"{videos}/long.mp4", "folder", "train", "ada", "hello", start=0.2, stop=1.0,
            face=FaceHint(0, 0, 0.5, 1), labels={"mood": "calm", "take": "1", "source": "talk-1"},
        ),
        Clip(
            "long_0000600-0001400", f"{videos}/long.mp4", "folder", "test", "bob", start=0.6, stop=1.4,
            face=FaceHint(240, 0, 480, 240, shares=False), labels={"mood": "loud", "take": "2", "source": "talk-1"},
        ),
        Clip("sub/b_0000000-0001200", f"{videos}/sub/b.mp4", "folder", "test", "sub", start=0.0, stop=1.2,
             labels={"take": "3"}),
    ]  # fmt: skip


def test_the_meant_face_is_followed_and_labels_land_in_the_shards(
    videos: Path, tmp_path: Path, run_cli: Cli
) -> None:
    table = write(tmp_path / "clips.csv", ROWS)
    out = tmp_path / "out"
    code, _, _ = run_cli("prep", "folder", "--root", videos, "--table", table, "--out", out, "-w", 1)
    assert code == 0
    manifest = pd.read_parquet(out / "manifest.parquet").set_index("key")
    # The intervals are shorter than a sample of other data has to be: only the last one has 25 frames.
    assert manifest.reason.fillna("ok").to_dict() == {
        "gone/x_0001000-0002000": "missing-file",
        "long_0000200-0001000": "too-short",
        "long_0000600-0001400": "too-short",
        "sub/b_0000000-0001200": "ok",
    }
    assert manifest.label_mood.dropna().to_dict() == {
        "gone/x_0001000-0002000": "calm", "long_0000200-0001000": "calm", "long_0000600-0001400": "loud"
    }  # fmt: skip
    assert set(manifest.label_take) == {"1", "2", "3", "4"}
    prepare(
        videos,
        tmp_path / "o",
        dataset="folder",
        settings=SHORT,
        run=Run(reader_options={"table": str(table)}),
    )
    opened = shards.open_shards(tmp_path / "o")
    sides = {}
    for key in opened.keys():
        sample = opened.get(key)
        scale = sample.canvas["width"] / sample.canvas["out_width"]
        sides[key] = float(sample.landmarks[..., 0].mean()) * scale + sample.canvas["x"]
    assert sides["long_0000200-0001000"] < 240 < sides["long_0000600-0001400"]
    assert opened.get("long_0000200-0001000").meta["labels"] == {
        "mood": "calm",
        "take": "1",
        "source": "talk-1",
    }
    assert "labels" in opened.get("sub/b_0000000-0001200").meta


def test_a_track_file_says_where_the_face_is_at_each_time(videos: Path, tmp_path: Path) -> None:
    """The same interval twice: the track of the left face, and of the right one, which passes the left edge later."""
    for name, x in (("left", 0.0), ("right", 0.5)):
        lines = ["seconds,x0,y0,x1,y1", f"0.2,{x},0,{x + 0.5},1", f"1.4,{x},0,{x + 0.5},1"]
        (videos / f"{name}.track.csv").write_text("\n".join(lines))
    rows: list[dict[str, object]] = [
        {"file": "long.mp4", "key": name, "box": f"{name}.track.csv"} for name in ("left", "right")
    ]
    rows.append({"file": "long.mp4", "key": "lost", "box": "no.track.csv"})
    table = write(tmp_path / "t.jsonl", rows)
    prepare(
        videos,
        tmp_path / "o",
        dataset="folder",
        settings=SHORT,
        run=Run(reader_options={"table": str(table)}),
    )
    manifest = pd.read_parquet(tmp_path / "o" / "manifest.parquet").set_index("key")
    assert manifest.loc["lost"].reason == "unreadable"
    assert manifest.loc["lost"].detail == "track of the face no.track.csv: No such file or directory"
    opened = shards.open_shards(tmp_path / "o")
    middles = {
        key: opened.get(key).landmarks[..., 0].mean() * opened.get(key).canvas["width"]
        / opened.get(key).canvas["out_width"] + opened.get(key).canvas["x"]
        for key in ("left", "right")
    }  # fmt: skip
    assert middles["left"] < 240 < middles["right"]


def test_a_crop_is_the_canvas(videos: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"file": "long.mp4", "key": "shares", "crop": [0.5, 0, 1, 1]},
        {"file": "long.mp4", "key": "pixels", "crop": "8 4 238 236"},
        {"file": "long.mp4", "key": "other", "crop": "480 0 960 480", "measured_height": 480},
        {"file": "long.mp4", "key": "outside", "crop": "300 0 700 240"},
    ]
    table = write(tmp_path / "t.jsonl", rows)
    prepare(videos, tmp_path / "o", dataset="folder", run=Run(reader_options={"table": str(table)}))
    opened = shards.open_shards(tmp_path / "o")
    got = {key: opened.get(key).meta["canvas"] for key in opened.keys()}
    assert {key: (c["kind"], c["x"], c["y"], c["out_width"], c["out_height"]) for key, c in got.items()} == {
        "shares": ("official", 240, 0, 240, 240),
        "pixels": ("official", 8, 4, 230, 232),
        "other": ("official", 240, 0, 240, 240),
        "outside": ("whole", 0, 0, 480, 240),
    }
    assert "220 pixels beyond" in got["outside"]["official"]["why"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"file": ""}, "row 2: no file"),
        ({"file": "../x.mp4"}, "row 2: file '../x.mp4': give a path below ROOT"),
        ({"file": "/etc/passwd"}, "give a path below ROOT"),
        (
            {"file": "a.mp4", "start": "soon", "end": "2"},
            "row 2: start 'soon': expected seconds, or [hh:]mm:ss",
        ),
        ({"file": "a.mp4", "start": "3", "end": "2"}, "row 2: end '2' is not after start '3'"),
        ({"file": "a.mp4", "start": "3"}, "row 2: start and end: give both"),
        ({"file": "a.mp4", "box": "1 2 3"}, "row 2: box '1 2 3': expected four numbers x0 y0 x1 y1"),
        ({"file": "a.mp4", "box": "9 9 3 3"}, "with x1 and y1 the larger ones"),
        (
            {"file": "a.mp4", "box": "0.4 0.3 1.01 0.9"},
            "row 2: box '0.4 0.3 1.01 0.9': shares of the picture are",
        ),
        ({"file": "a.mp4", "box": "-0.1 0.2 0.5 0.6"}, "expected four numbers x0 y0 x1 y1, from 0 on"),
        ({"file": "a.mp4", "box": "0.1 0.2 0.5"}, "expected four numbers x0 y0 x1 y1, from 0 on"),
        (
            {"file": "a.mp4", "crop": "0.1 nan 0.5 0.6"},
            "row 2: crop '0.1 nan 0.5 0.6': expected four numbers",
        ),
        ({"file": "s3://bucket/a.mp4"}, "row 2: file 's3://bucket/a.mp4': give a path below ROOT"),
        ({"file": "C:\\videos\\a.mp4"}, "give a path below ROOT"),
        ({"file": "a.mp4", "crop": "left"}, "row 2: crop 'left': expected x0 y0 x1 y1"),
        ({"file": "a.mp4", "key": "a.b"}, "row 2: key 'a.b'"),
        ({"file": "a.mp4", "split": "te st"}, "row 2: split 'te st'"),
        (
            {"file": "a.mp4", "measured_height": "-1"},
            "row 2: measured_height '-1': expected a number above 0",
        ),
        ({"file": "a.mp4", "speeker": "x"}, "column 'speeker': did you mean speaker?"),
        ({"file": "a.mp4", "label_Age": "x"}, "column 'label_Age': a label has lower case letters"),
    ],
)
def test_a_wrong_cell_is_named_by_its_row(
    row: dict[str, object], said: str, tmp_path: Path, run_cli: Cli
) -> None:
    table = write(tmp_path / "t.csv", [{"label_x": "1", **row}])
    code, out, err = run_cli("prep", "folder", "--root", tmp_path, "--table", table, "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "", "its first line must name each column once"),
        ("t.csv", "file,file\na,b\n", "its first line must name each column once"),
        ("t.csv", "file,text\na.mp4,b,c\n", "line 2: 3 cells, the first line names 2 columns"),
        ("t.csv", "file\n", "no row"),
        ("t.csv", "file,key\na.mp4,k\nb.mp4,k\n", "rows 2 and 3 have one key, 'k'"),
        ("t.jsonl", "{\n", "line 1: not JSON"),
        ("t.jsonl", "[1]\n", "line 1: a list, expected an object"),
        ("t.jsonl", '{"file": "a.mp4", "file": "b.mp4"}', "line 1: not JSON ('file' stands twice)"),
        ("t.jsonl", '{"file": ' + "[" * 100_000, "line 1: not JSON (maximum recursion depth"),
        ("t.jsonl", '{"file": "a.mp4", "text": {"said": "x"}}', "line 1: text: an object, expected a text"),
        ("t.jsonl", '{"file": "a.mp4", "text": "\\ud800"}', "line 1: text: 'utf-8' codec can't encode"),
        (
            "t.jsonl",
            '{"file": "a.mp4", "box": [0.1, NaN, 0.5, 0.6]}',
            "row 1: box '0.1  0.5 0.6': expected four",
        ),
        ("t.parquet", "PAR1", "no parquet file"),
        ("t.xlsx", "", "a table ends in .csv, .tsv, .jsonl, .ndjson or .parquet"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        list(read("folder", tmp_path, {"table": str(tmp_path / name)}))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no such file"):
        list(read("folder", tmp_path, {"table": str(tmp_path / "x.csv")}))


def test_several_wrong_rows_are_named_together(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", [{"file": f"../{n}.mp4"} for n in range(9)])
    with pytest.raises(UsageError, match=r"row 2: .*; row 6: .*; and perhaps more$"):
        list(read("folder", tmp_path, {"table": str(table)}))


CELL = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=5)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["file", "start", "end", "box", "crop", "key", "split"]), CELL),
        max_size=4,
    )
)
def test_any_table_is_read_or_refused_in_one_line(rows: list[dict[str, object]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table = write(Path(folder) / "t.jsonl", rows)
        try:
            found = list(read("folder", Path(folder), {"table": str(table)}))
        except UsageError as error:
            said = str(error)
        else:
            said = ""
            assert all(isinstance(item, Skipped) and shards.KEY.fullmatch(item.key) for item in found)
        assert len(said.splitlines()) <= 1


# -- where the face is ---------------------------------------------------------------------------------------

FACTS = MediaFacts(200, 100, 0, 25.0, False, 50, 2.0, "h264", "yuv420p", 0.0, 16_000, 1, "aac", 2.0)
FACES = np.array([[10, 10, 50, 50, 1], [60, 10, 100, 50, 1], [150, 10, 190, 50, 1]], np.float32)


@pytest.mark.parametrize(
    ("meant", "which"),
    [
        (FaceHint(0.3, 0, 0.5, 1), 1),
        (FaceHint(140, 0, 200, 60, shares=False), 2),
        (FaceHint(280, 0, 400, 120, shares=False, of_height=200), 2),
        (FaceHint(0.15, 0.3, 0.15, 0.3), 0),  # a point inside a face
        (FaceHint(0.24, 0.3, 0.24, 0.3), 0),  # beside it
        (FaceHint(0.65, 0.9, 0.65, 0.9), None),  # a face away from any
        (FaceHint(0, 0, 1, 1), 1),  # all of the picture: the middle one
    ],
)
def test_one_face_of_three_is_meant(meant: FaceHint, which: int | None) -> None:
    boxes = hint.boxes_at(meant, FACTS, [0.0])
    (kept,) = hint.keep_meant([FACES], boxes)
    assert kept.tolist() == ([] if which is None else [FACES[which].tolist()])
    assert len(hint.keep_meant([FACES[:0]], boxes)[0]) == 0


def test_a_track_is_interpolated_and_stands_still_beyond_its_ends(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1 0.2 0 0.4 1\n\n0; 0; 0; 0.2; 1\n")
    found = hint.boxes_at(FaceHint(track=str(tmp_path / "t.txt")), FACTS, [-1, 0, 0.5, 2, float("nan")])
    assert found[:, 0].tolist() == pytest.approx([0, 0, 20, 40, 0])
    assert found[:, 3].tolist() == [100] * 5


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no row"), ("seconds x0 y0 x1 y1\n", "no row"), ("0 1 2 3\n", "line 1"), ("0 0 0 1 1\n1 a 0 1 1\n", "line 2"),
     ("0 5 0 1 1\n", "line 1"), ("0 nan 0 1 1\n", "line 1")],
)  # fmt: skip
def test_a_bad_track_names_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hint.parse_track(text)


@pytest.mark.parametrize("interval", [(1.0, 1.001), (50.0, 60.0), (2.0, 3.0)])
def test_an_interval_without_a_frame_is_too_short(interval: tuple[float, float]) -> None:
    """A fault of the data, not of the program: the row says so."""
    with pytest.raises(BadMedia) as caught:
        part_of(FACTS, interval)
    assert caught.value.reason is Reason.TOO_SHORT
    facts, notes = part_of(FACTS, (1.0, 60.0))
    assert (facts.duration, len(notes)) == (1.0, 1)
    assert "ends 58.00 s after the file" in notes[0]


# -- splits for data that has none ---------------------------------------------------------------------------


def people(count: int, each: int = 3) -> list[Clip | Skipped]:
    return [
        Clip(f"p{who}/{n}", f"/r/p{who}/{n}.mp4", "folder", speaker=f"p{who}", labels={"room": str(who % 2)})
        for who in range(count)
        for n in range(each)
    ]


@given(st.integers(3, 40), st.integers(1, 4), st.integers(0, 5))
def test_no_speaker_is_in_two_splits_and_every_split_has_one(count: int, each: int, seed: int) -> None:
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    found = divide(people(count, each), Division("speaker", shares, seed))
    splits = {item.speaker: {one.split for one in found if one.speaker == item.speaker} for item in found}
    assert all(len(where) == 1 for where in splits.values())
    assert {item.split for item in found} == set(shares)
    assert found == divide(people(count, each), Division("speaker", shares, seed))
    for name, share in shares.items():
        mine = sum(item.split == name for item in found)
        assert abs(mine - share * len(found)) <= 2 * each  # as close as whole speakers allow
    by_clip = divide(people(count, each), Division("clip", {"a": 0.5, "b": 0.5}, seed))
    assert abs(sum(item.split == "a" for item in by_clip) * 2 - len(by_clip)) <= 1


def test_seeds_differ_and_labels_and_files_divide_too() -> None:
    halves = {"a": 0.5, "b": 0.5}
    one, two = (divide(people(20), Division("speaker", halves, seed)) for seed in (0, 1))
    assert one != two
    by_room = divide(people(20), Division("room", halves))
    assert len({(item.labels["room"], item.split) for item in by_room}) == 2
    by_file = divide(people(2), Division("source", halves))
    assert sorted(item.split for item in by_file) == ["a"] * 3 + ["b"] * 3
    with pytest.raises(UsageError, match="--split-by rom: did you mean room"):
        divide(people(3), Division("rom", halves))
    with pytest.raises(UsageError, match="2 in all, too few for 3 splits"):
        divide(people(2), Division("speaker", {"a": 0.4, "b": 0.3, "c": 0.3}))


@pytest.mark.parametrize(
    "text", ["train", "train=0.8", "train=0.8,test=x", "a=0.5,b=0.6", "a=0,b=1", "a/b=1", "a=nan,b=1"]
)
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        parse_shares(text)


def test_a_division_is_written_down_with_its_hash(videos: Path, tmp_path: Path, run_cli: Cli) -> None:
    rows: list[dict[str, object]] = [
        {"file": "long.mp4", "key": f"k{n}", "start": 0, "end": 1.2, "speaker": f"s{n}"} for n in range(3)
    ]
    rows.append({"file": "gone.mp4", "key": "k9", "speaker": "s0"})
    table = write(tmp_path / "t.csv", rows)
    where = ("prep", "folder", "--root", videos, "--table", table, "--out", tmp_path / "o", "-w", 1)
    shares = ("--split-by", "speaker", "--split", "train=0.5,test=0.5", "--split-seed", 3)
    assert run_cli(*where, *shares)[0] == 0
    told = json.loads((tmp_path / "o" / "splits.json").read_text())
    assert {"by": "speaker", "shares": {"train": 0.5, "test": 0.5}, "seed": 3}.items() <= told["rule"].items()
    manifest = pd.read_parquet(tmp_path / "o" / "manifest.parquet")
    for name, part in told["splits"].items():
        keys = sorted(manifest[manifest.split == name].key)
        assert (tmp_path / "o" / f"folder-{name}.txt").read_text().split() == keys
        assert (part["clips"], part["sha256"]) == (len(keys), list_hash(keys))
    assert manifest.groupby("speaker").split.nunique().max() == 1
    assert sum(part["missing"] for part in told["splits"].values()) == 1
    before = (tmp_path / "o" / "manifest.parquet").read_bytes()
    assert run_cli(*where, *shares)[0] == 0
    assert (tmp_path / "o" / "manifest.parquet").read_bytes() == before
    for wrong in (("--split-by", "speaker"), ("--split", "train=0.5,test=0.5")):
        code, _, err = run_cli(*where, *wrong)
        assert (code, "go together" in err) == (2, True)
    write(table, [row | {"split": "dev"} for row in rows])
    code, _, err = run_cli(*where, *shares)
    assert (code, "has splits already: dev" in err) == (2, True)


def test_a_table_reads_as_texts(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t.parquet", [{"a": 1.0, "b": [1, 2.5], "c": None, "d": "x"}, {"a": float("nan")}]
    )
    assert [row for _, row in tables.rows(table)] == [{"a": "1", "b": "1 2.5", "d": "x"}, {}]


def test_a_table_of_pandas_reads_as_it_is_meant(tmp_path: Path) -> None:
    """Categories, times, bytes, integer keys, and the index that pandas keeps of a table that was filtered."""
    made = pd.DataFrame(
        {
            "file": [b"a.mp4", b"b.mp4", b"c.mp4", b"d.mp4"],
            "key": pd.array([1, 2, None, 4], dtype="Int64"),
            "label_mood": pd.Categorical(["calm", "calm", "sad", "sad"]),
            "start": pd.to_timedelta([0, 1.5, 2, 3], "s"),
        }
    )
    made.iloc[[1, 3]].to_parquet(tmp_path / "t.parquet")
    assert [row for _, row in tables.rows(tmp_path / "t.parquet")] == [
        {"file": "b.mp4", "key": "2", "label_mood": "calm", "start": "1.5"},
        {"file": "d.mp4", "key": "4", "label_mood": "sad", "start": "3"},
    ]
    pd.DataFrame({"file": [b"\xff.mp4"]}).to_parquet(tmp_path / "bytes.parquet")
    with pytest.raises(UsageError, match="row 1: file: 'utf-8' codec can't decode"):
        list(tables.rows(tmp_path / "bytes.parquet"))
    twice = pa.Table.from_arrays([pa.array(["a.mp4"]), pa.array(["b.mp4"])], names=["file", "file"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(UsageError, match="it must name each column once"):
        list(tables.rows(tmp_path / "twice.parquet"))


def test_a_square_of_shares_is_the_largest_in_its_middle() -> None:
    from tkbench.prep.official import crop_of

    clip = Clip("k", "v.mp4", "x", crop=Crop(0.2, 0.0, 0.5, 1.0, 0, shares=True, square=True), target=512)
    cut, told = crop_of(clip, 1000, 600)
    assert cut is not None
    assert (cut.x, cut.y, cut.width, cut.height, cut.out_width) == (200, 50, 500, 500, 512)
    assert told["shares"] is True


def test_table_videos_and_track_of_a_remote_store() -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe(
        {
            "/odd/t.csv": b"file,start,end,box\nd/a.mp4,0,2,d/a.txt\nd/b.mp4,0,2,\n",
            "/odd/d/a.mp4": b"",
            "/odd/d/a.txt": b"0 0.1 0.2 0.5 0.6\n",
        }
    )
    found = list(read("folder", storage.place("memory://odd"), {"table": "memory://odd/t.csv"}))
    clip, missing = found
    assert isinstance(clip, Clip)
    assert isinstance(missing, Skipped)
    assert (clip.path, missing.reason) == ("memory://odd/d/a.mp4", Reason.MISSING_FILE)
    assert clip.face is not None
    np.testing.assert_allclose(hint.boxes_at(clip.face, FACTS, [0.0]), [[20, 20, 100, 60]])
