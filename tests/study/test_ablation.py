"""`study ablation`: which trainings there are, what is called shown, and the whole way on toys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.toy_shards import make_shards
from typer.testing import CliRunner

from tkbench.cli import app
from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.models.face import Cut
from tkbench.models.wav2lip.expert import Expert
from tkbench.models.wav2lip.spec import ExpertSpec
from tkbench.runtime.words import in_list
from tkbench.scoring.clips import build_metrics
from tkbench.study import ablation, ablation_page
from tkbench.study.ablation import (
    AGAIN,
    MEASURES,
    OTHER_SEEDS,
    ROWS,
    SILENCE,
    WHOLE,
    AblationStudy,
    Budget,
    Scores,
    Unfinished,
    Work,
    compared,
    plan,
    study_ablation,
)
from tkbench.types import Column

SEEDS = (0, 1, 2)
COLUMNS = [c for c in build_metrics(ablation.measures("synth"), "cpu").columns if c.name in MEASURES]


def test_a_plan_has_equal_steps_and_shares_a_first_phase_where_that_is_fair() -> None:
    for model, shared in (
        ("synctalkface", {WHOLE, "no L_vv", "no L_av"}),
        ("cals", {WHOLE, "no d_av", "no d_vv"}),
    ):
        made = plan(model, SEEDS, Budget(40, 60))
        stages = {stage.name: stage for stage in made.stages}
        assert len(stages) == len(made.stages)
        rows = [WHOLE, AGAIN, *(row.name for row in ROWS[model])]
        assert set(made.networks) == {(row, seed) for row in rows for seed in SEEDS}
        for (row, seed), name in made.networks.items():
            last = stages[name]
            first = stages[last.start] if last.start else None
            assert last.config.steps + (first.config.steps if first else 0) == 100
            assert {last.config.seed, *([first.config.seed] if first else [])} == {
                seed + OTHER_SEEDS * (row == AGAIN)
            }
            assert (last.start == f"first-{seed}") == (row in shared)
            assert last.config.loss["pretrain"] == 0
            if first is not None:
                assert first.config.loss["pretrain"] == first.config.steps == 40
                assert list(stages).index(last.start or "") < list(stages).index(name)
    # What is left out is left out, and nothing else is another.
    whole, other = (stages[made.networks[row, 0]].config for row in (WHOLE, "no d_av"))
    assert other.loss["av"] == 0
    assert {**other.loss, "av": whole.loss["av"]} == whole.loss
    assert (other.net, other.data, other.optim) == (whole.net, whole.data, whole.optim)
    assert stages[made.networks["no context", 0]].config.net["voice"]["window"] == 0  # type: ignore[index]


def test_rows_that_nobody_knows_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean cals"):
        plan("calls", SEEDS, Budget())
    with pytest.raises(UsageError, match="no seed twice"):
        plan("cals", (1, 1), Budget())
    with pytest.raises(UsageError, match="at least 2 steps"):
        Budget(1, 60)
    assert Budget.of("cals").first + Budget.of("cals").drawn == ablation.load_config(None, "cals").steps


def drawn_scores(effects: dict[str, tuple[float, ...]]) -> Scores:
    """Scores of 36 clips of 12 people: a clip's own worth, a network's noise, and each row's effect by seed."""
    rng = np.random.default_rng(0)
    keys = [f"s{n // 3:02d}/c{n}" for n in range(36)]
    worth = rng.normal(size=(36, len(COLUMNS)))
    found: Scores = {}
    for row, each in effects.items():
        for seed, effect in zip(SEEDS, each, strict=True):
            values = worth + effect + 0.1 * rng.normal(size=worth.shape)
            frame = pd.DataFrame(values, columns=[c.name for c in COLUMNS], index=pd.Index(keys, name="key"))
            frame.insert(0, "speaker", [key[:3] for key in keys])
            found[row, seed] = frame
    return found


ROWS_OF_CALS = ["no context", "no masked learning", "no d_av", "no d_vv", SILENCE, AGAIN]


