"""`tkbench leaderboard build | check | submit | remove | export | figure | show | claimed`: tables of bundles."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tkbench.cli.common import Workers, board, names_of, refuse_all, say, show, stdout_width, writable
from tkbench.cli.score import (
    By,
    Pattern,
    SampleSeed,
    SampleSize,
    ScoredVideos,
    Shown,
    SourcesAgain,
    StrataOf,
    Whole,
    scored_again,
    show_strata,
    strata_of,
    table_by,
    videos_model,
)
from tkbench.cli.talking import answer, answers_json, print_text, waiting
from tkbench.errors import BadBundle, UsageError
from tkbench.runtime.words import counted

if TYPE_CHECKING:
    from rich.table import Table

    from tkbench.results.board import Changed
    from tkbench.results.bundle import Bundle
    from tkbench.results.claimed import Claim


def _of_table(runs: Path) -> Path:
    """The rows that a table is made of, where its CSV is given."""
    if runs.suffix.lower() != ".csv" or not runs.is_file():
        return runs
    from tkbench.results.rows import FOLDER

    rows = runs.parent / FOLDER / runs.stem
    if not rows.is_dir():
        raise UsageError(
            f"{runs}: a table is made of its rows, and {rows} is not there; give the folder of its bundles, as in "
            f"runs/{runs.stem}"
        )
    return rows


Boards = Annotated[Path, typer.Option("--leaderboards", help="Folder of the CSV tables and of their rows.")]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Another bundle of the same model gives way; otherwise it is an error."),
]
Runs = Annotated[
    Path,
    typer.Argument(
        help="Folder of result bundles of one data set and protocol, such as runs/<table>; or runs, where it holds "
        "one; or the CSV file of a table.",
        callback=_of_table,
    ),
]
LEADERBOARDS = Path("leaderboards")


@board.command("build")
def build_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of result bundles, any number: runs, runs/<table> or a bundle. Without any, the tables are "
            "written anew from the rows that are kept."
        ),
    ] = None,
    boards: Boards = LEADERBOARDS,
    measured: Annotated[
        bool,
        typer.Option(
            "--measured",
            help="These bundles were scored here, from videos: their rows have the tier measured. Otherwise they have "
            "the tier reported.",
        ),
    ] = False,
    replace: Replace = False,
) -> None:
    """Write the CSV tables from bundles of any number of folders. Rows that a table has already stay in it.

    Each bundle is verified, and what its row rests on is kept in `leaderboards/rows/`. A bundle that does not hold
    together is named and left out; the exit code is then 2.

    Example: `tkbench leaderboard build runs other/runs --leaderboards leaderboards`
    """
    from tkbench.results.board import build

    with waiting("leaderboard build"):
        changed = build(runs or [], boards, tier="measured" if measured else "reported", replace=replace)
    _tell(changed)


@board.command("check")
def check_command(
    boards: Annotated[Path, typer.Argument(help="Folder of the tables.")] = LEADERBOARDS,
) -> None:
    """Hold every cell of every table against the rows that are kept. Exit code 2 for an edited or stale CSV.

    Example: `tkbench leaderboard check leaderboards`
    """
    from tkbench.results.board import check

    good, faults = check(boards)
    answer(good=good, faults=faults)
    for line in good:
        say(line)
    refuse_all(faults)


@board.command("submit")
def submit_command(
    bundle: Annotated[Path, typer.Argument(help="Folder of one result bundle.")],
    boards: Boards = LEADERBOARDS,
    data_folder: Annotated[
        Path | None,
        typer.Option(
            "--data", "-d", help="The shards that were scored, to score the videos again.", show_default=False
        ),
    ] = None,
    videos: ScoredVideos = None,
    pattern: Pattern = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="In the place of --videos: the model.", show_default=False),
    ] = None,
    sample: SampleSize = None,
    seed: SampleSeed = 0,
    sources: SourcesAgain = None,
    replace: Replace = False,
    workers: Workers = None,
) -> None:
    """Verify one bundle and add its row. With the videos it becomes `measured`, without them `reported`.

    Example: `tkbench leaderboard submit theirs/my-model --data shards --videos out --sample 20`
    """
    from tkbench.results import proof
    from tkbench.results.board import UNSEEN, submit
    from tkbench.results.bundle import read

    read(bundle)  # before a folder of tables is made for it

    if videos is not None and model is not None:
        raise UsageError("--videos and --model exclude each other: give one of them")
    again = videos_model(videos, pattern) if videos is not None else model
    if (data_folder is None) != (again is None):
        raise UsageError("to score again, give --data SHARDS and either --videos DIR or --model NAME")
    if data_folder is None or again is None:
        _tell(submit(bundle, boards, how=UNSEEN, replace=replace))
        return
    kept = proof.verify(bundle).bundle
    found = scored_again(bundle, data_folder, again, (sample, seed, sources, workers))
    refuse_all(found.differences)
    if not found.columns:
        raise BadBundle(
            f"{bundle}: none of its columns could be scored here, so nothing was measured; {', '.join(found.left_out)} "
            "lack their network or package (`tkbench weights list`)"
        )
    part = f", seed {seed}" if found.clips < kept.result.n_clips else ""
    left = f"; not {', '.join(found.left_out)}" if found.left_out else ""
    how = f"{found.clips} of {counted(kept.result.n_clips, 'clip')} scored again{part}{left}"
    _tell(submit(bundle, boards, tier="measured", how=how[:300], replace=replace))


@board.command("remove")
def remove_command(
    table: Annotated[str, typer.Argument(help="Name of the table, as its CSV file is called.")],
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Models whose rows go.")],
    boards: Boards = LEADERBOARDS,
) -> None:
    """Take rows out of a table. The bundles in `runs` stay where they are.

    Example: `tkbench leaderboard remove synth-v1-1a2b3c4d my-model`
    """
    from tkbench.results.board import remove

    changed = remove(Path(table).name, models, boards)
    say(
        f"removed {', '.join(models)}"
        + ("" if changed.tables else "; the table had no other row and is gone")
    )
    _tell(changed)


def _tell(changed: Changed) -> None:
    if changed.added:
        say(f"rows: {', '.join(changed.added)}" + (f"; {changed.same} were there" if changed.same else ""))
    elif changed.same:
        say(f"rows: nothing new, {changed.same} were there")
    for path in changed.tables:
        say(f"leaderboard: {path}")
    refuse_all(changed.faults)


@board.command("export")
def export_command(
    runs: Runs,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="csv, markdown or latex.", show_default="markdown"),
    ] = None,
    hub_folder: Annotated[
        Path | None,
        typer.Option(
            "--hf",
            help="Write a data set for the Hugging Face hub into this new folder instead: rows, scores of clips and "
            "curves as parquet, the bundles, and a card.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Only these columns, by their names in the CSV, with commas.", show_default="all"),
    ] = None,
    intervals: Annotated[
        str, typer.Option(help="LaTeX: brackets, pm (the farther bound after the sign) or none.")
    ] = "brackets",
    counts: Annotated[
        bool, typer.Option("--counts", help="LaTeX: the number of clips beside every mean.")
    ] = False,
    no_anchors: Annotated[
        bool,
        typer.Option(
            "--no-anchors", help="LaTeX: leave the anchors out; the others are ranked among themselves."
        ),
    ] = False,
    caption: Annotated[
        str,
        typer.Option(
            help="LaTeX: the caption, itself LaTeX.", show_default="data, protocol, intervals, signature"
        ),
    ] = "",
    label: Annotated[
        str, typer.Option(help="LaTeX: the label, after tab:.", show_default="the name of the table")
    ] = "",
    by: By = None,
    data_folder: StrataOf = None,
) -> None:
    """Print the ranked table of a folder of bundles, with its signature; with --by a CSV by strata of the clips.

    A bundle that cannot be read is named and left out; the exit code is then 2. In LaTeX the models that no other is
    clearly better than are bold.

    Example: `tkbench leaderboard export runs/synth-v1-1a2b3c4d --format latex --columns lse_c_synth,psnr`

    For a paper: `tkbench leaderboard export runs/synth-v1-1a2b3c4d -f latex --intervals pm --no-anchors --label main`

    By stratum: `tkbench leaderboard export runs/synth-v1-1a2b3c4d --format csv --by pose,duration`

    For the Hugging Face hub: `tkbench leaderboard export runs/synth-v1-1a2b3c4d --hf table`
    """
    if hub_folder is not None:
        if format is not None or columns is not None or by is not None:
            raise UsageError("--hf writes whole tables: leave out --format, --columns and --by")
        return _export_hub(runs, hub_folder)
    format = format or "markdown"
    if by is not None:
        if format != "csv":
            raise UsageError(f"--by with --format {format}: tables by stratum are exported as csv")
        from tkbench.results import by_stratum
        from tkbench.results.bundle import find

        wrong: list[str] = []
        folders = [row.folder for row in find(runs, wrong)]
        found = table_by(folders, strata_of(by), names_of(columns), data_folder)
        print_text(by_stratum.to_csv(found))
        return refuse_all(wrong)
    from tkbench.results.export import export
    from tkbench.results.latex import Style

    style = Style(intervals, counts, not no_anchors, caption, label)  # type: ignore[arg-type]
    bad: list[str] = []
    print_text(export(runs, format, names_of(columns), style=style, bad=bad))
    refuse_all(bad)


def _export_hub(runs: Path, out: Path) -> None:
    from tkbench.results import hub
    from tkbench.results.bundle import find

    bad: list[str] = []
    rows = find(runs, bad)
    with waiting("export"):
        files = hub.write(rows, out)
    answer(folder=out, files=[str(path.relative_to(out)) for path in files])
    say(
        f"{out}: {counted(len(rows), 'model')} in {counted(len(files), 'file')}\n"
        f"open it: datasets.load_dataset({str(out)!r})"
    )
    refuse_all(bad)


@board.command("figure")
def figure_command(
    runs: Runs,
    out: Annotated[Path, typer.Option(help="The file: its name ends in .svg or .pdf.")],
    metric: Annotated[
        str | None,
        typer.Option(help="The column, by its name in the CSV.", show_default="the one that ranks"),
    ] = None,
) -> None:
    """Draw one column of a table, each model with its interval, as SVG or PDF.

    Example: `tkbench leaderboard figure runs/synth-v1-1a2b3c4d --out lse.pdf`
    """
    from tkbench.results import figure, leaderboard
    from tkbench.results.bundle import find

    writable(out, "--out")
    bad: list[str] = []
    entries = leaderboard.ranked(find(runs, bad))
    result = entries[0].result
    (column,) = leaderboard.chosen(result.columns, [metric or result.rank_by])
    figure.write(figure.draw(entries, column), out)
    say(f"figure: {out}")
    refuse_all(bad)


@board.command("show")
def show_command(
    runs: Runs,
    columns: Shown = None,
    whole: Whole = False,
    by: By = None,
    data_folder: StrataOf = None,
) -> None:
    """Show the ranked table of a folder of bundles, fitted to the terminal; with --by split by strata of the clips.

    Example: `tkbench leaderboard show runs/synth-v1-1a2b3c4d --columns lse_c_synth,psnr`

    One model by stratum: `tkbench leaderboard show runs/synth-v1-1a2b3c4d/real --by pose,loudness:-30:-20`
    """
    from tkbench.results.bundle import find

    bad: list[str] = []
    if by is not None:
        folders = [row.folder for row in find(runs, bad)]
        show_strata(folders, strata_of(by), names_of(columns), data_folder)
        return refuse_all(bad)
    from tkbench.report.publish import rich_tables

    if answers_json():
        from tkbench import api

        answer(table=api.leaderboard([row.folder for row in find(runs, bad)]).to_dict("records"))
        return refuse_all(bad)
    for part in rich_tables(runs, stdout_width(), names=names_of(columns), whole=whole, bad=bad):
        show(part)
    refuse_all(bad)


@board.command("claimed")
def claimed_command(
    dataset: Annotated[str, typer.Argument(help="Data set, as in hdtf, lrs2 or lrw.")],
    metric: Annotated[
        str | None,
        typer.Option(help="Only this metric, by any of its names: LSE-C, Sync-C, FID.", show_default="all"),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folders of bundles where the measured true videos are looked for, too; repeatable.",
            show_default=False,
        ),
    ] = None,
    boards: Boards = LEADERBOARDS,
) -> None:
    """Show numbers that papers print, with what each says of its protocol, beside the measured true videos.

    They are not ranked: their protocols differ, and say too little to be made again.

    Example: `tkbench leaderboard claimed hdtf --metric LSE-C`
    """
    from tkbench.results import board as tables
    from tkbench.results import bundle, claimed

    path = claimed.find(boards)
    found = claimed.chosen(claimed.read(path), dataset, metric)
    places = tables.bundles_below(runs or [])
    if (boards / "rows").is_dir():
        places += tables.bundles_below([boards / "rows"])
    rows = [bundle.read(place) for place in places]
    answer(claims=[asdict(claim) for claim in found])
    show(_claims(found, rows, dataset))
    say(
        f"{len(found)} numbers of {len({claim.paper for claim in found})} texts; tier claimed, never ranked. "
        f"Source: {path}"
    )


def _claims(found: list[Claim], rows: list[Bundle], dataset: str) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from tkbench.results import claimed
    from tkbench.results.leaderboard import bracket, number

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("metric", "model", "value", "tier", "split, setting", "protocol", "source"):
        table.add_column(name, justify="right" if name == "value" else "left")
    metrics: list[str] = list(dict.fromkeys(claim.metric for claim in found))
    told: set[str] = set()
    for metric in metrics:
        for one, column, cell in claimed.measured(rows, metric, dataset):
            if f"{one.folder}{column.name}" in told:
                continue
            told.add(f"{one.folder}{column.name}")
            value = " ".join(filter(None, (number(cell.mean, column.digits), bracket(cell, column.digits))))
            texts = (
                column.label,
                "real",
                value,
                "measured",
                one.result.split,
                one.result.protocol,
                one.result.table,
            )
            table.add_row(*map(escape, texts), style="bold")
        for claim in found:
            if claim.metric == metric:
                where = f"{claim.split}; {claim.setting}"
                texts = (
                    metric,
                    claim.model,
                    f"{claim.value:g}",
                    claimed.TIER,
                    where,
                    claim.protocol_stated,
                    claim.source,
                )
                table.add_row(*map(escape, texts))
    return table
