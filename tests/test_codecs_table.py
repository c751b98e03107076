"""scripts/codecs.py: the tables of codecs in docs/metrics.md."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "codecs.py"
HEAD = "knob,value,metric,mean,low,high,change,change_low,change_high,n,n_unscored,why\n"
LINES = (
    "video-codec,as it is,psnr,inf,nan,nan,nan,nan,nan,2,0,\n"
    "video-codec,h264-crf23,psnr,38.25,nan,nan,-inf,nan,nan,2,0,\n"
    "video-codec,av1-crf35,psnr,nan,nan,nan,nan,nan,nan,0,2,encoder-missing\n"
    "video-codec,as it is,lse_c_synth,0.15,nan,nan,0,nan,nan,2,0,\n"
    "video-codec,h264-crf23,lse_c_synth,0.138,nan,nan,-0.012,nan,nan,2,0,\n"
    "video-codec,av1-crf35,lse_c_synth,nan,nan,nan,nan,nan,nan,0,2,encoder-missing\n"
    "video-codec,as it is,lse_c,nan,nan,nan,nan,nan,nan,0,2,weights-missing\n"
    "video-codec,h264-crf23,lse_c,nan,nan,nan,nan,nan,nan,0,2,weights-missing\n"
    "video-codec,av1-crf35,lse_c,nan,nan,nan,nan,nan,nan,0,2,weights-missing\n"
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("codecs_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_changes_values_and_reasons_stand_in_their_cells(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "pictures.csv"
    path.write_text(HEAD + LINES)
    assert script.table(path).splitlines() == [
        "| codec | `psnr` | `lse_c_synth` |",
        "|---|---|---|",
        "| as it is | ∞ | 0.15 |",
        "| h264-crf23 | 38.25 | -0.012 |",
        "| av1-crf35 | encoder-missing | encoder-missing |",
        "",
        "2 clips.",
    ]


def test_the_csv_of_another_knob_is_refused(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "blur.csv"
    path.write_text(HEAD + "blur,0,psnr,inf,nan,nan,nan,nan,nan,2,0,\n")
    with pytest.raises(SystemExit, match="expected the CSV of one knob"):
        script.table(path)
