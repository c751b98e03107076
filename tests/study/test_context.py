"""`study context` finds the reach that the articulation has, and none where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.toy_shards import make_shards
from typer.testing import CliRunner

from tkbench.cli import app
from tkbench.errors import UsageError
from tkbench.metrics.voicefeatures import log_mel
from tkbench.study import context, context_data, context_nets, context_page
from tkbench.study.context import ContextStudy, study_context
from tkbench.study.context_data import Slices, Task, Utterance, heard
from tkbench.study.context_points import Kept, Point, Sums, resampled
from tkbench.study.frames import LETTERS
from tkbench.synth import reach as synth_reach
from tkbench.synth.articulation import Articulation, Style
from tkbench.synth.reach import explained, reach
from tkbench.synth.visemes import letters_at
from tkbench.types import Float64, Word

WINDOWS = (0, 2, 4, 10)
OWN = Style(sluggishness=0.8)


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
    # Sound that tells the phoneme, poorly; a mouth that is half its phoneme's, half that of three frames before.
    told = context_data.one_hot(letters) + rng.normal(scale=0.3, size=(frames, len(LETTERS)))
    alone = context_data._alone()[letters]
    mouth = 0.5 * alone + 0.5 * np.roll(alone, 3, axis=0)
    sound = Slices.of(told.astype(np.float32))
    return Utterance(speaker, split, tuple(words), OWN, letters, sound, mouth.astype(np.float32))


@pytest.fixture(scope="module")
def spoken() -> list[Utterance]:
    return [utterance(n, f"s{n % 10}", "test" if n % 10 < 3 else "train") for n in range(50)]


class Shards:
    dataset, data_hash = "drawn", "0" * 64


@pytest.fixture(scope="module")
def found(spoken: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> ContextStudy:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "utterances", lambda data: (Shards(), spoken, True))
        return study_context(
            Path("drawn"),
            tmp_path_factory.mktemp("context"),
            windows=WINDOWS,
            seeds=(0,),
            curves=("phonemes slow", "phonemes none"),
            steps=250,
        )


@pytest.fixture(scope="module")
def listened(spoken: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> ContextStudy:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "utterances", lambda data: (Shards(), spoken, True))
        return study_context(
            Path("drawn"),
            tmp_path_factory.mktemp("listened"),
            windows=(0, 2, 6),
            seeds=(0,),
            curves=("sound", "recognition"),
            steps=200,
        )


def test_the_reach_is_recovered_within_a_frame(found: ContextStudy) -> None:
    """The positive control: sounds that blend far, told by their exact phonemes."""
    true, told = found.reach("truth slow"), found.reach("phonemes slow")
    assert true.frames >= 4
    assert abs(true.frames - told.frames) <= 1
    assert told.low <= told.frames <= told.high
    assert told.seeds == (told.frames,)
    assert true.seeds == ()
    assert found.mean("phonemes slow")[10] > 0.6
    assert found.failures() == []


def test_no_context_helps_where_there_is_none(found: ContextStudy) -> None:
    """The negative control: a mouth that is its phoneme's and nothing else."""
    assert found.reach("phonemes none").frames == 0
    assert found.mean("phonemes none")[0] > 0.98
    assert sorted(found.mean("phonemes none")) == list(WINDOWS)


def test_a_slow_mouth_reaches_farther_than_a_quick_one(found: ContextStudy) -> None:
    assert found.reach("truth slow").frames > found.reach("truth").frames
    for name in ("truth", "truth slow"):
        values = list(found.mean(name).values())
        assert values == sorted(values)
        assert values[-1] > 0.98


def test_every_window_around_the_knee_is_measured(found: ContextStudy) -> None:
    for name in ("truth slow", "phonemes slow"):
        n = found.reach(name).frames
        # Where the reach is one of the refined windows, the one below it was measured and is too small.
        assert {n - 1, n} <= set(found.mean(name))


def test_the_excess_is_what_recognition_does_not_explain(listened: ContextStudy) -> None:
    """Half of the mouth belongs to the phoneme of three frames before: nobody knows it from the frame's own."""
    sound, recognised, excess = (listened.mean(name) for name in ("sound", "recognised", "excess"))
    for n, value in excess.items():
        assert value == pytest.approx(sound[n] - sound[0] - recognised[n] + recognised[0])
    assert set(excess) == set(sound)
    assert excess[2] < 0.06
    assert excess[6] > 0.08
    assert 2 < listened.reach("excess").frames <= 4
    recognition = listened.mean("recognition")
    assert recognition[2] > recognition[0] + 0.05
    assert recognised[2] > recognised[0] + 0.03


