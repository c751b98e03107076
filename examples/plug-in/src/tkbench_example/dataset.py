"""A data set for tkbench: `ROOT/SPEAKER/TAKE.mp4`, with the transcript in a .txt of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.dataset import Check, DataSet, Fake, Ledger
from tkbench.prep.datasets.ledger import count_pairs, sizes
from tkbench.prep.datasets.tree import SAFE, listing, text_of, videos
from tkbench.runtime.progress import Progress
from tkbench.types import Clip, Reason, Skipped


def read(root: Path) -> Iterator[Clip | Skipped]:
    """Every video, sorted. A transcript without its video is a clip that is missing."""
    for speaker in filter(SAFE.fullmatch, listing(root)[0]):
        here = root / speaker
        clips, with_text, missing = videos(listing(here)[1])
        for stem in filter(SAFE.fullmatch, clips):
            sidecar = f"{here}/{stem}.txt" if stem in with_text else None
            yield Clip(f"{speaker}/{stem}", f"{here}/{stem}.mp4", "takes", "test", speaker, sidecar=sidecar)
        for stem in filter(SAFE.fullmatch, missing):
            why = f"{stem}.txt is there without {stem}.mp4"
            yield Skipped(f"{speaker}/{stem}", f"{here}/{stem}.mp4", Reason.MISSING_FILE, why, "test")


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The transcript, read by the worker that prepares the clip."""
    return replace(clip, text=text_of(Path(str(clip.sidecar))).strip()), []


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Count the clips, and note each file that is missing or empty."""
    for speaker in listing(root)[0]:
        count_pairs(ledger, "test", f"{speaker}/", root / speaker, sizes(root / speaker))


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """A synthetic tree of the same layout, 256 x 256."""
    from tkbench.prep.datasets.spoken import speak, write_clip

    for index in range(clips):
        talk = speak(seed, index, index % 3, (2.0, 3.0))
        file = root / f"speaker{index % 3}" / f"take{index // 3:02d}"
        write_clip(file, talk.frames(256), talk.sound())
        file.with_suffix(".txt").write_text(f"{talk.script.text}\n", encoding="utf-8")
        progress(index + 1, clips, "clips")


DATASET = DataSet(
    name="takes",
    title="the takes of the example package",
    layout="`SPEAKER/TAKE.mp4` and .txt below ROOT",
    example="tkbench prep takes --root takes --out shards/takes",
    read=read,
    annotate=annotate,
    check=check,
    fake=Fake(make, usual=6),
    splits=("test",),
    protocol="takes-v1",
)
