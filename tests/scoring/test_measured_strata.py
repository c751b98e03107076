"""What clips are in measured strata: known truths, labels of the data set, and the same strata for all models."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.toy_shards import make_shards

from tkbench import shards
from tkbench.errors import UnknownName
from tkbench.metrics import fvd
from tkbench.metrics.fid import FidState
from tkbench.protocol import Protocol
from tkbench.results import bundle, proof
from tkbench.results.strata import SCALES, parse
from tkbench.scoring import strata
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.types import Reason, Sample

RULES = Protocol.model_validate(
    {
        "name": "strata-v1",
        "summary": "One metric of each kind.",
        "rank_by": "psnr",
        "metrics": [{"name": "psnr"}, {"name": "fvd", "settings": {"net": "corner", "n": 4}}],
    }
)


class Corner:
    """A video network for tests: two numbers of a clip."""

    sha256 = "0" * 64
    frames = 8

    def __call__(self, video: np.ndarray) -> np.ndarray:
        part = video[:8].astype(np.float64)
        return np.array([[part[..., 0].mean(), part[..., 1].std()]])


@pytest.fixture(autouse=True)
def corner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fvd.video_features, "get", lambda name: Corner())


def sample_of(folder: Path, key: str) -> Sample:
    return shards.open_shards(folder).get(key)


def label(folder: Path, columns: dict[str, list[str | None]]) -> None:
    """Give the clips of shards labels, as preparation does: columns of the manifest."""
    path = folder / shards.MANIFEST
    table = pq.read_table(path)
    for name, texts in columns.items():
        table = table.append_column(name, pa.array(texts, pa.string()))
    pq.write_table(table, path)
    index = json.loads((folder / shards.INDEX).read_text(encoding="utf-8"))
    index["manifest_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / shards.INDEX).write_text(json.dumps(index), encoding="utf-8")


def test_known_truths(tmp_path: Path) -> None:
    base = sample_of(make_shards(tmp_path, {"a/0": ("test", 30)}), "a/0")
    tone = np.sin(2 * np.pi * 440 * np.arange(30 * 640) / 16_000).astype(np.float32)
    grey = np.full((30, 64, 64, 3), (200, 100, 50), np.uint8)
    found = strata.measure(
        replace(base, video=grey, audio=tone, canvas={"kind": "whole", "width": 1280, "height": 720})
    )
    assert list(found) == list(SCALES)
    assert found["loudness"] == pytest.approx(10 * math.log10(0.5), abs=0.01)
    assert found["speech"] == 1.0
    assert found["brightness"] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert (found["duration"], found["resolution"]) == (1.2, 720.0)
    half = np.concatenate([tone[: 15 * 640], np.zeros(15 * 640, np.float32)])
    assert strata.of_sound(half)["speech"] == pytest.approx(0.5, abs=0.01)
    assert strata.of_sound(half)["loudness"] == pytest.approx(
        found["loudness"] - 10 * math.log10(2), abs=0.01
    )
    assert strata.of_sound(np.zeros(640, np.float32)) == {"loudness": strata.QUIETEST, "speech": 0.0}


def test_size_and_scale_follow_the_face(tmp_path: Path) -> None:
    base = sample_of(make_shards(tmp_path, {"a/0": ("test", 10)}), "a/0")
    one, two = strata.of_track(base.landmarks), strata.of_track(base.landmarks * 2)
    assert two["face_size"] == pytest.approx(2 * one["face_size"])
    assert two["pose"] == pytest.approx(one["pose"])
    assert math.isnan(strata.of_track(np.full((3, 68, 2), np.nan))["pose"])


def test_the_face_counts_and_not_the_background() -> None:
    points = np.array([[[x, y] for x in (20, 40) for y in (20, 40)] * 17], np.float32)
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    frame[0, 20:41, 20:41] = 180
    assert strata.brightness(frame, points) == pytest.approx(180, abs=1e-6)
    assert math.isnan(strata.brightness(frame, points + 500))


def test_an_evaluation_stores_strata_and_splits_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FVD of a stratum is FVD of its clips alone; one of too few clips is unscored; models share their strata."""
    clips = {f"{s}/{i}": ("test", 12 + 13 * (i % 2)) for s in "ab" for i in range(5)}
    folder = make_shards(tmp_path, clips)
    view = ["left" if key[0] == "a" else "right" for key in sorted(clips)]
    label(folder, {"label_view": [None, *view[1:]], "label_pose": ["x"] * 10})
    monkeypatch.chdir(tmp_path)
    options = EvalOptions(by=tuple(parse("view,duration:1,speaker")))
    made = [
        bundle.read(evaluate(folder, model, protocol=RULES, out=tmp_path / "runs", options=options))
        for model in ("still", "shuffled-audio")
    ]
    for found in made:
        proof.verify(found.folder)
        table = found.strata()
        assert set(table["stratum"]) == {*SCALES, "view", "label_pose"}
        assert (table["stratum"] == "view").sum() == 9
    pd.testing.assert_frame_equal(made[0].strata(), made[1].strata())
    scores = {(s.stratum, s.group, s.metric): s for s in made[0].sets()}
    name = next(metric for _, _, metric in scores if not metric.endswith("halves"))
    few = scores["view", "left", name]
    assert (few.clips, few.reason) == (4, None)
    assert scores["view", "not known", name].reason is Reason.TOO_FEW_CLIPS
    network = fvd.Fvd(net="corner", n=4)
    state = network.start()
    for key in ("a/1", "a/2", "a/3", "a/4"):
        sample = sample_of(folder, key)
        network.update(state, sample, np.repeat(sample.video[:1], len(sample), axis=0))
    assert few.value == network.compute(state)[name].value
    assert scores["duration", "below 1 s", name].clips == 6


