"""The `tkbench` command: parse, call one function, print. Data goes to stdout, talk to stderr.

Exit codes: 0 done, 2 input that cannot be used (one line says what to do), 130 stopped by Ctrl-C; a bug is a traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tkbench import __version__
from tkbench.errors import TkbenchError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="tkbench",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Prepare talking-face data, score models on it, publish tables that can be recomputed.\n\n"
    "Try it with no data: `tkbench demo --out demo`",
)


def _group(name: str, text: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=text)
    app.add_typer(group, name=name)
    return group


prep = _group("prep", "Turn videos into standardized shards.")
weights = _group("weights", "Networks that metrics need: list, fetch, add, verify.")
board = _group("leaderboard", "Tables built from result bundles.")
bench = _group("bench", "Measure speed.")
data = _group("data", "Look into shards and take clips out of them.")

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", "-w", min=1, help="Processes; by default one per core, at most 8.", show_default=False
    ),
]
Shards = Annotated[Path, typer.Option("--data", "-d", help="Folder of shards, as `tkbench prep` made it.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tkbench {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _talk() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _say(text: str) -> None:
    """A line for people, on stderr, never wrapped: paths in it are copied by hand."""
    _talk().print(text, markup=False, soft_wrap=True)


def _show(table: Any) -> None:
    """A table on stdout; wide enough for its columns where stdout is not a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(table)


def _workers(workers: int | None) -> int:
    from tkbench.parallel import default_workers

    return default_workers() if workers is None else workers


