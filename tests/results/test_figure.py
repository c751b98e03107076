"""Figures of a table: what is drawn where, and files that other programs can read."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from support.bundles import MANY, make

from tkbench.errors import BadBundle, UsageError
from tkbench.results import bundle, figure, leaderboard
from tkbench.results.leaderboard import Entry


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    make(tmp_path, "real", 8.0, speakers=MANY, card={"anchor": True}, psnr=math.inf)
    make(tmp_path, "a<b>(c)\\", 3.0, speakers=MANY)
    folder = make(tmp_path, "a model with a name that goes on", 5.0, speakers=MANY)
    return leaderboard.ranked(bundle.find(folder.parent))


def test_dots_stand_where_the_ticks_say(entries: list[Entry]) -> None:
    column = entries[0].result.columns[0]
    marks = figure.draw(entries, column).marks
    dots = [mark for mark in marks if isinstance(mark, figure.Dot)]
    ticks = [mark for mark in marks if isinstance(mark, figure.Text) and re.fullmatch(r"[\d.]+", mark.text)]
    (x1, v1), (x2, v2) = ((tick.x, float(tick.text)) for tick in (ticks[0], ticks[-1]))
    for entry, dot in zip(entries, dots, strict=True):
        mean = entry.result.summary[column.name].mean
        assert v1 + (dot.x - x1) / (x2 - x1) * (v2 - v1) == pytest.approx(mean, abs=1e-9)
    bars = [mark for mark in marks if isinstance(mark, figure.Line) and mark.width == 1.2]
    assert len(bars) == len(dots)
    assert all(bar.x1 < dot.x < bar.x2 for bar, dot in zip(bars, dots, strict=True))
    assert [dot.color for dot in dots] == [figure.GREY, figure.BLACK, figure.BLACK]
    assert any(mark.text.endswith("...") for mark in marks if isinstance(mark, figure.Text))


def test_what_is_not_finite_is_left_out(entries: list[Entry]) -> None:
    psnr, fid = entries[0].result.columns[1:]
    names = [mark.text for mark in figure.draw(entries, psnr).marks if isinstance(mark, figure.Text)]
    assert "real (anchor)" not in names
    with pytest.raises(BadBundle, match="nothing to draw"):
        figure.draw(entries, fid)


def test_an_svg_is_xml(entries: list[Entry], tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    figure.write(figure.draw(entries, entries[0].result.columns[0]), path)
    root = ElementTree.fromstring(path.read_text())
    texts = [item.text for item in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a<b>(c)\\" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3


def test_a_pdf_has_its_objects_where_its_table_says(entries: list[Entry]) -> None:
    data = figure.to_pdf(figure.draw(entries, entries[0].result.columns[0]))
    start = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert data[start:].startswith(b"xref\n0 6\n")
    places = [int(line.split()[0]) for line in data[start:].split(b"\n")[3:8]]
    assert [data[place:].split(b"\n")[0] for place in places] == [b"%d 0 obj" % i for i in range(1, 6)]
    length = int(re.search(rb"/Length (\d+)", data)[1])  # type: ignore[index]
    stream = data.split(b"stream\n", 1)[1]
    assert stream[length:].startswith(b"\nendstream")
    assert rb"(a<b>\(c\)\\) Tj" in stream
    assert stream.count(b" c f\n") + stream.count(b" c f") >= 3


def test_other_formats_are_refused(entries: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.svg or \.pdf"):
        figure.write(figure.draw(entries, entries[0].result.columns[0]), tmp_path / "a.png")
