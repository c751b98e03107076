"""Readers of published data sets: layouts, lists and text files as they are, odd lines included; no video is opened."""

from __future__ import annotations

import json
import re
import string
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tkbench.errors import UnknownName, UsageError
from tkbench.media import Cut
from tkbench.prep import datasets, official
from tkbench.prep.datasets import check, lrs, splits, tree
from tkbench.prep.datasets.hdtf import lists as hdtf_lists
from tkbench.prep.datasets.hdtf import split as hdtf_split
from tkbench.prep.datasets.lrs2 import reader as lrs2
from tkbench.prep.datasets.lrw import reader as lrw
from tkbench.runtime import storage
from tkbench.types import Clip, Crop, Reason, Skipped, Word

Found = list[Clip | Skipped]


def grow(root: Path, names: Iterable[str], content: str = "x") -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def read(dataset: str, root: Path, **options: str) -> Found:
    found: Found = list(datasets.registry.get(dataset).read(root, **options))
    keys = [item.key for item in found]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_/-]+", key) for key in keys)
    return found


def clips(found: Found) -> dict[str, Clip]:
    return {item.key: item for item in found if isinstance(item, Clip)}


def missing(found: Found) -> dict[str, Skipped]:
    return {item.key: item for item in found if isinstance(item, Skipped)}


def kinds(found: check.Ledger) -> list[tuple[str, str, int | None]]:
    return sorted((item.kind, item.key, item.line) for item in found.findings)


# -- LRW -----------------------------------------------------------------------------------------------------


@pytest.fixture
def words(tmp_path: Path) -> Path:
    root = tmp_path / "LRW"
    grow(
        root / "lipread_mp4",
        ["ABOUT/test/ABOUT_00001.mp4", "ABOUT/test/ABOUT_00002.mp4", "ABOUT/train/ABOUT_00001.mp4"],
    )
    grow(
        root / "lipread_mp4",
        ["ABOUT/test/ABOUT_00001.txt", "ABOUT/test/ABOUT_00003.txt"],
        "Disk reference: 5\nChannel: x\nProgram start: y\nClip start: 3.0 seconds\nDuration: 0.34 seconds\n",
    )
    grow(root / "lipread_mp4", ["ABOUT/val/ABOUT_00001.mp4", "ABOUT/val/.hidden.mp4", "ABOUT/val/a b.mp4"])
    return root


def test_lrw_gives_words_by_split_and_their_interval_from_the_duration(words: Path) -> None:
    found = read("lrw", words)
    assert found == read("lrw", words / "lipread_mp4")
    assert sorted(clips(found)) == [
        "ABOUT/test/ABOUT_00001",
        "ABOUT/test/ABOUT_00002",
        "ABOUT/train/ABOUT_00001",
        "ABOUT/val/ABOUT_00001",
    ]
    first = clips(found)["ABOUT/test/ABOUT_00001"]
    assert (first.dataset, first.split, first.speaker, first.text, first.words) == (
        "lrw",
        "test",
        None,
        "ABOUT",
        (),
    )
    told, notes = datasets.annotate(first)
    assert notes == []
    assert told.words == (Word("ABOUT", 0.41, 0.75),)  # 0.34 s around the middle of 1.16 s
    assert sum(told.words[0].__getattribute__(name) for name in ("start", "end")) == pytest.approx(1.16)
    lost = missing(found)["ABOUT/test/ABOUT_00003"]
    assert (lost.reason, lost.split) == (Reason.MISSING_FILE, "test")


@pytest.mark.parametrize(
    "text", ["", "Duration: much", "Duration: 3.4 seconds", "Duration: 0 seconds", "Duration: 1.2.3 s"]
)
def test_an_lrw_text_without_a_usable_duration_costs_the_interval_alone(words: Path, text: str) -> None:
    file = words / "lipread_mp4/ABOUT/test/ABOUT_00001.txt"
    file.write_text(text)
    told, notes = datasets.annotate(clips(read("lrw", words))["ABOUT/test/ABOUT_00001"])
    assert (told.text, told.words) == ("ABOUT", ())
    assert notes == ["ABOUT_00001.txt: no usable Duration, the word has no interval"]
    file.unlink()
    assert (
        "FileNotFoundError" in datasets.annotate(Clip("k", "p", "lrw", text="ABOUT", sidecar=str(file)))[1][0]
    )


