"""Comparisons as a terminal shows them: two models are one table, and what has no score is named beneath it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console
from support.bundles import MANY, make

from tkbench.results import bundle
from tkbench.results.compare import compare, rich_tables


def shown(*folders: Path, width: int) -> list[str]:
    """The lines of a comparison."""
    console = Console(width=width, record=True, file=StringIO())
    for part in rich_tables(compare([bundle.read(folder) for folder in folders]), level=0.95, width=width):
        console.print(part)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_two_models_are_one_table_with_a_line_for_each_metric(tmp_path: Path) -> None:
    pair = make(tmp_path, "one", 3.0, speakers=MANY), make(tmp_path, "other", 9.0, speakers=MANY, psnr=20.0)
    for width, best in ((60, ("b", "a")), (80, ("other", "one"))):
        lines = shown(*pair, width=width)
        assert max(map(len, lines)) <= width
        assert lines[0].startswith("a: one, b: other. ")
        assert sum("interval" in line and "metric" in line for line in lines) == 1
        (lse,) = (line for line in lines if line.startswith(" LSE-C "))
        (psnr,) = (line for line in lines if line.startswith(" PSNR "))
        assert (lse.split()[-1], psnr.split()[-1]) == best
        assert not any("Holm" in line for line in lines)  # one pair: nothing is corrected
    assert any("other" in line for line in shown(*pair, width=140)[3:])


def test_a_metric_without_a_score_is_a_note_and_no_row(tmp_path: Path) -> None:
    pair = (
        make(tmp_path, "one", 3.0, speakers=MANY),
        make(tmp_path, "other", 9.0, speakers=MANY, missing=[*MANY]),
    )
    lines = shown(*pair, width=80)
    assert not any(line.startswith((" LSE-C", " PSNR")) for line in lines)
    assert "no clip has a score of both" in lines  # of all metrics, so none is named
    assert not any("in brackets" in line or "can show no order" in line for line in lines)
