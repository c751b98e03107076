"""How commands talk: one JSON object with numbers, silence with -q, a traceback with -v, paths that can be pasted."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.table import Table
from support import bundles

from tkbench import cli
from tkbench.cli import common, talking
from tkbench.results.bundle import find
from tkbench.results.compare import compare

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one table of two models."""
    root = tmp_path_factory.mktemp("runs")
    bundles.make(root, "mine", 2.0, speakers=bundles.MANY)
    bundles.make(root, "theirs", 3.0, speakers=bundles.MANY)
    return root


def answered(run_cli: Run, *words: object) -> dict[str, Any]:
    code, out, said = run_cli(*words, "--json")
    assert code == 0, said
    found: dict[str, Any] = json.loads(out, parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))
    return found


def test_a_table_is_answered_in_numbers(runs: Path, run_cli: Run) -> None:
    rows = answered(run_cli, "leaderboard", "show", runs)["table"]
    known = {row.result.model: row.result.summary["lse_c_synth"].mean for row in find(runs)}
    assert {row["model"]: row["lse_c_synth"] for row in rows} == pytest.approx(known, rel=1e-5)
    assert rows[0]["fid"] is None


def test_pairs_are_answered_in_numbers(runs: Path, run_cli: Run) -> None:
    (pair,) = answered(run_cli, "compare", runs, "--metric", "lse_c_synth")["pairs"]
    (known,) = compare(find(runs), metrics=["lse_c_synth"])
    assert (pair["first"], pair["second"], pair["verdict"]) == (known.first, known.second, known.verdict)
    assert pair["difference"] == pytest.approx(known.difference.mean)


def test_what_was_proved_is_answered(runs: Path, run_cli: Run) -> None:
    proved = answered(run_cli, "verify", runs)["verified"]
    assert set(proved) == {str(row.folder) for row in find(runs)}
    assert all(any("means and intervals" in line for line in lines) for lines in proved.values())


def test_a_table_for_people_goes_out_as_its_rows(run_cli: Run) -> None:
    rows = answered(run_cli, "weights", "list")["tables"][0]["rows"]
    assert {row["name"] for row in rows} >= {"syncnet-v2", "syncnet-synth"}
    assert set(rows[0]) == {"name", "state", "MB", "sha256", "licence", "needed for"}


def test_a_text_goes_out_with_its_parts(runs: Path, run_cli: Run) -> None:
    settings = answered(run_cli, "protocol", "show", "synth-v1")["settings"]
    assert settings["rank_by"] == "lse_c_synth"
    assert "psnr" in answered(run_cli, "leaderboard", "export", runs)["text"]


def test_an_error_is_in_the_answer_and_on_stderr(run_cli: Run, tmp_path: Path) -> None:
    code, out, said = run_cli("verify", tmp_path / "nowhere", "--json")
    assert code == 2
    assert json.loads(out)["error"] in said
    assert said.count("\n") == 1


def test_quiet_leaves_answers_and_errors(runs: Path, run_cli: Run) -> None:
    code, out, said = run_cli("leaderboard", "show", runs, "-q")
    assert (code, said) == (0, "")
    assert "mine" in out
    code, out, said = run_cli("verify", runs, "--quiet")
    assert (code, out, said) == (0, "", "")
    code, _, said = run_cli("verify", runs / "nowhere", "-q")
    assert code == 2
    assert "no result.json" in said


def test_verbose_shows_where_an_error_came_from(run_cli: Run, tmp_path: Path) -> None:
    code, _, said = run_cli("verify", tmp_path / "nowhere", "-v")
    assert code == 2
    assert "Traceback" in said
    assert said.splitlines()[-1].startswith("tkbench: ")
    _, _, said = run_cli("verify", tmp_path / "nowhere")
    assert "Traceback" not in said


