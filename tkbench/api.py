"""What `import tkbench` gives beside preparation: a score, a table, a comparison and a check, as functions.

    scored = tkbench.score("shards", "real")      # a Scored; in a notebook it shows its table
    scored.table, scored.clips                    # DataFrames
    scored.report()                               # the path of the HTML page
    tkbench.leaderboard("runs")                   # the ranked table as a DataFrame
    tkbench.compare("runs", metrics=["psnr"])     # every pair of models, tested
    tkbench.verify(scored)                        # what the bundle proves

Folders may be strings or paths, and a `Scored` is a path, too. Errors are those of `tkbench.errors`, one line each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tkbench import report as reports
from tkbench.errors import UsageError
from tkbench.results import bundle, proof
from tkbench.results import compare as comparing
from tkbench.results import leaderboard as boards
from tkbench.runtime.words import counted
from tkbench.scoring.evaluate import EvalOptions, evaluate

if TYPE_CHECKING:
    import pandas as pd

    from tkbench.protocol import Protocol
    from tkbench.results.bundle import Bundle, Result

Folder = str | os.PathLike[str]
"""A path, a string, or what `score` gave."""


class Scored(os.PathLike[str]):
    """One model's scores: a bundle on disk, with its numbers as tables."""

    def __init__(self, folder: Folder) -> None:
        self.folder = Path(folder)

    def __fspath__(self) -> str:
        return os.fspath(self.folder)

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle as it is read from disk; BadBundle where it was changed."""
        return bundle.read(self.folder)

    @property
    def result(self) -> Result:
        """All that result.json holds: signature, protocol, weights, software."""
        return self.bundle.result

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per column of the protocol: mean, interval, clips with a score and without, and why."""
        import pandas as pd

        rows = []
        for column in self.result.columns:
            cell = self.result.summary[column.name]
            rows.append(
                {
                    "metric": column.name,
                    "label": boards.heading(column),
                    "better": column.better,
                    "mean": cell.mean,
                    "low": cell.low,
                    "high": cell.high,
                    "n": cell.n,
                    "unscored": cell.n_unscored,
                    "why": boards.status(cell) if not cell.n else ", ".join(cell.reasons),
                    "what_to_do": cell.detail,
                }
            )
        return pd.DataFrame(rows).set_index("metric")

    @cached_property
    def clips(self) -> pd.DataFrame:
        """A row per clip: its speaker, and its value of every metric; nan where `reasons` says why."""
        long = self._rows()
        wide = long.pivot(index="key", columns="metric", values="value")
        wide.insert(0, "speaker", long.groupby("key")["speaker"].first())
        order = [column.name for column in self.result.columns if column.per_clip]
        return wide[["speaker", *order]].rename_axis(columns=None)

    @property
    def reasons(self) -> pd.DataFrame:
        """A row per clip and metric without a value: the reason, and what was found."""
        long = self._rows()
        return long.loc[long["reason"] != "", ["key", "metric", "reason", "detail"]].reset_index(drop=True)

    def _rows(self) -> pd.DataFrame:
        long = self.bundle.clips()
        return long[long["key"] != "*"]

    def report(self, out: Folder | None = None) -> Path:
        """Write the HTML report of this model and of all that lie beside it; returns its path."""
        place = self.folder.parent / "report.html" if out is None else Path(out)
        return reports.write([row.folder for row in bundle.find(self.folder.parent)], place)

    def __repr__(self) -> str:
        result = self.result
        what = f"{result.data_title} {result.split}, {counted(result.n_clips, 'clip')}"
        return f"Scored({result.model!r}, {what}, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        from html import escape

        result = self.result
        shown = self.table[["label", "mean", "low", "high", "n", "why"]]
        what = f"{result.data_title}, {result.split}: {counted(result.n_clips, 'clip')}, protocol {result.protocol}"
        head = f"{result.model} on {what}"
        # pandas escapes the cells itself.
        return (
            f"<p>{escape(head)}</p>{shown.to_html(index=False, na_rep='', float_format=lambda x: f'{x:.3f}')}"
        )


def score(
    data: Folder,
    model: str,
    *,
    protocol: str | Path | Protocol | None = None,
    out: Folder = "runs",
    workers: int = 1,
    split: str | None = None,
    limit: int | None = None,
    options: EvalOptions | None = None,
) -> Scored:
    """Score a model on prepared clips, as `tkbench eval` does; arguments are those of `scoring.evaluate.evaluate`."""
    return Scored(
        evaluate(
            Path(data),
            model,
            protocol=protocol,
            out=Path(out),
            workers=workers,
            split=split,
            limit=limit,
            options=options,
        )
    )


def leaderboard(runs: Folder | Sequence[Folder]) -> pd.DataFrame:
    """The ranked table of bundles: a row per model with rank and interval of the rank, means and intervals.

    runs: a folder with bundles of one table, or several bundles. Columns are those of the CSV, as numbers.
    """
    import io

    import pandas as pd

    return pd.read_csv(io.StringIO(boards.to_csv(boards.ranked(_bundles(runs)))))


def compare(runs: Folder | Sequence[Folder], *, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Every pair of models on every per-clip metric (or those named): the difference, its interval, p, and a verdict.

    p is that of the sign-flip test over speakers, `holm` corrects it for all pairs of the table.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            "metric": found.column.name,
            "first": found.first,
            "second": found.second,
            "difference": found.difference.mean,
            "low": found.difference.low,
            "high": found.difference.high,
            "p": found.difference.p,
            "holm": found.holm,
            "clips": found.difference.n,
            "verdict": found.verdict,
        }
        for found in comparing.compare(_bundles(runs), metrics=metrics)
    ]
    return pd.DataFrame(rows)


def verify(scored: Folder) -> list[str]:
    """Hold a bundle against itself: what was computed again, a sentence each; BadBundle names the first difference."""
    return list(proof.verify(Path(scored)).recomputed)


def _bundles(runs: Folder | Sequence[Folder]) -> list[Bundle]:
    """The bundles in a folder, or those given; a folder with one folder of a table inside stands for that."""
    if not isinstance(runs, (str, os.PathLike)):
        return [bundle.read(Path(folder)) for folder in runs]
    folder = Path(runs)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the one that `tkbench eval` wrote to")
    tables = sorted({path.parent.parent for path in folder.glob("*/*/result.json")})
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise UsageError(f"{folder}: holds {len(tables)} tables; give one of {names}")
    return bundle.find(tables[0] if tables else folder)
