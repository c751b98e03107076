"""Pictures out of files: whole clips, streams of frames, canvases of shards, and a quick look at a clip."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from tkbench.errors import BadInput, BadMedia
from tkbench.media.ffmpeg import (
    BITEXACT,
    INPUT_OPTIONS,
    MP4,
    MP4_COPY,
    SWS_FLAGS,
    TELLING_OPTIONS,
    Quality,
    as_file,
    check_stopped,
    encoder_options,
    error_lines,
    ffmpeg_exe,
    ffmpeg_python,
    file_url,
)
from tkbench.media.interval import Part, frames_of, locate_part, seek_options
from tkbench.media.probe import lenient_tags, open_container, probe
from tkbench.media.sound import SoundOrder, plain_input
from tkbench.types import FPS, MediaFacts, Reading, Reason, UInt8


@dataclass(frozen=True, slots=True)
class Cut:
    """A window of the shown picture and the size it is brought to, in pixels; all even."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int


def read_video(source: str | Path | bytes, *, fps: int = FPS) -> UInt8:
    """A whole clip as (T, H, W, 3) uint8 RGB, resampled to `fps` by time stamps; bytes are an mp4 in memory.

    For short clips and shard members: all frames are held at once. Raises BadMedia.
    """
    with as_file(source, ".mp4") as path:
        facts = probe(path)
        # A clip that lacks pictures at its end is refused by `stream`; so the array is filled as frames come.
        return _stack(stream_frames(path, facts=facts, fps=fps), facts)


def _stack(frames: Iterable[UInt8], facts: MediaFacts) -> UInt8:
    expected = max(1, int(facts.duration * FPS) + 2)
    whole = np.empty((expected, facts.height, facts.width, 3), np.uint8)
    count = 0
    for frame in frames:
        if count == len(whole):
            whole = np.concatenate([whole, np.empty_like(whole)])
        whole[count] = frame
        count += 1
    return whole[:count]


class Planes(NamedTuple):
    """A picture as it is stored in a canvas."""

    yuv: UInt8
    """(H * 3 // 2, W) planar YUV 4:2:0, chroma in the middle of its four pixels."""
    matrix: tuple[float, float]
    """Shares of red and blue in the brightness: what tells BT.601 from BT.709."""
    full: bool
    """Brightness fills 0-255; otherwise 16-235."""


_BRIGHTNESS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""H.273 matrix coefficients; all others are BT.601's, as ffmpeg takes them."""


def read_planes(canvas: bytes) -> Iterator[Planes]:
    """The pictures of a canvas one by one, decoded in this process and not turned into RGB.

    For loaders: it starts no ffmpeg and spares the colours of what a crop leaves out, and is several times as
    fast as `read_video`. Only for the canvases of shards, which have 25 even frames a second from 0 on. Raises
    BadMedia(DECODE_ERROR).
    """
    import av

    try:
        with av.open(io.BytesIO(canvas), format="mp4", **lenient_tags()) as box:
            stream = box.streams.video[0]
            stream.thread_count = 1
            for frame in box.decode(stream):
                kept = frame.format.name in ("yuv420p", "yuvj420p")
                yuv = frame.to_ndarray() if kept else frame.to_ndarray(format="yuv420p")
                matrix = _BRIGHTNESS.get(int(frame.colorspace), (0.299, 0.114))
                yield Planes(yuv, matrix, int(frame.color_range) == 2)
    except (av.FFmpegError, IndexError) as error:
        raise BadMedia(Reason.DECODE_ERROR, f"the canvas cannot be decoded ({error})") from error


