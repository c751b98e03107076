"""Pictures and sound through a codec and back: what a released file has done to them before anyone scores it.

A video is released in some codec at some rate, and its numbers are those of the file. `coded_pictures` and
`coded_sound` encode with the pinned ffmpeg into a temporary file and read it back as any clip is read: 25 frames/s RGB,
16 kHz mono, zero at the first picture. Encoders put silence before the sound (AAC 1024 samples, LAME 1105, Opus 312 at
48 kHz); the container says how much, and it is left out, as players do.

A rate is a crf (constant quality: smaller is better, and its scale is that of the encoder) or kbit/s. Encoders run on
one thread, so that the bytes are the same on every machine. Speed settings are those of everyday use, given below.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench.errors import BadInput, BadMedia
from tkbench.media.decode import read_video
from tkbench.media.ffmpeg import SWS_FLAGS, ffmpeg_exe, run
from tkbench.media.sound import read_audio, to_int16
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float32, Reason, UInt8

Suffix = Literal["mp4", "mov", "mkv", "webm"]


@dataclass(frozen=True, slots=True)
class Coding:
    """One encoder at one rate, in one container."""

    encoder: str
    """As `ffmpeg -encoders` calls it."""
    rate: str
    """"crf 23" or "64k"."""
    suffix: Suffix
    options: tuple[str, ...] = ()
    """Options of this encoder besides its rate."""
    sample_rate: int = SAMPLE_RATE
    """Hz that the encoder of a sound gets."""

    def words(self, stream: Literal["v", "a"]) -> list[str]:
        """The options of ffmpeg."""
        quality = ["-crf", self.rate.removeprefix("crf ")] if self.rate.startswith("crf ") else []
        bits = [] if quality else [f"-b:{stream}", self.rate]
        return [f"-c:{stream}", self.encoder, *quality, *bits, *self.options]


_X264 = ("-preset", "medium")
_X265 = ("-preset", "medium", "-tag:v", "hvc1", "-x265-params", "pools=none:frame-threads=1:log-level=error")
_VP9 = ("-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "0")
_AV1 = ("-preset", "8", "-svtav1-params", "lp=1")
VIDEO: dict[str, Coding] = {
    "h264-crf18": Coding("libx264", "crf 18", "mp4", _X264),
    "h264-crf23": Coding("libx264", "crf 23", "mp4", _X264),
    "h264-crf28": Coding("libx264", "crf 28", "mp4", _X264),
    "h264-crf35": Coding("libx264", "crf 35", "mp4", _X264),
    "h264-200k": Coding("libx264", "200k", "mp4", _X264),
    "h265-crf28": Coding("libx265", "crf 28", "mp4", _X265),
    "vp9-crf33": Coding("libvpx-vp9", "crf 33", "webm", _VP9),
    "av1-crf35": Coding("libsvtav1", "crf 35", "mp4", _AV1),
}
"""Name -> coding of pictures."""

# AAC has at most 96 kbit/s at 16 kHz mono, and MP3 at least 32 kbit/s at 48 kHz: so each rate has its own sample rate.
# MP3 of 24 kbit/s at 16 kHz is what ffmpeg makes for the AVI files of the LSE scripts.
AUDIO: dict[str, Coding] = {
    "aac-128k": Coding("aac", "128k", "mp4", sample_rate=48_000),
    "aac-64k": Coding("aac", "64k", "mp4", sample_rate=48_000),
    "mp3-128k": Coding("libmp3lame", "128k", "mp4", sample_rate=48_000),
    "mp3-24k": Coding("libmp3lame", "24k", "mp4"),
    "opus-64k": Coding("libopus", "64k", "webm", sample_rate=48_000),
    "opus-24k": Coding("libopus", "24k", "webm", sample_rate=48_000),
}
"""Name -> coding of sound."""


def coded_pictures(frames: UInt8, coding: Coding) -> UInt8:
    """Frames (T, H, W, 3) RGB after one encoding; same shape.

    They are turned into 4:2:0 in BT.709, as `write_video` does. Raises BadInput for odd sides, BadMedia with
    ENCODER_MISSING where ffmpeg lacks the encoder and with DECODE_ERROR where it fails.
    """
    _check(coding)
    count, height, width = frames.shape[:3]
    if not count or height % 2 or width % 2:
        raise BadInput(f"{count} frames of {width}x{height}; 4:2:0 video needs one or more with even sides")
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "pipe:0"]
    colour = "colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    to_yuv = (
        f"scale=flags={SWS_FLAGS}:in_range=full:out_range=limited:out_color_matrix=bt709,format=yuv420p,"
        f"setparams=range=limited:{colour}"
    )
    with tempfile.TemporaryDirectory(prefix="tkbench-codec-") as folder:
        file = Path(folder) / f"video.{coding.suffix}"
        made = ["-vf", to_yuv, "-threads", "1", *coding.words("v"), "-fps_mode", "passthrough"]
        run([*raw, *made, f"file:{file}"], file.name, stdin=frames)
        back = read_video(file)
    if len(back) != count:
        raise BadMedia(
            Reason.DECODE_ERROR, f"{coding.encoder}: {len(back)} frames came back, expected {count}"
        )
    return back


def coded_sound(audio: Float32, coding: Coding) -> Float32:
    """(S,) float32 mono at 16 kHz after one encoding; same length, and in step with what went in.

    The file has a small grey video beside the sound, because a clip begins at its first picture. Raises BadMedia as
    `coded_pictures` does.
    """
    _check(coding)
    frames = -(-len(audio) // SAMPLES_PER_FRAME)
    grey = ["-f", "lavfi", "-i", f"color=gray:size=64x64:rate={FPS}"]
    raw = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "pipe:0"]
    picture = ["-c:v", "libvpx", "-deadline", "realtime"] if coding.suffix == "webm" else ["-c:v", "mpeg4"]
    with tempfile.TemporaryDirectory(prefix="tkbench-codec-") as folder:
        file = Path(folder) / f"sound.{coding.suffix}"
        made = ["-frames:v", str(frames), *picture, "-threads", "1", "-ar", str(coding.sample_rate)]
        run([*grey, *raw, *made, *coding.words("a"), f"file:{file}"], file.name, stdin=to_int16(audio))
        back = read_audio(file)[: len(audio)]
    return np.pad(back, (0, len(audio) - len(back)))


def _check(coding: Coding) -> None:
    if coding.encoder not in encoders(ffmpeg_exe()):
        found = f"this ffmpeg has no encoder {coding.encoder}"
        raise BadMedia(Reason.ENCODER_MISSING, f"{found}; unset TKBENCH_FFMPEG to use the bundled one")


@lru_cache(maxsize=4)
def encoders(exe: str) -> frozenset[str]:
    """The encoders of an ffmpeg, by name."""
    printed = subprocess.run([exe, "-hide_banner", "-encoders"], capture_output=True, text=True, check=True)
    lines = [line.split() for line in printed.stdout.splitlines()]
    return frozenset(words[1] for words in lines if len(words) > 1)