def test_an_lrw_ledger_counts_and_names(words: Path) -> None:
    grow(words / "lipread_mp4", ["ABOUT/test/ABOUT_00004.mp4"], "")
    found = check.check("lrw", words)
    rows = {row[0]: row for row in found.table()}
    assert rows["test"][1:4] == ("25000 (lists)", "4", "2")
    assert rows["train"][2:4] == ("1", "1")
    assert kinds(found) == [
        ("empty-file", "ABOUT/test/ABOUT_00004", None),
        ("missing-file", "ABOUT/test/ABOUT_00003", None),
        ("missing-text", "ABOUT/test/ABOUT_00002", None),
        ("missing-text", "ABOUT/test/ABOUT_00004", None),
        ("missing-text", "ABOUT/train/ABOUT_00001", None),
        ("missing-text", "ABOUT/val/ABOUT_00001", None),
        ("odd-name", "ABOUT/val/a b", None),
    ]
    assert found.notes == ["1 words; LRW has 500"]


# -- LRS2 ----------------------------------------------------------------------------------------------------

ID = "6330311066473698535"


@pytest.fixture
def broadcasts(tmp_path: Path) -> Path:
    root = tmp_path / "LRS2" / "mvlrs_v1"
    grow(
        root / "main",
        [f"{ID}/00011.mp4", f"{ID}/00012.mp4", "5535415699068794046/00001.mp4", f"{ID}/00099.mp4"],
    )
    grow(root / "main", [f"{ID}/00011.txt", f"{ID}/00012.txt"], "Text:  WHEN WE  WENT\nConf:  4\n")
    grow(root / "pretrain", [f"{ID}/00001.mp4"])
    table = "Text:  WHEN WE\nConf:  5\n\nWORD START END ASDSCORE\nWHEN 0.00 0.20 6.3\nWE 0.24 0.40 -1.5\n"
    grow(root / "pretrain", [f"{ID}/00001.txt"], table)
    (root / "test.txt").write_text(f"{ID}/00011 NF\n{ID}/00012 MV\n{ID}/00013 NF\n")
    (root / "train.txt").write_text("5535415699068794046/00001\n\n../../etc/passwd\n")
    (root / "val.txt").write_text("")
    (root / "pretrain.txt").write_text(f"{ID}/00001\n")
    return root.parent


def test_lrs2_follows_its_lists_with_and_without_the_tag(broadcasts: Path) -> None:
    found = read("lrs2", broadcasts)
    assert found == read("lrs2", broadcasts / "mvlrs_v1")
    got = {key: (clip.split, clip.speaker, clip.extra.get("tag")) for key, clip in clips(found).items()}
    assert got == {
        f"{ID}/00011": ("test", ID, "NF"),
        f"{ID}/00012": ("test", ID, "MV"),
        "5535415699068794046/00001": ("train", "5535415699068794046", None),
        f"pretrain/{ID}/00001": ("pretrain", ID, None),
    }
    lost = missing(found)[f"{ID}/00013"]
    assert (lost.reason, lost.split) == (Reason.MISSING_FILE, "test")
    assert "test.txt line 3" in lost.detail


def test_lrs2_text_and_word_times_come_with_the_worker(broadcasts: Path) -> None:
    by_key = clips(read("lrs2", broadcasts))
    told, notes = datasets.annotate(by_key[f"{ID}/00011"])
    assert (told.text, told.words, notes) == ("WHEN WE WENT", (), [])
    assert told.extra == {"tag": "NF", "conf": 4}
    told, notes = datasets.annotate(by_key[f"pretrain/{ID}/00001"])
    assert told.words == (Word("WHEN", 0.0, 0.2), Word("WE", 0.24, 0.4))
    assert (told.extra, notes) == ({"conf": 5, "word_scores": [6.3, -1.5]}, [])
    untold = by_key["5535415699068794046/00001"]
    assert datasets.annotate(untold) == (untold, [])


