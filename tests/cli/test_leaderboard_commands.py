"""`tkbench leaderboard ...` and `tkbench protocol ...`: what they print, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import make

from tkbench.cli import app
from tkbench.errors import BadBundle, UnknownName, UsageError

BOARDS = Path(__file__).parents[2] / "leaderboards"


def run(*words: object) -> None:
    app([str(word) for word in words], standalone_mode=False)


def test_a_bad_bundle_is_named_after_the_table_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make(tmp_path / "runs", "good", 5.0).parent
    (make(tmp_path / "runs", "bad", 6.0) / "result.json").write_text("{")
    boards = tmp_path / "boards"
    with pytest.raises(BadBundle, match=r"bad/result\.json") as error:
        run("leaderboard", "build", tmp_path / "runs", "--leaderboards", boards)
    assert error.value.exit_code == 2
    run("leaderboard", "check", boards)
    capsys.readouterr()
    for words in (("export",), ("export", "-f", "csv"), ("show",)):
        with pytest.raises(BadBundle, match=r"bad/result\.json"):
            run("leaderboard", words[0], table, *words[1:])
        assert "good" in capsys.readouterr().out


def test_an_edited_table_has_exit_code_2(tmp_path: Path) -> None:
    run("leaderboard", "submit", make(tmp_path / "runs", "a", 5.0), "--leaderboards", tmp_path / "boards")
    (path,) = (tmp_path / "boards").glob("*.csv")
    path.write_text(path.read_text().replace("30,30", "31,30", 1))
    with pytest.raises(BadBundle, match="psnr: '31'") as error:
        run("leaderboard", "check", tmp_path / "boards")
    assert error.value.exit_code == 2


def test_a_row_is_removed_by_the_name_of_its_table(tmp_path: Path) -> None:
    boards = tmp_path / "boards"
    for name in ("a", "b"):
        run("leaderboard", "submit", make(tmp_path / "runs", name, 5.0), "--leaderboards", boards)
    (path,) = boards.glob("*.csv")
    run("leaderboard", "remove", path, "a", "--leaderboards", boards)
    assert ",a," not in path.read_text()
    with pytest.raises(UnknownName, match="no row 'a'"):
        run("leaderboard", "remove", path.stem, "a", "--leaderboards", boards)


def test_scoring_again_needs_shards_and_videos(tmp_path: Path) -> None:
    made = make(tmp_path / "runs", "a", 5.0)
    with pytest.raises(UsageError, match="give --data SHARDS and either"):
        run("leaderboard", "submit", made, "--videos", tmp_path)
    with pytest.raises(UsageError, match="exclude each other"):
        run("leaderboard", "submit", made, "--videos", tmp_path, "--model", "real")


def test_printed_numbers_stand_beside_the_measured_truth(capsys: pytest.CaptureFixture[str]) -> None:
    run("leaderboard", "claimed", "hdtf", "--metric", "Sync-C", "--leaderboards", BOARDS)
    said = capsys.readouterr()
    assert "claimed" in said.out
    assert "MuseTalk" in said.out
    assert "never ranked" in " ".join(said.err.split())


def test_protocols_are_listed_shown_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    run("protocol", "list")
    listed = capsys.readouterr().out
    assert "lrs3-v1" in listed
    assert "draft" in listed
    run("protocol", "show", "lrs2-v1")
    shown = capsys.readouterr().out
    assert "data.clips = 1243" in shown
    assert "status = frozen" in shown
    run("protocol", "diff", "tkbench-v2", "tkbench-v2")
    assert capsys.readouterr().out == ""
    run("protocol", "diff", "tkbench-v2", "lrs2-v1")
    assert "name: tkbench-v2 -> lrs2-v1" in capsys.readouterr().out


def test_freezing_a_draft_needs_both_options(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data and --out go together"):
        run("protocol", "freeze", "lrs3-v1", "--out", tmp_path / "x.toml")


def test_a_figure_has_the_format_of_its_name(tmp_path: Path) -> None:
    table = make(tmp_path / "runs", "a", 5.0).parent
    run("leaderboard", "figure", table, "--metric", "psnr", "--out", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    with pytest.raises(UnknownName, match="psnr"):
        run("leaderboard", "figure", table, "--metric", "psn", "--out", tmp_path / "a.svg")
