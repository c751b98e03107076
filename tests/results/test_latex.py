"""Tables for papers: pasteable, bold by the test, and nothing from a bundle runs as LaTeX."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.bundles import MANY, make

from tkbench.errors import UsageError
from tkbench.report import page
from tkbench.results import bundle, latex, leaderboard
from tkbench.results.export import export
from tkbench.results.latex import Style


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Of twelve speakers: a and b cannot be told apart, c is clearly worse; real leads."""
    keys = sorted(MANY)
    even = {key: 3.0 + (i % 5) / 10 for i, key in enumerate(keys)}
    tilted = {key: value + (0.01 if i % 2 else -0.01) for i, (key, value) in enumerate(even.items())}
    make(
        tmp_path,
        "real",
        0,
        scores={k: v + 5 for k, v in even.items()},
        speakers=MANY,
        card={"anchor": True},
        psnr=99,
    )
    make(tmp_path, "a_1", 0, scores=even, speakers=MANY, psnr=30)
    make(tmp_path, "b", 0, scores=tilted, speakers=MANY, psnr=31)
    return make(tmp_path, "c", 0, scores={k: v - 2 for k, v in even.items()}, speakers=MANY, psnr=29).parent


def rows_of(text: str) -> dict[str, list[str]]:
    """Model -> cells of its line."""
    inner = text.split(r"\midrule")[1]
    lines = [line.removesuffix(r" \\").split(" & ") for line in inner.splitlines() if " & " in line]
    return {line[1]: line for line in lines}


def test_a_table_is_a_float_that_one_pastes(runs: Path) -> None:
    text = export(runs, "latex")
    assert text.startswith("% \\usepackage{booktabs}\n\\begin{table}[t]\n")
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[{}]", "", body)
    assert bare.count("{") == bare.count("}")
    assert re.search(r"(?<!\\)[_#]", re.sub(r"\\label\{.*?\}", "", body)) is None
    signature = bundle.find(runs)[0].result.signature
    assert latex.signature_hash(signature) in body
    assert rf"\label{{tab:{runs.name}}}" in body
    assert f"% Signature: {signature}" in text


def test_bold_is_the_best_and_who_the_test_does_not_part_from_it(runs: Path) -> None:
    rows = rows_of(export(runs, "latex", ["lse_c_synth", "psnr"]))
    assert {name for name, cells in rows.items() if "textbf" in cells[2]} == {r"a\_1", "b"}
    assert {name for name, cells in rows.items() if "textbf" in cells[3]} == {"b"}
    assert "textbf" not in rows["real (anchor)"][2]


def bold(text: str) -> set[str]:
    """Models whose LSE-C is bold."""
    return {name for name, cells in rows_of(text).items() if "textbf" in cells[2]}


def test_a_model_that_many_pairs_alone_call_level_is_not_bold(tmp_path: Path) -> None:
    """Three models are off on 7 of 12 speakers: p is 0.016 for each against the best, and 0.05 or more after Holm."""
    even = {key: 0.0 for key in MANY}
    off = {key: 3.0 * (speaker < "s07") for key, speaker in MANY.items()}
    for name, scores in (("best", even), ("as-good", even), *((f"mute{i}", off) for i in range(3))):
        folder = make(tmp_path, name, 0, scores=scores, speakers=MANY, better="zero")
    entries = leaderboard.ranked(bundle.find(folder.parent))
    found = entries[0].standing
    assert found is not None
    assert not found.too_few
    assert found.p["best", "mute0"] <= 0.05 < found.holm["best", "mute0"]
    assert bold(export(folder.parent, "latex", ["lse_c_synth"])) == {"best", "as-good"}
    shown = re.findall(r"<strong>([^<]*\(size[^<]*)</strong>", page.render(bundle.find(folder.parent)))
    assert shown == ["0.000 (size 0.000)"] * 2