def test_lrs2_says_what_to_do_without_lists_or_folders(broadcasts: Path, tmp_path: Path) -> None:
    base = broadcasts / "mvlrs_v1"
    for split in ("test", "train", "val", "pretrain"):
        (base / f"{split}.txt").rename(broadcasts / f"{split}.txt")
    assert len(read("lrs2", broadcasts)) == 5  # beside mvlrs_v1 is as good
    (base / "pretrain").rename(tmp_path / "away")
    assert not any(item.split == "pretrain" for item in read("lrs2", base))
    for split in ("test", "train", "val", "pretrain"):
        (broadcasts / f"{split}.txt").unlink()
    with pytest.raises(UsageError, match="separate downloads"):
        read("lrs2", base)
    with pytest.raises(UsageError, match="no folder main/ or pretrain/"):
        read("lrs2", tmp_path / "away")


def test_a_clip_in_two_lists_is_given_away_once_and_told(broadcasts: Path) -> None:
    base = broadcasts / "mvlrs_v1"
    (base / "train.txt").write_text(f"{ID}/00011\n{ID}/00012\n5535415699068794046/00001\n")
    found = read("lrs2", base)
    assert clips(found)[f"{ID}/00011"].split == "test"
    told = kinds(check.check("lrs2", base))
    assert ("listed-twice", f"{ID}/00011", 1) in told
    assert ("listed-twice", f"{ID}/00012", 2) in told


def test_an_lrs2_ledger_names_every_hole(broadcasts: Path) -> None:
    base = broadcasts / "mvlrs_v1"
    (base / "val.txt").unlink()
    (base / "pretrain" / ID / "00001.mp4").write_text("")
    (base / "main" / ID / "00012.txt").write_text("Text:  A\nWORD START END\nA 0.3 0.1\n")
    found = check.check("lrs2", broadcasts)
    assert kinds(found) == [
        ("bad-line", "", 3),
        ("bad-text", f"{ID}/00012", 3),
        ("empty-file", f"{ID}/00001", None),
        ("missing-file", f"{ID}/00013", None),
        ("missing-list", "", None),
        ("missing-text", "5535415699068794046/00001", None),
        ("missing-text", f"{ID}/00013", None),
        ("not-listed", f"{ID}/00099", None),
    ]
    assert [item.file for item in found.findings if item.kind == "bad-line"] == ["mvlrs_v1/train.txt"]
    quick = {item.kind for item in check.check("lrs2", broadcasts, fast=True).findings}
    assert quick == {item.kind for item in found.findings} - {"bad-text"}
    assert found.problems == 8
    out = broadcasts / "f.csv"
    found.write_csv(out)
    assert len(out.read_text().splitlines()) == 9


NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, NAMES, st.none() | NAMES), max_size=20), st.sampled_from(["", "\n", "  \n"]))
def test_a_good_list_comes_back_whole(entries: list[tuple[str, str, str | None]], between: str) -> None:
    text = between.join(f"{source}/{number}{f' {tag}' if tag else ''}\n" for source, number, tag in entries)
    found, bad = lrs2.parse_list([line.strip() for line in text.splitlines()])
    assert [(item.source, item.number, item.tag) for item in found] == entries
    assert bad == []


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_list_gives_safe_names_or_bad_lines(lines: list[str]) -> None:
    found, bad = lrs2.parse_list([line.strip() for line in lines])
    assert all(tree.SAFE.fullmatch(item.source) and tree.SAFE.fullmatch(item.number) for item in found)
    numbers = sorted([item.line for item in found] + [number for number, _ in bad])
    assert numbers == [number for number, line in enumerate(lines, 1) if line.strip()]


