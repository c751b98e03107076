"""`tkbench eval` of several models that is stopped: the next call keeps what is finished, and scores only the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.toy_shards import make_shards

import tkbench
from tkbench.results import bundle
from tkbench.scoring import tasks

Run = Callable[..., tuple[int, str, str]]
KEYS = [f"{name}/{place}" for name in "ab" for place in range(2)]
PROTOCOL = """
name = "toy"
summary = "Two metrics of pixels."
rank_by = "psnr"
[[metrics]]
name = "psnr"
[[metrics]]
name = "ssim"
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("toys"), dict.fromkeys(KEYS, ("test", 12)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.toml").write_text(PROTOCOL)
    return tmp_path


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(model, clip), as they are scored in this process; those in `stops` end the command before they are."""
    stops.clear()
    seen: list[tuple[str, str]] = []
    real = tasks.score_key

    def watched(chunk, tools, model, key, states):  # type: ignore[no-untyped-def]
        if (chunk.model, key) in stops:
            stops.remove((chunk.model, key))
            raise Stop
        seen.append((chunk.model, key))
        return real(chunk, tools, model, key, states)

    monkeypatch.setattr(tasks, "score_key", watched)
    return seen


class Stop(BaseException):
    """Ends a command as Ctrl-C does, without the end of this process."""


stops: list[tuple[str, str]] = []


def words(shards: Path, *models: str) -> list[object]:
    named = [word for model in models for word in ("--model", model)]
    return ["eval", "--data", shards, "--protocol", "toy.toml", "--workers", 1, *named]


def results(place: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(place.glob("runs/*/*/result.json"))}


def test_models_that_a_stopped_call_finished_are_not_scored_again(
    shards: Path,
    place: Path,
    run_cli: Run,
    scored: list[tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = ("real", "blur", "still")
    code, _, said = run_cli(*words(shards, *models), "--out", "peace", "--leaderboards", "peace-tables")
    assert code == 0, said
    peace = {path.parent.name: path.read_bytes() for path in place.glob("peace/*/*/result.json")}
    scored.clear()
    stops.append(("blur", KEYS[2]))  # within the second model
    with pytest.raises(Stop):
        run_cli(*words(shards, *models))
    stops.append(("still", KEYS[0]))  # between the second and the third
    with pytest.raises(Stop):
        run_cli(*words(shards, *models))
    assert (
        "1 of 3 models kept from the stopped run: real; --fresh scores all again" in capsys.readouterr().err
    )
    code, _, said = run_cli(*words(shards, *models))
    assert code == 0, said
    assert "2 of 3 models kept from the stopped run: real, blur" in said
    assert "holds an earlier result" not in said
    assert scored == [(model, key) for model in models for key in KEYS]  # each once
    (csv,) = (place / "leaderboards").glob("*.csv")
    assert csv.read_text().count("\n") == 4
    assert list(results(place)) == ["blur", "real", "still"]
    assert bundle.read(next(place.glob("runs/*/real"))).result.n_clips == len(KEYS)
    # The true video's own players are chosen by nothing but itself: its bundle is that of a run in peace.
    assert results(place)["real"] == peace["real"]
    assert not (place / "runs" / ".work").exists()


def test_a_call_that_came_to_its_end_scores_again_when_it_is_repeated(
    shards: Path, place: Path, run_cli: Run, scored: list[tuple[str, str]]
) -> None:
    for _ in range(2):
        scored.clear()
        code, _, said = run_cli(*words(shards, "real"))
        assert code == 0, said
        assert "kept from" not in said
        assert [key for _, key in scored] == KEYS


@pytest.mark.parametrize("change", ["--fresh", "protocol", "bundle", "weights"])
def test_what_rests_on_something_else_is_scored_again(
    change: str,
    shards: Path,
    place: Path,
    run_cli: Run,
    scored: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stops.append(("still", KEYS[0]))
    with pytest.raises(Stop):
        run_cli(*words(shards, "real", "still"))
    scored.clear()
    more: list[object] = []
    (made,) = place.glob("runs/*/real")
    if change == "--fresh":
        more = ["--fresh"]
    elif change == "protocol":
        (place / "toy.toml").write_text(PROTOCOL.replace('name = "toy"', 'name = "toy"\nseed = 7'))
    elif change == "bundle":
        with (made / "clips.parquet").open("ab") as file:
            file.write(b"x")
    else:
        monkeypatch.setattr("tkbench.scoring.clips.MetricSet.weights", {"net": "0" * 64})
    code, _, said = run_cli(*words(shards, "real", "still"), *more)
    assert code == 0, said
    assert "kept from" not in said
    assert scored == [(model, key) for model in ("real", "still") for key in KEYS]


def test_a_killed_process_keeps_its_models_and_the_next_sees_new_videos(
    shards: Path, place: Path, run_cli: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = run_cli("data", "export", shards, "--out", "clips")
    assert code == 0, said
    call = words(shards, "files:clips", "still")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *map(str, call)],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(tkbench.__file__).parents[1])},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tkbench.scoring.evaluate.gather", _ends)
        with pytest.raises(Stop):
            run_cli(*call)
    assert "1 of 2 models kept from the stopped run: files:clips" in capsys.readouterr().err
    os.utime(place / "clips" / f"{KEYS[1]}.mp4", (1, 1))
    code, _, said = run_cli(*call)
    assert code == 0, said
    assert "kept from" not in said


def _ends(*_: object, **__: object) -> None:
    raise Stop


RUNNER = """
import os, signal
from tkbench import cli
from tkbench.scoring import evaluate

gather = evaluate.gather

def ended(chunks, crew, progress, label, **more):
    if label == "still":
        os.kill(os.getpid(), signal.SIGKILL)
    return gather(chunks, crew, progress, label, **more)

evaluate.gather = ended
cli.main()
"""