def test_every_command_takes_the_options_of_talking() -> None:
    def walk(command: Any) -> list[Any]:
        return (
            [x for sub in command.commands.values() for x in walk(sub)]
            if hasattr(command, "commands")
            else [command]
        )

    for command in walk(typer.main.get_command(cli.app)):
        options = {name for item in command.params for name in item.opts}
        assert {"--json", "--quiet", "-q", "--verbose", "-v"} <= options, command.name


def test_help_is_in_the_order_of_work(run_cli: Run) -> None:
    _, out, _ = run_cli("--help")
    panels = [out.index(name) for name in common.PANELS]
    assert panels == sorted(panels)
    named = {name for names in common.PANELS.values() for name in names}
    assert named == set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


def test_runs_stands_for_its_only_table(runs: Path, run_cli: Run, tmp_path: Path) -> None:
    code, out, said = run_cli("leaderboard", "export", runs, "-f", "csv")
    assert code == 0, said
    assert out.count("\n") == 3
    code, _, said = run_cli("report", runs)
    assert code == 0, said
    assert (find(runs)[0].folder.parent / "report.html").is_file()
    for table in ("one", "two"):
        made = bundles.make(tmp_path / table, "a", 1.0)
        made.parent.rename(tmp_path / f"runs-{table}")
    (tmp_path / "all").mkdir()
    for table in ("one", "two"):
        (tmp_path / f"runs-{table}").rename(tmp_path / "all" / table)
    code, _, said = run_cli("leaderboard", "export", tmp_path / "all")
    assert code == 2
    assert "holds one, two: give one of these folders" in said


@pytest.mark.parametrize("name", ["LSE-C", "sync-c", "lse_c", "Sync_conf"])
def test_ls_tells_of_a_metric_by_any_of_its_names(name: str, run_cli: Run) -> None:
    facts = answered(run_cli, "ls", name)["metrics"]["sync"]
    assert "higher is better" in facts["columns"]
    assert "Sync-C" in facts["other_names"]
    assert "syncnet-v2" in facts["networks"]
    assert "Chung and Zisserman" in facts["source"]


def test_a_next_command_can_be_pasted() -> None:
    line = common.pasted("tkbench", "prep", "folder", "--root", "my videos/it's", "--out", "shards")
    assert shlex.split(line) == ["tkbench", "prep", "folder", "--root", "my videos/it's", "--out", "shards"]


