"""Who may import whom, read from the sources with ast, and what a cold start may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "tkbench"
# Each layer may import itself and everything below it; the three siblings in one layer never meet.
LAYERS = [
    {"types", "errors"},
    {
        "registry",
        "protocol",
        "media",
        "weights",
        "align",
        "recipes",
        "audio",
        "lossy",
        "progress",
        "parallel",
        "storage",
        "workers",
        "features",
        "devices",
    },
    {"shards", "stats", "paired"},
    {"prep", "metrics", "models"},
    {"evaluate", "generate", "train", "bundle", "bench", "doctor", "data", "sensitivity"},
    {"leaderboard", "compare", "report", "sheet"},
    {"publish"},
    {"demo"},
    {"cli"},
]
SIBLINGS = {"prep", "metrics", "models"}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The parts of tkbench that a file imports, anywhere in it; names under TYPE_CHECKING count too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tkbench.")}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "tkbench":
                found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
            elif node.module.startswith("tkbench."):
                found.add(node.module.split(".")[1])
    return found


FILES = sorted(
    path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py" and path.name != "__main__.py"
)


def test_every_part_has_a_layer() -> None:
    assert {part_of(path) for path in FILES} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    part = part_of(path)
    for other in imports(path) - {part}:
        assert other in LEVEL, f"{other} has no layer"
        assert LEVEL[other] <= LEVEL[part], f"{part} may not import {other}"
        assert not ({part, other} <= SIBLINGS), f"the siblings {part} and {other} may not meet"


def test_metrics_never_touch_files_of_clips() -> None:
    for path in FILES:
        if part_of(path) == "metrics":
            assert not imports(path) & {"media", "shards"}, path


def test_only_media_runs_ffmpeg() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if path.name != "media.py":
            assert "import ffmpeg" not in text, path
            assert "imageio_ffmpeg" not in text, path


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["eval", "--help"], ["prep", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """The command line answers before torch, mediapipe, dask, pandas or OpenCV are touched."""
    code = (
        "import sys\nfrom tkbench.cli import main\n"
        f"sys.argv = ['tkbench', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'mediapipe', 'dask', 'distributed', 'pandas', 'cv2', 'skimage', 'librosa', 'scipy', 'av'}\n"
        "loaded = heavy & set(sys.modules)\nassert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