def study(effects: dict[str, tuple[float, ...]]) -> AblationStudy:
    gaps = compared(drawn_scores(effects), COLUMNS, ROWS_OF_CALS, SEEDS)
    return AblationStudy(
        "cals",
        "drawn",
        "0" * 64,
        "signature",
        SEEDS,
        Budget(),
        36,
        12,
        "cals-ablation",
        1.0,
        9.0,
        tuple(gaps),
    )


NOTHING = (0.0, 0.0, 0.0)
EFFECTS = {
    WHOLE: NOTHING,
    "no context": (-0.5, -0.4, -0.6),  # lower everywhere
    "no masked learning": NOTHING,
    "no d_av": (-0.6, 0.2, -0.5),  # the seeds do not agree
    "no d_vv": (0.3, 0.3, 0.3),
    SILENCE: (-3.0, -3.0, -3.0),
    AGAIN: NOTHING,
}


def turned(column: Column, value: float) -> bool:
    """Whether a change by `value` is for the worse."""
    return (value < 0) == (column.better == "higher")


def test_what_was_put_in_is_found_and_nothing_else() -> None:
    """Positive control: an effect in every seed. Negative: none, and one that the seeds do not agree on."""
    found = study(EFFECTS)
    for row in ROWS_OF_CALS:
        for gap in found.of(row):
            assert gap.shown() == (row in ("no context", "no d_vv", SILENCE)), (row, gap)
            np.testing.assert_allclose(gap.seeds, EFFECTS[row], atol=0.08)
            assert gap.paired.low <= gap.paired.mean <= gap.paired.high
    (gap, *_) = found.of("no context")
    assert gap.worse() == turned(gap.column, -0.5)
    # By the intervals over people alone, the row on which the seeds do not agree would be shown.
    assert all(gap.p <= 0.05 for gap in found.of("no d_av"))
    assert found.finding("no d_av") == found.finding("no masked learning") == "shows nothing"
    assert "no masked learning: shows nothing" in found.sentence()


def test_networks_that_differ_in_their_seeds_alone_show_nothing() -> None:
    """Every seed agrees and people agree, and still it may be chance: the whole networks are as far from each other."""
    chance = EFFECTS | {
        WHOLE: (0.4, 0.1, 0.3),
        AGAIN: (-0.3, -0.2, 0.2),
        "no masked learning": (-0.1, -0.2, -0.3),
        "no context": (-2.0, -2.2, -1.9),
    }
    found = study(chance)
    for gap in found.of("no masked learning"):
        assert gap.p <= 0.05 < gap.networks
        assert all(value < 0 for value in gap.seeds)
    assert found.finding("no masked learning") == "shows nothing"
    assert found.finding("no context") != "shows nothing"
    assert found.finding(AGAIN) == "shows nothing"
    # The six whole networks: 0.4, 0.1, 0.3, -0.3, -0.2, 0.2 and a little noise.
    (gap, *_) = found.of("no d_av")
    np.testing.assert_allclose(gap.spread, np.std([0.4, 0.1, 0.3, -0.3, -0.2, 0.2], ddof=1), atol=0.05)
    assert f"spread by {gap.spread:.3f} in {gap.column.label}" in ablation_page.facts(found)
    # A clip that one network has no score for is left out, and takes no finding away.
    scores = drawn_scores(chance)
    scores["no context", 1].iloc[3, 1:] = np.nan
    holed = replace(found, gaps=tuple(compared(scores, COLUMNS, ROWS_OF_CALS, SEEDS)))
    assert [g.shown() for g in holed.of("no context")] == [True] * len(COLUMNS)


def test_one_seed_shows_nothing_of_a_part() -> None:
    scores = {key: frame for key, frame in drawn_scores(EFFECTS).items() if key[1] == SEEDS[0]}
    gaps = compared(scores, COLUMNS, ROWS_OF_CALS, SEEDS[:1])
    found = replace(study(EFFECTS), seeds=SEEDS[:1], gaps=tuple(gaps))
    assert found.sentence().startswith("One seed shows nothing of a part")
    assert all(found.finding(row) == "shows nothing" for row in ROWS_OF_CALS if row != SILENCE)
    assert found.finding(SILENCE) != "shows nothing"


