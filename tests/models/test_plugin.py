"""The template package installs, and its model is found and used without a change here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TEMPLATE = Path(__file__).parents[2] / "examples" / "plug-in"
USE = """
import numpy as np
from tkbench import models
from tkbench.types import Batch, Sample

video = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
sample = Sample("a", video, np.zeros(1280, np.float32), np.zeros((2, 478, 2), np.float32), np.ones(2), "x", "test")
model = models.create("mirror")
(made,) = model.generate(Batch((sample,)), seed=0)
assert (made.video == video[:, :, ::-1]).all()
print(model.card.name, "mirror" in models.registry.names())
"""


def test_the_templates_model_keeps_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TEMPLATE / "src"))
    from tkbench_mirror import Mirror  # type: ignore[import-not-found,unused-ignore]

    from tkbench.models.base import Model
    from tkbench.types import Batch, Sample

    model = Mirror()
    assert isinstance(model, Model)
    video = np.random.default_rng(0).integers(0, 255, (3, 4, 6, 3), dtype=np.uint8)
    points, score = np.zeros((3, 478, 2), np.float32), np.ones(3, np.float32)
    sample = Sample("a", video, np.zeros(1920, np.float32), points, score, "x", "test")
    (made,) = model.generate(Batch((sample,)), seed=0)
    np.testing.assert_array_equal(made.video, video[:, :, ::-1])


@pytest.mark.slow
def test_an_installed_plug_in_is_a_model(tmp_path: Path) -> None:
    """Installed into a folder of its own, with pip, as a user would; tkbench finds it by its entry point."""
    source = tmp_path / "source"
    shutil.copytree(TEMPLATE, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    target = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
    ]
    subprocess.run([*pip, str(source)], check=True, capture_output=True)
    env = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run([sys.executable, "-c", USE], env=env, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["mirror", "True"]
    listed = subprocess.run(
        [sys.executable, "-m", "tkbench", "ls"], env=env, check=True, capture_output=True, text=True
    )
    assert "mirror" in listed.stdout
