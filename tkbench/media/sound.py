"""Sound out of files and into them: 16 kHz mono, 16 bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import BadInput
from tkbench.media.ffmpeg import (
    BITEXACT,
    INPUT_OPTIONS,
    as_file,
    ffmpeg_exe,
    ffmpeg_python,
    file_url,
    run_to_end,
)
from tkbench.media.interval import Part, locate_part
from tkbench.media.probe import sound_origin
from tkbench.types import FPS, SAMPLE_RATE, Array, Float32

if TYPE_CHECKING:
    from ffmpeg.nodes import FilterableStream


def read_audio(
    source: str | Path | bytes, *, rate: int = SAMPLE_RATE, interval: tuple[float, float] | None = None
) -> Float32:
    """The sound as (S,) float32 mono in [-1, 1), with sample 0 at the first video frame (if there is video).

    interval: only this part, see `FrameSelection`. Gaps in the sound's time stamps are filled with silence.
    Raises BadMedia (NO_AUDIO where there is none).
    """
    with as_file(source, ".bin") as path:
        offset = sound_origin(path)
        part = None if interval is None else locate_part(path, interval)
        sound = ffmpeg_python().input(file_url(path), **INPUT_OPTIONS)
        out = sound_filter(sound, offset, rate, part).output("pipe:", format="s16le", **BITEXACT)
        done = run_to_end(out.compile(cmd=ffmpeg_exe()), Path(path))
    return np.frombuffer(done, "<i2").astype(np.float32) / 32768.0


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

    sound, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=False)
    return np.asarray(sound, np.float32)


def write_wav(path: str | Path, audio: Array, *, rate: int = SAMPLE_RATE) -> None:
    """(S,) sound as a 16-bit WAV file."""
    import soundfile

    soundfile.write(str(path), to_int16(np.asarray(audio)), rate, format="WAV", subtype="PCM_16")


def sound_filter(
    fed: FilterableStream, origin: float, rate: int, part: Part | None = None
) -> FilterableStream:
    """The first audio stream as mono at `rate`, from `origin` (a time stamp in seconds) on, or the part of it."""
    if part is not None:
        origin += part.first / FPS
    sound = fed["a:0"].filter("asetpts", f"PTS-({origin:.9f})/TB")
    # async=1 with first_pts: silence where the sound starts late or has a gap, a cut where it starts early.
    sound = sound.filter("aresample", rate, **{"async": 1}, first_pts=0)
    sound = sound.filter("aformat", sample_fmts="s16", sample_rates=rate, channel_layouts="mono")
    if part is not None:
        sound = sound.filter("atrim", end_sample=(part.last - part.first) * rate // FPS)
    return sound