def test_a_control_that_fails_is_said() -> None:
    """And by which measure: that one is left out of all findings."""
    held = study(EFFECTS)
    # The effect above lowers every column, also those where that is better: by these silence is not worse.
    risen = [c for c in COLUMNS if c.better == "higher"]
    assert held.trusted() == [c.name for c in risen] != [c.name for c in COLUMNS]
    assert (
        f"Both controls hold by {', '.join(in_list(c.label) for c in risen)} and not by " in held.sentence()
    )
    assert all(gap.shown() for gap in held.of("no context"))
    assert held.finding("no context").count("[") == len(risen)

    scores = drawn_scores({row: NOTHING for row in EFFECTS})
    for seed in SEEDS:
        for column in COLUMNS:
            scores[SILENCE, seed][column.name] += -2.0 if column.better == "higher" else 2.0

    def again() -> AblationStudy:
        return replace(held, gaps=tuple(compared(scores, COLUMNS, ROWS_OF_CALS, SEEDS)))

    assert again().trusted() == [c.name for c in COLUMNS]
    assert "Both controls hold by every measure" in again().sentence()
    for seed in SEEDS:
        scores[AGAIN, seed][COLUMNS[0].name] += 1.0
    assert again().trusted() == [c.name for c in COLUMNS[1:]]
    for seed in SEEDS:
        for column in COLUMNS[1:]:
            scores[AGAIN, seed][column.name] += 1.0
    assert again().trusted() == []
    assert "A control fails by every measure" in again().sentence()


def test_the_page_has_every_row_with_its_finding(tmp_path: Path) -> None:
    found = study(EFFECTS)
    files = ablation_page.write(found, tmp_path)
    assert [f.name for f in files] == [f"ablation-cals.{end}" for end in ("csv", "svg", "md", "html")]
    table = pd.read_csv(files[0])
    assert len(table) == len(ROWS_OF_CALS) * len(COLUMNS)
    assert {"seed_0", "seed_1", "seed_2", "p_holm", "p_networks", "spread"} <= set(table)
    text, page = files[2].read_text(), files[3].read_text()
    for row in found.rows():
        assert f"| {row.name} | {row.meaning} |" in text
        assert f'<th scope="row" class="model">{row.name}</th>' in page
        assert found.finding(row.name) in page
    assert "Signature: `signature`" in text
    assert "<code>signature</code>" in page
    assert "seeds 0, 1, 2" in text
    assert files[1].read_text().count("<title>") == len(ROWS_OF_CALS) * len(COLUMNS)
    # A measure that does not see silence has no scale.
    deaf = replace(found, gaps=tuple(replace(g, p=1.0) if g.column == COLUMNS[0] else g for g in found.gaps))
    drawn = ablation_page.drawing(deaf)
    assert f">({COLUMNS[0].label})</text>" in drawn
    assert drawn.count("<title>") == len(ROWS_OF_CALS) * (len(COLUMNS) - 1)


TOY = """
model = "cals"
steps = 4
[cut]
recipe = "steady-172"
size = 64
[net]
width = 0.05
blend = true
[net.voice]
width = 0.0625
layers = 2
heads = 4
units = 24
window = 3
cut = true
[loss]
shape = 1.0
amplitude = 1.0
inside = 1.0
[data]
frames = 6
batch = 2
frames_per_window = 0
padded_sound = true
min_reference_gap = 5
"""


