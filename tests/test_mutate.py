"""scripts/mutate.py: faults are drawn, put into a copy, caught or not; what was answered once is not asked again."""

from __future__ import annotations

import ast
import csv
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import mutate  # noqa: E402
from mutations import mutations  # noqa: E402

MODULE = """
    \"\"\"A docstring with 1 < 2.\"\"\"

    def loud(x):
        return abs(x)

    def unheld(x):
        return x < 3
"""
TEST = """
    from tkbench.audio import loud, unheld

    def test_loud():
        assert loud(-2.0) == 2.0

    def test_nothing():
        unheld(2.0)
"""


def tree(root: Path, module: str = MODULE, test: str = TEST) -> Path:
    """A checkout with one module of a group and its test."""
    for name, text in (
        ("tkbench/__init__.py", ""),
        ("tkbench/audio.py", module),
        ("tests/test_audio.py", test),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return root


def run(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        SCRIPTS / "mutate.py",
        "--root",
        root,
        "--out",
        root / "out",
        "--equivalent",
        root / "e.toml",
    ]
    return subprocess.run(
        [*map(str, command), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


def found(text: str) -> dict[str, str]:
    """after -> kind, of every mutation of a text."""
    return {mutation.after: mutation.kind for mutation in mutations("a.py", textwrap.dedent(text).encode())}


def test_faults_are_caught_or_survive_in_a_copy_and_are_asked_once(tmp_path: Path) -> None:
    root = tree(tmp_path)
    before = (root / "tkbench/audio.py").read_bytes()
    first = run(root, "--count", 100)
    assert first.returncode == 1, first.stderr
    with (root / "out/mutants.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    outcome = {row["after"]: row["outcome"] for row in rows}
    assert outcome == {
        "return (x)": "caught",
        "return x <= 3": "survived",
        "return x < 4": "survived",
        "return x < 2": "survived",
    }
    assert {row["by"] for row in rows} == {"tests/test_audio.py::test_loud", ""}
    assert "| sound | 4 | 1 | 0 | 3 | 0 |" in first.stdout
    assert (root / "tkbench/audio.py").read_bytes() == before

    # Nothing changed: nothing is run again. A recorded one is no survivor, with the reason that was written down.
    (root / "e.toml").write_text(
        '[[equivalent]]\nmodule = "tkbench/audio.py"\nfunction = "unheld"\nbefore = "return x < 3"\n'
        'after = "return x <= 3"\nwhy = "nobody passes 3"\n'
    )
    again = run(root, "--count", 100)
    assert again.stderr == ""
    assert "| sound | 4 | 1 | 0 | 2 | 1 |" in again.stdout
    assert "equivalent | nobody passes 3 |" in again.stdout

    # A new test is asked about survivors alone.
    (root / "tests/test_audio.py").write_text(
        textwrap.dedent(TEST)
        + "\ndef test_border():\n    assert [unheld(2.9), unheld(3.0)] == [True, False]\n"
    )
    last = run(root, "--count", 100)
    assert last.returncode == 0, last.stderr
    assert last.stderr.count("caught") == 2
    assert "| sound | 4 | 3 | 0 | 0 | 1 |" in last.stdout


def test_a_hang_is_caught_and_a_red_test_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = "def count(n):\n    while n > 0:\n        n -= 1\n    return n\n"
    test = "from tkbench.audio import count\n\ndef test_count():\n    assert count(9) == 0\n"
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    words = [
        "--root",
        str(tree(tmp_path, loop, test)),
        "--out",
        str(tmp_path / "out"),
        "--only",
        str(tmp_path / "tkbench"),
    ]
    draw = mutate.draw
    monkeypatch.setattr(
        mutate, "draw", lambda *_: [item for item in draw(tmp_path, 100, 0) if item[1].after == "n += 1"]
    )
    # Two seconds may not even be enough to start: no time is enough for this one.
    assert mutate.main([*words, "--limit", "2"]) == 0
    assert "| sound | 1 | 1 | 1 | 0 | 0 |" in capsys.readouterr().out
    (tmp_path / "tests/test_audio.py").write_text(test.replace("== 0", "== 5"))
    (tmp_path / "tkbench/audio.py").write_text(loop.replace("while n", "while 9 > n"))
    with pytest.raises(SystemExit, match="test_count fails without any fault"):
        mutate.main(words)


def test_the_draw_is_that_of_its_seed_and_every_group_has_some() -> None:
    drawn = mutate.draw(mutate.ROOT, 40, 0)
    assert len(drawn) == 40
    assert {group for group, _ in drawn} == set(mutate.GROUPS)
    assert drawn == mutate.draw(mutate.ROOT, 40, 0)
    assert {mutation.key for _, mutation in drawn} != {
        mutation.key for _, mutation in mutate.draw(mutate.ROOT, 40, 1)
    }
    assert len({mutation.kind for _, mutation in drawn}) >= 8
    for patterns in mutate.GROUPS.values():
        for pattern in patterns:
            assert list((mutate.ROOT / mutate.PACKAGE).glob(pattern)), pattern


def test_the_draw_stays_when_other_code_is_written(tmp_path: Path) -> None:
    first = [mutation.key for _, mutation in mutate.draw(tree(tmp_path), 4, 0)]
    tree(tmp_path, "x = max(1, 2)\n" + textwrap.dedent(MODULE))
    assert set(first) & {mutation.key for _, mutation in mutate.draw(tmp_path, 4, 0)}


@pytest.mark.parametrize(
    ("text", "after", "kind"),
    [
        ("if a <= b:\n    c()", "if a < b:", "comparison"),
        ("x = a and b", "x = a or b", "and, or"),
        ("x = not a", "x = a", "not dropped"),
        ("x = -a", "x = a", "sign dropped"),
        ("x = a.mean(axis=1)", "x = a.sum(axis=1)", "function"),
        ("x = a.mean(axis=1)", "x = a.mean(axis=0)", "axis"),
        ("x = a.mean(dim=-1)", "x = a.mean(dim=0)", "axis"),
        ("import numpy as np\nx = np.where(c, a, b)", "x = np.where(c, b, a)", "arguments swapped"),
        ("import numpy as np\nx = np.abs(a - b)", "x = (a - b)", "call removed"),
        ("x = a.abs()", "x = (a)", "call removed"),
        ("x = zip(a, b, strict=True)", "x = zip(a, list(b)[::-1], strict=True)", "zip reversed"),
        ("if a is None:\n    raise ValueError('one')", "if False:", "guard removed"),
        ("x += 1", "x -= 1", "operator"),
        ("x[0] = 1", "pass", "statement removed"),
        ("x = [a for a in b if a > 0]", "x = [a for a in b if not (a > 0)]", "condition negated"),
        ("def f(a: int = 3) -> None: ...", "def f(a: int = 4) -> None: ...", "constant"),
        ('x = C("a", better="higher")', 'x = C("a", better="lower")', "constant"),
        ("é = 'ü' if a < b else c", "é = 'ü' if a <= b else c", "comparison"),
    ],
)
def test_kinds_of_faults(text: str, after: str, kind: str) -> None:
    assert found(text).get(after) == kind


@pytest.mark.parametrize(
    "text",
    [
        '"""What 1 < 2 is."""',
        'raise ValueError(f"{a + 1}")',
        "print(a + 1)",
        "progress.advance(1)",
        "assert a < b",
        'x = f"{a + 1}"',
        "x: dict[int, Literal[1]]",
        "@cache(maxsize=3)\ndef f() -> None: ...",
        "import os",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert found(text) == {}


def test_tests_are_found_by_place_and_by_import(tmp_path: Path) -> None:
    root = tree(tmp_path)
    for name, text in (
        ("tkbench/metrics/image.py", ""),
        ("tkbench/metrics/__init__.py", "def create(): ..."),
        ("tkbench/metrics/lonely.py", ""),
        ("tests/metrics/test_image.py", "from tkbench.metrics.image import psnr"),
        ("tests/metrics/test_image_odd.py", "from tkbench.metrics import create"),
        ("tests/test_other.py", "def f():\n    from tkbench.metrics import image"),
        ("tests/metrics/test_seeded_faults.py", "from tkbench.metrics import image"),
        ("tests/test_helped.py", "from support.pictures import flat"),
        ("tests/support/pictures.py", "from support import deeper"),
        ("tests/support/deeper.py", "import tkbench.metrics.image"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    near = mutate.Suite(root).nearest("tkbench/metrics/image.py")
    assert near.mirror == (
        "tests/metrics/test_image.py",
        "tests/metrics/test_image_odd.py",
        "tkbench/metrics/image.py",
    )
    assert near.importing == ("tests/test_helped.py", "tests/test_other.py")
    lonely = mutate.Suite(root).nearest("tkbench/metrics/lonely.py")
    assert lonely.mirror == ("tests/metrics/test_image_odd.py", "tkbench/metrics/lonely.py")


def test_every_mutation_changes_the_program() -> None:
    path = "tkbench/results/paired.py"
    source = (mutate.ROOT / path).read_bytes()
    assert len(mutations(path, source)) > 200
    some = mutations(path, source)[::5]
    whole = ast.dump(ast.parse(source))
    assert all(ast.dump(ast.parse(mutation.apply(source))) != whole for mutation in some)