def test_a_home_that_was_quoted_is_the_home(
    monkeypatch: pytest.MonkeyPatch, run_cli: Run, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (["--data", "~/here"], ["--data=~/here"]):
        code, _, said = run_cli("eval", *words, "--model", "real")
        assert code == 2
        assert f"{tmp_path}/here: no such folder" in said


def test_a_file_that_is_written_over_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.html").write_text("old")
    common.writable(tmp_path / "x.html", "--out")
    assert "x.html: is there, and is written over" in capsys.readouterr().err
    common.writable(tmp_path / "y.html", "--out")
    assert capsys.readouterr().err == ""


def test_work_without_a_bar_gives_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import time

    monkeypatch.setattr(talking, "EVERY", 0.05)
    with talking.waiting("report"):
        time.sleep(0.4)
    assert "report: still at work after " in capsys.readouterr().err


def test_numbers_that_json_has_not_are_null_or_text() -> None:
    assert talking.plain({"a": math.nan, "b": math.inf, "c": [Path("x")]}) == {
        "a": None,
        "b": "inf",
        "c": ["x"],
    }


# -- numbers are numbers -----------------------------------------------------------------------------------

LOOKS = re.compile(r"\s*[+−-]?[\d.,]+(e[+-]?\d+)?( ?%| ?\[.*\])?\s*")
"""What no answer holds as a text: a number, a percentage, a mean with its interval."""
NAMES = re.compile(r"sha256|version|stack|year|arxiv|digest|packages|seen|mark|hash|level_of|key")
"""Facts whose texts may look like numbers."""


def texts_of(value: object, name: str = "") -> list[tuple[str, str]]:
    """(fact, text) of every text below a value that is not a name."""
    if isinstance(value, dict):
        return [one for key, item in value.items() for one in texts_of(item, f"{name}/{key}")]
    if isinstance(value, list):
        return [one for item in value for one in texts_of(item, name)]
    return [(name, value)] if isinstance(value, str) and not NAMES.search(name) else []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("weights list", "tables/rows/MB"),
        ("protocol list", "tables/rows/metrics"),
        ("protocol show synth-v1", ""),
        ("ls", ""),
        ("ls LSE-C", ""),
        ("leaderboard show RUNS", "table/lse_c_synth"),
        ("leaderboard show RUNS --by speaker", "strata/mean"),
        ("leaderboard claimed hdtf --leaderboards BOARDS", "claims/value"),
        ("leaderboard check BOARDS", ""),
        ("compare RUNS", "pairs/difference"),
        ("verify RUNS", ""),
        ("cite RUNS", ""),
        ("data check folder --root CLIPS", ""),
        ("data splits grid --root CLIPS", ""),
    ],
)
def test_numbers_are_numbers_in_every_answer(
    words: str, wanted: str, runs: Path, run_cli: Run, tmp_path: Path
) -> None:
    places = {"RUNS": str(runs), "BOARDS": str(Path(cli.__file__).parents[2] / "leaderboards")}
    if "CLIPS" in words:
        (tmp_path / "CLIPS").mkdir()
        places["CLIPS"] = str(tmp_path / "CLIPS")
    code, out, said = run_cli(*(places.get(word, word) for word in words.split()), "--json")
    if "CLIPS" in words:
        assert code == 2, "an empty folder is none"
    else:
        assert code == 0, said
    found = json.loads(out, parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))
    wrong = [(name, text) for name, text in texts_of(found) if LOOKS.fullmatch(text)]
    assert not wrong
    if wanted:
        parts = wanted.split("/")
        values: list[Any] = [found]
        for part in parts:
            values = [
                item[part]
                for value in values
                for item in (value if isinstance(value, list) else [value])
                if part in item
            ]
        assert [value for value in values if isinstance(value, int | float)], (
            f"no number in {wanted}: {found}"
        )


def test_columns_of_numbers_become_numbers_and_others_stay() -> None:
    table = Table(title="speeds")
    for name in ("form", "frames/s", "share", "gap", "sha256"):
        table.add_column(name)
    table.add_row("ours", "1,234", "12.5%", "1.0e-06", "123")
    table.add_row("theirs", "-", "5 %", "0", "ab1")
    assert talking.records(table) == {
        "title": "speeds",
        "rows": [
            {"form": "ours", "frames/s": 1234, "share": 0.125, "gap": 1e-06, "sha256": "123"},
            {"form": "theirs", "frames/s": None, "share": 0.05, "gap": 0, "sha256": "ab1"},
        ],
    }


# -- one name, one meaning ---------------------------------------------------------------------------------

COMPUTE = {
    "eval",
    "reproduce",
    "generate",
    "sensitivity",
    "study ablation",
    "study memory",
    "study metrics",
    "train",
    "bench train",
}
"""Commands that run networks on a device of the reader's choice."""


def commands(command: Any, name: str = "") -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {name: command}
    return {
        key: found
        for word, sub in command.commands.items()
        for key, found in commands(sub, f"{name} {word}".strip()).items()
    }


def test_options_have_one_name_and_one_meaning() -> None:
    shown: dict[str, dict[str, str]] = {}
    for name, command in commands(typer.main.get_command(cli.app)).items():
        for item in command.params:
            for word in () if getattr(item, "hidden", False) else item.opts:
                shown.setdefault(word, {})[name] = item.help or ""
    assert set(shown["--device"]) == COMPUTE
    assert set(shown["--cache"]) == {"eval"}, "features; --crops are another folder"
    assert set(shown["--crops"]) == {"train", "bench train", "bench load", "study memory", "study ablation"}
    assert all("crops" in text for text in shown["--crops"].values())
    assert "--accelerator" not in shown


