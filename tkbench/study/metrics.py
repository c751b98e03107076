"""Which metric could a model please without better lips?

Every metric scores videos whose worth is known. Some have the true lips in a poor picture; they are honest. Others are
made to please (`tkbench.models.gamed`): a still face that flaps with the loudness, openings twice as high, the mouth of
another moment in an otherwise true video. A metric of lips should put every honest video above every made one.

For each metric and video the table has the mean, and the way from `still` to `real` that the video comes: 100 % is as
good as the true video, 0 % as bad as a face that does not move. `real` and `shuffled-audio` are the controls: a metric
of sync that puts the true video under a wrong voice beside the true one is no metric of sync.

The true video is also shown early and late by a known number of frames (`shift:N`): which metric tells the lag, on how
many clips within a frame, and which does not see it, because it looks for the best lag itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tkbench.models import create
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.results import bundle, halves
from tkbench.runtime.parallel import Pool
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.words import in_list
from tkbench.scoring.clips import MetricSet, build_metrics, clip_keys, is_crossed, open_split
from tkbench.scoring.evaluate import EvalOptions, evaluate, signature
from tkbench.study.times import Times
from tkbench.types import Column

CEILING, FLOOR = "real", "still"
WRONG_VOICE = "shuffled-audio"
HONEST = ("jpeg:30", "resize:128")
"""The true lips in a poor picture."""
MADE = ("flap", "gape:2", "wrong-mouth", "held-mouth")
"""Other lips in a picture that pleases."""
LAGGED = {"shift:-5": -5, "shift:-2": -2, "shift:2": 2, "shift:5": 5}
"""The true video, late by so many frames; early where they are negative."""
LAGS = ("voice_on_time",)
"""Columns that tell of a lag, beside those where 0 is best."""
VIDEOS = (CEILING, *HONEST, *MADE, WRONG_VOICE, FLOOR)
NEAR = 1.0
"""Frames by which a lag that is told may differ from the true one."""
UNSEEN = 0.9
"""A metric that leaves a lagging video so far on the way from `still` to `real` does not see the lag."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric's view of every video."""

    column: Column
    means: dict[str, float]
    """Video -> mean over the clips, of all in VIDEOS and LAGGED; nan where it has no score."""
    why: str = ""
    """Why the metric has no scores."""

    def way(self, video: str) -> float:
        """How far a video comes from `still` (0) to `real` (1); nan where these two have the same score, or one has
        none or an infinite one.
        """
        top, low = self.means[CEILING], self.means[FLOOR]
        if not (math.isfinite(top) and math.isfinite(low)) or top == low:
            return math.nan
        return (self.means[video] - low) / (top - low)

    def pleased(self) -> list[str]:
        """The made videos that are at least as good as an honest one."""
        worst = min((self._worth(v) for v in HONEST), default=math.nan)
        return [v for v in MADE if self._worth(v) >= worst]

    def _worth(self, video: str) -> float:
        """Higher is better."""
        return self.means[video] if self.column.better == "higher" else -self.means[video]


@dataclass(frozen=True, slots=True)
class Told:
    """What one metric of lag says of every video of `LAGGED`, frames."""

    column: Column
    medians: dict[str, float]
    """Video -> median over the clips."""
    near: dict[str, float]
    """Video -> the share of all clips on which it is the true lag within `NEAR`; a clip without a score is none."""


@dataclass(frozen=True, slots=True)
class MetricStudy:
    """What the page shows."""

    judged: tuple[Judged, ...]
    data: str
    data_hash: str
    clips: int
    speakers: int
    signature: str
    hours: float
    """Of a core, all videos together."""
    told: tuple[Told, ...] = ()
    """The metrics of lag that have scores here."""

    def scored(self) -> list[Judged]:
        """The metrics that have scores here."""
        return [one for one in self.judged if not one.why]

    def fooled(self) -> list[Judged]:
        """Those that a made video pleases."""
        return [one for one in self.scored() if one.pleased()]

    def table(self) -> pd.DataFrame:
        """One line per metric and video: metric, video, mean, way, pleased."""
        lines = [
            (one.column.name, video, one.means[video], one.way(video), video in one.pleased())
            for one in self.scored()
            for video in (*VIDEOS, *LAGGED)
        ]
        return pd.DataFrame(lines, columns=["metric", "video", "mean", "way", "pleased"])

    def lag_table(self) -> pd.DataFrame:
        """One line per metric of lag and video: metric, video, lag, median, near."""
        lines = [
            (one.column.name, video, lag, one.medians[video], one.near[video])
            for one in self.told
            for video, lag in LAGGED.items()
        ]
        return pd.DataFrame(lines, columns=["metric", "video", "lag", "median", "near"])

    def blind(self) -> list[Judged]:
        """The metrics that put the true video as high where it is five frames early or late."""
        return [
            one
            for one in self.scored()
            if min(one.way(v) for v, lag in LAGGED.items() if abs(lag) == 5) >= UNSEEN
        ]

    def lag_sentence(self) -> str:
        """Which metrics tell a lag, and which do not see one."""
        parts = []
        for one in self.told:
            share = float(np.mean(list(one.near.values())))
            parts.append(
                f"{one.column.label} tells a lag of 2 or 5 frames within a frame on {share:.0%} of the videos."
            )
        if blind := [in_list(one.column.label) for one in self.blind()]:
            parts.append(f"Five frames of lag are not seen by {', '.join(blind)}.")
        return " ".join(parts)

    def sentence(self) -> str:
        """What was found, of lips and of lags, and how far it goes."""
        return " ".join(filter(None, [self.lip_sentence(), self.lag_sentence(), self.caveat()]))

    def caveat(self) -> str:
        """What is to be said where the people are few; "" for others."""
        needed = halves.speakers_needed(1)
        if self.speakers >= needed:
            return ""
        return (
            f"Fewer than {needed} people say how these videos score, and nothing of others: take more before a metric "
            "is trusted or dropped for it."
        )

    def lip_sentence(self) -> str:
        """Which metrics other lips please."""
        scored, fooled = self.scored(), self.fooled()
        worst = {v: [in_list(one.column.label) for one in fooled if v in one.pleased()] for v in MADE}
        parts = [
            f"{len(fooled)} of {len(scored)} metrics put other lips in a good picture at or above the true lips in a "
            "poor one."
        ]
        parts += [f"{video} pleases {', '.join(names)}." for video, names in worst.items() if names]
        sure = [in_list(one.column.label) for one in scored if not one.pleased()]
        if sure:
            parts.append(f"None of the videos pleases {', '.join(sure)}.")
        return " ".join(parts)


