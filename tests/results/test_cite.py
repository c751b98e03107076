"""Citations: every metric has its reference or is known to have none, entries are BibTeX, unknown parts are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.bundles import MANY, make

from tkbench import protocol
from tkbench.errors import BadBundle
from tkbench.results import bundle, cite
from tkbench.scoring.clips import build_metrics

ROOT = Path(__file__).parents[2]


def entries_of(text: str) -> list[str]:
    return re.findall(r"^@\w+\{([\w-]+),$", text, re.M)


def test_every_entry_is_bibtex_under_its_own_key() -> None:
    for key, text in cite.references()["entries"].items():
        assert entries_of(text.strip()) == [key]
        assert text.count("{") == text.count("}")
        fields = dict(re.findall(r"^  (\w+)\s+= \{(.*)\},?$", text, re.M))
        assert {"author", "title"} <= set(fields)
        assert re.fullmatch(r"(19|20)\d\d", fields["year"]) if key != "tkbench" else "version" in fields


def test_every_use_has_an_entry_and_every_entry_a_use() -> None:
    table = cite.references()
    used = {key for group in table["uses"].values() for keys in group.values() for key in keys}
    assert used | {"tkbench"} == set(table["entries"])


@pytest.mark.parametrize("name", sorted(protocol.bundled()))
def test_every_metric_of_every_protocol_is_known(name: str) -> None:
    for column in build_metrics(protocol.load(name)).columns:
        assert cite.keys_of(column.signature) is not None, column.signature


def test_what_the_page_on_citing_holds_is_the_same() -> None:
    """Titles of the package's own references, in docs/cite.md and here."""
    plain = " ".join(re.sub(r"[{}]", "", (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")).split())
    for key in ("tkbench", "prajwal2020lip", "chung2016out", "park2022synctalkface", "park2024exploring"):
        title = re.findall(r"title\s+= \{(.*)\},", cite.references()["entries"][key])[0]
        assert re.sub(r"[{}]", "", title) in plain


def test_a_table_of_this_repository_is_cited_whole() -> None:
    (table,) = (ROOT / "leaderboards" / "rows").iterdir()
    found = cite.cite(bundle.find(table))
    keys = entries_of(found.bibtex)
    assert keys[0] == "tkbench"
    assert {
        "chung2016out",
        "wang2004image",
        "chen2018lip",
        "park2022synctalkface",
        "park2024exploring",
    } <= set(keys)
    assert "zhang2018unreasonable" not in keys  # LPIPS has no number there
    assert found.unknown == ()
    assert set(re.findall(r"[\w-]+", " ".join(re.findall(r"\\cite\{(.*?)\}", found.sentence)))) <= set(keys)
    assert rf"\texttt{{{table.name.rpartition('-')[2]}" in found.sentence
    assert "version = {0.1.0}" in found.bibtex


def test_what_nobody_knows_here_is_named(tmp_path: Path) -> None:
    make(tmp_path, "theirs", 5.0, card={"paper": "Someone, 2031"})
    found = cite.cite(bundle.find(make(tmp_path, "wav2lip-gan", 6.0).parent))
    assert any(line.startswith("model theirs:") and "Someone, 2031" in line for line in found.unknown)
    assert any(line.startswith("metric LSE-C:") for line in found.unknown)  # its signature is made up
    assert any(line.startswith("data set test:") for line in found.unknown)
    assert "prajwal2020lip" in entries_of(found.bibtex)
    assert "24 clips" not in found.sentence
    assert "9 clips of test, split test" in found.sentence


def test_a_sentence_states_the_levels_that_intervals_have(tmp_path: Path) -> None:
    few = bundle.find(make(tmp_path / "few", "mine", 3.0).parent)  # three speakers have no 95 % interval
    said = " ".join(cite.cite(few).sentence.split())
    assert "Intervals are 75 \\% intervals over speakers, all that so few allow" in said
    assert "95" not in said
    many = bundle.find(make(tmp_path / "many", "mine", 3.0, speakers=MANY).parent)
    assert "Intervals are 95 \\% intervals over speakers; models" in cite.cite(many).sentence
    one = bundle.find(make(tmp_path / "one", "mine", 3.0, speakers={"a/0": "a", "a/1": "a"}).parent)
    assert "ntervals" not in cite.cite(one).sentence


def test_several_tables_have_no_one_citation(tmp_path: Path) -> None:
    one = make(tmp_path, "a", 1.0, signature="test-v1|n:9|x")
    two = make(tmp_path, "b", 1.0, signature="test-v1|n:8|x")
    with pytest.raises(BadBundle, match="never share a table"):
        cite.cite([bundle.read(one), bundle.read(two)])
