"""Printed numbers: each has its place and protocol, none is ranked, and none of an unchecked paper is there."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from support.bundles import make

from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.results import board, bundle, claimed

BOARDS = Path(__file__).parents[2] / "leaderboards"
# Nothing can compute these numbers again, so the file is held by its hash: a change is a change of both, on purpose.
SHA256 = "9701cf8f59167997655c742cc1e6ba138d4a00ba3052b56bceecd4906fa5de7e"


def test_the_file_is_the_one_that_was_read() -> None:
    assert hashlib.sha256((BOARDS / claimed.FILE).read_bytes()).hexdigest() == SHA256


def test_every_number_has_its_text_and_protocol() -> None:
    found = claimed.read(BOARDS / claimed.FILE)
    assert len(found) == 295
    assert {claim.mark for claim in found} == {"read", "quoted"}
    hdtf = claimed.chosen(found, "HDTF", "LSE-C")
    truths = sorted(claim.value for claim in hdtf if claim.of_truth)
    assert (truths[0], truths[-1]) == (7.73, 8.66)


def test_no_claim_is_a_row_or_has_a_rank() -> None:
    head = (BOARDS / claimed.FILE).read_text(encoding="utf-8").splitlines()[0].split(",")
    assert "rank" not in head
    tables = [path for path in BOARDS.glob("*.csv") if path.name != claimed.FILE]
    for path in tables:
        with path.open(newline="") as stream:
            assert {row["tier"] for row in csv.DictReader(stream)} <= {"measured", "reported"}


def test_papers_names_are_found_by_ours_and_theirs() -> None:
    found = claimed.read(BOARDS / claimed.FILE)
    by_paper = claimed.chosen(found, "hdtf", "Sync-C")
    assert claimed.chosen(found, "HDTF", "lse_c") == by_paper
    assert {claim.metric for claim in by_paper} >= {"LSE-C", "Sync-C"}
    truth = [claim.of_truth for claim in by_paper]
    assert truth == sorted(truth, reverse=True)
    assert not any(claim.of_truth for claim in by_paper if claim.model == "RealTalk")
    with pytest.raises(UnknownName, match="HDTF"):
        claimed.chosen(found, "hdt", None)
    with pytest.raises(UnknownName, match="LSE-C"):
        claimed.chosen(found, "hdtf", "LSE-X")


def test_the_measured_true_video_stands_beside_them(tmp_path: Path) -> None:
    rows = [bundle.read(make(tmp_path, name, 5.0)) for name in ("real", "mine")]
    ((row, column, cell),) = claimed.measured(rows, "Sync-C", "TEST")
    assert (row.result.model, column.name) == ("real", "lse_c_synth")
    assert cell.mean == rows[0].result.summary["lse_c_synth"].mean
    assert claimed.measured(rows, "FID", "test") == []  # unscored: no number
    assert claimed.measured(rows, "Sync-C", "hdtf") == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",6.76,", ",good,", "line 2: the value 'good' is no number"),
        (",6.76,", ",nan,", "line 2: the value 'nan' is no number"),
        (",read,", ",heard,", "line 2: mark is read or quoted"),
        ("paper,arxiv", "paper,arxive", "its columns are not"),
        ("HDTF,test", ",test", "dataset is empty"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / claimed.FILE
    text = (BOARDS / claimed.FILE).read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        claimed.read(path)
    assert board.check(tmp_path)[1]


def test_a_folder_without_the_file_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--leaderboards"):
        claimed.find(tmp_path)
