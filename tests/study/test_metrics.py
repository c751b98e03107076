"""`study metrics` says which metric a made video pleases, and keeps what it has scored."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tkbench.cli import app
from tkbench.errors import TkbenchError
from tkbench.study import metrics as study
from tkbench.study import metrics_page
from tkbench.study.metrics import (
    FLOOR,
    HONEST,
    LAGGED,
    MADE,
    VIDEOS,
    WRONG_VOICE,
    Judged,
    MetricStudy,
)
from tkbench.types import Column


def judged(better: str, **means: float) -> Judged:
    column = Column("x", "X", "", better, 2)  # type: ignore[arg-type]
    given = {name.replace("_", "-"): value for name, value in means.items()}
    rest = dict.fromkeys((*VIDEOS, *LAGGED), given.pop("other"))
    honest = dict.fromkeys(HONEST, given.pop("honest")) if "honest" in given else {}
    return Judged(column, rest | honest | given)


def test_a_metric_is_pleased_by_what_beats_an_honest_video() -> None:
    right = judged("higher", other=0.1, real=1.0, honest=0.9)
    assert right.pleased() == []
    assert right.way("real") == 1.0
    assert right.way(FLOOR) == 0.0
    assert judged("higher", other=0.1, real=1.0, honest=0.5, flap=0.5).pleased() == ["flap"]
    assert judged("lower", other=9.0, real=0.0, honest=1.0, flap=0.5).pleased() == ["flap"]
    assert judged("lower", other=9.0, real=0.0, honest=1.0, flap=1.5).way("flap") == pytest.approx(7.5 / 9)


def test_no_way_where_it_has_no_ends() -> None:
    assert math.isnan(judged("higher", other=1.0, honest=1.0).way("flap"))
    assert math.isnan(judged("higher", other=1.0, real=math.inf).way("flap"))
    assert judged("higher", other=math.nan, real=1.0).pleased() == []


@pytest.fixture(scope="module")
def synth_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    made = ["prep", "synth", "--out", str(root / "corpus"), "--clips", "3", "--speakers", "3", "--seed", "3"]
    for line in (
        [*made, "--split", "test"],
        ["prep", "folder", "--root", str(root / "corpus"), "--out", str(root / "shards")],
    ):
        done = CliRunner().invoke(app, [*line, "--workers", "1"])
        assert done.exit_code == 0, done.output
    return root / "shards"


@pytest.fixture(scope="module")
def scored(synth_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[MetricStudy, Path]:
    runs = tmp_path_factory.mktemp("runs")
    return study.study_metrics(synth_shards, runs, limit=2), runs


def test_lips_are_not_pleased_and_pictures_are(scored: tuple[MetricStudy, Path]) -> None:
    """The controls: the lag and the voice tell the wrong voice; a whole picture does not see whose mouth it has."""
    found, _ = scored
    by_name = {one.column.name: one for one in found.scored()}
    for name in ("voice_score", "voice_corr"):
        assert by_name[name].way("real") == 1.0
        assert by_name[name].way(WRONG_VOICE) < 0.6
    # The chin of a held mouth still moves. A correlation does not see that this is little; the score does.
    assert by_name["voice_score"].way("held-mouth") < 0.5
    assert "wrong-mouth" in by_name["psnr"].pleased()
    assert "wrong-mouth" not in by_name["voice_score"].pleased()
    assert by_name["psnr"].means["real"] == math.inf
    assert {one.column.name for one in found.judged if one.why} >= {"lse_c", "lpips"}
    assert "psnr" not in [one.column.name for one in found.scored() if not one.pleased()]


def test_a_lag_is_told_and_what_looks_for_the_best_one_is_blind(scored: tuple[MetricStudy, Path]) -> None:
    """The truth is exact here: the corpus has no lag of its own, and `shift:N` adds N frames."""
    found, _ = scored
    told = {one.column.name: one for one in found.told}
    assert {"av_offset_synth", "voice_lag"} <= set(told), sorted(told)
    for video, lag in LAGGED.items():
        assert told["av_offset_synth"].medians[video] == pytest.approx(lag, abs=1)
        assert told["av_offset_synth"].near[video] >= 0.5
        assert told["voice_lag"].medians[video] == pytest.approx(lag, abs=1.5)
    blind = {one.column.name for one in found.blind()}
    assert "voice_corr" in blind
    assert not blind & {"lip_corr_mesh", "lmd_mouth_mesh", "ssim_mouth"}
    assert "Five frames of lag are not seen by" in found.sentence()
    table = found.lag_table()
    assert len(table) == len(found.told) * len(LAGGED)
    assert table.near.between(0, 1).all()


def test_a_clip_without_a_score_tells_no_lag() -> None:
    column = Column("off", "Offset", "frames", "zero", 1)
    rows = pd.DataFrame({"key": list("abcd"), "metric": "off", "value": [-5.0, -4.0, 3.0, math.nan]})
    other = pd.DataFrame({"key": ["a"], "metric": ["else"], "value": [1.0]})
    columns = (column, Column("x", "X", "", "higher", 2))
    (one,) = study.told({"shift:-5": rows, "shift:5": rows}, columns, 4)
    assert one.near == {"shift:-5": 0.5, "shift:5": 0.0}
    assert one.medians["shift:-5"] == -4.0
    assert study.told({"shift:-5": rows, "shift:5": other}, columns, 4) == []


def test_what_was_scored_is_kept(
    scored: tuple[MetricStudy, Path], synth_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, runs = scored

    def never(*_: object, **__: object) -> Path:
        raise AssertionError("scored again")

    monkeypatch.setattr(study, "evaluate", never)
    again = study.study_metrics(synth_shards, runs, limit=2)
    assert again.sentence() == found.sentence()
    pd.testing.assert_frame_equal(again.table(), found.table())
    with pytest.raises(AssertionError, match="scored again"):
        study.study_metrics(synth_shards, runs, limit=1)


def test_the_page_has_every_metric_and_video(scored: tuple[MetricStudy, Path], tmp_path: Path) -> None:
    found, _ = scored
    files = metrics_page.write(found, tmp_path)
    names = ["metrics.csv", "lags.csv", "metrics.svg", "metrics.md", "metrics.html"]
    assert [file.name for file in files] == names
    table = pd.read_csv(files[0])
    assert set(table.video) == {*VIDEOS, *LAGGED}
    assert set(table.metric) == {one.column.name for one in found.scored()}
    text = files[-1].read_text()
    for video in (*MADE, *HONEST):
        assert f"<dt>{video}</dt>" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert found.sentence()[:60] in text
    assert np.all([f"| {metrics_page.label(one.column)} |" in files[3].read_text() for one in found.scored()])


def test_the_command_says_what_was_found(
    synth_shards: Path, scored: tuple[MetricStudy, Path], tmp_path: Path
) -> None:
    found, runs = scored
    out = tmp_path / "study"
    out.mkdir()
    (out / "runs").symlink_to(runs)
    said = CliRunner().invoke(
        app, ["study", "metrics", "--data", str(synth_shards), "--out", str(out), "--limit", "2"]
    )
    assert said.exit_code == 0, said.output
    assert found.sentence()[:40] in said.output.replace("\n", " ")
    refused = CliRunner().invoke(app, ["study", "metrics", "--data", str(tmp_path / "nothing")])
    assert isinstance(refused.exception, TkbenchError)
