"""`tkbench generate`: a face that says something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tkbench.cli.common import app, say, writable


@app.command("generate")
def generate_command(
    model: Annotated[str, typer.Option("--model", "-m", help="synctalkface, cals or wav2lip.")],
    video: Annotated[Path, typer.Option(help="The face: a photo or a video.")],
    audio: Annotated[Path, typer.Option(help="The voice: any file with sound.")],
    out: Annotated[Path, typer.Option(help="The video to write (.mp4).")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="What `tkbench train` wrote, or a published Wav2Lip .pth.",
            show_default="the bundled one, for synthetic faces",
        ),
    ] = None,
) -> None:
    """Make the face of a photo or video say a voice file.

    The looks come from the first frame, the pose from the upper half of each; a voice that is longer than the video
    plays it back and forth.

    Example: `tkbench generate --model cals --checkpoint c.safetensors --video me.mp4 --audio me.wav --out said.mp4`
    """
    from tkbench.generate import generate
    from tkbench.runtime.progress import bar

    writable(out, "--out")
    with bar("generate") as progress:
        found = generate(
            model if checkpoint is None else f"{model}:{checkpoint}", video, audio, out, progress=progress
        )
    filled = f", {found['filled']} without a face filled from their neighbours" if found["filled"] else ""
    say(f"{out}: {found['frames']} frames from {found['source_frames']}{filled}")
