"""Tables: order, honesty about what is missing, and formats that read back."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import pytest
from support.bundles import MANY, SPEAKERS, make

from tkbench.errors import BadBundle, UnknownName, UsageError
from tkbench.results import board, bundle, latex, leaderboard
from tkbench.results.export import export


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make(tmp_path, "real", 5.0, card={"anchor": True}, psnr=math.inf)
    make(tmp_path, "mine", 3.0)
    make(tmp_path, "gaps", 9.0, missing=["s0/c0", "s1/c1"])
    make(tmp_path, "=1+1", 1.0)
    return make(tmp_path, "worse", 2.0, missing=[]).parent


def test_rank_follows_the_metric_and_gaps_are_not_ranked(runs: Path) -> None:
    entries = leaderboard.ranked(bundle.find(runs))
    assert [(e.rank, e.result.model) for e in entries] == [
        (None, "real"),
        (1, "mine"),
        (2, "worse"),
        (3, "=1+1"),
        (None, "gaps"),
    ]
    assert [e.note == "" for e in entries] == [True, True, True, True, False]
    assert entries[0].anchor
    assert "coverage 78% is below 90%" in entries[-1].note


def test_nobody_gains_by_failing_on_hard_clips(tmp_path: Path) -> None:
    """The same scores without the two worst clips have the higher mean, and the same rank."""
    whole = scores_of(tmp_path, "whole", [1.0, 2.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], least=0.1)
    picky = scores_of(tmp_path, "picky", [math.nan, 2.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], least=0.1)
    worse = scores_of(tmp_path, "worse", [4.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], least=0.1)
    rows = [bundle.read(folder) for folder in (picky, whole, worse)]
    assert rows[0].result.summary["lse_c_synth"].mean > rows[1].result.summary["lse_c_synth"].mean
    entries = leaderboard.ranked(rows)
    assert [(e.rank, e.result.model) for e in entries] == [(1, "picky"), (1, "whole"), (3, "worse")]
    assert entries[0].ranks == entries[1].ranks
    nothing = scores_of(tmp_path, "nothing", [3.0, *(8 * [math.nan])], least=0.1)
    with pytest.raises(BadBundle, match="no clip has a score for each of nothing, picky"):
        leaderboard.ranked([bundle.read(nothing), bundle.read(picky)])


def test_a_model_that_leaves_out_its_hardest_clips_does_not_lead(tmp_path: Path) -> None:
    """Its mean is the highest, and on the clips that both have the other is clearly better: ranks say so."""
    keys = sorted(MANY)
    hard = keys[:3]
    even = {key: 1.0 if key in hard else 5.0 for key in keys}
    make(tmp_path, "whole", 0.0, scores=even, speakers=MANY)
    picky = make(
        tmp_path, "picky", 0.0, scores={k: v - 0.1 for k, v in even.items()}, missing=hard, speakers=MANY
    )
    rows = bundle.find(picky.parent)
    assert rows[0].result.summary["lse_c_synth"].mean > rows[1].result.summary["lse_c_synth"].mean
    entries = leaderboard.ranked(rows)
    assert [(e.rank, e.ranks, e.result.model) for e in entries] == [
        (1, (1, 1), "whole"),
        (2, (2, 2), "picky"),
    ]
    said = export(picky.parent, "markdown")
    assert "compared on the 33 of 36 clips that each has a score for" in said


def test_speakers_that_count_alike_and_one_that_brings_most_are_remarked_on(tmp_path: Path) -> None:
    speakers = {f"a/{i:02d}": "a" for i in range(20)} | {f"s{i}/0": f"s{i}" for i in range(10)}
    scores = {
        key: 1.0 if speaker == "a" else 3.0 + int(speaker[1:]) / 10 for key, speaker in speakers.items()
    }
    folder = make(tmp_path, "m", 0.0, scores=scores, speakers=speakers)
    cell = bundle.read(folder).result.summary["lse_c_synth"]
    assert cell.mean == pytest.approx((20 + 34.5) / 30)
    assert cell.cluster_mean == pytest.approx((1 + 34.5) / 11)
    assert cell.largest_share == pytest.approx(2 / 3)
    said = export(folder.parent, "markdown")
    assert "One speaker brings 66 % of the clips" in said
    assert "m LSE-C 3.227 (of clips 1.817)" in said
    even = export(make(tmp_path / "even", "m", 1.0, speakers=MANY).parent, "markdown")
    assert "brings" not in even
    assert "counted once" not in even


def test_where_zero_is_best_sizes_count(tmp_path: Path) -> None:
    """+5 and -5 are worse than a steady 1, though their mean is nearer to 0."""
    keys = sorted(MANY)
    swing = dict(zip(keys, 9 * [5.0, -5.0, 4.0, -4.0], strict=True))
    wild = make(tmp_path, "wild", 0.0, scores=swing, better="zero", speakers=MANY)
    steady = make(tmp_path, "steady", 0.0, scores=dict.fromkeys(keys, 1.0), better="zero", speakers=MANY)
    entries = leaderboard.ranked([bundle.read(wild), bundle.read(steady)])
    assert [(e.rank, e.ranks, e.result.model) for e in entries] == [
        (1, (1, 1), "steady"),
        (2, (2, 2), "wild"),
    ]
    table = pd.read_csv(io.StringIO(leaderboard.to_csv(entries)))
    assert table["lse_c_synth_size"].tolist() == pytest.approx([1, 4.5], abs=1e-5)
    column = entries[0].result.columns[0]
    cells = [entry.result.summary[column.name] for entry in entries]
    assert leaderboard.goodness(cells[0], column) > leaderboard.goodness(cells[1], column)


def scores_of(
    out: Path, model: str, values: list[float], *, better: str = "higher", least: float = 0.9
) -> Path:
    """A bundle with these scores, nan for none."""
    keys = sorted(SPEAKERS)
    return make(
        out,
        model,
        0.0,
        scores=dict(zip(keys, values, strict=True)),
        missing=[key for key, value in zip(keys, values, strict=True) if math.isnan(value)],
        better=better,
        coverage_min=least,
    )


def test_intervals_say_what_they_are_drawn_over(runs: Path) -> None:
    """Three speakers of nine clips; where each clip is its own cluster, no speaker is claimed."""
    result = bundle.find(runs)[0].result
    assert leaderboard.clusters_of(result) == "speakers"
    assert "intervals over speakers" in export(runs, "markdown")
    alone = {name: cell.model_copy(update={"n_clusters": cell.n}) for name, cell in result.summary.items()}
    assert leaderboard.clusters_of(result.model_copy(update={"summary": alone})) == "clips"


def test_csv_reads_back(runs: Path, tmp_path: Path) -> None:
    folders = [row.folder for row in bundle.find(runs)]
    path = board.publish(folders, tmp_path / "boards").tables[0]
    assert path.name == f"{runs.name}.csv"
    table = pd.read_csv(path)
    assert list(table["model"]) == ["real", "mine", "worse", "'=1+1", "gaps"]
    assert table["psnr"][0] == math.inf
    assert table["fid"].isna().all()
    assert (table["fid_status"] == "unscored: weights-missing").all()
    assert table["lse_c_synth_status"].iloc[-1] == "2 unscored: 2 not-generated"
    assert (table["lse_c_synth_low"] < table["lse_c_synth"]).all()
    assert (table["lse_c_synth_level"] == 0.75).all()
    assert table["lse_c_synth_speakers"][:4].tolist() == pytest.approx(table["lse_c_synth"][:4].tolist())
    assert table["coverage"].iloc[-1] == pytest.approx(7 / 9, abs=1e-5)
    assert table["signature"].nunique() == 1
    assert sorted(item.name for item in path.parent.iterdir()) == [".lock", "rows", path.name]
    assert (table["tier"] == "measured").all()
    again = board.publish(folders[::-1], tmp_path / "again").tables[0]
    assert path.read_bytes() == again.read_bytes()


def test_different_signatures_never_share_a_table(tmp_path: Path) -> None:
    one = make(tmp_path, "a", 1.0, signature="test-v1|n:9|x")
    two = make(tmp_path, "b", 1.0, signature="test-v1|n:8|x")
    assert one.parent != two.parent
    with pytest.raises(BadBundle, match=r"'n:8'.*'n:9'"):
        leaderboard.ranked([bundle.read(one), bundle.read(two)])


def test_different_data_never_share_a_table(tmp_path: Path) -> None:
    one, two = make(tmp_path, "a", 1.0), make(tmp_path, "b", 1.0)
    path = two / "result.json"
    path.write_text(path.read_text().replace("0" * 64, "f" * 64))
    with pytest.raises(BadBundle, match="data_hash is ffff"):
        leaderboard.ranked([bundle.read(one), bundle.read(two)])


def test_a_name_cannot_break_a_table(tmp_path: Path) -> None:
    folder = make(tmp_path, "a|<b>&_%", 1.0).parent
    assert r"a\|&lt;b>&_%" in export(folder, "markdown")
    assert r"a\textbar{}\textless{}b\textgreater{}\&\_\%" in export(folder, "latex")


def test_a_model_comes_once(runs: Path) -> None:
    again = bundle.read(runs / "mine")
    with pytest.raises(BadBundle, match="mine"):
        leaderboard.ranked([*bundle.find(runs), again])


def test_markdown_and_latex_hold_every_model_and_the_signature(runs: Path) -> None:
    markdown = export(runs, "markdown")
    assert "|  | real (anchor) |" in markdown
    assert "∞" in markdown
    assert "unscored: weights-missing" in markdown
    assert "(n=7/9)" in markdown
    printed = export(runs, "latex")
    assert r"$\infty$" in printed
    assert printed.count(r"\\") == 6 + 4
    assert "FID: unscored: weights-missing." in printed
    assert r"\footnotesize 3 speakers can show no order of 4 models" in printed.split(r"\bottomrule")[0]
    assert r"gaps is not ranked: coverage 78\% is below 90\%." in printed.split(r"\bottomrule")[0]
    for text in (markdown, printed):
        # Three speakers: no interval of 95 %, and no order of four models.
        assert "3 speakers can show no order of 4 models: that takes 8." in text
    assert "; 75 %]" in markdown
    assert "Fewer than 6 speakers have no 95 % interval" in markdown
    for text in (markdown, printed, export(runs, "csv")):
        assert "test-v1|n:9" in text
    with pytest.raises(UsageError, match="markdown"):
        export(runs, "docx")


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_printed_tables_hold_the_columns_asked_for_in_that_order(runs: Path, form: str) -> None:
    """The signature stays whole: it is that of the run."""
    columns = bundle.find(runs)[0].result.columns
    last, first = columns[-1], columns[0]
    text = export(runs, form, [last.name, first.name])
    labels = [latex.tex(c.label) if form == "latex" else c.label for c in (last, first)]
    head = next(line for line in text.splitlines() if "Model" in line)
    assert head.index(labels[0]) < head.index(labels[1])
    assert head.count("&" if form == "latex" else "|") == (3 if form == "latex" else 5)
    assert "test-v1|n:9" in text
    with pytest.raises(UnknownName, match=first.name):
        export(runs, form, [first.name[:-1]])
    with pytest.raises(UsageError, match="always whole"):
        export(runs, "csv", [first.name])


def test_an_empty_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="no result bundle"):
        export(tmp_path, "csv")
