"""`tkbench generate`: a video of a face that speaks a given voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import app, say, writable
from tkbench.cli.talking import answer
from tkbench.models import kinds
from tkbench.runtime.words import counted


@app.command("generate")
def generate_command(
    model: Annotated[
        str, typer.Option("--model", "-m", help=f"A generator: {', '.join(kinds.generators())}.")
    ],
    video: Annotated[Path, typer.Option(help="The face: a photo or a video.")],
    audio: Annotated[Path, typer.Option(help="The voice: any file with sound.")],
    out: Annotated[Path, typer.Option(help="The video to write (.mp4).")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint that `tkbench train` wrote, or a published Wav2Lip .pth.",
            show_default="the bundled one, for synthetic faces",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where the network runs: cpu, cuda, cuda:1 or mps.", show_default="a GPU where there is one"
        ),
    ] = None,
) -> None:
    """Make the face of a photo or video speak a voice file.

    The appearance comes from the first frame, the pose from the upper half of each frame. If the voice is longer than
    the video, the video is played forwards and backwards in turn.

    Example: `tkbench generate --model cals --checkpoint c.safetensors --video me.mp4 --audio me.wav --out said.mp4`
    """
    from tkbench.generate import generate
    from tkbench.runtime.devices import check_device
    from tkbench.runtime.progress import bar

    if device is not None:
        check_device(device)
    writable(out, "--out")
    with bar("generate") as progress:
        found = generate(
            model if checkpoint is None else f"{model}:{checkpoint}",
            video,
            audio,
            out,
            device=device,
            progress=progress,
        )
    answer(file=out, **found)
    filled = f", {found['filled']} without a face filled from their neighbours" if found["filled"] else ""
    say(f"{out}: {counted(found['frames'], 'frame')}, drawn on {found['source_frames']} of {video}{filled}")
    if checkpoint is None and (told := kinds.of_bundled(model)):
        say(told)
