"""The table in a terminal: it fits, says the same as the CSV, and breaks no number."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from support.report_runs import KINDS, make_run

from tkbench.cli import app
from tkbench.errors import UnknownName
from tkbench.report.publish import lse_tables, rich_tables
from tkbench.results import bundle, leaderboard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("terminal")
    folders = [make_run(root, model) for model in KINDS]
    return folders[0].parent


def shown(folder: Path, width: int, *, names: tuple[str, ...] = (), whole: bool = False) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    for part in rich_tables(folder, width, names=names, whole=whole):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("width", [60, 80, 113, 200])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(
    folder: Path, width: int, whole: bool
) -> None:
    text = shown(folder, width, whole=whole)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    entries = leaderboard.ranked(bundle.find(folder))
    columns = entries[0].result.columns if whole else [entries[0].result.columns[0]]
    rank = next(c for c in entries[0].result.columns if c.name == entries[0].result.rank_by)
    for column in {c.name: c for c in (*columns, rank)}.values():
        if not whole and column is not rank:
            continue
        for entry in entries:
            mean = leaderboard.cells(entry, [column])[0].partition(" [")[0]
            assert mean.partition(":")[0] in text, column.name
    for entry in entries:
        assert entry.result.model in text


def test_the_ranking_column_comes_first_and_the_rest_is_named(folder: Path) -> None:
    text = shown(folder, 60)
    result = bundle.find(folder)[0].result
    rank = next(c for c in result.columns if c.name == result.rank_by)
    assert leaderboard.heading(rank).split(" ")[0] in text.split("model")[0] + text.split("model")[1][:80]
    assert "More columns with scores: " in text
    assert "More columns" not in shown(folder, 60, whole=True)


def test_columns_are_those_that_were_asked_for(folder: Path) -> None:
    result = bundle.find(folder)[0].result
    last = result.columns[-1]
    text = shown(folder, 80, names=(last.name,))
    assert leaderboard.heading(last).split(" ")[0] in text
    with pytest.raises(UnknownName, match="no column 'psnrr'"):
        shown(folder, 80, names=("psnrr",))


def test_the_width_is_that_of_COLUMNS_off_a_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in ("64", "100"):
        monkeypatch.setenv("COLUMNS", width)
        app(["leaderboard", "show", str(folder)], standalone_mode=False)
        lines = capsys.readouterr().out.splitlines()
        assert 0.6 * int(width) < max(map(len, lines)) <= int(width)


def test_every_model_with_a_gap_is_named_once_for_all_columns_with_its_reasons(tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path, model, failed=n) for model, n in zip(list(KINDS)[:3], (0, 1, 5), strict=True)
    ]
    text = " ".join(shown(folders[0].parent, 200).split())
    _, one, five = list(KINDS)[:3]
    said = "LSE-C (syncnet-synth) and 9 more unscored on"
    assert f"{said} 1 clip of {one}, 4 clips of {five}: not-generated; no file clip-000.mp4" in text
    assert f"and 9 more unscored on 1 clip of {five}: wrong-length" in text
    assert text.count("wrong-length") == 1
    assert text.count("LPIPS unscored: weights-missing") == 1, (
        "no model has a score, whatever else is missing"
    )


def test_advice_of_recipes_stands_once(folder: Path, tmp_path: Path) -> None:
    made = [make_run(tmp_path, model, field=True) for model in list(KINDS)[:2]]
    console = Console(file=StringIO(), width=200, color_system=None)
    for part in lse_tables(made):
        console.print(part)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert text.count("weights-missing") == 3, "a word in each row, and the line beneath"
    detail = bundle.find(made[0].parent)[0].result.summary["lse_c"].detail
    assert detail
    assert " ".join(text.split()).count(detail) == 1