def rules(dataset: str) -> Protocol:
    """Every metric that compares lips, voices or pictures clip by clip, by the data set's zero of speech."""
    synthetic = default_protocol(dataset) == "synth-v1"
    listed: list[dict[str, object]] = [
        {"name": "sync", "settings": {"judge": "syncnet-v2"}},
        {"name": "sync", "settings": {"judge": "syncnet-synth"}},
        {"name": "voice_score"},
        {"name": "voice", "settings": {"zero": "synth" if synthetic else "speech"}},
        {"name": "lip"},
        {"name": "lmd", "settings": {"variants": ["lmd_mouth", "lmd_face", "lvd_mouth"]}},
        {"name": "psnr"},
        {"name": "ssim"},
        {"name": "ms_ssim", "settings": {"stride": 5}},
        {"name": "cpbd"},
        {"name": "lpips"},
        {"name": "csim", "settings": {"crop": "aligned", "stride": 5}},
    ]
    return Protocol.model_validate(
        {
            "name": "study-metrics",
            "summary": "Every metric, on videos whose worth is known.",
            "rank_by": "voice_score",
            "metrics": listed,
        }
    )


def study_metrics(
    data: Path,
    runs: Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    workers: int | Pool = 1,
    device: str = "cpu",
    progress: Progress = silent,
) -> MetricStudy:
    """Score every video of `VIDEOS` and compare; results are kept in `runs`, so the same call again goes on there."""
    source = open_split(data, split)
    protocol = rules(source.dataset)
    metrics = build_metrics(protocol, device)
    keys = clip_keys(source, data, limit)
    found: dict[str, bundle.Bundle] = {}
    shown = (*VIDEOS, *LAGGED)
    total = len(shown) * len(keys)
    for number, video in enumerate(shown):
        before = number * len(keys)
        progress(before, total, video)

        def scored(done: int, _: int, label: str, before: int = before) -> None:
            progress(before + done, total, label)

        wanted = signature(
            protocol, source, metrics.columns, len(keys), limit, other_voice=is_crossed(create(video).card)
        )
        kept = _kept(runs, wanted, video, source.dataset, source.data_hash)
        if kept is None:
            with Times(runs).stage(f"{video} {source.data_hash[:12]}"):
                folder = evaluate(
                    data,
                    video,
                    protocol=protocol,
                    out=runs,
                    workers=workers,
                    split=split,
                    limit=limit,
                    options=EvalOptions(device=device, progress=scored),
                )
            kept = bundle.read(folder)
        found[video] = kept
    progress(total, total, "")
    return MetricStudy(
        tuple(judge({video: one.result for video, one in found.items()}, metrics)),
        source.dataset,
        source.data_hash,
        len(keys),
        len({source.speakers[key] or key for key in keys}),
        found[CEILING].result.signature,
        Times(runs).total(),
        tuple(told({video: found[video].clips() for video in LAGGED}, metrics.columns, len(keys))),
    )


def _kept(runs: Path, wanted: str, video: str, dataset: str, data_hash: str) -> bundle.Bundle | None:
    """The finished bundle of a video by the same rules on the same data, or None."""
    folder = runs / bundle.table_name(dataset, "study-metrics", wanted) / bundle.slug(video)
    if not (folder / "result.json").is_file():
        return None
    kept = bundle.read(folder)
    same = kept.result.signature == wanted and kept.result.data_hash == data_hash
    return kept if same else None


def judge(found: dict[str, bundle.Result], metrics: MetricSet) -> list[Judged]:
    """One record per column that can tell of lips, in the protocol's order."""
    judged = []
    for column in metrics.columns:
        if column.better == "zero" or column.name in LAGS:
            continue  # a lag is no measure of lips
        means, why = {}, ""
        for video in (*VIDEOS, *LAGGED):
            cell = found[video].summary.get(column.name)
            means[video] = cell.mean if cell is not None else math.nan
            if video == CEILING and cell is not None and cell.n == 0:
                why = cell.detail or ", ".join(cell.reasons)
        judged.append(Judged(column, means, why))
    return judged


def told(found: Mapping[str, pd.DataFrame], columns: Sequence[Column], clips: int) -> list[Told]:
    """One record per column of lag that has scores; found: the rows per clip of each video of `LAGGED`."""
    records = []
    for column in columns:
        if column.better != "zero":
            continue
        values = {
            video: table.loc[table["metric"] == column.name, "value"].dropna().to_numpy(np.float64)
            for video, table in found.items()
        }
        if all(len(one) for one in values.values()):
            medians = {video: float(np.median(one)) for video, one in values.items()}
            near = {
                video: float((np.abs(one - LAGGED[video]) <= NEAR).sum() / clips)
                for video, one in values.items()
            }
            records.append(Told(column, medians, near))
    return records
