"""Strata of clips, tables by stratum, and what a bundle may say of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import bundles

from tkbench.errors import BadBundle, UnknownName, UsageError
from tkbench.results import bundle, by_stratum, proof
from tkbench.results.strata import NOT_KNOWN, SCALES, By, grouped, parse
from tkbench.types import Reason

STRATA: dict[str, dict[str, bundle.Value]] = {
    "pose": {key: float(i) for i, key in enumerate(sorted(bundles.MANY)) if i},
    "language": {key: "en" if i % 3 else "de" for i, key in enumerate(sorted(bundles.MANY))},
}


def made(out: Path, **more: object) -> bundle.Bundle:
    return bundle.read(bundles.make(out, "m", 2.0, speakers=bundles.MANY, strata=STRATA, **more))  # type: ignore[arg-type]


def test_edges_belong_to_the_group_above() -> None:
    scale = SCALES["duration"]
    assert scale.groups == ("below 2 s", "2 to 5 s", "5 to 10 s", "10 s or more")
    assert [scale.group(x) for x in (1.99, 2.0, 9.99, 10.0)] == list(scale.groups)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pose:40:20", "rising"),
        ("pose:x", "--by pose:x: could not convert"),
        ("language:1", "only measured strata"),
        ("pose,pose", "twice"),
        (",", "names no stratum"),
        ("Pose", "lower case"),
    ],
)
def test_a_wrong_by_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(text)


def test_groups_add_up_to_the_whole(tmp_path: Path) -> None:
    """n, n_unscored and the sum of scores: of every stratum, with unscored clips and clips without a value."""
    found = made(tmp_path, missing=["s03/c03", "s05/c17"])
    tables = by_stratum.split_by(
        [found], parse("pose:5:10:20,language,speaker"), columns=["lse_c_synth", "psnr"]
    )
    assert len(tables.tables) == 3
    for table in tables.tables:
        assert sum(table.clips) == 36
        for name, cells in table.cells.items():
            whole = found.result.summary[name]
            assert sum(cell.n for cell in cells) == whole.n == 34
            assert sum(cell.n_unscored for cell in cells) == whole.n_unscored == 2
            assert sum(cell.n * cell.mean for cell in cells if cell.n) == pytest.approx(whole.n * whole.mean)
    assert tables.tables[0].groups == ("below 5°", "5 to 10°", "10 to 20°", "20° or more", NOT_KNOWN)
    assert tables.tables[0].clips[-1] == 1


def test_a_planted_gap_is_found_and_corrected(tmp_path: Path) -> None:
    """German clips are worse by 1; pose means nothing. Two models by two strata: p is corrected for four gaps."""
    scores = {key: 2.0 - (STRATA["language"][key] == "de") + 0.002 * i for i, key in enumerate(bundles.MANY)}
    folders = [
        bundles.make(tmp_path, name, 2.0, speakers=bundles.MANY, strata=STRATA, scores=scores)
        for name in ("a", "b")
    ]
    read = [bundle.read(folder) for folder in folders]
    tables = by_stratum.split_by(read, parse("pose:18,language"), columns=["lse_c_synth"])
    assert tables.n_tests == 4
    languages = [table for table in tables.tables if table.by.name == "language"]
    for table in languages:
        tested = table.gaps["lse_c_synth"]
        assert (tested.best, tested.worst) == ("en", "de")
        assert tested.found.size == pytest.approx(1.0, abs=0.1)
        assert tested.found.p < 0.01
        assert tested.found.p <= tested.holm <= 4 * tested.found.p + 1e-12
    text = by_stratum.gap_text(languages[0], tables.columns[0])
    assert "best: en" in text
    assert "worst: de" in text


def test_not_known_is_shown_and_in_no_gap() -> None:
    grouping = grouped(By("x"), ["a", "b", "c"], {"x": {"a": "1", "b": ""}}, "here")
    assert grouping.names == ("1", NOT_KNOWN)
    assert grouping.keys(1) == ["b", "c"]
    with pytest.raises(UnknownName, match="no stratum 'y'"):
        grouped(By("y"), ["a"], {"x": {"a": "1"}}, "here")
    with pytest.raises(UsageError, match="41 groups"):
        grouped(By("x"), [str(i) for i in range(41)], {"x": {str(i): str(i) for i in range(41)}}, "here")


def test_a_bundle_without_strata_knows_its_speakers_alone(tmp_path: Path) -> None:
    old = bundle.read(bundles.make(tmp_path, "m", 2.0))
    assert [t.groups for t in by_stratum.split_by([old], parse("speaker")).tables] == [("s0", "s1", "s2")]
    with pytest.raises(UnknownName, match="--data SHARDS"):
        by_stratum.split_by([old], parse("pose"))
    known = {"pose": {key: 1.0 for key in bundles.SPEAKERS}}
    assert by_stratum.split_by([old], parse("pose"), known=known).tables[0].clips == (9,)


def test_numbers_of_whole_sets_stand_where_they_were_computed(tmp_path: Path) -> None:
    sets = [
        bundle.SetScore("language", "de", "fid", 12, 17.5),
        bundle.SetScore("language", "en", "fid", 24, math.nan, Reason.TOO_FEW_CLIPS, "few frames"),
    ]
    found = made(tmp_path, sets=sets)
    proof.verify(found.folder)
    tables = by_stratum.split_by([found], parse("language,pose"), columns=["fid"]).tables
    german, english = tables[0].cells["fid"]
    assert (german.mean, german.n) == (17.5, 1)
    assert (english.n, english.reasons) == (0, {"too-few-clips": 1})
    assert all("eval --by" in cell.note for cell in tables[1].cells["fid"])
    assert not tables[0].gaps


def test_the_csv_has_every_number_and_no_formula(tmp_path: Path) -> None:
    labels = {"language": {key: "=cmd|' /C calc'!A0" for key in bundles.MANY}}
    found = bundle.read(bundles.make(tmp_path, "m", 2.0, speakers=bundles.MANY, strata=labels))
    text = by_stratum.to_csv(by_stratum.split_by([found], parse("language"), columns=["psnr"]))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["group"] for row in rows] == ["'=cmd|' /C calc'!A0", "gap"]
    assert (rows[0]["clips"], rows[0]["mean"], rows[0]["n_speakers"]) == ("36", "30", "12")


def changed(found: bundle.Bundle, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """The bundle with another table, whose hash is right."""
    path = found.folder / name
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    record = json.loads((found.folder / "result.json").read_text(encoding="utf-8"))
    record["files"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (found.folder / "result.json").write_text(json.dumps(record), encoding="utf-8")
    return found.folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: pd.concat([t, t.iloc[:1]]), "comes twice"),
        (lambda t: t.assign(key="nobody/0000").iloc[:1], "no scores"),
        (lambda t: t.assign(stratum="a\x1b[2J").iloc[:1], "no name"),
        (lambda t: t.assign(label="a\x1b[2J", number=np.nan).iloc[:1], "cannot be printed"),
        (lambda t: t.drop(columns="label"), "its columns are"),
    ],
)
def test_strata_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    with pytest.raises(BadBundle, match=said):
        proof.verify(changed(made(tmp_path), bundle.FILE_OF_STRATA, change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(metric="psnr"), "no number of this bundle"),
        (lambda t: t.assign(clips=37), "no number of this bundle"),
        (lambda t: t.assign(value=np.nan), "expected"),
        (lambda t: t.assign(reason="magic"), "magic"),
    ],
)
def test_numbers_of_strata_that_cannot_be_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    found = made(tmp_path, sets=[bundle.SetScore("language", "de", "fid", 12, 17.5)])
    with pytest.raises(BadBundle, match=said):
        proof.verify(changed(found, bundle.FILE_OF_SETS, change))
