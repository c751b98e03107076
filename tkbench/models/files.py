"""`files:DIR`: videos that were made elsewhere, matched to the data by clip key, never by position."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tkbench import media
from tkbench.errors import BadMedia, UsageError
from tkbench.models.base import ModelCard
from tkbench.types import FPS, Batch, Generated, Reason, Sample, UInt8

SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")


class Files:
    """Reads `DIR/<key>.mp4` (or .mkv, .avi, .mov, .webm) for each clip.

    For a key that holds `/`, a file name with `__` in its place is found, too. A video must have the size of the
    canvas, or that of the source video, from which the canvas is then cut as preparation cut it. Another frame rate is
    resampled by time stamps, and the row says so.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():
            raise UsageError(
                f"model 'files:{folder}': {self.folder} is not a folder; it must hold one video per clip"
            )
        name = self.folder.resolve().name
        self.card = ModelCard(
            name=f"files:{name}",
            summary=f"Videos made elsewhere, from a folder called {name}.",
            licence="unknown",
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [self._one(sample) for sample in batch]

    def _one(self, sample: Sample) -> Generated:
        path = self._find(sample.key)
        if path is None:
            wanted = f"no {sample.key}.mp4 (or {', '.join(SUFFIXES[1:])}) in {self.folder.name}/"
            return Generated(sample.key, None, Reason.NOT_GENERATED, wanted)
        try:
            facts = media.probe(path)
            video = media.read_video(path)
        except BadMedia as error:
            return Generated(sample.key, None, error.reason, f"{path.name}: {error.detail}")
        note = (
            ""
            if abs(facts.fps - FPS) < 0.01 and not facts.vfr
            else f"resampled from {facts.fps:.2f} to {FPS} fps"
        )
        want = sample.video.shape[1:3]
        if video.shape[1:3] == want:
            return Generated(sample.key, video, detail=note)
        cut = cut_canvas(video, sample)
        if cut is None:
            found = (
                f"{path.name} is {video.shape[2]}x{video.shape[1]}, expected the canvas {want[1]}x{want[0]}"
            )
            source = sample.canvas.get("source_width"), sample.canvas.get("source_height")
            also = f" or the source's {source[0]}x{source[1]}" if all(source) else ""
            return Generated(sample.key, None, Reason.WRONG_SHAPE, found + also)
        return Generated(
            sample.key, cut, detail="; ".join(filter(None, (note, "canvas cut from the source size")))
        )

    def _find(self, key: str) -> Path | None:
        for stem in dict.fromkeys((key, key.replace("/", "__"))):
            for suffix in SUFFIXES:
                path = self.folder / f"{stem}{suffix}"
                if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
                    return path
        return None


def cut_canvas(video: UInt8, sample: Sample) -> UInt8 | None:
    """The canvas out of a video of the source's size, (n, H, W, 3); None if it has another size."""
    canvas = sample.canvas
    height, width = video.shape[1:3]
    if (canvas.get("source_width"), canvas.get("source_height")) != (width, height):
        return None
    x, y, w, h = (int(canvas[side]) for side in ("x", "y", "width", "height"))
    out_h, out_w = sample.video.shape[1:3]
    part = video[:, y : y + h, x : x + w]
    if part.shape[1:3] == (out_h, out_w):
        return np.ascontiguousarray(part)
    # As preparation does: areas where the picture shrinks, cubic where it grows.
    how = cv2.INTER_AREA if out_w <= w else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (out_w, out_h), interpolation=how) for frame in part])
