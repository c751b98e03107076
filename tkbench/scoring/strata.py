"""What a clip is in each measured stratum: numbers from what its shard holds, and the labels of the data set.

Everything is taken from the true clip, so all models of a table have the same strata: pose and face size from its
landmarks, brightness from its pictures, loudness and speech share from its sound. `results.strata.SCALES` says what
each number is. Nothing is stored in shards, so those of every version can be measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tkbench import shards
from tkbench.crops.recipes import face_box, ibug68
from tkbench.crops.yaw import yaw_of
from tkbench.errors import BadSample
from tkbench.metrics.base import AnySetMetric
from tkbench.metrics.voicefeatures import speech_seconds
from tkbench.results.bundle import SetScore, Value
from tkbench.results.strata import SCALES, By, grouped
from tkbench.runtime.progress import Progress, silent
from tkbench.types import FPS, SAMPLE_RATE, Array, Float32, Sample, UInt8

EVERY = 5
"""Brightness is that of every fifth frame."""
RECORDING = "source"
"""The label that names a recording: readers and tables of clips give it."""
QUIETEST = -120.0
"""dB that digital silence counts as."""
_LUMA = (0.299, 0.587, 0.114)


def measure(sample: Sample) -> dict[str, float]:
    """Measured stratum -> number; nan where it cannot be told."""
    canvas = sample.canvas
    height, width = sample.video.shape[1:3]
    found = {
        "resolution": float(min(canvas.get("width", width), canvas.get("height", height))),
        "brightness": brightness(sample.video[::EVERY], sample.landmarks[::EVERY]),
        **of_track(sample.landmarks),
        **of_sound(sample.audio),
    }
    return {name: found[name] for name in SCALES}


def of_track(landmarks: Array) -> dict[str, float]:
    """(T, N, 2) -> pose, face size and duration."""
    if not len(landmarks) or not np.isfinite(landmarks).all():
        return {"pose": math.nan, "face_size": math.nan, "duration": len(landmarks) / FPS}
    _, _, wide, tall = face_box(landmarks)
    return {
        "pose": float(np.median(np.abs(yaw_of(landmarks)))),
        "face_size": float(np.median(np.maximum(wide, tall))),
        "duration": len(landmarks) / FPS,
    }


def of_sound(audio: Float32) -> dict[str, float]:
    """(S,) samples -> loudness and speech share."""
    if not len(audio):
        return {"loudness": math.nan, "speech": math.nan}
    power = float(np.mean(np.square(audio, dtype=np.float64)))
    level = 10 * math.log10(power) if power > 0 else QUIETEST
    share = speech_seconds(audio) * SAMPLE_RATE / len(audio)
    return {"loudness": max(QUIETEST, level), "speech": min(1.0, share)}


def brightness(video: UInt8, landmarks: Array) -> float:
    """Mean luma inside the hull of the 68 points of each frame; nan where no frame shows any of it.

    >>> grey = np.full((1, 64, 64, 3), 100, np.uint8)
    >>> points = np.random.default_rng(0).uniform(10, 50, (1, 68, 2))
    >>> round(brightness(grey, points), 6)
    100.0
    """
    import cv2  # slow to load, and refusals come first

    means = []
    for frame, points in zip(video, ibug68(landmarks), strict=True):
        if not np.isfinite(points).all():
            continue
        inside = np.zeros(frame.shape[:2], np.uint8)
        hull = cv2.convexHull(np.round(points).astype(np.int32))
        cv2.fillConvexPoly(inside, hull, 1)
        if inside.any():
            means.append(float(frame[inside.astype(bool)].mean(axis=0, dtype=np.float64) @ _LUMA))
    return float(np.mean(means)) if means else math.nan


def by_stratum(
    measured: Mapping[str, Mapping[str, float]],
    source: shards.Shards,
    keys: Sequence[str],
    pictures: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Value]]:
    """Stratum -> clip -> number or text, of what was measured {clip: {stratum: number}} and what the data set says.

    A label that is called as a measured stratum gets the name `label_NAME`. Where several splits are open, the split is
    a stratum, too. pictures: the clip that is seen in each of `keys`, where that is not the key itself.
    """
    wanted = set(keys)
    seen = {key: (pictures or {}).get(key, key) for key in keys}
    found: dict[str, dict[str, Value]] = {}
    for key in sorted(wanted & set(measured)):
        for name, value in measured[key].items():
            if math.isfinite(value):
                found.setdefault(name, {})[key] = value
    for name, texts in labels_of(source).items():
        # A text that cannot be printed would make a bundle that nobody can read.
        mine: dict[str, Value] = {key: text for key in keys if (text := _printable(texts.get(seen[key], "")))}
        if mine:
            found[name] = mine
    if len(source.splits) > 1:
        table = source.manifest(["key", "split"])
        splits = {str(key): str(split) for key, split in zip(table["key"], table["split"], strict=True)}
        found["split"] = {key: splits[seen[key]] for key in keys}
    return found


def labels_of(source: shards.Shards) -> dict[str, dict[str, str]]:
    """The data set's labels, by the names that strata have; the recording that a clip was cut from is none."""
    taken = {*SCALES, "speaker", "split"}
    return {
        f"label_{name}" if name in taken else name: texts
        for name, texts in source.labels().items()
        if name != RECORDING
    }


def label_names(source: shards.Shards) -> list[str]:
    """Labels that some clip has."""
    return sorted(name for name, texts in labels_of(source).items() if texts)


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def of_shards(
    folder: Path, split: str | None, keys: Sequence[str], progress: Progress = silent
) -> dict[str, dict[str, Value]]:
    """The strata of clips, measured now: for bundles that have none. Damaged clips have no value."""
    source = shards.open_shards(folder, split=split)
    measured: dict[str, dict[str, float]] = {}
    for done, key in enumerate(keys):
        progress(done, len(keys), key)
        try:
            measured[key] = measure(source.get(key))
        except BadSample:
            continue
    progress(len(keys), len(keys), "measured")
    return by_stratum(measured, source, keys)


def set_scores(
    whole_set: Sequence[AnySetMetric],
    parts: Sequence[Sequence[object]],
    by: Sequence[By],
    keys: Sequence[str],
    values: Mapping[str, Mapping[str, Value]],
) -> list[SetScore]:
    """Numbers of the whole set (FID ...) for each group of each stratum, from the states of all tasks.

    A group with fewer clips or frames than a metric asks for is unscored, as a whole set would be.
    """
    found = []
    for item in by:
        grouping = grouped(item, keys, values, "--by")
        for place, name in enumerate(grouping.names):
            mine = frozenset(grouping.keys(place))
            for index, metric in enumerate(whole_set):
                for column, score in metric.compute_all(_Only(parts, index, metric, mine)).items():
                    found.append(
                        SetScore(item.name, name, column, len(mine), score.value, score.reason, score.detail)
                    )
    return found


class _Only(Sequence[object]):
    """The states of one set metric, each with the clips of one group alone; read when they are asked for."""

    def __init__(
        self, parts: Sequence[Sequence[object]], place: int, metric: AnySetMetric, keys: frozenset[str]
    ) -> None:
        self.parts, self.place, self.metric, self.keys = parts, place, metric, keys

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> object:  # type: ignore[override]
        return self.metric.only(self.parts[index][self.place], self.keys)
