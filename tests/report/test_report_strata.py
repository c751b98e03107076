"""Strata on the page: which ones it shows, and that its cells are those of `results.by_stratum`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import bundles

from tkbench.report import page, strata
from tkbench.results import bundle, leaderboard
from tkbench.results.by_stratum import split_by
from tkbench.results.strata import parse

KEYS = sorted(bundles.MANY)
STRATA: dict[str, dict[str, bundle.Value]] = {
    "duration": {key: 1.0 + (i % 2) * 3 for i, key in enumerate(KEYS)},
    "loudness": dict.fromkeys(KEYS, -25.0),
    "language": {key: "<b>de</b>" if key[1:3] in ("00", "01", "02", "03") else "en" for key in KEYS},
    "take": {key: f"take {i}" for i, key in enumerate(KEYS)},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[bundle.Bundle]:
    """Two models on clips of two languages; one is worse in German."""
    out = tmp_path_factory.mktemp("strata")
    worse = {key: 3.0 + 0.01 * i - (STRATA["language"][key] != "en") for i, key in enumerate(KEYS)}
    folders = [
        bundles.make(out, "real", 4.0, speakers=bundles.MANY, strata=STRATA),
        bundles.make(out, "uneven", 3.0, speakers=bundles.MANY, strata=STRATA, scores=worse),
    ]
    return [bundle.read(folder) for folder in folders]


def test_the_page_has_the_strata_that_split_the_clips(made: list[bundle.Bundle]) -> None:
    """Not one with a single group, and none with a group for each clip; labels stand first."""
    entries = leaderboard.ranked(made)
    rank = made[0].result.columns[0]
    found = strata.tables(entries, rank)
    assert [one.label for one in found] == ["Language", "Duration"]
    language = found[0]
    assert language.groups == (("<b>de</b>", "12 clips"), ("en", "24 clips"))
    assert "uneven: 1.180 between en and <b>de</b>" in language.note  # 1, and 18 steps of 0.01
    assert "No gap between best and worst is clear" in found[1].note
    by_name = {table.model: table for table in split_by(made, parse("language"), columns=[rank.name]).tables}
    for line in language.lines:
        cells = by_name[line.name].cells[rank.name]
        assert [cell.text for cell in line.cells] == [f"{cell.mean:.3f}" for cell in cells]
        assert [cell.interval for cell in line.cells] == [leaderboard.bracket(cell, 3) for cell in cells]


def test_the_page_shows_them_and_runs_no_tags(made: list[bundle.Bundle]) -> None:
    text = page.render(made)
    assert 'id="strata"' in text
    assert "&lt;b&gt;de&lt;/b&gt;" in text
    assert "<b>de</b>" not in text


def test_bundles_without_strata_have_no_section(tmp_path: Path) -> None:
    old = bundle.read(bundles.make(tmp_path, "real", 4.0, speakers=bundles.MANY))
    assert strata.tables(leaderboard.ranked([old]), old.result.columns[0]) == []
    assert 'id="strata"' not in page.render([old])
