"""`import tkbench`: scores, tables, comparisons and checks as functions on strings and paths."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.bundles import make
from support.report_runs import KINDS, make_run
from support.toy_shards import make_shards

import tkbench
from tkbench.api import Scored
from tkbench.errors import BadBundle, UsageError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for number, model in enumerate(list(KINDS)[:3]):
        make_run(root, model, failed=number)
    return root


def test_names_are_there_and_lazy() -> None:
    for name in tkbench.__all__:
        assert getattr(tkbench, name) is not None
    code = "import sys, tkbench; print([m for m in ('torch', 'pandas', 'numpy', 'cv2') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"


def test_a_score_is_a_path_with_tables(runs: Path) -> None:
    folder = next(path.parent for path in sorted(runs.rglob("result.json")) if "shift" in str(path.parent))
    scored = Scored(str(folder))
    assert Path(scored) == folder
    assert os.fspath(scored) == str(folder)
    table = scored.table
    assert list(table.index) == [column.name for column in scored.result.columns]
    assert table.loc["psnr", "n"] + table.loc["psnr", "unscored"] == scored.result.n_clips
    assert table.loc["lpips", "why"].startswith("unscored")
    clips = scored.clips
    assert len(clips) == scored.result.n_clips
    assert clips["psnr"].mean() == pytest.approx(table.loc["psnr", "mean"])
    assert next(iter(clips.columns)) == "speaker"
    assert set(scored.reasons["key"][scored.reasons["metric"] == "psnr"]) == set(
        clips.index[clips["psnr"].isna()]
    )
    assert scored.result.model in repr(scored)
    html = scored._repr_html_()
    assert "<table" in html
    assert "PSNR" in html
    page = scored.report()
    assert page.name == "report.html"
    assert page.is_file()
    assert scored.report(str(folder.parent / "other.html")).is_file()


def test_the_leaderboard_is_the_csv_as_numbers(runs: Path) -> None:
    for given in (runs, str(runs), sorted(path.parent for path in runs.rglob("result.json"))):
        table = tkbench.leaderboard(given)
        assert set(table["model"]) == set(list(KINDS)[:3])
        # All three are anchors, which take no rank.
        assert table["model"].iloc[0] == "real"
        assert table["rank"].isna().all()
        assert pd.api.types.is_float_dtype(table["psnr"])


def test_pairs_are_compared(runs: Path) -> None:
    found = tkbench.compare(runs, metrics=["psnr"])
    assert len(found) == 3
    assert set(found.columns) >= {
        "metric",
        "first",
        "second",
        "difference",
        "low",
        "high",
        "p",
        "holm",
        "verdict",
    }
    assert ((found["low"] <= found["difference"]) & (found["difference"] <= found["high"])).all()


def test_a_bundle_is_verified_and_a_changed_one_named(runs: Path, tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    assert any("means and intervals" in clause for clause in tkbench.verify(folder))
    table = pd.read_parquet(folder / "clips.parquet")
    table["value"] += 1
    table.to_parquet(folder / "clips.parquet")
    with pytest.raises(BadBundle):
        tkbench.verify(str(folder))
    with pytest.raises(BadBundle):
        Scored(folder).clips  # noqa: B018


def test_a_folder_without_a_table_or_with_two_is_named(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        tkbench.leaderboard(tmp_path / "nowhere")
    with pytest.raises(BadBundle, match="no result bundle"):
        tkbench.leaderboard(tmp_path)
    make_run(tmp_path, "real")
    make_run(tmp_path, "real", signature="synth-v1|other")
    with pytest.raises(UsageError, match="holds 2 tables; give one of"):
        tkbench.leaderboard(tmp_path)


def test_score_takes_strings_and_gives_what_eval_writes(tmp_path: Path) -> None:
    data = make_shards(tmp_path, {f"{who}{n}": ("test", 30) for who in "ab" for n in range(2)})
    rules = tmp_path / "pictures.toml"
    rules.write_text(
        'name = "pictures"\nsummary = "PSNR alone."\nrank_by = "psnr"\n'
        'metrics = [{ name = "psnr", settings = { regions = ["full"] } }]\n'
    )
    for model in ("real", "still"):
        scored = tkbench.score(str(data), model, protocol=rules, out=str(tmp_path / "runs"))
        assert isinstance(scored, Scored)
        assert scored.result.n_clips == 4
    assert list(tkbench.leaderboard(tmp_path / "runs")["model"]) == ["real", "still"]
    assert tkbench.verify(scored)
    assert scored.clips["psnr"].between(5, 60).all()
    keys = [sample.key for sample in tkbench.open_shards(str(data))]
    assert keys == ["a0", "a1", "b0", "b1"]


def test_a_guess_at_the_metrics_of_arrays_is_led_to_them() -> None:
    """`tkbench.metrics` is the package of metrics of clips; what takes arrays is `tkbench.measure`."""
    done = subprocess.run(
        [sys.executable, "-c", "import tkbench; tkbench.metrics.psnr"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "metrics of arrays are in tkbench.measure" in done.stderr
