"""The players of a bundle: made while clips are scored, the same for any number of processes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.toy_shards import make_shards

from tkbench import media, models
from tkbench.models.base import ModelCard
from tkbench.protocol import MetricSpec, Protocol
from tkbench.results import bundle, proof
from tkbench.scoring import players
from tkbench.scoring.evaluate import evaluate
from tkbench.scoring.players import Player, PlayerPlan, Worst
from tkbench.types import Batch, Column, Generated

LSE = Column("lse_c", "LSE-C", "", "higher", 3)
LSE_D = Column("lse_d", "LSE-D", "", "lower", 3)
RULES = Protocol(
    name="toy", summary="", rank_by="psnr", metrics=(MetricSpec(name="psnr"), MetricSpec(name="cpbd"))
)
CLIPS = {f"s{i:02d}/c": ("test", 12) for i in range(9)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("toys"), CLIPS)


def order(plan: PlayerPlan, values: dict[str, float]) -> list[str]:
    return [key for _, key in sorted(plan.place(key, value) for key, value in values.items())]


def test_what_failed_comes_first_then_the_worst() -> None:
    values = {"a": 5.0, "b": 1.0, "c": math.nan, "d": 1.0}
    assert order(PlayerPlan(LSE), values) == ["c", "b", "d", "a"]
    assert order(PlayerPlan(LSE_D), values) == ["c", "a", "b", "d"]


def test_beside_the_true_video_a_hard_clip_is_no_fault_of_the_model() -> None:
    values = {"hard": 1.0, "easy": 5.0, "lost": 4.0, "unknown": 0.0}
    true = {"hard": 1.2, "easy": 5.1, "lost": 9.0, "unknown": math.nan}
    plan = players.plan(sorted(values), LSE, true)
    assert order(plan, values) == ["lost", "hard", "easy", "unknown"]
    # A task knows its own clips alone, and places them the same.
    for key, value in values.items():
        assert plan.of([key]).place(key, value) == plan.place(key, value)
    psnr = players.plan(["a", "b"], LSE, {"a": math.inf, "b": math.inf})
    assert order(psnr, {"a": math.inf, "b": 30.0}) == ["b", "a"]


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_worst_do_not_depend_on_who_scored_them(clips: list[tuple[float, int]]) -> None:
    plan = players.plan([f"k{i:02d}" for i in range(len(clips))], LSE, {})
    processes = [Worst(players.WORST) for _ in range(4)]
    made = [
        Player(f"k{i:02d}", place, b"", None)
        for i, (value, process) in enumerate(clips)
        if processes[process].takes(place := plan.place(f"k{i:02d}", value)) or f"k{i:02d}" in plan.shared
    ]
    alone = [
        Player(f"k{i:02d}", plan.place(f"k{i:02d}", value), b"", None) for i, (value, _) in enumerate(clips)
    ]
    assert players.chosen(made, plan) == players.chosen(alone, plan)


def test_few_players_are_made_of_many_clips() -> None:
    rng = np.random.default_rng(0)
    worst = Worst(4)
    taken = sum(worst.takes((float(value), str(i))) for i, value in enumerate(rng.normal(size=1000)))
    assert taken < 45  # 4 (1 + ln 250) = 26 on average


class Counted:
    """Darkens the true video, the later clips more; and counts how often it was asked for each clip."""

    card = ModelCard(name="counted", summary="Darker and darker.")
    asked: ClassVar[list[str]] = []

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        made = []
        for sample in batch.samples:
            Counted.asked.append(sample.key)
            made.append(Generated(sample.key, sample.video // (1 + list(CLIPS).index(sample.key))))
        return made


def test_no_clip_is_generated_twice_and_every_model_has_the_shared_clips(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "create", lambda name: Counted())
    Counted.asked.clear()
    found = bundle.read(evaluate(folder, "counted", protocol=RULES, out=tmp_path))
    assert sorted(Counted.asked) == sorted(CLIPS)
    keys = [preview.key for preview in found.result.previews]
    shared = [f"s{i * 9 // 6:02d}/c" for i in range(players.SHARED)]
    assert keys[: players.SHARED] == shared
    clips = found.clips()
    psnr = clips[clips["metric"] == "psnr"].set_index("key")["value"]
    worst = sorted(CLIPS, key=lambda key: psnr[key])[: players.WORST]
    assert keys[players.SHARED :] == [key for key in worst if key not in shared]
    assert len(keys) > players.SHARED
    monkeypatch.undo()
    still = bundle.read(evaluate(folder, "still", protocol=RULES, out=tmp_path))
    assert [preview.key for preview in still.result.previews][: players.SHARED] == shared
    proof.verify(found.folder)
    facts = media.probe(found.folder / found.result.previews[0].file)
    assert (facts.width, facts.height) == (2 * players.HEIGHT, players.HEIGHT)


def test_mouths_come_back_from_the_bundle_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mouths = {"b": rng.normal(size=(3, 6)), "a": rng.normal(size=(5, 6))}
    mouths["a"][:, 1] = math.nan
    table = bundle.mouth_table(mouths)
    assert list(table["key"]) == ["a"] * 5 + ["b"] * 3
    assert list(table["frame"]) == [0, 1, 2, 3, 4, 0, 1, 2]
    np.testing.assert_array_equal(
        table[list(bundle.MOUTH)].to_numpy(), np.concatenate([mouths["a"], mouths["b"]])
    )
