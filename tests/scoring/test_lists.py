"""A data set's own protocol: shards of another list, split, canvas or data set are refused before any scoring."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.toy_shards import SIZE, make_shards

from tkbench import protocol, shards
from tkbench.errors import UsageError
from tkbench.prep.datasets.splits import list_hash
from tkbench.scoring import lists
from tkbench.scoring.clips import open_split
from tkbench.scoring.evaluate import evaluate

KEYS = ("a/0", "a/1", "b/0")
TEXT = f"""
name = "toys-v1"
summary = ""
rank_by = "psnr"
[[metrics]]
name = "psnr"
[data]
dataset = "toys"
split = "test"
clips = 3
counted_by = "this test"
rule = "all"
sha256 = "{list_hash(KEYS)}"
canvas = [{SIZE}, {SIZE}]
crops = []
aggregation = "mean of clips"
[[data.pairs]]
name = "self"
how = "self"
[[data.pairs]]
name = "cross"
how = "seeded"
[[data.pairs]]
name = "theirs"
how = "list"
repository = "some/where"
commit = "{"0" * 40}"
path = "pairs.txt"
lines = 3
sha256 = "{hashlib.sha256(b"a/0 b/0" + chr(10).encode() + b"z/9 a/1" + chr(10).encode()).hexdigest()}"
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of the split test, one of train."""
    return make_shards(
        tmp_path_factory.mktemp("toys"), {**{key: ("test", 5) for key in KEYS}, "c/0": ("train", 5)}
    )


def rules_of(folder: Path, *changes: tuple[str, str]) -> Path:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "toys-v1.toml"
    path.write_text(text)
    return path


def test_the_list_is_in_the_signature_and_its_split_is_taken(toys: Path, tmp_path: Path) -> None:
    bundle = evaluate(toys, "real", protocol=rules_of(tmp_path), out=tmp_path / "runs")
    record = json.loads((bundle / "result.json").read_text())
    digest = list_hash(KEYS)[:12]
    assert record["split"] == "test"
    assert record["n_clips"] == 3
    assert f"|split:toys/test@{digest}|" in record["signature"]
    assert f"|list:{digest}|" in record["signature"]
    assert "pairs:" not in record["signature"]


def test_a_draft_says_so_and_still_names_the_list(toys: Path, tmp_path: Path) -> None:
    draft = rules_of(tmp_path, (list_hash(KEYS), ""))
    assert protocol.status_of(draft) == "draft"
    bundle = evaluate(toys, "real", protocol=draft, out=tmp_path / "runs")
    signature = json.loads((bundle / "result.json").read_text())["signature"]
    assert "|split:toys/test@draft|" in signature
    assert f"|list:{list_hash(KEYS)[:12]}(draft, 3 of 3)|" in signature


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('dataset = "toys"', 'dataset = "lrs2"'), "is toys, the protocol toys-v1 is for lrs2"),
        (('split = "test"', 'split = "val"'), r"holds the split test\+train.*for val"),
        ((list_hash(KEYS), "0" * 64), "list of 3 clips has the sha256"),
        ((f"canvas = [{SIZE}, {SIZE}]", "canvas = [160, 160]"), "clip a/0 has a canvas of 64 x 64"),
        (("crops = []", 'crops = ["syncnet-224/1"]'), "without the crop recipe syncnet-224/1"),
    ],
)
def test_other_shards_are_refused(toys: Path, tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        evaluate(toys, "real", protocol=rules_of(tmp_path, change), out=tmp_path / "runs")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_another_voice_has_the_hash_of_its_pairs(toys: Path, tmp_path: Path) -> None:
    rules = protocol.load(rules_of(tmp_path))
    source = open_split(toys, "test")
    pairs = lists.pairs_of(rules, "cross", source, None)
    assert [picture for _, picture in pairs.lines] == list(KEYS)
    assert all(voice[0] != picture[0] for voice, picture in pairs.lines)  # of another speaker
    bundle = evaluate(
        toys, "cross:files:" + str(videos_of(toys, tmp_path)), protocol=rules, out=tmp_path / "runs"
    )
    signature = json.loads((bundle / "result.json").read_text())["signature"]
    assert f"|drive:other|list:{list_hash(KEYS)[:12]}|pairs:seeded@{pairs.sha256[:12]}|" in signature
    assert lists.pairs_of(rules, "self", source, None).lines == tuple((key, key) for key in KEYS)


def videos_of(toys: Path, folder: Path) -> Path:
    source = shards.open_shards(toys)
    for key in KEYS:
        path = folder / "videos" / f"{key}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.members(key, ["mp4"])["mp4"])
    return folder / "videos"


def test_published_pairs_are_believed_by_their_hash(toys: Path, tmp_path: Path) -> None:
    rules, source = protocol.load(rules_of(tmp_path)), open_split(toys, "test")
    file = tmp_path / "pairs.txt"
    file.write_text("a/0 b/0\nz/9 a/1\n")
    found = lists.pairs_of(rules, "theirs", source, file)
    assert (found.lines, found.missing) == ((("a/0", "b/0"),), 1)
    file.write_text("a/0 b/0\n")
    with pytest.raises(UsageError, match=r"sha256 .* has"):
        lists.pairs_of(rules, "theirs", source, file)
    with pytest.raises(UsageError, match=r"give --list with pairs\.txt of some/where@0000000"):
        lists.pairs_of(rules, "theirs", source, None)
    with pytest.raises(UsageError, match="no pairs 'others'"):
        lists.pairs_of(rules, "others", source, None)


def test_a_draft_gets_its_list_from_the_whole_split(toys: Path, tmp_path: Path) -> None:
    draft = rules_of(tmp_path, (f'sha256 = "{list_hash(KEYS)}"', 'sha256 = ""'))
    source = open_split(toys, "test")
    text = lists.frozen_text(draft.read_text(), protocol.load(draft), source)
    (tmp_path / "new.toml").write_text(text)
    assert protocol.load(tmp_path / "new.toml").data.sha256 == list_hash(KEYS)  # type: ignore[union-attr]
    assert protocol.freeze(tmp_path / "new.toml")
    more = rules_of(tmp_path, (f'sha256 = "{list_hash(KEYS)}"', 'sha256 = ""'), ("clips = 3", "clips = 4"))
    with pytest.raises(UsageError, match="has 3 clips, this test counts 4"):
        lists.frozen_text(more.read_text(), protocol.load(more), source)
    with pytest.raises(UsageError, match="is no draft"):
        lists.frozen_text(text, protocol.load(tmp_path / "new.toml"), source)
