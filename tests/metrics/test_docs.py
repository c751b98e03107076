"""docs/metrics.md: its tables are whole and say what their scripts say; the claims hold where they can be measured."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import test_columns

from tkbench.scoring.sensitivity import Point
from tkbench.types import Column

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import monotone  # noqa: E402
import parity  # noqa: E402
from between import rewrite  # noqa: E402

SCORE = Column("ssim", "SSIM", "", "higher", 4)
ERROR = Column("lip_error_mesh", "Lip error", "", "lower", 2)


def part(name: str) -> str:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return text.split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0]


def curve(*means: float, why: str = "") -> list[Point]:
    return [Point("shift", i, "m", mean, 0, 0, 0, 0, 0, 1, 0, why) for i, mean in enumerate(means)]


@pytest.mark.parametrize(
    ("means", "column", "said"),
    [
        ((1.0, 0.9, 0.8), SCORE, "yes"),
        ((1.0, 0.8, 0.9), SCORE, "**no**"),
        ((1.0, 1.0, 0.9), SCORE, "**no**"),
        ((0.5, 0.0, 0.0), SCORE, "yes"),
        ((0.9, 1.0), SCORE, "**no**"),
        ((0.0, 0.0, 1.0), ERROR, "**no**, up to 3 frames"),
        ((0.0, 1.0, 2.0, 3.0, 2.5, 2.0), ERROR, "yes, up to 3 frames"),
        ((0.0, 1.0, 2.0, 1.5), ERROR, "**no**, up to 3 frames"),
    ],
)
def test_verdicts(means: tuple[float, ...], column: Column, said: str) -> None:
    assert monotone.verdict("shift", curve(*means), column) == said


def test_what_is_not_here_is_not_left_out() -> None:
    nothing = curve(float("nan"), float("nan"), why="weights-missing: run it")
    assert monotone.verdict("blur", nothing, SCORE) == "**weights missing**"


def test_the_document_has_every_claim_and_none_that_fails() -> None:
    table = part("monotone")
    for knob, columns in monotone.CLAIMS.items():
        assert f"**{knob}**" in table
        for column in columns:
            assert f"`{column}`" in table
    assert len(re.findall(r"^\| \| `", table, re.M)) == sum(map(len, monotone.CLAIMS.values()))
    assert "**no**" not in table


def test_the_document_has_every_parity_test_and_each_exists() -> None:
    table = part("parity")
    for row in parity.ROWS:
        file, _, name = row.test.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"`{row.test}`" in table


def test_the_document_names_every_metric_and_what_else_it_is_called() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for column in test_columns.columns():
        kind = test_columns.kind_of(column)
        assert f"`{kind}`" in text or f"`{kind}_" in text or kind.startswith(("lmd_", "lvd_")), kind
        for name in column.also_called:
            assert name in text, f"{column.label} is also called {name}"


def test_only_what_stands_between_the_marks_changes(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("one\n<!-- x -->\nold\n<!-- end of x -->\ntwo\n")
    for _ in range(2):
        rewrite(document, "x", "new\n")
        assert document.read_text() == "one\n<!-- x -->\n\nnew\n\n<!-- end of x -->\ntwo\n"
    with pytest.raises(SystemExit, match="one pair of marks"):
        rewrite(document, "y", "new")


@pytest.mark.slow
def test_every_metric_follows_the_fault_that_it_claims(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the corpus needs speech: pip install 'tkbench[synth]'")
    from tkbench.prep.run import prepare
    from tkbench.scoring import sensitivity
    from tkbench.synth.corpus import make_corpus

    make_corpus(tmp_path / "corpus", clips=6, speakers=6, seed=1, split="test")
    prepare(tmp_path / "corpus", tmp_path / "shards")
    result = sensitivity.measure(
        tmp_path / "shards", knobs=list(monotone.CLAIMS), protocol=monotone.RULES, workers=2
    )
    assert monotone.broken(result) == []
    missing = {
        line.split("`")[1] for line in monotone.table(result).splitlines() if "weights missing" in line
    }
    # What needs a weight that is not in the package; all others have a claim that was measured.
    assert missing <= {"lpips", "fid", "lse_c", "lse_d", "av_offset", "csim_aligned"}
    assert monotone.table(result).count("yes") >= 10
