"""What a stopped evaluation keeps: records of clips, when they are used again, and when they are not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from support.toy_shards import make_shards

from tkbench import media, metrics, shards
from tkbench.errors import BadInput, StorageError, UsageError
from tkbench.metrics.base import BuildContext, Score, SetMetric, merged
from tkbench.protocol import MetricSpec, Protocol
from tkbench.results import bundle, cost, proof
from tkbench.results.cost import Spent
from tkbench.scoring import records, tasks
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.scoring.records import (
    ClipRecord,
    put_together,
    read_record,
    take_apart,
    work_folder,
    write_record,
)
from tkbench.types import Column, Reason, Row, Sample, UInt8

KEYS = [f"{name}/{place}" for name in "abc" for place in range(2)]


@dataclass
class Sums:
    total: float = 0.0
    by_clip: dict[str, np.ndarray] = field(default_factory=dict)


class Brightness(SetMetric[Sums]):
    """The mean of the generated frames over the whole set."""

    name = "brightness"
    columns = (Column("bright", "brightness", "", "higher", 3, per_clip=False, signature="bright()"),)

    def __init__(self, *, context: BuildContext) -> None:
        super().__init__(context=context)

    def start(self) -> Sums:
        return Sums()

    def update(self, state: Sums, sample: Sample, video: UInt8) -> None:
        state.total += float(video.mean())
        state.by_clip[sample.key] = video.mean(axis=(1, 2, 3))

    def merge(self, a: Sums, b: Sums) -> Sums:
        return Sums(a.total + b.total, a.by_clip | b.by_clip)

    def compute(self, state: Sums) -> dict[str, Score]:
        assert sorted(state.by_clip) == KEYS
        return {"bright": Score(state.total / len(state.by_clip))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("toys"), dict.fromkeys(KEYS, ("test", 12)))


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Protocol:
    known = metrics.build
    monkeypatch.setattr(
        metrics,
        "build",
        lambda spec, context: (
            Brightness(context=context) if spec.name == "brightness" else known(spec, context)
        ),
    )
    named = (MetricSpec(name="psnr"), MetricSpec(name="brightness"))
    return Protocol(name="toy", summary="", rank_by="psnr", metrics=named)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clips that are scored, in order."""
    seen: list[str] = []
    real = tasks.score_key

    def watched(chunk, tools, model, key, states):  # type: ignore[no-untyped-def]
        seen.append(key)
        return real(chunk, tools, model, key, states)

    monkeypatch.setattr(tasks, "score_key", watched)
    return seen


class Stop(Exception):
    pass


def stop_after(clips: int) -> EvalOptions:
    def progress(done: int, total: int, message: str) -> None:
        if done >= clips:
            raise Stop

    return EvalOptions(progress=progress)


def files(place: Path) -> dict[str, str]:
    """Everything in a bundle but its cost, by hash."""
    found = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in found.items()
        if name != cost.FILE
    }


def test_a_stopped_evaluation_goes_on_at_the_next_clip_and_gives_the_same_bytes(
    folder: Path, rules: Protocol, tmp_path: Path, scored: list[str]
) -> None:
    peace = evaluate(folder, "blur", protocol=rules, out=tmp_path / "peace")
    assert not (tmp_path / "peace" / ".work").exists()
    scored.clear()
    for clips in (2, 3, 5):
        with pytest.raises(Stop):
            evaluate(folder, "blur", protocol=rules, out=tmp_path / "out", options=stop_after(clips))
    again = evaluate(folder, "blur", protocol=rules, out=tmp_path / "out")
    assert scored == KEYS  # each once
    assert files(again) == files(peace)
    assert not (tmp_path / "out" / ".work").exists()
    proof.verify(again)
    frames = np.concatenate([shards.open_shards(folder).get(key).video for key in KEYS])
    assert bundle.read(again).result.summary["bright"].mean == pytest.approx(frames.mean(), rel=0.02)


@pytest.mark.parametrize("change", ["fresh", "model", "protocol", "damage", "tkbench"])
def test_records_of_other_facts_are_not_used(
    change: str,
    folder: Path,
    rules: Protocol,
    tmp_path: Path,
    scored: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Stop):
        evaluate(folder, "blur", protocol=rules, out=tmp_path, options=stop_after(3))
    scored.clear()
    options, expected = EvalOptions(), KEYS
    (table,) = (tmp_path / ".work").iterdir()
    if change == "fresh":
        options = EvalOptions(fresh=True)
    elif change == "model":
        monkeypatch.setattr("tkbench.models.identity.code_of", lambda model: "another")
    elif change == "protocol":
        rules = rules.model_copy(update={"seed": 5})
    elif change == "tkbench":
        monkeypatch.setattr("tkbench.runtime.feature_cache.sources", lambda: "another")
    else:
        (record,) = [
            path for path in table.rglob("*.npz") if path == records.record_file(path.parent, KEYS[1])
        ]
        record.write_bytes(record.read_bytes()[:-30])
        expected = [KEYS[1], *KEYS[3:]]
    evaluate(folder, "blur", protocol=rules, out=tmp_path, options=options)
    assert scored == expected


