"""Pictures and sound into files, with the same bytes from run to run."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench.errors import BadInput, UsageError
from tkbench.media.ffmpeg import (
    BITEXACT,
    MP4,
    MP4_COPY,
    MUXERS,
    SWS_FLAGS,
    Options,
    Quality,
    compile_graph,
    encoder_options,
    exact_rate,
    feed,
    ffmpeg_python,
    file_url,
    run_to_end,
    sync_to_disk,
)
from tkbench.media.probe import probe
from tkbench.media.sound import sound_input
from tkbench.types import FPS, SAMPLE_RATE, Array, UInt8


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a video that is written."""

    samples: Array
    """(S,) or (S, channels), int16 or float in [-1, 1]."""
    rate: int = SAMPLE_RATE
    codec: Literal["aac", "pcm"] = "aac"
    offset: float = 0.0
    """Seconds by which it starts after the first frame; negative: before."""


def write_video(
    path: str | Path,
    frames: Iterable[UInt8],
    *,
    fps: float = FPS,
    audio: Array | Sound | None = None,
    quality: Quality = "lossless",
    frame_times: Sequence[float] | None = None,
    rotation: int = 0,
) -> None:
    """Write frames (H, W, 3) uint8 RGB, and sound, as H.264.

    The container follows the suffix (.mp4 .mov .mkv .avi). audio: a `Sound`, or its samples at 16 kHz. quality:
    "lossless" (every YUV value kept) or an x264 crf. frame_times: seconds of each frame, rising: a file of variable
    rate. rotation: clockwise degrees (0, 90, 180, 270) that players shall turn the pictures by.

    The file appears under its name when it is complete, and its bytes are the same from run to run.
    Raises BadInput for frames of odd or changing size, UsageError for a suffix or setting that cannot be
    written.
    """
    file = Path(path).absolute()
    sound = Sound(audio) if isinstance(audio, np.ndarray) else audio
    if file.suffix.lower() not in MUXERS:
        raise UsageError(f"{file.name}: cannot write {file.suffix or 'a file without suffix'}; use .mp4")
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise BadInput(f"{file.name}: no frame to write")
    height, width = _check_frame(first, first)
    if width % 2 or height % 2:
        raise BadInput(f"{file.name}: frames are {width}x{height}; H.264 in 4:2:0 needs even sides")
    if rotation % 90:
        raise UsageError(f"{file.name}: rotation {rotation} is not a multiple of 90 degrees")
    raw = (_frame_bytes(frame, first) for frame in chain((first,), stream))
    muxer = MUXERS[file.suffix.lower()]
    options: Options = {
        **encoder_options(quality),
        **(MP4 if muxer in ("mp4", "mov") else BITEXACT),
        **({"fps_mode": "passthrough"} if frame_times is None else _VARIABLE_RATE),
        **({} if sound is None else _CODECS[sound.codec]),
    }
    if frame_times is not None:
        options["bf"] = 0
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-") as folder:
        done = Path(folder) / f"out{file.suffix.lower()}"
        chunks: Iterator[bytes | memoryview] = raw
        if frame_times is None:
            video = ffmpeg_python().input(
                "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=exact_rate(fps)
            )
        else:
            video = ffmpeg_python().input("pipe:", format="nut")
            chunks = _timed(raw, frame_times, (width, height))
        video = video.video.filter(
            "scale", flags=SWS_FLAGS, in_range="full", out_range="limited", out_color_matrix="bt709"
        )
        video = video.filter("format", "yuv420p").filter(
            "setparams", range="limited", colorspace="bt709", color_primaries="bt709", color_trc="bt709"
        )
        inputs = [video]
        if sound is not None:
            raw_sound = Path(folder) / "sound.raw"
            inputs.append(sound_input(sound.samples, sound.rate, raw_sound, sound.offset))
        graph = ffmpeg_python().output(*inputs, file_url(done), format=muxer, **options)
        feed(compile_graph(graph), chunks, file)
        if rotation % 360:
            done = _turned(done, rotation, muxer)
        sync_to_disk(done)
        done.replace(file)


