"""scripts/knobs.py: the tables of codecs and of the judge in docs/metrics.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tkbench import protocol
from tkbench.scoring.clips import build_metrics

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import knobs  # noqa: E402

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


def test_changes_values_and_reasons_stand_in_their_cells(tmp_path: Path) -> None:
    path = tmp_path / "pictures.csv"
    path.write_text(
        HEAD + LINES + "blur,0,ssim,1,nan,nan,0,nan,nan,1,0,\nblur,2,ssim,0.9,nan,nan,-0.1,nan,nan,1,0,\n"
    )
    found = knobs.tables(path)
    assert list(found) == ["video-codec", "blur"]
    assert found["video-codec"].splitlines() == [
        "| video-codec | `psnr` | `lse_c_synth` |",
        "|---|---|---|",
        "| as it is | ∞ | 0.15 |",
        "| h264-crf23 | 38.25 | -0.012 |",
        "| av1-crf35 | encoder-missing | encoder-missing |",
        "",
        "2 clips.",
    ]
    assert found["blur"].splitlines()[2:] == ["| 0 | 1 |", "| 2 | -0.10 |", "", "1 clip."]


def test_each_table_goes_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, document = tmp_path / "pictures.csv", tmp_path / "metrics.md"
    path.write_text(HEAD + LINES)
    document.write_text("before\n<!-- knob video-codec -->\nold\n<!-- end of knob video-codec -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["knobs.py", str(path), "--write", str(document)])
    knobs.main()
    text = document.read_text()
    assert "| h264-crf23 | 38.25 | -0.012 |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_another_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text("model,lse_c\nreal,1\n")
    with pytest.raises(SystemExit, match="the CSV that tkbench sensitivity writes"):
        knobs.tables(path)


@pytest.mark.parametrize("name", ["pictures", "sound", "judge"])
def test_the_protocols_of_the_tables_load(name: str) -> None:
    rules = protocol.load(ROOT / "examples" / "sensitivity" / f"{name}.toml")
    assert rules.stats.n_boot == 200
    assert build_metrics(rules).columns
