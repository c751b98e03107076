"""The command line: one clear line and exit code 2 for what a user can fix; help for every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tkbench import cli


def commands() -> list[tuple[str, ...]]:
    """Every command as its words."""

    def walk(command: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return [words]
        return [found for name, sub in sorted(inner.items()) for found in walk(sub, (*words, name))]

    return walk(typer.main.get_command(cli.app), ())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_that_parses(words: tuple[str, ...]) -> None:
    command = typer.main.get_command(cli.app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    text = command.help or ""
    examples = [part for part in text.split("`") if part.startswith("tkbench ")]
    assert examples, f"{' '.join(words)}: its help has no example"
    for example in examples:
        arguments = example.split()[1:]
        for word in words:
            if arguments[:1] != [word]:
                break
            arguments = arguments[1:]
        else:
            # Parses options and arguments without running the command.
            command.make_context("tkbench", arguments)


def test_every_command_is_in_the_list_of_commands() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    for words in commands():
        assert f"`tkbench {' '.join(words)}`" in page, f"docs/commands.md lacks `tkbench {' '.join(words)}`"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "--data", "nowhere", "--model", "real"], "nowhere"),
        (["eval", "--data", "nowhere"], "nothing to score"),
        (["eval", "--data", "x", "-m", "real", "--cache", "y", "--no-cache"], "exclude each other"),
        (["prep", "folder", "--root", "nowhere", "--out", "o"], "nowhere"),
        (["weights", "fetch", "syncnet-v3"], "did you mean"),
        (["weights", "add", "syncnet-v2", "nowhere.pth"], "nowhere.pth"),
        (["verify", "nowhere"], "no result.json"),
        (["report", "nowhere"], "no result bundle"),
        (["leaderboard", "export", "nowhere"], "no result bundle"),
        (["data", "export", "nowhere", "--out", "o"], "nowhere"),
        (["train", "--model", "unet", "--data", "d", "--out", "o"], "unet"),
        (["bench", "prep", "--root", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(
    run_cli: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(*arguments)
    lines = [line for line in err.splitlines() if line.startswith("tkbench: ")]
    assert code == 2
    assert len(lines) == 1, err
    assert said in lines[0]
    assert out == ""
    assert "Traceback" not in err


def test_a_folder_without_videos_is_said(
    run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").write_text("nothing to see")
    code, _, err = run_cli("prep", "folder", "--root", tmp_path / "videos", "--out", tmp_path / "shards")
    assert code == 2
    assert "no video" in err


def test_ls_names_what_there_is(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run_cli("ls")
    assert code == 0
    for name in ("shuffled-audio", "psnr", "synth-v1"):
        assert name in out
    assert "LSE-C = Sync-C: sync, lse" in out
    assert "LSE-D = Sync-D: sync, lse" in out
