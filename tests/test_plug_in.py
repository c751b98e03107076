"""The example package: each of its four parts keeps its contract, and commands take them once it is installed."""

from __future__ import annotations

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support import plug_ins

from tkbench import shards
from tkbench.results import bundle
from tkbench.types import Batch, Reason, Sample

Run = Callable[..., tuple[int, str, str]]

EXAMPLE = Path(__file__).parents[1] / "examples" / "plug-in"
PACKAGE = EXAMPLE / "src" / "tkbench_example"


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package can be imported, as if it were installed, but without its entry points."""
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    yield
    for name in [name for name in sys.modules if name.startswith("tkbench_example")]:
        del sys.modules[name]


def sample(frames: int = 3, size: int = 64) -> Sample:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 200, (frames, size, size, 3), dtype=np.uint8)
    points = np.repeat(rng.uniform(16, 48, (1, 478, 2)).astype(np.float32), frames, axis=0)
    return Sample(
        "a", video, np.zeros(640 * frames, np.float32), points, np.ones(frames, np.float32), "x", "test"
    )


def test_the_model_keeps_the_protocol(importable: None) -> None:
    from tkbench_example.model import Mirror  # type: ignore[import-not-found,unused-ignore]

    from tkbench.models.base import Model

    model, one = Mirror(), sample()
    assert isinstance(model, Model)
    (made,) = model.generate(Batch((one,)), seed=0)
    np.testing.assert_array_equal(made.video, one.video[:, :, ::-1])


def test_the_metric_measures_what_it_says(importable: None) -> None:
    from tkbench_example.metric import Mae  # type: ignore[import-not-found,unused-ignore]

    metric, one = Mae(regions=["full", "mouth"]), sample()
    assert [column.name for column in metric.columns] == ["mae", "mae_mouth"]
    assert len({column.signature for column in metric.columns}) == 2
    assert metric.score(one, one.video, one.audio).values["mae"].value == 0
    brighter = metric.score(one, one.video + np.uint8(7), one.audio).values
    assert [brighter[name].value for name in ("mae", "mae_mouth")] == [7, 7]
    short = metric.score(one, one.video[:2], one.audio).values["mae"]
    assert short.reason is Reason.WRONG_LENGTH


def test_the_data_set_lists_what_is_there(importable: None, tmp_path: Path) -> None:
    from tkbench_example.dataset import DATASET  # type: ignore[import-not-found,unused-ignore]

    from tkbench.dataset import Check, Ledger

    for name in ("ann/t1.mp4", "ann/t1.txt", "ann/t2.txt", "bob/t1.mp4", "bob/odd name.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("hello\n")
    found = list(DATASET.read(tmp_path))
    assert [item.key for item in found] == ["ann/t1", "ann/t2", "bob/t1"]
    assert found[1].reason is Reason.MISSING_FILE
    assert DATASET.annotate(found[0])[0].text == "hello"
    assert found[2].sidecar is None
    ledger = Ledger(DATASET, str(tmp_path))
    DATASET.check(ledger, tmp_path, Check())
    assert sorted(finding.kind for finding in ledger.findings) == ["missing-file", "missing-text", "odd-name"]


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        return sum(bool(line.strip()) and not line.startswith("#") for line in text.splitlines())
    tree = ast.parse(text)
    prose: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            first = node.body[0]
            prose |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - prose)


def test_the_lines_that_contributing_counts_are_counted_right() -> None:
    """Both places of each recipe: the file of the part, and the line that registers it."""
    guide = (EXAMPLE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    counted = dict(re.findall(r"^\| `src/tkbench_example/([\w.-]+)` \| .* \| (\d+) \|$", guide, re.M))
    assert set(counted) == {"model.py", "metric.py", "dataset.py", "takes-v1.toml"}
    for name, lines in counted.items():
        assert code_lines(PACKAGE / name) == int(lines), name


def installed_into(folder: Path) -> dict[str, str]:
    """Install the example with pip, as a user would, into a folder of its own; the environment that sees it."""
    source = folder / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(source)], check=True, capture_output=True)
    root = str(EXAMPLE.parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "site"), root])}


def use_everything(run: Callable[..., str], folder: Path) -> None:
    """`ls`, `data fake | check | splits`, `prep`, `eval` and `report`, all by names of the example, in `folder`."""
    listed = run("ls")
    for name in ("mirror", "mae", "takes", "takes-v1"):
        assert name in listed
    assert "SPEAKER/TAKE.mp4" in run("prep", "takes", "--help")
    run("data", "fake", "takes", "--out", "takes", "--clips", "3")
    (folder / "takes" / "speaker0" / "take09.txt").write_text("a take that was lost\n")
    checked = run("data", "check", "takes", "--root", "takes")
    assert re.search(r"test\s.*\b4\b.*\b3\b.*1 missing-file", checked), checked
    assert re.search(r"test\s.*\b4\b.*\b1\b", run("data", "splits", "takes", "--root", "takes"))
    run("prep", "takes", "--root", "takes", "--out", "shards", "--workers", "1")
    opened = shards.open_shards(folder / "shards")
    assert opened.dataset == "takes-fake"
    assert list(opened.keys()) == [f"speaker{number}/take00" for number in range(3)]
    assert all(opened.get(key).text for key in opened.keys())
    lost = opened.manifest(("key", "status", "reason", "dataset")).set_index("key").loc["speaker0/take09"]
    assert (lost.status, lost.reason, lost.dataset) == ("skipped", "missing-file", "takes-fake")
    for model in ("mirror", "real"):
        run("eval", "--data", "shards", "--model", model, "--workers", "1", "--no-cache")
    (table,) = (folder / "runs").iterdir()
    # The data set's own protocol, which nobody named.
    assert table.name.startswith("takes-fake-takes-v1-")
    run("report", str(table))
    page = (table / "report.html").read_text(encoding="utf-8")
    assert "MAE (mouth)" in page
    assert "It says nothing of timing." in page
    (csv,) = (folder / "leaderboards").glob("*.csv")
    header, *rows = csv.read_text(encoding="utf-8").splitlines()
    assert {"mae", "mae_mouth", "lse_c_synth"} <= set(header.split(","))
    assert len(rows) == 2
    found = {row.result.model: row.result.summary for row in bundle.find(table)}
    assert found["real"]["mae"].mean == 0 < found["mirror"]["mae"].mean


def test_every_part_is_used_by_its_name(
    importable: None, run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, with the entry points that pip would write."""
    pytest.importorskip("espeakng_loader", reason="the tree needs speech: pip install 'tkbench[synth]'")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        code, out, err = run_cli(*words)
        assert code == 0, f"{words}: {err}"
        return out

    with plug_ins.installed(plug_ins.example(tmp_path / "site")):
        use_everything(run, tmp_path)


@pytest.mark.slow
def test_an_installed_package_works_like_what_is_built_in(tmp_path: Path) -> None:
    """Each command in a process of its own, after `pip install`."""
    pytest.importorskip("espeakng_loader", reason="the tree needs speech: pip install 'tkbench[synth]'")
    env = installed_into(tmp_path)

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "tkbench", *words]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    use_everything(run, tmp_path)
