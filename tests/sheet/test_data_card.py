"""The data card: what it counts, what it says of licences, and that texts of a data set cannot break its page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.toy_shards import make_shards

from tkbench import shards
from tkbench.prep import datasets
from tkbench.prep.datasets.splits import list_hash
from tkbench.sheet import data_card

NASTY = "<script>alert(1)</script>|[x](javascript:alert(1))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of four speakers in two splits, one speaker in both; two clips were left out; labels, one nasty."""
    clips = {f"{s}/{i}": ("test" if s in "ab" else "train", 12 + 3 * i) for s in "abcd" for i in range(2)}
    folder = make_shards(tmp_path_factory.mktemp("card"), clips)
    opened = shards.open_shards(folder)
    table = opened.manifest().astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    for i, row in enumerate(rows):
        row["label_view"] = ("front", NASTY, None)[min(i, 2)] if i < 3 else "front"
        row["label_source"] = f"video {i}"
        row["speaker"] = "a" if row["key"] == "c/0" else row["speaker"]
    for key, split in (("z/0", "test"), ("z/1", "train")):
        rows.append({"key": key, "clip": key, "dataset": "toys", "split": split, "status": "skipped"})
        rows[-1] |= {"reason": "no-face", "detail": "no face in 20 frames", "path": key}
    records = [shards.ShardRecord(**entry) for entry in opened.index["shards"]]
    more = {"dataset": "toys", "protocol": "toys", "signature": "toys|canvas:64", "settings": {}}
    shards.write_index(folder, records, rows, labels=["view", "source"], **more)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def card(folder: Path) -> data_card.DataCard:
    return data_card.gather(folder, measured=5)


def test_counts_and_hashes_are_those_of_the_shards(folder: Path, card: data_card.DataCard) -> None:
    assert (card.head.clips, card.head.samples, card.head.lost) == (10, 8, 2)
    assert [(s.row.name, s.row.samples, s.row.skipped) for s in card.splits] == [
        ("test", 4, 1),
        ("train", 4, 1),
    ]
    test = shards.open_shards(folder, split="test")
    assert card.splits[0].keys == list_hash(test.keys())
    assert card.splits[0].data == test.data_hash
    assert card.data_hash == shards.open_shards(folder).data_hash
    assert (card.speakers.known, card.speakers.fewest, card.speakers.most) == (4, 1, 3)
    assert card.speakers.share == 3 / 8
    assert card.measured == 5


def test_a_speaker_in_two_splits_is_on_the_card(card: data_card.DataCard) -> None:
    assert [row[:4] for row in card.shared.rows] == [("same-speaker", "test", "train", 1)]
    assert "--copies" in card.shared.compared


def test_labels_are_counted_and_names_of_recordings_are_none(card: data_card.DataCard) -> None:
    (view,) = card.labels
    assert view.values == (("front", 6, 6 / 8), (NASTY, 1, 1 / 8))
    assert (view.rest, view.without) == (0, 1)


def test_duration_is_of_all_clips_and_the_rest_of_those_measured(card: data_card.DataCard) -> None:
    by_title = {h.title: h for h in card.histograms}
    assert sum(bar.count for bar in by_title["Duration"].bars) == 8
    assert sum(bar.count for bar in by_title["Loudness"].bars) == 5
    assert "5 of 8 clips" in by_title["Loudness"].note
    assert "no skin tone" in by_title["Brightness of the face"].note


def test_the_files_are_whole_and_the_same_each_time(
    folder: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = run_cli("data", "card", folder, "--out", tmp_path / "one", "--measured", 4, "-w", 1)
    assert code == 0, err
    data_card.write(folder, tmp_path / "two", measured=4)
    names = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    text = (tmp_path / "one" / "card.md").read_text(encoding="utf-8")
    plots = re.findall(r"!\[[^\]]*\]\((plots/[a-z-]+\.svg)\)", text)
    assert sorted(plots) == [name.as_posix() for name in names if name.suffix == ".svg"]
    assert len(plots) == 7
    for name in plots:
        assert ElementTree.parse(tmp_path / "one" / name).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "| no-face | 2 | No face was found in any frame. |" in text
    assert "whoever prepared them has to state licence" in text


def test_texts_of_a_data_set_are_texts(card: data_card.DataCard) -> None:
    page, text = data_card.to_html(card), data_card.to_markdown(card)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    (row,) = [line for line in text.splitlines() if "alert" in line]
    assert "<script>" not in row
    assert re.search(r"(?<!\\)\[x", row) is None
    assert len(re.findall(r"(?<!\\)\|", row)) == 4


def test_every_data_set_says_its_terms() -> None:
    for name in datasets.registry.own():
        record = datasets.find(name)
        if name == "folder":
            assert record.terms is None
            continue
        assert record.terms is not None, name
        assert re.search(r"\b(19|20)\d\d\b|CITATION", record.terms.cite), name
        assert record.terms.source.startswith(("https://", "tkbench/")), name
        assert record.terms.licence.strip(), name


def test_terms_are_printed_with_their_source_and_doubt(card: data_card.DataCard) -> None:
    from dataclasses import replace

    sure, unsure = (replace(card, record=datasets.find(name)) for name in ("talkvid", "lrs2"))
    for make in (data_card.to_html, data_card.to_markdown):
        assert "CC BY-NC 4.0" in make(sure)
        assert "not confirmed" not in make(sure)
        assert "not confirmed by tkbench: ask the owners" in make(unsure)
        assert "no clip of the data set is in it" in make(replace(card, fake=True))
