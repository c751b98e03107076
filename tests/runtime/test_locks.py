"""Locks between processes: one at a time, and never a reason to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tkbench.runtime import locks

# Two that overlap would find each other's mark.
TURN = (
    "import os, sys, tempfile, time\nfrom tkbench.runtime.locks import in_turn\n"
    "mark, ready = (os.path.join(tempfile.gettempdir(), name) for name in ('mark', 'ready-' + sys.argv[1]))\n"
    "open(ready, 'x').close()\n"
    "while sum(name.startswith('ready-') for name in os.listdir(tempfile.gettempdir())) < 3:\n    time.sleep(0.001)\n"
    "for _ in range(5):\n"
    "    with in_turn('test') as certain:\n"
    "        assert certain\n        open(mark, 'x').close()\n        time.sleep(0.005)\n        os.unlink(mark)\n"
)


def together(code: str, count: int, **environment: str) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)], stderr=subprocess.PIPE, env=os.environ | environment
        )
        for number in range(count)
    ]
    said = [(process.communicate()[1].decode(), process.returncode) for process in running]
    assert all(code == 0 for _, code in said), said


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of the kernel")
def test_one_process_at_a_time(tmp_path: Path) -> None:
    together(TURN, 3, TMPDIR=str(tmp_path))


@pytest.mark.parametrize("case", ["no locks", "no folder", "a link", "held too long"])
def test_without_a_lock_the_work_is_done_all_the_same(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if case == "no locks":
        monkeypatch.setattr(locks, "kernel_lock", lambda handle: None)
    elif case == "no folder":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    elif case == "a link":
        with locks.in_turn("test"):
            pass
        path = next(tmp_path.iterdir())
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        monkeypatch.setattr(locks, "PATIENCE", 0.1)
        monkeypatch.setattr(locks, "kernel_lock", lambda handle: False)
    with locks.in_turn("test") as certain:
        assert not certain


@pytest.mark.slow
def test_processes_that_compile_librosa_at_once(tmp_path: Path) -> None:
    """After an install numba's cache is empty, and every worker of a run asks for it in the same second."""
    code = (
        "import numpy as np\nfrom tkbench.metrics.motion import voice_beats\n"
        "voice_beats(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))\n"
    )
    for number in range(4):
        together(code, 4, NUMBA_CACHE_DIR=str(tmp_path / f"cache{number}"))
