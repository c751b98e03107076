"""Training as people run it: killed and started again, and on two devices (two processes on this CPU)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.toy_shards import make_shards

from tkbench import weights
from tkbench.models import checkpoint
from tkbench.train import board

TOML = """
model = "wav2lip"
steps = 8
[cut]
recipe = "steady-172"
size = 64
[net]
width = 0.05
[loss]
sync = 0.0
gan = 0.02
[data]
frames = 5
batch = 2
frames_per_window = 12
[optim]
ema = 0.9
[run]
log_every = 1
save_every = 1
val_every = 4
sample_every = 8
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {f"{name}/0": ("train", 30) for name in "abcd"} | {"v/0": ("val", 30)}
    return make_shards(tmp_path_factory.mktemp("toys"), clips)


def command(folder: Path, out: Path, *more: str) -> list[str]:
    config = out.with_suffix(".toml")
    config.write_text(TOML, encoding="utf-8")
    words = ["train", "--model", "wav2lip", "--data", str(folder), "--out", str(out), "--config", str(config)]
    return ["-m", "tkbench", *words, "--accelerator", "cpu", *more]


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    subprocess.run([sys.executable, *command(folder, whole)], check=True, capture_output=True)
    last = killed.with_suffix(".run") / "last.pt"
    for _ in range(2):
        run = subprocess.Popen(
            [sys.executable, *command(folder, killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = last.stat().st_mtime_ns if last.exists() else 0
        while run.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.wait()
    subprocess.run([sys.executable, *command(folder, killed)], check=True, capture_output=True)
    one, other = weights.load_state(whole), weights.load_state(killed)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    steps = [r["step"] for r in board.read(killed.with_suffix(".run")) if "train/total" in r]
    assert steps == list(range(1, 9))


@pytest.mark.parametrize("launcher", ["fabric", "torchrun"])
def test_two_devices_make_one_model(launcher: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.safetensors"
    start = [sys.executable]
    if launcher == "torchrun":
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*start, *command(folder, out, "--devices", "2")],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    facts = checkpoint.read_facts(out)
    assert facts.training["batch"] == 4
    assert [r["step"] for r in board.read(out.with_suffix(".run")) if "train/total" in r] == list(range(1, 9))
