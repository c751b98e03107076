"""`tkbench bench`: speed, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import (
    Accelerator,
    AcceleratorBefore,
    Crops,
    CropsBefore,
    ShardsHere,
    ShardsToo,
    Workers,
    bench,
    count_workers,
    either,
    one_of,
    say,
    show,
)


@bench.command("prep")
def bench_prep_command(
    root: Annotated[Path, typer.Option(help="Folder of videos to prepare.")],
    repeat: Annotated[int, typer.Option(min=1, help="Runs per clip; the fastest counts.")] = 3,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Face tracker, as in `tkbench prep`; repeat it to compare several.",
            show_default="mediapipe, and mediapipe-wheel where it is installed",
        ),
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips of each picture size that are measured.")] = 3,
    plain: Annotated[
        bool,
        typer.Option(
            help="Also run the loop that people write today on the same clips, and print the ratio."
        ),
    ] = True,
) -> None:
    """Frames/s of each preparation stage on one core, per picture size, and what the limit is.

    Example: `tkbench bench prep --root videos --backend mediapipe --backend mediapipe-plain`
    """
    from tkbench.bench.prep import bench_prep
    from tkbench.runtime.progress import bar

    with bar("bench") as progress:
        report = bench_prep(
            root,
            repeat=repeat,
            per_group=clips,
            plain=plain,
            progress=progress,
            trackers=backend,
        )
    show(report.table())
    if plain and report.timings:
        show(report.comparison())
    say(report.verdict())


@bench.command("load")
def bench_load_command(
    shards: ShardsHere = None,
    data_folder: ShardsToo = None,
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default=False)] = None,
    recipe: Annotated[str, typer.Option(help="Crop recipe.")] = "face-128",
    frames: Annotated[int, typer.Option(min=1, help="Frames of a window.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Windows in a batch.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Processes of the second run; 0 skips it.")] = 2,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for each run, an epoch at most.")] = 10.0,
    crops: Annotated[
        Path | None,
        typer.Option(
            help="Also measure with a folder where crops of faces are kept for the next run.",
            show_default=False,
        ),
    ] = None,
    crops_before: CropsBefore = None,
) -> None:
    """Training windows per second that can be loaded from shards, and the share of decoding, cropping and mel.

    Example: `tkbench bench load shards --batch 16`
    """
    shards = one_of(shards, data_folder)
    from tkbench.data import WindowSpec
    from tkbench.data.speed import bench_load
    from tkbench.runtime.progress import bar

    with bar("bench") as progress:
        report = bench_load(
            shards,
            split=split,
            window=WindowSpec(recipe=recipe, frames=frames),
            batch=batch,
            workers=workers,
            seconds=seconds,
            cache=either(crops, crops_before),
            progress=progress,
        )
    show(report.table())
    say(report.verdict())


@bench.command("lse")
def bench_lse_command(
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of videos with sound; by default clips are generated.", show_default=False),
    ] = None,
    workers: Workers = None,
    seconds: Annotated[float, typer.Option(min=1, help="Length of a generated clip.")] = 6.0,
    repeat: Annotated[int, typer.Option(min=1, help="Runs per form; the fastest counts.")] = 1,
) -> None:
    """LSE beside the published script's form on the same files and cores: seconds, ratio, difference of the scores.

    Example: `tkbench bench lse --seconds 4`
    """
    from tkbench.bench.lse import bench_lse
    from tkbench.runtime.progress import bar

    with bar("bench") as progress:
        report = bench_lse(
            root, workers=count_workers(workers), seconds=seconds, repeat=repeat, progress=progress
        )
    show(report.table())


@bench.command("train")
def bench_train_command(
    shards: ShardsHere = None,
    data_folder: ShardsToo = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Repeat it for several.", show_default="all of that scale"),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            help="Which configurations: small or paper; of synctalkface and cals also sharp, gpu and clean."
        ),
    ] = "small",
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed.")] = 10,
    accelerator: Accelerator = "auto",
    accelerator_before: AcceleratorBefore = None,
    crops: Crops = None,
    crops_before: CropsBefore = None,
) -> None:
    """Training windows/s of each network with every term of its loss, and the share of time spent waiting for data.

    Example: `tkbench bench train shards --model cals --steps 5`
    """
    shards = one_of(shards, data_folder)
    from tkbench.bench.train import bench_train
    from tkbench.runtime.progress import bar

    with bar("bench") as progress:
        report = bench_train(
            shards,
            models=model or None,
            scale=scale,
            steps=steps,
            accelerator=accelerator_before or accelerator,
            cache=either(crops, crops_before),
            progress=progress,
        )
    show(report.table())
