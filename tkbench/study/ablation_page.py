"""The page, figure and table of `tkbench study ablation`."""

from __future__ import annotations

import math
from pathlib import Path

from markupsafe import Markup, escape

from tkbench.runtime.words import counted, in_list
from tkbench.study.ablation import SILENCE, AblationStudy, Gap
from tkbench.study.page import markdown_table, render, write_all

WIDTH, LEFT, RIGHT, TOP, ROW, GROUP = 760, 170, 20, 30, 16, 12
COLOURS = ("#2a78d6", "#d1495b", "#2e8b57", "#8a5cc2")


def write(study: AblationStudy, out: Path) -> list[Path]:
    """Write table (CSV, Markdown), figure (SVG) and page into a folder: the files, the page last."""
    figure = drawing(study)
    name = f"ablation-{study.model}"
    files = {
        f"{name}.csv": study.table().to_csv(index=False, lineterminator="\n"),
        f"{name}.svg": figure,
        f"{name}.md": markdown(study),
        f"{name}.html": render(
            "study_ablation.html.j2",
            study=study,
            sentence=study.sentence(),
            figure=Markup(figure),
            head=head(study),
            rows=rows(study),
            facts=facts(study),
        ),
    }
    return write_all(out, files)


def head(study: AblationStudy) -> list[str]:
    """The measures."""
    return [gap.column.label for gap in study.of(SILENCE)]


def cell(gap: Gap) -> str:
    """Difference, interval, and that of each seed."""
    d, n = gap.paired, gap.column.digits
    seeds = ", ".join(f"{value:+.{n}f}" for value in gap.seeds)
    return f"{d.mean:+.{n}f} [{d.low:+.{n}f}, {d.high:+.{n}f}] ({seeds})"


def rows(study: AblationStudy) -> list[list[str]]:
    """Name, what it is, a cell for each measure, what it shows."""
    return [
        [row.name, row.meaning, *(cell(gap) for gap in study.of(row.name)), study.finding(row.name)]
        for row in study.rows()
    ]


def markdown(study: AblationStudy) -> str:
    """The table in Markdown; a difference that is shown is bold."""
    columns = ["row", "what it is", *head(study), "finding"]
    found = []
    for row in study.rows():
        cells = [f"**{cell(gap)}**" if study.counts(gap) else cell(gap) for gap in study.of(row.name)]
        found.append([row.name, row.meaning, *cells, study.finding(row.name)])
    table = markdown_table(columns, found, words=2, last=1)
    return "\n\n".join([study.sentence(), table, facts(study), f"Signature: `{study.signature}`"]) + "\n"


def facts(study: AblationStudy) -> str:
    """What the numbers were measured on."""
    first, drawn = study.budget.first, study.budget.drawn
    spreads = [
        f"{gap.spread:.3f} in {in_list(gap.column.label)}"
        for gap in study.of(study.rows()[0].name)
        if math.isfinite(gap.spread)
    ]
    spread = (
        f" Networks that leave nothing out spread by {', '.join(spreads)} (standard deviation)."
        if spreads
        else ""
    )
    return (
        f"Differences from the whole model, the mean over seeds {', '.join(map(str, study.seeds))} (each in brackets), "
        f"with 95 % intervals of the paired test over speakers; {counted(study.clips, 'clip')} of "
        f"{counted(study.speakers, 'other')} than were trained on (data {study.data}@{study.data_hash[:12]}). Shown: p "
        "by Holm at most 0.05, every seed agrees, and the row's networks differ from those of `whole` and `again` "
        "(t-test between networks, p at most "
        f"0.05), by measures whose controls hold.{spread} Each row: `{study.config}` with {first} steps without "
        f"pictures and {drawn} that draw, or {first + drawn} that draw; all stages took {study.hours:.1f} core-hours, "
        f"the longest {study.longest:.0f} minutes."
    )


def drawing(study: AblationStudy) -> str:
    """A line per row and measure: the difference as a share of what the whole model has over silence."""
    groups = study.rows()
    per = len(head(study))
    height = TOP + len(groups) * (per * ROW + GROUP) + 34
    # A measure that does not see silence has no scale; its row stays empty, or its noise would fill the picture.
    scale = {gap.column.name: abs(gap.paired.mean) if gap.shown() else math.nan for gap in study.of(SILENCE)}

    def share(gap: Gap, value: float) -> float:
        """Worse is to the left."""
        sign = 1 if gap.column.better == "higher" else -1
        return sign * value / scale[gap.column.name]

    ends = [share(g, v) for g in study.gaps for v in (g.paired.low, g.paired.high, *g.seeds)]
    ends = [v for v in ends if math.isfinite(v)]
    low, high = min(-1.1, *ends), max(0.3, *ends)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="currentColor" role="img" '
        'aria-label="What each part brings, by measure">'
    ]
    for k, gap in enumerate(study.of(SILENCE)):
        name = gap.column.label if gap.shown() else f"({gap.column.label})"
        parts.append(
            f'<text x="{LEFT + 140 * k}" y="14" fill="{COLOURS[k % len(COLOURS)]}">{escape(name)}</text>'
        )
    bottom = height - 30
    for tick in (-1.0, -0.5, 0.0):
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="currentColor" '
            f'stroke-opacity="0.2"/><text x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick:+.0%}</text>'
        )
    y = float(TOP)
    for row in groups:
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + per * ROW / 2 + 2:.1f}" text-anchor="end">{escape(row.name)}</text>'
        )
        for k, gap in enumerate(study.of(row.name)):
            colour, middle = COLOURS[k % len(COLOURS)], y + ROW / 2
            left, right = share(gap, gap.paired.low), share(gap, gap.paired.high)
            if math.isfinite(left) and math.isfinite(right):
                parts.append(
                    f'<line x1="{x(left):.1f}" x2="{x(right):.1f}" y1="{middle}" y2="{middle}" stroke="{colour}" '
                    'stroke-width="2"/>'
                )
            parts += [
                f'<circle cx="{x(v):.1f}" cy="{middle}" r="2" fill="{colour}"/>'
                for v in (share(gap, seed) for seed in gap.seeds)
                if math.isfinite(v)
            ]
            mean = share(gap, gap.paired.mean)
            if math.isfinite(mean):
                fill = colour if study.counts(gap) else "none"
                parts.append(
                    f'<circle cx="{x(mean):.1f}" cy="{middle}" r="5" fill="{fill}" stroke="{colour}" stroke-width="2">'
                    f"<title>{escape(row.name)}: {escape(gap.said())}</title></circle>"
                )
            y += ROW
        y += GROUP
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{height - 4}" text-anchor="middle">change, as a share of what '
        "the whole model has over its own silence</text>"
    )
    return "".join([*parts, "</svg>"])