# -- the .txt of LRS2 and LRS3 -------------------------------------------------------------------------------


@given(st.text(max_size=400))
def test_any_text_is_read_or_named_line_by_line(text: str) -> None:
    said = lrs.parse(text)
    assert said.text is not None or said.problems
    assert all(0 <= word.start <= word.end < float("inf") for word in said.words)
    json.dumps(said.extra, allow_nan=False)
    lrw.parse_duration(text)


SPAN = st.tuples(st.integers(0, 5000), st.integers(0, 300), st.integers(-9, 99))


@given(st.lists(SPAN, max_size=12), st.integers(0, 9))
def test_a_good_text_comes_back_whole(spans: list[tuple[int, int, int]], conf: int) -> None:
    rows = [f"W{i} {a / 100:.2f} {(a + n) / 100:.2f} {score / 10}" for i, (a, n, score) in enumerate(spans)]
    text = "\n".join(
        [
            *("Text:  SO IT IS ", f"Conf:  {conf}", "Ref:   0Fi83BHQsMA", "", "FRAME \tX \tY \tW \tH"),
            *("000001 0.5 0.25 0.1 0.2", "000002 0.5 0.25 0.1 0.2", "", "WORD START END ASDSCORE", *rows),
        ]
    )
    said = lrs.parse(text)
    assert (said.text, said.problems) == ("SO IT IS", [])
    assert said.extra["conf"] == conf
    assert (said.extra["ref"], said.extra["n_boxes"]) == ("0Fi83BHQsMA", 2)
    assert [(word.start, word.end) for word in said.words] == [
        (pytest.approx(a / 100), pytest.approx((a + n) / 100)) for a, n, _ in spans
    ]


# -- LRS3 ----------------------------------------------------------------------------------------------------


def test_lrs3_is_read_by_folders(tmp_path: Path) -> None:
    root = tmp_path / "lrs3"
    grow(root, ["test/-bc_0/00002.mp4", "test/-bc_0/00001.mp4", "trainval/0Fi83BHQsMA/00001.mp4"])
    grow(root, ["test/-bc_0/00001.txt", "test/-bc_0/00003.txt"], "Text:  YES\nConf:  2\nRef:  -bc_0\n")
    found = read("lrs3", tmp_path)
    assert found == read("lrs3", root)
    assert [item.key for item in found] == [
        "test/-bc_0/00001",
        "test/-bc_0/00002",
        "test/-bc_0/00003",
        "trainval/0Fi83BHQsMA/00001",
    ]
    assert missing(found)["test/-bc_0/00003"].reason is Reason.MISSING_FILE
    first = clips(found)["test/-bc_0/00001"]
    assert (first.speaker, first.split) == ("-bc_0", "test")
    assert datasets.annotate(first)[0].extra == {"conf": 2, "ref": "-bc_0"}
    told = check.check("lrs3", root)
    assert ("missing-folder", "", None) in kinds(told)
    assert {row[0]: row[3] for row in told.table()} == {"pretrain": "0", "trainval": "1", "test": "2"}


