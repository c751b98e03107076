"""A model that makes no video at all: an error that says why, no row, and nothing kept that would hide a mended one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.toy_shards import make_shards

from tkbench import media
from tkbench.errors import UsageError
from tkbench.protocol import MetricSpec, Protocol, load
from tkbench.results import bundle
from tkbench.scoring.evaluate import PATIENCE, EvalOptions, evaluate

CLIPS = {f"a/{n}": ("test", 8) for n in range(PATIENCE + 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("toys"), CLIPS)


@pytest.fixture(scope="module")
def rules() -> Protocol:
    """PSNR alone: nothing here is about scores."""
    return load("tkbench-v2").model_copy(update={"metrics": (MetricSpec(name="psnr"),), "rank_by": "psnr"})


def test_a_command_that_always_fails_is_ended_after_a_few_clips(
    folder: Path, rules: Protocol, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    script = tmp_path / "infer.sh"
    script.write_text(f"echo x >> {calls}\necho no GPU found\nexit 3\n")
    with pytest.raises(
        UsageError, match=r"first 5 clips \(model-error: exit code 3: no GPU found\).*no result was written"
    ):
        evaluate(
            folder, f"cmd:sh {script} {{video}} {{audio}} {{out}}", protocol=rules, out=tmp_path / "runs"
        )
    assert len(calls.read_text().split()) == PATIENCE
    assert not list((tmp_path / "runs").rglob("result.json"))
    # Mended, the same command starts anew: no failure is kept.
    script.write_text("cp $1 $3\n")
    made = evaluate(
        folder, f"cmd:sh {script} {{video}} {{audio}} {{out}}", protocol=rules, out=tmp_path / "runs"
    )
    assert bundle.read(made).result.summary["psnr"].n == len(CLIPS)


def test_videos_are_all_tried_and_what_is_missing_is_said_before(
    folder: Path, rules: Protocol, tmp_path: Path
) -> None:
    videos = tmp_path / "out"
    (videos / "SUB").mkdir(parents=True)
    media.write_video(videos / "SUB" / "A_6_RESULT.MP4", np.zeros((8, 64, 64, 3), np.uint8))
    said: list[str] = []
    options = EvalOptions(name="mine", tell=said.append)
    made = evaluate(
        folder, f"files:{videos}/{{key}}_result", protocol=rules, out=tmp_path / "runs", options=options
    )
    assert said == [
        f"{videos}: 1 of 7 clips have a video; without one are a/0, a/1, a/2, ..., scored as not-generated"
    ]
    summary = bundle.read(made).result.summary["psnr"]
    assert (summary.n, summary.n_unscored) == (1, 6)
    said.clear()
    again = evaluate(
        folder, f"files:{videos}/{{key}}_result", protocol=rules, out=tmp_path / "runs", options=options
    )
    assert again == made
    assert said[1:] == [f"{made}: holds an earlier result of mine, which the new one replaces"]
