"""`tkbench eval | verify | report | ls`: from shards to tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tkbench.cli.common import (
    Device,
    Scheduler,
    Shards,
    Split,
    Workers,
    app,
    count_workers,
    names_of,
    refuse_all,
    say,
    show,
    stdout_width,
    writable,
)
from tkbench.cli.talking import answer, answers_json, detail, now, waiting
from tkbench.errors import TkbenchError, UnknownName, UsageError
from tkbench.runtime.words import counted

if TYPE_CHECKING:
    from tkbench.protocol import Protocol
    from tkbench.results.bundle import Bundle
    from tkbench.results.by_stratum import ByStratum
    from tkbench.results.strata import By as Stratum
    from tkbench.scoring.rescore import Rescored
    from tkbench.shards import Shards as ShardFolder

Shown = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="Show these columns, by their names in the CSV, with commas.",
        show_default="those that fit the terminal",
    ),
]
Whole = Annotated[
    bool, typer.Option("--all", help="Show all columns, in several tables where they do not fit.")
]

By = Annotated[
    str | None,
    typer.Option(
        "--by",
        help="Split the table by these strata, with commas: pose, face_size, resolution, duration, loudness, speech, "
        "brightness, speaker, split, or a label of the data set. Edges after colons: pose:20:40.",
        show_default=False,
    ),
]

StrataOf = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        help="The shards that were scored: --by measures bundles from before strata were stored.",
        show_default=False,
    ),
]


Pattern = Annotated[
    str | None,
    typer.Option(
        help="How the files of --videos are named: {key} is a clip's name, {name} what follows its last /, as in "
        "'{key}_result.mp4'.",
        show_default="{key}",
    ),
]
# Of `tkbench verify` and `tkbench leaderboard submit`, which score a bundle's videos again.
ScoredVideos = Annotated[
    Path | None, typer.Option(help="The videos that were scored, one per clip.", show_default=False)
]
SampleSize = Annotated[
    int | None,
    typer.Option(min=1, help="Score only so many clips again, drawn by --seed.", show_default="all"),
]
SampleSeed = Annotated[int, typer.Option(min=0, help="Another seed draws other clips.")]
SourcesAgain = Annotated[
    Path | None,
    typer.Option(
        help="Folder that the shards were prepared from, as `tkbench eval` takes it.", show_default=False
    ),
]


@app.command("eval")
def evaluate_command(
    data_folder: Shards,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A name from `tkbench ls`, such as real, still or files:DIR; `anchors` means real, still, shift:5, "
            "shuffled-audio and blur. Repeatable.",
        ),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(help="Score the videos in this folder, one per clip; the same as --model files:DIR."),
    ] = None,
    pattern: Pattern = None,
    name: Annotated[
        str | None, typer.Option(help="What tables call the model; for one model at a time.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="A bundled protocol or a TOML file; by default the one that fits the data."),
    ] = None,
    lse: Annotated[
        str | None,
        typer.Option(
            help="Also score these LSE recipes: all, or names with commas (wav2lip-lrs, syncnet-real, latentsync, "
            "mocha and others). They start at the released file; with -canvas added to the name at the prepared "
            "canvas; with -canvas-mediapipe the last three need no detector weight."
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the shards were prepared from: the files of the true videos, for --lse. Not needed where "
            "they were prepared with --keep-source.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for result bundles and the report.")] = Path("runs"),
    leaderboards: Annotated[Path, typer.Option(help="Folder for the CSV tables.")] = Path("leaderboards"),
    split: Split = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N clips. Such rows have a table of their own.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Folder where what was computed is kept for the next run: features. By default TKBENCH_CACHE, or "
            "tkbench/features in the user's cache folder. At most 4 GiB.",
            show_default=False,
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute all features anew and keep none.")
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="For cross:MODEL: a list with a line VOICE PICTURE for each video, such as Wav2Lip's test pairs. With "
            "--videos, each is called PICTURE+VOICE.",
            show_default=False,
        ),
    ] = None,
    device: Device = "cpu",
    by: By = None,
    columns: Shown = None,
    whole: Whole = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resources: Annotated[
        str | None,
        typer.Option(
            help="With --scheduler: what a worker must offer, as in GPU=1; commas between several.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Score a few clips aside, and estimate time and cost; writes nothing to OUT."
        ),
    ] = False,
    price: Annotated[
        float | None,
        typer.Option(min=0, help="For --dry-run: what one worker costs per hour.", show_default=False),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Score all clips, also the clips and models that a stopped run has finished."
        ),
    ] = False,
) -> None:
    """Score models: LSE-C, LSE-D (also called Sync-C, Sync-D), AVOffset, PSNR, SSIM, LPIPS, FID and others.

    Writes a result bundle per model, its row in `leaderboards/*.csv` with intervals and coverage, and an HTML report.
    A run that was stopped goes on at the next clip when it is started again; models that it has finished are kept.

    Example: `tkbench eval --data shards --model anchors`

    Your own videos: `tkbench eval --data shards --videos out/ --name my-model`

    Named otherwise: `tkbench eval --data shards --videos out/ --pattern {key}_result.mp4`

    Other voices by a published list: `tkbench eval --data shards --model cross:cals --pairs lrs2.txt`

    By stratum, with the gap between best and worst: `tkbench eval --data shards --model real --by pose,speech`

    LSE by every recipe of the field: `tkbench eval --data shards --model real --lse all --sources videos`
    """
    names = [part for item in model or [] for part in _expand(item)]
    if videos is not None:
        made_elsewhere = videos_model(videos, pattern)
        names.append(made_elsewhere if pairs is None else f"cross:{made_elsewhere}")
    elif pattern is not None:
        raise UsageError(
            f"--pattern {pattern!r}: says how the files of --videos are named; give --videos, too"
        )
    if not names:
        raise UsageError("nothing to score: give --model NAME (as in --model real) or --videos DIR")
    if name is not None and len(names) > 1:
        raise UsageError(f"--name {name!r} is for one model, found {len(names)}: {', '.join(names)}")
    if cache is not None and no_cache:
        raise UsageError("--cache and --no-cache exclude each other: give one of them")
    strata = strata_of(by)
    from tkbench import models
    from tkbench.models import kinds
    from tkbench.prep.datasets import default_protocol
    from tkbench.protocol import chosen
    from tkbench.runtime import feature_cache
    from tkbench.runtime.devices import check_device
    from tkbench.runtime.parallel import pool
    from tkbench.runtime.progress import bar
    from tkbench.shards import open_shards

    # Mistakes in the command are reported before any process is started, and before large libraries are loaded.
    for item in names:
        models.registry.check(item.partition(":")[0])
    source = open_shards(data_folder)
    rules = chosen(protocol, default_protocol(source.dataset))
    if scheduler is None:
        check_device(device)
    needs = needs_of(resources, scheduler)
    if sources is not None and not sources.is_dir():
        raise UsageError(
            f"--sources {sources}: no such folder; give the --root that the shards were prepared from"
        )
    called: dict[str, str] = {}
    told, videos_told = "", list[str]()
    for item in names:
        model_here = models.create(item)
        title = name or model_here.card.name
        if title in called:
            raise UsageError(
                f"--model {called[title]} and --model {item} would both be called {title!r}; score them one at a time, "
                f"with --name"
            )
        called[title] = item
        of_pairs, of_videos = _check_clips(item, data_folder, rules, (split, limit, pairs))
        told = told or of_pairs
        videos_told += of_videos
    from tkbench.scoring.evaluate import EvalOptions, check_by, check_name, evaluate, kept_from_stopped
    from tkbench.scoring.recipes import extend

    check_by(strata, source)
    if told:
        say(told)
    if name is not None:
        check_name(name, anchor=model_here.card.anchor)  # a name is for one model
    if lse is not None:
        rules = extend(rules, lse)
    wanted = names_of(columns)
    if wanted:
        from tkbench.results.cost import COLUMNS as COST_COLUMNS
        from tkbench.results.leaderboard import chosen as columns_called
        from tkbench.scoring.clips import build_metrics

        columns_called([*build_metrics(rules, device).columns, *COST_COLUMNS], wanted)
    for line in dict.fromkeys(kinds.of_bundled(item, source.dataset) for item in names):
        if line:
            say(line)
    place = None if no_cache else cache or feature_cache.folder()
    if left := left_out(source, split):
        say(left)
    if dry_run:
        for line in videos_told:  # otherwise said when the model's turn comes
            say(line)
        from tkbench.scoring.estimate import estimate

        with bar("sample") as progress:
            guess = estimate(
                data_folder,
                names,
                protocol=rules,
                split=split,
                limit=limit,
                workers=count_workers(workers),
                options=EvalOptions(name, None, device, progress, sources, pairs=pairs),
            )
        answer(estimate=asdict(guess), worker_hours=guess.hours("mean"))
        show(guess.table(price))
        say(guess.verdict(price))
        return
    writable(out, "--out", folder=True)
    writable(leaderboards, "--leaderboards", folder=True)
    if cache is not None:
        writable(cache, "--cache", folder=True)
    detail(
        f"protocol {rules.name}, {count_workers(workers)} workers, device {device}, features {place or 'not kept'}"
    )
    options = EvalOptions(
        name,
        place,
        device,
        sources=sources,
        by=strata,
        fresh=fresh,
        pairs=pairs,
        tell=say,
        one_of_several=True,
    )
    made: dict[str, Path] = {}
    for title, item in called.items():
        folder = kept_from_stopped(
            data_folder, item, protocol=rules, out=out, split=split, limit=limit, options=options
        )
        if folder is not None:
            made[title] = folder
    if made:
        say(
            f"{len(made)} of {counted(len(called), 'model')} kept from the stopped run: {', '.join(made)}; --fresh "
            "scores all again"
        )
    if len(made) < len(called):
        with pool(count_workers(workers), scheduler=scheduler, resources=needs) as workforce:
            for title, item in called.items():
                if title not in made:
                    with bar(f"eval {title}") as progress:
                        made[title] = evaluate(
                            data_folder,
                            item,
                            protocol=rules,
                            out=out,
                            workers=workforce,
                            split=split,
                            limit=limit,
                            options=replace(options, progress=progress),
                        )
    bundles = [made[title] for title in called]
    _publish(bundles, leaderboards, wanted, whole=whole)
    if strata:
        show_strata(bundles, strata, wanted)
    if lse is not None:
        from tkbench.report.publish import lse_tables

        for part in lse_tables(bundles):
            show(part)


def videos_model(videos: Path, pattern: str | None) -> str:
    """The model that --videos and --pattern name.

    >>> videos_model(Path("out"), None), videos_model(Path("out"), "{key}_result.mp4")
    ('files:out', 'files:out/{key}_result.mp4')
    """
    if pattern is None:
        return f"files:{videos}"
    from tkbench.models.matching import parse_pattern

    parse_pattern(pattern)
    return f"files:{videos}/{pattern}"


def left_out(source: ShardFolder, split: str | None) -> str:
    """What preparation left out of the clips that are scored, in one line; "" for nothing."""
    table = source.manifest(["clip", "split", "status", "reason"])
    gone = table[table["status"] != "ok"]
    if split is not None:
        gone = gone[(gone["split"] == split) | gone["split"].isna()]
    if not len(gone):
        return ""
    reasons = gone["reason"].value_counts()
    shown = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return (
        f"{source.folder}: {counted(len(gone), 'clip')} left out in preparation ({shown}), in no table; "
        f"`tkbench data show {source.folder}` has each"
    )


def _check_clips(
    model: str, data: Path, rules: Protocol, which: tuple[str | None, int | None, Path | None]
) -> tuple[str, list[str]]:
    """What can be wrong with clips and their videos by names and headers, before a process is started.

    which: --split, --limit and --pairs. Returns what is to be said of the pairs, and of the videos.
    """
    from tkbench.scoring import lists, named
    from tkbench.scoring.clips import open_split
    from tkbench.scoring.evaluate import check_videos
    from tkbench.scoring.pairing import items_of

    split, limit, pairs = which
    source = open_split(data, lists.split_for(rules, open_split(data, split), split))
    made = named.create(model, source)
    items = items_of(rules, source, made.card, limit=limit, pairs=pairs)
    videos = check_videos(made, source, items)
    return items.told, videos


def needs_of(resources: str | None, scheduler: str | None) -> dict[str, float]:
    """What `--resources` asks of a worker.

    >>> needs_of("GPU=1, MEMORY=8", "tcp://10.0.0.1:8786")
    {'GPU': 1.0, 'MEMORY': 8.0}
    """
    found = {}
    for part in names_of(resources):
        name, _, amount = part.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:
            raise UsageError(f"--resources {part!r}: expected NAME=NUMBER, as in GPU=1") from None
    if found and scheduler is None:
        raise UsageError("--resources is for workers of a cluster: give --scheduler, too")
    return found


def _expand(item: str) -> tuple[str, ...]:
    from difflib import get_close_matches

    from tkbench.models import ANCHORS, registry

    if item == "anchors":
        return ANCHORS
    if item not in registry and ":" not in item and get_close_matches(item, ["anchors"], cutoff=0.7):
        raise UnknownName(f"no model is called {item!r}: did you mean anchors?")
    return (item,)


def strata_of(by: str | None) -> tuple[Stratum, ...]:
    """What --by asks for."""
    if by is None:
        return ()
    from tkbench.results.strata import parse

    return tuple(parse(by))


def show_strata(
    folders: Sequence[Path], strata: Sequence[Stratum], columns: list[str], data: Path | None = None
) -> None:
    """Tables of these bundles by stratum; `data`: the shards, for bundles that hold no strata."""
    from tkbench.results import by_stratum

    found = table_by(folders, strata, columns, data)
    if answers_json():
        answer(strata=by_stratum.records(found))
    for part in by_stratum.rich_tables(found):
        show(part)


def table_by(
    folders: Sequence[Path], strata: Sequence[Stratum], columns: list[str], data: Path | None
) -> ByStratum:
    """Bundles split by strata; `data`: the shards, for bundles that hold none."""
    from tkbench.results import bundle
    from tkbench.results.by_stratum import split_by
    from tkbench.runtime.progress import bar

    rows = [bundle.read(folder) for folder in folders]
    lacking = [row for row in rows if bundle.FILE_OF_STRATA not in row.result.files]
    known = None
    if data is not None and lacking:
        from tkbench.scoring.rescore import data_of
        from tkbench.scoring.strata import of_shards

        source = data_of(lacking[0], data)
        split = source.split if len(source.splits) == 1 else None
        with bar("strata") as progress:
            known = of_shards(data, split, source.keys()[: lacking[0].result.n_clips], progress)
    return split_by(rows, strata, columns=columns, known=known)


def _publish(bundles: list[Path], leaderboards: Path, columns: list[str], *, whole: bool) -> None:
    """Bring the table and the report up to date with new bundles, and show the table."""
    from tkbench.report import publish
    from tkbench.scoring import finished

    with waiting("table and report"):
        made = publish.publish(bundles, leaderboards)
        finished.published(bundles)
    if answers_json():
        from tkbench import api

        facts = {"folder": made.folder, "leaderboard": made.csv, "report": made.report, "bundles": bundles}
        answer(**facts, table=api.leaderboard(made.folder).to_dict("records"))
    for part in publish.rich_tables(made.folder, stdout_width(), names=columns, whole=whole):
        show(part)
    say(f"leaderboard: {made.csv}\nreport:      {made.report}")
    refuse_all(made.faults)


@app.command("report")
def report_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of result bundles of one data set and protocol, or of one such folder; several with --site."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The HTML file.", show_default="report.html in that folder"),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            help="Make a static site in this folder instead: a list of tables, a page per table and a page per model. "
            "RUNS are folders of tables, or of several."
        ),
    ] = None,
) -> None:
    """Write the HTML report of a folder of bundles, or a site of several.

    Example: `tkbench report runs/synth-v1-1a2b3c4d`

    A site of all tables: `tkbench report runs --site public`
    """
    if site is not None and out is not None:
        raise UsageError("--out and --site exclude each other: a site has many files")
    if site is None and len(runs) > 1:
        raise UsageError(
            f"{len(runs)} folders: a report is of one table; give --site FOLDER for a site of several"
        )
    if site is not None:
        writable(site, "--site", folder=True)
        from tkbench.report import site as pages

        say(str(pages.write(runs, site)))
        return
    if out is not None:
        writable(out, "--out")
    from tkbench.report import write
    from tkbench.results.bundle import find

    bad: list[str] = []
    rows = find(runs[0], bad)
    with waiting("report"):
        page = write([row.folder for row in rows], out or rows[0].folder.parent / "report.html")
    answer(report=page)
    say(str(page))
    refuse_all(bad)


@app.command("sensitivity")
def sensitivity_command(
    data_folder: Shards,
    knob: Annotated[
        list[str] | None,
        typer.Option(
            "--knob",
            "-k",
            help="shift, blur, jpeg, noise, resize, fps, still, video-codec, audio-codec, crop-scale, min-frames or n; "
            "default: all. Repeatable.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="A bundled protocol or a TOML file; by default the one that fits the data."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The HTML page; a CSV file of the same name goes beside it.")
    ] = Path("sensitivity.html"),
    split: Split = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")] = None,
    device: Device = "cpu",
    workers: Workers = None,
) -> None:
    """Change one thing at a time, and show how far each score of the true video moves.

    Faults of the video show what a metric measures. Codecs show what the released file does to a score. Crop scale,
    shortest clip and number of clips show how far a number moves when nothing about the model changes.

    Example: `tkbench sensitivity --data shards --knob jpeg --knob shift`
    """
    from tkbench.runtime.devices import check_device
    from tkbench.runtime.progress import bar
    from tkbench.scoring import sensitivity

    if out.suffix.lower() == ".csv":
        raise UsageError(f"--out {out}: give the name of the HTML page; the CSV gets the same name and .csv")
    check_device(device)
    writable(out, "--out")
    from tkbench.report import sensitivity as page
    from tkbench.runtime.storage import write_file

    with bar("sensitivity") as progress:
        result = sensitivity.measure(
            data_folder,
            knobs=knob or (),
            protocol=protocol,
            split=split,
            limit=limit,
            workers=count_workers(workers),
            device=device,
            progress=progress,
        )
    answer(points=[asdict(point) for point in result.points])
    for table in page.rich_tables(result):
        show(table)
    page.write(result, out)
    table_file = out.with_suffix(".csv")
    write_file(table_file, result.to_csv().encode())
    say(f"page:  {out}\ntable: {table_file}")


@app.command("compare")
def compare_command(
    bundles: Annotated[
        list[Path], typer.Argument(help="Result bundles of one table, two or more; or the folder of a table.")
    ],
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this metric's column; repeatable.", show_default=False)
    ] = None,
) -> None:
    """Test which models differ: paired by clip, clustered by speaker, p corrected by Holm over all pairs.

    Example: `tkbench compare runs/synth-v1-1a2b3c4d/real runs/synth-v1-1a2b3c4d/still`

    All models of a table: `tkbench compare runs --metric psnr`
    """
    from tkbench.results.compare import compare, rich_tables

    rows = [row for folder in bundles for row in bundles_at(folder)]
    with waiting("compare"):
        found = compare(rows, metrics=metric or ())
    if answers_json():
        from tkbench import api

        answer(pairs=api.compare([row.folder for row in rows], metrics=metric or ()).to_dict("records"))
    level = rows[0].result.stats["level"]
    for part in rich_tables(found, level=level, width=stdout_width(), verbose=now().verbose):
        show(part)


def bundles_at(folder: Path) -> list[Bundle]:
    """The bundle in a folder, or those of the table in it."""
    from tkbench.results.bundle import find, read

    inside = not (folder / "result.json").is_file() and any(folder.glob("**/result.json"))
    return find(folder) if inside else [read(folder)]


@app.command("verify")
def verify_command(
    rows: Annotated[
        list[Path],
        typer.Argument(help="Result bundles, folders of tables, or CSV files of leaderboards."),
    ],
    data_folder: Annotated[
        Path | None,
        typer.Option(
            "--data", "-d", help="The shards that were scored, to score them again.", show_default=False
        ),
    ] = None,
    videos: ScoredVideos = None,
    pattern: Pattern = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="In the place of --videos: the model, as in --model real.",
            show_default=False,
        ),
    ] = None,
    sample: SampleSize = None,
    seed: SampleSeed = 0,
    sources: SourcesAgain = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="Folder of bundles that a CSV's cells are held against.",
            show_default="the rows kept beside the CSV, else runs",
        ),
    ] = None,
    workers: Workers = None,
) -> None:
    """Recompute a bundle's row from its per-clip numbers and curves, hold its facts against its signature, and check
    its hashes.

    With `--data` and `--videos` the videos are scored again, and each clip that differs is named.

    Example: `tkbench verify runs/synth-v1-1a2b3c4d/real`

    With the videos: `tkbench verify runs/synth-v1-1a2b3c4d/my-model --data shards --videos out --sample 20`

    A table: `tkbench verify leaderboards/synth-v1-1a2b3c4d.csv --runs runs`
    """
    from tkbench.results import proof
    from tkbench.results.rows import FOLDER as ROWS

    if videos is not None and model is not None:
        raise UsageError("--videos and --model exclude each other: give one of them")
    again = videos_model(videos, pattern) if videos is not None else model
    if (data_folder is None) != (again is None):
        raise UsageError("to score again, give --data SHARDS and either --videos DIR or --model NAME")
    wrong: list[str] = []
    proved: dict[str, object] = {}
    answer(verified=proved)
    tables = [place for place in rows if place.suffix.lower() == ".csv"]
    folders = [place for place in rows if place not in tables]
    for place in [*tables, *_folders_below(folders, wrong)]:
        try:
            if place in tables:
                kept = place.parent / ROWS / place.stem
                held = runs if runs is not None else kept if kept.is_dir() else Path("runs")
                cells = proof.verify_table(place, held)
                proved[str(place)] = f"{cells} cells"
                say(f"{place}: {cells} cells are those of its bundles")
                continue
            with waiting(f"verify {place.name}"):
                found = proof.verify(place)
            proved[str(place)] = list(found.recomputed)
            say(str(found))
            if data_folder is not None and again is not None:
                wrong += _scored_again(place, data_folder, again, (sample, seed, sources, workers))
        except TkbenchError as error:
            wrong.append(str(error))
    refuse_all(wrong)


def _folders_below(places: Sequence[Path], wrong: list[str]) -> list[Path]:
    """The bundles of tables among these folders; others are kept, so that it is said what is wrong with them."""
    found: list[Path] = []
    for place in places:
        if (place / "result.json").is_file() or not any(place.glob("*/**/result.json")):
            found.append(place)
            continue
        try:
            found += [row.folder for row in bundles_at(place)]
        except TkbenchError as error:
            wrong.append(str(error))
    return found


def _scored_again(
    folder: Path, shards: Path, model: str, how: tuple[int | None, int, Path | None, int | None]
) -> list[str]:
    """Score a bundle's videos again and say what was compared; a line per clip that differs."""
    return list(scored_again(folder, shards, model, how).differences)


def scored_again(
    folder: Path, shards: Path, model: str, how: tuple[int | None, int, Path | None, int | None]
) -> Rescored:
    """The same, as what was found. how: sample, seed, sources and workers, as `tkbench verify` takes them."""
    from tkbench.runtime.progress import bar
    from tkbench.scoring.rescore import rescore

    sample, seed, sources, workers = how
    with bar("verify") as progress:
        found = rescore(
            folder,
            shards,
            model,
            sample=sample,
            seed=seed,
            sources=sources,
            workers=count_workers(workers),
            progress=progress,
        )
    left = f"; not scored here: {', '.join(found.left_out)}" if found.left_out else ""
    same = found.clips - len(found.differences)
    say(
        f"{folder}: {counted(found.clips, 'clip')} scored again in {counted(found.columns, 'column')}, "
        f"{same} agree{left}"
    )
    return found