# -- HDTF ----------------------------------------------------------------------------------------------------


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """Annotation files with every oddity of the published ones, and videos that are only names."""
    root = tmp_path / "hdtf"
    files = {
        "RD_video_url.txt": "Radio1 https://www.youtube.com/watch?v=CPCoMyuBRM0\n"
        "Radio2 https://www.youtube.com/watch?v=uBWJJvynXpA&t=6s\nRadio24 https://www.youtube.com/watch?v=AAAAAAAAAAA\n",
        "RD_resolution.txt": "Radio1.mp4 720\nRadio2.mp4 0\nRadio24.mp4 720\n",
        "RD_annotion_time.txt": "Radio1.mp4 00:30-01:00 01:30-02:30 \nRadio2.mp4 00:05-00:10\n",
        "RD_crop_wh.txt": "Radio1_0.mp4 412 599 0 599\nRadio1_7.mp4 1 9 1 9\nRadio2_0.mp4 1 300 1 300\n",
        "WDA_video_url.txt": "\ufeffEdMarkey0 https://youtu.be/1Xn9v3fmLPs\n"
        "EdMarkey1 https://www.youtube.com/watch?v=RApGxN-O9Qc\n",
        "WDA_resolution.txt": "EdMarkey0.mp4 1080\nEdMarkey1.mp4 seven\n",
        "WDA_annotion_time.txt": "EdMarkey0.mp4 00:05-04:40\nEdMarkey1.mp4 01:00-00:30\n"
        "LucilleRoybal-Allard.mp4 00:05-00:10\n",
        "WDA_crop_wh.txt": "EdMarkey0_0.mp4 608 726 0 726\nLucilleRoybal-Allard_0.mp4 1 2\n",
    }
    for name, text in files.items():
        grow(root / "HDTF_dataset", [name], text)
    grow(root / "videos", ["Radio1.mp4", "x/Talk [uBWJJvynXpA].webm", "1Xn9v3fmLPs.mkv", "other.mp4"])
    return root


def test_hdtf_makes_a_clip_of_every_interval(annotated: Path) -> None:
    found = read("hdtf", annotated)
    apart = read("hdtf", annotated / "videos", annotations=str(annotated / "HDTF_dataset"))
    assert clips(found) == clips(apart)
    assert [item.key for item in found] == [
        "RD_Radio1_000",
        "RD_Radio1_001",
        "RD_Radio2_000",
        "WDA_EdMarkey0_000",
        "WDA_LucilleRoybal-Allard_000",
    ]
    one, two, three, ed = clips(found).values()
    assert (one.start, one.stop, one.crop, one.target) == (30.0, 60.0, Crop(412, 0, 599, 599, 720), 512)
    assert (two.start, two.stop, two.crop) == (90.0, 150.0, None)
    assert (three.crop, Path(three.path).name) == (Crop(1, 1, 300, 300, 0), "Talk [uBWJJvynXpA].webm")
    assert (ed.speaker, ed.crop, ed.extra["youtube"]) == (
        "EdMarkey",
        Crop(608, 0, 726, 726, 1080),
        "1Xn9v3fmLPs",
    )
    assert (one.speaker, one.split, one.extra["speaker_is"]) == ("RD_Radio1", "train", "video")
    assert missing(found)["WDA_LucilleRoybal-Allard_000"].reason is Reason.MISSING_FILE


def test_an_hdtf_ledger_names_bad_lines_and_what_is_there(annotated: Path) -> None:
    found = check.check("hdtf", annotated, fast=True)
    told = {(item.kind, item.key or item.file, item.line) for item in found.findings}
    assert told == {
        ("bad-line", "RD_crop_wh.txt", 2),
        ("no-interval", "RD_video_url.txt", 3),
        ("bad-line", "WDA_resolution.txt", 2),
        ("bad-line", "WDA_annotion_time.txt", 2),
        ("no-interval", "WDA_video_url.txt", 2),
        ("bad-line", "WDA_crop_wh.txt", 2),
        *(("missing-list", f"WRA_{kind}.txt", None) for kind in hdtf_lists.KINDS),
        ("no-crop", "RD_Radio1_001", None),
        ("no-crop", "WDA_LucilleRoybal-Allard_000", None),
        ("available", "RD_Radio1", None),
        ("available", "RD_Radio2", None),
        ("available", "WDA_EdMarkey0", None),
        ("missing-video", "WDA_LucilleRoybal-Allard", None),
        ("not-annotated", "other", None),
    }
    # Opened, files of one letter are no videos: named as such, and nothing is left.
    with pytest.raises(UsageError, match="none of the 5 clips"):
        check.check("hdtf", annotated)


