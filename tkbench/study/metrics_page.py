"""The page, figure and table of `tkbench study metrics`."""

from __future__ import annotations

import math
from pathlib import Path

from markupsafe import Markup, escape

from tkbench.models import create
from tkbench.results.leaderboard import ARROWS, no_less_than_zero
from tkbench.results.leaderboard import number as printed
from tkbench.runtime.words import counted, in_list
from tkbench.study.metrics import HONEST, LAGGED, MADE, VIDEOS, Judged, MetricStudy, Told
from tkbench.study.page import markdown_table, render, write_all
from tkbench.types import Column

ROW, CELL, LABEL, HEAD = 22, 82, 190, 40
BLUE, RED = "#2a78d6", "#d1495b"


def write(study: MetricStudy, out: Path) -> list[Path]:
    """Write table (CSV, Markdown), figure (SVG) and page into a folder: the files, the page last."""
    figure = drawing(study)
    files = {
        "metrics.csv": study.table().to_csv(index=False, lineterminator="\n"),
        "lags.csv": study.lag_table().to_csv(index=False, lineterminator="\n"),
        "metrics.svg": figure,
        "metrics.md": markdown(study),
        "metrics.html": render(
            "study_metrics.html.j2",
            study=study,
            sentence=study.lip_sentence(),
            lag_sentence=study.lag_sentence(),
            videos=[(video, create(video).card.summary) for video in VIDEOS],
            figure=Markup(figure),
            rows=[[label(one.column), *(cell(one, video) for video in VIDEOS)] for one in study.scored()],
            pleased=[[video in one.pleased() for video in VIDEOS] for one in study.scored()],
            lags=list(LAGGED),
            lag_rows=lag_rows(study),
            lag_caption=LAG_CAPTION,
            left_out=left_out(study),
            facts=facts(study),
        ),
    }
    return write_all(out, files)


LAG_CAPTION = (
    "The true video, late by so many frames (early where they are negative). Of metrics of lag: the median that they "
    "tell, and on how many of the clips it is the true lag within a frame. Of others: the way from `still` to `real`."
)


def lag_rows(study: MetricStudy) -> list[list[str]]:
    """Metrics of lag first, then those that should see one and those that need not: a label, then a text per video."""
    first = [[label(one.column), *(told(one, video) for video in LAGGED)] for one in study.told]
    rest = []
    for one in study.scored():
        ways = [one.way(video) for video in LAGGED]
        if not all(math.isnan(way) for way in ways):
            rest.append(
                [
                    label(one.column),
                    *("–" if math.isnan(way) else no_less_than_zero(f"{way:.0%}") for way in ways),
                ]
            )
    return first + rest


def told(one: Told, video: str) -> str:
    """The median lag, and the share of clips that tell the true one.

    >>> told(
    ...     Told(Column("x", "AVOffset", "frames", "zero", 2), {"shift:5": 5.0}, {"shift:5": 0.75}), "shift:5"
    ... )
    '+5.00 (75%)'
    """
    return f"{one.medians[video]:+.{one.column.digits}f} ({one.near[video]:.0%})"


def label(column: Column) -> str:
    """A metric with its direction.

    >>> label(Column("x", "LSE-C", "", "higher", 3))
    'LSE-C ↑'
    """
    return f"{column.label} {ARROWS[column.better]}"


def number(value: float, column: Column) -> str:
    """As reports print it."""
    if math.isnan(value):
        return "–"
    return printed(value, column.digits)


def cell(one: Judged, video: str) -> str:
    """The mean, and the way from `still` to `real` in percent."""
    way = one.way(video)
    share = "" if math.isnan(way) else f" ({no_less_than_zero(f'{way:.0%}')})"
    return number(one.means[video], one.column) + share


def markdown(study: MetricStudy) -> str:
    """The table in Markdown; a made video that is at or above an honest one is bold."""
    scored = []
    for one in study.scored():
        pleased = one.pleased()
        cells = [f"**{cell(one, video)}**" if video in pleased else cell(one, video) for video in VIDEOS]
        scored.append([label(one.column), *cells])
    rest = left_out(study)
    return (
        "\n\n".join(
            [
                study.lip_sentence(),
                markdown_table(["metric", *VIDEOS], scored),
                *([rest] if rest else []),
                *([caveat] if (caveat := study.caveat()) else []),
                study.lag_sentence(),
                markdown_table(["metric", *LAGGED], lag_rows(study)),
                LAG_CAPTION,
                facts(study),
                f"Signature: `{study.signature}`",
            ]
        )
        + "\n"
    )


def left_out(study: MetricStudy) -> str:
    """The metrics that could not be scored."""
    names = [in_list(one.column.label) for one in study.judged if one.why]
    return f"Not scored, for want of their networks: {', '.join(names)}." if names else ""


def facts(study: MetricStudy) -> str:
    """What the numbers were measured on."""
    # Bundles of older versions are taken over without having been timed.
    cost = f" All videos took {study.hours:.2f} core-hours." if study.hours > 0 else ""
    return (
        f"Means over {counted(study.clips, 'clip')} of {counted(study.speakers, 'person', 'people')} "
        f"(data {study.data}@{study.data_hash[:12]}). In "
        f"brackets the way from `still` to `real`. Marked: at least as good as {' or '.join(HONEST)}, whose lips are "
        f"the true ones.{cost}"
    )


def drawing(study: MetricStudy) -> str:
    """Rows are metrics, columns videos: blue is the way to the true video, red a made video that pleases."""
    rows = study.scored()
    width, height = LABEL + CELL * len(VIDEOS) + 4, HEAD + ROW * len(rows) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="currentColor" role="img" '
        'aria-label="How far each video comes from still to real, by metric">'
    ]
    for x, video in enumerate(VIDEOS):
        weight = ' font-weight="700"' if video in MADE else ""
        parts.append(
            f'<text x="{LABEL + CELL * (x + 0.5):g}" y="{HEAD - 10}" text-anchor="middle"{weight}>{escape(video)}'
            "</text>"
        )
    for y, one in enumerate(rows):
        top = HEAD + ROW * y
        parts.append(
            f'<text x="{LABEL - 8}" y="{top + 15}" text-anchor="end">{escape(label(one.column))}</text>'
        )
        for x, video in enumerate(VIDEOS):
            way, fooled = one.way(video), video in one.pleased()
            # Where a way has no end (PSNR of the true video is infinite), what pleases is shown all the same.
            depth = 0.06 + 0.7 * min(1.0, max(0.0, float(fooled) if math.isnan(way) else way))
            left, middle = LABEL + CELL * x, LABEL + CELL * (x + 0.5)
            parts.append(
                f'<rect x="{left}" y="{top}" width="{CELL - 2}" height="{ROW - 2}" rx="2" '
                f'fill="{RED if fooled else BLUE}" fill-opacity="{depth:.2f}"/>'
                f'<text x="{middle:g}" y="{top + 14}" text-anchor="middle">'
                f"{escape(number(one.means[video], one.column))}</text>"
            )
    return "".join([*parts, "</svg>"])
