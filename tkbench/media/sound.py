"""Sound out of files and into them: 16 kHz mono, 16 bits."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import BadInput
from tkbench.media.ffmpeg import (
    BITEXACT,
    GLOBAL_OPTIONS,
    INPUT_OPTIONS,
    as_file,
    ffmpeg_exe,
    ffmpeg_python,
    file_url,
    run_to_end,
)
from tkbench.media.interval import Part, locate_part
from tkbench.media.probe import sound_reading
from tkbench.types import FPS, SAMPLE_RATE, Array, Float32, Reading

if TYPE_CHECKING:
    from ffmpeg.nodes import FilterableStream

LONGER = 60
"""Seconds of sound that are read after the last picture of a clip: a clock that leaps must not fill the disk."""


def read_audio(
    source: str | Path | bytes, *, rate: int = SAMPLE_RATE, interval: tuple[float, float] | None = None
) -> Float32:
    """The sound as (S,) float32 mono in [-1, 1), with sample 0 at the first video frame (if there is video).

    interval: only this part, see `FrameSelection`. Gaps in the sound's time stamps are filled with silence.
    Raises BadMedia (NO_AUDIO where there is none).
    """
    with as_file(source, ".bin") as path, tempfile.TemporaryDirectory(prefix="tkbench-") as folder:
        out = Path(folder) / "sound.s16"
        write_sound(path, sound_reading(path), out, rate=rate, interval=interval)
        done = out.read_bytes()
    return np.frombuffer(done, "<i2").astype(np.float32) / 32768.0


def write_sound(
    path: str | Path,
    reading: Reading,
    out: Path,
    *,
    rate: int = SAMPLE_RATE,
    interval: tuple[float, float] | None = None,
    clipped: bool = False,
) -> None:
    """The sound of a file as raw 16-bit mono in `out`, from the first picture on. Raises BadMedia.

    clipped: no more than `LONGER` seconds after the last picture.
    """
    file = Path(path)
    part = None if interval is None else locate_part(file, interval, reading)
    order = SoundOrder(reading, out, rate=rate, part=part, clipped=clipped)
    command = [ffmpeg_exe(), "-y", *GLOBAL_OPTIONS, *plain_input(), "-i", file_url(file), *order.options()]
    run_to_end(command, file)
    order.finish()


def plain_input() -> list[str]:
    """The options of every input as words of a command line."""
    pairs = INPUT_OPTIONS.items()
    return [
        word
        for name, value in pairs
        for word in ([f"-{name}"] if value is None else [f"-{name}", str(value)])
    ]


def sound_input(audio: Array, rate: int, raw: Path, offset: float) -> FilterableStream:
    """An ffmpeg input of (S,) or (S, channels) sound, by way of the file `raw`; it begins `offset` seconds late."""
    sound = np.asarray(audio)
    if sound.ndim not in (1, 2) or (sound.dtype != np.int16 and sound.dtype.kind != "f"):
        raise BadInput(
            f"audio is {sound.dtype} {sound.shape}, expected int16 or float, (S,) or (S, channels)"
        )
    raw.write_bytes(to_int16(sound).tobytes())
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    sound_in = ffmpeg_python().input(file_url(raw), format="s16le", ar=rate, ac=channels).audio
    return sound_in.filter("asetpts", f"PTS+({offset:.6f})/TB") if offset else sound_in


def to_int16(audio: Array) -> Array:
    """Sound as 16-bit samples; float in [-1, 1] is scaled by 32768, rounded and clipped."""
    if audio.dtype == np.int16:
        return audio.astype("<i2")
    return np.clip(np.rint(audio.astype(np.float64) * 32768.0), -32768, 32767).astype("<i2")


def write_flac(audio: Array, *, rate: int = SAMPLE_RATE) -> bytes:
    """(S,) sound as the bytes of a 16-bit FLAC file."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, to_int16(np.asarray(audio)), rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def read_flac(data: bytes) -> Float32:
    """(S,) float32 from the bytes of a FLAC or WAV file, in process: what shards hold."""
    import soundfile

    facts = soundfile.info(io.BytesIO(data))
    if facts.frames > MOST_SAMPLES or facts.samplerate != SAMPLE_RATE or facts.channels != 1:
        found = f"{facts.frames} samples on {facts.channels} channels at {facts.samplerate} Hz"
        raise ValueError(f"{found}; expected one channel at {SAMPLE_RATE} Hz, {MOST_SAMPLES} samples at most")
    sound, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=False)
    return np.asarray(sound, np.float32)


MOST_SAMPLES = 2 * 3600 * SAMPLE_RATE
"""Samples of the longest sound that is read at once: two hours."""


