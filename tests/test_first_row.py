"""docs/first-row.md: a stranger's way from videos to a row that is verified, published and cited. Its commands run."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tkbench.cli import app
from tkbench.runtime import parallel

pytest.importorskip("espeakng_loader", reason="the corpus needs speech: pip install 'tkbench[synth]'")

PAGE = Path(__file__).parents[1] / "docs" / "first-row.md"


def commands() -> Iterator[list[str]]:
    """The words of each line in the page's blocks."""
    for block in re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            yield shlex.split(line)


def expanded(words: list[str]) -> list[str]:
    """As a shell does, with patterns replaced by what they match."""
    found: list[str] = []
    for word in words:
        matches = sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]
        assert matches, f"{word} matches nothing"
        found += matches
    return found


def test_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parallel, "default_workers", lambda: 1)
    said: dict[str, str] = {}
    for words in commands():
        if words[0] == "cp":
            shutil.copytree(words[2], words[3])
            continue
        assert words[0] == "tkbench"
        capsys.readouterr()
        app(expanded(words[1:]), standalone_mode=False)
        output = capsys.readouterr()
        said[" ".join(words[1:3])] = output.out + output.err
    (table,) = Path("theirs").glob("*.csv")
    with table.open(newline="") as stream:
        rows = {row["model"]: row for row in csv.DictReader(stream)}
    assert {model: row["tier"] for model, row in rows.items()} == {
        "my-model": "measured",
        "real": "reported",
        "still": "reported",
    }
    assert float(rows["still"]["lse_c_synth"]) < float(rows["my-model"]["lse_c_synth"])
    assert float(rows["my-model"]["ssim"]) > 0.95
    with (Path("leaderboards") / table.name).open(newline="") as stream:
        assert {row["tier"] for row in csv.DictReader(stream)} == {"measured"}
    assert "2 clips scored again" in " ".join(said["verify runs/*/my-model"].split())
    assert "are those of its rows" in " ".join(said["leaderboard check"].split())
    assert r"\begin{tabular}" in said["leaderboard export"]
    assert Path("lse.pdf").read_bytes().startswith(b"%PDF-1.4")
    key = table.stem.rpartition("-")[2]
    assert re.search(rf"\\texttt\{{{key}[0-9a-f]{{4}}\}}", said["cite theirs/rows/*"])
    assert "@inproceedings{prajwal2020lip," in said["cite theirs/rows/*"]