def test_a_lag_that_no_test_parts_from_the_best_is_not_bold_outside_its_interval(tmp_path: Path) -> None:
    """A mute model's offset is anything: off by 20 on 3 of 12 speakers, where a sign-flip test has p 0.25."""
    even = {key: 0.0 for key in MANY}
    lost = {key: -20.0 * (speaker < "s03") for key, speaker in MANY.items()}
    for name, scores in (("best", even), ("as-good", even), ("mute", lost)):
        folder = make(tmp_path, name, 0, scores=scores, speakers=MANY, better="zero")
    found = leaderboard.ranked(bundle.find(folder.parent))[0].standing
    assert found is not None
    assert found.best({"best", "as-good", "mute"}) == {"best", "as-good", "mute"}
    assert bold(export(folder.parent, "latex", ["lse_c_synth"])) == {"best", "as-good"}


def test_too_few_speakers_make_nothing_bold_and_it_is_said(tmp_path: Path) -> None:
    for name, level in (("good", 3.0), ("poor", 1.0)):
        folder = make(tmp_path, name, level)
    text = export(folder.parent, "latex", ["lse_c_synth"])
    assert bold(text) == set()
    assert "none where so few speakers can show no order" in text
    assert text.count("3 speakers can show no order of 2 models: that takes 6.") == 2, (
        "in the table, and as a comment"
    )


@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_a_single_model_has_no_rank_and_nothing_bold(tmp_path: Path, form: str) -> None:
    make(tmp_path, "real", 5.0, speakers=MANY, card={"anchor": True})
    folder = make(tmp_path, "mine", 3.0, speakers=MANY)
    text = export(folder.parent, form, ["lse_c_synth", "psnr"])
    line = next(
        line for line in text.splitlines() if "mine" in line and "real" not in line and "only" not in line
    )
    assert "1" not in re.split(r"[&|]", line.strip("| "))[0]
    assert "textbf" not in text
    assert "mine is the only model of this table, so it has no rank." in text


def test_without_anchors_models_are_ranked_among_themselves(runs: Path) -> None:
    with_them, without = (
        rows_of(export(runs, "latex")),
        rows_of(export(runs, "latex", style=Style(anchors=False))),
    )
    assert set(with_them) - set(without) == {"real (anchor)"}
    assert with_them["c"][0].startswith("3"), "anchors take no rank"
    assert without["c"][0].startswith("3")
    alone = make(runs.parent / "alone", "real", 1.0, card={"anchor": True}).parent
    with pytest.raises(UsageError, match="every bundle is an anchor"):
        export(alone, "latex", style=Style(anchors=False))


def test_intervals_and_counts_are_as_chosen(runs: Path) -> None:
    cell = bundle.read(runs / "b").result.summary["lse_c_synth"]
    reach = max(cell.high - cell.mean, cell.mean - cell.low)
    shown = {
        "brackets": rf"{{\scriptsize [{cell.low:.3f}, {cell.high:.3f}]}}",
        "pm": rf"$\pm$ {reach:.3f}",
        "none": "",
    }
    for name, interval in shown.items():
        style = Style(intervals=name)  # type: ignore[arg-type]
        got = rows_of(export(runs, "latex", ["lse_c_synth"], style=style))["b"][2]
        assert got == rf"\textbf{{{cell.mean:.3f}}} {interval}".strip()
    counted = rows_of(export(runs, "latex", ["lse_c_synth"], style=Style(counts=True)))["b"][2]
    assert r"($n=36$)" in counted
    with pytest.raises(UsageError, match="brackets, pm, none"):
        Style(intervals="both")  # type: ignore[arg-type]


def test_caption_and_label_are_the_authors(runs: Path) -> None:
    text = export(runs, "latex", style=Style(caption=r"Ours \emph{leads}.", label="main"))
    assert r"\caption{Ours \emph{leads}.}" in text
    assert r"\label{tab:main}" in text
    with pytest.raises(UsageError, match="--label"):
        Style(label="a}b")
    with pytest.raises(UsageError, match="for --format latex"):
        export(runs, "markdown", style=Style(label="main"))


def test_no_name_of_a_bundle_runs(tmp_path: Path) -> None:
    folder = make(tmp_path, r"\input{x}%$", 1.0).parent
    text = export(folder, "latex")
    assert r"\textbackslash{}input\{x\}\%\$" in text
    assert r"\input" not in text.split("% ")[1]
