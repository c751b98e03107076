"""How far a model's number lies from the true video's: columns that a table has wherever `real` is in it.

Some numbers have no best value of their own. LSE-C of the true video is far from its greatest value, and a model above
it is no better than real; lips may move too little or too much. Papers print the distance to the true video for such
numbers (delta Sync-C, delta Sync-D). A metric says so of its column (`Column.near_true`).

The distance is the mean of (model - real) over the clips that both have a score for, with the interval of these
differences over speakers. Its sign is kept: positive where the model's number is the greater one. 0 is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tkbench.results.bundle import Bundle, Summary
from tkbench.results.stats import mean_interval
from tkbench.types import Column

if TYPE_CHECKING:
    import pandas as pd

TRUE = "real"
"""The anchor that shows the true video."""


def with_deltas(bundles: Sequence[Bundle]) -> list[Bundle]:
    """The bundles of one table with the distances as further columns of each; unchanged where `real` is not among them.

    A column of the distance stands after the column that it is of.
    """
    true = next((bundle for bundle in bundles if bundle.result.model == TRUE), None)
    if true is None or not any(column.near_true for column in true.result.columns):
        return list(bundles)
    reference = true.clips()
    return [_extended(bundle, reference) for bundle in bundles]


def _extended(bundle: Bundle, reference: pd.DataFrame) -> Bundle:
    result = bundle.result
    clips = reference if result.model == TRUE else bundle.clips()
    columns: list[Column] = []
    summary = dict(result.summary)
    for column in result.columns:
        columns.append(column)
        delta = delta_column(column)
        if column.near_true and column.per_clip and delta.name not in summary:
            columns.append(delta)
            summary[delta.name] = delta_summary(clips, reference, column, dict(result.stats))
    return replace(bundle, result=result.model_copy(update={"columns": columns, "summary": summary}))


def delta_column(column: Column) -> Column:
    """The column of the distance to the true video.

    >>> lse = Column("lse_c", "LSE-C", "distance", "higher", 3, signature="lse[]", also_called=("Sync-C",))
    >>> delta = delta_column(lse)
    >>> delta.name, delta.label, delta.also_called
    ('delta_lse_c', 'ΔLSE-C', ('ΔSync-C', 'delta Sync-C'))
    """
    reach = column.bounds[1] - column.bounds[0]
    other = [name for name in column.also_called if name.startswith("Sync-")]
    return replace(
        column,
        name=f"delta_{column.name}",
        label=f"Δ{column.label}",
        better="zero",
        per_clip=False,
        bounds=(-reach, reach) if math.isfinite(reach) else (-math.inf, math.inf),
        also_called=tuple(f"{mark}{name}" for name in other for mark in ("Δ", "delta ")),
        text=f"Distance of {column.label} to that of the true video: the mean difference over the clips that both have "
        "a score for. Positive: the model's number is greater. 0 is the true video's own value.",
        near_true=False,
    )


def delta_summary(
    clips: pd.DataFrame, reference: pd.DataFrame, column: Column, stats: dict[str, float]
) -> Summary:
    """The cell of a model: mean difference to the true video with its interval."""
    made, real = (table[table["metric"] == column.name] for table in (clips, reference))
    both = made.merge(real[["key", "value"]], on="key", suffixes=("", "_real")).sort_values("key")
    with np.errstate(invalid="ignore"):
        gaps = (both["value"] - both["value_real"]).to_numpy(np.float64)
    clusters = [name or f"clip {key}" for name, key in zip(both["speaker"], both["key"], strict=True)]
    found = mean_interval(
        gaps,
        clusters,
        n_boot=int(stats["n_boot"]),
        seed=int(stats["seed"]),
        level=stats["level"],
    )
    kept = np.sort(np.abs(gaps[~np.isnan(gaps)]))
    reasons: dict[str, int] = {}
    if found.n_unscored:
        for row in both[np.isnan(gaps)].itertuples():
            reason = str(row.reason or "no score of the true video")
            reasons[reason] = reasons.get(reason, 0) + 1
    return Summary(
        mean=found.mean,
        low=found.low,
        high=found.high,
        n=found.n,
        n_unscored=found.n_unscored,
        n_clusters=found.n_clusters,
        coverage=found.coverage,
        mean_size=float(kept.mean()) if len(kept) else math.nan,
        reasons=dict(sorted(reasons.items())),
        note=found.note if found.n == 0 or math.isnan(found.low) else "",
        reach=found.reach,
        cluster_mean=found.cluster_mean,
        largest_share=found.largest_share,
    )
