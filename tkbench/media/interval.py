"""Parts of a file on the 25 fps grid, and a point to seek to from which they decode to the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench.errors import BadInput
from tkbench.media.probe import check_file, first_time, open_container, probe, unopenable
from tkbench.types import FPS, Reading


@dataclass(frozen=True, slots=True)
class Part:
    """An interval of a file on the 25 fps grid, and where ffmpeg may begin to read for it."""

    origin: float
    """Time stamp of the file's first picture, seconds."""
    first: int
    last: int
    """Frames [first, last) counted from the file's first picture."""
    seek: float
    """Seconds for ffmpeg's -ss; 0 reads from the beginning."""


def frames_of(interval: tuple[float, float]) -> tuple[int, int]:
    """Frames [first, last) of the 25 fps grid that an interval in seconds means.

    >>> frames_of((30.0, 60.0)), frames_of((0.05, 0.5))
    ((750, 1500), (1, 13))
    """
    first, last = (int(np.floor(second * FPS + 0.5 + 1e-6)) for second in interval)
    if not 0 <= first < last:
        raise BadInput(f"interval {interval[0]:g}-{interval[1]:g} s does not hold one frame")
    return first, last


# Containers whose index makes a seek exact; others are read from the beginning.
_SEEKABLE = frozenset({"mov", "matroska"})


def locate_part(path: Path, interval: tuple[float, float], reading: Reading | None = None) -> Part:
    """Where an interval lies in a file, and a point before it from which decoding gives the same pictures.

    The picture that is shown at `first` may have appeared long before (in a file of variable rate): its
    time is found among the packets, so that decoding begins no later.
    """
    import av

    first, last = frames_of(interval)
    check_file(path)
    try:
        with open_container(path) as box:
            if not box.streams.video:
                stream = box.streams.audio[0]
                return Part(first_time(box, stream), first, last, 0.0)
            reading = probe(path).reading if reading is None else reading
            stream = box.streams[reading.video]
            origin = reading.origin
            target = origin + first / FPS
            if box.format.name.split(",")[0] not in _SEEKABLE or first < 2 * FPS:
                return Part(origin, first, last, 0.0)
            box.seek(int(target / stream.time_base), stream=stream)
            shown: float | None = None
            for packet in box.demux(stream):
                if packet.pts is None:
                    if packet.size:
                        return Part(origin, first, last, 0.0)
                    continue
                time = float(packet.pts * stream.time_base)
                if np.floor((time - origin) * FPS + 0.5) <= first and not packet.is_discard:
                    shown = time if shown is None else max(shown, time)
                # A packet is never decoded after it is shown, so packets that are decoded later are shown after the
                # target. Matroska does not store decoding times; no codec delays a picture by two seconds.
                decoded = time - 2.0 if packet.dts is None else float(packet.dts * stream.time_base)
                if decoded > target + 1 / FPS:
                    break
            start = (box.start_time or 0) / 1_000_000
    except (av.FFmpegError, IndexError) as error:
        raise unopenable(path) from error
    if shown is None:
        return Part(origin, first, last, 0.0)
    # 20 ms earlier, so that rounding to microseconds never drops the picture itself.
    return Part(origin, first, last, max(0.0, shown - 0.02 - start))


def seek_options(part: Part | None) -> dict[str, str]:
    """Input options that make ffmpeg begin at the part's seek point; none where it reads from the beginning."""
    return {"ss": f"{part.seek:.6f}"} if part is not None and part.seek > 0 else {}
