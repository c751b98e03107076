"""What a metric of another package needs: a class and a column. And what is refused, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tkbench import metrics
from tkbench.errors import UnknownName, UsageError
from tkbench.metrics.base import (
    BuildContext,
    ClipScores,
    PerClipMetric,
    RegionMetric,
    Score,
    SetMetric,
    region_column,
)
from tkbench.protocol import MetricSpec
from tkbench.report import glossary
from tkbench.results import bundle
from tkbench.scoring.clips import MetricSet, score_clip
from tkbench.types import Column, Float32, Reason, Row, Sample, UInt8


class Mae(RegionMetric):
    """Mean absolute error."""

    name = "mae"
    compares_with_true_video = True
    whole = Column(
        "mae", "MAE", "grey levels", "lower", 2, signature="mae[rgb,region:full]", bounds=(0.0, 255.0),
        text="Mean absolute difference of pixels.",
    )  # fmt: skip

    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        pairs = zip(real, made, strict=True)
        return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs]))


class Broken(Mae):
    def of_clip(self, real: Sequence[UInt8], made: Sequence[UInt8]) -> float:
        return math.nan


class Loudness(PerClipMetric):
    name = "loudness"
    columns = (Column("loudness", "Loudness", "share", "higher", 2, signature="loudness"),)

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        return ClipScores({"loudness": Score(float(np.abs(audio).max()))})


class Frames(SetMetric[list[int]]):
    name = "frames"
    columns = (Column("frames", "Frames", "frames", "higher", 0, per_clip=False, signature="frames"),)

    def start(self) -> list[int]:
        return []

    def update(self, state: list[int], sample: Sample, video: UInt8) -> None:
        state.append(len(video))

    def merge(self, a: list[int], b: list[int]) -> list[int]:
        return a + b

    def compute(self, state: list[int]) -> dict[str, Score]:
        return {"frames": Score(float(sum(state)))}


def sample_of(level: int = 100) -> Sample:
    points = np.random.default_rng(0).uniform(8, 56, (1, 478, 2)).astype(np.float32)
    return Sample(
        key="s/c",
        video=np.full((3, 64, 64, 3), level, np.uint8),
        audio=np.full(1920, 0.5, np.float32),
        landmarks=np.repeat(points, 3, axis=0),
        track_score=np.ones(3, np.float32),
        dataset="test",
        split="test",
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    table = metrics.Registry("metric")
    for kind in (Mae, Loudness, Frames):
        table.add(kind.name, f"{__name__}:{kind.__name__}")
    monkeypatch.setattr(metrics, "registry", table)


def build(name: str, **settings: object) -> object:
    return metrics.build(MetricSpec(name=name, settings=settings), BuildContext("cuda:3"))


def test_a_region_metric_is_one_column_and_one_function() -> None:
    metric = build("mae", regions=["full", "face", "mouth"])
    assert isinstance(metric, Mae)
    assert metric.device == "cuda:3"
    assert [column.name for column in metric.columns] == ["mae", "mae_face", "mae_mouth"]
    assert [column.label for column in metric.columns] == ["MAE", "MAE (face)", "MAE (mouth)"]
    assert [column.signature for column in metric.columns] == [
        f"mae[rgb,region:{region}]" for region in ("full", "face", "mouth")
    ]
    assert {column.bounds for column in metric.columns} == {(0.0, 255.0)}
    sample = sample_of()
    scored = metric.score(sample, sample.video + 10, sample.audio).values
    assert {score.value for score in scored.values()} == {10.0}
    told = [term.text for term in glossary.terms(metric.columns)]
    assert told == [
        "Mean absolute difference of pixels.",
        "As MAE above. In the face region alone.",
        "As MAE above. In the mouth region alone.",
    ]


def test_an_interval_ends_at_the_bounds_of_the_metric() -> None:
    """Two speakers whose stretched interval reaches below 0, and above 255."""
    column = Mae().columns[0]
    speakers = {"a": "x", "b": "y"}
    for values, low, high in (((0.0, 9.0), 0.0, None), ((240.0, 255.0), None, 255.0)):
        rows = [Row("m", key, "mae", value) for key, value in zip("ab", values, strict=True)]
        cell = bundle.summarise(rows, speakers, [column], n_boot=200, seed=0, level=0.95)["mae"]
        assert cell.low < cell.mean < cell.high
        assert low is None or cell.low == low
        assert high is None or cell.high == high


def test_a_mean_outside_by_rounding_stays_in_its_interval() -> None:
    column = Column("cos", "Cos", "cosine", "higher", 4, bounds=(-1.0, 1.0))
    rows = [Row("m", key, "cos", value) for key, value in (("a", 1.0000002), ("b", 1.0000001))]
    cell = bundle.summarise(rows, {"a": "x", "b": "y"}, [column], n_boot=200, seed=0, level=0.95)["cos"]
    assert cell.low <= cell.mean <= cell.high


def test_nan_from_a_function_is_unscored() -> None:
    sample = sample_of()
    scored = Broken().score(sample, sample.video, sample.audio).values["mae"]
    assert (scored.reason, scored.detail) == (Reason.NOT_FINITE, "mae answered nan")


def test_a_signature_without_a_region_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold `region:full`"):
        region_column(Column("mae", "MAE", "grey levels", "lower", 2, signature="mae[rgb]"), "mouth")


def test_settings_are_checked_by_name_and_by_kind() -> None:
    with pytest.raises(UsageError, match=r"metric 'mae' has no setting 'region': did you mean regions\?"):
        build("mae", region=["full"])
    with pytest.raises(UsageError, match="metric 'loudness' has no setting 'loud': it has none"):
        build("loudness", loud=1)
    with pytest.raises(UsageError, match="metric 'mae' does not take"):
        build("mae", regions=3)
    with pytest.raises(UnknownName, match="no region is called 'eyes'"):
        build("mae", regions=["eyes"])


def test_what_is_no_metric_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.registry.add("list", "builtins:list")
    with pytest.raises(UsageError, match=r"not a class that derives from tkbench\.metrics\.base\.Metric"):
        build("list")


@pytest.mark.parametrize("kind", [PerClipMetric, RegionMetric, SetMetric])
def test_a_class_without_its_methods_cannot_be_built(kind: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (kind,), {"name": "half"})()


def test_one_clip_by_metrics_of_every_kind() -> None:
    chosen = MetricSet([Mae(), Loudness()], [Frames()])
    sample = sample_of()
    states: list[object] = [[]]
    rows, curves = score_clip(chosen, states, sample, sample.video + 5, note="cut")
    assert [(row.key, row.metric, row.value, row.detail) for row in rows] == [
        ("s/c", "mae", 5.0, "cut"),
        ("s/c", "mae_mouth", 5.0, "cut"),
        ("s/c", "loudness", 0.5, "cut"),
    ]
    assert curves == []
    assert states == [[3]]
    crossed, _ = score_clip(chosen, states, sample, sample.video, other_voice=True)
    assert [row.reason for row in crossed] == [Reason.OTHER_VOICE, Reason.OTHER_VOICE, None]
    assert [column.name for column in chosen.columns] == ["mae", "mae_mouth", "loudness", "frames"]
