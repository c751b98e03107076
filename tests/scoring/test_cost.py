"""What a model costs: measured, kept beside the bundle's hashes, shown on request; and the estimate before a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.toy_shards import make_shards

from tkbench.models.anchors import Still
from tkbench.protocol import MetricSpec, Protocol
from tkbench.report.publish import rich_tables
from tkbench.results import bundle, cost, leaderboard, proof
from tkbench.results.cost import Spent, sum_up
from tkbench.scoring.estimate import estimate, picks_of, thirds_of
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.scoring.meter import Metered
from tkbench.types import Batch, Generated, Sample

RULES = Protocol(name="toy", summary="", rank_by="psnr", metrics=(MetricSpec(name="psnr"),))
HUNGRY = """
import shutil, sys, time
video, out = sys.argv[1:]
held = bytearray(300_000_000)
held[::4096] = b"x" * len(held[::4096])
time.sleep(0.6)
shutil.copy(video, out)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {f"{name}/{number}": ("test", 10 + 10 * number) for name in "ab" for number in range(2)}
    return make_shards(tmp_path_factory.mktemp("toys"), clips)


def text_of(folder: Path, *names: str) -> str:
    from rich.console import Console

    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: PTH123
    for part in rich_tables(folder, 200, names=names):
        console.print(part)
    console.file.close()
    return console.export_text()


def test_a_command_is_measured_and_the_bundle_is_none_the_wiser(data: Path, tmp_path: Path) -> None:
    script = tmp_path / "hungry.py"
    script.write_text(HUNGRY)
    # A stand-in for the program of NVIDIA's driver: it says that every process of this test's children has 1.5 GB.
    fake = tmp_path / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text(
        f"#!{sys.executable}\nimport psutil, os\n"
        "me = psutil.Process().parent()\n"
        "for child in me.children(): print(f'{child.pid}, 1500')\n"
    )
    fake.chmod(0o755)
    model = f"cmd:{sys.executable} {script} {{video}} {{out}}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tkbench.scoring.meter._GPU_EVERY", 0.2)
        patch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
        made = evaluate(
            data, model, protocol=RULES, out=tmp_path, limit=2, options=EvalOptions(name="hungry")
        )
    spent = cost.read(made)
    assert spent is not None
    assert spent.clips == 2
    assert spent.video_seconds == pytest.approx(30 / 25)
    assert spent.seconds_per_second > 2 * 0.6 / (30 / 25)
    assert 300e6 < spent.memory < 600e6
    assert spent.gpu_memory is not None
    assert spent.gpu_memory >= 1500 << 20

    kept = bundle.read(made)
    assert cost.FILE not in kept.result.files
    assert len(kept.videos()) == 2  # a command's videos are files, and have hashes
    before = kept.digest
    (made / cost.FILE).write_text("{}")
    assert bundle.read(made).digest == before
    assert cost.read(made) is None
    proof.verify(made)
    (made / cost.FILE).unlink()
    proof.verify(made)


def test_tables_show_costs_where_they_are_named_and_nowhere_else(data: Path, tmp_path: Path) -> None:
    still = evaluate(data, "still", protocol=RULES, out=tmp_path / "runs")
    shown = text_of(still.parent, "psnr", "cost_time", "cost_memory")
    assert "time per second of video" in shown
    assert "memory" in shown
    spent = cost.read(still)
    assert spent is not None
    assert f"{spent.memory / 1e9:.2f}" in shown
    assert spent.gpu_memory is None
    assert "no-GPU" in text_of(still.parent, "cost_gpu_memory")
    for text in (
        text_of(still.parent),
        leaderboard.to_csv(leaderboard.ranked(bundle.find(still.parent))),
    ):
        assert "cost" not in text
        assert "time per second" not in text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"clips": 1}', "9" * 5000, "[" * 60_000, '{"memory": 1e999}', "x" * (1 << 17)],
    ids=lambda text: text[:12],
)
def test_a_cost_that_says_nothing_is_no_cost(text: str, tmp_path: Path) -> None:
    (tmp_path / cost.FILE).write_text(text)
    assert cost.read(tmp_path) is None