def test_the_truth_is_of_the_corpus_own_style(spoken: list[Utterance]) -> None:
    """The fault that was: a corpus of slow mouths was measured against quick ones."""
    whole = context_data.truth_within(spoken[0], 200, 1.0)
    mine = context_data.articulated(spoken[0], 1.0)
    np.testing.assert_allclose(whole, mine, atol=1e-6)
    phonemes = spoken[0].phonemes
    drawn = Articulation.of(phonemes, OWN)(synth_reach.middles(100))
    np.testing.assert_allclose(mine, drawn, atol=1e-6)
    slow = context_data.articulated(spoken[0], 0.4)
    drawn = Articulation.of(phonemes, Style(sluggishness=0.8 * 0.4))(synth_reach.middles(100))
    np.testing.assert_allclose(slow, drawn, atol=1e-6)
    assert np.abs(slow - mine).max() > 0.1


def test_a_style_is_read_as_it_was_stated() -> None:
    stated = {"opening": 1.1, "rounding": 0.9, "spreading": 1.0, "sluggishness": 0.5}
    assert context_data.stated_style({"style": stated}) == Style(1.1, 0.9, 1.0, 0.5)
    # Corpora from before styles were stated: as slow as the knobs say.
    assert context_data.stated_style({"knobs": {}}) is None
    assert context_data.usual_style({"knobs": {"sluggishness": 0.4}}) == Style(sluggishness=0.4)
    assert context_data.usual_style({}) == Style()


def test_reach_is_the_first_window_with_nearly_all_of_the_gain() -> None:
    assert reach({0: 0.0, 1: 0.94, 2: 0.96, 8: 1.0}) == 2
    assert reach({0: 0.5, 1: 0.5, 8: 0.505}) == 0
    assert reach({0: 0.0, 8: 1.0}) == 8


def test_a_window_is_cut_from_its_neighbours_and_nothing_else() -> None:
    rows = np.arange(5, dtype=np.float32)[:, None]
    task = Task(Slices(rows, rows + 10, rows + 20, rows + 30), rows, np.array([[0, 2]] * 3 + [[3, 4]] * 2))
    assert task.places(np.arange(5), 1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 4]]
    ear = context_nets._Ear.of(task)
    assert ear.hear(np.array([1, 3]), 1)[..., 0].tolist() == [[10, 1, 22], [13, 3, 24]]
    assert ear.hear(np.array([1, 3]), 0)[..., 0].tolist() == [[31], [33]]


@pytest.mark.parametrize("window", [0, 1])
def test_a_window_hears_nothing_from_outside(window: int) -> None:
    """Other sound outside the window changes nothing that is heard in it; other sound at its rim does."""
    rng = np.random.default_rng(0)
    voice = rng.normal(scale=0.1, size=12 * 640).astype(np.float32)
    low, high = (5 - window) * 640, (6 + window) * 640

    def window_of(samples: np.ndarray) -> np.ndarray:
        slices = heard(samples, 12)
        task = Task(slices, np.zeros(12), np.array([[0, 11]] * 12))
        return context_nets._Ear.of(task).hear(np.array([5]), window).numpy()

    other = rng.normal(scale=0.1, size=len(voice)).astype(np.float32)
    other[low:high] = voice[low:high]
    # One and the same loudest part, so that what counts as silence is the same.
    voice[:2000] = other[:2000] = 3.0 * other[:2000]
    np.testing.assert_allclose(window_of(other), window_of(voice), atol=1e-5)
    other[low] += 1.0
    assert np.abs(window_of(other) - window_of(voice)).max() > 1e-3


def test_slices_are_the_usual_mel_bands_where_sound_goes_on() -> None:
    voice = np.random.default_rng(1).normal(scale=0.1, size=6 * 640).astype(np.float32)
    mel = log_mel(voice)
    floor = np.percentile(mel.max(axis=1), 95) - 55.0
    np.testing.assert_allclose(heard(voice, 6).middle, (mel.reshape(6, -1) - floor) / 20, atol=1e-5)


def test_explained_is_one_for_the_truth_and_none_for_the_mean() -> None:
    true: Float64 = np.random.default_rng(0).normal(size=(200, 3))
    assert explained(true, true) == 1.0
    assert explained(true, np.broadcast_to(true.mean(axis=0), true.shape)) == pytest.approx(0.0)


def test_sums_of_speakers_give_r2_and_shares_of_any_resample() -> None:
    rng = np.random.default_rng(0)
    names = [f"s{n // 20}" for n in range(100)]
    true = np.concatenate([rng.normal(size=(100, 3)), np.zeros((100, 1))], axis=1)
    made = true + rng.normal(scale=0.3, size=true.shape)
    weights = resampled(5, 20)
    values = Sums.of(names, true, made).values(weights)
    assert values[0] == pytest.approx(explained(true, made), abs=1e-8)
    rows = np.concatenate(
        [np.arange(100)[np.array(names) == f"s{k}"] for k in range(5) for _ in range(int(weights[7, k]))]
    )
    assert values[7] == pytest.approx(explained(true[rows], made[rows]), abs=1e-8)
    letters, told = rng.integers(0, 4, 100), rng.integers(0, 4, 100)
    shares = Sums.of(names, letters, told).values(weights)
    assert shares[0] == pytest.approx((letters == told).mean())
    assert shares[7] == pytest.approx((letters[rows] == told[rows]).mean())