def stream_frames(
    path: str | Path,
    *,
    facts: MediaFacts,
    fps: int | None = FPS,
    cut: Cut | None = None,
    picture: tuple[int, int] | None = None,
    pixels: Literal["rgb24", "yuv420p"] = "rgb24",
    keyframes: bool = False,
    seconds: float | None = None,
    interval: tuple[float, float] | None = None,
    canvas: Path | None = None,
    canvas_quality: Quality | Literal["copy"] = "lossless",
    sound: Path | None = None,
    said: list[str] | None = None,
) -> Iterator[UInt8]:
    """Decode a file once and yield its pictures one by one; memory does not grow with its length.

    Yields (H, W, 3) RGB, or (H * 3 // 2, W) planar YUV 4:2:0, valid until the next one is asked for.
    fps: None keeps the source's pictures as they come. cut: the canvas. picture: (width, height) of what is
    yielded, if that is not the canvas. keyframes, seconds: only pictures that stand alone, only the first
    seconds. interval: (start, stop) in seconds after the first picture, each taken to the nearest frame of the
    25 fps grid: the pictures are those that the whole file has from `round(start * 25)` on, found by a seek
    where that is safe; not with fps None or canvas_quality "copy". canvas: a file that gets the canvas on the
    way, by `canvas_quality` ("copy" moves the packets unchanged). sound: a file that gets raw 16-bit
    little-endian mono at 16 kHz, from the first frame on.
    said: gets the lines that ffmpeg wrote about damage.

    Raises BadMedia(DECODE_ERROR) where ffmpeg fails, after the pictures that could be decoded.
    """
    file = Path(path)
    reading = facts.reading
    part = None if interval is None else locate_part(file, interval, reading)
    if part is not None and (fps != FPS or canvas_quality == "copy"):
        raise BadInput(f"{file.name}: an interval is cut at {FPS} fps and never copied")
    source = {
        **INPUT_OPTIONS,
        # A graph that is built anew in the middle would forget the time; those below take pictures of any size. Only
        # a deinterlacer, which holds three pictures of one size, cannot.
        **({} if reading.interlaced else {"reinit_filter:v": 0}),
        **({"skip_frame": "nokey"} if keyframes else {}),
        **({"t": seconds} if seconds else {}),
        **seek_options(part),
    }
    fed = ffmpeg_python().input(file_url(file), **source)
    stored = video = fed[str(reading.video)]
    if reading.interlaced:
        video = video.filter("yadif", mode="send_frame", parity="auto", deint="interlaced")
    if fps is not None:
        # Rounded: setpts cuts fractions off, and a tick less could be another frame.
        video = video.filter("setpts", f"round(PTS-{reading.first:.9f}/TB)").filter("fps", fps, round="near")
    if part is not None:
        video = video.filter("trim", start_pts=part.first, end_pts=part.last).filter("setpts", "N")
    video = video.filter("scale", facts.width, facts.height, flags=SWS_FLAGS).filter("setsar", 1)
    shape = (facts.width, facts.height)
    if cut is not None:
        shape = (cut.out_width, cut.out_height)
        if (cut.x, cut.y, cut.width, cut.height) != (0, 0, facts.width, facts.height):
            video = video.filter("crop", cut.width, cut.height, cut.x, cut.y, exact=1)
        if (cut.width, cut.height) != shape:
            # The mean of an area is no way to enlarge.
            kind = "area" if shape[0] <= cut.width else "bicubic"
            video = video.filter("scale", *shape, flags=SWS_FLAGS.replace("bilinear", kind))
    outputs = []
    if canvas is not None and canvas_quality != "copy":
        branches = video.filter("format", "yuv420p").filter_multi_output("split")
        video = branches[0]
        outputs.append(
            branches[1].output(file_url(canvas), format="mp4", **encoder_options(canvas_quality), **MP4)
        )
    elif canvas is not None:
        outputs.append(stored.output(file_url(canvas), format="mp4", vcodec="copy", **MP4_COPY))
    if picture is not None and picture != shape:
        video, shape = video.filter("scale", *picture, flags="bilinear+bitexact"), picture
    if pixels == "rgb24":
        # Only a filter of our own carries our flags; one that ffmpeg puts in by itself would not.
        video = video.filter("scale", flags=SWS_FLAGS, out_range="full")
    raw: dict[str, Any] = {"format": "rawvideo", "pix_fmt": pixels, "fps_mode": "passthrough", **BITEXACT}
    outputs.insert(0, video.output("pipe:", **raw))
    graph = outputs[0] if len(outputs) == 1 else ffmpeg_python().merge_outputs(*outputs)
    command = graph.global_args(*TELLING_OPTIONS).compile(cmd=ffmpeg_exe(), overwrite_output=True)
    order = None
    if sound is not None:
        # A graph of its own: one that both shared would be built anew for both. From the file's beginning, which costs
        # little without its pictures: after a seek, the resampler would stand elsewhere, and the time stamps of
        # Matroska are whole milliseconds.
        again = bool(seek_options(part))
        order = SoundOrder(reading, sound, part=part, source=int(again))
        if reading.audio is None:
            sound.write_bytes(b"")
        else:
            command += order.options()
        if again:
            place = command.index("-i") + 2
            command[place:place] = [*plain_input(), "-i", file_url(file)]
    size = (shape[1], shape[0], 3) if pixels == "rgb24" else (shape[1] * 3 // 2, shape[0])
    limit = _limit(facts, interval) if fps == FPS else None
    with tempfile.NamedTemporaryFile(prefix="tkbench-", suffix=".times") as times:
        if fps is not None:
            place = command.index("pipe:")
            command[place:place] = [
                "-stats_enc_pre:v",
                times.name,
                "-stats_enc_pre_fmt:v",
                "{pts} {ptsi} {tbi}",
            ]
        yield from _pictures(command, size, file, said, limit)
        if fps == FPS and not keyframes:
            _check_times(Path(times.name), reading, part)
    if order is not None and order.finish() and said is not None:
        said.append(SOUND_CHANGES)


def _limit(facts: MediaFacts, interval: tuple[float, float] | None) -> int:
    """Pictures after which a stream that still goes on is given up: more than its stamps can mean."""
    frames = facts.reading.frames or round(facts.duration * FPS)
    if interval is not None:
        first, last = frames_of(interval)
        frames = min(frames, last - first)
    return frames + frames // 50 + 2 * FPS


def _check_times(file: Path, reading: Reading, part: Part | None) -> None:
    """Compare what ffmpeg says of the pictures that it gave with what the stamps promised.

    Each line: number of the frame on the 25 fps grid, stamp of the picture that it shows, and that stamp's unit.
    Raises BadMedia(OUT_OF_STEP).
    """
    lines = file.read_text(encoding="ascii").splitlines()
    if not lines:
        return
    numbers = np.array([line.split(" ", 1)[0] for line in lines], np.int64)
    lost = np.flatnonzero(numbers != np.arange(len(numbers)))
    if len(lost):
        found = f"frame {int(lost[0])} of the decoder is frame {int(numbers[lost[0]])} by its stamps"
        raise BadMedia(Reason.OUT_OF_STEP, found)
    if part is not None:
        return
    _, stamp, unit = lines[0].split()
    shown = int(stamp) * float(Fraction(unit))
    # In AVI the decoder may give no time at all.
    if shown > -1e9 and abs(shown - reading.first) > 0.25 / FPS:
        found = f"the first picture has the stamp {shown:.3f} s, {reading.first:.3f} s were found before"
        raise BadMedia(Reason.OUT_OF_STEP, found)


PICTURES_CHANGE = "the pictures change on the way"
SOUND_CHANGES = "the sound changes its rate or channels on the way"


def sample_pictures(
    path: str | Path,
    *,
    facts: MediaFacts,
    limit: int,
    side: int = 480,
    dense: bool = False,
    interval: tuple[float, float] | None = None,
) -> list[UInt8]:
    """A few pictures from all over a clip, (h, w, 3) RGB, at most `side` pixels long: to see who is in it.

    Decodes at most `limit` of the pictures that stand alone (keyframes), evenly chosen: cheap, but a clip may
    have only one. dense: decodes everything and keeps `limit` evenly spaced pictures. interval: only from this
    part of the file (start, stop in seconds); one that holds less than two keyframes is decoded. Raises
    BadMedia(DECODE_ERROR).
    """
    import av

    scale = min(1.0, side / max(facts.width, facts.height))
    turned = facts.rotation in (90, 270)
    shown = (facts.height, facts.width) if turned else (facts.width, facts.height)
    width, height = (max(2, round(length * scale)) for length in shown)
    pictures: list[UInt8] = []
    try:
        with ExitStack() as stack:
            box = stack.enter_context(open_container(path))
            stream = box.streams[facts.reading.video]
            stream.codec_context.thread_count = 1
            begin, end = _bounds(facts.reading.origin, interval)
            total = facts.n_frames
            if interval is not None:
                total = min(total, max(1, round((interval[1] - interval[0]) * facts.fps)))
            if not dense:
                total = sum(
                    1 for packet in _between(box, stream, begin, end) if packet.is_keyframe and packet.size
                )
                if interval is not None and total < 2:
                    return sample_pictures(
                        path, facts=facts, limit=limit, side=side, dense=True, interval=interval
                    )
                try:
                    box.seek(0)
                except av.FFmpegError:  # FLV without an index: from the beginning, by opening it again
                    box = stack.enter_context(open_container(path))
                    stream = box.streams[facts.reading.video]
                    stream.codec_context.thread_count = 1
                stream.codec_context.skip_frame = "NONKEY"
            step, seen = max(1, -(-total // limit)), 0
            for packet in _between(box, stream, begin, end, whole_groups=dense):
                if not dense and packet.size:
                    if not packet.is_keyframe:
                        continue
                    seen += 1
                    if (seen - 1) % step:
                        continue
                for frame in _decoded(packet):
                    if interval is not None and not (frame.time is None or begin <= frame.time < end):
                        continue
                    seen += dense
                    if dense and (seen - 1) % step:
                        continue
                    small = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
                    stored = small.to_ndarray()[:, :: -1 if facts.reading.mirrored else 1]
                    pictures.append(np.rot90(stored, -facts.rotation // 90).copy())
    except av.FFmpegError as error:
        if not pictures:
            raise BadMedia(Reason.DECODE_ERROR, f"no picture could be decoded: {error.strerror}") from error
    return pictures


def _decoded(packet: Any) -> Iterator[Any]:
    """The pictures that a packet gives; none where it is damaged: the main pass tells of that."""
    import av

    with suppress(av.FFmpegError):
        yield from packet.decode()


def _bounds(origin: float, interval: tuple[float, float] | None) -> tuple[float, float]:
    """Time stamps [begin, end) of an interval; all of time without one."""
    if interval is None:
        return -np.inf, np.inf
    return origin + interval[0], origin + interval[1]


def _between(box: Any, stream: Any, begin: float, end: float, *, whole_groups: bool = False) -> Iterator[Any]:
    """The stream's packets with time stamps in [begin, end); the packet that flushes the decoder comes last.

    whole_groups: also those before, back to a keyframe, as a decoder needs.
    """
    if begin > -np.inf:
        box.seek(max(0, int(begin / stream.time_base)), stream=stream)
    for packet in box.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            yield packet
            continue
        time = float(stamp * stream.time_base)
        if packet.dts is not None and float(packet.dts * stream.time_base) >= end:
            break
        if whole_groups or begin <= time < end:
            yield packet


_PIPE = 1 << 20
"""Bytes: the most that Linux allows everyone."""


def _pictures(
    command: Sequence[str], size: tuple[int, ...], file: Path, said: list[str] | None, limit: int | None
) -> Iterator[UInt8]:
    # As many at a time as the pipe holds: ffmpeg makes the next ones meanwhile. One by one, each picture would be
    # several changes between ffmpeg's threads and this one, and on one core each finds its caches full of the
    # other's data.
    buffer = np.empty((max(1, _PIPE // int(np.prod(size))), *size), np.uint8)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        assert process.stdout is not None
        _widen(process.stdout)
        try:
            count, total = len(buffer), 0
            while count == len(buffer):
                count = _fill(process.stdout, buffer.data.cast("B")) // buffer[0].nbytes
                yield from buffer[:count]
                total += count
                if limit is not None and total > limit:
                    raise BadMedia(
                        Reason.ENDLESS, f"{total} frames and no end; its stamps promise fewer than {limit}"
                    )
            code = process.wait()
        finally:
            # Left early by the caller, or by an error: the child must not outlive the generator.
            process.stdout.close()
            if process.poll() is None:
                process.kill()
                process.wait()
        lines = error_lines(errors, file)
        changes = [line for line in lines if line.startswith(PICTURES_CHANGE)]
        lines = [line for line in lines if line not in changes]
        if said is not None:
            said += lines + changes[:1]
        check_stopped(code, file)
        if code != 0:
            raise BadMedia(Reason.DECODE_ERROR, lines[-1] if lines else f"ffmpeg ended with code {code}")


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold `_PIPE` bytes, where the system can (Linux); 64 kB are usual."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _fill(pipe: IO[bytes], view: memoryview) -> int:
    """Fill `view` from the pipe; less only at its end. The number of bytes."""
    filled = 0
    while filled < len(view):
        count = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    return filled
