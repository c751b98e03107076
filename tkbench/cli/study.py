"""`tkbench study ...`: what the papers claim of their models, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import Crops, CropsBefore, Device, Shards, either, group, say, writable
from tkbench.errors import UsageError

study = group("study", "What the papers claim of their models, measured.")


@study.command("memory")
def memory_command(
    data_folder: Shards,
    model: Annotated[
        str, typer.Option("--model", "-m", help="synctalkface, or synctalkface:CHECKPOINT.")
    ] = "synctalkface",
    counted: Annotated[
        Path | None,
        typer.Option(
            help="Shards whose split train the tables are counted on; all of --data is then held out. By default the "
            "split train of --data, and its test is held out.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the table, the figures and the page.")] = Path(
        "study"
    ),
    device: Device = "cpu",
    crops: Crops = None,
    crops_before: CropsBefore = None,
) -> None:
    """Does the memory of SyncTalkFace hold sounds? Slots in use, what they say, what the face loses without them.

    Phonemes and visemes need a corpus that knows what is spoken: `tkbench prep synth`.

    Example: `tkbench study memory --data demo/shards --out demo/study`
    """
    from tkbench.models import kinds
    from tkbench.shards import open_shards

    # Before torch is loaded, and before a folder is made.
    kind = model.partition(":")[0]
    kinds.registry.check(kind)
    if kind != "synctalkface":
        raise UsageError(f"study memory --model {model}: only synctalkface has a memory; found {kind!r}")
    for folder in (data_folder, counted):
        if folder is not None:
            open_shards(folder)
    writable(out, "--out", folder=True)
    from tkbench.runtime.devices import check_device
    from tkbench.runtime.progress import bar
    from tkbench.study import memory, memory_page

    check_device(device)

    with bar("study memory") as progress:
        found = memory.study_memory(
            model,
            data_folder,
            counted=counted,
            cache=either(crops, crops_before),
            device=device,
            progress=progress,
        )
    _told(found.sentence(), memory_page.write(found, out))


@study.command("metrics")
def metrics_command(
    data_folder: Shards,
    out: Annotated[Path, typer.Option(help="Folder for results, table, figure and page.")] = Path("study"),
    split: Annotated[
        str | None, typer.Option(help="Only the clips of one split.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first clips.", show_default=False)
    ] = None,
    device: Device = "cpu",
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes.")] = 1,
) -> None:
    """Which metric could a model please without better lips? Scores videos that were made to please, and honest ones.

    Run it again to go on: what is scored already is kept in OUT.

    Example: `tkbench study metrics --data demo/shards --out demo/study`
    """
    from tkbench.runtime.devices import check_device
    from tkbench.shards import open_shards

    open_shards(data_folder)
    check_device(device)
    writable(out, "--out", folder=True)
    from tkbench.runtime.progress import bar
    from tkbench.study import metrics, metrics_page

    with bar("study metrics") as progress:
        found = metrics.study_metrics(
            data_folder,
            out / "runs",
            split=split,
            limit=limit,
            workers=workers,
            device=device,
            progress=progress,
        )
    _told(found.sentence(), metrics_page.write(found, out))


@study.command("context")
def context_command(
    data_folder: Shards,
    out: Annotated[Path, typer.Option(help="Folder for results, table, figure and page.")] = Path("study"),
    seeds: Annotated[int, typer.Option(min=1, help="Networks per window.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 800,
) -> None:
    """How many frames of sound on either side does a mouth need? The context window of CALS, measured.

    Small networks are trained with windows of 0 to 25 frames, some seconds each. Run it again to go on. Where it is
    known what is said (`tkbench prep synth`), the truth and networks that are told the phonemes stand beside.

    Example: `tkbench study context --data demo/shards --out demo/study`
    """
    from tkbench.shards import open_shards

    open_shards(data_folder)
    writable(out, "--out", folder=True)
    from tkbench.runtime.progress import bar
    from tkbench.study import context, context_page

    with bar("study context") as progress:
        found = context.study_context(
            data_folder, out, seeds=tuple(range(seeds)), steps=steps, progress=progress
        )
    _told(found.sentence(), context_page.write(found, out))


@study.command("ablation")
def ablation_command(
    data_folder: Shards,
    model: Annotated[str, typer.Option("--model", "-m", help="synctalkface or cals.")],
    out: Annotated[Path, typer.Option(help="Folder for trainings, scores, table, figure and page.")] = Path(
        "study"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Networks per row.")] = 3,
    first: Annotated[int, typer.Option(help="Steps of each row without pictures.")] = 600,
    drawn: Annotated[int, typer.Option(help="Steps of each row that draw.")] = 400,
    full: Annotated[
        bool, typer.Option("--full", help="As many steps as the configuration has: for a GPU.")
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            help="A bundled configuration or a TOML file; by default MODEL-ablation, with --full MODEL-small.",
            show_default=False,
        ),
    ] = None,
    expert: Annotated[
        Path | None,
        typer.Option(help="The frozen sync expert; by default the bundled one.", show_default=False),
    ] = None,
    crops: Crops = None,
    crops_before: CropsBefore = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Score only the first clips of the split test.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes that score.")] = 1,
    trainings: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many trainings; run it again to go on.", show_default=False),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="Where networks are trained and scored: auto, cpu, cuda, cuda:1 or mps; auto trains on a GPU where "
            "there is one, and scores on the CPU.",
        ),
    ] = "auto",
) -> None:
    """What does each part of a model bring? Trains it anew without each, at equal steps and several seeds.

    SyncTalkFace: the memory, L_vv, L_av. CALS: the context, masked learning, d_av, d_vv. Run it again to go on: every
    training is a stage that resumes, two to ten minutes of a core each.

    Example: `tkbench study ablation --model cals --data shards --out study`
    """
    from tkbench.runtime.devices import check_device
    from tkbench.shards import open_shards
    from tkbench.study.ablation import Budget, Unfinished, Work, small_form, study_ablation

    # Before torch is loaded, and before a folder is made.
    open_shards(data_folder)
    writable(out, "--out", folder=True)
    if device != "auto":
        check_device(device)
    budget = Budget.of(model, config) if full else Budget(first, drawn)
    config = config or (None if full else small_form(model))
    from tkbench.runtime.progress import bar
    from tkbench.study import ablation_page

    work = Work(data_folder, out, expert, either(crops, crops_before), limit, workers, trainings, device)
    with bar("study ablation") as progress:
        found = study_ablation(
            model, work, seeds=tuple(range(seeds)), budget=budget, config=config, progress=progress
        )
    if isinstance(found, Unfinished):
        say(str(found))
    else:
        _told(found.sentence(), ablation_page.write(found, out))


def _told(sentence: str, files: list[Path]) -> None:
    """What was found, and where it is written: the page is the last file, the table the first."""
    say(sentence)
    say(f"page: {files[-1]}; table: {files[0]}")