def test_finished_points_are_kept(
    spoken: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "utterances", lambda data: (Shards(), spoken, True))
    few = {"windows": (0, 1), "seeds": (0,), "curves": ("phonemes none", "recognition"), "steps": 5}
    first = study_context(Path("drawn"), tmp_path, **few)  # type: ignore[arg-type]

    def never(*_: object, **__: object) -> list[object]:
        raise AssertionError("trained again")

    monkeypatch.setattr(context, "trained", never)
    again = study_context(Path("drawn"), tmp_path, **few)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(again.table(), first.table())
    assert again.sentence() == first.sentence()
    record = json.loads((tmp_path / "context-points.json").read_text())
    assert len(record["points"]) == len(first.points)
    with pytest.raises(AssertionError, match="trained again"):
        study_context(Path("drawn"), tmp_path, **(few | {"steps": 6}))  # type: ignore[arg-type]


def test_a_control_that_fails_is_said(found: ContextStudy) -> None:
    """Networks that hear no further than a frame do not recover a reach of several, and the sentence says so."""
    held = [p for p in found.points if p.curve != "phonemes slow"]
    narrow = [p for p in found.points if p.curve == "phonemes slow"]
    short = next(p for p in narrow if p.window == 2)
    held += [replace(p, sums=short.sums) if p.window > 2 else p for p in narrow]
    broken = replace(found, points=tuple(held))
    assert "phonemes slow reaches" in broken.failures()[0]
    assert "A control fails" in broken.sentence()
    assert "No control that was measured fails; some were not." in found.sentence()
    # `phonemes` stands in for itself: its curve is that of the truth, so all controls are there and hold.
    like = [replace(p, curve="phonemes", seed=0) for p in found.points if p.curve == "truth"]
    assert "The controls hold" in replace(found, points=(*found.points, *like)).sentence()
    flat = [replace(p, curve="phonemes none") for p in narrow]
    others = [p for p in (*found.points, *like) if p.curve != "phonemes none"]
    gained = replace(found, points=(*others, *flat))
    assert "phonemes none gains +" in gained.sentence()


def test_the_page_shows_every_curve(found: ContextStudy, tmp_path: Path) -> None:
    files = context_page.write(found, tmp_path)
    assert [file.name for file in files] == ["context.csv", "context.svg", "context.md", "context.html"]
    assert set(pd.read_csv(files[0]).curve) == set(found.names())
    assert found.names() == ["truth", "truth slow", "phonemes slow", "phonemes none"]
    text = files[3].read_text()
    for name in found.names():
        assert f'<th scope="row" class="model">{name}</th>' in text
    assert found.sentence() in text
    assert f"<code>{found.signature()}</code>" in text
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
    assert "no controls" in said.output.replace("\n", " ")
    assert (out / "context.html").is_file()


def test_networks_that_tell_nothing_have_no_reach(listened: ContextStudy) -> None:
    """A window of 0 frames would be a number of nothing."""
    sound = [p for p in listened.points if p.curve == "sound"]
    assert replace(listened, points=tuple(sound)).reach("sound").told
    poor = tuple(replace(p, sums=replace(p.sums, missed=9 * p.sums.missed)) for p in sound)
    deaf = replace(listened, points=poor)
    assert "sound tells nothing in any window (at most -" in deaf.sentence()
    assert deaf.sentence().endswith("What tells nothing has no reach: it takes more clips of more people.")
    assert "| none |" in context_page.markdown(deaf)
    assert "(none)" in context_page.drawing(deaf)


def test_too_few_speakers_are_refused(
    spoken: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [c for c in spoken if c.speaker in ("s1", "s5")]
    monkeypatch.setattr(context, "utterances", lambda data: (Shards(), few, True))
    with pytest.raises(UsageError, match="two to train on and two others"):
        study_context(Path("drawn"), tmp_path)


def test_a_point_comes_back_from_its_file(tmp_path: Path) -> None:
    true: Float64 = np.random.default_rng(0).normal(size=(20, 2))
    point = Point("sound", 2, 0, Sums.of(["a"] * 10 + ["b"] * 10, true, true + 0.1), 1.5)
    share = Point("recognition", 2, 0, Sums.of(["a", "b"], np.array([1, 2]), np.array([1, 3])), 1.5)
    Kept(tmp_path / "x.json", "about").add(point, share)
    for made in (point, share):
        back = Kept(tmp_path / "x.json", "about").get(made.curve, 2, 0)
        assert back is not None
        for name in ("frames", "first", "second", "missed"):
            np.testing.assert_array_equal(getattr(back.sums, name), getattr(made.sums, name))
    assert Kept(tmp_path / "x.json", "other").get("sound", 2, 0) is None