def test_loading_is_told_apart_from_generating() -> None:
    clips = [
        Spent(10.0, 2.0, True, 5, None, "a"),
        Spent(1.0, 2.0, False, 7, 3, "b"),
        Spent(3.0, 2.0, False, 6, 9, "a"),
    ]
    found = sum_up(clips)
    assert found is not None
    assert (found.clips, found.video_seconds, found.seconds_per_second) == (3, 6.0, 1.0)
    assert (found.first_clip_seconds, found.memory, found.gpu_memory) == (10.0, 7, 9)
    assert found.where == ["a", "b"]
    only = sum_up(clips[:1])
    assert only is not None
    assert only.seconds_per_second == 5.0
    assert sum_up([]) is None
    assert json.loads(cost.to_bytes(found))["memory"] == 7


class Large:
    """A model of this process that takes 400 MB for a moment."""

    card = Still.card

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        held = np.ones(50_000_000)
        return [Generated(sample.key, sample.video + np.uint8(held[0])) for sample in batch]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux sets a peak back")
def test_a_peak_of_this_process_is_that_of_the_clip_and_not_of_its_life() -> None:
    nothing = np.zeros(1, np.float32)
    video = np.zeros((5, 8, 8, 3), np.uint8)
    sample = Sample("k", video, np.zeros(3200, np.float32), nothing, nothing, "d", "t")
    large, small = Metered(Large()), Metered(Still())
    large.generate(Batch((sample,)), seed=0)
    small.generate(Batch((sample,)), seed=0)
    assert large.spent is not None
    assert small.spent is not None
    assert large.spent.memory - small.spent.memory > 300e6
    assert (large.spent.first, large.spent.video_seconds) == (True, 0.2)
    large.generate(Batch((sample,)), seed=0)
    assert not large.spent.first


def test_a_dry_run_counts_up_from_a_few_clips(data: Path) -> None:
    guess = estimate(
        data, ["still", "blur"], protocol=RULES, split=None, limit=None, workers=2, options=EvalOptions()
    )
    assert (guess.clips, guess.video_seconds, [one.model for one in guess.models]) == (
        4,
        2.4,
        ["still", "blur"],
    )
    for one in guess.models:
        assert 0 <= one.low < one.mean < one.high
        assert one.sampled == 2  # four clips make two parts, and each part has one middle
        assert one.kept > 4 * 500
    assert guess.hours("mean") == pytest.approx(sum(one.mean for one in guess.models) / 3600)
    said = guess.verdict(2.0)
    assert f"cost {2 * guess.hours('mean'):.2f} at 2 per worker hour" in said
    assert "cost" not in guess.verdict(None)


def test_samples_are_taken_from_short_and_long_clips() -> None:
    lengths = {f"k{n}": n for n in range(30)}
    thirds = thirds_of(sorted(lengths), lengths)
    assert [len(part) for part in thirds] == [10, 10, 10]
    assert max(lengths[key] for key in thirds[0]) < min(lengths[key] for key in thirds[1])
    picks = picks_of(thirds)
    assert [place for place, _ in picks] == [0, 1, 2, 0, 1, 2]
    assert len(set(picks)) == 6
    assert picks_of(thirds_of(["k3"], lengths)) == [(0, "k3")]


@pytest.mark.slow
def test_a_dry_run_writes_nothing(data: Path, tmp_path: Path) -> None:
    words = [
        "eval",
        "--data",
        str(data),
        "--model",
        "still",
        "--dry-run",
        "--price",
        "1.5",
        "--protocol",
        "synth-v1",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tkbench", *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "What scoring 4 clips" in done.stdout
    assert "worker hours" in done.stderr
    assert "at 1.5 per worker hour" in done.stderr
    assert not list(tmp_path.iterdir())
