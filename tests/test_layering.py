"""Who may import whom, read from the sources with ast, and what a cold start may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "tkbench"
# A part is a module or package right below tkbench/. It imports parts of the layers before its own, never one of its
# own layer: so no two parts can import each other, in any number of steps. docs/architecture.md draws this list.
LAYERS = [
    {"types", "version"},
    {"errors"},
    {"registry", "media", "runtime"},
    {"audio", "protocol", "dataset", "weights", "shards", "crops", "results", "synth"},
    {"prep", "metrics", "models"},
    {"scoring", "data", "generate", "doctor"},
    {"train", "report"},
    {"sheet", "bench", "demo", "study", "api"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = {
    ".".join(("tkbench", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imports(path: Path) -> set[str]:
    """The modules of tkbench that a file imports, anywhere in it; names under TYPE_CHECKING count too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import"
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = names & set(MODULES)
            found |= modules | ({node.module} if names - modules else set())
    return found


IMPORTS = {module: imports(path) - {module} for module, path in MODULES.items()}
# The faces hand on names of any layer, when they are asked for.
FACES = {"tkbench", "tkbench.__main__"}


def part_of(module: str) -> str:
    return module.split(".")[1]


def test_every_part_has_a_layer() -> None:
    assert {part_of(module) for module in MODULES if module not in FACES} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(set(MODULES) - FACES))
def test_imports_go_down_only(module: str) -> None:
    part = part_of(module)
    for other in {part_of(name) for name in IMPORTS[module] if name != "tkbench"} - {part}:
        assert LEVEL[other] < LEVEL[part], f"{part} may not import {other}"
    assert "tkbench" not in IMPORTS[module], "the package's face is for users; import the module itself"


def test_no_import_circle() -> None:
    """Also within a part, and also by imports inside of functions."""
    left = {module: set(names) for module, names in IMPORTS.items()}
    while ready := {module for module, names in left.items() if not names}:
        left = {module: names - ready for module, names in left.items() if module not in ready}
    assert not left, f"these import each other: {sorted(left)}"


def test_metrics_never_touch_files_of_clips() -> None:
    for module, names in IMPORTS.items():
        if module.startswith("tkbench.metrics"):
            assert not {part_of(name) for name in names} & {"media", "shards"}, module


def test_only_media_runs_ffmpeg() -> None:
    for module, path in MODULES.items():
        if not module.startswith("tkbench.media"):
            text = path.read_text(encoding="utf-8")
            assert "import ffmpeg" not in text, module
            assert "imageio_ffmpeg" not in text, module


def test_librosa_is_loaded_in_turn() -> None:
    """By `tkbench.audio.load_librosa`, or processes crash each other as its kernels are compiled."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert module == "tkbench.audio" or not any(name.split(".")[0] == "librosa" for name in names), (
                module
            )


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