def test_a_stratum_that_is_not_there_is_refused_before_any_work(tmp_path: Path) -> None:
    folder = make_shards(tmp_path, {"a/0": ("test", 12)})
    options = EvalOptions(by=tuple(parse("language")))
    with pytest.raises(UnknownName, match="no stratum 'language'"):
        evaluate(folder, "real", protocol=RULES, out=tmp_path / "runs", options=options)
    assert not (tmp_path / "runs").exists()


def test_only_keeps_the_clips_asked_for() -> None:
    rows = {key: np.full((2, 3), i, np.float32) for i, key in enumerate("abc")}
    part = FidState(rows, dict(rows)).only(frozenset("ac"))
    assert (list(part.real), list(part.made)) == (["a", "c"], ["a", "c"])


def test_shards_can_be_measured_for_an_old_bundle(tmp_path: Path) -> None:
    folder = make_shards(tmp_path, {"a/0": ("test", 12), "b/0": ("val", 30)})
    found = strata.of_shards(folder, None, ["a/0", "b/0"])
    assert found["duration"] == {"a/0": 0.48, "b/0": 1.2}
    assert found["split"] == {"a/0": "test", "b/0": "val"}


def test_the_commands(tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]) -> None:
    folder = make_shards(tmp_path, {f"{s}/{i}": ("test", 12 + 13 * i) for s in "abcdef" for i in range(2)})
    protocol = tmp_path / "p.toml"
    protocol.write_text(
        'name = "p-v1"\nsummary = "x"\nrank_by = "psnr"\n[[metrics]]\nname = "psnr"\n', encoding="utf-8"
    )
    places = ("--out", tmp_path / "runs", "--leaderboards", tmp_path / "boards", "-w", 1)
    code, out, err = run_cli(
        "eval", "--data", folder, "--model", "still", "--protocol", protocol, *places, "--by", "duration:1"
    )
    assert code == 0, err
    assert "below 1 s" in out
    assert "best: 1 s or more" in out or "best: below 1 s" in out
    assert "paired: up to 6 speakers" in out
    (table,) = (tmp_path / "runs").iterdir()
    code, out, _ = run_cli(
        "leaderboard", "export", table, "--format", "csv", "--by", "duration:1,speaker", "--columns", "psnr"
    )
    assert code == 0
    assert len(out.splitlines()) == 1 + 2 + 1 + 6 + 1
    code, out, _ = run_cli("leaderboard", "show", table / "still", "--by", "brightness")
    assert code == 0
    assert "brightness of the face" in out
    code, _, err = run_cli("leaderboard", "show", table, "--by", "colour")
    assert (code, "no stratum 'colour'" in err) == (2, True)