def test_a_study_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On toys: every training is a stage; a second call goes on, a third trains and scores nothing."""
    clips = {f"{name}/0": ("train", 30) for name in "abcd"} | {f"{name}/0": ("test", 12) for name in "xyz"}
    data = make_shards(tmp_path, clips)
    (tmp_path / "toy.toml").write_text(TOY)
    torch.manual_seed(0)
    net = Expert(ExpertSpec(size=64, width=0.05))
    expert = tmp_path / "expert.safetensors"
    spec = {"size": 64, "width": 0.05}
    checkpoint.save(expert, net.state_dict(), checkpoint.Facts("expert", spec, Cut("steady-172", 64)))
    asked: list[str] = []

    def scores(name: str, stage: str, work: Work, progress: object) -> tuple[pd.DataFrame, str]:
        asked.append(name)
        keys = pd.Index(["x/0", "y/0", "z/0"], name="key")
        frame = pd.DataFrame({c.name: [0.1, 0.2, 0.3] for c in COLUMNS}, index=keys)
        frame.insert(0, "speaker", ["x", "y", "z"])
        return frame, "signature"

    monkeypatch.setattr(ablation, "scored", scores)
    given = {"seeds": (0,), "budget": Budget(2, 3), "config": tmp_path / "toy.toml"}
    out = tmp_path / "study"
    some = study_ablation("cals", Work(data, out, expert, most=2), **given)  # type: ignore[arg-type]
    assert isinstance(some, Unfinished)
    assert str(some).startswith("7 of 9 trainings are left, ")
    assert sorted(f.name for f in (out / "stages").glob("*.safetensors")) == [
        "first-0.safetensors",
        "whole-0.safetensors",
    ]
    assert not asked
    found = study_ablation("cals", Work(data, out, expert), **given)  # type: ignore[arg-type]
    assert isinstance(found, AblationStudy)
    assert len(asked) == 7
    assert f"mute:cals:{out / 'stages' / 'whole-0.safetensors'}" in asked
    assert checkpoint.read_facts(out / "stages/no-context-0.safetensors").spec["voice"]["window"] == 0
    whole = checkpoint.read_facts(out / "stages/no-d-av-0.safetensors").training
    first = checkpoint.read_facts(out / "stages/first-0.safetensors").training
    assert [t["steps"] for t in whole["before"]] == [first["steps"]] == [2]
    assert all(found.finding(row.name) == "shows nothing" for row in found.rows())
    times = {f: f.stat().st_mtime_ns for f in (out / "stages").glob("*.safetensors")}
    again = study_ablation("cals", Work(data, out, expert), **given)  # type: ignore[arg-type]
    assert repr(again) == repr(found)  # from Python 3.13 on a nan within makes them unequal
    assert times == {f: f.stat().st_mtime_ns for f in (out / "stages").glob("*.safetensors")}
    with pytest.raises(UsageError, match="3 steps with seed 0, expected 4 with 0"):
        study_ablation(
            "cals", Work(data, out, expert), seeds=(0,), budget=Budget(2, 4), config=tmp_path / "toy.toml"
        )


def test_scores_are_kept_by_their_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_shards(tmp_path, {"x/0": ("test", 12)})
    weights = tmp_path / "stages" / "whole-0.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    calls: list[str] = []

    class Made:
        result = type("Result", (), {"signature": "s"})

        def clips(self) -> pd.DataFrame:
            rows = [("x/0", "x", name, float("nan") if name == MEASURES[0] else 0.5) for name in MEASURES]
            return pd.DataFrame(rows, columns=["key", "speaker", "metric", "value"])

    monkeypatch.setattr(ablation, "evaluate", lambda *given, **_: calls.append(given[1]))
    monkeypatch.setattr(ablation.bundle, "read", lambda _: Made())
    given = (f"cals:{weights}", "whole-0", Work(data, tmp_path), lambda *_: None)
    frame, signature = ablation.scored(*given)
    assert signature == "s"
    assert np.isnan(frame.loc["x/0", MEASURES[0]])
    assert frame.loc["x/0", MEASURES[1]] == 0.5
    pd.testing.assert_frame_equal(ablation.scored(*given)[0], frame)
    assert len(calls) == 1
    assert json.loads((tmp_path / "scores/whole-0.json").read_text())["clips"][0]["speaker"] == "x"
    weights.write_bytes(b"another")
    ablation.scored(*given)
    assert len(calls) == 2


def test_data_without_people_to_measure_on_are_refused(tmp_path: Path) -> None:
    data = make_shards(tmp_path, {"a/0": ("train", 30)})
    said = CliRunner().invoke(
        app, ["study", "ablation", "--model", "cals", "--data", str(data), "--out", str(tmp_path / "out")]
    )
    assert isinstance(said.exception, UsageError)
    assert "trains on train and measures on test" in str(said.exception)