def count_samples(data: bytes) -> int:
    """Samples in the bytes of a FLAC or WAV file, by its header."""
    import soundfile

    return int(soundfile.info(io.BytesIO(data)).frames)


def write_wav(path: str | Path, audio: Array, *, rate: int = SAMPLE_RATE) -> None:
    """(S,) sound as a 16-bit WAV file."""
    import soundfile

    soundfile.write(str(path), to_int16(np.asarray(audio)), rate, format="WAV", subtype="PCM_16")


class SoundOrder:
    """One output of an ffmpeg run: the sound of a file as raw 16-bit mono, sample 0 at the first picture.

    ffmpeg rebuilds a filter graph when the sound changes its rate or channels, and the new one begins at zero again: it
    fills the time up to now with silence. So ffmpeg also writes at which sample each of its pieces lies; `finish`
    puts the pieces of the graphs together, each from where the one before had ended.
    """

    def __init__(
        self,
        reading: Reading,
        out: Path,
        *,
        rate: int = SAMPLE_RATE,
        part: Part | None = None,
        source: int = 0,
        clipped: bool = False,
    ) -> None:
        self._reading, self._out, self._rate, self._part, self._source = reading, out, rate, part, source
        self._most = (reading.frames + LONGER * FPS) * rate // FPS if clipped and reading.frames else None
        self._pieces = out.with_name(f"{out.name}.pieces")

    def options(self) -> list[str]:
        """Words for the command line, behind its inputs; `source` is the number of the input that is read."""
        reading, rate, part = self._reading, self._rate, self._part
        origin = reading.origin + (0.0 if part is None else part.first / FPS)
        steps = [f"asetpts=PTS-({origin:.9f})/TB"]
        if reading.channel is not None:
            steps.append(f"pan=mono|c0=c{reading.channel}")
        # async=1 with first_pts: silence where the sound starts late or has a gap, a cut where it starts early; gaps
        # and overlaps of less than half a frame are left alone.
        steps.append(f"aresample={rate}:async=1:first_pts=0:min_hard_comp={0.5 / FPS}")
        steps.append(f"aformat=sample_fmts=s16:sample_rates={rate}:channel_layouts=mono")
        if part is not None:
            steps.append(f"atrim=end_sample={(part.last - part.first) * rate // FPS}")
        elif self._most is not None:
            steps.append(f"atrim=end_sample={self._most}")
        graph = f"[{self._source}:{reading.audio}]{','.join(steps)}[sound]"
        pieces = ["-stats_enc_pre:a", str(self._pieces), "-stats_enc_pre_fmt:a", "{pts} {samp}"]
        # The muxer refuses stamps that go back, as those of a new graph do; it has no use for them.
        plain = ["-bsf:a", "setts=ts=N", "-f", "s16le"]
        bitexact = [word for name, value in BITEXACT.items() for word in (f"-{name}", str(value))]
        return ["-filter_complex", graph, "-map", "[sound]", *pieces, *bitexact, *plain, file_url(self._out)]

    def finish(self) -> bool:
        """Put the pieces in order, once ffmpeg has ended; True where the sound changed its form on the way."""
        if not self._pieces.is_file():
            return False
        lines = self._pieces.read_text(encoding="ascii").splitlines()
        self._pieces.unlink()
        pieces = np.array([line.split() for line in lines], np.int64).reshape(-1, 2)
        places = order_pieces(pieces)
        if len(places) == 1:
            return False
        if places:
            samples = np.fromfile(self._out, "<i2")
            np.concatenate([samples[start:stop] for start, stop in places]).tofile(self._out)
        return len(places) > 1


def order_pieces(pieces: Array) -> list[tuple[int, int]]:
    """Which samples of ffmpeg's output to keep, [start, stop) each, from its pieces (n, 2): place, length.

    A piece that lies before the end of the one before it is the first of a new graph; of that graph, samples that lie
    before what is there already are left out.

    >>> order_pieces(np.array([[0, 100], [100, 50], [0, 140], [140, 60]]))
    [(0, 150), (300, 350)]
    """
    if not len(pieces):
        return []
    ends = np.cumsum(pieces[:, 1])
    new = np.flatnonzero(pieces[1:, 0] < pieces[:-1, 0]) + 1
    kept, written = [], 0
    for first, last in zip([0, *new], [*new, len(pieces)], strict=True):
        start, stop = int(ends[first] - pieces[first, 1]), int(ends[last - 1])
        skip = max(0, written - int(pieces[first, 0]))
        if start + skip < stop:
            kept.append((start + skip, stop))
            written += stop - start - skip
    return kept