def test_a_video_that_was_replaced_in_between_is_scored_again(
    folder: Path, rules: Protocol, tmp_path: Path, scored: list[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    source = shards.open_shards(folder)
    for key in KEYS:
        media.write_video(videos / f"{key.replace('/', '__')}.mp4", source.get(key).video, quality=20)
    with pytest.raises(Stop):
        evaluate(folder, f"files:{videos}", protocol=rules, out=tmp_path, options=stop_after(3))
    scored.clear()
    other = videos / "a__1.mp4"
    media.write_video(other, 255 - source.get("a/1").video, quality=20)
    made = evaluate(folder, f"files:{videos}", protocol=rules, out=tmp_path)
    assert scored == ["a/1", *KEYS[3:]]
    table = bundle.read(made).videos().set_index("key")["sha256"]
    assert table["a/1"] == hashlib.sha256(other.read_bytes()).hexdigest()
    assert not (made / cost.FILE).exists()  # who made these, and at what cost, is not known


def test_two_evaluations_of_one_model_into_one_table_exclude_each_other(
    folder: Path, rules: Protocol, tmp_path: Path
) -> None:
    refused = []

    def progress(done: int, total: int, message: str) -> None:
        if done == 2 and not refused:
            with pytest.raises(StorageError, match="another run writes here"):
                evaluate(folder, "blur", protocol=rules, out=tmp_path)
            evaluate(folder, "still", protocol=rules, out=tmp_path)  # another model may
            refused.append(done)

    evaluate(folder, "blur", protocol=rules, out=tmp_path, options=EvalOptions(progress=progress))
    assert refused


def test_a_full_disk_is_one_line_that_names_the_folder(
    folder: Path, rules: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", "0.npz")

    monkeypatch.setattr("tkbench.scoring.records.storage.write_file", full)
    with pytest.raises(StorageError) as caught:
        evaluate(folder, "blur", protocol=rules, out=tmp_path / "out")
    said = str(caught.value)
    assert str(tmp_path / "out") in said
    assert "no room to write" in said
    assert "finished clips are kept" in said


def test_what_a_clip_gave_comes_back_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    record = ClipRecord(
        key="a/0",
        rows=[Row("", "a/0", "x", 1 / 3), Row("", "a/0", "y", float("nan"), Reason.NO_FACE, "é")],
        curves=[("a/0", "lse_c", rng.normal(size=31))],
        states=[3, Sums(0.1, {"a/0": rng.normal(size=(2, 3)).astype(np.float32)}), [1, (2.5, None, "t")]],
        has_video=True,
        video="ff",
        made_of="s",
        spent=Spent(1.0, 2.0, True, 3, None, "cpu"),
    )
    write_record(tmp_path, record)
    found = read_record(tmp_path, "a/0")
    assert found is not None
    assert str(found.rows) == str(record.rows)  # nan is not equal to itself
    assert (found.has_video, found.video, found.made_of, found.spent) == (True, "ff", "s", record.spent)
    np.testing.assert_array_equal(found.curves[0][2], record.curves[0][2])
    with np.load(records.record_file(tmp_path, "a/0"), allow_pickle=False) as file:
        arrays = dict(file)
    assert take_apart(record.states[2], {}) == {"list": [1, {"tuple": [2.5, None, "t"]}]}
    assert put_together(take_apart(record.states[2], {}), {}) == record.states[2]
    taken: dict[str, np.ndarray] = {}
    sums = put_together(take_apart(record.states[1], taken), taken, Sums)
    assert isinstance(sums, Sums)
    assert sums.total == 0.1
    assert sums.by_clip["a/0"].dtype == np.float32
    assert any(np.array_equal(array, sums.by_clip["a/0"]) for array in arrays.values())
    assert read_record(tmp_path, "b/0") is None


@pytest.mark.parametrize(
    "state", [{1, 2}, np.array([object()]), {1: 2}, lambda: 1], ids=["set", "objects", "keys", "function"]
)
def test_a_state_that_cannot_be_kept_is_refused(state: object) -> None:
    with pytest.raises(BadInput, match="in the state of a set metric"):
        take_apart(state, {})


def test_states_are_merged_in_their_order_and_read_one_by_one() -> None:
    class Words(SetMetric[str]):
        name = "words"
        columns = ()

        def start(self) -> str:
            return ""

        def update(self, state: str, sample: Sample, video: UInt8) -> None: ...

        def merge(self, a: str, b: str) -> str:
            return a + b

        def compute(self, state: str) -> dict[str, Score]:
            return {}

    for count in range(12):
        text = "abcdefghijkl"[:count]
        assert merged(Words(), list(text)) == text

    class Lazy(Sequence[str]):
        asked = 0

        def __len__(self) -> int:
            return 5

        def __getitem__(self, place: int) -> str:  # type: ignore[override]
            if place >= 5:
                raise IndexError
            self.asked += 1
            return str(place)

    lazy = Lazy()
    assert merged(Words(), lazy) == "01234"
    assert lazy.asked == 5


def test_a_name_of_a_model_and_a_folder_that_is_remote_are_told_apart(folder: Path, rules: Protocol) -> None:
    with pytest.raises(UsageError, match="bundles are written to a folder"):
        evaluate(folder, "blur", protocol=rules, out=Path("s3://bucket/runs"))


def test_a_work_folder_ends_empty_and_survives_an_error(tmp_path: Path) -> None:
    def stopped() -> None:
        with work_folder(tmp_path, ("t", "m:1"), {"a": 1}, fresh=False) as work:
            write_record(work.place, ClipRecord("k", [], [], [], has_video=False))
            raise Stop

    with pytest.raises(Stop):
        stopped()
    with work_folder(tmp_path, ("t", "m:1"), {"a": 1}, fresh=False) as work:
        assert work.kept(["k", "l"], lambda key: "") == {"k"}
        orphan = work.place
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):  # a worker that outlived its evaluation leaves nothing behind
        write_record(orphan, ClipRecord("k", [], [], [], has_video=False))
    shutil.rmtree(tmp_path)
