"""`study context` finds the reach that the articulation has, and none where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.toy_shards import make_shards
from typer.testing import CliRunner

from tkbench.cli import app
from tkbench.errors import UsageError
from tkbench.study import context, context_page
from tkbench.study.context import ContextStudy, Point, Utterance, study_context
from tkbench.study.frames import LETTERS
from tkbench.synth import reach as synth_reach
from tkbench.synth.articulation import Style
from tkbench.synth.reach import reach
from tkbench.synth.visemes import letters_at
from tkbench.types import Float64, Word

WINDOWS = (0, 2, 3, 4, 5, 6, 10)


def utterance(seed: int, speaker: str, split: str) -> Utterance:
    """Phonemes drawn at random, with the lengths that they have in speech."""
    rng = np.random.default_rng(seed)
    words, time = [], 0.2
    while time < 3.6:
        length = float(rng.uniform(0.05, 0.14))
        words.append(Word(str(rng.choice(LETTERS[:-1])), time, time + length))
        time += length
    frames = 100
    letters = np.array([LETTERS.index(x) for x in letters_at(tuple(words), synth_reach.middles(frames))])
    nothing = np.zeros((frames, 8), np.float32)
    return Utterance(speaker, split, tuple(words), letters, nothing, nothing)


@pytest.fixture(scope="module")
def spoken() -> list[Utterance]:
    return [utterance(n, f"s{n % 10}", "test" if n % 10 < 3 else "train") for n in range(70)]


class Shards:
    dataset, data_hash = "drawn", "0" * 64


@pytest.fixture(scope="module")
def found(spoken: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> ContextStudy:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "utterances", lambda data: (Shards(), spoken))
        return study_context(
            Path("drawn"),
            tmp_path_factory.mktemp("context"),
            windows=WINDOWS,
            seeds=(0,),
            curves=("phonemes slow", "phonemes none"),
            steps=250,
        )


def test_the_reach_is_recovered_within_a_frame(found: ContextStudy) -> None:
    """The positive control: sounds that blend far, told by their exact phonemes."""
    true, told = reach(found.mean("truth slow")), reach(found.mean("phonemes slow"))
    assert true >= 4
    assert abs(true - told) <= 1
    assert found.mean("phonemes slow")[10] > 0.6


def test_no_context_helps_where_there_is_none(found: ContextStudy) -> None:
    """The negative control: a mouth that is its phoneme's and nothing else."""
    curve = found.mean("phonemes none")
    assert reach(curve) == 0
    assert curve[0] > 0.98


def test_a_slow_mouth_reaches_farther_than_a_quick_one(found: ContextStudy) -> None:
    assert reach(found.mean("truth slow")) > reach(found.mean("truth"))
    for name in ("truth", "truth slow"):
        values = list(found.mean(name).values())
        assert values == sorted(values)
        assert values[-1] > 0.99


def test_the_truth_within_everything_is_the_whole_truth(spoken: list[Utterance]) -> None:
    made = context.truth_within(spoken[0], 200, Style())
    np.testing.assert_allclose(made, context.articulated(spoken[0], Style()), atol=1e-6)


def test_reach_is_the_first_window_with_nearly_all_of_the_gain() -> None:
    assert reach({0: 0.0, 1: 0.94, 2: 0.96, 8: 1.0}) == 2
    assert reach({0: 0.5, 1: 0.5, 8: 0.505}) == 0
    assert reach({0: 0.0, 8: 1.0}) == 8


def test_a_window_is_cut_from_its_neighbours_and_nothing_else() -> None:
    slices = np.arange(5, dtype=np.float32)[:, None]
    cut = context.windowed(slices, 1)[..., 0]
    assert cut.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4]]
    assert context.windowed(slices, 0)[..., 0].tolist() == [[0], [1], [2], [3], [4]]


def test_explained_is_one_for_the_truth_and_none_for_the_mean() -> None:
    true: Float64 = np.random.default_rng(0).normal(size=(200, 3))
    assert synth_reach.explained(true, true) == 1.0
    assert synth_reach.explained(true, np.broadcast_to(true.mean(axis=0), true.shape)) == pytest.approx(0.0)


def test_finished_points_are_kept(
    spoken: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "utterances", lambda data: (Shards(), spoken))
    few = {"windows": (0, 1), "seeds": (0,), "curves": ("phonemes",), "steps": 5}
    first = study_context(Path("drawn"), tmp_path, **few)  # type: ignore[arg-type]

    def never(*_: object, **__: object) -> list[object]:
        raise AssertionError("trained again")

    monkeypatch.setattr(context, "trained", never)
    assert study_context(Path("drawn"), tmp_path, **few) == first  # type: ignore[arg-type]
    record = json.loads((tmp_path / "context-points.json").read_text())
    assert len(record["points"]) == len(first.points) == 2 + 4
    with pytest.raises(AssertionError, match="trained again"):
        study_context(Path("drawn"), tmp_path, **(few | {"steps": 6}))  # type: ignore[arg-type]


def test_the_page_shows_every_curve(found: ContextStudy, tmp_path: Path) -> None:
    files = context_page.write(found, tmp_path)
    assert [file.name for file in files] == ["context.csv", "context.svg", "context.md", "context.html"]
    assert set(pd.read_csv(files[0]).curve) == {"truth", "truth slow", "phonemes slow", "phonemes none"}
    text = files[3].read_text()
    for name in found.names():
        assert f'<th scope="row" class="model">{name}</th>' in text
    assert found.sentence() in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert found.sentence() in files[2].read_text()


def test_where_nobody_knows_what_is_said_sound_alone_is_measured(tmp_path: Path) -> None:
    clips = {f"{p}/{n}": ("train" if p in "ab" else "test", 60) for p in "abcd" for n in range(2)}
    source = make_shards(tmp_path, clips)
    out = tmp_path / "study"
    said = CliRunner().invoke(
        app,
        ["study", "context", "--data", str(source), "--out", str(out), "--seeds", "1", "--steps", "3"],
    )
    assert said.exit_code == 0, said.output
    table = pd.read_csv(out / "context.csv")
    assert set(table.curve) == {"sound"}
    assert (out / "context.html").is_file()


def test_too_few_speakers_are_refused(
    spoken: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        context, "utterances", lambda data: (Shards(), [c for c in spoken if c.speaker in ("s1", "s5")])
    )
    with pytest.raises(UsageError, match="two to train on and two others"):
        study_context(Path("drawn"), tmp_path)


def test_a_point_comes_back_from_its_file(tmp_path: Path) -> None:
    kept = context._Kept(tmp_path / "x.json", "about")
    kept.add(Point("sound", 2, 0, 0.5, 0.4, 0.6))
    assert context._Kept(tmp_path / "x.json", "about").get("sound", 2, 0) == Point(
        "sound", 2, 0, 0.5, 0.4, 0.6
    )
    assert context._Kept(tmp_path / "x.json", "other").get("sound", 2, 0) is None
