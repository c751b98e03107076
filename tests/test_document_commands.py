"""Every command of README and docs runs, or goes through the real command line: see tests/document_commands.toml.

Expensive ones run in a small form. What takes more than half a minute is `slow`. A command that is new in a document
has to be entered in that table first, so none is forgotten.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_documents import DOCUMENTS, ROOT, all_lines, blocks, find

from tkbench.cli import app
from tkbench.runtime import parallel
from tkbench.synth.clip import make_clip
from tkbench.synth.corpus import write_clip

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent / "document_commands.toml").read_text(encoding="utf-8")
)
CHAPTERS = TABLE["chapter"]
RUN = [line for chapter in CHAPTERS for line in chapter["lines"]]
PARSED = [line for part in TABLE["parsed"] for line in part["lines"]]
ELSEWHERE = [line for part in TABLE["elsewhere"] for line in part["lines"]]
OTHERS = [line for part in TABLE["others"] for line in part["lines"]]


def shown() -> dict[str, set[str]]:
    """Each command -> the documents that show it."""
    found: dict[str, set[str]] = {}
    for path in DOCUMENTS:
        for line in all_lines(path):
            found.setdefault(line, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_command_of_a_document_is_in_the_table_once() -> None:
    listed = Counter([*RUN, *PARSED, *ELSEWHERE, *OTHERS])
    assert {line: n for line, n in listed.items() if n > 1} == {}
    documents = shown()
    missing = {line: files for line, files in documents.items() if line not in listed}
    assert missing == {}, "enter it in tests/document_commands.toml"
    assert set(listed) - set(documents) == set(), "no document shows it any more"


def test_every_part_says_why() -> None:
    for part in (*TABLE["parsed"], *TABLE["others"]):
        assert len(part["why"]) > 8, part
    for part in TABLE["elsewhere"]:
        assert (ROOT / part["by"]).is_file()


@pytest.mark.parametrize("line", [line for line in (*RUN, *PARSED, *ELSEWHERE) if line.startswith("tkbench")])
def test_its_options_and_values_are_those_of_the_command(line: str) -> None:
    parse(line)


def parse(line: str) -> None:
    """Fails where the command line refuses it, or takes only the last of an option's values."""
    words = shlex.split(line)[1:]
    command, arguments = find(words)
    assert getattr(command, "commands", None) is None, f"{line}: no such command"
    command.make_context("tkbench", list(arguments))  # type: ignore[attr-defined]
    once = {name for item in command.params for name in item.opts if not getattr(item, "multiple", False)}  # type: ignore[attr-defined]
    twice = [name for name, n in Counter(arguments).items() if n > 1 and name in once]
    assert not twice, f"{line}: {twice} can be given once; the last one would win without a word"


def test_a_wrong_option_and_a_repeated_one_are_found() -> None:
    """The test above can fail."""
    with pytest.raises(Exception, match="--splits"):
        parse("tkbench prep lrs2 --root a --out b --splits test")
    with pytest.raises(AssertionError, match="given once"):
        parse("tkbench prep lrs2 --root a --out b --split train --split test")


@pytest.mark.parametrize("line", [line for line in OTHERS if line.startswith("python scripts/")])
def test_scripts_take_the_options_that_they_are_given(line: str) -> None:
    _, script, *arguments = shlex.split(line)
    source = (ROOT / script).read_text(encoding="utf-8")
    for option in (word for word in arguments if word.startswith("--")):
        # The second form: options that are made in a loop over their names.
        assert f'"{option}"' in source or f'"{option[2:]}"' in source, f"{script} has no {option}"


def expanded(words: list[str]) -> list[str]:
    """As a shell does, with patterns replaced by what they match."""
    found: list[str] = []
    for word in words:
        found += sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]
    return found


def written(text: str) -> str:
    """The text of a file of a chapter: as it stands, or the TOML block of a document."""
    if text.endswith(".md"):
        (found,) = (content for language, content in blocks(ROOT / text) if language == "toml")
        return found
    return text


@pytest.mark.parametrize(
    "chapter",
    [
        pytest.param(one, id=one["name"].replace(" ", "-"), marks=[pytest.mark.slow] if one["slow"] else [])
        for one in CHAPTERS
    ],
)
def test_its_commands_run(
    chapter: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if any(" synth " in line or " fake " in line for line in chapter["setup"]):
        pytest.importorskip("espeakng_loader", reason="the corpus needs speech: pip install 'tkbench[synth]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TKBENCH_CACHE", str(tmp_path / "features"))
    monkeypatch.setattr(parallel, "default_workers", lambda: 1)
    (table,) = (path.name for path in (ROOT / "leaderboards" / "rows").iterdir() if path.is_dir())
    for source, target in chapter.get("copies", {}).items():
        shutil.copytree(ROOT / source.replace("{table}", table), target)
    for name, text in chapter.get("files", {}).items():
        Path(name).write_text(written(text), encoding="utf-8")
    lines = [(line, line) for line in chapter["setup"]]
    lines += [(line, (small or line).replace("{table}", table)) for line, small in chapter["lines"].items()]
    for line, small in lines:
        capsys.readouterr()
        before = told()
        try:
            app(expanded(shlex.split(small)[1:]), standalone_mode=False)
        except BaseException as error:
            said = capsys.readouterr()
            raise AssertionError(f"{line}\nran as: {small}\n{said.out[-800:]}\n{said.err[-1500:]}") from error
        said = capsys.readouterr()
        assert said.out.strip() or said.err.strip() or told() != before, f"{line}: said and made nothing"


def told() -> set[str]:
    """What is in the working folder, by name."""
    return {os.path.join(folder, name) for folder, _, names in os.walk(".") for name in names}  # noqa: PTH118


def test_placeholders_are_replaced_where_a_line_runs() -> None:
    for chapter in CHAPTERS:
        for line, small in chapter["lines"].items():
            assert not re.search(
                r"<\w+>|\b[A-Z]{5,}\b(?!/)", re.sub(r"/\S+|RAVDESS|CREMA-D|HDTF_dataset", "", small or line)
            ), line


@pytest.mark.slow
def test_the_page_on_python_runs_as_it_stands(tmp_path: Path) -> None:
    """Its first block, whole, in an empty folder with one video of the reader's own."""
    block = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.M | re.S
    )[0]
    write_clip(make_clip(seed=1), tmp_path / "made")
    code = "if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in block.splitlines())
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