def test_the_older_names_are_still_taken(run_cli: Run, tmp_path: Path) -> None:
    words = ("train", "--model", "expert", "--data", tmp_path, "--out", tmp_path / "x.safetensors")
    (tmp_path / "file").write_text("no folder")
    code, _, said = run_cli(*words, "--cache", tmp_path / "file" / "a", "--accelerator", "cpu")
    assert (code, "--crops " in said) == (2, True), "the folder of crops"
    code, _, said = run_cli(*words, "--accelerator", "gpu")
    assert (code, "--device 'gpu'" in said) == (2, True)
    code, _, said = run_cli(*words, "--cache", tmp_path / "a", "--crops", tmp_path / "b")
    assert code == 2
    assert "--crops and --cache are the same option" in said
    code, _, said = run_cli(
        "generate", "--model", "cals", "--video", "a", "--audio", "b", "--out", "c.mp4", "--device", "gpu"
    )
    assert code == 2
    assert "--device 'gpu': expected cpu" in said


def test_notes_beneath_a_table_are_a_line_each_and_whole_with_v(
    runs: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, short, _ = run_cli("leaderboard", "show", runs)
    _, whole, _ = run_cli("leaderboard", "show", runs, "-v")
    assert "Rank [a-b]: the places that paired tests leave a model ..." in short
    assert "p at most 0.05" not in short
    assert "p at most 0.05" in " ".join(whole.split())
    assert short.splitlines()[-1].startswith("-v shows these notes whole")
    assert "-v shows" not in whole
    notes = short[short.index("Rank [a-b]") :].splitlines()
    assert all(len(line) <= 80 for line in notes)
    assert len(notes) < len(whole[whole.index("Rank [a-b]") :].splitlines())


def test_the_csv_of_a_table_stands_for_its_rows(runs: Path, run_cli: Run, tmp_path: Path) -> None:
    boards = tmp_path / "boards"
    code, _, said = run_cli("leaderboard", "build", runs, "--leaderboards", boards)
    assert code == 0, said
    (table,) = boards.glob("*.csv")
    code, out, said = run_cli("leaderboard", "show", table)
    assert code == 0, said
    assert "mine" in out
    assert "theirs" in out


def test_a_network_that_fails_does_not_stop_the_others(
    run_cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tkbench import weights
    from tkbench.errors import UnknownName, WeightsMissing

    def fetch(name: str, *, progress: object) -> Path:
        if name == "gone":
            raise WeightsMissing("the server answered 404")
        if name == "tpyo":
            raise UnknownName("no weight 'tpyo'")
        return tmp_path / name

    monkeypatch.setattr(weights, "fetch", fetch)
    code, _, said = run_cli("weights", "fetch", "gone", "a", "tpyo", "b")
    assert code == 2
    assert f"a: {tmp_path / 'a'}\n" in said
    assert f"b: {tmp_path / 'b'}\n" in said
    assert "tkbench: gone: the server answered 404\n" in said
    assert "tkbench: tpyo: no weight 'tpyo'\n" in said
    code, _, said = run_cli("weights", "fetch", "a", "b")
    assert code == 0


def test_clips_of_a_folder_are_called_so_in_captions(tmp_path: Path) -> None:
    from tkbench.results import bundle

    result = bundle.read(bundles.make(tmp_path, "mine", 1.0)).result
    assert result.data_title == "test"
    assert result.model_copy(update={"dataset": "folder"}).data_title == "a folder of videos"


def test_no_line_for_people_points_into_a_checkout() -> None:
    """Where tkbench is installed there is no docs/: a message or a help text names a command or an address."""
    import ast

    found = []
    for file in sorted(Path(cli.__file__).parents[1].rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        told = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        # A text that stands alone explains the line above it to those who read the code.
        told |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            f"{file.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in told
            and "docs/" in node.value
            and ".md" in node.value
            and "https://" not in node.value
        ]
    assert found == []