@given(
    st.dictionaries(st.sampled_from([f"RD_{kind}.txt" for kind in hdtf_lists.KINDS]), st.text(max_size=200))
)
def test_any_annotation_files_are_read_or_named(files: dict[str, str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        found = hdtf_lists.load(Path(folder))
    for video in found.videos.values():
        assert tree.SAFE.fullmatch(video.key(0))
        assert all(0 <= start < stop for start, stop in video.intervals)


@given(st.integers(0, 7000), st.integers(1, 3000))
def test_times_of_hdtf_come_back(start: int, length: int) -> None:
    def shown(seconds: int) -> str:
        return f"{seconds // 60:02d}:{seconds % 60:02d}"

    assert hdtf_lists.seconds_of(f"{shown(start)}-{shown(start + length)}") == (start, start + length)


def test_the_published_split_of_hdtf_follows_from_its_rule() -> None:
    published = hdtf_split.published()
    assert published["name"] == hdtf_split.NAME
    people: dict[str, set[str]] = {}
    for split, part in published["splits"].items():
        assert (part["clips"], part["sha256"]) == (len(part["keys"]), splits.list_hash(part["keys"]))
        named = {tuple(key.rsplit("_", 1)[0].split("_", 1)) for key in part["keys"]}
        assert len(named) == part["videos"]
        assert {hdtf_split.split_of(subset, name) for subset, name in named} == {split}
        people[split] = {hdtf_split.identity_of(subset, name)[0] for subset, name in named}
        assert len(people[split]) == part["speakers"]
    assert sum(part["clips"] for part in published["splits"].values()) == 436
    assert not people["test"] & people["train"]
    assert not people["val"] & (people["train"] | people["test"])
    # One YouTube video under two names is one person.
    assert hdtf_split.identity_of("WDA", "WhipJimClyburn") == hdtf_split.identity_of("WDA", "JamesClyburn1")


# -- the official crop ---------------------------------------------------------------------------------------


def crop(box: tuple[int, int, int, int] | None, of: int = 720) -> Clip:
    inside = None if box is None else Crop(*box, of_height=of)
    return Clip("k", "v.mp4", "hdtf", crop=inside, target=512)


@pytest.mark.parametrize(
    ("box", "of", "size", "why"),
    [
        (None, 720, (1280, 720), "none is published"),
        ((412, 0, 465, 465), 0, (1280, 720), "not published"),
        # Published: PeterKing_0 reaches 152 pixels below a picture of 720 rows.
        ((178, 0, 872, 872), 720, (1280, 720), "152 pixels beyond"),
        ((900, 0, 600, 600), 720, (1280, 720), "220 pixels beyond"),
    ],
)
def test_a_crop_that_cannot_be_used_says_why(
    box: tuple[int, int, int, int] | None, of: int, size: tuple[int, int], why: str
) -> None:
    cut, record = official.crop_of(crop(box, of), *size)
    assert cut is None
    assert record["used"] is False
    assert why in record["why"]


def test_a_crop_follows_the_resolution_that_is_there() -> None:
    assert official.crop_of(crop((412, 0, 600, 600)), 1280, 720)[0] == Cut(412, 0, 600, 600, 512, 512)
    cut, record = official.crop_of(crop((412, 20, 600, 600)), 640, 360)
    assert cut == Cut(206, 10, 300, 300, 512, 512)
    assert record["scale"] == 0.5
    assert official.crop_of(None, 1280, 720) == (None, {})
    assert official.crop_of(Clip("k", "v.mp4", "folder"), 1280, 720) == (None, {})


@given(
    st.integers(0, 700),
    st.integers(0, 400),
    st.integers(16, 719),
    st.sampled_from([360, 480, 714, 720, 1080, 2160]),
)
def test_a_scaled_crop_is_even_square_and_inside(x: int, y: int, side: int, height: int) -> None:
    width = height * 16 // 9 // 2 * 2
    cut, record = official.crop_of(crop((x, y, side, side)), width, height)
    if cut is None:
        # Within a pixel of the rim, in either count of pixels, is inside.
        assert x + side > 1279 or y + side > 719
        return
    assert cut.width == cut.height
    assert (cut.x % 2, cut.y % 2, cut.width % 2) == (0, 0, 0)
    assert 0 <= cut.x <= width - cut.width
    assert 0 <= cut.y <= height - cut.height
    scale = record["scale"]
    assert abs(cut.x - x * scale) <= 2 + scale
    assert abs(cut.width - side * scale) <= 2 or side * scale < 16


# -- all of them ---------------------------------------------------------------------------------------------


def test_splits_are_lists_with_a_hash_that_anyone_can_check(broadcasts: Path, tmp_path: Path) -> None:
    import hashlib

    found = splits.splits_of("lrs2", broadcasts)
    assert [(part.name, len(part.keys), len(part.missing)) for part in found] == [
        ("pretrain", 1, 0),
        ("test", 3, 1),
        ("train", 1, 0),
    ]
    told = json.loads(splits.write(found, "lrs2", tmp_path / "out").read_text())
    for name, part in told["splits"].items():
        data = (tmp_path / "out" / f"lrs2-{name}.txt").read_bytes()
        assert part["sha256"] == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "out" / "lrs2-test.txt").read_text() == f"{ID}/00011\n{ID}/00012\n{ID}/00013\n"


def test_a_remote_tree_reads_like_a_local_one(broadcasts: Path, words: Path, annotated: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    try:
        for dataset, root in (("lrs2", broadcasts), ("lrw", words), ("hdtf", annotated)):
            for file in root.rglob("*"):
                if file.is_file():
                    memory.pipe(f"/readers/{dataset}/{file.relative_to(root).as_posix()}", file.read_bytes())
            url = f"memory://readers/{dataset}"
            here, there = read(dataset, root), read(dataset, storage.place(url))
            assert [item.path for item in there] == [item.path.replace(str(root), url) for item in here]
            assert [(item.key, item.split) for item in there] == [(item.key, item.split) for item in here]
    finally:
        memory.rm("/readers", recursive=True)


@pytest.mark.parametrize("dataset", [n for n in datasets.registry.own() if datasets.find(n).check])
def test_another_folder_is_refused_in_one_line(dataset: str, tmp_path: Path) -> None:
    grow(tmp_path, ["a.mp4", "b/c.mp4"])
    for call in (read, check.check, splits.splits_of):
        with pytest.raises(UsageError) as caught:
            call(dataset, tmp_path)  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        without = f"{dataset} has no splits"
        assert str(tmp_path) in str(caught.value) or (
            call is splits.splits_of and without in str(caught.value)
        )


def test_names_of_data_sets_are_checked(tmp_path: Path) -> None:
    for call in (check.check, splits.splits_of):
        with pytest.raises(UnknownName, match="did you mean lrs2"):
            call("lsr2", tmp_path)  # type: ignore[operator]


def test_planning_opens_no_text_and_no_video(
    broadcasts: Path, words: Path, annotated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Path.open

    def spy(self: Path, *arguments: object, **options: object) -> object:
        opened.append(self.name)
        return real(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", spy)
    for dataset, root in (("lrs2", broadcasts), ("lrw", words), ("hdtf", annotated)):
        read(dataset, root)
    assert {Path(name).suffix for name in opened} <= {".txt", ".toml"}
    assert not any(re.fullmatch(r"\d{5}\.txt|ABOUT_.*", name) for name in opened)


@pytest.mark.slow
def test_half_a_million_clips_are_read_in_well_under_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What LRW holds, without its files: the listings of 500 words are made up."""
    names = [f"WORD{number:03d}" for number in range(500)]
    files = [f"X_{number:05d}{suffix}" for number in range(1000) for suffix in (".mp4", ".txt")]

    def fake(folder: Path) -> tuple[list[str], list[str]]:
        if folder == tmp_path:
            return names, []
        return ([], files) if folder.name == "train" else ([], [])

    (tmp_path / "WORD000" / "train").mkdir(parents=True)
    monkeypatch.setattr(lrw, "listing", fake)
    began = time.perf_counter()
    found = list(lrw.read(tmp_path))
    assert len(found) == 500_000
    assert time.perf_counter() - began < 40  # 2 s on an idle core