@prep.command("synth")
def prep_synth(
    out: Annotated[Path, typer.Option(help="Folder for the corpus; must be new or empty.")],
    clips: Annotated[int, typer.Option(min=1, help="Number of clips.")] = 24,
    speakers: Annotated[
        int, typer.Option(min=1, help="Number of speakers; clips are dealt to them in turn.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    split: Annotated[
        str | None,
        typer.Option(help="Put every clip in this split, instead of dividing speakers over the three."),
    ] = None,
    workers: Workers = None,
) -> None:
    """Make a corpus of synthetic talking faces with exact truth: phonemes, lip aperture, A/V offset.

    Example: `tkbench prep synth --out corpus --clips 24 --speakers 12 --seed 0`
    """
    from tkbench.prep.synth.corpus import make_corpus
    from tkbench.progress import bar

    with bar("corpus") as progress:
        path = make_corpus(
            out,
            clips=clips,
            speakers=speakers,
            seed=seed,
            split=split,
            workers=_workers(workers),
            progress=lambda done, total: progress(done, total, "clips"),
        )
    _say(f"corpus: {path}\nnext:   tkbench prep folder --root {out} --out shards")


@prep.command("folder")
def prep_folder(
    root: Annotated[Path, typer.Option(help="Folder of talking-head videos, searched with its subfolders.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
    workers: Workers = None,
) -> None:
    """Prepare any folder of videos: check, decode once, track the face, align, write shards.

    Every file ends in the manifest as ok or skipped with a reason. Run again to resume.

    Example: `tkbench prep folder --root videos --out shards`
    """
    from tkbench.prep.run import prepare
    from tkbench.progress import bar

    with bar("prep") as progress:
        summary = prepare(root, out, workers=_workers(workers), progress=progress)
    _show(_summary_table(summary, out))
    _say(f"shards: {out}\nnext:   tkbench eval --model real --data {out}")


def _summary_table(summary: Any, out: Path) -> Any:
    from rich.table import Table

    table = Table(title=f"Preparation of {out.name or out}", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("which", overflow="fold")
    for what, count, which in summary.table():
        table.add_row(str(what), str(count), str(which))
    return table


@app.command("eval")
def evaluate_command(
    data_folder: Shards,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="real, still, shift:5, shuffled-audio, blur, files:DIR; `anchors` is the first five. Repeatable.",
        ),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(help="Score the videos in this folder, one per clip: short for --model files:DIR."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What tables call the model; for one model at a time.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="A bundled protocol or a TOML file; by default the one that fits the data."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for result bundles and the report.")] = Path("runs"),
    leaderboards: Annotated[Path, typer.Option(help="Folder for the CSV tables.")] = Path("leaderboards"),
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N clips; such rows never mix with full ones.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Score models: LSE-C, LSE-D, AVOffset, PSNR, SSIM, LPIPS, FID, with intervals and coverage.

    Writes a result bundle per model, a row in `leaderboards/*.csv`, and an HTML report.

    Example: `tkbench eval --data shards --model anchors`

    Your own videos: `tkbench eval --data shards --videos out/ --name my-model`
    """
    names = [part for item in model or [] for part in _expand(item)]
    if videos is not None:
        names.append(f"files:{videos}")
    if not names:
        raise UsageError("nothing to score: give --model NAME (as in --model real) or --videos DIR")
    if name is not None and len(names) > 1:
        raise UsageError(f"--name {name!r} is for one model, found {len(names)}: {', '.join(names)}")
    from tkbench import models
    from tkbench.evaluate import evaluate
    from tkbench.parallel import pool
    from tkbench.progress import bar
    from tkbench.shards import open_shards

    # Before any process is started: what is wrong with the command is said at once.
    open_shards(data_folder)
    for item in names:
        models.create(item)
    bundles = []
    with pool(_workers(workers)) as workforce:
        for item in names:
            with bar(f"eval {item}") as progress:
                bundles.append(
                    evaluate(
                        data_folder,
                        item,
                        protocol=protocol,
                        out=out,
                        limit=limit,
                        name=name,
                        workforce=workforce,
                        progress=progress,
                    )
                )
    _publish(bundles, leaderboards)


def _expand(item: str) -> tuple[str, ...]:
    from tkbench.models import ANCHORS

    return ANCHORS if item == "anchors" else (item,)


def _publish(bundles: list[Path], leaderboards: Path) -> None:
    """Bring the table and the report up to date with new bundles, and show the table."""
    from tkbench import publish

    made = publish.publish(bundles, leaderboards)
    _show(publish.rich_table(made.folder))
    _say(f"leaderboard: {made.csv}\nreport:      {made.report}")


@app.command("train")
def train_command(
    data_folder: Annotated[
        Path, typer.Option("--data", "-d", help="Folder of shards with a train and a val split.")
    ],
    out: Annotated[Path, typer.Option(help="Where the trained weights go (.safetensors).")],
    model: Annotated[str, typer.Option("--model", "-m", help="What to train: syncnet.")] = "syncnet",
    config: Annotated[str, typer.Option(help="A bundled recipe or a TOML file.")] = "syncnet-synth",
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.", show_default=False)] = None,
) -> None:
    """Train a network on prepared shards.

    Example: `tkbench train --model syncnet --data shards --out syncnet.safetensors`
    """
    if model != "syncnet":
        raise UsageError(f"--model {model!r}: what can be trained here is syncnet")
    from tkbench.progress import bar
    from tkbench.train import train_syncnet

    with bar("train") as progress:
        summary = train_syncnet(data_folder, out, config=config, seed=seed, progress=progress)
    _say(str(summary))


@bench.command("prep")
def bench_prep_command(
    root: Annotated[Path, typer.Option(help="Folder of videos to prepare.")],
    repeat: Annotated[int, typer.Option(min=1, help="Runs per clip; the fastest counts.")] = 3,
) -> None:
    """Frames/s of each preparation stage on one core, per picture size, and what the limit is.

    Example: `tkbench bench prep --root videos`
    """
    from tkbench.bench import bench_prep
    from tkbench.progress import bar

    with bar("bench") as progress:
        report = bench_prep(root, repeat=repeat, progress=progress)
    _show(report.table())
    _say(report.verdict())


@weights.command("list")
def weights_list() -> None:
    """Every pinned network: what needs it, whether it is here, its licence.

    Example: `tkbench weights list`
    """
    from rich.table import Table

    from tkbench import weights as registry

    table = Table()
    for heading in ("name", "state", "MB", "sha256", "licence", "needed for"):
        table.add_column(heading, overflow="fold")
    for row in registry.status():
        table.add_row(*row)
    _show(table)


@weights.command("fetch")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(help="Names from `tkbench weights list`.")],
) -> None:
    """Download networks and check their hashes; an interrupted download goes on where it stopped.

    Example: `tkbench weights fetch syncnet-v2 inception-fid`
    """
    from tkbench import weights as registry
    from tkbench.progress import bar

    for name in names:
        with bar(f"fetch {name}") as progress:
            path = registry.fetch(name, progress=progress)
        _say(f"{name}: {path}")


@weights.command("add")
def weights_add(
    name: Annotated[str, typer.Argument(help="Name from `tkbench weights list`.")],
    file: Annotated[Path, typer.Argument(help="A file that you have.")],
) -> None:
    """Take a file that you already have, after checking its hash.

    Example: `tkbench weights add syncnet-v2 syncnet_v2.model`
    """
    from tkbench import weights as registry

    _say(f"{name}: {registry.add(name, file)}")


@weights.command("verify")
def weights_verify() -> None:
    """Check the hash of every network that is here; exit code 2 if one is wrong.

    Example: `tkbench weights verify`
    """
    from tkbench import weights as registry

    for line in registry.verify():
        _say(line)


@board.command("export")
def board_export(
    runs: Annotated[Path, typer.Argument(help="Folder of result bundles of one data set and protocol.")],
    format: Annotated[str, typer.Option("--format", "-f", help="csv, markdown or latex.")] = "markdown",
) -> None:
    """Print the table of a folder of bundles, with its signature.

    Example: `tkbench leaderboard export runs/synth-v1-1a2b3c4d --format latex`
    """
    from tkbench.leaderboard import export

    sys.stdout.write(export(runs, format))


@app.command("report")
def report_command(
    runs: Annotated[Path, typer.Argument(help="Folder of result bundles of one data set and protocol.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; by default report.html in that folder.")
    ] = None,
) -> None:
    """Write the HTML report of a folder of bundles.

    Example: `tkbench report runs/synth-v1-1a2b3c4d`
    """
    from tkbench.bundle import find
    from tkbench.report import write

    _say(str(write([row.folder for row in find(runs)], out or runs / "report.html")))


@app.command("verify")
def verify_command(
    bundles: Annotated[list[Path], typer.Argument(help="Folders of result bundles.")],
) -> None:
    """Recompute a bundle's table row from its per-clip numbers, and check its hashes.

    Example: `tkbench verify runs/synth-v1-1a2b3c4d/real`
    """
    from tkbench import bundle

    for folder in bundles:
        bundle.verify(folder)
        _say(f"{folder}: the row follows from the clips, and every file has its hash")


@data.command("export")
def data_export(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
) -> None:
    """Write each clip's canvas as `<key>.mp4` and its voice as `<key>.wav`, to feed a model of your own.

    Give the model's videos the same names, then: `tkbench eval --data shards --videos DIR --name my-model`

    Example: `tkbench data export shards --out clips`
    """
    from tkbench.progress import bar
    from tkbench.shards import export

    with bar("export") as progress:
        count = export(shards, out, progress=progress)
    _say(f"{count} clips: {out}")


@app.command("ls")
def list_names() -> None:
    """Names of models, metrics and protocols, plug-ins included.

    Example: `tkbench ls`
    """
    from rich.table import Table

    from tkbench import metrics, models, protocol

    table = Table(show_header=False)
    table.add_row("models", ", ".join(models.registry))
    table.add_row("metrics", ", ".join(metrics.registry))
    table.add_row("protocols", ", ".join(protocol.bundled()))
    _show(table)


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo makes.")] = Path("demo"),
    clips: Annotated[int, typer.Option(min=4, help="Number of clips.")] = 24,
    speakers: Annotated[int, typer.Option(min=2, help="Number of speakers.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the corpus.")] = 1,
    workers: Workers = None,
) -> None:
    """The whole way in a few minutes: make a corpus, prepare it, score and rank the anchors, write the report.

    Example: `tkbench demo --out demo`
    """
    from tkbench.demo import run

    run(out, clips=clips, speakers=speakers, seed=seed, workers=_workers(workers), show=_show, say=_say)


def main() -> None:
    """Entry point: one clear line for what a user can mend, a traceback for what only we can."""
    try:
        app()
    except TkbenchError as error:
        text = " ".join(str(error).split())
        _talk().print(f"tkbench: {text}", markup=False, soft_wrap=True, style="red")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("tkbench: stopped; run the same command again to go on")
        sys.exit(130)


if __name__ == "__main__":
    main()