_VARIABLE_RATE: Options = {"fps_mode": "vfr", "enc_time_base": "1:90000"}
_CODECS: dict[str, Options] = {"aac": {"acodec": "aac", "b:a": "128k"}, "pcm": {"acodec": "pcm_s16le"}}


def _turned(path: Path, rotation: int, muxer: str) -> Path:
    """Copy the packets into a file whose header tells players to turn the picture."""
    out = path.with_name(f"turned{path.suffix}")
    fed = ffmpeg_python().input(file_url(path), display_rotation=-(rotation % 360))
    options: Options = {"c": "copy", "map": "0", **(MP4_COPY if muxer in ("mp4", "mov") else BITEXACT)}
    run_to_end(compile_graph(fed.output(file_url(out), format=muxer, **options)), path)
    return out


def encode_planes(
    path: Path, frames: Iterable[UInt8], *, size: tuple[int, int], quality: Quality, tags: Mapping[str, str]
) -> None:
    """Write planar YUV 4:2:0 frames (H * 3 // 2, W) to an mp4 at 25 fps without touching their values.

    tags: `color_range`, `colorspace` and the like, as ffmpeg names them, of the stream that the frames came
    from.
    """
    video = ffmpeg_python().input(
        "pipe:", format="rawvideo", pix_fmt="yuv420p", s=f"{size[0]}x{size[1]}", r=FPS
    )
    video = video.video.filter("setparams", **tags) if tags else video.video
    out = video.output(
        file_url(path), format="mp4", fps_mode="passthrough", **encoder_options(quality), **MP4
    )
    feed(compile_graph(out), (np.ascontiguousarray(frame).data.cast("B") for frame in frames), path)


def write_playable(path: Path, canvas: bytes, audio: Array) -> None:
    """The pictures of a canvas (an mp4 in memory) and a voice (S,) at 16 kHz as an mp4 that every program reads alike.

    H.264, yuv420p, exactly 25 frames a second, AAC. The pixels stay what they are; the file appears when it is
    complete.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        source, done = Path(folder) / "canvas.mp4", Path(folder) / "out.mp4"
        source.write_bytes(canvas)
        facts = probe(source)
        video = ffmpeg_python().input(file_url(source))["v:0"]
        sound = sound_input(np.asarray(audio), SAMPLE_RATE, Path(folder) / "sound.raw", 0.0)
        kept = facts.video_codec == "h264" and facts.pix_fmt == "yuv420p"
        coding: Options = (
            {"vcodec": "copy"} if kept else {**encoder_options("lossless"), "pix_fmt": "yuv420p", "r": FPS}
        )
        coding |= {**MP4, "acodec": "aac", "b:a": "128k"}
        out = ffmpeg_python().output(video, sound, file_url(done), format="mp4", **coding)
        run_to_end(compile_graph(out), path)
        sync_to_disk(done)
        done.replace(path)


def _check_frame(frame: UInt8, like: UInt8) -> tuple[int, int]:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != like.shape:
        raise BadInput(f"a frame is {frame.dtype} {frame.shape}, expected uint8 {(*like.shape[:2], 3)}")
    return frame.shape[0], frame.shape[1]


def _frame_bytes(frame: UInt8, like: UInt8) -> memoryview:
    _check_frame(frame, like)
    return np.ascontiguousarray(frame).data.cast("B")


def _timed(chunks: Iterable[memoryview], times: Sequence[float], size: tuple[int, int]) -> Iterator[bytes]:
    """The frames as a NUT stream: a simple container in which raw pictures have time stamps."""
    from fractions import Fraction

    import av

    if any(late <= early for early, late in pairwise(times)):
        raise BadInput("frame_times must rise")
    sink = io.BytesIO()
    with av.open(sink, "w", format="nut") as box:
        stream = box.add_stream("rawvideo", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "rgb24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90000)
        for chunk, time in zip(chunks, times, strict=True):
            picture = np.frombuffer(chunk, np.uint8).reshape(size[1], size[0], 3)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            for packet in stream.encode(frame):
                box.mux(packet)
            yield _drain(sink)
        for packet in stream.encode():
            box.mux(packet)
    yield _drain(sink)


def _drain(sink: io.BytesIO) -> bytes:
    """What was written to `sink` since the last call."""
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
